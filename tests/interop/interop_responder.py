#!/usr/bin/python3
"""jvpn-client against a gateway in Python, written from docs/PROTOCOL.md alone: cookie, retry, handshake, data both
ways, rekey, a jump that is accepted, one that is refused, one from a dead path that tells what came by it, a session that the
gateway loses, the end.

  jvpn-client ══ wan0, wan1, wan2 ══ Python (jvpn-gw)      (jvpn_lab/topology.py)
"""
import noise
import wire
from interop import CLIENT, CLIENT4, LINKS, SERVER4, ip, key_file, processes, program, scenario, spawn, step
from jvpn_lab.settings import OUTSIDE4, gateway4
from responder import Responder

REKEY_MS = 1500

with scenario(60) as s:
    s.prepare(rekey_ms=REKEY_MS)
    for link in LINKS:
        ip("gw", f"address add {gateway4(link)}/24 dev {link}")
    gateway = Responder(key_file("gateway.key"), key_file("shared.psk"), key_file("client.pub"), {"cookie", "retry"})

    def pinged() -> bool:
        """By the client's host, through the tunnel."""
        spawn("ping", "client", "ping", "-n", "-q", "-c", "5", "-i", "0.05", "-W", "2", SERVER4)
        gateway.until(lambda: processes.ended("ping"))
        return processes.logged("ping", " 0% packet loss") == 1

    def jumped(link: str) -> int:
        """The exit code of `jvpn jump`."""
        spawn("jump", "client", program("jvpn"), "--socket", CLIENT.socket, "jump", "--underlay", link)
        gateway.until(lambda: processes.ended("jump"), 15)
        return processes.exit_code("jump")

    def uses(link: str) -> bool:
        return gateway.session.binding.path.remote[0] == OUTSIDE4[link]

    step("Handshake and data")
    gateway.fields = wire.field(9, b"new", critical=True)
    CLIENT.start()
    s.expect("the client refuses a response with an unknown critical field",
             gateway.until(lambda: CLIENT.told('"SEC_ABUSE_CONTROL_PLANE".*"unknown_field"')))
    s.expect("it had brought a cookie and what the retry told", gateway.told[:3] == ["cookie", "retry", "response"])
    gateway.fields = wire.field(9, b"new")
    gateway.flags = wire.HOLDS
    gateway.demands = {"cookie"}  # its other paths have none yet
    s.expect("and takes one that isn't critical", gateway.until(CLIENT.attached, 8))
    s.expect("pings pass", pinged())
    s.expect("pings pass towards the client", gateway.ping(SERVER4, CLIENT4))

    step("Rekey")
    s.expect("the client asks for new keys, and uses them", gateway.until(lambda: gateway.session.current.number >= 3))
    s.expect("pings pass", pinged())
    s.expect("pings pass towards the client", gateway.ping(SERVER4, CLIENT4))

    step("Jumps")
    first, second = (link for link in LINKS if not uses(link))
    s.expect("its standby paths are warm", gateway.until(
        lambda: {OUTSIDE4[first], OUTSIDE4[second]} <= {remote[0] for remote, _ in gateway.warm}))
    s.expect("a jump", jumped(first) == 0 and uses(first))
    s.expect("pings pass", pinged())
    s.expect("pings pass towards the client", gateway.ping(SERVER4, CLIENT4))
    gateway.refuses_jumps = True
    s.expect("one that is refused", jumped(second) == 1)
    s.expect("goes nowhere", uses(first) and gateway.until(CLIENT.attached))
    s.expect("and the client says why", gateway.until(lambda: CLIENT.told("candidate_refused")))
    s.expect("pings pass", pinged())
    gateway.refuses_jumps = False
    s.expect("allowed again it succeeds", jumped(second) == 0 and uses(second))
    s.expect("pings pass", pinged())
    s.expect("nothing was refused that came", not gateway.session.refused)

    s.expect("a path that lives has nothing to tell", gateway.reports is None)

    step("A path that dies")
    s.expect("pings pass towards the client", gateway.ping(SERVER4, CLIENT4))
    dead = gateway.session.binding
    sent = {binding.remote: {binding.number * gateway.lanes: (binding.data_sent, 0)} if binding.data_sent else {}
            for generation in gateway.session.generations for binding in generation.bindings.values()}
    late = gateway.session.seal_data(bytes(28))
    unknown = CLIENT.drops("unknown_index")
    ip("client", f"link set dev {second} down")
    s.expect("the client jumps", gateway.until(lambda: gateway.session.binding is not dead, 8))
    s.expect("it has told what came by the dead one", dead.remote in gateway.reports)
    s.expect("all that was sent, and no more", all(sent[index] == lanes for index, lanes in gateway.reports.items()))
    gateway.session.binding.path.send(late)
    s.expect("what is late is not taken", gateway.until(lambda: CLIENT.drops("unknown_index") > unknown))
    ip("client", f"link set dev {second} up")
    s.expect("pings pass", pinged())
    s.expect("pings pass towards the client", gateway.ping(SERVER4, CLIENT4))

    step("The gateway loses the session")
    def resets(name: str) -> int:
        return CLIENT.show()["control"][f"resets_{name}"]

    gateway.demands = set()
    lost, path = gateway.session, gateway.session.binding.path
    path.send(noise.ResetTokens(bytes(32)).message(lost.binding.local, 1))
    s.expect("a token that isn't the index' is refused", gateway.until(lambda: resets("refused") == 1))
    s.expect("and has nobody dialled", gateway.ping(SERVER4, CLIENT4) and gateway.session is lost)
    gateway.session = None
    s.expect("its own has the client dial at once", gateway.until(lambda: gateway.session, 2) and gateway.resets >= 1)
    s.expect("which says why", gateway.until(lambda: CLIENT.told('"KEYS_LOST"') == 1) and resets("taken") == 1)
    s.expect("pings pass", pinged())
    s.expect("pings pass towards the client", gateway.ping(SERVER4, CLIENT4))

    step("The end")
    CLIENT.stop()
    s.expect("the client says goodbye", gateway.take("TERMINATE"))
