#!/usr/bin/python3
"""Each way in which jvpnd refuses what comes within a session, by the name in its events, from a client in Python that
has all keys.

  Python (jvpn-client) ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import inner
import jump
import wire
from interop import (CLIENT4, GATEWAY, SERVER4, changed, counter, drop, event, follows, python_client, scenario,
                     start_gateway, step)
from session import now_us

PER_S = 30
COOLDOWN_MS = 2000
NONE_KNOWN = 99  # no control message has this type

with scenario(60) as s:
    s.prepare(policy="version: 1, observability: {security_events_per_s: 1000}, "
              f"security: {{reattach_rate_per_s: {PER_S}}}, switching: {{switch_cooldown_ms: {COOLDOWN_MS}}}")
    start_gateway()
    client = python_client()

    def sends(datagram: bytes) -> None:
        client.session.binding.path.send(datagram)

    def data(packet: bytes = b"", lane: int = 0) -> bytes:
        return client.session.seal_data(packet or inner.echo(CLIENT4, SERVER4, 1), lane)

    def heartbeat() -> bytes:
        plaintext = wire.control("HEARTBEAT", clock_us=now_us(), binding_version=client.session.binding_version)
        return client.session.seal_control(plaintext, client.session.current, client.session.binding)

    def lives(what: str) -> None:
        s.expect(f"{what}: the session goes on", client.ping(CLIENT4, SERVER4))

    def ends(what: str, act: object) -> None:
        s.expect("attached", client.attach())
        follows(s, client, f"{what} ends the session",
                event("STATE_CHANGE", "FATAL_PROTOCOL_ERROR", "impossible_message", "TERMINATED"), act)

    step("Packets")
    s.expect("attached", client.attach())
    recorded, recorded_control = data(), heartbeat()
    sends(recorded)
    sends(recorded_control)
    for what, name, datagram in (
            ("data again", "replay_duplicate", recorded),
            ("a changed packet", "bad_tag", changed(data(), -1)),
            ("a changed control message", "bad_tag", changed(heartbeat(), -1)),
            ("a lane that wasn't announced", "lane_unknown", data(lane=client.lanes)),
            ("an index of nobody", "unknown_index", data()[:4] + bytes(4) + data()[8:]),
            ("somebody else's inner source", "inner_source", data(inner.echo(SERVER4, SERVER4, 1))),
            ("no packet", "inner_header", data(bytes(40)))):
        follows(s, client, f"{what}: {name}", drop(name), lambda: sends(datagram))
    follows(s, client, "a control message again", event("SECURITY_EVENT", "SEC_REPLAY_ATTEMPT"),
            lambda: sends(recorded_control))
    lives("after all that")

    step("Control messages")
    follows(s, client, "one of an unknown type is skipped", counter("control_unknown_type"),
            lambda: client.session.send_plaintext(wire.control_of_type(NONE_KNOWN)))
    follows(s, client, "one with an unknown critical field, too", counter("control_unknown_field"),
            lambda: client.session.send("HEARTBEAT", tail=wire.field(9, b"new", critical=True)))
    client.session.send("HEARTBEAT", clock_us=4711, tail=wire.field(9, b"new"))
    s.expect("a field that isn't critical does no harm", client.take("HEARTBEAT_ACK", echo_us=4711))
    follows(s, client, "one of another version is skipped", counter("control_malformed"),
            lambda: client.session.send_plaintext(b"\2\1" + bytes(22)))
    lives("after all that")
    client.start_rekey(number=1)
    client.take("REKEY_RESPONSE")
    follows(s, client, "a rekey whose number isn't new is ignored", counter("control_stale"),
            lambda: client.start_rekey(number=1))
    lives("after all that")

    step("Requests for a jump")
    spare = jump.open_path(client, client.paths["wan1"])
    REJECT = ["REATTACH_REJECT"]
    for what, words, changes in (
            ("another session", ("SESSION_NOT_FOUND", ), {"session_id": bytes(16)}),
            ("a clock that is a minute late", ("FRESHNESS_INVALID", "stale_time"),
             {"clock_ms": now_us() // 1000 - 60_000}),
            ("nonce 0", ("REPLAY_DETECTED", ), {"nonce": 0}),
            ("an old version", ("FRESHNESS_INVALID", "stale_version"),
             {"binding_version": client.session.binding_version - 1}),
            ("a version never told", ("FRESHNESS_INVALID", "future_version"),
             {"binding_version": client.session.binding_version + 1}),
            ("a second binding beside a living one", ("POLICY_DENY", "dual_active"), {"retire_active": 0}),
            ("another number of lanes", ("POLICY_DENY", "candidate_refused"), {"lanes": client.lanes + 1})):
        follows(s, client, f"{what}: {' '.join(words)}", event("REATTACH", *words),
                lambda: s.expect("rejected", jump.jump(client, spare, **changes) == REJECT))

    step("Proofs")
    wrong = event("REATTACH", "AUTH_FAIL")
    jump.request(client, spare)
    challenge = jump.outcome(client)
    follows(s, client, "a wrong token: AUTH_FAIL", wrong, lambda: jump.prove(client, challenge, spare, token=bytes(16)))
    spare.path, right = client.paths["wan2"], spare.path
    follows(s, client, "the right one from another address: AUTH_FAIL", wrong,
            lambda: jump.prove(client, challenge, spare))
    spare.path = right
    s.expect("neither is told anything", jump.outcome(client, 0.2) is None)
    follows(s, client, "an answer to no challenge is stale", counter("control_stale"),
            lambda: jump.prove(client, challenge, spare, nonce=challenge.message.nonce + 1))
    jump.prove(client, challenge, spare)
    ack = jump.outcome(client)
    s.expect("the right one from there is taken", ack and ack.message.name == "REATTACH_ACK")
    jump.commit(client, ack, spare)
    lives("on the new path")
    s.expect("all that made one jump", client.until(lambda: GATEWAY.switches() == 1))

    step("Denied by policy")
    other = jump.open_path(client, client.paths["wan2"])
    follows(s, client, "a jump within the cooldown", event("REATTACH", "POLICY_DENY", "cooldown"),
            lambda: jump.request(client, other))
    rejected = jump.outcome(client)
    s.expect("the answer says when", rejected and 0 < rejected.message.retry_after_ms <= COOLDOWN_MS)
    for _ in range(2 * PER_S):
        jump.request(client, other)
    s.expect("too many requests: RATE_LIMITED", client.until(lambda: event("REATTACH", "RATE_LIMITED")() > 0))
    lives("after all that")

    step("An ended session")
    gone = client.session.id
    client.close()
    s.expect("attached", client.attach())
    spare = jump.open_path(client, client.paths["wan1"])
    s.expect("asking for it is rejected", jump.jump(client, spare, session_id=gone) == REJECT)
    s.expect("by SESSION_EXPIRED", client.until(lambda: event("REATTACH", "SESSION_EXPIRED")() > 0))

    step("What contradicts the protocol")
    ends("a critical message of an unknown type",
         lambda: client.session.send_plaintext(wire.control_of_type(NONE_KNOWN, wire.CRITICAL_MESSAGE)))
    ends("a message without its body", lambda: client.session.send_plaintext(wire.control_of_type(1)))
    ends("a field beyond the message", lambda: client.session.send("HEARTBEAT", tail=b"\1\0\xff\xff"))

    def foreign_rekey() -> None:
        client.session.id = bytes(16)  # the transcript is another session's
        client.start_rekey()
    ends("a rekey of another session", foreign_rekey)
    s.expect("attached", client.attach())
    lives("after all that")
