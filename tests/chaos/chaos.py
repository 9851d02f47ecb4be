#!/usr/bin/env python3
"""Faults of every kind, at times and in mixtures that a seed decides, against the programs themselves: links that are
cut one way or both, lossy, slow, reordering, without large packets, behind a NAT that forgets; either end stopped;
jvpnd killed, restarted, reloaded with good and bad profiles; a reader of its log that stands still. After each storm all
is healed, and then every session has to be there again with its identity, and the transfer has to go on. What both ends
told has to satisfy `jvpn audit` at the end.

  many-clients (tests/e2e/many_clients.cc) ─┐
  jvpn-client ══ wan0, wan1, wan2 (emulated) ══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
"""
import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from crowds import CROWD, crowd, start_crowd
from e2e import (CLIENT, CLIENT4, GATEWAY, LAB_DIR, LINKS, SERVER4, Scenario, bounded, checks, faults, gateway4, info, pings,
                 processes, program, require_within, scenario, start_transfer, step, transfer_goes_on)

STORM_S = 12  # then all is healed
HEALED_S = 25  # for everybody to be there again; a client that dials waits up to 5 s between two attempts
ALL_CUT_S = 6  # no longer are all links dead at once: far below transport_loss_ttl_ms (15 s)
MAX_FAULTS = 4  # at one time
RSS_GROWTH = 0.10  # of a program, since the first calm
NEVER_TOLD = ("AUDIT_INVARIANT_VIOLATED", "FATAL_PROTOCOL_ERROR", "SEC_OWNERSHIP_ANOMALY")


@dataclass(frozen=True)
class Fault:
    """Something that begins, and ends again after some time. A link's stays alone on its link."""

    name: str
    begin: Callable[[random.Random, str], None]
    longest_s: float
    end: Callable[[str], None] = lambda link: None
    link: bool = True  # of one link; else of a program
    kills: bool = False  # nothing passes the link meanwhile


def stop_for(end: str) -> Fault:
    return Fault(f"{end} stopped", lambda _, __: processes.send(end, signal.SIGSTOP), 2,
                 lambda _: processes.send(end, signal.SIGCONT), link=False)


def restart(how: int) -> Callable[[random.Random, str], None]:
    def run(*_: object) -> None:
        processes.send(GATEWAY.name, how)
        require_within(8, lambda: processes.ended(GATEWAY.name), "jvpnd doesn't end")
        GATEWAY.start(keep_log=True)
        require_within(30, lambda: GATEWAY.runs() and GATEWAY.answers(), "jvpnd does not answer again")
    return run


def reload_bad_then_good(rng: random.Random, _: str) -> None:
    profile = LAB_DIR / GATEWAY.profile
    good = profile.read_text()
    at = rng.randrange(len(good))
    bad = rng.choice((good[:at], good.replace("policy:", "policy: [", 1), "role: gateway\n", "\0" * 100))
    profile.write_text(bad)
    order = [program("jvpn"), "--socket", GATEWAY.socket, "reload"]
    bounded(15, *order)
    profile.write_text(good)
    bounded(15, *order)


def slow(rng: random.Random, link: str) -> None:
    faults.delay(link, f"delay_ms={rng.randrange(1, 150)} jitter_ms={rng.randrange(0, 30)} loss={rng.random() * 0.1:.3f} "
                       f"reorder={rng.random() * 0.05:.3f} duplicate={rng.random() * 0.05:.3f}")


def hole(rng: random.Random, link: str) -> None:
    faults.eat(link, rng.choice((1280, 1340, 1400)))


ALL_FAULTS = (
    *(Fault(f"cut ({how})", lambda _, link, how=how: faults.cut(link, how), ALL_CUT_S, faults.heal, kills=True)
      for how in ("silent", "out", "back", "down")),
    *(Fault(f"pulled at {end}", lambda _, link, end=end: faults.pull(link, end), ALL_CUT_S, faults.heal, kills=True)
      for end in ("client", "gw")),
    Fault("loss", lambda rng, link: faults.loss(link, rng.choice((1, 5, 20, 60))), 8, faults.heal),
    Fault("slow", slow, 8, faults.heal),
    Fault("rate", lambda rng, link: faults.rate(link, rng.choice((2, 10, 50))), 8, faults.heal),
    Fault("eats large packets", hole, 8, faults.heal),
    Fault("NAT, another port", lambda _, link: faults.rebind(link, "port"), 8, faults.heal),
    Fault("NAT, another address", lambda _, link: faults.rebind(link, "address"), 8, faults.heal),
    stop_for("jvpnd"),
    stop_for("jvpn-client"),
    stop_for(CROWD),
    Fault("jvpnd killed", restart(signal.SIGKILL), 0, link=False),
    Fault("jvpnd restarted", restart(signal.SIGTERM), 0, link=False),
    Fault("a bad profile, then a good one", reload_bad_then_good, 0, link=False),
)


