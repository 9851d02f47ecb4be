#!/usr/bin/env python3
"""jvpnd dies by SIGKILL under a transfer and starts again, several times: the session and its TCP connection live on, and
`jvpn audit` finds nothing wrong in what all runs told. JVPN_KILLS=50 for the full show.

  jvpn-client ══ transfer → ══ jvpn-gw (SIGKILL, and again) ── jvpn-lan    (see jvpn_lab/topology.py)
"""
import os
import signal
import time

from e2e import GATEWAY, info, scenario, start_transfer, step, transfer_goes_on
from restarts import restart, resumed

KILLS = int(os.environ.get("JVPN_KILLS", 3))

with scenario(120 + KILLS * 40) as s:
    s.session()
    start_transfer(16 * KILLS + 16, 15 * KILLS)
    blocked = []
    for kill in range(KILLS):
        step(f"SIGKILL to jvpnd, {kill + 1} of {KILLS}")
        before = s.note()
        resumes = resumed()
        down_s = restart(signal.SIGKILL)
        up = time.monotonic()
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        blocked.append(time.monotonic() - up)
        info(f"down for {down_s:.2f} s; blocked for {blocked[-1]:.2f} s after it was up")
        s.expect(f"still session {before.id[:12]}… at both ends", before.same, within=5)
        s.expect("state_version rose at both ends", before.versions_rose)
        s.expect("both say that it was resumed", lambda: resumed() == resumes + 2, within=5)
    s.expect("no session has ended", not GATEWAY.show()["terminated"])
    info(f"blocked after it was up: {sorted(round(each, 2) for each in blocked)} s")
    s.jump_end()
