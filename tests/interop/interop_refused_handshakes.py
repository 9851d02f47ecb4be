#!/usr/bin/python3
"""Each way in which jvpnd refuses a handshake, by the name in its events, from a client in Python.

  Python (jvpn-client) ══ wan0 ══ jvpn-gw      (jvpn_lab/topology.py)
"""
import os
import time

import wire
from interop import (GATEWAY, LAB_DIR, changed, counter, drop, event, follows, python_client, scenario,
                     start_gateway, step)

PER_S = 40
OLD = wire.tai64n(time.time_ns() - 3600 * 10**9)
abuse = ("SECURITY_EVENT", "SEC_ABUSE_CONTROL_PLANE", "detail")
replay = event("SECURITY_EVENT", "SEC_REPLAY_ATTEMPT")


with scenario(60) as s:
    s.prepare(policy="version: 1, observability: {security_events_per_s: 1000}")
    profile = LAB_DIR / GATEWAY.profile
    profile.write_text(profile.read_text().replace("limits: {", f"limits: {{handshakes_per_s: {PER_S}, "))
    start_gateway()
    client = python_client()

    def sent(**changes: object) -> None:
        client.initiate(**changes)

    def sends(message: bytes) -> None:
        client.paths["wan0"].send(message)

    step("Before any key is computed")
    good = client.initiation().message
    for what, name, message in (
            ("a wrong mac1", "bad_mac", changed(good, 399 - 16)),
            ("reserved bytes of the preamble", "reserved", changed(good, 2)),
            ("399 bytes", "message_length", good[:-1]),
            ("type 10", "message_type", b"\x0a" + good[1:]),
            ("a readiness that nobody waits for", "unawaited_answer", b"\x09" + good[1:88]),
            ("a reset of 41 bytes", "message_length", b"\7" + good[1:41]),
            ("a reset of an index that it doesn't send to", "unawaited_answer", b"\7" + good[1:40]),
            ("a response that nobody waits for", "unawaited_answer", b"\2" + good[1:372])):
        follows(s, client, f"{what}: {name}", drop(name), lambda: sends(message))

    step("Refused by the handshake")
    for what, detail, act in (
            ("reserved bytes behind the suite", "SEC_ABUSE_CONTROL_PLANE",
             lambda: sends(client.macs.again(changed(good, 9)))),
            ("an initiation as an inquiry", "authentication", lambda: sends(client.macs.again(b"\x08" + good[1:]))),
            ("suite 4", "SEC_ABUSE_CONTROL_PLANE", lambda: sent(head={"suite": 4})),
            ("a suite that the profile doesn't allow", "policy_refused", lambda: sent(head={"suite": 3})),
            ("a suite inside that isn't the one outside", "authentication", lambda: sent(suite=2)),
            ("version 2", "authentication", lambda: sent(version=2)),
            ("no lanes", "authentication", lambda: sent(lanes=0)),
            ("index 0", "authentication", lambda: sent(head={"sender": 0})),
            ("another sender than was sealed", "authentication", lambda: sends(client.macs.again(changed(good, 4)))),
            ("another ephemeral key", "authentication", lambda: sends(client.macs.again(changed(good, 20)))),
            ("a changed payload", "authentication", lambda: sends(client.macs.again(changed(good, 200))))):
        follows(s, client, f"{what}: {detail}", event("SECURITY_EVENT", detail), act)
    stranger = python_client(private=os.urandom(32))
    follows(s, stranger, "an unknown key", event("SECURITY_EVENT", "HANDSHAKE_FAIL", "unknown_key"), stranger.initiate)
    follows(s, client, "an unknown critical field", event("SECURITY_EVENT", "HANDSHAKE_FAIL", "unknown_field"),
            lambda: sent(fields=wire.field(9, b"new", critical=True)))
    follows(s, client, "a malformed field", event("SECURITY_EVENT", "HANDSHAKE_FAIL", "unknown_field"),
            lambda: sent(fields=b"\1\0\xff\xff"))
    s.expect("no session came of all that", not GATEWAY.show()["sessions"])

    step("Old and repeated initiations")
    follows(s, client, "an old one is a replay", replay, lambda: sent(timestamp=OLD))
    s.expect("and is told what to carry", client.answer() == "retry")
    freshness = client.dial.freshness
    s.expect("one with that is taken, old as it is", client.attach(timestamp=OLD, freshness=freshness))
    taken = client.dial.message
    follows(s, client, "sent again it is a replay", replay, lambda: sends(taken))
    s.expect("and doesn't touch the session", client.confirm())
    client.initiate(timestamp=OLD, freshness=freshness)
    s.expect("what it carried is good once", client.answer() == "retry" and client.dial.freshness != freshness)
    s.expect("an unknown field that isn't critical is skipped", client.attach(fields=wire.field(9, b"new")))

    step("A wrong preshared key")
    mistaken = python_client(psk=os.urandom(32))
    for _ in range(4):
        mistaken.initiate()
        s.expect("the answer doesn't open", mistaken.answer() == "bad_response")
    s.expect("the gateway tells of it", lambda: event(*abuse, "not_confirmed")() > 0, within=5)

    step("More handshakes than the gateway takes")
    burst = [client.initiation(timestamp=OLD).message for _ in range(PER_S + 10)]

    def answer_to(cookie: bytes | None) -> str | None:
        dial = client.initiation(cookie=cookie)
        for each in burst:
            sends(each)
        client.submit(dial)
        return client.answer()

    before = counter("cookies_sent")()
    s.expect("a cookie is demanded", answer_to(None) == "cookie")
    cookie = client.dial.cookie
    s.expect("another one doesn't help", answer_to(bytes(16)) == "cookie")
    s.expect("with it the client gets in", answer_to(cookie) == "response" and client.confirm())
    follows(s, client, "the same again counts once", counter("handshakes_throttled"),
            lambda: sends(client.dial.message))
    s.expect("the gateway counts its cookies", counter("cookies_sent")() >= before + 2)
