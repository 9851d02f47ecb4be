#!/usr/bin/env python3
"""Nothing of a full tunnel's traffic leaves in the clear, IPv4 and IPv6: not before the first session, not while paths
jump, shrink or die, not when the gateway or the client is killed, and not for a forged "fragmentation needed" (IPv4)
or "packet too big" (IPv6). A clean stop and `jvpn-client --release` open the host again.

  marker ──▶ 192.88.99.9, 2001:db8:ffff::9
  jvpn-client 0.0.0.0/0, ::/0 ══ tunnel over wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan     (jvpn_lab/topology.py)
       └── default routes by wan0 to the gateway's router address: where a leak would go
"""
import ipaddress
import json
import signal
import socket
import struct

from e2e import (CLIENT, GATEWAY, LINKS, ROOT, SERVER4, SERVER6, Scenario, active_link, both_attached, bounded, endpoints,
                 faults, in_namespace, in_ns, ip, log_of, pings, planned_jump, processes, program, require_within, scenario,
                 spawn, start_gateway, step)
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.settings import gateway4

OUTSIDE = ("192.88.99.9", "2001:db8:ffff::9")
# A dead gateway is noticed and given up soon, then dialled anew.
POLICY = """version: 1, switching: {max_recovery_window_ms: 3000},
  volatility: {heartbeat_interval_ms: 200, heartbeat_volatile_ms: 500, transport_dead_ms: 1000}"""
_MARKER = ROOT / "lab/jvpn_lab/marker.py"
_FORGE = """
import socket, sys
device, frame = sys.argv[1], bytes.fromhex(sys.argv[2])
one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
one.bind((device, 0))
for _ in range(20): one.send(frame)
"""


def said(name: str) -> dict[str, int]:
    lines = log_of(name).read_text().splitlines()
    return json.loads(lines[-1]) if lines else {}


def leaked() -> int:
    return sum(said("marker-watch").values())


def tried() -> int:
    return said("marker-send").get("tried", 0)


class Leaks:
    """What leaks from here on."""

    def __init__(self, s: Scenario) -> None:
        self.s = s
        self.before = leaked()

    def none(self, when: str, packets: int = 40) -> None:
        """The stream went on for that many packets, and none was seen outside."""
        goal = tried() + packets
        self.s.expect(f"{when}: the stream goes on", lambda: tried() >= goal, within=10)
        self.s.expect(f"{when}: 0 packets in the clear ({leaked() - self.before})", leaked() == self.before)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol: int, payload: bytes, addresses: list[bytes]) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0x4000, 64, protocol, 0) + b"".join(addresses)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(protocol: int, payload: bytes, addresses: list[bytes]) -> bytes:
    return struct.pack("!IHBB", 0x6000_0000, len(payload), protocol, 64) + b"".join(addresses) + payload


def fragmentation_needed(mtu: int, quoted: bytes, addresses: list[bytes]) -> bytes:
    body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
    return ipv4(socket.IPPROTO_ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:], addresses)


def packet_too_big(mtu: int, quoted: bytes, addresses: list[bytes]) -> bytes:
    body = struct.pack("!BBHI", 2, 0, 0, mtu) + quoted
    pseudo = b"".join(addresses) + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6)
    return ipv6(socket.IPPROTO_ICMPV6, body[:2] + struct.pack("!H", checksum(pseudo + body)) + body[4:], addresses)


def forge_too_big(link: str, mtu: int) -> None:
    """From the gateway's address, about the tunnel's own datagrams: in the family that carries them."""
    local, remote = (CLIENT.session()[end] for end in ("local", "remote"))
    (source, source_port), (target, target_port) = (end.rsplit(":", 1) for end in (local, remote))
    packed = [ipaddress.ip_address(address.strip("[]")).packed for address in (source, target)]
    udp = struct.pack("!HHHH", int(source_port), int(target_port), 1400, 0)
    if over_ipv6():
        ether_type, packet = b"\x86\xdd", packet_too_big(mtu, ipv6(socket.IPPROTO_UDP, udp, packed), packed[::-1])
    else:
        ether_type, packet = b"\x08\x00", fragmentation_needed(mtu, ipv4(socket.IPPROTO_UDP, udp, packed), packed[::-1])

    def mac(host: str) -> bytes:
        return bytes.fromhex(in_ns(host, "cat", f"/sys/class/net/{link}/address").strip().replace(":", ""))

    frame = mac("client") + mac("gw") + ether_type + packet
    in_ns("gw", "python3", "-c", _FORGE, link, frame.hex())


def over_ipv6() -> bool:
    return CLIENT.session()["remote"].startswith("[")


def kernel_believes(mtu: int) -> bool:
    """The forged message reached the client's kernel, which keeps it for whoever asks."""
    remote = CLIENT.session()["remote"].rsplit(":", 1)[0].strip("[]")
    return f"mtu {mtu}" in in_ns("client", "ip", "route", "get", remote, "mark", "51900")


def start_stream() -> None:
    ip("client", "route add default via 192.0.2.1 dev wan0")
    ip("client", "-6 route add default via 2001:db8::1 dev wan0")
    spawn("marker-watch", "client", "python3", _MARKER, "watch", *LINKS)
    require_within(5, lambda: said("marker-watch") != {}, "the watch did not start")
    spawn("marker-send", "client", "python3", _MARKER, "send", *OUTSIDE)


