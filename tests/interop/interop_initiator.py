#!/usr/bin/python3
"""A client in Python, written from docs/PROTOCOL.md alone, against jvpnd: handshake in each suite, data both ways,
rekey, spares, probes; jumps to a warm path, by proof, from a dead path, from behind a changed NAT; a gateway that is
killed and started again; idleness; the end.

  Python (jvpn-client) ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import signal

import inner
import jump
import noise
import wire
from interop import (CLIENT4, GATEWAY, SERVER4, Scenario, processes, python_client, scenario, spawn, start_gateway,
                     step, udp_socket)
from initiator import Initiator
from jvpn_lab.settings import OUTSIDE4
from session import Binding, Path

PORT = 7010
SUITES = {"aes-128-gcm": noise.AES_128_GCM, "aes-256-gcm": noise.AES_256_GCM,
          "chacha20-poly1305": noise.CHACHA20_POLY1305}
IDLE_MS = 5000
WARM, COLD = ["REATTACH_ACK"], ["REATTACH_CHALLENGE", "REATTACH_ACK"]


def pings(s: Scenario, client: Initiator) -> None:
    s.expect("pings pass", client.ping(CLIENT4, SERVER4))


def jumps(client: Initiator, *arguments: object, answers: list[str], **changes: object) -> bool:
    """As soon as the jump before has cooled down."""
    return bool(client.until(lambda: jump.jump(client, *arguments, **changes) == answers))


def udp_passes(s: Scenario, client: Initiator) -> None:
    server = udp_socket("lan", SERVER4, PORT)
    server.setblocking(True)
    server.settimeout(5)
    client.session.send_packet(inner.udp((CLIENT4, PORT), (SERVER4, PORT), b"there"))
    data, source = server.recvfrom(2048)
    s.expect("UDP arrives in the gateway's network", (data, source) == (b"there", (CLIENT4, PORT)))
    server.sendto(b"and back", source)
    s.expect("and the answer here", client.until(
        lambda: any(arrival.message.name == "DATA" and inner.udp_data(arrival.message.packet) == b"and back"
                    for arrival in client.session.arrived)))


with scenario(60) as s:
    s.prepare(policy="version: 1, switching: {switch_cooldown_ms: 250}, session: {idle_max_ms: 25000}",
              suite=", ".join(SUITES))
    start_gateway()

    step("What the gateway says of itself")
    client = python_client()
    told = client.inquire()
    s.expect("it takes sessions, and wants to be asked again after 15 s",
             told is not None and (told.availability, told.ask_again_s) == (wire.TAKES_SESSIONS, 15))
    s.expect("no session came of that", not GATEWAY.show()["sessions"])
    s.expect("what it told lets an initiation in whose timestamp is old", client.attach(
        timestamp=wire.tai64n(0), freshness=told.freshness, cookie=told.cookie))

    step("Handshake and data")
    for name, suite in SUITES.items():
        client = python_client(suite=suite, lanes=2)
        s.expect(f"{name}: attached", client.attach())
        pings(s, client)
        s.expect("new keys", client.rekey())
        pings(s, client)
    s.expect("the gateway says so, too", client.until(GATEWAY.attached))
    spawn("ping", "lan", "ping", "-n", "-q", "-c", "5", "-i", "0.05", "-W", "2", CLIENT4)
    s.expect("pings pass towards the client",
             client.until(lambda: processes.logged("ping", "5 received, 0% packet loss")))
    udp_passes(s, client)
    client.session.send("HEARTBEAT", clock_us=12345, binding_version=client.session.binding_version)
    s.expect("a heartbeat's clock comes back", client.take("HEARTBEAT_ACK", echo_us=12345))
    session_id = client.session.id.hex()

    step("Spares, probes")
    spares = client.session.current.spares
    s.expect("spares are offered", len(spares) >= 3 and jump.ask_for_spares(client, {}) == spares)
    last = max(spares)
    offered = jump.ask_for_spares(client, {last: spares[last]})
    s.expect("one that was given back is replaced by another", offered and last not in offered
             and len(offered) == len(spares))
    client.session.current.spares = offered
    wan0, wan1, wan2 = client.paths.values()
    first = jump.open_path(client, wan1)
    s.expect("a path probe is answered at full length", jump.probe(client, first, client.mtu))
    s.expect("1280 bytes pass", jump.mtu_probe(client, client.session.binding, 1280, 1280))
    s.expect("1280 bytes pass on a standby path", jump.mtu_probe(client, first, 1280, 1280))
    s.expect("path probes are as long from then on", jump.probe(client, first, 1280))

    step("Jumps")
    version = client.session.binding_version
    s.expect("a warm path is taken at once", jump.jump(client, first) == WARM)
    s.expect("binding_version rose", client.session.binding_version > version)
    pings(s, client)
    jump.request(client, first, binding_version=version)
    again = jump.outcome(client)
    s.expect("asked again, the gateway acknowledges the same", again and again.message.name == "REATTACH_ACK"
             and again.message.binding_version == client.session.binding_version)
    s.expect("another one by proof", jumps(client, jump.open_path(client, wan2), answers=COLD))
    pings(s, client)
    s.expect("it sends there", client.until(lambda: GATEWAY.session()["remote"].startswith("203.0.113.2:")))
    s.expect("new keys there", client.rekey())
    pings(s, client)

    step("From a dead path")
    third = jump.open_path(client, wan0)
    client.session.send("TRANSPORT_DEAD", binding=third, binding_version=client.session.binding_version)
    s.expect("the gateway recovers", client.until(lambda: GATEWAY.session()["state"] == "RECOVERING"))
    s.expect("by a jump", jumps(client, third, answers=COLD, cause=jump.DEAD))
    pings(s, client)

    step("Behind a NAT that has changed")
    moved = Path(udp_socket("client", OUTSIDE4["wan0"]), wan0.remote)
    client.sockets.append(moved.socket)
    client.session.binding.path = moved
    client.session.send_packet(inner.echo(CLIENT4, SERVER4, 1))
    hint = client.take("POLICY_HINT", hint=1)
    s.expect("the gateway asks for a jump, where the data came from", hint and hint.path.socket is moved.socket)
    s.expect("which is made", jumps(client, jump.open_path(client, moved), answers=COLD, cause=jump.REBIND))
    pings(s, client)
    s.expect("the gateway tells of all four jumps", client.until(lambda: GATEWAY.switches() == 4))
    s.expect("still the same session", GATEWAY.session()["session_id"] == session_id)
    s.expect("nothing was refused that came", not client.session.refused)

    step("The gateway is killed, and started again")
    other = jump.open_path(client, wan2)
    s.expect("it has a session by two paths", jump.probe(client, other, 1280))
    GATEWAY.stop(signal.SIGKILL)
    start_gateway()
    client.resets.clear()
    client.heartbeat()
    s.expect("what it no longer knows it answers by a token that it told before", client.until(lambda: client.resets)
             and client.resets[0] == "good")
    client.resets.clear()
    client.silent = True
    jump.request(client, other)
    s.expect("on the other path, too", client.until(lambda: client.resets) and client.resets[0] == "good")
    client.session.send("HEARTBEAT", binding=Binding(0, 0, 0x0BADBAD0, wan0), clock_us=1, binding_version=1)
    s.expect("an index that nobody told is answered by another", client.until(lambda: "unknown_index" in client.resets))
    client.silent = False
    s.expect("attached again", client.attach())
    pings(s, client)

    step("Idle, and the end")
    for wanted in (IDLE_MS, 0):
        client.session.send("IDLE", binding_version=client.session.binding_version, interval_ms=wanted)
        s.expect(f"an interval of {wanted} ms is granted", client.take("IDLE", interval_ms=wanted))
    client.close()
    s.expect("the gateway has ended the session, too", lambda: not GATEWAY.show()["sessions"], within=5)
    s.expect("and says why", lambda: GATEWAY.told('"POLICY_TERMINATION".*"peer_terminate".*"TERMINATED"') == 1,
             within=5)
