#!/usr/bin/env python3
"""Failback by policy: the session leaves its preferred link when that becomes a black hole and, once it has healed and
stayed stable, returns to it by itself; without the policy it stays.

  jvpn-client ══╳ wan0 ══ jvpn-gw ── jvpn-lan         ↑ back, when stable for 1 s   (jvpn_lab/topology.py)
              ══  wan1 ══                             ↓ away
"""
import time

from e2e import Scenario, active_link, faults, info, scenario, start_transfer, step, timeline, wait_for


def away_and_healed(s: Scenario) -> str:
    """Cuts the preferred link, waits for the jump, heals it; returns which it was."""
    preferred = s.note().link
    step(f"{preferred} becomes a black hole")
    faults.cut(preferred, "silent")
    s.expect_jump(10)
    step(f"{preferred} heals")
    faults.heal(preferred)
    return preferred


with scenario(240) as s:
    s.session(policy="version: 1, switching: {failback: {when_stable_ms: 1000}}")
    start_transfer(40, 20)
    preferred = away_and_healed(s)
    healed = time.monotonic()
    s.expect(f"the session returns to {preferred}", lambda: active_link() == preferred, within=15)
    took = time.monotonic() - healed
    s.expect_jump(5)
    s.expect_transfer()
    info(timeline(s.since_ms))

    step("The same without failback")
    s.session(policy="version: 1, switching: {failback: never}")
    start_transfer(40, 20)
    preferred = away_and_healed(s)
    s.expect(f"for {2 * took:.0f} s, twice as long, the session stays where it is",
             lambda: not wait_for(2 * took, lambda: active_link() == preferred))
    s.jump_end()
