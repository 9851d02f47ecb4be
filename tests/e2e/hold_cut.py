#!/usr/bin/env python3
"""The active link becomes a black hole under a numbered flow, again and again: what was in flight is sealed again for the
next link, and nothing of the flow is lost, comes twice or overtakes.

  jvpn-client ══╳ wan0 ╳══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ══  wan1  ══
              ══  wan2  ══
"""
from e2e import CLIENT, GATEWAY, faults, info, numbered_loss, scenario, start_numbered, step

CUTS = 4
RATE = 2_000  # datagrams a second each way


def held(name: str) -> int:
    return CLIENT.session()["hold"][name]


with scenario(150) as s:
    s.session()
    start_numbered(RATE, 140)
    for cut in range(CUTS):
        link, resent = s.noted.link, held("resent")
        step(f"cut {cut + 1} of {CUTS}: {link} becomes a black hole")
        faults.cut(link, "silent")
        s.expect("attached again, by another path, within 10 s", s.noted.jumped, 10)
        s.rises("what the link had swallowed was sent again", lambda: held("resent"), resent)
        faults.heal(link)
        s.note()
    hold = CLIENT.session()["hold"]
    info(f"the client's hold: {hold}")
    s.expect("it keeps its bounds", 0 < hold["bytes"] <= hold["most_bytes"])
    s.expect("nothing was given up", hold["unsettled"] == 0 and hold["crowded"] == 0)
    s.expect("one TRANSPORT_SWITCH for each cut", lambda: GATEWAY.switches() == CLIENT.switches() == CUTS, 5)
    flow = numbered_loss()
    info(f"the flow: {flow}")
    s.expect("up: nothing was lost", flow["up"]["lost"] == 0)
    for way in ("up", "down"):
        s.expect(f"{way}: nothing came twice", flow[way]["twice"] == 0)
        s.expect(f"{way}: nothing came after what was sent later", flow[way]["late"] == 0)
    s.expect_clean_audit()
