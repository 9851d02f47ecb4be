#!/usr/bin/env python3
"""An inner packet too large for the tunnel is answered with the MTU that fits: by the gateway with ICMP
fragmentation-needed and packet-too-big towards the server, by the TUN's own MTU at the client. A packet of exactly
that MTU passes.

  jvpn-client jvpn0 ══ tunnel, 1440 ══ jvpn-gw lan ── 1500 ── lan jvpn-lan        (jvpn_lab/topology.py)
"""
import re

from e2e import (CLIENT, CLIENT4, CLIENT6, SERVER4, SERVER6, Scenario, bounded, in_namespace, in_ns, ip, scenario, step,
                 wait_for)


def ping_sized(host: str, address: str, size: int, count: int = 1) -> tuple[bool, str]:
    """Unfragmentable packets of that size, headers counted: whether they were answered, and what ping said."""
    payload = size - (48 if ":" in address else 28)
    words = f"ping -n -M do -c {count} -i 0.2 -W 1 -s {payload} {address}".split()
    done = bounded(10, *in_namespace(host, *words))
    return done.returncode == 0, done.stdout


def told_mtu(said: str) -> int:
    """0: none."""
    found = re.search(r"mtu[ :=]+(\d+)", said)
    return int(found[1]) if found else 0


def expect_mtu(s: Scenario, host: str, address: str, mtu: int) -> None:
    """The tunnel's MTU over a 1500-byte link is 1440 over outer IPv4, 1420 over outer IPv6."""
    s.expect(f"{address}: the MTU that was told is plausible ({mtu or 'none'})", 1400 <= mtu <= 1440)
    s.expect(f"{address}: a packet of that size passes", ping_sized(host, address, mtu or 1500)[0])
    s.expect(f"{address}: one byte more does not", not ping_sized(host, address, mtu + 1)[0])


def gateway_answers(s: Scenario, target: str, router: str) -> None:
    in_ns("lan", "ip", "route", "flush", "cache")
    in_ns("lan", "ip", "-6", "route", "flush", "cache")
    _, said = ping_sized("lan", target, 1500, 2)
    s.expect(f"{target}: {router} answers 1500 bytes with an MTU, not the own kernel",
             re.search(rf"^From {re.escape(router)} .*(Frag needed|Packet too big)", said, re.M))
    expect_mtu(s, "lan", target, told_mtu(said))


def client_answers(s: Scenario, target: str) -> None:
    expect_mtu(s, "client", target, told_mtu(ping_sized("client", target, 1500)[1]))


with scenario(120) as s:
    s.session()
    step("From the server towards the client")
    gateway_answers(s, CLIENT4, "10.99.0.1")
    gateway_answers(s, CLIENT6, "fd99::1")
    step("From the client towards the server")
    client_answers(s, SERVER4)
    client_answers(s, SERVER6)
    told_too_big = CLIENT.drops("too_big")
    step("A standby path of 1400 bytes, and nothing to send")
    ip("client", "link set wan1 mtu 1400")
    s.expect("its probes are no packets that were too big",
             not wait_for(6, lambda: CLIENT.drops("too_big") > told_too_big))
