#!/usr/bin/env python3
"""AF_PACKET ports get what a veth's other end has merged, without the size of its pieces, and can't split it: jvpnd says
so when it starts and when it happens, and what to do; the packets are dropped by a name of their own.

  jvpn-client jvpn0 ══ tunnel ══ jvpn-gw lan ──── lan jvpn-lan, offloads on        (jvpn_lab/topology.py)
"""
from e2e import GATEWAY, SERVER4, bounded, in_namespace, in_ns, processes, scenario, start_iperf_server

with scenario(120) as s:
    s.session(driver="af_packet")
    s.expect("a warning at start", processes.logged(GATEWAY.name, r"port lan \(lan\): .*ethtool -K"))
    in_ns("lan", "ethtool", "-K", "lan", "tx", "on", "tso", "on", "gso", "on")
    start_iperf_server()
    bounded(12, *in_namespace("client", *f"iperf3 -c {SERVER4} -t 3 -R --connect-timeout 3000".split()))
    s.rises("dropped by name", lambda: GATEWAY.drops("merged"))
    s.expect("and told of", lambda: processes.logged(GATEWAY.name, "dropped as `merged`"), within=15)
