#!/usr/bin/env python3
"""One thread of jvpnd stands still for 10 s, control's and then a worker's: the log says which one, where and what
follows, `jvpn health` raises a flag, systemd's watchdog isn't fed. Without control the workers carry the session on,
and answer the neighbours who ask for the gateway's addresses (Linux doubts an entry 5 s after its first use);
without its worker the session waits, and goes on with it.

  jvpn-client ══ transfer → ══ jvpn-gw (a thread held) ── jvpn-lan    (jvpn_lab/topology.py)
"""
import json
import os
import socket
import time

from e2e import CLIENT, GATEWAY, processes, scenario, start_transfer, step, transfer_goes_on
from jvpn_lab.processes import LAB_DIR
from jvpn_lab.run import bounded, program
from jvpn_lab.threads import held, named

STALL_S = 10
WATCHDOG_S = 3
RAISED = '"HEALTH_EVENT".*"HEALTH_RAISED".*"thread_stalled"'


def health() -> tuple[int, list[str]]:
    done = bounded(5, program("jvpn"), "--socket", GATEWAY.socket, "health", "--json")
    return done.returncode, [flag["flag"] for flag in json.loads(done.stdout)["health"]]


def said(line: str) -> int:
    return processes.logged(GATEWAY.name, line)


class ServiceManager:
    """What systemd would hear."""

    def __init__(self) -> None:
        path = LAB_DIR / "notify.sock"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        path.unlink(missing_ok=True)
        self.socket.bind(str(path))
        os.environ.update(NOTIFY_SOCKET=str(path), WATCHDOG_USEC=str(WATCHDOG_S * 1_000_000))
        os.environ.pop("WATCHDOG_PID", None)

    def heard(self) -> list[str]:
        """Since the latest call."""
        lines: list[str] = []
        try:
            while True:
                lines += self.socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines


with scenario(180) as s:
    s.prepare()
    manager = ServiceManager()
    s.start()
    s.expect("the service manager hears that it is ready", "READY=1" in manager.heard())
    s.expect("and then that it is alive", lambda: "WATCHDOG=1" in manager.heard(), within=WATCHDOG_S)
    s.expect("all is well", lambda: health() == (0, []), within=5)
    start_transfer(64, 40)
    before = s.note()

    step(f"The control core stands still for {STALL_S} s")
    with held(processes.pid_of(GATEWAY.name)):
        began = time.monotonic()
        s.expect("the log says so", lambda: said("the control core has stood still for .* a debugger holds it"), within=5)
        manager.heard()
        s.expect("TCP goes on", lambda: transfer_goes_on(4))
        s.expect("for all that time", lambda: time.monotonic() - began > STALL_S and transfer_goes_on(4), within=30)
        s.expect("nobody told the service manager that it is alive", "WATCHDOG=1" not in manager.heard())
    s.expect("the log says that it goes on", lambda: said(f"the control core goes on after {STALL_S}"), within=5)
    s.expect(f"still session {before.id[:12]}… at both ends", before.same, within=5)
    s.expect("without a jump", CLIENT.switches() == 0)
    # Packets for control were refused. Nobody reads what the service manager is told meanwhile, so its socket is full.
    s.expect("all is well again", lambda: health() == (0, []), within=15)

    step(f"The worker stands still for {STALL_S} s")
    told = GATEWAY.told(RAISED)
    with held(named(GATEWAY.name, "rte-worker")):
        began = time.monotonic()
        s.expect("the log says so", lambda: said("worker 0 .CPU .* has stood still for .* a debugger holds it"), within=5)
        s.expect("health raises a flag, with exit code 6", lambda: health() == (6, ["thread_stalled"]), within=5)
        s.expect("an event tells it", lambda: GATEWAY.told(RAISED) == told + 1, within=5)
        s.expect("control answers all the time",
                 lambda: time.monotonic() - began > STALL_S + 0.5 or not GATEWAY.answers(), within=30)
    s.expect("the log says that it goes on", lambda: said(f"worker 0 .* goes on after {STALL_S}"), within=5)
    s.expect("TCP goes on", lambda: transfer_goes_on(20))
    s.expect(f"still session {before.id[:12]}… at both ends", before.same, within=10)
    s.expect("all is well again", lambda: health() == (0, []), within=15)
    s.expect_clean_audit()
