"""Other VPNs between the lab's client and gateway, for `jvpn-perf peers`.

  jvpn-client wan0 192.0.2.2 ══ tunnel ══ 192.0.2.1 wan0 jvpn-gw lan 10.99.0.1 ── lan 10.99.0.2 jvpn-lan

jvpnd has the gateway's interfaces to itself, so tunnels take turns. The other VPNs use the kernel's forwarding in
jvpn-gw, and get the interfaces' offloads that jvpnd can't use.
"""
import os
import shutil

from jvpn_lab import processes, programs
from jvpn_lab.console import Failure
from jvpn_lab.processes import LAB_DIR, in_namespace
from jvpn_lab.run import require_within, run, succeeds
from jvpn_lab.settings import SERVER4, Settings
from jvpn_lab.topology import in_ns, ip
from jvpn_lab.traffic import iperf

_KEYS = LAB_DIR / "peers"  # 0700 as its parent
_PORT = "51901"
_NEEDS = {"jvpn": {}, "wireguard-go": {"wireguard-go": "wireguard-go", "wg": "wireguard-tools"},
          "openvpn": {"openvpn": "openvpn"}}  # command → package


def missing(peer: str) -> str:
    """The packages that it lacks."""
    needs = _NEEDS[peer] | {"iperf3": "iperf3"}
    return " ".join(package for command, package in needs.items() if not shutil.which(command))


def prepare() -> None:
    """The lab without any tunnel."""
    programs.prepare(Settings())
    _KEYS.mkdir(mode=0o700)


def _processes(peer: str) -> list[str]:
    return ["jvpnd", "jvpn-client"] if peer == "jvpn" else [f"{peer}-gw", f"{peer}-client"]


def _kernel_gateway(on: bool) -> None:
    """The kernel forwards in jvpn-gw, or leaves its interfaces to jvpnd."""
    change, offload = ("add", "on") if on else ("del", "off")
    ip("gw", f"address {change} 192.0.2.1/24 dev wan0")
    ip("gw", f"address {change} 10.99.0.1/24 dev lan")
    in_ns("gw", "sysctl", "-qw", f"net.ipv4.ip_forward={int(on)}")
    for host, interface in (("gw", "wan0"), ("gw", "lan"), ("client", "wan0"), ("lan", "lan")):
        in_ns(host, "ethtool", "-K", interface, "tx", offload)


def _wireguard_end(end: str, interface: str) -> str:
    """Starts one; returns its public key."""
    processes.spawn(f"wireguard-go-{end}", end, "wireguard-go", "--foreground", interface)
    require_within(10, lambda: succeeds(*in_namespace(end, "wg", "show", interface)), "wireguard-go does not answer")
    private = run("wg", "genkey")
    key = _KEYS / f"wg-{end}.key"
    key.touch(mode=0o600)
    key.write_text(private)
    in_ns(end, "wg", "set", interface, "private-key", key)
    return run("wg", "pubkey", text=private).strip()


def _wireguard() -> None:
    gateway, client = _wireguard_end("gw", "jvpnwg1"), _wireguard_end("client", "jvpnwg0")
    in_ns("gw", "wg", "set", "jvpnwg1", "listen-port", _PORT, "peer", client, "allowed-ips", "10.78.0.2/32")
    in_ns("client", "wg", "set", "jvpnwg0", "peer", gateway, "endpoint", f"192.0.2.1:{_PORT}",
          "allowed-ips", f"10.78.0.1/32,{SERVER4}/32")
    for end, interface, address in (("client", "jvpnwg0", "10.78.0.2"), ("gw", "jvpnwg1", "10.78.0.1")):
        ip(end, f"address replace {address}/24 dev {interface}")
        ip(end, f"link set {interface} up")
    ip("client", f"route replace {SERVER4}/32 via 10.78.0.1 dev jvpnwg0")


def _openvpn_key(end: str) -> str:
    """A key and a certificate; each end knows the other by its fingerprint, which is returned."""
    key, certificate = _KEYS / f"ovpn-{end}.key", _KEYS / f"ovpn-{end}.crt"
    if not key.exists():
        key.touch(mode=0o600)
        run(*"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2".split(),
            "-subj", f"/CN={end}", "-keyout", key, "-out", certificate)
    said = run("openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256")
    return said.strip().partition("=")[2]


def _openvpn_end(end: str, other: str, interface: str, options: str) -> None:
    processes.spawn(f"openvpn-{end}", end, "openvpn",
                    *f"--dev {interface} --dev-type tun --topology p2p --proto udp".split(),
                    "--cert", _KEYS / f"ovpn-{end}.crt", "--key", _KEYS / f"ovpn-{end}.key", "--peer-fingerprint",
                    other, *"--data-ciphers AES-128-GCM --auth none --disable-dco --verb 3".split(), *options.split())


def _openvpn() -> None:
    gateway, client = _openvpn_key("gw"), _openvpn_key("client")
    _openvpn_end("gw", client, "jvpnov1",
                 f"--lport {_PORT} --tls-server --dh none --ifconfig 10.78.0.1 10.78.0.2")
    _openvpn_end("client", gateway, "jvpnov0",
                 f"--remote 192.0.2.1 {_PORT} --nobind --tls-client --ifconfig 10.78.0.2 10.78.0.1 --route-noexec")
    require_within(20, lambda: processes.logged("openvpn-client", "Initialization Sequence Completed"),
                   "no OpenVPN tunnel within 20 s")
    ip("client", f"route replace {SERVER4}/32 via 10.78.0.1 dev jvpnov0")


def start_tunnel(peer: str) -> None:
    if peer != "jvpn":
        _kernel_gateway(True)
    {"jvpn": programs.start_both, "wireguard-go": _wireguard, "openvpn": _openvpn}[peer]()
    reach = in_namespace("client", "ping", "-n", "-q", "-c", "1", "-W", "1", SERVER4)
    require_within(10, lambda: succeeds(*reach), f"{peer}: the server does not answer through the tunnel")


def end_tunnel(peer: str) -> None:
    for name in reversed(_processes(peer)):
        processes.stop(name)
    if peer != "jvpn":
        _kernel_gateway(False)


def _cpu_ticks(peer: str) -> int:
    """Of both its processes so far."""
    pids = {name: processes.pid_of(name) for name in _processes(peer)}
    for name, pid in pids.items():
        if pid is None:
            raise Failure(f"{peer}: {name} has ended")
    return sum(processes.cpu_ticks(pid) for pid in pids.values() if pid)


def stream(peer: str, seconds: int) -> tuple[float, float]:
    """One TCP stream from the client to the server: Gbit/s, and the CPU seconds of the tunnel's two processes."""
    before = _cpu_ticks(peer)
    gbps = iperf(seconds, margin=25)
    return gbps, (_cpu_ticks(peer) - before) / os.sysconf("SC_CLK_TCK")
