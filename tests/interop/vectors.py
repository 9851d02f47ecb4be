#!/usr/bin/python3
"""Writes tests/vectors/messages.txt: whole JVP/1 messages from fixed keys and randomness, with what they are made of.
The product's own have to be the same (tests/vectors/messages_test.cc).

usage: vectors.py [--check]    --check: fails when the file isn't what would be written
"""
import sys
from pathlib import Path
from typing import Any

import inner
import noise
import wire

FILE = Path(__file__).resolve().parents[1] / "vectors/messages.txt"
HEAD = """# Whole JVP/1 messages (docs/PROTOCOL.md) from fixed keys and randomness. Written by tests/interop/vectors.py;
# don't edit. Bytes are hexadecimal, numbers decimal.
"""

INITIATOR, RESPONDER = noise.key_pair(bytes(range(0x10, 0x30))), noise.key_pair(bytes(range(0x30, 0x50)))
PSK = bytes(range(0x50, 0x70))
EPHEMERALS = bytes(range(0x70, 0x90)), bytes(range(0x90, 0xB0))  # initiator's and responder's
REKEY_EPHEMERALS = bytes(range(0xB0, 0xD0)), bytes(range(0xD0, 0xF0))
SESSION_ID = bytes(range(1, 17))
INITIATOR_INDEX, RESPONDER_INDEX = 0x11223344, 0x55667788
REKEY_INDICES = 0x21223344, 0x65667788
LANES = 2
TIMESTAMP = wire.tai64n(1_700_000_000_123_456_789)
SPARES = {1: 0xA1A2A3A4, 2: 0xB1B2B3B4, 3: 0xC1C2C3C4, 4: 0xD1D2D3D4}
TOKEN = bytes(range(0xE0, 0xF0))
FRESHNESS = bytes(range(0xC0, 0xD0))
PERIOD = wire.reset_period(TIMESTAMP)
TOKENS = noise.ResetTokens(RESPONDER.private.data)
POLICY = {name: 1000 + number for number, name in enumerate(wire.POLICY.names)}
VERSION, CLOCK_MS, CLOCK_US, NONCE = 0x0102030405060708, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738



def token(index: int) -> bytes:
    return TOKENS.of(index, PERIOD)


PACKED = wire.pack_spares(SPARES, token)

# Every control message but the rekeys', each field another number.
CONTROL: list[tuple[str, int, dict[str, Any]]] = [
    ("HEARTBEAT", 0, {"clock_us": CLOCK_US, "binding_version": VERSION}),
    ("HEARTBEAT_ACK", 0, {"echo_us": CLOCK_US, "clock_us": CLOCK_US + 1, "binding_version": VERSION}),
    ("QUALITY_REPORT", 0, {"binding_version": VERSION, "loss_ppm": 123_456}),
    ("IDLE", 0, {"binding_version": VERSION, "interval_ms": 25_000}),
    ("TRANSPORT_DEAD", 0, {"binding_version": VERSION}),
    ("PATH_PROBE", 0, {"nonce": NONCE, "clock_us": CLOCK_US, "receiver": INITIATOR_INDEX, "lanes": LANES}),
    ("PATH_CHALLENGE", 0, {"nonce": NONCE, "echo_us": CLOCK_US, "token": TOKEN}),
    ("PATH_RESPONSE", 0, {"nonce": NONCE, "token": TOKEN, "receiver": INITIATOR_INDEX}),
    ("REATTACH_REQUEST", 0, {"session_id": SESSION_ID, "nonce": NONCE, "clock_ms": CLOCK_MS, "binding_version": VERSION,
                             "receiver": INITIATOR_INDEX, "lanes": LANES, "retire_active": 1, "cause": 4}),
    ("REATTACH_CHALLENGE", 0, {"nonce": NONCE, "token": TOKEN}),
    ("REATTACH_RESPONSE", 0, {"nonce": NONCE, "token": TOKEN}),
    ("REATTACH_ACK", 0, {"nonce": NONCE, "binding_version": VERSION, "clock_ms": CLOCK_MS, "sender": RESPONDER_INDEX,
                         "spares": PACKED}),
    ("REATTACH_REJECT", 0, {"nonce": NONCE, "reason": 71, "detail": 49, "retry_after_ms": 2_500,
                            "binding_version": VERSION, "clock_ms": CLOCK_MS, "spares": PACKED}),
    ("NEW_INDICES", 0, {"spares": PACKED}),
    ("POLICY_HINT", 0, {"binding_version": VERSION, "hint": 3}),
    ("TERMINATE", wire.CRITICAL_MESSAGE, {"reason": 15, "detail": 5}),
    ("MTU_PROBE", 0, {"nonce": NONCE, "receiver": INITIATOR_INDEX, "path_mtu": 1400}),
    ("MTU_ACK", 0, {"nonce": NONCE}),
]


