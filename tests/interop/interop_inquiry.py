#!/usr/bin/python3
"""jvpn-client asks the second gateway of its cluster, in Python, whether it would take the session; then the first one dies,
and the claim goes to the second with what that had told.

  jvpn-client ══ wan0, wan1, wan2 ══ Python (jvpn-gw): first gateway at .1, second at .3      (jvpn_lab/topology.py)
"""
from collections.abc import Callable
from typing import Any

import noise
import wire
from interop import CLIENT, LAB_DIR, LINKS, ip, key_file, scenario, step, udp_socket
from jvpn_lab.settings import PORT, endpoints, gateway4, second_gateway4
from responder import Responder
from session import Path


class Second(Responder):
    """It has no session; it keeps the initiations that come."""

    def __init__(self, *keys: bytes) -> None:
        super().__init__(*keys, {"cookie", "retry"})
        self.sockets = [udp_socket("gw", second_gateway4(link), PORT) for link in LINKS]
        self.initiations: list[tuple[bytes, Path]] = []

    def handle_handshake(self, datagram: bytes, path: Path) -> None:
        if datagram[0] == wire.INITIATION:
            self.initiations.append((datagram, path))
        super().handle_handshake(datagram, path)


with scenario(90) as s:
    s.prepare()
    profile = LAB_DIR / CLIENT.profile
    others = endpoints(*(second_gateway4(link) for link in LINKS))
    profile.write_text(profile.read_text().replace("  allowed_ips:", f"  cluster: [{{name: second, endpoints: [{others}]}}]\n"
                                                                     "  allowed_ips:"))
    for link in LINKS:
        for address in (gateway4(link), second_gateway4(link)):
            ip("gw", f"address add {address}/24 dev {link}")
    keys = key_file("gateway.key"), key_file("shared.psk"), key_file("client.pub")
    first, second = Responder(*keys), Second(*keys)

    def both(condition: Callable[[], Any], seconds: float = 10) -> Any:
        """The condition's value, once it holds while both run."""
        def holds() -> Any:
            second.until(lambda: False, 0.01)
            return condition()
        return first.until(holds, seconds)

    def state_of_second() -> str:
        return CLIENT.show()["gateways"][1]["state"]

    step("Inquiries")
    CLIENT.start()
    s.expect("attached at the first", both(CLIENT.attached))
    s.expect("the second is asked by each path", both(lambda: len(second.told) == len(LINKS), 15))
    s.expect("and warm", both(lambda: state_of_second() == "warm"))
    s.expect("nothing else was wanted of it", set(second.told) == {"readiness"} and not second.initiations)
    row = CLIENT.show()["gateways"][1]
    s.expect("show names its path and round trip", row["remote"] in others and row["rtt_us"] > 0)

    step("The first one dies")
    s.expect("the session is claimed at the second", second.until(lambda: second.initiations, 15))
    claim, path = second.initiations[0]
    s.expect("by the path that was shown", path.remote[0].rpartition(".")[0] == row["remote"].rpartition(".")[0])
    s.expect("with the cookie that the second had told",
             claim[-16:] == noise.cmac(second.cookie_of(path), claim[:-16]))
    s.expect("and its freshness: nothing more is asked for", "cookie" not in second.told and "retry" not in second.told
             and "response" in second.told)
