#!/usr/bin/env python3
"""What jvpn-perf makes of samples: statistics, figures and tables of pipeline, publish, scale, jump-load, handshake and
ndr; JSON or table, the exit code. Prints TAP."""
import contextlib
import io
import json
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[1:1] = [str(ROOT / folder) for folder in ("perf/harness", "perf/handshake", "perf/isolation", "perf/ndr",
                                               "perf/pipeline", "perf/store", "perf/storm")]
import cells  # noqa: E402
import handshakes  # noqa: E402
import isolation  # noqa: E402
import rates  # noqa: E402
import samples  # noqa: E402
import show  # noqa: E402
import storm  # noqa: E402
import stores  # noqa: E402
import tap_runner  # noqa: E402

FACTS = {"suite": "aes-128-gcm", "seconds": 2.5, "runs": 2, "seed": 7, "pages": "2 MB", "pages_note": ""}


def run_of(*pairs, phases=(0,), stages=()):
    return {"pipeline": [worker for worker, _ in pairs], "raw": [raw for _, raw in pairs], "phases": list(phases),
            "stages": {"seal": list(stages), "replay": [0 for _ in stages]}, "packets": 1000 * len(pairs)}


def cell_of(*runs, **values):
    return {"rig": 0, "direction": "seal", "sizes": [64], "workers": 1, "tsc_hz": 2e9, "drops": 3,
            "runs": list(runs)} | values


def some_cell(**values):
    return cell_of(run_of((100, 50), stages=[55]), run_of((120, 50)), **values)


class Statistics(unittest.TestCase):
    def test_where_the_median_lies(self):
        self.assertEqual(samples.median_within(range(100)), (40, 59))
        self.assertEqual(samples.median_within([3, 1, 2]), (1, 3))
        self.assertEqual(samples.median_within([]), (0, 0))

    def test_percentiles_by_nearest_rank(self):
        for count, percent, expected in [(0, 50, 0), (1, 1, 1), (1, 99, 1), (2, 50, 1), (2, 51, 2), (4, 50, 2),
                                         (5, 50, 3), (100, 99, 99), (100, 99.5, 100), (100, 100, 100), (200, 99, 198),
                                         (20, 99, 20), (10, 0, 1)]:
            self.assertEqual(samples.percentile(range(count, 0, -1), percent), expected, (count, percent))

    def test_median_and_spread(self):
        for values, expected in [([], 0), ([1], 1), ([2, 1], 1.5), ([5, 4, 3, 2, 1], 3), ([9, 1, 5, 1000], 7)]:
            self.assertEqual(samples.median(values), expected)
        self.assertEqual(samples.spread("x", [9, 1, 5, 1000]), {"x": 7, "x_min": 1, "x_max": 1000})
        self.assertEqual(samples.spread("x", []), {"x": 0, "x_min": 0, "x_max": 0})


class Cells(unittest.TestCase):
    def test_a_run_gives_medians_of_neighbours(self):
        # The machine gets twice as slow for the last two pairs: ratios don't notice.
        run = cells.run_figures(run_of((100, 50), (110, 50), (200, 100), (220, 100)))
        self.assertEqual((run.cycles, run.raw, run.overhead), (155, 75, 80))
        self.assertAlmostEqual(run.ratio, 2.1)

    def test_a_cell_gives_spreads_over_its_runs(self):
        runs = [run_of((100, 50)), run_of((120, 50)), run_of((90, 45)), run_of()]  # the last one was never begun
        figures = cells.figures_of(cell_of(*runs, sizes=[100, 150], workers=2, tsc_hz=1e9))
        for key, expected in {"cycles_per_packet": 100, "cycles_per_packet_min": 90, "cycles_per_packet_max": 120,
                              "raw_cycles_per_packet": 50, "overhead_cycles": 50, "ratio_max": 2.4, "gbps": 20,
                              "mpps": 20, "packets": 3000, "drops": 3, "tsc_hz": 1e9}.items():  # 2e9 / 100 cycles
            self.assertEqual(figures[key], expected, key)

    def test_stages_out_of_play_are_left_out(self):
        self.assertEqual(cells.figures_of(some_cell())["stages"], {"seal": 55})

    def test_nothing_measured(self):
        figures = cells.figures_of(cell_of(run_of()))
        self.assertEqual((figures["mpps"], figures["ratio_max"], figures["stages"]), (0, 0, {}))

    def test_workers_are_judged_by_as_many_processes(self):
        alone = cell_of(run_of((100, 50)), run_of((100, 50)))
        together = cell_of(run_of((125, 80)), run_of((100, 50)))
        scaling = cells.scaling(alone, together, cell_of(run_of((120, 80)), run_of((96, 50))), 2)
        for key, expected in {"workers": 2, "gain_min": 1.6, "gain_max": 2, "of_processes": 0.96, "scales": True}.items():
            self.assertAlmostEqual(scaling[key], expected, msg=key)
        self.assertFalse(cells.scaling(alone, together, alone, 2)["scales"])  # 0.9

    def test_loss_is_of_phases_of_the_same_round(self):
        loaded = run_of((125, 1), (125, 1), (999, 1), (100, 1), phases=(0, 3))
        quiet = run_of((100, 1), (100, 1), (100, 1), phases=(0, 2))
        self.assertEqual([round(lost, 9) for lost in cells.lost_percent(loaded, quiet)], [20, 0])
        self.assertEqual(cells.lost_percent(run_of(phases=()), quiet), [])

    def test_loss_of_jumps_is_the_median_of_the_pairs(self):
        for pairs, expected in [([], 0), ([[0.98, 1]], 2), ([[2, 2], [0.5, 1], [3.96, 4]], 1), ([[1.1, 1]], -10),
                                ([[1, 0], [0.75, 1]], 25)]:
            self.assertAlmostEqual(cells.loss_percent(pairs), expected)

    def test_interrupted_slices_are_left_out(self):
        self.assertEqual(cells.undisturbed([]), 0)
        self.assertEqual(cells.undisturbed([100, 120, 950, 110]), 110)


