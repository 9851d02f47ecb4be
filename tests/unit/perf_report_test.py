#!/usr/bin/env python3
"""The report's script: what it reads, what it calls better, what it draws and writes. Prints TAP for meson."""
import html.parser
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "perf/report/report.py"
sys.dont_write_bytecode = True
sys.path.insert(0, str(SCRIPT.parent))
import report  # noqa: E402
import tap_runner  # noqa: E402


def result(text, file="a.json"):
    return report.parse_results(file, text)[0]


EVERY_COMMAND = [
    """{"command": "pipeline", "suite": "aes-128-gcm", "environment": {"cpu": "c"},
        "seal": {"cycles_per_packet": 120, "raw_cycles_per_packet": 80, "stages": {"rx": 20, "seal": 90}},
        "open": {"cycles_per_packet": 140, "raw_cycles_per_packet": 80, "stages": {}}}""",
    '{"command": "pipeline", "direction": "seal", "cycles_per_packet": 120, "mpps": 10}',
    """{"command": "scale", "rows": [{"sessions": 1, "open": {"cycles_per_packet": 100}},
        {"sessions": 1000, "seal": {"cycles_per_packet": 200, "mpps": 5}}]}""",
    '{"command": "publish", "publish_us": 3}',
    """{"command": "jump", "fault": "planned", "interrupted": true,
        "distribution": [{"over_ms": 0, "up_to_ms": 0, "jumps": 4}, {"over_ms": 0, "up_to_ms": 1, "jumps": 2}]}""",
    '{"command": "jump-load", "mpps_with": 3, "mpps_without": 4}',
    """{"command": "ndr", "ndr_mpps": 1, "pdr_mpps": 2, "latency_us":
        [{"load_percent": 10, "p50": 3, "p90": 4, "p99": 5, "p99_9": 6, "max": 70}]}""",
    """{"command": "handshake", "raw_x25519_per_s": 4, "responder": {"handshakes_per_s": 1},
        "both_sides": {"handshakes_per_s": 0.5}}""",
    """{"command": "peers", "peers": [{"peer": "jvpn", "gbps": 2, "gbps_min": 1, "gbps_max": 3},
        {"peer": "openvpn", "status": "not installed"}]}""",
]


class Elements(html.parser.HTMLParser):
    """Fails when an element is closed that is not the latest open one."""
    VOID = {"meta", "html", "path", "rect", "polyline", "circle"}

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in self.VOID or tag == "rect" or tag == "circle":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        if tag == "html":
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> after {self.open}"
        self.open.pop()


