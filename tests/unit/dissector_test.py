#!/usr/bin/env python3
"""The Wireshark dissector on whole messages of tests/vectors/messages.txt: tshark names each field and finds it where
docs/PROTOCOL.md has it, and flags what is malformed; with a key log it decrypts data and control messages.

Prints TAP; skips (77) without tshark. Usage: dissector_test.py SOURCE_ROOT
"""
import hashlib
import hmac
import itertools
import json
import random
import re
import shutil
import struct
import sys
import unittest
from pathlib import Path

import tap_runner

try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
except ImportError:
    AESGCM = ChaCha20Poly1305 = None

ROOT = Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "lab"))

from jvpn_lab.dissector import tshark  # noqa: E402

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


def capture(payloads, snaplen=65535):
    """A pcap of UDP datagrams over IPv4, of which the first `snaplen` bytes were captured."""
    text = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, 101)  # LINKTYPE_RAW
    for payload in payloads:
        udp = struct.pack(">HHHH", 40000, PORT, 8 + len(payload), 0) + payload
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes([192, 0, 2, 2]), bytes([192, 0, 2, 1]))
        frame = ip + udp
        text += struct.pack("<IIII", 0, 0, len(frame[:snaplen]), len(frame)) + frame[:snaplen]
    return text


def dissect(*payloads):
    """For each: {field: (value, offset in the message, size)}, and what is shown in a line."""
    sent = capture(payloads)
    done = tshark(sent, "-T", "jsonraw", "-J", "jvp1")
    lines = tshark(sent, "-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info", "-e", "_ws.expert.message")
    assert done.returncode == 0 and "Lua" not in done.stderr + lines.stderr, done.stderr + lines.stderr
    # [hex, position, length, bitmask, type]; UDP's payload begins at 28.
    fields = [{name.removesuffix("_raw").removeprefix("jvp1."): (bytes.fromhex(raw[0]), raw[1] - 28, raw[2])
               for name, raw in packet["_source"]["layers"].get("jvp1", {}).items() if name.startswith("jvp1.")}
              for packet in json.loads(done.stdout)]
    return list(zip(fields, lines.stdout.splitlines()))


class Suite:
    """The messages of a suite that are sealed under the initiator's key: {name: {field: value}}; and the key log's line."""

    NAMES = {1: "aes-128-gcm", 2: "aes-256-gcm", 3: "chacha20-poly1305"}
    INDEX = "55667788"

    def __init__(self, number):
        text = (ROOT / "tests/vectors/messages.txt").read_text().split(f"[suite = {number}]")[1].split("[suite")[0]
        records = [dict(line.split(" = ", 1) for line in record.splitlines()) for record in text.strip().split("\n\n")]
        self.messages = {record["message"]: record for record in records if "datagram" in record}
        self.name, self.key_bytes = self.NAMES[number], 16 if number == 1 else 32
        self._key = bytes.fromhex(records[0]["initiator_to_responder"])
        self.data = self._words("traffic", "DATA")
        self.control = self._words("control", "HEARTBEAT")
        self.line = f"jvp1 {self.INDEX} {self.name} {self.data} {self.control}\n"

    def _expand(self, label):
        return hmac.new(self._key, f"JVP/1 {label}".encode() + b"\x01", hashlib.blake2s).digest()

    def _words(self, label, message):
        """Key, IV and mask, which is what the counter of a message differs by on the wire."""
        record = self.messages[message]
        mask = int.from_bytes(bytes.fromhex(record["datagram"])[8:16], "little") ^ int(record["counter"])
        return f"{self._expand(label)[:self.key_bytes].hex()} {self._expand(label + ' iv')[:12].hex()} {mask:016x}"

    def datagrams(self):
        return [bytes.fromhex(record["datagram"]) for record in self.messages.values()]


def shown(payloads, fields, keylog=None, snaplen=65535):
    """For each payload: {field: what tshark prints}. Without a key log no preference is set."""
    done = tshark(capture(payloads, snaplen), "-T", "fields", *itertools.chain.from_iterable(("-e", field) for field in fields),
                  keys=keylog)
    assert done.returncode == 0 and "Lua" not in done.stderr + done.stdout, done.stderr + done.stdout
    return [dict(zip(fields, line.split("\t"))) for line in done.stdout.splitlines()]


