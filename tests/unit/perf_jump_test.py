#!/usr/bin/env python3
"""The pure parts of `jvpn-perf jump` and `peers`: command lines, policy, bounds, statistics, JSON, probes, the tap. Prints TAP."""
import contextlib
import io
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[1:1] = [str(ROOT / folder) for folder in ("perf/jump", "perf/harness", "lab")]
import figures  # noqa: E402
import jump  # noqa: E402
import peers  # noqa: E402
import probe  # noqa: E402
import tap  # noqa: E402
import tap_runner  # noqa: E402

from jvpn_lab.console import Failure  # noqa: E402


def options(**values):
    return {"fault": "link-down", "cold": False, "rate": 1000, "bytes": 128, "policy": "", "max_switches_per_min": 64,
            "max_flaps_per_min": 31} | values


class Statistics(unittest.TestCase):
    def test_percentiles(self):
        self.assertEqual(figures.percentiles(range(1, 201)), {"p50": 100, "p90": 180, "p99": 198, "max": 200})

    def test_histogram_edges_are_one_two_five(self):
        buckets = figures.histogram([0, 0, 1, 1.5, 2, 301])
        self.assertEqual([high for _, high, _ in buckets], [0, 1, 2, 5, 10, 20, 50, 100, 200, 500])
        self.assertEqual([count for _, _, count in buckets], [2, 1, 2, 0, 0, 0, 0, 0, 0, 1])
        self.assertEqual(figures.histogram([]), [])
        self.assertEqual(figures.histogram([0]), [[0, 0, 1]])

    def test_histogram_loses_no_sample(self):
        seed = time.time_ns()
        chance = random.Random(seed)
        samples = [math.exp(chance.uniform(-3, 12)) for _ in range(1000)]
        buckets = figures.histogram(samples)
        self.assertEqual(sum(count for _, _, count in buckets), 1000, f"seed {seed}")
        self.assertEqual([low for low, _, _ in buckets[1:]], [high for _, high, _ in buckets[:-1]])


class Policy(unittest.TestCase):
    def test_the_extra_is_laid_over_the_default(self):
        policy = figures.to_flow(figures.lab_policy(options(
            policy="switching: {drain_ms: 50, failback: {when_stable_ms: 100}}, session: {idle_max_ms: 9}, "
                   "transport: {allowed_protocols: [udp]}")))
        self.assertTrue(policy.startswith("version: 1, "), policy)
        for text in ("drain_ms: 50", "failback: {when_stable_ms: 100}", "session: {idle_max_ms: 9}",
                     "allowed_protocols: [udp]", "max_switches_per_min: 64"):
            self.assertIn(text, policy)
        self.assertNotIn("drain_ms: 100", policy)

    def test_what_is_no_map_is_refused(self):
        for text in ("[1", "a: b: c", "switching: {drain_ms: 50", "switching: 3",
                     "volatility: {transport_dead_ms: soon}"):
            with self.assertRaisesRegex(Failure, "--policy"):
                figures.lab_policy(options(policy=text))

    def test_cold_candidates_are_never_probed(self):
        self.assertEqual(figures.lab_policy(options(cold=True))["transport"]["candidate_validation_ttl_ms"], 0)

    def test_rate_follows_the_policy_and_the_fault(self):
        for fault, policy, dead_ms, low, high in [
                ("link-down", "", 2000, 55, 64), ("blackhole", "", 2000, 55, 64),
                ("blackhole", "volatility: {detection: fixed}", 2000, 20, 31),  # each passes through VOLATILE
                ("blackhole-up", "switching: {max_switches_per_min: 8}, volatility: {transport_dead_ms: 700}", 700, 5, 8),
                ("nat-rebind", "volatility: {transport_dead_ms: 500}", 500, 4, 7)]:
            asked = options(fault=fault, policy=policy)
            made = figures.lab_policy(asked)
            self.assertEqual(made["volatility"]["transport_dead_ms"], dead_ms)
            self.assertTrue(low < figures.jumps_per_min(asked, made) < high)

    def test_bounds_are_the_designs(self):
        for fault, cold, expected in [("link-down", False, 30), ("link-down", True, 40),
                                      ("planned", False, 0), ("nat-rebind", False, 72)]:
            self.assertEqual(figures.bound_of(options(fault=fault, cold=cold, rate=500), 10, {})[0], expected)

    def test_silent_loss_is_bounded_in_round_trips(self):
        for rtt_ms, expected in [(0.3, 60), (1, 60), (20, 120), (60, 310), (100, 500), (180, 880)]:
            self.assertEqual(figures.bound_of(options(fault="blackhole"), rtt_ms, {})[0], expected)
            self.assertEqual(figures.bound_of(options(fault="blackhole-up"), rtt_ms, {})[0], expected + rtt_ms)
        fixed = {"volatility": {"detection": "fixed", "transport_dead_ms": 300}}
        self.assertEqual(figures.bound_of(options(fault="blackhole"), 10, fixed)[0], 360)


