#!/usr/bin/env python3
"""tools/quickstart itself, with small sizes: everything matches, and nothing is left behind, also when it is
interrupted half-way.

  jvpn-client ══ wan0, wan1, wan2 ══ jvpn-gw ── jvpn-lan        brought up and taken down by tools/quickstart
"""
import subprocess
from collections.abc import Callable
from typing import Any

from e2e import LAB_DIR, ROOT, bounded, end_process, machine, run, scenario, step, topology

QUICKSTART = [str(ROOT / "tools/quickstart"), "--no-install", "--no-build"]
GRACE_S = 60  # that its own cleaning up may take


def on_idle_machine(look: Callable[[], Any]) -> Any:
    """What look() sees while no lab is up."""
    topology.lock()
    try:
        return look()
    finally:
        topology.unlock()


def hugepages() -> str:
    count = machine.HUGEPAGES / "nr_hugepages"
    return count.read_text() if count.exists() else ""


def nothing_left(pages_before: str) -> bool:
    return not LAB_DIR.exists() and hugepages() == pages_before and "jvpn-" not in run("ip", "netns", "list")


with scenario(240) as s:
    before = on_idle_machine(hugepages)
    step("A whole run")
    whole = bounded(200, *QUICKSTART, "--file-mib", "32", "--iperf-seconds", "1", show=True, grace=GRACE_S)
    s.expect(f"quickstart exits 0 (got {whole.returncode})", whole.returncode == 0)
    s.expect("nothing is left behind", lambda: on_idle_machine(lambda: nothing_left(before)))

    step("An interrupted run")
    output = s.work / "interrupted.txt"
    with output.open("w") as file:
        interrupted = subprocess.Popen([*QUICKSTART, "--iperf-seconds", "60"], stdout=file, stderr=file, text=True)
    try:
        s.expect("it reaches the traffic", lambda: "Traffic through" in output.read_text(), within=60)
    finally:
        end_process(interrupted, GRACE_S)
    s.expect(f"SIGTERM ends it with 143 (got {interrupted.returncode})", interrupted.returncode == 143)
    s.expect("nothing is left behind", lambda: on_idle_machine(lambda: nothing_left(before)))
