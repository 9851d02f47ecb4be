#!/usr/bin/env python3
"""The hosts inside are behind a router, which learns from BIRD beside each gateway where the session is: the route follows it
when its gateway is killed, when it is stopped, and TCP goes on. A follower that crashes leaves nothing that is wrong.
JVPN_ROUNDS=20 for the full show.

  jvpn-client ══ transfer → ══ jvpn-gw  lan 10.99.0.1, inside 10.99.0.11 (bird, jvpn routes) ──┐
                            ══ jvpn-gw2 lan 10.99.0.3, inside 10.99.0.13 (bird, jvpn routes) ──┴─ jvpn-lan (bird)
                                                   etcd ×3  (jvpn_lab/topology.py: cluster=True, routed=True)
"""
import signal
import time

from clusters import ROUNDS, begin, other, owner, report, rounds, session_id, start_member_gateway
from e2e import CLIENT, CLIENT4, CLIENT6, GATEWAY, info, pings, processes, scenario, start_transfer, step, transfer_goes_on
from jvpn_lab import routing
from jvpn_lab.programs import GATEWAY2

BOTH = (GATEWAY, GATEWAY2)


def routed_by(gateway) -> bool:
    """The router sends to the client by this gateway, in both families."""
    return routing.next_hop(CLIENT4) == routing.INSIDE4[gateway.host] and \
        routing.next_hop(CLIENT6) == routing.INSIDE6[gateway.host]


def synced(gateway, count: int) -> int:
    """How often its follower has said that the table holds so many routes, and no other."""
    return processes.logged(routing.follower(gateway), f"has {count} of {count} routes")


def unrouted() -> bool:
    return not routing.next_hop(CLIENT4) and not routing.next_hop(CLIENT6)


with scenario(180 + ROUNDS * 40) as s:
    begin(s, routed=True)
    step("BIRD and jvpn routes beside both gateways, BIRD on the router")
    routing.start(*BOTH)
    s.expect("the router has the route to the client", lambda: routed_by(owner()), within=30)
    info(f"jvpn routes: {owner().jvpn('routes').splitlines()}")
    s.expect("the other one carries nothing", other(owner()).jvpn("routes") == "no routes\n" and
             routing.table(other(owner()).host) == "")
    for address in (CLIENT4, CLIENT6):
        s.expect(f"pings reach {address}", pings("lan", address, 5))
    start_transfer(16 * ROUNDS + 40, 15 * ROUNDS + 30)
    session = session_id()
    blocked, followed = [], []
    for dies in rounds("SIGKILL to {}"):
        since = time.monotonic()
        processes.send(dies.name, signal.SIGKILL)
        s.expect("its routes are withdrawn at once", unrouted, within=2)
        s.expect("the other has the session", lambda: other(dies).attached() and CLIENT.attached(), within=15)
        attached = time.monotonic()
        s.expect("the route leads there", lambda: routed_by(other(dies)), within=5)
        followed.append(time.monotonic() - attached)
        s.expect("TCP goes on", lambda: transfer_goes_on(15))
        blocked.append(time.monotonic() - since)
        s.expect(f"still session {session[:12]}…", session_id() == session)
        start_member_gateway(dies)
    report("blocked", blocked)  # without a bound: an acknowledgement that met no route costs TCP its next, doubled pause
    info(f"the route followed the session after {max(followed) * 1000:.0f} ms at most")
    s.expect("the route followed within a second", max(followed) <= 1)

    step("Its gateway hangs: nothing is heard of it")
    hangs = owner()
    before = synced(hangs, 0)
    processes.send(hangs.name, signal.SIGSTOP)
    s.expect("its routes are withdrawn", unrouted, within=5)
    s.expect("the route leads to the other", lambda: routed_by(other(hangs)), within=15)
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    processes.send(hangs.name, signal.SIGCONT)
    s.expect("the one that hung announces nothing", lambda: synced(hangs, 0) > before and routed_by(other(hangs)),
             within=15)

    step("The follower beside the gateway that has the session crashes")
    has = owner()
    before = synced(has, 2)
    processes.send(routing.follower(has), signal.SIGKILL)
    s.expect("its routes stay", CLIENT4 in routing.table(has.host) and routed_by(has))
    routing.start_follower(has)
    s.expect("the next one goes on with them", lambda: synced(has, 2) > before and routed_by(has), within=10)
    processes.stop(routing.follower(has))
    s.expect("one that ends in order leaves none", lambda: routing.table(has.host) == "" and unrouted(), within=5)
    routing.start_follower(has)
    s.expect("the route is back", lambda: routed_by(has), within=10)
    s.jump_end()
