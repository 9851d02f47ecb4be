#!/usr/bin/env python3
"""The active link becomes a black hole under a numbered flow both ways, again and again: the gateway, too, holds what it sends,
and nothing of either way is lost, comes twice or overtakes. Then no link is left: what comes for the client meanwhile waits.

  jvpn-client ══╳ wan0 ╳══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
              ══  wan1  ══
              ══  wan2  ══
"""
from e2e import (CLIENT, CLIENT4, GATEWAY, LINKS, both_attached, faults, info, logged, numbered_loss, scenario, spawn,
                 start_numbered, step)

CUTS = 4
RATE = 2_000  # datagrams a second each way
PINGS = 20


def held(name: str) -> int:
    return sum(worker[name] for worker in GATEWAY.show()["workers"])


with scenario(150) as s:
    s.session(hold_packets=16_384)
    start_numbered(RATE, 100)
    for cut in range(CUTS):
        link, resent = s.noted.link, held("hold_resent")
        step(f"cut {cut + 1} of {CUTS}: {link} becomes a black hole")
        faults.cut(link, "silent")
        s.expect("attached again, by another path, within 10 s", s.noted.jumped, 10)
        s.rises("what the link had swallowed was sent again", lambda: held("hold_resent"), resent)
        faults.heal(link)
        s.note()
    info(f"the gateway holds {held('hold_packets')} packets, {held('hold_bytes')} bytes; {held('hold_resent')} went again")
    s.expect("nothing was given up", held("hold_unsettled") == 0 and held("hold_crowded") == 0)
    s.expect("one TRANSPORT_SWITCH for each cut", lambda: GATEWAY.switches() == CLIENT.switches() == CUTS, 5)
    flow = numbered_loss()
    info(f"the flow: {flow}")
    for way in ("up", "down"):
        s.expect(f"{way}: nothing was lost", flow[way]["lost"] == 0)
        s.expect(f"{way}: nothing came twice", flow[way]["twice"] == 0)
        s.expect(f"{way}: nothing came after what was sent later", flow[way]["late"] == 0)

    step("all links become black holes")
    for link in LINKS:
        faults.cut(link, "silent")
    s.expect("no path is left", lambda: {end.session()["state"] for end in (CLIENT, GATEWAY)} == {"RECOVERING"}, 10)
    s.expect("what was sent is too old to be held", lambda: held("hold_packets") < PINGS, 5)
    spawn("ping-client", "lan", *f"ping -n -q -c {PINGS} -i 0.05 -W 10 {CLIENT4}".split())
    s.expect("what comes for the client waits", lambda: held("hold_packets") >= PINGS, 5)
    step("and heal")
    for link in LINKS:
        faults.heal(link)
    s.expect("attached again", both_attached, 15)
    s.expect("each that waited was answered", lambda: logged("ping-client", f"{PINGS} received, 0% packet loss") == 1, 15)
    s.expect_clean_audit()
