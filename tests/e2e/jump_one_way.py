#!/usr/bin/env python3
"""The active link carries one way only, first nothing out of the client, then nothing towards it: the end that hears
nothing finds that in a few round trips, the gateway tells the client by another link, and the session leaves it.

  jvpn-client ══╳ wan0 ──→ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ←── wan1 ╳══
              ══  wan2  ══
"""
from e2e import CLIENT, GATEWAY, events, faults, scenario, start_numbered, start_transfer, step

DEAD_MS = 2000  # the default's transport_dead_ms, which the session doesn't wait for
UNANSWERED = '"STATE_CHANGE".*"RECOVERY_START".*"detail":"unanswered"'


def longest_silence() -> int:
    """That the client saw before it called a path dead, in ms."""
    return max((event["observed"] for event in events(CLIENT.name) if event.get("limit") == "detection"), default=DEAD_MS)


with scenario(150) as s:
    s.session()
    start_transfer(32, 16)
    start_numbered(500, 120)
    for count, (way, what) in enumerate((("out", "loses what the client sends"), ("back", "loses what it is sent")), 1):
        step(f"{s.noted.link} {what}")
        faults.cut(s.noted.link, way)
        s.expect_jump(10)
        s.expect("the client found the path dead by its probes", CLIENT.told(UNANSWERED) == count)
    silence = longest_silence()
    s.expect(f"long before transport_dead_ms (got {silence} ms)", silence < DEAD_MS / 2)
    s.expect("one TRANSPORT_SWITCH for each", lambda: GATEWAY.switches() == CLIENT.switches() == 2)
    s.jump_end()