def record(**values: Any) -> str:
    return "".join(f"{name} = {value.hex() if isinstance(value, bytes) else value}\n"
                   for name, value in values.items()) + "\n"


def handshake(suite: int) -> tuple[str, tuple[bytes, bytes, bytes]]:
    """Its records, and what Split() gives."""
    head = wire.INITIATION_HEAD.pack(type=wire.INITIATION, sender=INITIATOR_INDEX, suite=suite)
    ours = noise.Handshake(suite, b"JVP/1" + head, INITIATOR, PSK, RESPONDER.public.data, EPHEMERALS[0])
    theirs = noise.Handshake(suite, b"JVP/1" + head, RESPONDER, PSK, ephemeral=EPHEMERALS[1])
    to_responder, to_initiator = noise.MacKeys(RESPONDER.public.data), noise.MacKeys(INITIATOR.public.data)
    first = head + ours.write(wire.INITIATION_PAYLOAD.pack(version=1, suite=suite, lanes=LANES, timestamp=TIMESTAMP,
                                                           freshness=FRESHNESS))
    theirs.read(first[wire.INITIATION_HEAD.size:])
    cookie, nonce = bytes(range(0x60, 0x70)), bytes(range(0x40, 0x58))
    initiation = to_responder.add_macs(first)
    reply = noise.seal_reply(wire.COOKIE_REPLY, to_responder.cookie, nonce, cookie, initiation)
    retry = noise.seal_reply(wire.RETRY, noise.retry_key(theirs.chaining_key), nonce, FRESHNESS, initiation)
    addresses = bytes([4, 32, 0, 0, 10, 77, 0, 2]) + bytes(72)
    indices = b"".join(index.to_bytes(4, "little") for index in SPARES.values())
    payload = wire.RESPONSE_PAYLOAD.pack(
        version=1, suite=suite, lanes=LANES, mtu=1420, session_id=SESSION_ID, binding_version=VERSION,
        clock_ms=CLOCK_MS, addresses=addresses, policy=wire.POLICY.pack(**POLICY), spare_indices=indices,
        reset_token=token(RESPONDER_INDEX), spare_tokens=b"".join(map(token, SPARES.values())))
    clear = wire.RESPONSE_HEAD.pack(type=wire.RESPONSE, sender=RESPONDER_INDEX, receiver=INITIATOR_INDEX)
    theirs.mix_hash(clear)
    response = to_initiator.add_macs(clear + theirs.write(payload))
    there, back, chain = theirs.split()
    text = record(
        message="handshake", initiator_static=INITIATOR.private.data, responder_static=RESPONDER.private.data, psk=PSK,
        initiator_ephemeral=EPHEMERALS[0], responder_ephemeral=EPHEMERALS[1], initiator_index=INITIATOR_INDEX,
        responder_index=RESPONDER_INDEX, lanes=LANES, timestamp=TIMESTAMP, freshness=FRESHNESS, initiation=initiation,
        cookie=cookie, reply_nonce=nonce, cookie_reply=reply,
        initiation_with_cookie=to_responder.add_macs(first, cookie), retry=retry, response_payload=payload,
        response=response, initiator_to_responder=there, responder_to_initiator=back, chain=chain,
        reset=TOKENS.message(RESPONDER_INDEX, PERIOD))
    return text, (there, back, chain)


