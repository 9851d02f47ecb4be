#!/usr/bin/env python3
"""Every link drops all for 300 ms and passes all for 300 ms, alternately, under a steady stream of pings both ways (TCP
alone would fall silent): the session stays the same, its switches stay within the policy, it degrades rather than
oscillate, and when all is well again it comes to rest. JVPN_FLAP_SECONDS=60 for a whole minute.

  jvpn-client ══ [lab-link: ▁▔▁▔▁▔] ══ jvpn-gw ── jvpn-lan      wan0, wan1, wan2, all emulated (jvpn_lab/topology.py)
"""
import os

from e2e import (CLIENT, CLIENT4, GATEWAY, LINKS, SERVER4, Program, Scenario, both_attached, events, faults, now_ms,
                 pings, scenario, spawn, start_transfer, step, transfer_goes_on, wait_for)

FLAPPING_S = int(os.environ.get("JVPN_FLAP_SECONDS", 24))
MOST_SWITCHES = 4  # in a minute: flapping links would make the session use them up in a third of it
POLICY = f"version: 1, switching: {{max_switches_per_min: {MOST_SWITCHES}}}"
CALM_S = 8  # more than twice the policy's stability window, five times its cooldown


def degradations() -> int:
    return sum(end.told('"to":"DEGRADED"') for end in (GATEWAY, CLIENT))


def most_switches(end: Program) -> int:
    """That the program has told of within any one minute."""
    times = [event["ts_ms"] for event in events(end.name) if event["reason"] == "TRANSPORT_SWITCH_OK"
             and event["event"] == "TRANSPORT_SWITCH"]
    return max((sum(start <= time < start + 60_000 for time in times) for start in times), default=0)


def flap_all(milliseconds: int) -> None:
    for link in LINKS:
        faults.delay(link, f"flap_ms={milliseconds}")


def flapping(s: Scenario) -> None:
    step(f"Every link flaps for {FLAPPING_S} s")
    flap_all(300)
    until_ms = now_ms() + FLAPPING_S * 1000
    s.rises("DEGRADED is entered", degradations, within=FLAPPING_S)
    wait_for(FLAPPING_S + 5, lambda: now_ms() >= until_ms)
    s.expect("still the same session", s.noted.same)
    for end in (GATEWAY, CLIENT):
        most = most_switches(end)
        s.expect(f"{end.name}: no more than {MOST_SWITCHES} switches in a minute (most: {most})", most <= MOST_SWITCHES)


with scenario(2 * FLAPPING_S + 120) as s:
    s.session(emulated=LINKS, policy=POLICY)
    start_transfer(FLAPPING_S, FLAPPING_S * 2)
    spawn("stream-out", "client", *f"ping -n -q -i 0.02 -s 100 -W 1 {SERVER4}".split())
    spawn("stream-back", "lan", *f"ping -n -q -i 0.02 -s 100 -W 1 {CLIENT4}".split())
    flapping(s)

    step("The links are well again")
    flap_all(0)
    s.expect("attached at both ends", both_attached, within=30)
    s.expect("pings pass", pings("client", SERVER4))
    s.expect("pings pass towards the client", pings("lan", CLIENT4))
    s.expect("EXIT_DEGRADED_MODE", CLIENT.told('"EXIT_DEGRADED_MODE"') > 0)
    # The tunnel carries everything again. TCP finds out by its own clock: it doubles the time between its attempts,
    # and may now be silent for as long again as it has been.
    s.expect("TCP goes on", lambda: transfer_goes_on(FLAPPING_S + 30))
    before = GATEWAY.switches()
    s.expect(f"no further switch for {CALM_S} s", lambda: not wait_for(CALM_S, lambda: GATEWAY.switches() > before))
    s.expect("still the same session", s.noted.same)
    s.jump_end()
