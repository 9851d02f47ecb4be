#!/usr/bin/env python3
"""The Wireshark dissector on whole messages of tests/vectors/messages.txt: tshark names each field and finds it where
docs/PROTOCOL.md has it, and flags what is malformed.

Prints TAP; skips (77) without tshark. Usage: dissector_test.py SOURCE_ROOT
"""
import json
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import tap_runner

ROOT = Path(sys.argv[1])
SCRIPT = ROOT / "tools/wireshark/jvp1.lua"
PORT = 51900


def vectors():
    """Name -> bytes, of the first suite's first message of each name; its data and control are `DATA`, `HEARTBEAT`, …"""
    found, message = {}, ""
    for line in (ROOT / "tests/vectors/messages.txt").read_text().split("[suite = 2]")[0].splitlines():
        name, _, value = line.partition(" = ")
        if name == "message":
            message = value
        elif name == "datagram":
            found.setdefault(message, bytes.fromhex(value))
        elif message in ("handshake", "inquiry") and re.fullmatch(r"(?:[0-9a-f]{2})+", value):
            found.setdefault(name, bytes.fromhex(value))
    return found


VECTORS = vectors()


def capture(payloads):
    """A pcap of UDP datagrams over IPv4."""
    text = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)  # LINKTYPE_RAW
    for payload in payloads:
        udp = struct.pack(">HHHH", 40000, PORT, 8 + len(payload), 0) + payload
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1]))
        text += struct.pack("<IIII", 0, 0, len(ip + udp), len(ip + udp)) + ip + udp
    return text


