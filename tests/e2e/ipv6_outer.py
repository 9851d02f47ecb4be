#!/usr/bin/env python3
"""The tunnel's outside over IPv6: inner IPv4 and IPv6 both work, and wan0 carries no IPv4 datagram.

  jvpn-client wan0 2001:db8::2 ══ IPv6 alone ══ 2001:db8::1 wan0 jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import re
import signal

from e2e import (CLIENT, CLIENT4, SERVER4, SERVER6, bounded, endpoints, iperf_moves, pings, processes, record, scenario,
                 step)


with scenario(120) as s:
    s.session(endpoints=endpoints("[2001:db8::1]"))
    record("tcpdump-ipv4", "client", "wan0", s.work / "ipv4.pcap", "ip")

    step("Traffic over IPv6")
    s.expect("the client's remote address is IPv6", CLIENT.session()["remote"].startswith("[2001:db8::1]"))
    s.expect("inner IPv4 pings", pings("client", SERVER4))
    s.expect("inner IPv6 pings", pings("client", SERVER6))
    s.expect("pings towards the client", pings("lan", CLIENT4))
    s.expect("TCP client > server", iperf_moves(2, SERVER4))
    s.expect("TCP server > client over inner IPv6", iperf_moves(2, SERVER6, "-R"))

    processes.stop("tcpdump-ipv4", signal.SIGINT)
    recording = bounded(30, "tcpdump", "-n", "-r", s.work / "ipv4.pcap").stdout
    s.expect("the recording can be read", "reading from file" in recording)
    s.expect("no IPv4 on wan0", re.search(r"\bIP\b", recording) is None)
