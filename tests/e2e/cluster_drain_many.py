#!/usr/bin/env python3
"""A gateway with many sessions is drained: all of them go on at the other one, with their identity, and no packet of the
measured client's, which is asked last, is lost, unless the machine is busy: JVPN_LOST=0 demands it. JVPN_SESSIONS=1000
for the full show; JVPN_ROUNDS, as elsewhere.

  many-clients (tests/e2e/many_clients.cc) ─┐
  jvpn-client ══ numbered datagrams ⇄ ══════╧═ jvpn-gw (drained) / jvpn-gw2 ── jvpn-lan
                                                   (jvpn_lab/topology.py: cluster=True)
"""
import json
import os

from clusters import ROUNDS, begin, other, owner, session_id
from crowds import crowd, start_crowd
from e2e import (CLIENT, Program, checks, gateway4, info, numbered_loss, now_ms, scenario, second_gateway4, start_numbered,
                 step)

SESSIONS = int(os.environ.get("JVPN_SESSIONS", 200))
RATE = 500  # datagrams a second, each way
MOST_LOST = int(os.environ.get("JVPN_LOST", RATE // 5))  # none on idle cores; beside a build up to 70 ms were
WITHIN_S = 2.0  # that many sessions have moved after; 1000 at most
ADDRESS = {"jvpnd": gateway4("wan0"), "jvpnd2": second_gateway4("wan0")}


def all_at(gateway: Program) -> bool:
    return crowd()["at"].get(ADDRESS[gateway.name], 0) == SESSIONS


def has(gateway: Program, session: str) -> bool:
    return any(each["session_id"] == session and each["state"] == "ATTACHED" for each in gateway.show()["sessions"])


def pending(gateway: Program) -> int:
    """Peers whose addresses hosts may not know to be there."""
    return gateway.show()["control"]["answers_for_peers"]["pending"]


with scenario(150 + SESSIONS // 20 + ROUNDS * 30) as s:
    begin(s, crowd=SESSIONS)
    session = session_id()
    step(f"{SESSIONS} more clients")
    start_crowd(SESSIONS, ADDRESS[owner().name], ADDRESS[other(owner()).name])
    start_numbered(RATE, 90 + ROUNDS * 30)
    for number in range(ROUNDS):
        drained = owner()
        step(f"jvpn drain at {drained.name}, {number + 1} of {ROUNDS}")
        began = now_ms()
        end = json.loads(drained.jvpn("drain", "--json"))["drain"]
        info(f"none of {SESSIONS + 1} was left after {now_ms() - began} ms")
        s.expect("none is left there, and it drains", end == {"draining": True, "left": 0})
        s.expect("all go on at the other", lambda: all_at(other(drained)), within=10)
        s.expect("the measured one, too", lambda: has(other(drained), session) and CLIENT.attached(), within=5)
        took_ms = crowd()["moved_ms"] - began
        info(f"the last one had moved after {took_ms} ms")
        s.expect(f"that is within {WITHIN_S} s", took_ms <= WITHIN_S * 1000)
        s.expect("all have their identity", crowd()["other_ids"] == 0 and session_id() == session)
        # Until then hosts may send to the drained one.
        s.expect("all are announced on the LAN", lambda: pending(other(drained)) == 0, within=10 + SESSIONS / 50)
        drained.jvpn("drain", "--undo")
    step("What was lost")
    for way, flow in numbered_loss().items():
        info(f"{way}: {flow['sent']} sent, {flow['lost']} lost, {flow['twice']} came twice")
        s.expect(f"{way}: at most {MOST_LOST} lost, none twice",
                 flow["sent"] > RATE // 4 and flow["lost"] <= MOST_LOST and flow["twice"] == 0)
    s.expect("jvpn audit finds nothing wrong", checks.audit_clean)
