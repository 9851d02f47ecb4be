"""Checks packet captures of the lab's outside links: nothing but JVP/1 may be on the wire.

Allowed are UDP datagrams from or to the tunnel's port that look like JVP/1 (type 1 to 5, reserved bytes zero, long
enough for their type) and the neighbour discovery of the links themselves (ARP, ICMPv6 ND and MLD). No marker that was
sent through the tunnel may occur anywhere. Reads classic pcap files of Ethernet links, as `tcpdump -w` writes them;
short snapshots suffice.
"""
import collections
import struct
from collections.abc import Iterator
from pathlib import Path

from jvpn_lab.console import Failure
from jvpn_lab.settings import PORT

ETHERNET = 14
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
UDP, ICMPV6, HOP_BY_HOP = 17, 58, 0
# Router and neighbour solicitation and advertisement, redirect; MLD queries and reports.
NEIGHBOUR_TYPES = {130, 131, 132, 133, 134, 135, 136, 137, 143}
# Shortest message of each type: data and control are header and tag, handshakes carry keys and MACs.
NAMES = {1: "initiation", 2: "response", 3: "cookie", 4: "data", 5: "control"}
SHORTEST = {1: 64, 2: 64, 3: 32, 4: 32, 5: 32}


def packets(path: Path) -> Iterator[bytes]:
    """What was captured of each; a file cut short ends at its last whole packet."""
    with path.open("rb") as file:
        if file.read(24)[:4] != struct.pack("=I", 0xA1B2C3D4):
            raise Failure(f"{path}: not a pcap file of this machine")
        while header := file.read(16):
            captured = struct.unpack("=8xI4x", header)[0] if len(header) == 16 else 1
            if len(frame := file.read(captured)) < captured:
                return
            yield frame


def classify_udp(frame: bytes, at: int) -> int | str:
    """The JVP/1 type of the datagram whose UDP header starts at `at`, or what is wrong with it."""
    if len(frame) < at + 12:
        return "truncated"
    source, destination, length = struct.unpack_from("!HHH", frame, at)
    if PORT not in (source, destination):
        return f"UDP {source} > {destination}"
    kind = frame[at + 8]
    if kind not in NAMES:
        return f"type {kind}"
    if frame[at + 9:at + 12] != b"\0\0\0":
        return "reserved bits"
    if length - 8 < SHORTEST[kind]:
        return f"{NAMES[kind]} of {length - 8} bytes"
    return kind


def classify(frame: bytes) -> int | str:
    """1..5: a JVP/1 message; 0: neighbour discovery; a text: what should not be there."""
    if len(frame) < ETHERNET:
        return "short frame"
    ether_type = frame[12] << 8 | frame[13]
    if ether_type == ARP:
        return 0
    if ether_type == IPV4 and len(frame) >= 34:
        if (frame[20] << 8 | frame[21]) & 0x3FFF:
            return "IPv4 fragment"
        if frame[23] != UDP:
            return f"IPv4 protocol {frame[23]}"
        return classify_udp(frame, ETHERNET + (frame[14] & 15) * 4)
    if ether_type == IPV6 and len(frame) >= 54:
        following, at = frame[20], 54
        if following == HOP_BY_HOP and len(frame) >= 62:
            following, at = frame[54], 54 + (frame[55] + 1) * 8
        if following == ICMPV6 and len(frame) > at:
            return 0 if frame[at] in NEIGHBOUR_TYPES else f"ICMPv6 type {frame[at]}"
        if following != UDP:
            return f"IPv6 next header {following}"
        return classify_udp(frame, at)
    return f"ether type {ether_type:#06x}"


def check(captures: list[Path], marker: bytes, required: tuple[str, ...]) -> tuple[bool, list[str]]:
    """Whether the captures hold nothing but what may be outside, and each required type of message at least once; a
    line of text for each."""
    lines, sound, seen = [], True, set()
    for path in captures:
        counts: collections.Counter[int | str] = collections.Counter()
        for frame in packets(path):
            counts[classify(frame)] += 1
            if marker in frame:
                counts[f"marker {marker!r} in clear"] += 1
        seen |= {NAMES[kind] for kind in NAMES if counts[kind]}
        wrong = [kind for kind in counts if isinstance(kind, str)]
        sound = sound and not wrong
        parts = [f"{counts[kind]} {NAMES[kind]}" for kind in NAMES if counts[kind]]
        parts += [f"{counts[0]} neighbour discovery"] if counts[0] else []
        parts += [f"VIOLATION: {what} ({counts[what]} x)" for what in wrong]
        lines.append(f"{path.name}: {', '.join(parts) or 'nothing'}")
    absent = sorted(set(required) - seen)
    lines += [f"VIOLATION: no {name} message in any capture" for name in absent]
    return sound and not absent, lines


def count(path: Path, marker: bytes) -> int:
    """How many frames of an inside capture hold the marker, which proves that it was really sent."""
    return sum(marker in frame for frame in packets(path))
