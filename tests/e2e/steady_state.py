#!/usr/bin/env python3
"""A worker in its steady state makes no system call: its thread is traced while TCP runs both ways through memif ports.
A bridge joins the memif ports to the lab's links, so that the tracing sees a worker whose ports need no system call
themselves:

  jvpn-client ── wan0 ── bridge ══ memif ══ jvpnd ══ memif ══ bridge ── lan ── jvpn-lan
"""
import os
import re
from pathlib import Path

from e2e import (GATEWAY, LAB_DIR, SERVER4, bounded, info, pings, processes, require_within, scenario, show_tail, spawn,
                 start_dialler, start_gateway, start_iperf_server, step)
from jvpn_lab.threads import named

TRACED_S = int(os.environ.get("JVPN_TRACE_SECONDS", 3))


def memif(name: str, role: str) -> str:
    return f"net_memif_{name},role={role},socket={LAB_DIR}/memif-{name}.sock,socket-abstract=no"


def memif_profile() -> None:
    """The gateway's profile with two memif ports, wan0 and lan, and one worker that polls."""
    path = LAB_DIR / GATEWAY.profile
    text = re.sub(r"  - name: wan[12]\n(    .*\n)+", "", path.read_text())
    for name in ("wan0", "lan"):
        text = re.sub(rf"(name: {name}\n    vdev: ).*", rf'\1"{memif(name, "server")}"', text)
    for key, value in {"rx_descriptors": "1024", "tx_descriptors": "1024", "queues": "1", "lanes": "1",
                       "cores": "{control: 0, workers: [1], idle: poll}"}.items():
        text = re.sub(rf"\b{key}: .*", f"{key}: {value}", text)
    path.write_text(text)


def start_bridge() -> None:
    """Between the links and the memif ports, as two wires."""
    ports = []
    for name in ("wan0", "lan"):
        ports += ["--vdev", memif(name, "client"), "--vdev", f"net_af_packet_{name},iface={name}"]
    spawn("bridge", "gw", "dpdk-testpmd", *"--lcores 0@0,1@0 --no-huge -m 256 --no-pci --no-telemetry".split(), *ports,
          *"-- --forward-mode=io --port-topology=paired --nb-cores=1 --total-num-mbufs=16384".split(),
          "--auto-start", "--stats-period=60")
    require_within(20, lambda: all(port["link"] for port in GATEWAY.show()["ports"]), "the bridge did not connect")


def worker_packets() -> int:
    return sum(worker["sealed"] + worker["opened"] for worker in GATEWAY.show()["workers"])


def calls(thread: int, trace: Path) -> int:
    """How many system calls the thread makes in some seconds."""
    bounded(TRACED_S + 10, "timeout", "-s", "INT", str(TRACED_S), "strace", "-qq", "-p", str(thread), "-o", trace)
    return len(re.findall(r"^[a-z_0-9]+\(", trace.read_text(), re.M))


with scenario(150) as s:
    step("Lab, gateway on memif ports, bridge, client")
    s.prepare()
    memif_profile()
    start_gateway()
    start_bridge()
    start_dialler()
    s.expect("traffic flows", pings("client", SERVER4))

    step(f"{TRACED_S} s of a worker's system calls under load")
    start_iperf_server()
    spawn("load", "client", *f"iperf3 -c {SERVER4} --bidir -t {TRACED_S + 6} --connect-timeout 5000".split())
    before = worker_packets()
    s.expect("the load runs", lambda: worker_packets() > before + 5000, within=10)
    before = worker_packets()
    trace = s.work / "worker.strace"
    count = calls(named(GATEWAY.name, "rte-worker"), trace)
    moved = worker_packets() - before
    info(f"{moved} packets sealed or opened, {count} system calls")
    s.expect("packets moved while traced", moved >= 5000)
    s.expect("no system call", count == 0)
    if count:
        show_tail(trace, 10)

    # The trace itself works: the control thread, which does sleep, shows up in it.
    step("The same trace of the control thread")
    count = calls(processes.pid_of(GATEWAY.name) or 0, s.work / "control.strace")
    s.expect("its system calls are seen", count > 0)
