#!/usr/bin/env python3
"""A jvpnd that keeps no sessions is killed and started again, at once and after the client has noticed: what it no longer
knows it answers by resets, so the client is attached again as soon as the gateway runs, not when the client's clocks call
the path dead. TCP through the tunnel goes on, in a session of another name.

  jvpn-client ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import signal
import time

from e2e import (CLIENT, CLIENT4, GATEWAY, SERVER4, both_attached, pings, scenario, start_gateway, start_transfer, step,
                 transfer_goes_on)
from jvpn_lab.console import info

# From the gateway's first answer to its operator; a heartbeat every second, and a round trip of a few milliseconds.
BAR_S = 4


def session_ids() -> set[str]:
    return {end.session()["session_id"] for end in (GATEWAY, CLIENT)}


def attached_anew(before: set[str]) -> bool:
    return both_attached() and len(session_ids()) == 1 and session_ids() != before


with scenario(180) as s:
    s.session(state="none")
    start_transfer(32, 8)

    for step_name, notices in (("at once", False), ("after the client has noticed", True)):
        step(f"kill -9 of jvpnd, and a start {step_name}")
        told, before = CLIENT.told('"KEYS_LOST"'), session_ids()
        killed = time.monotonic()
        GATEWAY.stop(signal.SIGKILL)
        if notices:
            s.expect("the client seeks another path", lambda: CLIENT.session()["state"] == "RECOVERING", within=15)
        start_gateway()
        started = time.monotonic()
        s.expect(f"attached again within {BAR_S} s", lambda before=before: attached_anew(before), within=BAR_S)
        info(f"{time.monotonic() - started:.2f} s after the gateway answered its operator, "
             f"{time.monotonic() - killed:.2f} s after it was killed")
        if not notices:  # else it dials already, beside the session
            s.expect("because of a reset", CLIENT.told('"KEYS_LOST"') == told + 1)
            s.expect("the gateway counts what it sent", GATEWAY.show()["control"]["resets_sent"] >= 1)
        s.expect("pings pass", pings("client", SERVER4))
        s.expect("pings pass towards the client", pings("lan", CLIENT4))
        s.expect("TCP goes on", lambda: transfer_goes_on(20))
    s.expect("jvpn show says that nothing is kept", GATEWAY.show()["ownership"]["store"] == "none")
    s.expect("no reset was refused", CLIENT.show()["control"]["resets_refused"] == 0)
    s.expect_transfer()
    s.expect_clean_audit()
