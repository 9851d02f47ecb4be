#!/usr/bin/env python3
"""Paths of 1280 to 9000 bytes, on the client's device or somewhere behind it where packets are lost without a word: as
the first, the second and the only underlay, changed while TCP runs both ways, IPv4 and IPv6 inside and outside. TCP
moves within 2 s after each change (5 are allowed to a machine that does something else, too); nobody is asked but the tunnel's own probes.

  jvpn-client wanN ── client [jvpn-netN: eats what is larger] gw ── wanN jvpn-gw ── jvpn-lan   (jvpn_lab/topology.py)
"""
import json
import time

from e2e import (CLIENT, LINKS, ROOT, SERVER4, SERVER6, Scenario, active_link, endpoints, faults, in_ns, info, ip, log_of,
                 planned_jump, processes, require_within, scenario, spawn, start_dialler, step)
from jvpn_lab.settings import OUTSIDE6, gateway4

SIZES = (9000, 1400, 1340, 1300, 1280)
POLICY = "version: 1, switching: {switch_cooldown_ms: 250, max_switches_per_min: 64}"
_FLOWS = ROOT / "lab/jvpn_lab/flows.py"
_PORT, _RATE = 5400, 2_000_000
_MOVED = 200_000  # of each flow


def received() -> dict[str, int]:
    """Bytes of each flow."""
    got: dict[str, int] = {}
    for name in ("flows-server", "flows-client"):
        lines = log_of(name).read_text().splitlines()
        got |= json.loads(lines[-1]) if lines else {}
    return got


def start_flows() -> None:
    for name in ("flows-client", "flows-server"):
        if processes.runs(name):
            processes.stop(name)
    spawn("flows-server", "lan", "python3", _FLOWS, "serve", str(_PORT))
    require_within(5, lambda: f":{_PORT}" in in_ns("lan", "ss", "-ltn"), "no server")
    spawn("flows-client", "client", "python3", _FLOWS, "run", str(_PORT), str(_RATE), SERVER4, SERVER6)
    require_within(10, lambda: len(received()) == 4 and all(received().values()), "the flows did not start")


def tcp_moves(s: Scenario, what: str) -> None:
    began = time.monotonic()
    before: dict[str, int] = {}
    slow: list[str] = []

    def moved() -> bool:
        if not before:  # what was in flight has arrived
            if time.monotonic() >= began + 0.2:
                before.update(received())
            return False
        slow[:] = [flow for flow, count in received().items() if count < before[flow] + _MOVED]
        return not slow

    s.expect(f"{what}: TCP moves again, four flows", moved, within=5)
    info(f"after {time.monotonic() - began:.1f} s; tunnel {CLIENT.show()['interface']['mtu']}"
         + (f"; not: {', '.join(slow)}" if slow else ""))


def device(link: str, size: int) -> None:
    ip("client", f"link set {link} mtu {size or 1500}")


WAYS = {"device": device, "path": faults.eat}


def restart() -> None:
    CLIENT.stop()
    start_dialler()
    start_flows()


def sizes_of(way: str) -> tuple[int, ...]:
    return SIZES if way == "device" else SIZES[1:]  # no link of the lab is larger than 1500 in the middle


def as_first(s: Scenario, way: str) -> None:
    restart()
    for size in sizes_of(way):
        WAYS[way](active_link(), size)
        tcp_moves(s, f"first underlay, {way} of {size}")
    for link in LINKS:
        WAYS[way](link, 0)
    tcp_moves(s, f"first underlay, {way} whole again")


def as_second(s: Scenario, way: str) -> None:
    restart()
    for size in sizes_of(way):
        home = active_link()
        other = next(link for link in LINKS if link != home)
        WAYS[way](other, size)
        planned_jump(other)
        s.expect(f"on the second underlay, {way} of {size}", lambda other=other: active_link() == other, within=5)
        tcp_moves(s, f"second underlay, {way} of {size}")
        planned_jump(home)
        s.expect("back", lambda home=home: active_link() == home, within=5)
        WAYS[way](other, 0)
        tcp_moves(s, "back on the first")


def as_only(s: Scenario, way: str) -> None:
    for link in LINKS[1:]:
        faults.cut(link, "down")
    restart()
    for size in sizes_of(way):
        WAYS[way]("wan0", size)
        tcp_moves(s, f"only underlay, {way} of {size}")
    step(f"A new session over a {way} of 1280")
    restart()
    tcp_moves(s, f"only underlay, {way} of 1280, from the start")
    WAYS[way]("wan0", 0)
    for link in LINKS[1:]:
        faults.heal(link)


with scenario(600) as s:
    for family, remotes in (("IPv4", [gateway4(link) for link in LINKS]),
                            ("IPv6", [f"[{OUTSIDE6[link].removesuffix('2')}1]" for link in LINKS])):
        s.session(emulated=LINKS, endpoints=endpoints(*remotes), policy=POLICY)
        for way in WAYS:
            step(f"{family} outside, {way}")
            as_first(s, way)
            as_second(s, way)
            as_only(s, way)
