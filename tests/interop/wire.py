"""Every layout that docs/PROTOCOL.md has, in its words: `name:code`, with the codes of Python's struct."""
import struct
from collections.abc import Callable
from types import SimpleNamespace as Message
from typing import Any

INITIATION, RESPONSE, COOKIE_REPLY, DATA, CONTROL, RETRY, RESET, INQUIRY, READINESS = 1, 2, 3, 4, 5, 6, 7, 8, 9
TAKES_SESSIONS, DRAINING, STORE_UNAVAILABLE = 1, 2, 3  # in a readiness
CRITICAL_FIELD = 1 << 15
RESUME_FIELD = 1
RECEIVED_FIELD = 2  # of a request to jump and its acknowledgement
HOLDS = 1  # flag of a response
CRITICAL_MESSAGE = 1


class Layout:
    """Little-endian fields without gaps; `:8x` is eight reserved bytes."""

    def __init__(self, fields: str) -> None:
        pairs = [field.split(":") for field in fields.split()]
        self.names = [name for name, _ in pairs if name]
        self._struct = struct.Struct("<" + "".join(code for _, code in pairs))
        self.size = self._struct.size
        self._zero = {name: b"" if code.endswith("s") else 0 for name, code in pairs if name}

    def pack(self, **values: Any) -> bytes:
        """What isn't named is zero."""
        if unknown := values.keys() - set(self.names):
            raise TypeError(f"no field {', '.join(sorted(unknown))} among {', '.join(self.names)}")
        return self._struct.pack(*(values.get(name, self._zero[name]) for name in self.names))

    def unpack(self, data: bytes) -> Message:
        """Of the first bytes."""
        return Message(**dict(zip(self.names, self._struct.unpack_from(data))))


HEADER = Layout("type:B :3x receiver:I counter:Q")  # data and control
INITIATION_HEAD = Layout("type:B :3x sender:I suite:B :7x")
INITIATION_PAYLOAD = Layout("version:B suite:B lanes:H :4x timestamp:12s freshness:16s fields:220s")
RESPONSE_HEAD = Layout("type:B :3x sender:I receiver:I")
RESPONSE_PAYLOAD = Layout("version:B suite:B lanes:H mtu:H flags:H session_id:16s binding_version:Q clock_ms:Q "
                          "addresses:80s policy:64s spare_indices:16s reset_token:16s spare_tokens:64s")
SEALED_REPLY = Layout("type:B :3x receiver:I nonce:24s sealed:32s")  # cookie or freshness
READINESS_MESSAGE = Layout("type:B :3x receiver:I nonce:24s sealed:56s")
READINESS_VALUE = Layout("availability:B :1x ask_again_s:H :4x cookie:16s freshness:16s")
RESET_MESSAGE = Layout("type:B :3x receiver:I token:16s earlier:16s")
POLICY = Layout(" ".join(f"{name}:I" for name in (
    "version max_lifetime transport_loss_ttl idle_max heartbeat_interval heartbeat_volatile transport_dead "
    "stability_window max_switches_per_min switch_cooldown max_recovery_window max_recovery_attempts recovery_attempt "
    "drain max_candidate_count candidate_validation_ttl").split()))
_RESUME_CLAIM = Layout("session_id:16s binding_version:Q nonce:Q")
REKEY_INITIATION_PAYLOAD = Layout("version:B suite:B lanes:H :4x number:Q")
REKEY_RESPONSE_PAYLOAD = Layout("version:B suite:B lanes:H :4x clock_ms:Q reset_token:16s spares:88s")

_CONTROL_HEAD = Layout("version:B type:B flags:B :5x")
_CONTROL = {
    1: ("HEARTBEAT", "clock_us:Q binding_version:Q"),
    2: ("HEARTBEAT_ACK", "echo_us:Q clock_us:Q binding_version:Q"),
    3: ("QUALITY_REPORT", "binding_version:Q loss_ppm:I :4x"),
    4: ("IDLE", "binding_version:Q interval_ms:I :4x"),
    5: ("TRANSPORT_DEAD", "binding_version:Q"),
    6: ("PATH_PROBE", "nonce:Q clock_us:Q receiver:I lanes:H :2x :16x"),
    7: ("PATH_CHALLENGE", "nonce:Q echo_us:Q token:16s"),
    8: ("PATH_RESPONSE", "nonce:Q token:16s receiver:I :4x"),
    9: ("REATTACH_REQUEST",
        "session_id:16s nonce:Q clock_ms:Q binding_version:Q receiver:I lanes:H retire_active:B cause:B :80x"),
    10: ("REATTACH_CHALLENGE", "nonce:Q token:16s"),
    11: ("REATTACH_RESPONSE", "nonce:Q token:16s"),
    12: ("REATTACH_ACK", "nonce:Q binding_version:Q clock_ms:Q sender:I :4x spares:88s"),
    13: ("REATTACH_REJECT", "nonce:Q reason:H detail:H retry_after_ms:I binding_version:Q clock_ms:Q spares:88s"),
    14: ("NEW_INDICES", "spares:88s"),
    15: ("REKEY_INITIATION", "sender:I noise:112s"),
    16: ("REKEY_RESPONSE", "sender:I receiver:I noise:168s"),
    17: ("POLICY_HINT", "binding_version:Q hint:B :3x"),
    18: ("TERMINATE", "reason:H detail:H :4x"),
    19: ("MTU_PROBE", "nonce:Q receiver:I path_mtu:H :2x"),
    20: ("MTU_ACK", "nonce:Q"),
}
_LAYOUTS = {kind: (name, Layout(fields)) for kind, (name, fields) in _CONTROL.items()}
_TYPES = {name: kind for kind, (name, _) in _CONTROL.items()}


