#!/usr/bin/env python3
"""A host inside that takes the client's addresses for its neighbours' finds the gateway that carries the session: by
asking, and when it still knows another one's MAC, by what the gateway announces.

  jvpn-client 10.77.0.2, fd77::2 ══ jvpn-gw lan, answer_for_peers ── lan jvpn-lan: 10.77.0.0/24 and fd77::/64 on the link
"""
import json
import signal
import time

from e2e import (CLIENT, CLIENT4, CLIENT6, GATEWAY, info, ip, pings, processes, scenario, start_dialler,
                 start_gateway, step)

ELSEWHERE = "02:00:00:00:00:99"  # the MAC of a gateway that had the session before
NETWORKS = {CLIENT4: ("-4", "10.77.0.0/24"), CLIENT6: ("-6", "fd77::/64")}


def neighbour(address: str) -> str:
    """The MAC that the host has for it; empty when it has none."""
    known = json.loads(ip("lan", f"-json neigh show {address} dev lan") or "[]")
    return known[0].get("lladdr", "") if known else ""


def gateway_mac() -> str:
    return next(port["mac"] for port in GATEWAY.show()["ports"] if port["role"] == "inside")


def counted(what: str) -> int:
    return GATEWAY.show()["control"]["answers_for_peers"][what]


with scenario(120) as s:
    step("Lab, gateway; the host knows the client's addresses of another gateway")
    s.prepare(state="none", answer_for_peers=True)
    start_gateway()
    for address, (family, network) in NETWORKS.items():
        ip("lan", f"{family} route del default")
        ip("lan", f"{family} route add {network} dev lan")
        ip("lan", f"neigh replace {address} lladdr {ELSEWHERE} nud reachable dev lan")

    step("The session begins here")
    start_dialler()
    attached = time.monotonic()
    mac = gateway_mac()
    for address in NETWORKS:
        s.expect(f"{address} is known to be here", lambda: neighbour(address) == mac, within=5)
    info(f"{(time.monotonic() - attached) * 1000:.0f} ms after the client was attached")
    for address in NETWORKS:
        s.expect(f"pings reach {address}", pings("lan", address, 3))
    s.expect("each address was announced twice", lambda: counted("announcements") == 4 and counted("pending") == 0,
             within=5)

    step("A host that knows nothing asks")
    answers = counted("answers")
    for address in NETWORKS:
        ip("lan", f"neigh del {address} dev lan")
        s.expect(f"pings reach {address}", pings("lan", address, 3))
        s.expect(f"{address} is at the gateway", neighbour(address) == mac)
    s.expect("the gateway answered for the peer", counted("answers") >= answers + len(NETWORKS))

    step("The session ends")
    processes.send(CLIENT.name, signal.SIGTERM)
    s.expect("it is gone", lambda: not GATEWAY.show()["sessions"], within=5)
    answers = counted("answers")
    for address in NETWORKS:
        ip("lan", f"neigh del {address} dev lan")
        s.expect(f"pings don't reach {address}", not pings("lan", address, 1))
        s.expect(f"nobody has {address}", neighbour(address) == "")
    s.expect("the gateway answered nothing", counted("answers") == answers)
