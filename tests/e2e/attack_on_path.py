#!/usr/bin/env python3
"""Somebody on the links, between the two ends: replays what passed, from there and from elsewhere, cuts messages short,
turns their order round, holds reattach requests back for longer than they are good for, and gives requests, responses
and data another host's source. None of that moves the session, and the service goes on. The attacker is lab/link on
the emulated links of jvpn_lab/topology.py:

  jvpn-client wanN ──── client [jvpn-netN: attacker] gw ──── wanN jvpn-gw
"""
import re

from e2e import (CLIENT, GATEWAY, LINKS, SERVER4, Scenario, active_link, faults, info, partial, planned_jump, processes,
                 scenario, start_transfer, step, transfer_goes_on)

HELD_BACK_MS = 2000  # longer than a request is good for
POLICY = f"""version: 1, transport: {{candidate_validation_ttl_ms: 2000}}, volatility: {{heartbeat_interval_ms: 250}},
  security: {{reattach_proof_max_age_ms: {HELD_BACK_MS // 2}}}"""
ELSEWHERE = {"wan0": "192.0.2.66", "wan1": "198.51.100.66", "wan2": "203.0.113.66"}  # other hosts there
replays_told = partial(GATEWAY.told, '"SECURITY_EVENT".*"SEC_REPLAY_ATTEMPT"')
client_replays_told = partial(CLIENT.told, '"SECURITY_EVENT".*"SEC_REPLAY_ATTEMPT"')
fixations_told = partial(GATEWAY.told, '"SECURITY_EVENT".*"SEC_SESSION_FIXATION_ATTEMPT"')
duplicates = partial(GATEWAY.drops, "replay_duplicate")
bad_tags = partial(GATEWAY.drops, "bad_tag")


def refused(reason: str) -> int:
    return GATEWAY.told(f'"REATTACH".*"{reason}".*"reject"')


def control_messages() -> int:
    return GATEWAY.show()["control"]["control_received"]


def tampered(link: str) -> int:
    found = re.search(r"tampered=(\d+)", faults.attack(link, "status"))
    return int(found[1]) if found else 0


def never_bound(address: str) -> bool:
    return GATEWAY.told(f'"(TRANSPORT_SWITCH|REATTACH)".*"(to_path|accept)".*>{address}:') == 0


def replay(link: str, to: str, *modification: str) -> None:
    """Control messages and data that passed there, again."""
    control = faults.attack(link, "replay", f"to={to}", "kind=control", *modification)
    data = faults.attack(link, "replay", f"to={to}", "kind=data", "count=200", *modification)
    info(f"towards {to}: control {control}, data {data}")


def replays(s: Scenario, first: str) -> None:
    step(f"Replays on {first}")
    told, dropped = replays_told(), duplicates()
    replay(first, "gw")
    s.rises("the gateway tells SEC_REPLAY_ATTEMPT", replays_told, told)
    s.rises("replayed data is dropped as such", duplicates, dropped)
    s.harmless("replays")

    step(f"The same from {ELSEWHERE[first]}")
    received, dropped = control_messages(), duplicates()
    replay(first, "gw", f"source={ELSEWHERE[first]}")
    s.rises("they reach the gateway", control_messages, received)
    s.rises("replayed data is dropped as such", duplicates, dropped)
    s.harmless("replays from elsewhere")

    step("Replays towards the client")
    told = client_replays_told()
    replay(first, "client")
    s.rises("the client tells SEC_REPLAY_ATTEMPT", client_replays_told, told)
    s.harmless("replays towards the client")


def altered(s: Scenario, first: str) -> None:
    step("Messages cut short")
    before = bad_tags()
    for size in (1, 16, 40):
        replay(first, "gw", f"truncate={size}")
    s.rises("their tags are wrong", bad_tags, before)
    s.harmless("messages cut short")

    step("Eight messages at a time in reverse order, both ways")
    # So that eight come together before the path is taken for a silent one: TCP alone pauses now and then.
    processes.spawn("many-pings", "client", "ping", "-q", "-i", "0.002", SERVER4)
    faults.attack(first, "reverse", "to=gw", "of=8")
    faults.attack(first, "reverse", "to=client", "of=8")
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    info(faults.attack(first, "none"))
    processes.stop("many-pings")
    s.harmless("reverse order")

    step(f"Data appears to come from {ELSEWHERE[first]}")
    faults.attack(first, "redirect", "to=gw", "kind=data", "count=50", f"source={ELSEWHERE[first]}")
    s.expect("TCP goes on", lambda: transfer_goes_on(15))
    s.harmless("data from elsewhere")


def reattaching(s: Scenario, first: str) -> None:
    step(f"Probes and responses over wan1 appear to come from {ELSEWHERE['wan1']}")
    faults.attack("wan1", "redirect", "to=gw", "kind=probe", f"source={ELSEWHERE['wan1']}")
    faults.attack("wan1", "redirect", "to=gw", "kind=response", f"source={ELSEWHERE['wan1']}")
    s.rises("probes appear to come from there, the path is no warm one any more", lambda: tampered("wan1"), 2, 10)
    told = fixations_told()
    planned_jump("wan1", succeeds=False)
    s.rises("a jump there is refused: AUTH_FAIL", lambda: refused("AUTH_FAIL"))
    s.rises("the gateway tells SEC_SESSION_FIXATION_ATTEMPT", fixations_told, told)
    s.harmless("responses from elsewhere")
    faults.attack("wan1", "none")

    step(f"Requests over wan1 are held back for {HELD_BACK_MS} ms")
    faults.attack("wan1", "delay", "to=gw", "kind=request", f"ms={HELD_BACK_MS}")
    planned_jump("wan1", succeeds=False)
    s.rises("they are refused when they come: FRESHNESS_INVALID", lambda: refused("FRESHNESS_INVALID"), within=10)
    s.harmless("old requests")
    faults.attack("wan1", "none")

    step(f"Requests over wan1 appear to come from {ELSEWHERE['wan1']}, and {first} becomes a black hole")
    faults.attack("wan1", "redirect", "to=gw", "kind=request", f"source={ELSEWHERE['wan1']}")
    faults.cut(first, "silent")
    s.expect_jump(15)
    s.expect("by wan2", lambda: active_link() == "wan2")
    s.expect("one TRANSPORT_SWITCH", GATEWAY.switches() == 1)
    s.expect("wan1's requests led nowhere", never_bound(ELSEWHERE["wan1"]))
    faults.attack("wan1", "none")

    step(f"The requests once more, over both links and from {ELSEWHERE['wan2']}")
    # What a held index was closed for names nobody any more; other copies are replays.
    told = replays_told() + GATEWAY.drops("unknown_index")
    for link in ("wan1", "wan2"):
        faults.attack(link, "replay", "to=gw", "kind=request")
    faults.attack("wan2", "replay", "to=gw", "kind=request", f"source={ELSEWHERE['wan2']}")
    s.rises("the gateway knows them, or their index no more", lambda: replays_told() + GATEWAY.drops("unknown_index"), told)
    s.harmless("requests once more")
    s.expect("still one TRANSPORT_SWITCH", GATEWAY.switches() == 1)


with scenario(240) as s:
    s.session(emulated=LINKS, policy=POLICY)
    for link in LINKS:
        faults.attack(link, "record")
    first = s.note().link
    s.rises("control messages pass", control_messages, control_messages() + 20, within=20)
    start_transfer(60, 60)
    replays(s, first)
    altered(s, first)
    reattaching(s, first)
    s.jump_end()
