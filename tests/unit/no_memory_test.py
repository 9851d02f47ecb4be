#!/usr/bin/env python3
"""At every limit of memory at which a program begins at all, it does its work or ends by name: no signal, no uncaught
exception, no half of an answer called whole. Usage: no_memory_test.py JVPN JVPND.

What a program needs to begin, and to do its work, is found first; the limits tried lie between.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

STEPS = 40
NEWS = "out of memory, so it ends at once"
MIB = 1 << 20
PEERS = 5_000


def run(command: list[str], limit: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))


def least(command: list[str], most: int) -> int:
    """The least limit with which it exits 0, within 1/1024 of it."""
    low, high = 0, most
    while high - low > max(high >> 10, 4096):
        middle = (low + high) // 2
        low, high = (low, middle) if run(command, middle).returncode == 0 else (middle, high)
    return high


def large_profile(folder: Path, jvpn: str) -> Path:
    """A gateway with so many peers that reading it takes many times what beginning takes."""
    os.umask(0o077)
    with (folder / "gw.key").open("w") as key:
        subprocess.run([jvpn, "genkey"], check=True, stdout=key)
    lines = ["role: gateway", "node: gw1", "cores: {control: 0, workers: [1]}", "policy: {version: 1}", "ports:",
             "  - {name: wan0, vdev: net_null0, role: outside, addresses: [192.0.2.1/24]}",
             "  - {name: lan, vdev: net_null1, role: inside, addresses: [10.99.0.1/24]}",
             "crypto: {private_key_file: gw.key}", f"limits: {{sessions: {PEERS}}}", "peers:"]
    lines += [f"  - {{name: p{n}, public_key: {b64encode(sha256(bytes([n >> 8, n & 255])).digest()).decode()}, "
              f"allowed_ips: [10.{100 + (n >> 16)}.{n >> 8 & 255}.{n & 255}/32]}}" for n in range(PEERS)]
    profile = folder / "gateway.yaml"
    profile.write_text("\n".join(lines) + "\n")
    return profile


def event_log(folder: Path) -> Path:
    log = folder / "events.jsonl"
    with log.open("w") as file:
        for n in range(PEERS):
            json.dump({"ts_ms": n, "seq": n + 1, "event": "SECURITY_EVENT", "session_id": "0" * 32, "node_id": "gw",
                       "policy_version": 1, "reason": "HANDSHAKE_FAIL", "detail": "unknown_key", "boot_ms": n}, file)
            file.write("\n")
    return log


def main() -> int:
    jvpn, jvpnd = sys.argv[1:]
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        profile, log = large_profile(folder, jvpn), event_log(folder)
        for program, work in ((jvpn, ["audit", "--partial", str(log)]), (jvpn, ["check", str(profile)]),
                              (jvpnd, ["--check", str(profile)])):
            begins = least([program, "--help"], 4096 * MIB)
            whole = run([program, *work], 4096 * MIB)
            if whole.returncode != 0:
                failed += 1
                print(f"{Path(program).name} {work[0]}: exit {whole.returncode}: {whole.stderr[-300:]}")
            ended_by_name = 0
            last = begins
            for step in range(STEPS):
                limit = begins + step * max(begins // 16, MIB)
                got = run([program, *work], limit)
                short = NEWS in got.stderr
                ended_by_name += short
                sound = got.returncode == 1 if short else (
                    (got.returncode, got.stdout, got.stderr) == (whole.returncode, whole.stdout, whole.stderr))
                if not sound:
                    failed += 1
                    print(f"{Path(program).name} {work[0]} with {limit // 1024} KiB: exit {got.returncode}, not "
                          f"{whole.returncode} or an end by name\n  {got.stderr[-300:]}")
                last = limit
                if not short:
                    break
            print(f"{Path(program).name} {work[0]:10} begins with {begins // MIB} MiB, whole with {last // MIB}, "
                  f"ended by name {ended_by_name} times")
            if ended_by_name == 0:
                failed += 1
                print("  no limit was short, so nothing was seen")
    return 1 if failed else 0


sys.exit(main())
