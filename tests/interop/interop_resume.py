#!/usr/bin/python3
"""A client in Python goes on with its session after jvpnd was killed, and is refused what it may not have.

  Python (jvpn-client) ══ wan0 ══ jvpn-gw (SIGKILL, start)      (jvpn_lab/topology.py)
"""
import base64
import contextlib
import os
import signal
import sqlite3

import noise
import wire
from interop import (GATEWAY, LAB_DIR, event, follows, processes, python_client, require_within, scenario, start_gateway,
                     step)

STRANGER = os.urandom(32)


def stored(session: bytes) -> bool:
    """Whether the gateway would find it after its death."""
    with contextlib.closing(sqlite3.connect(f"file:{LAB_DIR}/state-gw1/sessions.db?mode=ro", uri=True)) as store:
        return store.execute("SELECT 1 FROM sessions WHERE id = ? AND ended = 0", (session,)).fetchone() is not None


def restart() -> None:
    processes.send(GATEWAY.name, signal.SIGKILL)
    require_within(5, lambda: processes.ended(GATEWAY.name), "jvpnd doesn't end")
    GATEWAY.start(keep_log=True)
    require_within(30, lambda: GATEWAY.runs() and GATEWAY.answers(), "jvpnd does not answer again")


with scenario(120) as s:
    s.prepare(policy="version: 1, observability: {security_events_per_s: 1000}")
    profile = LAB_DIR / GATEWAY.profile
    other = base64.b64encode(noise.key_pair(STRANGER).public.data).decode()
    profile.write_text(profile.read_text().replace(
        "peers:\n", f'peers:\n  - {{name: other, public_key: "{other}", allowed_ips: [10.77.0.9/32]}}\n'))
    start_gateway()
    client = python_client()

    step("A session, and the gateway is killed")
    s.expect("attached", client.attach())
    session_id, version = client.session.id, client.session.binding_version
    s.expect("and stored", lambda: stored(session_id), within=5)
    restart()

    def claim(nonce: int, of: bytes = session_id, at: int = version) -> bytes:
        return wire.resume_claim(of, at, nonce)

    step("Claims that are refused")
    thief = python_client(private=STRANGER, psk=bytes(32))
    follows(s, thief, "another's session: SEC_SESSION_FIXATION_ATTEMPT",
            event("SECURITY_EVENT", "SEC_SESSION_FIXATION_ATTEMPT"), lambda: thief.initiate(fields=claim(1)))
    s.expect("and no answer", thief.answer(0.5) != "response")

    step("The session goes on")
    s.expect("the claim is answered with its id", client.attach(fields=claim(2)) and client.session.id == session_id)
    s.expect("its version is above the block that was reserved", client.session.binding_version > version + 1000)
    s.expect("the gateway has it attached", lambda: GATEWAY.session()["state"] == "ATTACHED", within=2)
    s.expect("under its id", bytes.fromhex(GATEWAY.session()["session_id"]) == session_id)
    s.expect("and says that it was resumed", lambda: event("STATE_CHANGE", "resumed")() == 1, within=2)
    s.expect("and whose it was", event("OWNERSHIP_CHANGE", "SESSION_RESUMED")() == 1)

    step("What can't be resumed begins anew")
    resumed = client.session.binding_version
    s.expect("an unknown session", client.attach(fields=claim(3, of=os.urandom(16))))
    s.expect("has another id", client.session.id != session_id)
    follows(s, client, "a version of the future is told", event("REATTACH", "FRESHNESS_INVALID", "future_version"),
            lambda: client.attach(fields=claim(4, client.session.id, resumed + 5000)))
    fresh = client.session.id
    s.expect("what was replaced stays replaced", client.attach(fields=claim(5)))
    s.expect("by a new one", client.session.id not in (session_id, fresh))