def dissect(*payloads):
    """For each: {field: (value, offset in the message, size)}, and what is shown in a line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.pcap"
        path.write_bytes(capture(payloads))
        command = ["tshark", "-X", f"lua_script:{SCRIPT}", "-r", str(path)]
        done = subprocess.run([*command, "-T", "jsonraw", "-J", "jvp1"], capture_output=True, text=True, timeout=60)
        lines = subprocess.run([*command, "-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info", "-e",
                                "_ws.expert.message"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "Lua" not in done.stderr + lines.stderr, done.stderr + lines.stderr
    # [hex, position, length, bitmask, type]; UDP's payload begins at 28.
    fields = [{name.removesuffix("_raw").removeprefix("jvp1."): (bytes.fromhex(raw[0]), raw[1] - 28, raw[2])
               for name, raw in packet["_source"]["layers"].get("jvp1", {}).items() if name.startswith("jvp1.")}
              for packet in json.loads(done.stdout)]
    return list(zip(fields, lines.stdout.splitlines()))


# Message -> type, name, and where each field is. Sizes and offsets are those of docs/PROTOCOL.md.
INITIATION = {"sender": (4, 4), "suite": (8, 1), "reserved_suite": (9, 7), "ephemeral": (16, 32), "static": (48, 48),
              "payload": (96, 272), "mac1": (368, 16), "mac2": (384, 16)}
COOKIE = {"receiver": (4, 4), "nonce": (8, 24), "sealed": (32, 16), "tag": (48, 16)}
PLACES = {
    "initiation": (1, "Initiation", INITIATION),
    "response": (2, "Response", {"sender": (4, 4), "receiver": (8, 4), "ephemeral": (12, 32), "payload": (44, -32), "mac1": (-32, 16),
                                 "mac2": (-16, 16)}),
    "cookie_reply": (3, "Cookie reply", COOKIE),
    "DATA": (4, "Data", {"receiver": (4, 4), "counter": (8, 8), "ciphertext": (16, -16), "tag": (-16, 16)}),
    "HEARTBEAT": (5, "Control", {"receiver": (4, 4), "counter": (8, 8), "ciphertext": (16, -16), "tag": (-16, 16)}),
    "retry": (6, "Retry", COOKIE),
    "reset": (7, "Reset", {"receiver": (4, 4), "token": (8, 16), "token_earlier": (24, 16)}),
    "inquiry": (8, "Inquiry", INITIATION),
    "readiness": (9, "Readiness", {"receiver": (4, 4), "nonce": (8, 24), "sealed": (32, 40), "tag": (72, 16)}),
}


class Dissector(unittest.TestCase):
    def test_each_field_is_where_the_document_has_it(self):
        for (name, (kind, shown, places)), (fields, line) in zip(PLACES.items(), dissect(*(VECTORS[each] for each in PLACES))):
            message = VECTORS[name]
            assert line.startswith(f"JVP/1\t{shown},") and line.endswith("\t"), (name, line)
            assert fields["type"] == (bytes([kind]), 0, 1), (name, fields["type"])
            for field, (offset, size) in places.items():
                begin = offset if offset >= 0 else len(message) + offset
                end = begin + size if size > 0 else len(message) + size
                assert fields[field] == (message[begin:end], begin, end - begin), (name, field, fields.get(field))
            assert set(fields) == set(places) | {"type", "reserved"} | ({"has_cookie"} if "mac2" in places else set()), (name, set(fields))

    def test_numbers_are_little_endian(self):
        (_, line), (_, answer) = dissect(VECTORS["initiation"], VECTORS["response"])
        assert "sender 0x11223344, AES-128-GCM" in line, line
        assert "sender 0x55667788, receiver 0x11223344" in answer, answer

    def test_a_cookie_is_told(self):
        with_cookie = VECTORS["initiation_with_cookie"]
        with tempfile.NamedTemporaryFile(suffix=".pcap") as file:
            file.write(capture([VECTORS["initiation"], with_cookie]))
            file.flush()
            told = subprocess.run(["tshark", "-X", f"lua_script:{SCRIPT}", "-r", file.name, "-T", "fields", "-e", "jvp1.has_cookie"],
                                  capture_output=True, text=True, timeout=60).stdout.split()
        assert told in (["0", "1"], ["False", "True"]), told

    def test_what_is_malformed_is_flagged(self):
        initiation, data = VECTORS["initiation"], VECTORS["DATA"]
        cases = {
            "no type of JVP/1": [b"\x00" + data[1:], b"\x0a" + data[1:], b"\xff"],
            "reserved bytes aren't zero": [data[:1] + b"\x01" + data[2:], data[:3] + b"\x80" + data[4:],
                                           initiation[:15] + b"\x01" + initiation[16:]],
            "no such suite": [initiation[:8] + b"\x04" + initiation[9:], initiation[:8] + b"\x00" + initiation[9:]],
            "sender index is zero": [initiation[:4] + bytes(4) + initiation[8:]],
            "shorter than every header": [data[:3]],
            "at least 52 expected": [data[:51], data[:4]],
            "at least 40 expected": [VECTORS["HEARTBEAT"][:39]],
            "at least 400 expected": [initiation[:399], b"\x08" + initiation[1:16]],
            "at most 400 expected": [initiation + b"\0", VECTORS["response"] + bytes(400)],
            "at least 372 expected": [VECTORS["response"][:371]],
            "at most 64 expected": [VECTORS["cookie_reply"] + b"\0", VECTORS["retry"] + b"\0"],
            "at most 40 expected": [VECTORS["reset"] + b"\0"],
            "at least 88 expected": [VECTORS["readiness"][:-1]],
        }
        wanted = [(what, payload) for what, payloads in cases.items() for payload in payloads]
        for (what, payload), (_, line) in zip(wanted, dissect(*(payload for _, payload in wanted))):
            assert what in line.split("\t")[2], (what, payload[:8].hex(), line)

    def test_all_control_messages_of_the_vectors_are_sound(self):
        names = [name for name, message in VECTORS.items() if name.isupper()]
        assert len(names) > 10
        for name, (_, line) in zip(names, dissect(*(VECTORS[name] for name in names))):
            assert line.endswith("\t"), (name, line)


if shutil.which("tshark") is None:
    print("1..0 # SKIP tshark isn't there")
    sys.exit(77)
tap_runner.main()
