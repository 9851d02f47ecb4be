"""Inner packets: IPv4 with ICMP echo or UDP."""
import ipaddress
import struct
from dataclasses import dataclass

ICMP, UDP = 1, 17
ECHO_REPLY, ECHO_REQUEST = 0, 8


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total = sum(struct.unpack(f">{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True)
class Ipv4:
    source: str
    destination: str
    protocol: int
    payload: bytes

    def pack(self) -> bytes:
        ends = ipaddress.IPv4Address(self.source).packed + ipaddress.IPv4Address(self.destination).packed
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(self.payload), 0, 0x4000, 64, self.protocol, 0) + ends
        return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + self.payload


def parse(packet: bytes) -> Ipv4 | None:
    """None for what isn't IPv4."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    begin, end = (packet[0] & 15) * 4, int.from_bytes(packet[2:4], "big")
    source, destination = (str(ipaddress.IPv4Address(packet[at:at + 4])) for at in (12, 16))
    return Ipv4(source, destination, packet[9], packet[begin:end])


def _icmp(kind: int, rest: bytes) -> bytes:
    head = struct.pack(">BBH", kind, 0, 0)
    return struct.pack(">BBH", kind, 0, checksum(head + rest)) + rest


def echo(source: str, destination: str, number: int, size: int = 56) -> bytes:
    return Ipv4(source, destination, ICMP, _icmp(ECHO_REQUEST, struct.pack(">HH", 0x1A, number) + bytes(size))).pack()


def echo_reply_to(packet: bytes) -> bytes | None:
    """What a host says to an echo request; None to anything else."""
    ip = parse(packet)
    if ip is None or ip.protocol != ICMP or ip.payload[0] != ECHO_REQUEST:
        return None
    return Ipv4(ip.destination, ip.source, ICMP, _icmp(ECHO_REPLY, ip.payload[4:])).pack()


def echo_reply_number(packet: bytes) -> int | None:
    ip = parse(packet)
    if ip is None or ip.protocol != ICMP or ip.payload[0] != ECHO_REPLY:
        return None
    return int.from_bytes(ip.payload[6:8], "big")


def udp(source: tuple[str, int], destination: tuple[str, int], data: bytes) -> bytes:
    """Without a checksum, as RFC 768 allows."""
    head = struct.pack(">HHHH", source[1], destination[1], 8 + len(data), 0)
    return Ipv4(source[0], destination[0], UDP, head + data).pack()


def udp_data(packet: bytes) -> bytes | None:
    ip = parse(packet)
    return ip.payload[8:] if ip is not None and ip.protocol == UDP else None
