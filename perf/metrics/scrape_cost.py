#!/usr/bin/env python3
"""What scraping costs a gateway: slices with and without an exporter that is scraped, in turns, under UDP of a steady
rate through the tunnel. As root, in the lab: perf/metrics/scrape_cost.py [--rounds 8] [--seconds 3] [--per-second 10]

Of each slice: packets that the workers sealed and opened, those that ports or workers dropped, the share of polls that
found some, and the CPU time of control's thread. Both kinds' medians; ratios are of slices that are neighbours, so that a machine whose speed changes
changes both. The last lines tell what one answer costs control, and its longest in the part of a turn that answers.
"""
import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path[1:1] = [str(Path(__file__).resolve().parents[2] / "lab")]
from jvpn_lab import processes, topology  # noqa: E402
from jvpn_lab.programs import GATEWAY, prepare, start_both  # noqa: E402
from jvpn_lab.run import guarded, program, require_within  # noqa: E402
from jvpn_lab.settings import SERVER4, Settings  # noqa: E402
from jvpn_lab.traffic import start_iperf_server  # noqa: E402

LISTEN = "127.0.0.1:9479"
CONTROL_CPU = 0  # of the lab's profile: exporter and scraper leave the workers' CPUs alone, as they should
RATE = "200M"  # what a machine that is shared with builds still carries


def ask() -> dict:
    """What the exporter asks."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(GATEWAY.socket))
        connection.sendall(b'{"command":"show","sessions":false}\n')
        return json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))


def control_ns() -> int:
    """CPU time that the control thread, the program's first, has had."""
    pid = processes.pid_of(GATEWAY.name)
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


def scrape() -> None:
    with urllib.request.urlopen(f"http://{LISTEN}/metrics", timeout=10) as answer:
        answer.read()


def is_served() -> bool:
    try:
        scrape()
    except OSError:
        return False
    return True


def dropped(shown: dict) -> int:
    return sum(shown["drops"].values()) + sum(port[name] for port in shown["ports"]
                                              for name in ("rx_missed", "rx_no_buffer", "tx_errors"))


class Slice:
    def __init__(self, seconds: float, per_second: int):
        before, cpu = ask(), control_ns()
        begun = time.monotonic()
        self.scrapes = 0
        while (now := time.monotonic()) < begun + seconds:
            if per_second and now >= begun + self.scrapes / per_second:
                scrape()
                self.scrapes += 1
            time.sleep(0.005)
        took = time.monotonic() - begun
        self.control = (control_ns() - cpu) / took / 1e9
        after = ask()

        def more(*names: str) -> int:
            return sum(now[name] - then[name] for now, then in zip(after["workers"], before["workers"], strict=True)
                       for name in names)
        self.packets = more("sealed", "opened") / took
        self.dropped = dropped(after) - dropped(before)
        self.busy = more("busy_polls") / max(more("busy_polls", "idle_polls"), 1)


def measure(rounds: int, seconds: float, per_second: int) -> None:
    slices: dict[int, list[Slice]] = {0: [], per_second: []}
    for number in range(rounds):
        for rate in (0, per_second) if number % 2 == 0 else (per_second, 0):
            slices[rate].append(Slice(seconds, rate))
    without, scraped = slices[0], slices[per_second]
    print(f"{'':22} {'without':>10} {f'{per_second}/s':>10} {'ratio':>7}  least … most")
    for name, of, form in (("packets/s", lambda s: s.packets, ".0f"), ("busy polls, %", lambda s: 100 * s.busy, ".2f"),
                           ("control's CPU, %", lambda s: 100 * s.control, ".3f")):
        ratios = sorted(of(b) / of(a) for a, b in zip(without, scraped, strict=True))
        print(f"{name:22} {statistics.median(map(of, without)):>10{form}} {statistics.median(map(of, scraped)):>10{form}} "
              f"{statistics.median(ratios):>7.3f}  {ratios[0]:.3f} … {ratios[-1]:.3f}")
    print(f"{'dropped, in all':22} {sum(s.dropped for s in without):>10} {sum(s.dropped for s in scraped):>10}   "
          f"in {sum(s.dropped > 0 for s in without)} and {sum(s.dropped > 0 for s in scraped)} of {rounds} slices")
    costs = [(b.control - a.control) * seconds / b.scrapes * 1e6 for a, b in zip(without, scraped, strict=True)]
    turns = ask()["control"]["turns"]
    print(f"control's CPU time for one scrape: {statistics.median(costs):.0f} us (median of {rounds})")
    print(f"longest in a turn's part admin: {turns['parts_us']['admin']} us; longest turn {turns['longest_us']} us, "
          f"{turns['longest_cpu_us']} us of CPU; {turns['over_1ms']} turns over 1 ms of CPU")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=8)
    options.add_argument("--seconds", type=float, default=3)
    options.add_argument("--per-second", type=int, default=10)
    given = options.parse_args()
    limit = int(60 + 2.5 * given.rounds * given.seconds)
    with guarded(lambda status: topology.clean_up(failed=status != 0), limit):
        topology.lock()
        prepare(Settings())
        start_both()
        start_iperf_server()
        processes.spawn("load", "client", *f"iperf3 -c {SERVER4} -u -b {RATE} -l 1200 -t {limit}".split())
        os.sched_setaffinity(0, {CONTROL_CPU})
        exporter = subprocess.Popen([program("jvpn"), "--socket", GATEWAY.socket, "metrics", "--listen", LISTEN])
        try:
            require_within(10, is_served, "the exporter does not answer")
            measure(given.rounds, given.seconds, given.per_second)
        finally:
            exporter.terminate()
            exporter.wait()


main()