EXPERT, INFO = "_ws.expert.message", "_ws.col.Info"
WRONG_TAG = "The tag is wrong under every key that the key log has of this index"

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
        told = tshark(capture([VECTORS["initiation"], with_cookie]), "-T", "fields", "-e", "jvp1.has_cookie").stdout.split()
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

    def test_what_was_cut_by_the_capture_is_not_malformed(self):
        sent = [VECTORS[name] for name in ("initiation", "response", "cookie_reply", "DATA", "HEARTBEAT", "reset", "inquiry", "readiness")]
        for kept in (28 + 1, 28 + 6, 28 + 16, 28 + 39):
            for payload, line in zip(sent, shown(sent, [INFO, EXPERT], SUITES[0].line, snaplen=kept)):
                assert line[EXPERT] == "", (kept, payload[0], line)
                assert f", {len(payload)} bytes" in line[INFO] and f", {kept - 28} captured" in line[INFO], (kept, line)
        # What is wrong still is.
        (line,) = shown([VECTORS["DATA"] + bytes(9000)], [EXPERT], snaplen=60)
        assert line[EXPERT] == "", line
        (line,) = shown([VECTORS["reset"] + bytes(9)], [EXPERT], snaplen=60)
        assert "at most 40 expected" in line[EXPERT], line

    def test_data_is_decrypted_and_the_packet_inside_is_shown(self):
        fields = ["jvp1.decrypted", "jvp1.lane", "jvp1.sequence", "ip.src", "ip.dst", "icmp.type", "icmp.checksum.status", EXPERT]
        for suite in SUITES:
            data = bytes.fromhex(suite.messages["DATA"]["datagram"])
            (line,) = shown([data], fields, suite.line)
            assert line.pop("jvp1.decrypted") in ("1", "True"), (suite.name, line)
            assert line == {"jvp1.lane": "3", "jvp1.sequence": "5", "ip.src": "192.0.2.2,10.77.0.2", "ip.dst": "192.0.2.1,10.99.0.2",
                            "icmp.type": "8", "icmp.checksum.status": "1", EXPERT: ""}, (suite.name, line)

    def test_control_messages_are_named_with_their_fields(self):
        told = ["flags", "message", "plaintext", "counter", "datagram", "spares"]
        for suite in SUITES:
            names = sorted({name for record in suite.messages.values() for name in record} - set(told))
            fields = {name: f"jvp1.control.{name}" for name in names}
            lines = shown(suite.datagrams(), ["jvp1.decrypted", "jvp1.binding", "jvp1.sequence", "jvp1.control.type", "jvp1.control.critical",
                                              "jvp1.control.spare.index", INFO, EXPERT, *fields.values()], suite.line)
            for (name, record), line in itertools.islice(zip(suite.messages.items(), lines), 1, None):
                plaintext = bytes.fromhex(record["plaintext"])
                assert line[INFO].endswith(f", {name}") and line[EXPERT] == "", (suite.name, line)
                assert int(line["jvp1.control.type"]) == plaintext[1] and line["jvp1.binding"] == "0", (name, line)
                assert line["jvp1.sequence"] == record["counter"], (name, line)
                assert (line["jvp1.control.critical"] in ("1", "True")) == (record["flags"] == "1"), (name, line)
                for field, shown_as in fields.items():
                    value, got = record.get(field, ""), line[shown_as]
                    same = got == value or (got.startswith("0x") and int(got, 16) == int(value))
                    assert same, (suite.name, name, field, got, value)
                spares = "0xa1a2a3a4,0xb1b2b3b4,0xc1c2c3c4,0xd1d2d3d4" if "spares" in record else ""
                assert line["jvp1.control.spare.index"] == spares, (name, line)

    @unittest.skipIf(AESGCM is None, "without the package cryptography")
    def test_packets_of_all_lengths_are_decrypted(self):
        draw = random.Random(1)
        lengths = [20, 21, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 1279, 1400, 1472, 8972]
        for name, seal, size in (("aes-128-gcm", AESGCM, 16), ("aes-256-gcm", AESGCM, 32), ("chacha20-poly1305", ChaCha20Poly1305, 32)):
            payloads, keylog, inside = [], "", []
            for index, length in enumerate(lengths):
                key, iv, counter = draw.randbytes(size), draw.randbytes(12), draw.randbytes(8)
                keylog += f"jvp1 {index:08x} {name} {key.hex()} {iv.hex()} {'0' * 16} - - -\n"
                head = bytes([4, 0, 0, 0]) + index.to_bytes(4, "little") + counter
                packet = struct.pack(">BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 253, 0, bytes(4), bytes(4)) + draw.randbytes(length - 20)
                inside.append(packet[20:].hex())
                nonce = bytes(a ^ b for a, b in zip(head[4:], iv))
                payloads.append(head + seal(key).encrypt(nonce, packet, None))
            for length, data, line in zip(lengths, inside, shown(payloads, ["data.data", EXPERT], keylog)):
                assert line == {"data.data": data, EXPERT: ""}, (name, length, line)

    def test_a_wrong_key_is_a_warning(self):
        for suite in SUITES:
            wrong = "f" * 8 + suite.data[8:] if not suite.data.startswith("f" * 8) else "0" * 8 + suite.data[8:]
            data = bytes.fromhex(suite.messages["DATA"]["datagram"])
            changed = [data[:-1] + bytes([data[-1] ^ 1]), data[:20] + bytes([data[20] ^ 0x80]) + data[21:]]
            cases = [(f"jvp1 {suite.INDEX} {suite.name} {wrong} {suite.control}\n", [data]), (suite.line, changed)]
            for keylog, payloads in cases:
                for line in shown(payloads, ["jvp1.decrypted", "icmp.type", EXPERT], keylog):
                    assert line == {"jvp1.decrypted": "", "icmp.type": "", EXPERT: WRONG_TAG}, (suite.name, line)

    def test_an_index_that_came_again_has_all_its_keys(self):
        both = SUITES[0].line + SUITES[2].line + SUITES[0].line
        for line in shown([bytes.fromhex(suite.messages["DATA"]["datagram"]) for suite in (SUITES[2], SUITES[0])], ["icmp.type", EXPERT], both):
            assert line == {"icmp.type": "8", EXPERT: ""}, line

    def test_the_log_of_a_sending_end_has_no_control_key(self):
        suite = SUITES[1]
        data, *control = shown(suite.datagrams(), ["jvp1.decrypted", EXPERT], f"jvp1 {suite.INDEX} {suite.name} {suite.data} - - -\n")
        assert data["jvp1.decrypted"] in ("1", "True"), data
        for line in control:
            assert line == {"jvp1.decrypted": "", EXPERT: ""}, line

    def test_what_keeps_it_from_decrypting_is_told(self):
        suite = SUITES[0]
        for scripts, keys, why in ((("jvp1.lua", "jvp1_ciphers.lua"), Path("/nowhere"),
                                    "jvp1: can't read the key log: /nowhere: No such file or directory"),
                                   (("jvp1.lua",), suite.line, "jvp1: jvp1_ciphers.lua has to stand beside jvp1.lua")):
            if len(scripts) == 1 and Path("/usr/share/jvpn/wireshark/jvp1_ciphers.lua").exists():
                continue
            done = tshark(capture(suite.datagrams()), keys=keys, scripts=scripts)
            assert done.returncode == 0 and done.stderr.count(why) == 1, done.stderr
            assert len(done.stdout.splitlines()) == len(suite.messages), done.stdout

    def test_without_a_key_nothing_is_said(self):
        suite = SUITES[0]
        plain = shown(suite.datagrams(), [INFO, EXPERT, "jvp1.decrypted"])
        other = suite.line.replace(suite.INDEX, "00000001")
        broken = ["", other, suite.line[:-1], suite.line.replace("aes-128", "aes-129"), suite.line.replace(" ", "  "), "\0\n" + other,
                  f"jvp1 {suite.INDEX} {suite.name} {suite.data[4:]} - - -\n"]
        for keylog in broken:
            assert shown(suite.datagrams(), [INFO, EXPERT, "jvp1.decrypted"], keylog) == plain, keylog
        assert all(line[EXPERT] == "" and line["jvp1.decrypted"] == "" for line in plain), plain


SUITES = [Suite(number) for number in Suite.NAMES]

if shutil.which("tshark") is None:
    print("1..0 # SKIP tshark isn't there")
    sys.exit(77)
tap_runner.main()
