#!/usr/bin/env python3
"""The active link becomes a black hole under a numbered flow, again and again: what was in flight is sealed again for the
next link, and nothing of the flow is lost, comes twice or overtakes. Then no link is left for a while: what waited
goes at a pace that a link of few times the flow's rate takes.

  jvpn-client ══╳ wan0 ╳══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ══  wan1  ══
              ══  wan2  ══
"""
from e2e import CLIENT, GATEWAY, LINKS, both_attached, faults, info, numbered_loss, scenario, start_numbered, step

CUTS = 4
RATE = 2_000  # datagrams a second each way
# Without a path that answers, silence alone tells that one is dead.
POLICY = "version: 1, volatility: {heartbeat_interval_ms: 100, heartbeat_volatile_ms: 300, transport_dead_ms: 600}"
OUTAGE_S = 1.2  # with the pause between two attempts it fits into hold_ms
MBIT = 25  # of the links after it, whose queues take 100 ms of it: less than the outage's datagrams


def held(name: str) -> int:
    return CLIENT.session()["hold"][name]


with scenario(150) as s:
    s.session(emulated=LINKS, policy=POLICY)
    start_numbered(RATE, 140)
    for cut in range(CUTS):
        link, resent = s.noted.link, held("resent")
        step(f"cut {cut + 1} of {CUTS}: {link} becomes a black hole")
        faults.cut(link, "silent")
        s.expect("attached again, by another path, within 10 s", s.noted.jumped, 10)
        s.rises("what the link had swallowed was sent again", lambda: held("resent"), resent)
        faults.heal(link)
        s.note()
    s.expect("one TRANSPORT_SWITCH for each cut", lambda: GATEWAY.switches() == CLIENT.switches() == CUTS, 5)
    step(f"all links become black holes for {OUTAGE_S} s")
    for link in LINKS:
        faults.cut(link, "silent")
        faults.rate(link, MBIT)
    s.expect("most of an outage's datagrams wait", lambda: held("waiting") >= 0.9 * OUTAGE_S * RATE, OUTAGE_S + 3)
    for link in LINKS:
        faults.heal(link, "cut")
    s.expect("attached again", both_attached, 10)
    s.expect("all that waited has gone", lambda: held("waiting") == 0, 5)
    s.expect("nothing was late, or one too many", CLIENT.drops("hold_late", "hold_full") == 0)
    hold = CLIENT.session()["hold"]
    info(f"the client's hold: {hold}")
    s.expect("it keeps its bounds", 0 < hold["bytes"] <= hold["most_bytes"])
    s.expect("nothing was given up", hold["unsettled"] == 0 and hold["crowded"] == 0)
    flow = numbered_loss()
    info(f"the flow: {flow}")
    s.expect("up: nothing was lost", flow["up"]["lost"] == 0)
    for way in ("up", "down"):
        s.expect(f"{way}: nothing came twice", flow[way]["twice"] == 0)
        s.expect(f"{way}: nothing came after what was sent later", flow[way]["late"] == 0)
    s.expect_clean_audit()