class Result(unittest.TestCase):
    TOTALS = {"bound_ms": 20, "bound": "b", "rtt_ms": 0.5, "lost_packets": 7, "lost_between_jumps": 0,
              "offered_packets": 100, "duplicate_packets": 0}

    @staticmethod
    def jump(up, down, kept):
        return {"fault_at": 5_000_000, "from": "wan0", "to": "wan1", "session_kept": kept, "tcp_kept": kept,
                "up": {"blocked_ms": up, "gap_ms": up + 1}, "down": {"blocked_ms": down, "gap_ms": down + 1}}

    def test_the_worse_direction_counts(self):
        result = figures.json_of(options(), self.TOTALS, [self.jump(3, 30, True), self.jump(4, 0, False)], None)
        self.assertEqual((result["p50_blocked_ms"], result["max_blocked_ms"], result["p99_over_bound_ms"]), (4, 30, 10))
        self.assertEqual((result["jumps_over_bound"], result["sessions_kept"], result["longest_gap_ms"]), (1, 1, 31))
        self.assertEqual(result["up"]["max"], 4)
        self.assertEqual(result["jumps"][0]["at_ms"], 5)
        self.assertIn("session 1 of 2", figures.table(result))

    def test_no_jump_at_all(self):
        result = figures.json_of(options(), self.TOTALS, [], "why")
        self.assertEqual((result["count"], result["max_blocked_ms"], result["failure"]), (0, 0, "why"))
        self.assertEqual(figures.table(result), "")


class Probes(unittest.TestCase):
    def test_what_became_of_each(self):
        with tempfile.TemporaryDirectory() as folder:
            stream = probe.Stream(pathlib.Path(folder, "probes"))
            times = probe._shared(pathlib.Path(folder, "probes"))
            for number in range(1, 11):  # sent at 100, 200 …; 4 and 5 are lost, the others take 7
                times[2 * number] = 100 * number
                times[2 * number + 1] = 0 if number in (4, 5) else 100 * number + 7
            times[0], times[1] = 10, 3
            self.assertEqual(stream.duplicates, 3)
            self.assertEqual(stream.delivery(0, 10_000), (10, [400, 500], 300))
            self.assertEqual(stream.delivery(500, 900), (4, [500], 300))
            self.assertEqual(stream.delivery(600, 600), (0, [], 0))
            self.assertTrue(stream.flows(5, 0))
            self.assertFalse(stream.flows(6, 0))
            self.assertFalse(stream.flows(5, 0, since=700))
            self.assertFalse(stream.flows(11, 0))
            del stream, times


class Tap(unittest.TestCase):
    KINDS = [[60, "in out", "HEARTBEAT"], [80, "in", "ACK"], [80, "in", "REJECT"], [80, "out", "REQUEST"],
             [0, "out", "PROBE"]]

    def test_length_and_direction_name_a_message(self):
        for size, outbound, name in [(60, True, "HEARTBEAT"), (80, False, "ACK or REJECT"), (80, True, "REQUEST"),
                                     (1200, True, "PROBE"), (1200, False, "1200 bytes"), (61, True, "61 bytes")]:
            self.assertEqual(tap.describe(tap.Message(0, "wan0", outbound, size), self.KINDS, 500), name)


