#!/usr/bin/env python3
"""The active link goes down, then the next one: the session and its TCP connection live on over the third.

  jvpn-client ── ╳ wan0 ╳ ── jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ── ╳ wan1 ╳ ──
              ══   wan2   ══
"""
from e2e import faults, scenario, start_transfer, step

with scenario(150) as s:
    s.session()
    start_transfer(24, 12)
    for which in ("first", "second"):
        step(f"{s.noted.link}, the {which} link, goes down")
        faults.cut(s.noted.link, "down")
        s.expect_jump(5)
    s.jump_end()
