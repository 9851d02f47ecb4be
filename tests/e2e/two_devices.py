#!/usr/bin/env python3
"""Two devices with one key take the session from each other, again and again, after pauses that grow; both say why,
both stay manageable, and whoever is left alone is attached within 5 s.

  jvpn-client (jvpn0, 10.99.0.0/24) ══╗
  the other   (jvpn1, 10.98.0.0/24) ══╩══ jvpn-gw ── jvpn-lan      (same host, same key; jvpn_lab/topology.py)
"""
import os
import time

from e2e import (CLIENT, GATEWAY, Program, Unanswered, info, log_of, logged, program, scenario, spawn, start_dialler,
                 step, wait_for)
from jvpn_lab import processes
from jvpn_lab.processes import LAB_DIR

OTHER = Program("jvpn-client2", "client", "client2.yaml")
WATCHED_S = int(os.environ.get("JVPN_TAKEOVER_SECONDS", 10))  # of the two at odds; 600 for a long look
TAKEN = "another device uses this key"


def start_other() -> None:
    text = (LAB_DIR / CLIENT.profile).read_text().replace("jvpn0", "jvpn1").replace("10.99.0.0/24", "10.98.0.0/24")
    text = text.replace("fd99::/64", "fd98::/64").replace("jvpn-client.sock", "jvpn-client2.sock")
    (LAB_DIR / OTHER.profile).write_text(text)
    spawn(OTHER.name, OTHER.host, program("jvpn-client"), LAB_DIR / OTHER.profile)


def takeovers(name: str) -> int:
    return logged(name, TAKEN)


def silent(program_: Program) -> bool:
    try:
        return not program_.answers()
    except Unanswered:
        return True


def left_alone(s, gone: Program, left: Program) -> None:
    wait_for(10, gone.attached)  # the hardest moment: the other one waits
    began = time.monotonic()
    gone.stop()
    s.expect(f"{left.name} is attached within 5 s", left.attached, within=5)
    info(f"after {time.monotonic() - began:.1f} s")
    s.expect("and stays", not wait_for(3, lambda: not left.attached()))


with scenario(120 + WATCHED_S) as s:
    s.session()
    step("A second device with the same key")
    start_other()
    for program_ in (CLIENT, OTHER):
        s.expect(f"{program_.name} is replaced twice, and comes back",
                 lambda program_=program_: takeovers(program_.name) >= 2, within=30)
        s.expect(f"{program_.name} is manageable", program_.answers)
    s.expect("the gateway says so, too", lambda: takeovers(GATEWAY.name) >= 1, within=10)
    s.expect("and its events", lambda: GATEWAY.told('"SEC_OWNERSHIP_ANOMALY".*"superseded"') >= 1, within=5)
    before = takeovers(CLIENT.name) + takeovers(OTHER.name)
    time_before = time.monotonic()
    unanswered = wait_for(WATCHED_S, lambda: silent(CLIENT) or silent(OTHER))
    s.expect(f"both stay manageable for {WATCHED_S} s", not unanswered)
    rate = (takeovers(CLIENT.name) + takeovers(OTHER.name) - before) / (time.monotonic() - time_before)
    s.expect(f"they take turns of seconds ({rate:.2f} takeovers a second)", 0 < rate < 1)

    step("One of them is switched off")
    left_alone(s, OTHER, CLIENT)
    step("The other way round")
    start_other()
    s.expect("both fight again", lambda: OTHER.attached(), within=15)
    left_alone(s, CLIENT, OTHER)
    OTHER.stop()
    start_dialler()
