#!/usr/bin/env python3
"""A network lets no UDP pass: the session goes on over TCP with TLS 1.3, and its flows with it; UDP is back, and policy
brings it back. A connection that dies, or goes silent, is replaced. A client that starts where UDP is blocked gets a session, too.

  jvpn-client wan0 ──╳ UDP ── [jvpn-net0: bridge] ──── wan0 jvpn-gw
     wan1, wan2 ─────╳ UDP            │
                                wan0 192.0.2.9:443 jvpn-fallback               (jvpn_lab/fallback.py)
"""
import time
from pathlib import Path

from e2e import (CLIENT, LINKS, SERVER4, Scenario, both_attached, bounded, fallback, faults, in_namespace, in_ns, info, pings,
                 processes, scenario, start_both, start_dialler, start_transfer, step, transfer_goes_on)

WITHIN_S = 3
POLICY = """version: 1, transport: {allowed_protocols: [udp, tcp]},
  switching: {failback: {when_stable_ms: 1000}, max_switches_per_min: 16}"""
SILENT = f"table inet jvpn_silent {{ chain in {{ type filter hook input priority 0; tcp dport {fallback.TCP_PORT} drop; }}\n}}"
INNER_MTU = 1440  # what UDP takes of an Ethernet, too


def block_udp() -> None:
    for link in LINKS:
        faults.block_udp(link)


def allow_udp() -> None:
    for link in LINKS:
        faults.heal(link)


def large_pings_pass() -> bool:
    words = f"ping -n -q -c 5 -i 0.05 -W 2 -M do -s {INNER_MTU - 28} {SERVER4}".split()
    return " 0% packet loss" in bounded(30, *in_namespace("client", *words)).stdout


def fallback_is_confined() -> bool:
    """No capability is left, system calls are filtered, and there is no way to more."""
    status = Path(f"/proc/{processes.pid_of(fallback.NAME)}/status").read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(fields["CapPrm"], 16) == 0 and fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1"


def falls_back(s: Scenario, within: float = WITHIN_S) -> None:
    """UDP is blocked; the session noted before goes on by TCP."""
    before = s.noted
    step("UDP is blocked on all links")
    block_udp()
    began = time.monotonic()
    s.expect(f"by TCP within {within} s", lambda: fallback.by_tcp() and before.jumped(), within)
    info(f"{time.monotonic() - began:.2f} s after UDP was blocked")
    s.expect("still the same session at both ends", before.same)
    s.expect("state_version rose at both ends", before.versions_rose)
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    s.note()


def returns(s: Scenario) -> None:
    """UDP is back, and carries the session again."""
    before = s.noted
    step("UDP is back")
    allow_udp()
    began = time.monotonic()
    s.expect("by UDP again, by policy", lambda: not fallback.by_tcp() and before.jumped(), 20)
    info(f"{time.monotonic() - began:.2f} s after UDP was back")
    s.expect("still the same session at both ends", before.same)
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    s.expect("the connection is closed then", lambda: fallback.connections() == 0, within=15)
    s.note()


with scenario(280) as s:
    step("Lab, gateway, jvpn-fallback, client")
    s.prepare(emulated=["wan0"], fallback=fallback.TRUSTED, policy=POLICY)
    fallback.add_host()
    fallback.start()
    start_both()
    s.note()
    s.expect("no connection while UDP carries the session", fallback.connections() == 0)
    s.expect("jvpn-fallback has given up what it doesn't need", fallback_is_confined)
    start_transfer(60, 60)

    falls_back(s)
    s.expect("packets of the largest size pass", large_pings_pass)
    s.expect("one connection alone", lambda: fallback.connections() == 1, within=5)
    returns(s)

    falls_back(s)
    step("The connection goes silent, and nobody is told")
    in_ns("fallback", "nft", "-f", "-", text=SILENT)
    s.expect("the client calls the path dead", lambda: CLIENT.session()["state"] == "RECOVERING", within=6)
    in_ns("fallback", "nft", "delete", "table", "inet", "jvpn_silent")
    s.expect("by another connection, the same session",
             lambda: fallback.by_tcp() and both_attached() and s.noted.jumped() and s.noted.same(), 12)
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    s.note()
    step("jvpn-fallback is killed, and comes back")
    fallback.stop()
    fallback.start()
    s.expect("by TCP again, the same session", lambda: fallback.by_tcp() and both_attached() and s.noted.same(), 10)
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    s.note()
    returns(s)
    s.jump_end()

    step("The client starts where UDP is blocked, and the server isn't the one that it knows")
    CLIENT.stop()
    block_udp()
    fallback.stop()
    fallback.make_certificate("other", "IP:192.0.2.77")
    fallback.start(certificate="other")
    CLIENT.start()
    s.expect("jvpn show says what is wrong with its certificate, and the mend", lambda: any(
        "IP address mismatch" in why and "gateway.fallback.server_name" in why for why in CLIENT.show()["troubles"]), 20)
    s.expect("no session", not CLIENT.attached())
    CLIENT.stop()
    fallback.stop()
    fallback.start()

    step("The client starts where UDP is blocked")
    began = time.monotonic()
    start_dialler()
    info(f"attached after {time.monotonic() - began:.2f} s")
    s.expect("by TCP", fallback.by_tcp)
    s.expect("traffic flows", pings("client", SERVER4))
    s.note()
    allow_udp()
    s.expect("by UDP, by policy", lambda: not fallback.by_tcp() and both_attached() and s.noted.same(), 20)
    s.expect("traffic flows", pings("client", SERVER4))
    s.expect_clean_audit()
