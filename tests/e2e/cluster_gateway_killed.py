#!/usr/bin/env python3
"""The gateway that has the session dies by SIGKILL under a transfer; the other goes on with it once the dead one must be
silent: the client knew before that it is there. Then the dead one comes back, and the next round kills the other.
JVPN_ROUNDS=50 for the full show.

  jvpn-client ══ transfer → ══ jvpn-gw (SIGKILL) / jvpn-gw2 ── jvpn-lan    etcd ×3  (jvpn_lab/topology.py: cluster=True)
"""
import signal
import time

from clusters import (BEYOND_S, ROUNDS, SAFE_S, begin, other, report, rounds, say_warm_second, session_id,
                      start_member_gateway)
from e2e import CLIENT, processes, scenario, start_transfer, transfer_goes_on

with scenario(120 + ROUNDS * 90) as s:
    begin(s)
    start_transfer(16 * ROUNDS + 16, 40 * ROUNDS)
    session = session_id()
    blocked = []
    for dies in rounds("SIGKILL to {}"):
        say_warm_second()
        since = time.monotonic()
        processes.send(dies.name, signal.SIGKILL)
        s.expect("the other has the session", lambda: other(dies).attached() and CLIENT.attached(), within=15)
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        blocked.append(time.monotonic() - since)
        s.expect(f"still session {session[:12]}…", session_id() == session)
        start_member_gateway(dies)
    p99 = report("blocked", blocked)
    s.expect(f"blocked for at most {BEYOND_S} s beyond the safe time", p99 <= SAFE_S + BEYOND_S)
    s.jump_end()
