#!/usr/bin/env python3
"""`jvpn reload` of a profile with 1000 peers: 10 go, 10 come, 10 change. A numbered stream of another peer loses nothing,
who was removed is out at once and can't come back, who was added gets in.

  jvpn-client  laptop  ─┐
  jvpn-client2 leaver  ─┼─ wan0 ── jvpnd ── lan      (jvpn_lab/topology.py); all clients are in one namespace
  jvpn-client3 comer   ─┘
"""
import base64
import json
import os
import re
import sys

from e2e import (GATEWAY, LAB_DIR, SERVER4, Program, bounded, info, now_ms, processes, program, require_within, run,
                 scenario, spawn, start_dialler, start_gateway, step)

PEERS = 1000
BOUND_MS = 1000
LEAVER = Program("jvpn-client2", "client", "leaver.yaml")
COMER = Program("jvpn-client3", "client", "comer.yaml")

SEND = """
import socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect((sys.argv[1], 7009))
number, start = 0, time.monotonic()
while not __import__("os").path.exists(sys.argv[2]):
    out.send(number.to_bytes(8, "big") + bytes(200))
    number += 1
    time.sleep(max(0, start + number / 1000 - time.monotonic()))
print("sent", number, flush=True)
"""
RECEIVE = """
import socket
into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
into.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
into.bind(("", 7009))
print("ready", flush=True)
seen = set()
while True:
    seen.add(int.from_bytes(into.recv(2048)[:8], "big"))
    if len(seen) % 500 == 0 or len(seen) > max(seen):
        print("got", len(seen), "highest", max(seen), flush=True)
"""


def write_key(name: str) -> str:
    """A key pair in the lab's folder; returns the public key."""
    path = LAB_DIR / f"keys/{name}.key"
    path.touch(mode=0o600)
    path.write_text(run(program("jvpn"), "genkey"))
    return run(program("jvpn"), "pubkey", text=path.read_text()).strip()


def write_client(client: Program, name: str, interface: str) -> str:
    """The lab's client with another key, over wan0 alone and to nowhere inside; returns its public key."""
    public = write_key(name)
    text = (LAB_DIR / "client.yaml").read_text()
    for old, new in ((r"client\.key", f"{name}.key"), (r"name: jvpn0", f"name: {interface}"),
                     (r"  - \{name: wan[12].*\n", ""), (r"allowed_ips: .*", "allowed_ips: [10.98.0.0/24]"),
                     (r"socket: \S+\}", f"socket: {client.socket}}}")):
        text = re.sub(old, new, text)
    (LAB_DIR / client.profile).write_text(text)
    return public


def start_client(client: Program) -> None:
    spawn(client.name, client.host, program("jvpn-client"), LAB_DIR / client.profile)


def peer(name: str, public: str, number: int, more: str = "") -> str:
    return (f'  - {{name: {name}, public_key: "{public}", preshared_key_file: {LAB_DIR}/keys/shared.psk, '
            f'allowed_ips: [10.66.{number >> 8}.{number & 255}/32, "fd66::{number:x}/128"{more}]}}\n')


def some_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def write_peers(head: str, tail: str, laptop: str, peers: list[str]) -> None:
    (LAB_DIR / GATEWAY.profile).write_text(f"{head}peers:\n{laptop}{''.join(peers)}{tail}")


def last_count() -> list[int]:
    lines = [line.split() for line in processes.log_of("receiver").read_text().splitlines() if line.startswith("got")]
    return [int(lines[-1][1]), int(lines[-1][3])] if lines else [0, 0]


def told_after(pattern: str, since_ms: int) -> list[dict]:
    """The gateway's events of a pattern, from that time on."""
    lines = (line for line in GATEWAY.log.read_text(errors="replace").splitlines()
             if line.startswith("{") and re.search(pattern, line))
    return [event for event in map(json.loads, lines) if event["ts_ms"] >= since_ms]


def sessions() -> set[str]:
    return {session["peer"] for session in GATEWAY.show()["sessions"]}


