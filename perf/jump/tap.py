"""Sees the control messages of the client's links as they pass, without touching them: which link is warm, and what a
jump's exchange looked like to the microsecond. tcpdump writes them to a file; IPv4 only."""
import bisect
import socket
import struct
from collections import namedtuple

from jvpn_lab import processes
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.settings import PORT
from jvpn_lab.topology import in_ns
from jvpn_lab.traffic import record

_CONTROL = 5  # the type of a message, common/wire.h
_HEADERS = struct.Struct("!4xI2xB9x")  # LINKTYPE_LINUX_SLL2: interface, and whether it came or went
_OUTGOING = 4
_LENGTH_AT = _HEADERS.size + 24  # of UDP, behind an IPv4 header without options

Message = namedtuple("Message", "at link outbound bytes")  # ns, name, from the client, of the sealed message


class ControlTap:
    def __init__(self, links):
        self._links = {int(in_ns("client", "cat", f"/sys/class/net/{link}/ifindex")): link for link in links}
        path = LAB_DIR / "control.pcap"
        record("control-tap", "client", "any", path, "-U", "--immediate-mode", "-s", "80", "-y", "LINUX_SLL2",
               "--time-stamp-precision=nano", f"ip and udp port {PORT} and udp[8] = {_CONTROL}")
        self._file = path.open("rb")
        self._rest = b""
        self._seen = []
        self._started = False

    def _follow(self):
        self._rest += self._file.read()
        if not self._started and len(self._rest) >= 24:
            self._rest, self._started = self._rest[24:], True
        while self._started and len(self._rest) >= 16:
            seconds, nanoseconds, captured = struct.unpack_from("=III", self._rest)
            packet = self._rest[16:16 + captured]
            if len(packet) < captured:
                return
            self._rest = self._rest[16 + captured:]
            interface, kind = _HEADERS.unpack_from(packet)
            length, = struct.unpack_from("!H", packet, _LENGTH_AT)
            if link := self._links.get(interface):
                self._seen.append(Message(seconds * 10**9 + nanoseconds, link, kind == _OUTGOING, length - 8))

    def between(self, since, until):
        self._follow()
        first, last = (bisect.bisect_left(self._seen, at, key=lambda message: message.at) for at in (since, until))
        return self._seen[first:last]

    def validated(self, link, since):
        """A probe, its challenge and the answer to that have passed on the link since then."""
        steps = 0  # out, in, out
        for message in self.between(since, 1 << 62):
            steps += message.link == link and message.outbound == (steps % 2 == 0)
        return steps >= 3


def describe(message, kinds, longest):
    """What a sealed message of that length and direction is, as far as the length tells. Kinds: [bytes, ways, name];
    0 bytes: padded to more than the longest of the others."""
    way, size = "out" if message.outbound else "in", message.bytes if message.bytes <= longest else 0
    names = [name for bytes_of_kind, ways, name in kinds if bytes_of_kind == size and way in ways]
    return " or ".join(names) or f"{message.bytes} bytes"