class Results(unittest.TestCase):
    def test_command_is_said(self):
        for text, command in [('{"command": "pipeline"}', "pipeline"), ('{"command": 3}', "unknown"), ("{}", "unknown")]:
            self.assertEqual(result(text).command, command, text)

    def test_one_several_or_lines(self):
        self.assertEqual(len(report.parse_results("f", '{"a": 1}')), 1)
        self.assertEqual(len(report.parse_results("f", '[{"a": 1}, {"a": 2}]')), 2)
        self.assertEqual(len(report.parse_results("f", '{"a": 1}\n\n{"a": 2}\n{"a": 3}\n')), 3)

    def test_bad_files_are_named(self):
        for text, why in [('{"a": ', "not JSON"), ("", "empty"), ("7", "int"), ("[1]", "int"), ("{}\nnot", "not JSON"),
                          ('"text"', "str")]:
            with self.assertRaisesRegex(ValueError, f"^some/file.json: .*{why}"):
                report.parse_results("some/file.json", text)

    def test_figures_without_settings(self):
        scale = result("""{"command": "scale", "seed": 4, "sessions": 9, "drops": 0,
            "environment": {"cpus": 2}, "tsc_hz": 2e9, "samples": [1, 2], "interrupted": false,
            "seal": {"stages": {"lookup": 3.5}}, "rows": [{"sessions": 10, "mpps": 2}, {"x": 1}]}""")
        self.assertEqual(report.figures_in(scale.json),
                         {"drops": 0, "seal.stages.lookup": 3.5, "rows[10].mpps": 2})

    def test_which_direction_is_better(self):
        lower, higher, neither = -1, 1, 0
        for command, key, better in [
                ("pipeline", "cycles_per_packet", lower), ("pipeline", "raw_cycles_per_packet", neither),
                ("pipeline", "seal.overhead_cycles", lower), ("pipeline", "seal.ratio", lower),
                ("pipeline", "open.mpps", higher), ("pipeline", "gbps", higher),
                ("pipeline", "open.stages.lookup", lower), ("pipeline", "packets", neither),
                ("scale", "rows[1000].seal.cycles_per_packet", lower), ("handshake", "ratio", higher),
                ("handshake", "handshakes_per_s", higher), ("handshake", "raw_x25519_per_s", neither),
                ("handshake", "responder_us.rest", lower), ("jump", "p99_blocked_ms", lower),
                ("jump", "bound_ms", neither), ("jump", "p99_over_bound_ms", lower), ("jump", "rtt_ms", neither),
                ("jump", "lost_packets", lower), ("jump", "offered_packets", neither), ("jump", "tcp_kept", higher),
                ("jump-load", "throughput_loss_percent", lower), ("jump-load", "mpps_with", higher),
                ("jump-load", "jumps_per_s", neither), ("ndr", "ndr_mpps", higher), ("ndr", "lost_below_ndr", lower),
                ("ndr", "latency_us[50].p99_9", lower), ("peers", "peers[jvpn].gbps", higher),
                ("peers", "peers[jvpn].cpu_s", lower), ("peers", "jvpn_over_wireguard_go", higher),
                ("new", "something", neither)]:
            self.assertEqual(report.better_direction(command, key), better, f"{command} {key}")

    def test_changes_are_judged(self):
        before = result("""{"command": "pipeline", "cycles_per_packet": 200, "mpps": 10, "drops": 0, "packets": 5,
            "ratio": 1.0, "mpps_min": 1, "gone": 1}""")
        after = result("""{"command": "pipeline", "cycles_per_packet": 150, "mpps": 9, "drops": 3, "packets": 50,
            "ratio": 1.005, "mpps_min": 2, "fresh": 1}""")
        changes = report.compare(before, after)
        self.assertEqual([(key, verdict) for key, _, _, _, verdict in changes],
                         [("cycles_per_packet", "better"), ("mpps", "worse"), ("drops", "worse"), ("packets", ""),
                          ("ratio", "same")])
        self.assertEqual([changes[i][3] for i in (0, 1, 2)], [-25, -10, None])

    def test_same_settings_are_matched_first(self):
        before = [result(text) for text in ('{"command": "jump", "fault": "planned"}',
                                            '{"command": "jump", "fault": "blackhole"}',
                                            '{"command": "ndr", "size": 64}')]
        after = [result(text) for text in ('{"command": "jump", "fault": "blackhole"}',
                                           '{"command": "jump", "fault": "nat-rebind"}',
                                           '{"command": "jump", "fault": "link-down"}',
                                           '{"command": "ndr", "size": 64}')]
        self.assertEqual(report.match(before, after), [before[1], before[0], None, before[2]])


class Charts(unittest.TestCase):
    def test_escapes(self):
        self.assertEqual(report.escape("<a href=\"x\">'&'</a>"),
                         "&lt;a href=&quot;x&quot;&gt;&#x27;&amp;&#x27;&lt;/a&gt;")

    def test_numbers(self):
        for value, text in [(0, "0"), (1.5, "1.5"), (0.012346, "0.01235"), (999, "999"), (1000, "1 000"),
                            (1234567, "1 234 567"), (-12345, "-12 345"), (math.inf, "-")]:
            self.assertEqual(report.number_text(value), text)

    def test_nothing_to_draw_is_nothing(self):
        self.assertEqual(report.bar_chart("t", "u", []), "")
        self.assertEqual(report.line_chart("t", "u", "x", {}), "")

    def test_odd_values_are_drawn(self):
        """Values no axis can show, one point, all the same: no division by zero, no "nan" in the page."""
        for points in [[], [(1, 1)], [(1, 0), (2, 0)], [(0, 5), (-1, 5)], [(10, 1e-9), (1000, 1e12)]]:
            for logarithmic in (False, True):
                svg = report.line_chart("t", "u", "x", {"l": points}, log_x=logarithmic, log_y=logarithmic)
                self.assertNotRegex(svg, "nan|inf")
        bars = report.bar_chart("t", "u", [("a", [("x", 0), ("y", -3)], None)])
        self.assertNotRegex(bars, "<rect|nan")