class Storm:
    """Faults that begin and end by themselves, for some time."""

    def __init__(self, rng: random.Random, counts: Counter[str]) -> None:
        self.rng, self.counts = rng, counts
        self.under_way: dict[str, tuple[Fault, float]] = {}  # by link or program: until when

    def run(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.end_those_due(time.monotonic())
            if len(self.under_way) < MAX_FAULTS and self.rng.random() < 0.4:
                self.begin_one()
            time.sleep(0.1)  # the storm's own pace: faults begin and end at such moments, nothing is waited for
        self.end_those_due(float("inf"))

    def begin_one(self) -> None:
        fault = self.rng.choice(ALL_FAULTS)
        place = self.rng.choice(LINKS) if fault.link else fault.name
        busy = set(self.under_way)
        if place in busy or (not fault.link and busy - set(LINKS)):
            return  # one program at a time: a stopped one answers no order
        self.counts[fault.name] += 1
        fault.begin(self.rng, place)
        if fault.longest_s:
            self.under_way[place] = (fault, time.monotonic() + self.rng.uniform(0.2, fault.longest_s))

    def end_those_due(self, now: float) -> None:
        for place, (fault, until) in list(self.under_way.items()):
            if now >= until:
                del self.under_way[place]
                fault.end(place)


def rss_kib(name: str) -> int:
    for line in Path(f"/proc/{processes.pid_of(name)}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def descriptors(name: str) -> int:
    return len(os.listdir(f"/proc/{processes.pid_of(name)}/fd"))


class Calm:
    """What has to hold after each storm, in all."""

    def __init__(self, sessions: int) -> None:
        self.sessions = sessions
        self.id = GATEWAY.session_of("laptop")["session_id"] if sessions else GATEWAY.session()["session_id"]
        self.first: dict[tuple[str, int | None], tuple[int, int]] = {}

    def ends(self) -> list[str | None]:
        """The measured session's name and whether it is attached, at both ends."""
        mine = [each for each in GATEWAY.show()["sessions"] if each["peer"] == "laptop"]
        theirs = CLIENT.show()["sessions"]
        return [each["session_id"] if each["state"] == "ATTACHED" else None for each in mine + theirs]

    def judge(self, s: Scenario, number: int) -> None:
        s.expect(f"calm {number}: the session is attached at both ends, and the same",
                 lambda: self.ends() == [self.id, self.id], within=HEALED_S)
        if self.sessions:
            s.expect(f"calm {number}: so are the {self.sessions} others, with their identity",
                     lambda: crowd()["attached"] == self.sessions and crowd()["other_ids"] == 0, within=HEALED_S)
        s.expect(f"calm {number}: TCP goes on", lambda: transfer_goes_on(HEALED_S))
        s.expect(f"calm {number}: pings pass, both ways",
                 lambda: pings("client", SERVER4, 5) and pings("lan", CLIENT4, 5), within=HEALED_S)
        for code in NEVER_TOLD:
            s.expect(f"calm {number}: nobody told {code}", GATEWAY.told(code) + CLIENT.told(code) == 0)
        for end in (GATEWAY, CLIENT):
            self.judge_size(s, number, end.name)

    def judge_size(self, s: Scenario, number: int, name: str) -> None:
        """Of one life of the program: a new one begins anew."""
        size = rss_kib(name), descriptors(name)
        first = self.first.setdefault((name, processes.pid_of(name)), size)
        s.expect(f"calm {number}: {name} hasn't grown ({size[0]} KiB, {first[0]} at first; {size[1]} descriptors, "
                 f"{first[1]} at first)", size[0] <= first[0] * (1 + RSS_GROWTH) + 4096 and size[1] <= first[1] + 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("JVPN_SEED", random.SystemRandom().getrandbits(32))))
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--sessions", type=int, default=20, help="beside the measured one")
    words = parser.parse_args()
    rng = random.Random(words.seed)
    counts: Counter[str] = Counter()
    with scenario(int(words.minutes * 60) + 240) as s:
        step(f"--seed {words.seed} --minutes {words.minutes:g} --sessions {words.sessions}")
        s.session(emulated=LINKS, crowd=words.sessions)
        if words.sessions:
            start_crowd(words.sessions, gateway4("wan0"))
        faults.usual_delay(5)
        start_transfer(int(words.minutes * 60) + 60, int(words.minutes * 60) + 120)
        calm = Calm(words.sessions)
        calm.judge(s, 0)
        until = time.monotonic() + words.minutes * 60
        number = 0
        while time.monotonic() < until and s.unmet == 0:
            number += 1
            step(f"Storm {number}")
            Storm(rng, counts).run(STORM_S)
            calm.judge(s, number)
        info(", ".join(f"{name}: {count}" for name, count in sorted(counts.items())))
        s.expect("there were storms", number > 0 and sum(counts.values()) > 0)
        s.expect_transfer()
        s.expect("jvpn audit finds nothing wrong", checks.audit_clean)


main()
