#!/usr/bin/env python3
"""The inside port of the gateway that has the session loses its link, while control, etcd and clients are reached: it gives
its sessions up by itself, the other goes on with them at once, and it begins again when the link is back.

  jvpn-client ══ transfer → ══ jvpn-gw ╳ lan / jvpn-gw2 ── jvpn-lan    etcd ×3  (jvpn_lab/topology.py: cluster=True)
"""
import time

from clusters import BEYOND_S, DEAD_S, ROUNDS, begin, other, report, rounds, session_id
from e2e import CLIENT, ip, processes, require_within, scenario, start_transfer, transfer_goes_on

REACHED = "the cluster's store is reached"
WHY = "the data path is dead"
WATCHED_S = 1.0  # DataPathWatch::kPatience

with scenario(120 + ROUNDS * 40) as s:
    begin(s)
    start_transfer(16 * ROUNDS + 16, 15 * ROUNDS)
    session = session_id()
    blocked = []
    for dead in rounds("the inside port of {} loses its link"):
        reached, said = processes.logged(dead.name, REACHED), processes.logged(dead.name, WHY)
        since = time.monotonic()
        ip("netlan", f"link set {dead.host} down")
        s.expect("the other has the session", lambda: other(dead).attached() and CLIENT.attached(), within=15)
        blocked.append(time.monotonic() - since)  # TCP may wait on: its latest attempt met the dead path
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        s.expect(f"still session {session[:12]}…", session_id() == session)
        s.expect("the gateway says why", processes.logged(dead.name, WHY) > said)
        ip("netlan", f"link set {dead.host} up")
        require_within(15, lambda: processes.logged(dead.name, REACHED) > reached, "it owns nothing again")
    p99 = report("until attached again", blocked)
    # A gateway that gave up looks to its client like a dead path.
    s.expect("the session moved without waiting for a safe time", p99 <= WATCHED_S + DEAD_S + BEYOND_S)
    s.jump_end()
