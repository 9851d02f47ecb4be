#!/usr/bin/env python3
"""dpdk-dumpcap records what crosses a running gateway's ports (`memory.attachable`): pings outside, sealed, and inside, plain.
The session doesn't notice.

  dpdk-dumpcap ── attached to ── jvpnd                      beside the lab of jvpn_lab/topology.py
"""
import re
import signal
import sys
from pathlib import Path

from e2e import CLIENT4, GATEWAY, LAB_DIR, SERVER4, SKIPPED, Failure, info, pings, processes, run, scenario, step, topology

PORTS = {"outside": "net_af_packet0", "inside": "net_af_packet3"}


def file_of(port: str) -> Path:
    return LAB_DIR / f"{port}.pcapng"


def packets(port: str, pattern: str) -> int:
    """Of that kind, by Wireshark's filter."""
    said = run("tshark", "-r", file_of(port), "-Y", pattern, "-T", "fields", "-e", "frame.number")
    return sum(line.isdigit() for line in said.splitlines())


with scenario(120) as s:
    step("A gateway to whose memory DPDK's tools may attach")
    s.prepare(driver="af_packet", queues=1)
    if topology.NO_HUGEPAGES.exists():
        info("packet_capture: skipped, there are no hugepages to attach to")
        sys.exit(SKIPPED)
    profile = LAB_DIR / GATEWAY.profile
    text = re.sub(r'"--in-memory", ', "", profile.read_text())
    text, changed = re.subn(r"memory: \{", "memory: {attachable: true, ", text)
    if changed != 1:
        raise Failure("the lab's profile has no memory section of that form")
    profile.write_text(text)
    s.start()

    step("Captures")
    for port, device in PORTS.items():
        processes.spawn(f"dumpcap-{port}", "gw", "dpdk-dumpcap", "--file-prefix", "gw1", "-i", device, "-w", file_of(port))
        s.expect(f"dpdk-dumpcap records {port}", lambda port=port: processes.logged(f"dumpcap-{port}", "File: "), within=20)
    s.expect("pings pass", pings("client", SERVER4, 20))
    for port in PORTS:
        processes.stop(f"dumpcap-{port}", signal.SIGINT)
    sealed, plain = packets("outside", "udp.port == 51900"), packets("inside", f"icmp and ip.addr == {CLIENT4}")
    s.expect(f"outside both ways of 20 pings were recorded, sealed ({sealed})", sealed >= 40)
    s.expect("nothing of them in the clear", packets("outside", "icmp") == 0)
    s.expect("inside they were recorded as they are", plain == 40)
    s.harmless("after the captures")
