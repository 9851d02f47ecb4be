"""The lab's background processes: each has a name, a record of its pid, and a log.

A record is `pid start-time` in /run/jvpn-lab/pids/NAME: the start time tells the process from a later one with the same
pid. So one command can end what an earlier one started.
"""
import os
import re
import signal
import subprocess
from pathlib import Path

from jvpn_lab.console import warn
from jvpn_lab.run import signals_held, wait_for

LAB_DIR = Path("/run/jvpn-lab")  # exists while the lab does
PIDS = LAB_DIR / "pids"
LOGS = LAB_DIR / "log"

_ours: dict[str, subprocess.Popen[bytes]] = {}  # what this program itself started, for exit codes


def in_namespace(host: str, *command: str | Path) -> list[str]:
    """The command inside jvpn-HOST."""
    return ["ip", "netns", "exec", f"jvpn-{host}", *map(str, command)]


def log_of(name: str) -> Path:
    return LOGS / f"{name}.log"


def logged(name: str, pattern: str) -> int:
    """How many lines of that log match."""
    if not log_of(name).exists():
        return 0
    return sum(1 for line in log_of(name).read_text(errors="replace").splitlines() if re.search(pattern, line))


def _stat(pid: int) -> list[str]:
    """State and what follows it in /proc/PID/stat; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cpu_ticks(pid: int) -> int:
    return sum(map(int, _stat(pid)[11:13]))


def spawn(name: str, host: str, *command: str | Path, keep_log: bool = False) -> int:
    """Starts it in jvpn-HOST, in a session of its own: a terminal's Ctrl-C is for us alone."""
    with signals_held(), log_of(name).open("ab" if keep_log else "wb") as log:
        process = subprocess.Popen(in_namespace(host, *command), stdin=subprocess.DEVNULL, stdout=log,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        (PIDS / name).write_text(f"{process.pid} {_stat(process.pid)[19]}")
    _ours[name] = process
    return process.pid


def pid_of(name: str) -> int | None:
    """None when it does not run; a zombie does not, once its last thread is gone and its sockets are closed."""
    try:
        pid, started = (PIDS / name).read_text().split()
    except (OSError, ValueError):
        return None
    stat = _stat(int(pid))
    return int(pid) if stat and stat[19] == started and (stat[0] != "Z" or int(stat[17]) > 1) else None


def runs(name: str) -> bool:
    return pid_of(name) is not None


def ended(name: str) -> bool:
    return not runs(name)


def exit_code(name: str) -> int:
    """Of a process that this program started and that has ended."""
    return _ours[name].wait(1)


def send(name: str, number: int) -> None:
    if pid := pid_of(name):
        os.kill(pid, number)


def stop(name: str, number: int = signal.SIGTERM) -> None:
    """Ends it; by SIGKILL when it does not end within 5 s."""
    send(name, number)
    if not wait_for(5, lambda: ended(name)):
        warn(f"{name} did not end within 5 s, killed")
        send(name, signal.SIGKILL)
        wait_for(2, lambda: ended(name))
    (PIDS / name).unlink(missing_ok=True)
