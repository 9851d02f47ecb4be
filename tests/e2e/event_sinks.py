#!/usr/bin/env python3
"""Event sinks that are dead, rotated or stopped while the session jumps: the jump doesn't notice, `jvpn show` does,
nothing is lost that fits into memory, and `jvpn audit` finds the whole story in the files.

  jvpnd ─┬─ stdout                                    beside the lab of jvpn_lab/topology.py
         ├─ file, rotated
         ├─ unix socket ── collector, late
         └─ admin socket ── jvpn events --follow, stopped for a while
"""
import signal
import socket
import threading
from pathlib import Path

from e2e import (CLIENT, GATEWAY, LAB_DIR, LOGS, Scenario, bounded, planned_jump, processes, program, scenario, step,
                 wait_for)

EVENTS = LOGS / "gateway-events"
ROTATED = LOGS / "gateway-events.1"
COLLECTOR = LAB_DIR / "collector.sock"


def sink(kind: str) -> dict:
    """The gateway's sink of that kind, as `jvpn show` has it."""
    return next(sink for sink in GATEWAY.show()["events"]["sinks"] if sink["kind"] == kind)


def ill() -> bool:
    return not sink("unix")["healthy"] and "No such file" in sink("unix")["why"]


def text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


def has_events(path: Path) -> bool:
    return '\n{"ts_ms"' in "\n" + text(path)


def tells_of(path: Path, reason: str) -> bool:
    return f'"reason":"{reason}"' in text(path)


def collect(into: Path) -> threading.Thread:
    """Accepts one connection and appends what it gets to the file, until the other end closes."""
    listener = socket.create_server(str(COLLECTOR), family=socket.AF_UNIX)

    def serve() -> None:
        connection, _ = listener.accept()
        with into.open("wb", buffering=0) as file:
            while data := connection.recv(65536):
                file.write(data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


def audit(*files: Path) -> int:
    return bounded(10, program("jvpn"), "audit", "--quiet", *files).returncode


def start(s: Scenario) -> None:
    step("Lab, gateway with three sinks: stdout, a file, a socket on which nobody listens")
    s.prepare()
    with (LAB_DIR / GATEWAY.profile).open("a") as profile:
        profile.write(f"events: {{sinks: [{{kind: stdout}}, {{kind: file, path: {EVENTS}}}, "
                      f"{{kind: unix, path: {COLLECTOR}}}]}}\n")
    s.start()
    s.expect("events are in the file", lambda: has_events(EVENTS), within=5)
    s.expect("the file is for owner and group alone", EVENTS.stat().st_mode & 0o7777 == 0o640)
    s.expect("events are on stdout", lambda: has_events(GATEWAY.log), within=5)
    s.expect("the socket is shown as ill", ill, within=5)
    s.expect("the others are well", lambda: sink("file")["healthy"] and sink("file")["lost"] == 0)
    s.expect("a line on stderr says so", f"event sink unix {COLLECTOR}: No such file" in text(GATEWAY.log))
    s.expect("the table shows it", "unhealthy" in GATEWAY.jvpn())


def jump(s: Scenario) -> None:
    step("The file is rotated, a follower stopped, and the session jumps")
    followed = processes.log_of("follower")
    processes.spawn("follower", "gw", program("jvpn"), "--socket", GATEWAY.socket, "events", "--follow", "--json")
    s.expect("a follower gets what was before", lambda: tells_of(followed, "HANDSHAKE_OK"), within=5)
    processes.send("follower", signal.SIGSTOP)
    EVENTS.rename(ROTATED)
    before = s.note()
    planned_jump("wan1")
    s.expect("jumped", before.jumped, within=5)
    s.expect("the same session", before.same)
    s.expect("the file was made anew", lambda: tells_of(EVENTS, "TRANSPORT_SWITCH_OK"), within=5)
    processes.send("follower", signal.SIGCONT)
    s.expect("the follower gets the jump", lambda: tells_of(followed, "TRANSPORT_SWITCH_OK"), within=5)


def follower_ends() -> bool:
    processes.send("follower", signal.SIGINT)
    return wait_for(5, lambda: processes.ended("follower")) and processes.exit_code("follower") == 0


with scenario(150) as s:
    start(s)
    jump(s)

    step("Somebody listens on the socket")
    collected = s.work / "collected"
    collector = collect(collected)
    s.expect("it gets every event from the first on",
             lambda: text(collected).count("\n") == GATEWAY.show()["events"]["written"], within=15)
    s.expect("all sinks are well",
             lambda: GATEWAY.show()["events"]["healthy"] and GATEWAY.show()["events"]["lost"] == 0, within=5)

    step("The end")
    CLIENT.stop(signal.SIGINT)
    s.expect("Ctrl-C ends the follower with exit code 0", follower_ends)
    GATEWAY.stop(signal.SIGINT)
    collector.join(5)
    for files in ([EVENTS, ROTATED], [collected], [GATEWAY.log]):
        names = " ".join(path.name for path in files)
        s.expect(f"jvpn audit: {names} and the client's log are sound", audit(*files, CLIENT.log) == 0)
    lines = text(collected).splitlines(keepends=True)
    collected.write_text("".join(lines[:2] + lines[3:]))
    status = audit(collected)
    s.expect(f"without one line it is incomplete: exit 3 (got {status})", status == 3)