def inquiry(suite: int) -> str:
    """Both messages, under the keys of the handshake."""
    head = wire.INITIATION_HEAD.pack(type=wire.INQUIRY, sender=INITIATOR_INDEX, suite=suite)
    ours = noise.Handshake(suite, b"JVP/1" + head, INITIATOR, PSK, RESPONDER.public.data, EPHEMERALS[0])
    first = head + ours.write(wire.INITIATION_PAYLOAD.pack(version=1, suite=suite, lanes=LANES))
    message = noise.MacKeys(RESPONDER.public.data).add_macs(first)
    value = wire.READINESS_VALUE.pack(availability=wire.DRAINING, ask_again_s=77, cookie=TOKEN, freshness=FRESHNESS)
    key, nonce = noise.readiness_key(ours.chaining_key, PSK), bytes(range(0x20, 0x38))
    return record(message="inquiry", inquiry=message, nonce=nonce, value=value,
                  readiness=noise.seal_reply(wire.READINESS, key, nonce, value, message))


def rekey(suite: int, chain: bytes) -> str:
    head = wire.control("REKEY_INITIATION", wire.CRITICAL_MESSAGE, sender=REKEY_INDICES[0])[:12]
    prologue, psk = noise.rekey_prologue(SESSION_ID, 1, head), noise.rekey_psk(chain, PSK)
    ours = noise.Handshake(suite, prologue, INITIATOR, psk, RESPONDER.public.data, REKEY_EPHEMERALS[0])
    theirs = noise.Handshake(suite, prologue, RESPONDER, psk, ephemeral=REKEY_EPHEMERALS[1])
    first = ours.write(wire.REKEY_INITIATION_PAYLOAD.pack(version=1, suite=suite, lanes=LANES, number=1))
    theirs.read(first)
    clear = wire.control("REKEY_RESPONSE", wire.CRITICAL_MESSAGE, sender=REKEY_INDICES[1],
                         receiver=REKEY_INDICES[0])[:16]
    theirs.mix_hash(clear)
    second = theirs.write(wire.REKEY_RESPONSE_PAYLOAD.pack(version=1, suite=suite, lanes=LANES, clock_ms=CLOCK_MS,
                                                           reset_token=token(REKEY_INDICES[1]), spares=PACKED))
    there, back, next_chain = theirs.split()
    return record(message="rekey", session_id=SESSION_ID, generation=1, chain=chain, number=1,
                  initiator_ephemeral=REKEY_EPHEMERALS[0], responder_ephemeral=REKEY_EPHEMERALS[1],
                  initiator_index=REKEY_INDICES[0], responder_index=REKEY_INDICES[1], clock_ms=CLOCK_MS,
                  reset_token=token(REKEY_INDICES[1]), spares=PACKED, initiation=head + first, response=clear + second,
                  initiator_to_responder=there, responder_to_initiator=back, next_chain=next_chain)


def sealed(suite: int, key: bytes) -> str:
    """Under the key from initiator to responder: data, then the control messages in a row."""
    keys = noise.DirectionKeys(suite, key)
    packet = inner.echo("10.77.0.2", "10.99.0.2", 1)
    counter = 3 << 48 | 5
    head = wire.HEADER.pack(type=wire.DATA, receiver=RESPONDER_INDEX,
                            counter=keys.masked(wire.DATA, RESPONDER_INDEX, counter))
    text = record(message="DATA", counter=counter, plaintext=packet, datagram=keys.traffic.seal(head, packet))
    for number, (name, flags, values) in enumerate(CONTROL):
        plaintext = wire.control(name, flags, **values)
        head = wire.HEADER.pack(type=wire.CONTROL, receiver=RESPONDER_INDEX,
                                counter=keys.masked(wire.CONTROL, RESPONDER_INDEX, number))
        text += record(message=name, flags=flags, **values, plaintext=plaintext, counter=number,
                       datagram=keys.control.seal(head, plaintext))
    return text


def all_of_them() -> str:
    text = HEAD
    for suite in (noise.AES_128_GCM, noise.AES_256_GCM, noise.CHACHA20_POLY1305):
        messages, (there, _, chain) = handshake(suite)
        text += f"\n[suite = {suite}]\n\n{messages}{inquiry(suite)}{rekey(suite, chain)}{sealed(suite, there)}"
    return text


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        if FILE.read_text() != all_of_them():
            sys.exit(f"{FILE} is not what {Path(__file__).name} writes: run it, and look at what has changed")
    elif not sys.argv[1:]:
        FILE.write_text(all_of_them())
    else:
        sys.exit(__doc__)


main()