def control(name: str, flags: int = 0, tail: bytes = b"", **values: Any) -> bytes:
    """A plaintext; the tail is fields or padding."""
    kind = _TYPES[name]
    return control_of_type(kind, flags) + _LAYOUTS[kind][1].pack(**values) + tail


def control_of_type(kind: int, flags: int = 0) -> bytes:
    """The eight bytes that every plaintext begins with."""
    return _CONTROL_HEAD.pack(version=1, type=kind, flags=flags)


def parse_control(plaintext: bytes) -> Message:
    """Its fields, with its `name` and, as they came, all its bytes, `raw`."""
    head = _CONTROL_HEAD.unpack(plaintext)
    name, layout = _LAYOUTS[head.type]
    message = layout.unpack(plaintext[_CONTROL_HEAD.size:])
    message.name, message.raw = name, plaintext
    return message


def padded(plaintext: bytes, length: int) -> bytes:
    return plaintext + bytes(length - len(plaintext))


def field(kind: int, value: bytes, critical: bool = False) -> bytes:
    return struct.pack("<HH", kind | (CRITICAL_FIELD if critical else 0), len(value)) + value


def fields_behind(message: Message) -> dict[int, bytes]:
    """The fields behind a control message's fixed part, by type."""
    rest = message.raw[_CONTROL_HEAD.size + _LAYOUTS[_TYPES[message.name]][1].size:]
    found = {}
    while len(rest) >= 4:
        kind, length = struct.unpack_from("<HH", rest)
        if kind == 0:
            break
        found[kind] = rest[4:4 + length]
        rest = rest[4 + length:]
    return found


def parse_reports(data: bytes) -> dict[int, dict[int, tuple[int, int]]]:
    """What was received: index → lane → one above the highest sequence, and the holes as bits from there down."""
    reports: dict[int, dict[int, tuple[int, int]]] = {}
    while data:
        index, lanes = struct.unpack_from("<IB3x", data)
        data = data[8:]
        reports[index] = {}
        for _ in range(lanes):
            lane, words, upto = struct.unpack_from("<HBxQ", data)
            reports[index][lane] = (upto, int.from_bytes(data[12:12 + 8 * words], "little"))
            data = data[12 + 8 * words:]
    return reports


def resume_claim(session_id: bytes, binding_version: int, nonce: int) -> bytes:
    """The field of an initiation that would go on with a session."""
    return field(RESUME_FIELD, _RESUME_CLAIM.pack(session_id=session_id, binding_version=binding_version, nonce=nonce))


def pack_spares(spares: dict[int, int], token_of: Callable[[int], bytes] = lambda _: b"") -> bytes:
    """Four {index u32}, then four {number u16}, then four {token 16}, of number → index."""
    pairs = list(spares.items())[:4]
    none = [(0, 0)] * (4 - len(pairs))
    return struct.pack("<4I4H64s", *(index for _, index in pairs + none), *(number for number, _ in pairs + none),
                       b"".join(token_of(index) for _, index in pairs))


def parse_spares(data: bytes) -> dict[int, int]:
    values = struct.unpack_from("<4I4H", data)
    return {number: index for index, number in zip(values[:4], values[4:]) if index}


def parse_tokens(data: bytes) -> dict[int, bytes]:
    """Of the spares, index → token."""
    *values, tokens = struct.unpack("<4I8x64s", data)
    return {index: tokens[16 * place:16 * place + 16] for place, index in enumerate(values) if index}


def tai64n(unix_ns: int) -> bytes:
    """Big-endian seconds since 1970 TAI plus 2^62, then nanoseconds."""
    return struct.pack(">QI", (1 << 62) + TAI_OFFSET_S + unix_ns // 10**9, unix_ns % 10**9)


def reset_period(timestamp: bytes) -> int:
    """Of TAI64N: 256 s."""
    return int.from_bytes(timestamp[:8], "big") >> 8


TAI_OFFSET_S = 10
