#!/usr/bin/env python3
"""Checks packet captures of the lab's outside links: nothing but JVP/1 may be on the wire.

Allowed are UDP datagrams from or to the tunnel's port that look like JVP/1 (type 1 to 5, reserved bytes
zero, long enough for their type) and the neighbour discovery of the links themselves (ARP, ICMPv6 ND
and MLD). No marker that was sent through the tunnel may occur anywhere. With --must-contain the
captures are instead of the inside: every marker has to occur, which proves that it was really sent.

Reads classic pcap files of Ethernet links, as `tcpdump -w` writes them; short snapshots suffice.
Exit code 0: all as expected; 1: not; 2: usage or unreadable file.
"""
import argparse
import collections
import json
import mmap
import os
import struct
import sys

ETHERNET = 14
IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
UDP, ICMPV6, HOP_BY_HOP = 17, 58, 0
# Router and neighbour solicitation and advertisement, redirect; MLD queries and reports.
NEIGHBOUR_TYPES = {130, 131, 132, 133, 134, 135, 136, 137, 143}
# Shortest message of each type: data and control are header and tag, handshakes carry keys and MACs.
NAMES = {1: "initiation", 2: "response", 3: "cookie", 4: "data", 5: "control"}
SHORTEST = {1: 64, 2: 64, 3: 32, 4: 32, 5: 32}
MAGICS = {
    b"\xd4\xc3\xb2\xa1": "<", b"\xa1\xb2\xc3\xd4": ">",  # microseconds
    b"\x4d\x3c\xb2\xa1": "<", b"\xa1\xb2\x3c\x4d": ">",  # nanoseconds
}


def fail(message):
    print(f"check_capture: {message}", file=sys.stderr)
    sys.exit(2)


def packets(path):
    """Yields (captured bytes, length on the wire); a file cut short ends at its last whole packet."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size < 24:
            fail(f"{path}: not a pcap file")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    order = MAGICS.get(data[:4]) or fail(f"{path}: not a pcap file")
    if struct.unpack_from(order + "I", data, 20)[0] & 0xFFFF != 1:
        fail(f"{path}: not an Ethernet capture")
    header = struct.Struct(order + "8xII")
    at, end = 24, len(data)
    while at + 16 <= end:
        captured, length = header.unpack_from(data, at)
        at += 16
        if at + captured > end:
            return
        yield data[at:at + captured], length
        at += captured


def classify_udp(frame, at, port):
    """The JVP/1 type of the datagram whose UDP header starts at `at`, or what is wrong with it."""
    if len(frame) < at + 12:
        return "truncated"
    source, destination, length = struct.unpack_from("!HHH", frame, at)
    if port not in (source, destination):
        return f"UDP {source} > {destination}"
    kind = frame[at + 8]
    if kind not in NAMES:
        return f"type {kind}"
    if frame[at + 9:at + 12] != b"\0\0\0":
        return "reserved bits"
    if length - 8 < SHORTEST[kind]:
        return f"{NAMES[kind]} of {length - 8} bytes"
    return kind


def classify(frame, port):
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
        return classify_udp(frame, ETHERNET + (frame[14] & 15) * 4, port)
    if ether_type == IPV6 and len(frame) >= 54:
        following, at = frame[20], 54
        if following == HOP_BY_HOP and len(frame) >= 62:
            following, at = frame[54], 54 + (frame[55] + 1) * 8
        if following == ICMPV6 and len(frame) > at:
            return 0 if frame[at] in NEIGHBOUR_TYPES else f"ICMPv6 type {frame[at]}"
        if following != UDP:
            return f"IPv6 next header {following}"
        return classify_udp(frame, at, port)
    return f"ether type {ether_type:#06x}"


def check(path, port, markers):
    """One capture's summary: messages by type, neighbour discovery, violations with their counts."""
    counts, violations = collections.Counter(), collections.Counter()
    for frame, _ in packets(path):
        verdict = classify(frame, port)
        if isinstance(verdict, str):
            violations[verdict] += 1
        else:
            counts[verdict] += 1
        for marker in markers:
            if marker in frame:
                violations[f"marker {marker!r} in clear"] += 1
    return {
        "file": path,
        "messages": {NAMES[kind]: counts[kind] for kind in NAMES if counts[kind]},
        "neighbour_discovery": counts[0],
        "violations": dict(violations),
    }


def check_inside(path, markers):
    found = {marker: 0 for marker in markers}
    for frame, _ in packets(path):
        for marker in markers:
            found[marker] += marker in frame
    missing = {f"marker {m!r} never seen": 1 for m, count in found.items() if not count}
    return {"file": path, "markers": {m.decode(): c for m, c in found.items()}, "violations": missing}


def describe(summary):
    parts = [f"{count} {name}" for name, count in summary.get("messages", {}).items()]
    parts += [f"{count} x {marker}" for marker, count in summary.get("markers", {}).items()]
    if summary.get("neighbour_discovery"):
        parts.append(f"{summary['neighbour_discovery']} neighbour discovery")
    parts += [f"VIOLATION: {what} ({count} x)" for what, count in summary["violations"].items()]
    return f"{os.path.basename(summary['file'])}: " + (", ".join(parts) or "nothing")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captures", nargs="+", metavar="FILE.pcap")
    parser.add_argument("--port", type=int, default=51900, help="UDP port of the tunnel")
    parser.add_argument("--marker", action="append", default=[], help="text sent through the tunnel")
    parser.add_argument("--must-contain", action="store_true", help="every marker has to occur")
    parser.add_argument("--require", action="append", default=[], metavar="TYPE",
                        help="message type that has to occur in some capture, e.g. data")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    markers = [marker.encode() for marker in options.marker]

    summaries = []
    for path in options.captures:
        if options.must_contain:
            summaries.append(check_inside(path, markers))
        else:
            summaries.append(check(path, options.port, markers))
    seen = {name for summary in summaries for name in summary.get("messages", {})}
    absent = sorted(set(options.require) - seen)

    if options.json:
        print(json.dumps({"captures": summaries, "absent": absent}))
    else:
        for summary in summaries:
            print(describe(summary))
        for name in absent:
            print(f"VIOLATION: no {name} message in any capture")
    return 1 if absent or any(summary["violations"] for summary in summaries) else 0


if __name__ == "__main__":
    sys.exit(main())
