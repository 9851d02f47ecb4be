#!/usr/bin/env python3
"""SIGTERM: both programs end within 2 s with exit code 0, tell the peer, and take their routes, TUN and sockets with
them.

  jvpn-client (1) SIGTERM ══ TERMINATE → ══ jvpn-gw ── jvpn-lan    (see jvpn_lab/topology.py)
  jvpn-client ══════════════ ← TERMINATE ══ jvpn-gw (2) SIGTERM
"""
import signal
import time

from e2e import (CLIENT, GATEWAY, SERVER4, Program, info, ip, pings, processes, scenario, start_dialler, step, succeeds,
                 wait_for)


def ends_in_time(end: Program) -> bool:
    """After SIGTERM, within 2 s, with exit code 0."""
    began = time.monotonic()
    processes.send(end.name, signal.SIGTERM)
    if not wait_for(5, lambda: processes.ended(end.name)):
        return False
    milliseconds = round((time.monotonic() - began) * 1000)
    status = processes.exit_code(end.name)
    info(f"{end.name} ended after {milliseconds} ms with exit code {status}")
    return status == 0 and milliseconds < 2000


def ended_by_peer(end: Program) -> bool:
    show = end.show()
    attached = any(session["state"] == "ATTACHED" for session in show["sessions"])
    return not attached and show["terminated"] and show["terminated"][-1]["reason"] == "POLICY_TERMINATION"


with scenario(120) as s:
    s.session(state="none")  # or the gateway would leave the session to its next run
    s.expect("traffic flows", pings("client", SERVER4))

    step("SIGTERM to jvpn-client")
    s.expect("it ends within 2 s", lambda: ends_in_time(CLIENT))
    s.expect("the gateway's session is gone: POLICY_TERMINATION", lambda: ended_by_peer(GATEWAY), within=2)
    s.expect("jvpn0 is gone", lambda: not succeeds("ip", "-n", "jvpn-client", "link", "show", "jvpn0"), within=1)
    s.expect("its IPv4 route is gone", not ip("client", "route show 10.99.0.0/24").strip())
    s.expect("its IPv6 route is gone", not ip("client", "-6 route show fd99::/64").strip())
    s.expect("its admin socket is gone", not CLIENT.socket.exists())
    s.expect("the gateway lives on", GATEWAY.answers, within=2)

    step("SIGTERM to jvpnd under a new session")
    start_dialler()
    s.expect("traffic flows again", pings("client", SERVER4))
    s.expect("jvpnd ends within 2 s", lambda: ends_in_time(GATEWAY))
    s.expect("the client was told: POLICY_TERMINATION", lambda: ended_by_peer(CLIENT), within=2)
    s.expect("its admin socket is gone", not GATEWAY.socket.exists())
    s.expect("the client still ends within 2 s", lambda: ends_in_time(CLIENT))