class Views(unittest.TestCase):
    def test_one_direction_stands_on_top(self):
        facts = FACTS | {"sessions": 5, "workers": 1, "lanes": 1}
        figures, table = cells.pipeline({"cells": [some_cell()], "facts": facts})
        for key in ("cycles_per_packet", "raw_cycles_per_packet", "overhead_cycles", "ratio", "mpps", "gbps"):
            self.assertLessEqual({key, f"{key}_min", f"{key}_max"}, figures.keys())
        self.assertEqual((figures["cycles_per_packet"], figures["direction"], figures["size"]), (110, "seal", 64))
        self.assertNotIn("scaling", figures)
        for text in ("110.0 (100.0-120.0)", "seal    seal 55.0\n", "drops      3", "seed 7"):
            self.assertIn(text, table)

    def test_several_directions_stand_in_objects(self):
        facts = FACTS | {"sessions": 5, "workers": 2, "lanes": 2}
        both = [some_cell(direction=way, sizes=[64, 570]) for way in ["seal"] * 3 + ["open"] * 3]
        figures, table = cells.pipeline({"cells": both, "facts": facts})
        self.assertEqual((figures["open"]["cycles_per_packet"], figures["size"]), (110, "imix"))
        self.assertNotIn("cycles_per_packet", figures)
        self.assertEqual(figures["seal"]["scaling"]["gain"], 2)
        self.assertIn("open: 2 workers carry 2.00 times what one does, and 1.000", table)

    def test_of_two_directions_the_worse_loss_stands_on_top(self):
        facts = FACTS | {"sessions": 5, "updates_per_s": 99.7, "publish_us": 1.25}
        quiet = cell_of(run_of((100, 50)))
        figures, table = cells.publish({"facts": facts, "cells": [
            cell_of(run_of((125, 50))), quiet, cell_of(run_of((200, 50)), direction="open"), quiet]})
        self.assertAlmostEqual(figures["seal"]["throughput_lost_percent"], 20)
        self.assertAlmostEqual(figures["throughput_lost_percent"], 50)
        self.assertEqual(figures["seal"]["without_updates"]["cycles_per_packet"], 100)
        self.assertIn("open loses 50.00 % of its throughput (runs 50.00 to 50.00 %)", table)

    def test_many_sessions_are_compared_with_1000(self):
        of = {1000: [run_of((100, 1)), run_of((100, 1))], 9: [run_of((300, 1)), run_of((330, 1))]}
        rigs = [{"sessions": sessions, "table_bytes": 10 * sessions, "setup_sessions_per_s": 5} for sessions in of]
        made = [cell_of(*of[rig["sessions"]], rig=at, direction=way)
                for at, rig in enumerate(rigs) for way in ("seal", "open")]
        figures, table = cells.scale({"cells": made, "rigs": rigs, "facts": FACTS})
        row = figures["rows"][1]
        self.assertEqual((row["sessions"], row["size"], row["bytes_per_session"]), (9, 64, 10))
        self.assertAlmostEqual(row["seal"]["over_1000"], 3.15)
        self.assertAlmostEqual(row["open"]["over_1000_max"], 3.3)
        figures, table = cells.scale({"cells": made[2:], "rigs": rigs, "facts": FACTS})
        self.assertIsNone(figures["rows"][0]["open"]["over_1000"])
        self.assertIn(" -", table)

    def test_half_is_sealed_half_opened(self):
        made = [cell_of(run_of((cycles, 0)), run_of()) for cycles in (120, 100, 120, 100)]
        facts = {"sessions": 1, "jumps_per_s": 2, "bytes": 128, "publish_us": 3, "seed": 4}
        figures, table = cells.jump_load({"cells": made, "facts": facts})
        self.assertAlmostEqual(figures["mpps_without"], 20)
        self.assertAlmostEqual(figures["throughput_loss_percent"], 100 / 6)
        self.assertEqual(len(figures["pairs"]), 1)  # the second run was never begun
        self.assertIn("without jumps  20.000 Mpps", table)

    def test_a_machine_that_slows_down_leaves_the_ratios(self):
        fast = [200e-6, 220e-6, 40e-6, 42e-6, 14e-6]
        run = handshakes.run_figures([fast, [2 * seconds for seconds in fast], fast])
        for key, expected in {"responder_per_s": 5000, "raw_x25519_per_s": 25000, "responder_ratio": 0.8,  # 4 × 40 of 200
                              "both_sides_per_s": 1e6 / 420, "both_sides_ratio": 320 / 420, "x25519_us": 168,
                              "ephemeral_us": 14, "rest_us": 18}.items():
            self.assertAlmostEqual(run[key], expected, msg=key)
        self.assertEqual(handshakes.run_figures([])["responder_ratio"], 0)
        figures, table = handshakes.handshake({"runs": [[fast]], "facts": {"suite": "s", "handshakes": 16}})
        self.assertAlmostEqual(figures["responder"]["ratio_max"], 0.8)
        self.assertIn("168.0 us in four X25519", table)

    def test_confirmation(self):
        plain = dict.fromkeys(("size", "trial_s", "ndr_mpps", "ndr_gbps", "pdr_mpps", "pdr_gbps", "flat_out_mpps",
                               "generator_max"), 1) | {"direction": "seal", "suite": "s", "latency_us": []}
        for confirmed, lost, text in [(9, 0, "0 of 9 packets lost"), (0, 4, "not confirmed, 4 packets"),
                                      (0, 0, "not confirmed\n")]:
            self.assertIn(text, rates.ndr(plain | {"confirmed_packets": confirmed, "lost_below_ndr": lost})[1])