def set_mtu(link: str, mtu: int) -> None:
    ip("client", f"link set {link} mtu {mtu}")


with scenario(240) as s:
    step("Lab; the stream leaves in the clear while there is no client")
    s.prepare(policy=POLICY, allowed='0.0.0.0/0, "::/0"',
              endpoints=endpoints(*(gateway4(link) for link in LINKS), "[2001:db8::1]"))
    start_gateway()
    start_stream()
    s.expect("the watch sees both families", lambda: min(said("marker-watch").values()) > 4, within=10)
    GATEWAY.stop(signal.SIGKILL)

    step("A client without a gateway")
    CLIENT.start()
    require_within(10, CLIENT.answers, "jvpn-client does not answer")
    leaks = Leaks(s)
    leaks.none("before the first session")

    step("Attached, jumping")
    start_gateway()
    s.expect("attached", both_attached, within=20)
    s.expect("the server answers inside", pings("client", SERVER4))
    leaks.none("attached")
    wide = (("", "0.0.0.0/1", "192.0.2.1"), ("", "128.0.0.0/1", "192.0.2.1"),
            ("-6", "::/1", "2001:db8::1"), ("-6", "8000::/1", "2001:db8::1"))
    for family, prefix, router in wide:
        ip("client", f"{family} route add {prefix} via {router} dev wan0")
    leaks.none("beside routes to each half of the addresses, as DHCP may hand them out")
    for family, prefix, router in wide:
        ip("client", f"{family} route del {prefix} via {router} dev wan0")
    for link in LINKS[LINKS.index(active_link()) + 1:] or LINKS:  # it may have attached by any of them
        planned_jump(link)
        s.expect(f"on {link}", lambda link=link: active_link() == link, within=5)
    leaks.none("after planned jumps")
    faults.cut("wan2", "silent")
    s.expect("left the dead path", lambda: active_link() != "wan2" and both_attached(), within=20)
    leaks.none("after a jump from a dead path")
    faults.heal("wan2")

    step("A forged fragmentation needed")
    mtu = CLIENT.show()["interface"]["mtu"]
    forge_too_big(active_link(), 576)
    s.expect("the kernel took it", lambda: kernel_believes(576), within=5)
    leaks.none("after the forged message")
    s.expect("IPv6 still passes inside", pings("client", SERVER6))
    s.expect(f"the tunnel's MTU is still {mtu}", CLIENT.show()["interface"]["mtu"] == mtu)

    step("A forged packet too big, over IPv6")
    faults.cut("wan2", "down")  # a session has three candidates, and the IPv6 one is the fourth path
    for link in LINKS[:2]:
        faults.cut(link, "ipv4")
    s.expect("the session goes on over IPv6", lambda: both_attached() and over_ipv6(), within=30)
    forge_too_big(active_link(), 1280)
    s.expect("the kernel took it", lambda: kernel_believes(1280), within=5)
    leaks.none("after the forged message")
    s.expect("IPv6 still passes inside", pings("client", SERVER6))
    s.expect(f"the tunnel's MTU is still {mtu}", CLIENT.show()["interface"]["mtu"] == mtu)
    for link in LINKS:
        faults.heal(link)
    planned_jump("wan1")
    s.expect("back over IPv4", lambda: both_attached() and not over_ipv6(), within=10)

    step("MTU 576 on each path")
    for link in LINKS:
        set_mtu(link, 576)
        leaks.none(f"{link} at 576")
    s.expect("the client lives", CLIENT.runs)
    for link in LINKS:
        set_mtu(link, 1500)
    s.expect("attached", both_attached, within=20)

    step("The gateway dies, and comes back")
    GATEWAY.stop(signal.SIGKILL)
    s.expect("the client notices", lambda: not CLIENT.attached(), within=15)
    leaks.none("without a gateway")
    for family in ("", "-6"):
        for what in ("rule del pref 5191", "rule del pref 5192", "route flush table 51900"):
            ip("client", f"{family} {what}")
    s.expect("rules and routes that somebody took away are set again",
             lambda: all(f"{priority}:" in ip("client", f"{family} rule show")
                         and "unreachable" in ip("client", f"{family} route show table 51900")
                         for family in ("", "-6") for priority in (5191, 5192)), within=5)
    leaks = Leaks(s)
    leaks.none("after that")
    start_gateway()
    s.expect("attached again", both_attached, within=60)

    step("kill -9 of the client, and a restart")
    CLIENT.stop(signal.SIGKILL)
    leaks.none("after kill -9")
    CLIENT.start()
    s.expect("attached again", both_attached, within=60)
    s.expect("the server answers inside", pings("client", SERVER4))
    leaks.none("after the restart")

    step("A stop, and --release, open the host")
    CLIENT.stop()
    s.expect("the stream is in the clear again", lambda: leaked() > leaks.before + 4, within=10)
    CLIENT.start()
    s.expect("attached again", both_attached, within=60)
    CLIENT.stop(signal.SIGKILL)
    leaks = Leaks(s)
    leaks.none("after kill -9")
    release = in_namespace("client", program("jvpn-client"), "--release", LAB_DIR / CLIENT.profile)
    s.expect("--release succeeds", bounded(10, *release).returncode == 0)
    s.expect("the stream is in the clear again", lambda: leaked() > leaks.before + 4, within=10)
    s.expect("no rule is left", "519" not in ip("client", "rule show"))
