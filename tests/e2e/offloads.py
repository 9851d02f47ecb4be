#!/usr/bin/env python3
"""TCP from a server whose veth leaves checksums to a device that isn't there: AF_XDP ports finish them, and TCP is as
fast as without offloads. (A veth under XDP doesn't merge segments.)

  jvpn-client jvpn0 ══ tunnel ══ jvpn-gw lan ──── lan jvpn-lan, offloads on        (jvpn_lab/topology.py)
"""
from e2e import SERVER4, in_ns, info, scenario
from jvpn_lab.traffic import iperf

with scenario(120) as s:
    s.session(driver="af_xdp")
    plain = iperf(3, SERVER4, "-R")
    in_ns("lan", "ethtool", "-K", "lan", "tx", "on", "tso", "on", "gso", "on")
    offloaded = iperf(3, SERVER4, "-R")
    info(f"{plain * 1000:.0f} Mbit/s without offloads, {offloaded * 1000:.0f} with them")
    s.expect("at least half of the throughput", offloaded >= plain / 2)
