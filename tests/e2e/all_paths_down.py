#!/usr/bin/env python3
"""Every link drops everything: for less than the transport-loss TTL the session and its TCP connection survive; for
longer both ends end it with TTL_TRANSPORT_LOSS_EXPIRED, and the client comes back with a new session.

  jvpn-client ══╳ wan0, wan1, wan2 ╳══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
"""
from e2e import (CLIENT, GATEWAY, LINKS, SERVER4, both_attached, faults, pings, scenario, start_transfer, step,
                 transfer_goes_on)

# The TTL runs from the transport's death, 0.6 s after the cut, and is under the recovery window.
TTL_S = 4
POLICY = f"""version: 1, session: {{transport_loss_ttl_ms: {TTL_S}000}},
  volatility: {{heartbeat_interval_ms: 100, heartbeat_volatile_ms: 300, transport_dead_ms: 600}},
  switching: {{max_recovery_window_ms: 20000, max_recovery_attempts: 20}}"""


def cut_all() -> None:
    for link in LINKS:
        faults.cut(link, "silent")


def heal_all() -> None:
    for link in LINKS:
        faults.heal(link)


with scenario(180) as s:
    s.session(policy=POLICY)
    first = s.noted
    start_transfer(32, 16)

    step("All links down for 3 s")
    cut_all()
    s.expect("both ends notice", lambda: not GATEWAY.attached() and not CLIENT.attached(), within=5)
    s.expect("the gateway has heard nothing for 3 s", lambda: GATEWAY.session()["last_rx_ms_ago"] >= 3000, within=6)
    heal_all()
    s.expect("attached again", both_attached, within=15)
    s.expect("still the same session at both ends", first.same)
    s.expect("state_version rose at both ends", first.versions_rose)
    s.expect("TCP goes on", lambda: transfer_goes_on(20))
    s.expect_transfer()

    step("All links down for longer than the TTL")
    cut_all()
    s.expect("both ends end the session: TTL_TRANSPORT_LOSS_EXPIRED",
             lambda: first.ended_for("TTL_TRANSPORT_LOSS_EXPIRED"), within=TTL_S + 5)
    heal_all()
    s.expect("a new session stands", lambda: both_attached() and GATEWAY.session()["session_id"] != first.id, within=20)
    s.expect("traffic flows again", pings("client", SERVER4))
    s.expect_clean_audit()
