#!/usr/bin/env python3
"""Packets larger than any MTU, which travel in fragments, pass both ways through AF_PACKET ports: no port puts the
fragments together, or cuts what comes of it.

  jvpn-client jvpn0 ══ tunnel, 1440 ══ jvpn-gw lan ── 1500 ── lan jvpn-lan        (jvpn_lab/topology.py)
"""
from e2e import CLIENT4, CLIENT6, GATEWAY, SERVER4, SERVER6, bounded, in_namespace, scenario, step

SIZES = (1500, 2000, 4000, 9000, 20000)


def passes(host: str, address: str, size: int) -> bool:
    words = f"ping -n -q -c 5 -i 0.05 -W 2 -s {size} {address}".split()
    return " 0% packet loss" in bounded(20, *in_namespace(host, *words)).stdout


with scenario(120) as s:
    s.session(driver="af_packet")
    for host, addresses in (("client", (SERVER4, SERVER6)), ("lan", (CLIENT4, CLIENT6))):
        step(f"From {host}")
        passes(host, addresses[1], SIZES[0])  # IPv6: the first large packets teach both ends the tunnel's MTU
        for address in addresses:
            for size in SIZES:
                s.expect(f"{address}: {size} bytes", passes(host, address, size))
    s.expect("nothing was cut", GATEWAY.drops("truncated") == 0)