def phase_of(fault, max_us=900, cpu_us=300, **values):
    beats = {"sent": 10, "answered": 10, "unanswered": 0, "terminated": 0, "p50_us": 400, "p99_us": 800,
             "p99_99_us": 900, "max_us": max_us + 9_000, "max_own_us": max_us}
    turns = {"longest_cpu_us": cpu_us, "longest_us": cpu_us + 100, "over_1ms": 0,
             "parts_us": {"control": cpu_us - 9, "admin": 9}}
    return {"fault": fault, "seconds": 5, "heartbeats": beats, "lost_sessions": 0, "turns": turns,
            "generator": {"longest_us": 9_700, "longest_cpu_us": 700, "longest_kept_us": 9_000, "waited": 1,
                          "preempted": 2}, "generator_refused": 0, "counted": {}, "told": {}} | values


class Isolation(unittest.TestCase):
    FACTS = {"sessions": 200, "attached": 201, "setup_s": 2, "seconds": 5, "heartbeat_ms": 600, "most_delay_ms": 50,
             "most_turn_ms": 1, "pages": "4 kB", "seed": 7, "endings": {"reset": 2},
             "machine": {"seconds": 20, "over_1ms": 0, "longest_cpu_us": 40}}

    def failure(self, *phases, **facts):
        return isolation.isolation({"phases": [phase_of("none"), *phases], "facts": self.FACTS | facts})[0].get("failure")

    def test_bars_that_hold(self):
        figures, table = isolation.isolation({"phases": [phase_of("none"), phase_of("show", 50_900, 1_000)],
                                              "facts": self.FACTS})
        self.assertNotIn("failure", figures)
        self.assertEqual(figures["faults"][1]["added_ms"], 50)
        self.assertEqual(figures["faults"][1]["driver_kept_ms"], 9)
        self.assertEqual(figures["faults"][1]["longest_part"], "control")
        self.assertIn("201 idle sessions, set up in 2.0 s (100 handshakes/s)", table)

    def test_every_bar_can_break(self):
        for phase, facts, text in [
                (phase_of("show", 50_901), {}, "show: a heartbeat was answered 50.0 ms later"),
                (phase_of("reload", cpu_us=1_001), {}, "reload: control ran for 1.00 ms at once (control)"),
                (phase_of("replay", lost_sessions=1), {}, "replay: 1 sessions lost; of ends the gateway said: reset 2"),
                (phase_of("replay", heartbeats=phase_of("x")["heartbeats"] | {"sent": 0}), {}, "no heartbeat was sent"),
                (phase_of("show"), {"attached": 199}, "only 199 of 200 sessions came up"),
                (phase_of("show"), {"most_turn_ms": 0.1}, "none: control ran for 0.30 ms")]:
            self.assertIn(text, self.failure(phase, **facts) or "it passed", phase["fault"])

    def test_what_the_machine_does_is_no_turns_fault(self):
        uneven = {"machine": {"seconds": 20, "over_1ms": 4, "longest_cpu_us": 7_000}}  # one in a phase of 5 s
        for over_1ms, facts, passes in [(4, uneven, True), (5, uneven, False), (1, {}, False),
                                        (0, uneven | {"most_turn_ms": 0.5}, False)]:
            phase = phase_of("reload", cpu_us=5_000)
            phase["turns"]["over_1ms"] = over_1ms
            self.assertEqual(self.failure(phase, **facts) is None, passes, (over_1ms, facts))

    def test_without_the_quiet_phase_nothing_passes(self):
        figures, _ = isolation.isolation({"phases": [], "facts": self.FACTS})
        self.assertIn("nothing was measured", figures["failure"])


