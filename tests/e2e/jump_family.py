#!/usr/bin/env python3
"""One link, endpoints of both families: when its IPv4 is cut the session goes on over its IPv6, and the other way
round. Only wan0 reaches the two endpoints.

  jvpn-client wan0 ══ 192.0.2.2   ↔ 192.0.2.1   ══ wan0 jvpn-gw ── jvpn-lan       (jvpn_lab/topology.py)
                   ══ 2001:db8::2 ↔ 2001:db8::1 ══
"""
from e2e import GATEWAY, Scenario, active_link, endpoints, faults, scenario, start_transfer, step

IPV4, IPV6 = "192.0.2.2:", "[2001:db8::2]:"


def sends_to(address: str) -> bool:
    return GATEWAY.session()["remote"].startswith(address)


def family_cut(s: Scenario, family: str, other: str) -> None:
    step(f"{family} on wan0 becomes a black hole")
    faults.cut("wan0", family)
    s.expect_jump(10)
    s.expect("wan0 still carries the session", lambda: active_link() == "wan0")
    s.expect("by the other family", lambda: sends_to(other))
    faults.heal("wan0")


with scenario(150) as s:
    s.session(endpoints=endpoints("192.0.2.1", "[2001:db8::1]"))
    start_transfer(32, 16)
    s.expect("the session begins over IPv4", lambda: sends_to(IPV4))
    family_cut(s, "ipv4", IPV6)
    family_cut(s, "ipv6", IPV4)
    s.jump_end()
