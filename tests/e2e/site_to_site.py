#!/usr/bin/env python3
"""Two gateways, the second dials the first over three ports: a port of the dialling one is pulled, then one of the
answering one; the session jumps both times, and TCP between the two LANs lives on. Then the answering one is killed
and started again: the other dials it as soon as it is told.

  jvpn-lan2 ── [jvpn-gw2] ╳ wan0 ═════ [jvpn-gw] ── jvpn-lan        (jvpn_lab/topology.py: site=True)
                          ═ wan1 ═══ ╳
                          ═ wan2 ═════
"""
import signal

from e2e import (GATEWAY, SERVER4, SITE4, SITE6, both_attached, faults, pings, scenario, start_gateway, start_transfer,
                 step)
from jvpn_lab.programs import GATEWAY2

with scenario(150) as s:
    s.session(site=True)
    s.expect("pings pass from LAN to LAN", pings("lan2", SERVER4))
    s.expect("and back, over inner IPv6", pings("lan", SITE6))
    start_transfer(32, 16)
    for end, whose in (("client", "dialling"), ("gw", "answering")):
        step(f"{s.noted.link} is pulled out of the port of the {whose} gateway")
        faults.pull(s.noted.link, end)
        s.expect_jump(10)
    s.expect("pings pass", pings("lan", SITE4))
    s.jump_end()

    step("kill -9 of the answering gateway, and a start")
    GATEWAY.stop(signal.SIGKILL)
    start_gateway()
    s.expect("attached again", both_attached, within=5)
    # A reset tells it, unless the silence was noticed first.
    s.expect("at most one reset was followed", GATEWAY2.told('"KEYS_LOST"') <= 1)
    s.expect("pings pass", pings("lan", SITE4))
