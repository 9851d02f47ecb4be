#!/usr/bin/env python3
"""The pure parts of `jvpn-perf flood`: command line, figures, table. Prints TAP."""
import contextlib
import io
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path[1:1] = [str(ROOT / folder) for folder in ("perf/flood", "perf/harness", "lab")]
import flood  # noqa: E402
import tap_runner  # noqa: E402


def phase(gbps, count=4, p50=10, p99=20, answers=0.1):
    return {"gbps": gbps, "per_s": 1000.0, "answer_ratio": answers,
            "connects": {"count": count, "p50_ms": p50, "p99_ms": p99, "most_ms": p99}}


class Figures(unittest.TestCase):
    def test_a_kind_has_medians_of_rates_and_the_worst_of_connects(self):
        rounds = [{"flooded": phase(ours, count, p50, p99, answers), "harmless": phase(2.0)}
                  for ours, count, p50, p99, answers in ((1.0, 4, 10, 50, 0.2), (1.8, 3, 30, 40, 0.3), (1.4, 4, 20, 45, 0.1))]
        figures = flood.kind_figures(rounds, 4)
        self.assertAlmostEqual(figures["goodput_ratio"], 0.7)
        self.assertEqual((figures["connected"], figures["p50_connect_ms"], figures["p99_connect_ms"]), (3, 30, 50))
        self.assertEqual((figures["answer_ratio"], figures["rounds"], figures["harmless_p50_connect_ms"]), (0.3, 3, 10))

    def test_all_together_are_the_worst_of_each(self):
        kinds = {"garbage": [{"flooded": phase(2.0, p99=500), "harmless": phase(2.0)}],
                 "initiation": [{"flooded": phase(1.0, 2, 90), "harmless": phase(2.0)}], "replay": []}
        figures = flood.flood_figures(kinds, 4)
        self.assertEqual((figures["goodput_ratio"], figures["connected"]), (0.5, 2))
        self.assertEqual((figures["p50_connect_ms"], figures["p99_connect_ms"]), (90, 500))
        self.assertEqual(sorted(figures["kinds"]), ["garbage", "initiation"])

    def test_nobody_got_in(self):
        kinds = {"initiation": [{"flooded": phase(1.0, 0, None, None), "harmless": phase(2.0)}]}
        figures = flood.flood_figures(kinds, 4)
        self.assertEqual((figures["connected"], figures["p50_connect_ms"], figures["p99_connect_ms"]), (0, None, None))
        self.assertIn("never", flood.table(figures, 6))

    def test_nothing_was_measured(self):
        figures, text, environment = flood.result({"clients": 4, "seconds": 6}, {}, "the lab broke")
        self.assertEqual((figures["failure"], figures["kinds"], environment), ("the lab broke", {}, {}))
        self.assertIn("kind", text)

    def test_memory_is_told(self):
        found = {"kinds": {"garbage": [{"flooded": phase(2.0), "harmless": phase(2.0)}]}, "rss_before": 1000, "rss_after": 5096}
        figures, text, _ = flood.result({"clients": 4, "seconds": 6}, found, None)
        self.assertEqual(figures["rss_growth_bytes"], 4096)
        self.assertIn("4 KiB", text)


class Words(unittest.TestCase):
    def test_kinds(self):
        self.assertEqual(flood.parser().parse(["--kinds", "cookie,replay"])["kinds"], ["cookie", "replay"])
        with contextlib.redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit):
            flood.parser().parse(["--kinds", "rain"])
        self.assertIn("expected some of initiation", said.getvalue())


if __name__ == "__main__":
    tap_runner.main()
