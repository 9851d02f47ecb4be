#!/usr/bin/env python3
"""The active link loses 30 % of its packets in each direction: the session leaves it, and TCP lives on. The links are
emulated so that each packet has its own fate.

  jvpn-client ══ wan0 [30 % lost] ══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ══ wan1 ═════════════
"""
from e2e import LINKS, faults, scenario, start_transfer, step

with scenario(150) as s:
    s.session(emulated=LINKS)
    start_transfer(24, 12)
    step(f"30 % loss on {s.noted.link}")
    faults.loss(s.noted.link, 30)
    s.expect_jump(60)  # a bound: TCP may be silent for long meanwhile, and then only heartbeats tell of the loss
    s.jump_end()
