#!/usr/bin/env python3
"""The active link's delay wanders between 0 and 400 ms in each direction: by a policy that bounds jitter the session
leaves it, and TCP lives on. JVPN_SEED replays the link's behaviour.

  jvpn-client ══ wan0 [lab-link: 200 ± 200 ms] ══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ══ wan1 ══════════════════════════
"""
import os
import random

from e2e import LINKS, faults, scenario, start_transfer, step

SEED = int(os.environ.get("JVPN_SEED") or random.randrange(32768))

with scenario(150) as s:
    s.session(emulated=LINKS, policy="version: 1, volatility: {jitter_volatile_ms: 50}")
    start_transfer(24, 12)
    step(f"200 ms of jitter on {s.noted.link} (JVPN_SEED={SEED})")
    faults.delay(s.noted.link, "delay_ms=200 jitter_ms=200", SEED)
    s.expect_jump(20)
    s.jump_end()
