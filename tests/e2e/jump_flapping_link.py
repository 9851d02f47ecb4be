#!/usr/bin/env python3
"""The active link goes down and up every 300 ms while the others are stable: the session leaves it at once and does not
come back, though it is the preferred one by policy, until it has been stable for long enough.

  jvpn-client ══ wan0: down, up, down, up … ══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ══ wan1 ═══════════════════════
"""
from e2e import GATEWAY, active_link, ip, processes, scenario, start_transfer, step, wait_for

# Pulls and plugs the cable of $0 again and again, until it is stopped.
TOGGLE = 'while ip link set "$0" down && sleep 0.3 && ip link set "$0" up; do sleep 0.3; done'


with scenario(150) as s:
    s.session(policy="version: 1, switching: {failback: {when_stable_ms: 2000}}")
    preferred = s.noted.link

    def back() -> bool:
        return active_link() == preferred

    start_transfer(40, 40)
    step(f"{preferred} goes down and up every 300 ms")
    processes.spawn("toggler", "client", "bash", "-c", TOGGLE, preferred)
    s.expect_jump(5)
    s.expect("for three times as long the session stays away", lambda: not wait_for(6, back))
    s.expect("one TRANSPORT_SWITCH", GATEWAY.switches() == 1)

    step(f"{preferred} stays up")
    processes.stop("toggler")
    ip("client", f"link set {preferred} up")
    s.expect("the session returns", back, within=15)
    s.expect_jump(5)
    s.expect("two TRANSPORT_SWITCHes", GATEWAY.switches() == 2)
    s.jump_end()
