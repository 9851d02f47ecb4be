"""The lab for jvpn-perf (perf/jump/lab_driver.h).

Takes one command a line on stdin and answers each by one line on stdout, `ok …`, once it is done; what is for people
goes to stderr. A command that fails ends it. When stdin ends, or by SIGTERM, it takes the lab down and goes.
"""
import json
import os
import re
import sys
from collections.abc import Callable

from jvpn_lab import faults, peers, topology
from jvpn_lab.console import Failure
from jvpn_lab.processes import LOGS, in_namespace
from jvpn_lab.programs import CLIENT, GATEWAY, prepare, start_both
from jvpn_lab.run import bounded, guarded
from jvpn_lab.settings import CLIENT4, LINKS, SERVER4, Settings, gateway4


_policy = Settings.policy


def _set_policy(*words: str) -> None:
    """Of both ends, before up."""
    global _policy
    _policy = " ".join(words)


def _up(rtt_ms: str) -> str:
    """0: plain links. Answers with what a program has to know of the lab."""
    rtt = float(rtt_ms)
    settings = Settings(emulated=LINKS if rtt else (), policy=_policy)
    prepare(settings)
    if rtt:
        faults.usual_delay(rtt / 2)
    start_both()
    return json.dumps({
        "logs": str(LOGS), "gateway_socket": str(GATEWAY.socket), "client_socket": str(CLIENT.socket),
        "server4": SERVER4, "client4": CLIENT4, "driver": settings.driver, "workers": settings.queues, "links": LINKS})


def _ping(link: str, count: str) -> str:
    """The gateway by that link, outside the tunnel. Answers with the least round trip in ms."""
    words = f"ping -n -q -c {count} -i 0.02 -W 2 -I {link} {gateway4(link)}".split()
    times = re.search(r"^rtt [a-z/]* = ([0-9.]*)/", bounded(20, *in_namespace("client", *words)).stdout, re.M)
    if not times:
        raise Failure(f"{link}: the gateway does not answer pings")
    return times[1]


_COMMANDS: dict[str, Callable[..., str | None]] = {
    "lock": lambda seconds: topology.lock(float(seconds)), "policy": _set_policy, "up": _up, "cut": faults.cut,
    "heal": faults.heal, "rebind": faults.rebind, "ping": _ping, "installed": peers.installed,
    "prepare": peers.prepare, "tunnel": peers.start_tunnel, "end_tunnel": peers.end_tunnel, "stream": peers.stream}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what is for people, ours and that of what we start
    with guarded(lambda status: topology.clean_up(failed=status != 0)):
        for line in iter(sys.stdin.readline, ""):
            command, *words = line.split()
            print("ok", _COMMANDS[command](*words) or "", file=answers, flush=True)


if __name__ == "__main__":
    main()