def storm_phase(name, back=True, seconds=2.5, **values):
    counts = {"cpu_s": 1.5, "turns": 9, "messages": 99, "longest_turn_us": 700, "turns_over_1ms": 0, "ring_full": 3, "ring_most": 400,
              "rekeys": 0, "endings": {}, "peers_endings": {}, "resets": 0, "requests": 260, "refused": 40, "commits": 200, "resumes": 4, "over_budget": 0,
              "events": {"emitted": 900, "written": 880, "announced": 20}, "denied": {"POLICY_DENY cooldown": 30}}
    return counts | {"phase": name, "back": back, "seconds": seconds, "attached": 200, "bound": 200,
                     "peers_attached": 200, "before": [counts], "after": counts | {"longest_turn_us": 900}} | values


class Storm(unittest.TestCase):
    FACTS = {"sessions": 200, "attached": 200, "setup_s": 2, "delay_ms": 10, "heartbeat_ms": 500, "most_s": 10, "ring": 512,
             "event_ring": 4096}

    def shown(self, *phases, **facts):
        return storm.storm({"phases": phases, "facts": self.FACTS | facts})

    def test_bars_that_hold(self):
        figures, table = self.shown(storm_phase("path"), storm_phase("return", seconds=10))
        self.assertNotIn("failure", figures)
        path = figures["phases"][0]
        self.assertEqual((path["us_per_session"], path["busy_percent"], path["longest_turn_us"]), (7500, 60, 900))
        self.assertEqual((path["emitted"], path["lost"], path["announced"]), (2700, 60, 60))  # from before to after
        self.assertEqual(path["denied"], {"POLICY_DENY cooldown": 60})
        for line in ("200 sessions; paths of 10 ms", "denied    path: POLICY_DENY cooldown 60\n"):
            self.assertIn(line, table)

    def test_every_bar_can_break(self):
        silent = {"emitted": 900, "written": 880, "announced": 19}
        for phase, facts, text in [
                (storm_phase("path", False, 60, attached=7, bound=5), {},
                 "path: after 60.0 s only 7 of 200 sessions were attached, 5 on the other path"),
                (storm_phase("path", seconds=10.1), {}, "path: the last session was attached again after 10.1 s"),
                (storm_phase("path", seconds=2), {"most_s": 1}, "attached again after 2.0 s"),
                (storm_phase("path", endings={"TTL_SESSION_EXPIRED": 1}), {},
                 "path: 1 sessions were terminated (TTL_SESSION_EXPIRED 1)"),
                (storm_phase("path", before=[storm_phase("x")["after"] | {"endings": {"RESET": 3}}]), {},
                 "3 sessions were terminated"),
                (storm_phase("path", after=storm_phase("x")["after"] | {"peers_endings": {"RESET": 2}}), {},
                 "2 sessions were terminated"),
                (storm_phase("path", events=silent), {}, "path: 1 events were lost and not announced"),
                (storm_phase("path", peers_attached=199), {}, "path: 1 peers have no session that is attached"),
                (storm_phase("path"), {"attached": 199}, "only 199 of 200 sessions came up")]:
            self.assertIn(text, self.shown(phase, **facts)[0].get("failure", "it passed"))
        self.assertIn("nothing was measured", self.shown()[0]["failure"])


