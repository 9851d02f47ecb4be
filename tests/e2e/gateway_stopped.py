#!/usr/bin/env python3
"""SIGTERM to jvpnd, as an upgrade does it, and another start: the session waits in the store, nobody is told that it
ended, and it goes on with its TCP connection. What an operator ends stays ended.

  jvpn-client ══ transfer → ══ jvpn-gw (SIGTERM, start) ── jvpn-lan    (see jvpn_lab/topology.py)
"""
import signal

from e2e import CLIENT, GATEWAY, both_attached, processes, scenario, start_transfer, step, transfer_goes_on
from restarts import restart, resumed

with scenario(150) as s:
    s.session()
    start_transfer(32, 20)
    before = s.note()
    step("SIGTERM to jvpnd, and a new start")
    restart(signal.SIGTERM)
    s.expect("TCP goes on", lambda: transfer_goes_on(20))
    s.expect(f"still session {before.id[:12]}… at both ends", before.same, within=5)
    s.expect("both say that it was resumed", lambda: resumed() == 2, within=5)
    s.expect("the gateway told that it was parked", GATEWAY.told('"OWNERSHIP_CHANGE".*"SESSION_PARKED"') == 1)
    s.expect("the client wasn't told of an end", not CLIENT.show()["terminated"])
    s.jump_end()

    step("An operator ends it, jvpnd is killed, and starts again")
    id_before = s.note().id
    GATEWAY.jvpn("terminate", "--peer", "laptop")
    s.expect("it ended at the client", lambda: CLIENT.show()["terminated"], within=5)
    restart(signal.SIGKILL)
    processes.stop(CLIENT.name)
    CLIENT.start()
    s.expect("another session begins", both_attached, within=20)
    s.expect("it isn't the one that ended", GATEWAY.session()["session_id"] != id_before)
