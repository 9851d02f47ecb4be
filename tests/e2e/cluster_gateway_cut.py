#!/usr/bin/env python3
"""The gateway that has the session loses etcd, while clients still reach it: it is silent within its safe time, the other
goes on with the session; when etcd is reached again, it learns that its run is over, and begins another. JVPN_ROUNDS=50
for the full show.

  jvpn-client ══ transfer → ══ jvpn-gw ╳ / jvpn-gw2 ── jvpn-lan    etcd ×3  (jvpn_lab/topology.py: cluster=True)
"""
import time

from clusters import BEYOND_S, DEAD_S, ROUNDS, SAFE_S, begin, other, report, rounds, session_id
from e2e import CLIENT, ip, processes, require_within, scenario, start_transfer, transfer_goes_on

REACHED = "the cluster's store is reached"
OVER = '"OWNERSHIP_CHANGE".*"SEC_OWNERSHIP_ANOMALY"'

with scenario(120 + ROUNDS * 40) as s:
    begin(s)
    start_transfer(16 * ROUNDS + 16, 15 * ROUNDS)
    session = session_id()
    blocked = []
    for alone in rounds("{} is cut from etcd"):
        reached, lost = processes.logged(alone.name, REACHED), alone.told(OVER)
        since = time.monotonic()
        ip(alone.host, "link set mgmt down")
        s.expect("the other has the session", lambda: other(alone).attached() and CLIENT.attached(), within=15)
        blocked.append(time.monotonic() - since)  # TCP may wait on: its latest attempt met the dead path
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        s.expect(f"still session {session[:12]}…", session_id() == session)
        store = alone.show()["ownership"]
        s.expect("jvpn show says that it is silent, and why", store["silent_ms"] > 0 and "etcd https" in store["why"])
        ip(alone.host, "link set mgmt up")
        s.expect("it says that it has lost the session", lambda: alone.told(OVER) > lost, within=10)
        require_within(15, lambda: processes.logged(alone.name, REACHED) > reached, "it does not reach etcd again")
        s.expect("jvpn show says that it is safe again", lambda: alone.show()["ownership"].get("safe_ms", 0) > 0, within=5)
    p99 = report("from the cut until the other served", blocked)
    # Until the safe time is over it serves; then it takes the client its transport_dead_ms to notice.
    s.expect(f"at most {BEYOND_S} s beyond the safe time and {DEAD_S} s", p99 <= SAFE_S + DEAD_S + BEYOND_S)
    s.jump_end()
