#!/usr/bin/env python3
"""The gateway that has the session is drained, and the other one in its turn: the session goes on at the other, and not one
packet is lost in either direction. JVPN_ROUNDS=20 for the full show.

  jvpn-client ══ numbered datagrams ⇄, transfer ══ jvpn-gw (drained) / jvpn-gw2 ── jvpn-lan
                                                          (jvpn_lab/topology.py: cluster=True)
"""
import json
import time

from clusters import ROUNDS, begin, other, owner, pause_at_random, session_id
from e2e import (CLIENT, info, numbered_loss, scenario, start_numbered, start_transfer, step,
                 transfer_goes_on)

RATE = 500  # datagrams a second, each way
EVENTS = ('"CONFIG_EVENT".*"DRAIN_DONE"', '"OWNERSHIP_CHANGE".*"SESSION_PARKED".*"handed_over"')


def drain(gateway, *words):
    return json.loads(gateway.jvpn("drain", "--json", *words))["drain"]


with scenario(120 + ROUNDS * 20) as s:
    begin(s)
    start_transfer(8 * ROUNDS + 8, 8 * ROUNDS + 8)
    start_numbered(RATE, 60 + ROUNDS * 20)
    flows = time.monotonic()
    session = session_id()
    for number in range(ROUNDS):
        pause_at_random()
        drained = owner()
        told = [drained.told(event) for event in EVENTS]
        step(f"jvpn drain at {drained.name}, {number + 1} of {ROUNDS}")
        began = time.monotonic()
        end = drain(drained)
        info(f"none was left after {(time.monotonic() - began) * 1000:.0f} ms")
        s.expect("none is left there, and it drains", end == {"draining": True, "left": 0})
        s.expect("the client goes on at the other", lambda: other(drained).attached() and CLIENT.attached(), within=5)
        s.expect(f"still session {session[:12]}…", session_id() == session and owner() is other(drained))
        s.expect("its log says so", [drained.told(event) for event in EVENTS] == [count + 1 for count in told])
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        s.expect("it takes sessions again", drain(drained, "--undo") == {"draining": False, "left": 0})
    step("What was lost")
    least = RATE * (time.monotonic() - flows) / 2  # a flow that stood still would lose nothing, too
    for way, flow in numbered_loss().items():
        info(f"{way}: {flow['sent']} sent, {flow['lost']} lost, {flow['twice']} came twice")
        s.expect(f"{way}: none lost, none twice", flow["sent"] > least and flow["lost"] == 0 and flow["twice"] == 0)
    s.jump_end()
