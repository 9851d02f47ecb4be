#!/usr/bin/env python3
"""A host without a configured key floods the gateway with initiations whose mac1 is right, from addresses that it hasn't
got; then with one initiation and the cookie of its own address. The session stays as it is and new clients get in; what
comes back is less than what was sent. JVPN_CLIENTS=200 for more of them. Beside jvpn_lab/topology.py's drawing:

  jvpn-client wan0, many-clients ──── [jvpn-net0: bridge] ──── wan0 jvpn-gw
                                              │
                                        wan0 192.0.2.66 jvpn-attacker
"""
import os

from crowds import crowd, start_crowd
from e2e import CLIENT, GATEWAY, floods, gateway4, info, pings, processes, scenario, start_both, start_transfer, step, topology

CLIENTS = int(os.environ.get("JVPN_CLIENTS", 30))
ATTACKER = "192.0.2.66"
SECONDS = 12


def cookies() -> int:
    return GATEWAY.show()["control"]["cookies_sent"]


def goes_on(session: str) -> bool:
    """By whichever link: one that is flooded loses packets of others, too."""
    ends = (CLIENT.session(), GATEWAY.session_of("laptop"))
    return all(end["session_id"] == session and end["state"] == "ATTACHED" for end in ends)


def flooded(s, kind: str, *named: str) -> None:
    """New clients dial while it lasts."""
    before, refused = cookies(), GATEWAY.drops(*named)
    flood = floods.Flood("wan0", ATTACKER, kind, SECONDS)
    s.rises("it is answered by cookies", cookies, before, within=5)
    start_crowd(CLIENTS, gateway4("wan0"))
    connected = crowd()["connected"]
    info(f"{CLIENTS} clients: half within {connected['p50_ms']} ms, the last after {connected['most_ms']} ms")
    s.expect("a ping to the gateway's LAN passes, though the port loses packets", lambda: pings("client", "10.99.0.2", 1),
             within=10)
    result = flood.end()
    info(f"{result.per_s:.0f} frames a second, {result.answer_ratio:.3f} bytes of answer for one of question")
    s.expect("no more comes back than was sent", result.answer_ratio <= 1)
    s.expect(f"what is too much is dropped as {', '.join(named)}", GATEWAY.drops(*named) > refused)
    processes.stop("many-clients")
    s.expect("the session goes on at both ends", lambda: goes_on(s.noted.id), within=10)


with scenario(180 + CLIENTS) as s:
    step("Lab, gateway, client")
    s.prepare(emulated=["wan0"], crowd=CLIENTS)
    topology.add_attacker("wan0", ATTACKER)
    start_both()
    s.note()
    start_transfer(20, 60)
    step("Initiations from everywhere")
    flooded(s, "initiation", "cookie_rate", "control_ring_full", "handshake_share")
    step("One initiation with a cookie, again and again")
    flooded(s, "cookie", "handshake_repeated")
    s.jump_end()
