"""The measurement behind `jvpn-perf jump`: the lab, traffic each way, and N jumps of one session, one after the other:
  settled → fault → both ends on another binding → traffic flows → heal → settled → …
Nothing waits for a fixed time: each arrow is a condition with a bound."""
import itertools
import json
import re
import shutil
import sys
import time
from pathlib import Path

import figures
import script
import tap
from probe import MS, Stream

from jvpn_lab import faults, processes, timeline, traffic
from jvpn_lab.console import Failure
from jvpn_lab.processes import LAB_DIR, LOGS, in_namespace
from jvpn_lab.programs import CLIENT, GATEWAY, planned_jump, prepare, start_both
from jvpn_lab.run import bounded, wait_for
from jvpn_lab.settings import CLIENT4, LINKS, SERVER4, Settings, gateway4

_PROBE = Path(__file__).with_name("probe.py")
_SETTLE_S, _JUMP_S, _TCP_S, _DRAIN_S = 30, 15, 20, 2
_MEASURED_MS = 2_000  # as long as loss_window_ms
_FLOWING = 50  # packets in a row
_ARRIVES = 20 * MS  # on top of the round trip
_AROUND = 5 * MS
_A_DAY_S, _TCP_MIB = 86_400, 21_600  # the TCP connection's pace: 64 KiB every quarter of a second


def ping_ms(link):
    """The least round trip to the gateway by that link, outside the tunnel."""
    words = f"ping -n -q -c 10 -i 0.02 -W 2 -I {link} {gateway4(link)}".split()
    times = re.search(r"^rtt [a-z/]* = ([0-9.]*)/", bounded(20, *in_namespace("client", *words)).stdout, re.M)
    if not times:
        raise Failure(f"{link}: the gateway does not answer pings")
    return float(times[1])