class Page(unittest.TestCase):
    def check_closed(self, page):
        elements = Elements()
        elements.feed(page)
        self.assertEqual(elements.open, [])
        return elements.seen

    def test_every_command_has_its_plot_and_table(self):
        results = [result(text) for text in EVERY_COMMAND]
        results.append(result('{"command": "other", "speed": 77.25}', "other.json"))
        page = report.report_page(results)
        for one in results:
            drawn = one.command not in ("publish", "other")
            self.assertEqual(report.plots_of(one.command, [one]) != "", drawn, one.command)
            self.assertIn(f">{one.command}</span>", page)
        for text in ("77.25", "environment not stated", "Interrupted"):
            self.assertIn(text, page)
        self.assertNotIn("Compared", page)
        seen = self.check_closed(page)
        for element in ("svg", "figure", "table", "details", "text", "rect", "polyline", "h3"):
            self.assertIn(element, seen)

    def test_odd_results_are_tolerated(self):
        """Wrong types everywhere: a report of what is right in it, no exception."""
        for command in ("pipeline", "scale", "jump", "jump-load", "ndr", "handshake", "peers"):
            for key in ("seal", "rows", "stages", "distribution", "latency_us", "peers", "responder", "environment",
                        "options", "ndr_mpps", "interrupted", "cycles_per_packet", "suite"):
                for value in ("null", "[]", "{}", '"x"', "[1]", "[{}]", "[null]", "true", "-1e300"):
                    one = result(f'{{"command": "{command}", "{key}": {value}}}')
                    report.report_page([one], [one])

    def test_what_comes_from_files_is_escaped(self):
        bad = "<script>alert(1)</script>\\\\\\\"'"
        results = [result(f"""{{"command": "{command}", "suite": "{bad}", "fault": "{bad}", "{bad}": 1,
            "environment": {{"{bad}": "{bad}"}}, "failure": "{bad}", "cycles_per_packet": 3, "stages": {{"{bad}": 3}},
            "peers": [{{"peer": "{bad}", "gbps": 1}}], "distribution": [{{"over_ms": 0, "up_to_ms": 1, "jumps": 1}}],
            "latency_us": [{{"load_percent": 1, "p50": 1}}]}}""", bad)
                   for command in ("jump", "pipeline", "peers", "ndr", bad)]
        self.assertNotIn("<script", report.report_page(results, results))

    def test_comparison(self):
        before = [result('{"command": "jump", "fault": "planned", "p99_blocked_ms": 10}', "old.json")]
        after = [result('{"command": "jump", "fault": "planned", "p99_blocked_ms": 12}', "new.json"),
                 result('{"command": "ndr", "ndr_mpps": 1}')]
        page = report.report_page(after, before)
        for text in ("+20.0 %", 'class="worse">worse', "old.json", "Nothing to compare with"):
            self.assertIn(text, page)
        self.check_closed(page)

    def test_is_self_contained(self):
        page = report.report_page([result(EVERY_COMMAND[0])])
        self.assertNotRegex(page, r"https?://|src=|href=|@import|url\(")
        self.assertIn("color-scheme: light dark", page)


class CommandLine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def run_script(self, *words):
        return subprocess.run([sys.executable, SCRIPT, *words], cwd=self.folder, capture_output=True, text=True,
                              check=False)

    def test_files_in_one_page_out(self):
        (self.folder / "new.json").write_text(EVERY_COMMAND[3])
        (self.folder / "old").mkdir()
        (self.folder / "old/a.json").write_text(EVERY_COMMAND[3])
        done = self.run_script("new.json", "--baseline", "old", "-o", "page.html")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("Compared", (self.folder / "page.html").read_text())

    def test_what_cannot_be_read_is_named(self):
        (self.folder / "old").mkdir()
        (self.folder / "bad.json").write_text("{")
        for words, why in [(["absent.json"], "absent.json: No such file"), (["bad.json"], "bad.json: not JSON"),
                           (["bad.json", "--baseline", "old"], "old: no .json file in it")]:
            done = self.run_script(*words, "-o", "page.html")
            self.assertEqual(done.returncode, 1)
            self.assertIn("jvpn-perf report: " + why, done.stderr)


if __name__ == "__main__":
    tap_runner.main()