with scenario(150) as s:
    step(f"Lab, gateway with {PEERS} peers, two clients")
    s.prepare()
    profile = (LAB_DIR / GATEWAY.profile).read_text()
    head, laptop, tail = re.split(r"peers:\n(  - .*\n)", profile.replace("sessions: 64", "sessions: 2048"))
    leaver = peer("leaver", write_client(LEAVER, "leaver", "jvpn1"), 1)
    comer = peer("comer", write_client(COMER, "comer", "jvpn2"), 2)
    others = {number: some_key() for number in range(3, PEERS + 10)}
    before = [leaver] + [peer(f"p{n}", others[n], n) for n in range(3, PEERS + 1)]
    write_peers(head, tail, laptop, before)
    start_gateway()
    start_dialler()
    start_client(LEAVER)
    require_within(20, lambda: sessions() == {"laptop", "leaver"}, "the second client did not attach")

    step("A reload under a numbered stream of 1000 packets a second")
    stop = s.work / "stop"
    spawn("receiver", "lan", sys.executable, "-u", "-c", RECEIVE)
    require_within(5, lambda: processes.logged("receiver", "ready"), "no receiver")
    spawn("sender", "client", sys.executable, "-u", "-c", SEND, SERVER4, str(stop))
    s.expect("the stream flows", lambda: last_count()[0] > 1000, within=10)
    noted = GATEWAY.show()
    # 10 gone with leaver and p3…p11, 10 come with comer and 9 more, 10 changed: 5 networks, 5 names.
    after = ([comer] + [peer(f"p{n}", others[n], n) for n in range(22, PEERS + 10)]
             + [peer(f"p{n}", others[n], n, f", 10.67.0.{n}/32") for n in range(12, 17)]
             + [peer(f"renamed{n}", others[n], n) for n in range(17, 22)])
    write_peers(head, tail, laptop, after)
    order_ms = now_ms()
    done = bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "--json", "reload")
    answer_ms = now_ms()
    info(f"answered after {answer_ms - order_ms} ms: {done.stdout.strip()}")
    s.expect("exit code 0", done.returncode == 0)
    reloaded = json.loads(done.stdout)["reloaded"]
    s.expect("10 added, 10 removed, 10 changed",
             reloaded["peers"] == {"added": 10, "changed": 10, "removed": 10})
    # Reading 1000 peers takes yaml-cpp some 100 ms on a slow core.
    s.expect(f"applied within {BOUND_MS} ms, once it was read", reloaded["applied_ms"] <= BOUND_MS)
    s.expect("read and applied within a second", answer_ms - order_ms <= 1000)
    s.expect("one session ended, by POLICY_TERMINATION, policy_hard_stop, before the answer",
             lambda: [(end["reason"], end["detail"], end["ts_ms"] <= answer_ms)
                      for end in told_after('"to":"TERMINATED"', order_ms)]
             == [("POLICY_TERMINATION", "policy_hard_stop", True)], within=2)

    step("Who may come in")
    refused = GATEWAY.show()["control"]["handshakes_refused"]
    s.expect("the removed peer is refused",
             lambda: GATEWAY.show()["control"]["handshakes_refused"] >= refused + 2, within=10)
    s.expect("and has no session", "leaver" not in sessions())
    LEAVER.stop()
    refused = GATEWAY.show()["control"]["handshakes_refused"]
    start_ms = now_ms()
    start_client(COMER)
    s.expect("the added one attaches", lambda: sessions() == {"laptop", "comer"}, within=5)
    require_within(2, lambda: told_after('"to":"ATTACHED"', start_ms), "no event of it")
    attached = told_after('"to":"ATTACHED"', start_ms)
    info(f"attached {attached[0]['ts_ms'] - start_ms} ms after its program was started")
    s.expect("at its first attempt", GATEWAY.show()["control"]["handshakes_refused"] == refused)
    s.expect(f"within {BOUND_MS} ms of its program's start", attached[0]["ts_ms"] - start_ms <= BOUND_MS)

    step("The other peer")
    stop.touch()
    require_within(5, lambda: processes.logged("sender", "^sent"), "the sender goes on")
    sent = int(processes.log_of("sender").read_text().split()[1])
    s.expect(f"all {sent} packets arrived", lambda: last_count() == [sent, sent - 1], within=5)
    info(f"received {last_count()[0]} of {sent}")
    kept = [session for session in noted["sessions"] if session["peer"] == "laptop"]
    now = [session for session in GATEWAY.show()["sessions"] if session["peer"] == "laptop"]
    s.expect("its session was not touched", [(x["session_id"], x["state_version"]) for x in kept] ==
             [(x["session_id"], x["state_version"]) for x in now])

    step("What a reload can't do, and what it refuses")
    good = (LAB_DIR / GATEWAY.profile).read_text()
    (LAB_DIR / GATEWAY.profile).write_text(good.replace("listen_port: 51900", "listen_port: 51901"))
    done = bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "reload")
    s.expect("a changed listen_port is named, exit code 4",
             done.returncode == 4 and "only a restart applies it: listen_port" in done.stdout)
    (LAB_DIR / GATEWAY.profile).write_text(re.sub(r"policy: \{version: 1", "policy: {version: 1, switching: "
                                                  "{drain_ms: 99}", good))
    done = bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "reload")
    s.expect("one version can't name two policies", done.returncode == 1 and "policy.version: expected more than 1"
             in done.stdout)
    s.expect("jvpn show says so", "was refused" in GATEWAY.jvpn("show"))
    (LAB_DIR / GATEWAY.profile).write_text(good)
    s.expect("until a good one", bounded(10, program("jvpn"), "--socket", GATEWAY.socket, "reload").returncode == 0
             and "was refused" not in GATEWAY.jvpn("show"))
