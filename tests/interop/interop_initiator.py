#!/usr/bin/python3
"""A client in Python, written from docs/PROTOCOL.md alone, against jvpnd: handshake, data both ways, rekey, probes, a
jump to a warm path, one by proof, close.

  Python (jvpn-client) ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import inner
import jump
from interop import (CLIENT4, GATEWAY, SERVER4, processes, python_client, scenario, spawn, start_gateway, step,
                     udp_socket)

PORT = 7010

with scenario(60) as s:
    s.prepare(policy="version: 1, switching: {switch_cooldown_ms: 250}")
    start_gateway()
    client = python_client()
    server = udp_socket("lan", SERVER4, PORT)

    step("Handshake and data")
    s.expect("attached", client.attach())
    s.expect("the gateway says so, too", client.until(GATEWAY.attached))
    s.expect("pings pass", client.ping(CLIENT4, SERVER4))
    spawn("ping", "lan", "ping", "-n", "-q", "-c", "5", "-i", "0.05", "-W", "2", CLIENT4)
    s.expect("pings pass towards the client",
             client.until(lambda: processes.logged("ping", "5 received, 0% packet loss")))
    client.session.send_packet(inner.udp((CLIENT4, PORT), (SERVER4, PORT), b"there"))
    server.setblocking(True)
    server.settimeout(5)
    data, source = server.recvfrom(2048)
    s.expect("UDP arrives in the gateway's network", (data, source) == (b"there", (CLIENT4, PORT)))
    server.sendto(b"and back", source)
    s.expect("and the answer here", client.until(
        lambda: any(arrival.message.name == "DATA" and inner.udp_data(arrival.message.packet) == b"and back"
                    for arrival in client.session.arrived)))
    client.session.send("HEARTBEAT", clock_us=12345, binding_version=client.session.binding_version)
    s.expect("a heartbeat's clock comes back", client.take("HEARTBEAT_ACK", echo_us=12345))

    step("Rekey")
    session_id = client.session.id.hex()
    for number in (2, 3):
        s.expect(f"key generation {number}", client.rekey())
        s.expect("pings pass", client.ping(CLIENT4, SERVER4))
    s.expect("the gateway tells of both", client.until(lambda: GATEWAY.told('"KEY_EVENT".*"rekeyed"') == 2))

    step("MTU probes, path probes")
    wan1 = jump.open_path(client, "wan1")
    s.expect("a path probe is answered at full length", jump.probe(client, wan1, client.mtu))
    s.expect("1280 bytes pass", jump.mtu_probe(client, client.session.binding, 1280, 1280))
    s.expect("1280 bytes pass on a standby path", jump.mtu_probe(client, wan1, 1280, 1280))
    s.expect("path probes are as long from then on", jump.probe(client, wan1, 1280))

    step("Jumps")
    version = client.session.binding_version
    s.expect("a warm path is taken at once", jump.jump(client, wan1) == ["REATTACH_ACK"])
    s.expect("binding_version rose", client.session.binding_version > version)
    s.expect("pings pass", client.ping(CLIENT4, SERVER4))
    wan2 = jump.open_path(client, "wan2")
    s.expect("another one by proof, once the first has cooled down",
             client.until(lambda: jump.jump(client, wan2) == ["REATTACH_CHALLENGE", "REATTACH_ACK"]))
    s.expect("pings pass", client.ping(CLIENT4, SERVER4))
    s.expect("the gateway tells of both", client.until(lambda: GATEWAY.switches() == 2))
    s.expect("it sends there", client.until(lambda: GATEWAY.session()["remote"].startswith("203.0.113.2:")))
    s.expect("still the same session", GATEWAY.session()["session_id"] == session_id)
    s.expect("new keys there", client.rekey())
    s.expect("pings pass", client.ping(CLIENT4, SERVER4))
    s.expect("nothing was refused that came", not client.session.refused)

    step("Close")
    client.close()
    s.expect("the gateway has ended the session, too", lambda: not GATEWAY.show()["sessions"], within=5)
    s.expect("and says why", lambda: GATEWAY.told('"POLICY_TERMINATION".*"peer_terminate".*"TERMINATED"') == 1,
             within=5)