class Stores(unittest.TestCase):
    def test_figures_and_table(self):
        commits = {"latency_s": [0.001, 0.002, 0.003, 0.010], "commits_per_s": 5e4}
        engine = {"seconds": 20.0, "engine_cpu_s": 15.0, "clients_cpu_s": 12.0, "store_cpu_s": 2.0, "etcd_cpu_s": 9.0,
                  "refused": 3, "resident_mb": 900}
        # The machine gets twice as slow for the last slice: the ratio doesn't notice.
        reattach = {"sessions": 64, "memory_s": [10e-6, 10e-6, 20e-6], "stored_s": [10.2e-6, 10.4e-6, 20.6e-6]}
        figures, table = stores.store({
            "embedded": commits | {"reattach": reattach},
            "etcd": commits | {"takeover": {"sessions": 1000, "silent_s": 6.0, "seconds": 10.0, "writes_per_s": 250.0,
                                            "engine": engine}}})
        self.assertEqual([figures["etcd"][f"p{percent}_ms"] for percent in (50, 90, 100)], [2, 10, 10])
        self.assertAlmostEqual(figures["reattach"]["ratio"], 1.03)
        self.assertAlmostEqual(figures["reattach"]["stored_us"], 10.4)
        self.assertEqual((figures["takeover"]["took_s"], figures["takeover"]["engine_writes_per_s"]), (4, 50))
        for line in ("10.00 us without a store, 10.40 us with the embedded one, 1.030 times",
                     "by calls of the store alone         4.0 s   250 writes/s",
                     "3 pairs: half of them 1.020 to 1.040; the median is within 1.020 to 1.040, 95 %",
                     "clients    20.0 s   50 writes/s; 900 MB",
                     "engine 15.0 s, its store's thread 2.0 s, clients 12.0 s, etcd's members 9.0 s"):
            self.assertIn(line, table)


class Show(unittest.TestCase):
    MACHINE = {"cpu": "c", "cpus": 2, "load": 0.5, "ipsec_mb": "i", "commit": "abc", "build": "b"}

    def shown(self, as_json, interrupted, failure=None):
        """Exit code, stdout, stderr."""
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as said:
            code = show.show("jump", as_json, {"figure": 1, "failure": failure}, "a table\n", interrupted, self.MACHINE)
        return code, out.getvalue(), said.getvalue()

    def test_table_and_machine(self):
        code, out, _ = self.shown(False, True)
        self.assertEqual(code, 130)
        self.assertTrue(out.startswith("a table\nmachine    c, 2 CPUs, load 0.5"), out)
        self.assertIn("interrupted", out)

    def test_json(self):
        code, out, _ = self.shown(True, False)
        self.assertEqual(code, 0)
        figures = json.loads(out)
        environment = figures.pop("environment")
        self.assertEqual(figures, {"command": "jump", "figure": 1, "failure": None, "interrupted": False})
        self.assertEqual(environment, environment | self.MACHINE)
        self.assertRegex(environment["kernel"], r"^Linux \d")
        self.assertIsInstance(environment["cpu_flags"], list)

    def test_what_there_is_of_a_failure(self):
        code, out, said = self.shown(True, True, "the lab broke")
        self.assertEqual((code, said), (1, "jvpn-perf jump: the lab broke\n"))
        self.assertEqual(json.loads(out)["figure"], 1)

    def test_a_whole_document(self):
        figures = dict.fromkeys(("size", "trial_s", "ndr_mpps", "ndr_gbps", "pdr_mpps", "pdr_gbps", "flat_out_mpps",
                                 "generator_max", "confirmed_packets", "lost_below_ndr"), 1)
        figures |= {"direction": "seal", "suite": "s", "latency_us": []}
        document = {"command": "ndr", "json": True, "measured": figures, "interrupted": True, "environment": self.MACHINE}
        done = subprocess.run([sys.executable, "-B", ROOT / "perf/harness/show.py"], input=json.dumps(document),
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 130, done.stderr)
        self.assertEqual(json.loads(done.stdout)["ndr_mpps"], 1)


if __name__ == "__main__":
    tap_runner.main()
