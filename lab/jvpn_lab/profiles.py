"""Keys and profiles of both ends, from the templates in tools/profiles."""
import re
from pathlib import Path

from jvpn_lab.console import Failure
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.run import ROOT, program, run
from jvpn_lab.settings import ETCD, ETCD_PORT, LINKS, Settings, endpoints, second_gateway4
from jvpn_lab.topology import NO_HUGEPAGES

_MEGABYTES = 384


def _write_key(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def write_keys(directory: Path = LAB_DIR) -> None:
    """Fresh key pairs for both ends and one preshared key, readable by root only."""
    keys = directory / "keys"
    keys.mkdir(exist_ok=True)
    for end in ("gateway", "client"):
        private = run(program("jvpn"), "genkey")
        _write_key(keys / f"{end}.key", private)
        _write_key(keys / f"{end}.pub", run(program("jvpn"), "pubkey", text=private))
    _write_key(keys / "shared.psk", run(program("jvpn"), "genpsk"))


def _vdev(settings: Settings, index: int, interface: str) -> str:
    """A port's `vdev`, as YAML. AF_XDP takes one vdev for each queue."""
    queues = settings.queues
    if settings.driver == "af_packet":
        return f'"net_af_packet{index},iface={interface},qpairs={queues},framecnt=1024"'
    vdevs = [f'"net_af_xdp{index * queues + queue},iface={interface},start_queue={queue},queue_count=1"'
             for queue in range(queues)]
    return vdevs[0] if queues == 1 else f"[{', '.join(vdevs)}]"


def _render(template: str, output: Path, values: dict[str, object]) -> None:
    """Replaces each @NAME@; fails when one has no value."""
    text = (ROOT / "tools/profiles" / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    output.write_text(text)
    if left := re.findall("@[A-Z0-9_]*@", text):
        raise Failure(f"{template}: no value for {', '.join(left)}")


def _common(directory: Path, settings: Settings) -> dict[str, object]:
    return {"KEYS": directory / "keys", "SUITES": f"[{settings.suite}]", "REKEY_MS": settings.rekey_ms,
            "POLICY": settings.policy}


def _ownership(directory: Path, settings: Settings) -> str:
    if not settings.cluster:
        return ""
    members = ", ".join(f'"https://{address}:{ETCD_PORT}"' for address in ETCD.values())
    files = f"ca_file: {directory}/etcd/ca.pem, certificate_file: {directory}/etcd/client.pem, " \
            f"key_file: {directory}/etcd/client.key"
    return f"ownership: {{safe_time_ms: {settings.safe_ms}, etcd: {{endpoints: [{members}], {files}}}}}"


def _write_gateway(directory: Path, settings: Settings, name: str, peers: list[str], **values: object) -> None:
    queues = settings.queues
    eal = '"--in-memory", "--iova-mode=va", "--no-pci"'
    if NO_HUGEPAGES.exists():  # --in-memory and --no-huge exclude each other
        eal = f'"--file-prefix={values["NODE"]}", "--iova-mode=va", "--no-pci"'
    _render("lab-gateway.yaml.in", directory / name, _common(directory, settings) | {
        "ANSWER_FOR_PEERS": "true" if settings.answer_for_peers else "false", "OWNERSHIP": _ownership(directory, settings),
        "STATE": settings.state or directory / f"state-{values['NODE']}",
        "SESSIONS": 64 + settings.crowd, "WORKERS": "[1]" if queues == 1 else "[0, 1]", "QUEUES": queues,
        "MEGABYTES": _MEGABYTES, "EAL_ARGS": eal,
        "HUGEPAGES": "false" if NO_HUGEPAGES.exists() else "true",
        # An AF_XDP queue keeps 2048 buffers in its fill ring and up to 2048 in its completion ring.
        "MBUFS": 4 * queues * 4096 + 8192, "HOLD_PACKETS": settings.hold_packets,
        "POLICY": settings.policy + (", switching: {hold_ms: 3000}" if settings.hold_packets else ""),
        "PEERS": "\n".join(f"  - {peer}" for peer in peers),
        **{f"{port.upper()}_VDEV": _vdev(settings, index, port)
           for index, port in enumerate(("wan0", "wan1", "wan2", "lan"))}, **values})


def _peer(directory: Path, name: str, key: str, allowed: str, more: str = "") -> str:
    public = (directory / f"keys/{key}.pub").read_text().strip()
    return (f'{{name: {name}, public_key: "{public}", preshared_key_file: {directory}/keys/shared.psk, '
            f"allowed_ips: [{allowed}]{more}}}")


def _crowd(directory: Path, count: int) -> list[str]:
    """Peers of a gateway, with fresh keys, from which many-clients dials."""
    if count == 0:
        return []
    public = run(program("many-clients"), "keys", count, directory / "keys/crowd.keys").split()
    return [f'{{name: crowd{number}, public_key: "{key}", allowed_ips: [10.78.{number >> 8}.{number & 255}/32]}}'
            for number, key in enumerate(public)]


def write_profiles(settings: Settings, directory: Path = LAB_DIR) -> None:
    """Writes the profiles of both ends: gateway.yaml, and client.yaml or gateway2.yaml."""
    peer = _peer(directory, "laptop", "client", '10.77.0.2/32, "fd77::2/128"')
    peers = [*_crowd(directory, settings.crowd), peer]  # the measured one is the last that a drain asks to leave
    if settings.site:
        peers = [_peer(directory, "branch", "client", '10.88.0.0/24, "fd88::/64"')]
        hub = _peer(directory, "hub", "gateway", '10.99.0.0/24, "fd99::/64"', f", endpoints: [{settings.endpoints}]")
        _write_gateway(directory, settings, "gateway2.yaml", NODE="gw2", HOST=2, KEY="client", peers=[hub],
                       SOCKET=directory / "jvpnd2.sock", LAN='10.88.0.1/24, "fd88::1/64"')
    else:
        second = endpoints(*(second_gateway4(link) for link in LINKS))
        cluster = f"cluster: [{{name: gw2, endpoints: [{second}]}}]" if settings.cluster else ""
        _render("lab-client.yaml.in", directory / "client.yaml", _common(directory, settings) | {
            "SOCKET": directory / "jvpn-client.sock", "ENDPOINTS": settings.endpoints,
            "FALLBACK": f"fallback: {settings.fallback}" if settings.fallback else "",
            "CLUSTER": cluster, "ALLOWED": settings.allowed, "GATEWAY_PUBLIC_KEY": (directory / "keys/gateway.pub").read_text().strip()})
    if settings.cluster:
        _write_gateway(directory, settings, "gateway2.yaml", NODE="gw2", HOST=3, KEY="gateway", peers=peers,
                       SOCKET=directory / "jvpnd2.sock", LAN='10.99.0.3/24, "fd99::3/64"')
    _write_gateway(directory, settings, "gateway.yaml", NODE="gw1", HOST=1, KEY="gateway", peers=peers,
                   SOCKET=directory / "jvpnd.sock", LAN='10.99.0.1/24, "fd99::1/64"')