class EventLog:
    """Follows the events in a program's log: JSON lines, among others that are skipped."""

    def __init__(self, who, path):
        self.who, self.events, self._rest = who, [], ""
        self._file = path.open(errors="replace") if path.exists() else None

    def follow(self):
        *lines, self._rest = (self._rest + (self._file.read() if self._file else "")).split("\n")
        self.events += [event for line in lines if line.startswith("{") and "event" in (event := json.loads(line))]
        return self.events

    def switched(self, since):
        """ns of a committed switch since then: the row by which the session was ATTACHED anew; else None. The log's
        times are whole milliseconds."""
        recent = itertools.takewhile(lambda event: event["ts_ms"] >= since // MS, reversed(self.follow()))
        return next((event["ts_ms"] * MS for event in recent if event["event"] == "STATE_CHANGE"
                     and event["to"] == "ATTACHED" and event["reason"] == "TRANSPORT_SWITCH_OK"), None)


class JumpRun:
    """Fills `found`: the policy and its facts first, then a record of each jump, at the end what became of packets."""

    def __init__(self, options, found):
        self.options, self.found = options, found
        self.jumps = found["jumps"] = []
        self.bound_at = 0  # since when both ends have had the present binding

    def run(self):
        count = self.options["count"]
        script.progress(0, count, "bringing the lab up")
        self.prepare()
        while len(self.jumps) < count:
            self.wait("settled", _SETTLE_S, self.not_settled)
            script.progress(len(self.jumps), count, "jumping")
            self.jump()

    def prepare(self):
        policy = figures.lab_policy(self.options)
        self.found["policy"] = policy
        self.dead_ms = policy["volatility"]["transport_dead_ms"]
        self.cooldown_ms = policy["switching"]["switch_cooldown_ms"]
        self.interval_ms = 60_000 / figures.jumps_per_min(self.options, policy)
        rtt = self.options["rtt"]
        settings = Settings(emulated=LINKS if rtt else (), policy=figures.to_flow(policy))
        self.found["environment"] = {"port_driver": settings.driver, "workers": settings.queues,
                                     "policy": settings.policy}
        prepare(settings)
        if rtt:
            faults.usual_delay(rtt / 2)
        start_both()
        self.found["rtt_ms"] = max(map(ping_ms, LINKS))
        self.rtt = round(self.found["rtt_ms"] * MS)
        self.session_id = GATEWAY.session()["session_id"]
        self.active = self.active_link(CLIENT.show())
        self.logs = [EventLog("gateway", GATEWAY.log), EventLog("client", CLIENT.log)]
        self.start_traffic()
        self.bound_at = time.time_ns()

    def start_traffic(self):
        self.found["tap"] = tap.ControlTap(LINKS)
        self.streams = self.found["streams"] = {}
        for way, host, far, address, port in (("up", "client", "lan", SERVER4, 7101),
                                              ("down", "lan", "client", CLIENT4, 7102)):
            path = LAB_DIR / f"{way}.probes"
            self.streams[way] = Stream(path)
            ends = [str(word) for word in (path, address, port)]
            processes.spawn(f"probe-{way}-receiver", far, sys.executable, _PROBE, "receive", *ends)
            wait_for(5, lambda host=far, port=port: traffic.listens(host, port, "u"))
            processes.spawn(f"probe-{way}-sender", host, sys.executable, _PROBE, "send", *ends,
                            str(self.options["rate"]), str(self.options["bytes"]))
        traffic.start_transfer(_TCP_MIB, _A_DAY_S)

    def jump(self):
        record = {"from": self.active, "to": "", "fault_at": time.time_ns(), "session_kept": False, "tcp_kept": False}
        self.jumps.append(record)
        try:
            self.apply_fault()
            self.wait("jumped", _JUMP_S + self.dead_ms / 1000, lambda: self.not_switched(record["fault_at"]))
            self.wait("flowing again", _JUMP_S, lambda: self.not_flowing(self.bound_at))
            record["done_at"] = time.time_ns()
            self.wait("attached", _JUMP_S, self.not_attached)
            record |= {"to": self.active, "session_kept": True}
            record["tcp_kept"] = traffic.transfer_goes_on(_TCP_S) and processes.runs("transfer-receiver")
        except SystemExit:
            self.jumps.pop()  # cut short, not failed
            raise
        finally:
            record.setdefault("done_at", time.time_ns())
        self.heal(record["from"])

    def apply_fault(self):
        match self.options["fault"]:
            case "link-down":
                faults.cut(self.active, "down")
            case "blackhole" | "blackhole-up" | "blackhole-down" as fault:
                faults.cut(self.active, figures.BLACKHOLES[fault])
            case "nat-rebind":
                faults.rebind(self.active, "port")
            case "planned":
                planned_jump(LINKS[(LINKS.index(self.active) + 1) % len(LINKS)])

    def heal(self, link):
        if self.options["fault"] in ("link-down", *figures.BLACKHOLES):
            faults.heal(link)
            # A candidate that isn't validated in advance still has to be known to both ends' neighbours.
            if self.options["cold"]:
                ping_ms(link)

    def wait(self, what, seconds, missing):
        """Until nothing is missing. The failure says what was."""
        left = "no answer"

        def holds():
            nonlocal left
            left = missing()
            return not left

        if not wait_for(seconds, holds):
            raise Failure(f"jump {len(self.jumps)}: not {what} within {seconds:g} s: {left}")

    def not_settled(self):
        return (self.not_allowed() or self.not_flowing(0) or self.not_validated() or self.not_attached()
                or self.not_usable())

    def not_allowed(self):
        """One more jump now would meet the cooldown or the switch rate."""
        now = time.time_ns()
        if self.jumps and (now - self.jumps[-1]["fault_at"] < self.interval_ms * MS
                           or now - self.bound_at < self.cooldown_ms * MS):
            return "the policy's cooldown and switch rate"
        if self.options["fault"] in figures.BLACKHOLES and now - self.bound_at < _MEASURED_MS * MS:
            return "the ends have not measured the new path's loss and round trip yet"
        return None

    def not_flowing(self, since):
        return next((f"packets are lost on their way {way}" for way, stream in self.streams.items()
                     if not stream.flows(_FLOWING, _ARRIVES + self.rtt, since)), None)

    def not_validated(self):
        return next((f"{link} is no validated candidate" for link in LINKS if not self.options["cold"]
                     and link != self.active and not self.found["tap"].validated(link, self.bound_at)), None)

    def not_attached(self):
        """Both ends have the session that the run began with, on one binding."""
        shown = [GATEWAY.show(), CLIENT.show()]
        for ended in (ended for show in shown for ended in show["terminated"]):
            if ended["session_id"] == self.session_id:
                raise Failure(f"the session ended: {ended['reason']}")
        for end, show in zip((GATEWAY, CLIENT), shown):
            if [session["session_id"] for session in show["sessions"]] != [self.session_id]:
                return f"{end.name} has not got the session"
            if (state := show["sessions"][0]["state"]) != "ATTACHED":
                return f"{end.name} is {state}"
        bindings = [show["sessions"][0]["binding_version"] for show in shown]
        if bindings[0] != bindings[1]:
            return f"the gateway has binding {bindings[0]}, the client {bindings[1]}"
        self.active = self.active_link(shown[1]) or self.active
        return None if self.active_link(shown[1]) else "the client uses none of the links"

    def not_usable(self):
        usable = sum(path["state"] != "down" for path in CLIENT.show()["paths"])
        return None if usable == len(LINKS) else f"the client can use {usable} of {len(LINKS)} links"

    def not_switched(self, since):
        switched = [log.switched(since) for log in self.logs]
        if None in switched:
            return f"no switch in the log of the {self.logs[switched.index(None)].who}"
        self.bound_at = max(switched) + MS  # logs tell whole milliseconds
        return None

    @staticmethod
    def active_link(show):
        return next((path["underlay"] for path in show["paths"] if path["state"] == "active"), None)


def delivery(found, jump, way):
    """Packets that were on their way when the fault came belong to the jump."""
    return found["streams"][way].delivery(jump["fault_at"] - round(found["rtt_ms"] * MS), jump["done_at"])


def count_packets(options, found):
    """Ends the traffic and says what each jump, and the run, has lost."""
    totals = dict.fromkeys(("lost_packets", "lost_between_jumps", "offered_packets", "duplicate_packets"), 0)
    streams = found.get("streams", {})
    for way in streams:
        processes.stop(f"probe-{way}-sender")
    wait_for(_DRAIN_S, lambda: all(stream.flows(1, 0) for stream in streams.values()))
    for way, stream in streams.items():
        for jump in found["jumps"]:
            _, lost, gap = delivery(found, jump, way)
            jump[way] = {"blocked_ms": len(lost) * 1000 / options["rate"], "gap_ms": gap / MS}
            totals["lost_packets"] += len(lost)
        offered, lost, _ = stream.delivery(0, time.time_ns())
        totals["offered_packets"] += offered
        totals["lost_between_jumps"] += len(lost)
        totals["duplicate_packets"] += stream.duplicates
    totals["lost_between_jumps"] -= totals["lost_packets"]
    return totals


def course(options, found, jump):
    """(ns, who, what): events, control messages and losses around a jump, in order of time."""
    since, until = jump["fault_at"] - _AROUND, jump["done_at"] + _AROUND
    lines = [(jump["fault_at"], "lab", "fault asked for"), (jump["done_at"], "lab", "traffic flows both ways")]
    for who, name in timeline.LOGS.items():
        lines += [(event["ts_ms"] * MS, who, timeline.text_of(event)) for event in timeline.events(name)
                  if since <= event["ts_ms"] * MS < until
                  # Two of these go with every switch, and say nothing about its course.
                  and not (event["event"] == "AUDIT_EVENT" and event.get("result") == "ok")]
    for message in found["tap"].between(since, until):
        what = tap.describe(message, options["messages"], options["longest_message"])
        lines.append((message.at, message.link, f"{'->' if message.outbound else '<-'} {what}"))
    for way in found["streams"]:
        if lost := delivery(found, jump, way)[1]:
            lines += [(lost[0], "probe", f"{way}: first packet lost"),
                      (lost[-1], "probe", f"{way}: last of {len(lost)} lost")]
    return sorted(lines, key=lambda line: line[0])


def print_courses(options, found):
    """Of the worst jumps."""
    blocked = lambda jump: max(jump[way]["blocked_ms"] for way in ("up", "down"))
    for jump in sorted(found["jumps"], key=blocked, reverse=True)[:options["timelines"]]:
        print(f"\n{jump['from']} -> {jump['to']}: blocked up {jump['up']['blocked_ms']:.1f} ms, "
              f"down {jump['down']['blocked_ms']:.1f} ms", file=sys.stderr)
        for at, who, what in course(options, found, jump):
            print(f"{(at - jump['fault_at']) / MS:>10.3f} ms  {who:<8} {what}", file=sys.stderr)


def result(options, found, failure):
    found.setdefault("jumps", [])
    totals = count_packets(options, found) | {"rtt_ms": found.get("rtt_ms", 0)}
    totals["bound_ms"], totals["bound"] = figures.bound_of(options, totals["rtt_ms"], found.get("policy", {}))
    print_courses(options, found)
    if options["keep_logs"]:
        try:
            shutil.copytree(LOGS, options["keep_logs"], dirs_exist_ok=True)
        except OSError as error:
            print(f"jvpn-perf jump: --keep-logs: {error}", file=sys.stderr)
    measured = figures.json_of(options, totals, found["jumps"], failure)
    return measured, figures.table(measured), found.get("environment", {})


def parser():
    words = script.Parser("How long traffic stands still while a session jumps, on real packets in the lab.")
    words.add_argument("--fault", choices=("link-down", *figures.BLACKHOLES, "planned", "nat-rebind"), required=True,
                       help="what makes it jump")
    words.add_number("--count", 20, 1, 100_000, "jumps")
    words.add_argument("--cold", action="store_true", help="candidates aren't validated in advance")
    words.add_number("--rtt", 0.0, 0, 2000, "round trip of every link, in ms; 0: plain links")
    words.add_number("--rate", 1000, 10, 20_000, "probe packets per second, each way")
    words.add_number("--bytes", 128, 8, 1200, "of a probe's payload")
    words.add_argument("--policy", default="", help="YAML laid over the run's policy, `switching: {drain_ms: 50}`")
    words.add_argument("--timelines", metavar="NUMBER", type=int, default=0,
                       help="print the course of so many worst jumps")
    words.add_argument("--keep-logs", metavar="FOLDER", default="", help="for the programs' logs")
    return words


if __name__ == "__main__":
    script.in_lab(parser(), lambda options, found: JumpRun(options, found).run(), result)