class Peers(unittest.TestCase):
    FOUND = {"jvpn": {"missing": "", "gbps": [3, 2, 8], "cpu_s": [1, 1, 1]},
             "wireguard-go": {"missing": "", "gbps": [1, 1], "cpu_s": [2, 4]},
             "openvpn": {"missing": "openvpn", "gbps": [], "cpu_s": []}}

    def test_ratios_are_within_a_round(self):
        self.assertEqual(peers.jvpn_over(self.FOUND, "wireguard-go"), 2.5)
        self.assertIsNone(peers.jvpn_over(self.FOUND, "openvpn"))
        self.assertIsNone(peers.jvpn_over({}, "wireguard-go"))

    def test_json_says_what_is_missing(self):
        measured, table, _ = peers.result({"seconds": 5, "rounds": 3}, self.FOUND, None)
        self.assertEqual(measured["jvpn_over_wireguard_go"], 2.5)
        self.assertNotIn("jvpn_over_openvpn", measured)
        self.assertEqual([measured["peers"][0][key] for key in ("gbps", "gbps_max", "streams")], [3, 8, 3])
        self.assertEqual(measured["peers"][1]["cpu_s"], 3)
        self.assertEqual(measured["peers"][2]["status"], "not installed")
        self.assertIn("not installed", table)


class CommandLines(unittest.TestCase):
    def test_jump_takes_its_options(self):
        for fault in ("link-down", "blackhole", "blackhole-up", "blackhole-down", "planned", "nat-rebind"):
            self.assertEqual(jump.parser().parse(["--fault", fault])["fault"], fault)
        words = "--fault link-down --cold --count 200 --rtt 12.5 --rate 2000 --bytes 64 --timelines 2 --keep-logs x --json"
        self.assertEqual(jump.parser().parse(words.split()), {
            "fault": "link-down", "cold": True, "count": 200, "rtt": 12.5, "rate": 2000, "bytes": 64, "policy": "",
            "timelines": 2, "keep_logs": "x", "json": True})

    def test_peers_takes_a_list(self):
        self.assertEqual(len(peers.parser().parse([])["peers"]), 3)
        self.assertEqual(peers.parser().parse(["--peers", "jvpn,openvpn", "--rounds", "2"]), {
            "seconds": 5, "rounds": 2, "peers": ["jvpn", "openvpn"], "json": False})

    def test_what_makes_no_sense_is_refused(self):
        for command, words in [(jump, ""), (jump, "--fault fire"), (jump, "--fault planned --count 0"),
                               (jump, "--fault planned --rate 1000000"), (jump, "--fault planned --rtt -1"),
                               (jump, "--fault planned --bytes 4"), (jump, "--fault planned --colder"),
                               (jump, "--fault planned --co 3"), (peers, "--peers ipsec"), (peers, "--rounds many")]:
            with self.assertRaises(SystemExit) as stop, contextlib.redirect_stderr(io.StringIO()):
                command.parser().parse(words.split())
            self.assertEqual(stop.exception.code, 2, words)


class InTheLab(unittest.TestCase):
    SCRIPT = """
import os, signal, sys, time
import script
from jvpn_lab import topology
from jvpn_lab.console import Failure
os.geteuid, topology.lock, how = lambda: 0, lambda: None, sys.argv.pop()
def measure(options, found):
    print("what nobody asked for")
    if how == "fails":
        raise Failure("the lab broke")
    if how == "interrupted":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)
parser = script.Parser("")
parser.add_number("--count", 3, 1, 9, "")
script.in_lab(parser, measure, lambda options, found, failure: (
    {"count": options["count"], "failure": failure}, "a table\\n", {"workers": 2}))
"""

    def test_figures_alone_on_stdout_and_the_exit_code(self):
        facts = {"command": "jump", "environment": dict.fromkeys(("cpus", "load", "ipsec_mb", "commit", "build"), 1)}
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        environment["PYTHONPATH"] = f"{ROOT}/perf/harness:{ROOT}/lab"
        for how, code, interrupted, failure in [("done", 0, False, None), ("fails", 1, False, "the lab broke"),
                                                ("interrupted", 130, True, None)]:
            done = subprocess.run([sys.executable, "-Bc", self.SCRIPT, json.dumps(facts), "--count", "4", "--json", how],
                                  capture_output=True, text=True, check=False, env=environment)
            self.assertEqual(done.returncode, code, done.stderr)
            printed = json.loads(done.stdout)
            self.assertEqual((printed["count"], printed["interrupted"], printed["failure"]), (4, interrupted, failure))
            self.assertEqual(printed["environment"]["workers"], 2)


if __name__ == "__main__":
    tap_runner.main()
