#!/usr/bin/env python3
"""The console's page in a headless Chromium, in front of a server that says what the test wants: colours, timeline,
keyboard, names that are meant to harm, what is shown when nothing comes any more, ten thousand sessions.

Prints TAP; skips (77) without Debian's chromium and chromium-driver. Usage: console_page_test.py SOURCE_ROOT [PICTURES]
With a folder it makes the pictures of docs/CONSOLE.md there.
"""
import json
import queue
import random
import sys
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import tap_runner

ROOT = Path(sys.argv[1])
PICTURES = Path(sys.argv[2]) if len(sys.argv) > 2 else None
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tools/jvpn/console")]

from embed import document  # noqa: E402
from jvpn_lab import browser  # noqa: E402

PAGE = ROOT / "tools/jvpn/console"
PARTS = ("page.html", "page.css", "rows.js", "panels.js", "stream.js")
HOSTILE = "<img src=x onerror=document.title='taken'>"
PROVEN, SILENT, ILL, AWAITED, IDLE, BEGINS, ENDED = range(7)  # Standing, as the server has it
PATHS = ("192.0.2.1", "198.51.100.1", "203.0.113.1")
MANY = 10_000


def session(number, standing=PROVEN, state="ATTACHED", peer=None, draw=random.Random(1)):
    """A row, as the server has it."""
    return [f"{number + 1:032x}", peer or f"laptop-{number:05d}", standing, state, "TRANSPORT_SWITCH_OK" if number % 5 else "HANDSHAKE_OK",
            f"{PATHS[number % 3]}:51900", f"100.64.{number // 200 % 250}.{number % 200 + 1}:{40000 + number % 9000}",
            round(draw.random() * 0.004, 5), round(draw.random() * 0.002, 5) if number % 4 else None, draw.randrange(80, 450) * 100,
            draw.randrange(1, 20) * 100, draw.randrange(10**4, 10**7), draw.randrange(10**4, 4 * 10**6), number % 5,
            2_600 if standing == SILENT else None]


def events(ts, of):
    """A jump, from the silence to the proof."""
    old, new = "192.0.2.1:51900>100.64.0.1:40000", "198.51.100.1:51900>100.64.7.1:40312"
    return [[ts, of, "STATE_CHANGE", "RECOVERY_START", "ATTACHED", "RECOVERING", "", "", "", None, "reattach"],
            [ts + 9, of, "TRANSPORT_SWITCH", "TRANSPORT_SWITCH_OK", "", "", old, new, "dead", 9, "dead 9 ms"],
            [ts + 9, of, "STATE_CHANGE", "TRANSPORT_SWITCH_OK", "RECOVERING", "ATTACHED", "", "", "", None, ""]]


def summary(count, draw=random.Random(2)):
    port = lambda name, role, link="up": {"name": name, "role": role, "link": link, "rx_bps": draw.uniform(3e8, 4e8),  # noqa: E731
                                          "tx_bps": draw.uniform(1e8, 1.3e8), "missed": 0}
    return {"up": True, "node": "gw1", "role": "gateway", "version": "0.1.0", "uptime_ms": 7_384_000, "policy_version": 3,
            "peers": count + 40, "states": {"ATTACHED": count, "VOLATILE": 0, "RECOVERING": 0, "DEGRADED": 0, "BIRTH": 0},
            "jumps": {"dead": 12, "planned": 1}, "ended": 2, "health": [], "troubles": None, "paths": None,
            "workers": [{"load": draw.uniform(0.2, 0.4), "rx_pps": 123_456, "tx_pps": 120_000} for _ in range(2)],
            "ports": [port("wan0", "outside"), port("wan1", "outside"), port("lan", "inside")],
            "drops": [["not_for_us", 4, 0], ["bad_tag", 1_234, 2.5], ["replay_too_old", 88, 0]]}


def message(kind, rows, new=(), **changes):
    body = {"now_ms": int(time.time() * 1000), "swept_ms_ago": 20, "sweep_ms": 8, "kept": len(rows), "partial": False,
            "summary": summary(len(rows)), "rows": rows, "gone": [], "events": list(new)} | changes
    return f"event: {kind}\ndata: {json.dumps(body)}\n\n"


class Server:
    """The page under its policy; the stream has what is put into `said`."""

    def __init__(self):
        self.said, self.timeline = queue.Queue(), []
        page, policy = document(*(PAGE / part for part in PARTS))
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, kind, body=b""):
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Security-Policy", policy)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                if self.path == "/":
                    self.answer("text/html; charset=utf-8", page.encode())
                elif self.path.startswith("/console/timeline?session="):
                    self.answer("application/json", json.dumps(server.timeline).encode())
                elif self.path == "/console/stream":
                    self.answer("text/event-stream")
                    while text := server.said.get():
                        self.wfile.write(text.encode())
                        self.wfile.flush()
                else:
                    self.send_error(404)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.http.server_port}/"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def end(self):
        self.said.put("")
        self.http.shutdown()


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.browser = browser.Browser()

    @classmethod
    def tearDownClass(cls):
        cls.browser.close()

    def setUp(self):
        self.server = Server()
        self.browser.resize(1280, 800)
        self.browser.open(self.server.address)

    def tearDown(self):
        said = self.browser.complaints()
        self.server.end()
        self.browser.open("about:blank")
        self.assertEqual(said, [], "the browser complains of nothing: no script failed, the policy refused nothing")

    def say(self, kind, rows, new=(), **changes):
        self.server.said.put(message(kind, rows, new, **changes))

    def text(self, selector):
        return self.browser.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent).join('|')", selector)

    def tones(self):
        return dict(self.browser.run("return [...document.querySelectorAll('#rows tr[data-id]')].map((row) => "
                                     "[row.cells[0].textContent, row.dataset.tone])"))

    def until(self, what, condition, seconds=10):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, what
            time.sleep(0.02)

    def test_colours_are_of_what_is_proven(self):
        rows = [session(number, standing, state, f"p{standing}") for number, (standing, state) in enumerate(
            ((PROVEN, "ATTACHED"), (SILENT, "ATTACHED"), (ILL, "VOLATILE"), (AWAITED, "ATTACHED"), (IDLE, "ATTACHED"),
             (BEGINS, "BIRTH"), (ENDED, "TERMINATED")))] + [session(9, 99, "NEW", "unknown")]
        self.say("all", rows)
        wanted = {"p0": "ok", "p1": "warn", "p2": "warn", "p3": "warn", "p4": "idle", "p5": "warn", "p6": "down", "unknown": "warn"}
        self.until("all rows are there", lambda: len(self.tones()) == len(wanted))
        self.assertEqual(self.tones(), wanted)
        self.assertEqual(list(self.tones())[-1], "p0", "what needs a look comes first")

    def test_a_jump_is_seen(self):
        self.say("all", [session(0)])
        self.until("green", lambda: self.tones() == {"laptop-00000": "ok"})
        self.browser.run("document.querySelector('#rows tr[data-id]').click()")
        self.until("opened", lambda: self.text("#h-detail") == "laptop-00000")
        jump = events(int(time.time() * 1000), session(0)[0])
        self.say("change", [session(0, ILL, "RECOVERING")], jump[:1])
        self.until("amber", lambda: self.tones() == {"laptop-00000": "warn"}, 1)
        self.say("change", [session(0, AWAITED)], jump[1:])
        self.until("told", lambda: "Jump: dead, 9 ms" in self.text("#timeline li"), 1)
        self.until("and why it isn't green", lambda: "nothing has come since" in self.text("#facts dd"), 1)
        self.assertEqual(self.tones(), {"laptop-00000": "warn"}, "not proven yet")
        self.say("change", [session(0, PROVEN)])
        self.until("green again", lambda: self.tones() == {"laptop-00000": "ok"}, 1)
        for words in ("ATTACHED → RECOVERING", "RECOVERING → ATTACHED", "RECOVERY_START", "192.0.2.1:51900>100.64.0.1:40000 →"):
            self.assertIn(words, self.text("#timeline li"))

    def test_nothing_is_green_that_isnt_recent(self):
        self.say("all", [session(0)])
        self.until("green", lambda: self.tones() == {"laptop-00000": "ok"})
        self.say("change", [], summary={"up": False, "why": "can't connect"})
        self.until("no answer", lambda: self.tones() == {"laptop-00000": "warn"} and "can't connect" in self.text("#alerts"))
        self.assertEqual(self.browser.run("return document.getElementById('node-mark').dataset.tone"), "down")
        self.say("change", [])
        self.until("answers again", lambda: self.tones() == {"laptop-00000": "ok"})
        self.say("change", [], swept_ms_ago=60_000)
        self.until("the look is old", lambda: self.tones() == {"laptop-00000": "warn"})
        self.say("change", [])
        self.until("recent", lambda: self.tones() == {"laptop-00000": "ok"})
        self.until("nothing comes any more", lambda: self.tones() == {"laptop-00000": "warn"} and "doesn't answer" in self.text("#alerts"))

    def test_names_are_text(self):
        hostile = events(int(time.time() * 1000), session(0)[0])
        for place in (3, 7, 10):
            hostile[0][place] = HOSTILE
        self.server.timeline = hostile
        self.say("all", [session(0, peer=HOSTILE)], hostile, summary=summary(1) | {
            "node": HOSTILE, "drops": [[HOSTILE, 1, 0]], "health": [{"flag": HOSTILE, "severity": "failed", "what": HOSTILE}]})
        self.until("shown", lambda: self.text("#rows tr[data-id] td:first-child") == HOSTILE)
        self.browser.run("document.querySelector('#rows tr[data-id]').click()")
        self.until("opened", lambda: HOSTILE in self.text("#timeline"))
        self.assertIn(HOSTILE, self.text("#drops"))
        self.assertEqual(self.browser.run("return document.images.length"), 0)

    def test_a_client_has_its_ways_and_no_ports(self):
        ways = [{"underlay": "wlan0", "remote": "192.0.2.9:51900", "state": "down", "why": "no route"},
                {"underlay": "eth0", "remote": "192.0.2.9:51900", "state": "active", "local": f"{PATHS[0]}:40000"},
                {"underlay": "wwan0", "remote": "192.0.2.9:51900", "state": "candidate", "local": "10.0.0.1:1"}]
        self.say("all", [session(0)], summary=summary(1) | {"role": "client", "paths": ways, "workers": [], "ports": []})
        self.until("paths", lambda: "eth0" in self.text("#paths"))
        tones = self.browser.run("return [...document.querySelectorAll('#paths tbody .mark')].map((each) => each.dataset.tone)")
        self.assertEqual(tones, ["ok", "idle", "down"])
        self.assertTrue(self.browser.run("return [...document.querySelectorAll('.gateway')].every((each) => each.hidden)"))

    def test_ten_thousand_sessions_stay_fluent(self):
        draw = random.Random(3)
        rows = [session(number, SILENT if number % 97 == 5 else PROVEN, draw=draw) for number in range(MANY)]
        self.say("all", rows)
        self.until("all are there", lambda: self.text("#shown") == str(MANY), 30)
        self.browser.run("performance.clearMeasures()")
        for turn in range(10):
            self.say("change", [session(number, draw=draw) for number in range(MANY)])
            self.until("taken", lambda: len(self.measured("take")) > turn, 20)
        self.until("shown", lambda: self.measured("show"))
        for name, what in (("take", "taking in an update of all"), ("show", "showing it")):
            times = sorted(self.measured(name))
            print(f"# {MANY} sessions, {what}: median {times[len(times) // 2]:.1f} ms, longest {times[-1]:.1f} ms of {len(times)}")
            self.assertLess(times[len(times) // 2], 100)
        self.assertLess(self.browser.run("return document.querySelectorAll('#rows tr').length"), 60, "rows that can be seen")
        self.find_and_walk()

    def measured(self, name):
        return self.browser.run("return performance.getEntriesByName(arguments[0]).map((each) => each.duration)", name)

    def find_and_walk(self):
        find = "const find = document.getElementById('find'); find.value = arguments[0]; find.dispatchEvent(new Event('input'));"
        self.browser.run(find, "LAPTOP-0123")
        self.assertEqual(self.text("#shown"), f"10 of {MANY}")
        self.browser.run(find, "nobody")
        self.assertEqual(self.text("#none"), "No session matches.")
        self.browser.run(find, "")
        self.browser.run("document.querySelector('#columns button').click(); document.querySelector('#rows tr[data-id]').focus()")
        focused = "return document.activeElement.cells?.[0].textContent"
        for key, number in (("\ue015", 1), ("\ue013", 0), ("\ue010", MANY - 1), ("\ue011", 0)):  # down, up, End, Home
            self.browser.press(key)
            self.until(f"at {number}", lambda number=number: self.browser.run(focused) == f"laptop-{number:05d}")
        self.browser.press("\ue007")  # Enter
        self.until("opened", lambda: self.text("#h-detail") == "laptop-00000")
        self.browser.press("\ue00c")  # Escape
        self.until("closed", lambda: self.browser.run("return document.getElementById('detail').hidden"))
        self.assertEqual(self.browser.run("return document.getElementById('columns').firstChild.getAttribute('aria-sort')"), "ascending")

    def test_it_fits_a_desk_and_a_hand(self):
        draw, now = random.Random(4), int(time.time() * 1000)
        standings = {3: (SILENT, "ATTACHED"), 11: (ILL, "VOLATILE"), 29: (ENDED, "TERMINATED"), 37: (IDLE, "ATTACHED")}
        rows = [session(number, *standings.get(number, (PROVEN, "ATTACHED")), draw=draw) for number in range(120)]
        self.server.timeline = [[now - 90_000, rows[0][0], "STATE_CHANGE", "HANDSHAKE_OK", "BIRTH", "ATTACHED", "", "", "", None, ""],
                                *events(now - 4_000, rows[0][0])]
        self.say("all", rows, self.server.timeline)
        self.until("shown", lambda: self.text("#shown") == "120")
        self.browser.run("[...document.querySelectorAll('#rows tr[data-id]')].find((row) => row.dataset.tone === 'ok').click()")
        self.until("opened", lambda: "Jump: dead" in self.text("#timeline"))
        figures = [summary(118) | {"states": {"ATTACHED": 118, "VOLATILE": 1}} for _ in range(240)]
        for turn in range(6):
            self.say("change", [], summary=figures[turn])
            self.until("asked again", lambda turn=turn: self.browser.run("return lines.rx.length") > turn + 1)
        # As after two minutes, so that the lines of traffic are lines.
        self.browser.run("for (const each of arguments[0]) throughput(each)", figures)
        for width, height, dark in ((1280, 800, False), (1280, 800, True), (400, 900, False)):
            self.browser.resize(width, height, dark)
            self.say("change", [], summary=figures[-1])
            self.until("drawn", lambda: self.browser.run("return innerWidth") == width)
            self.assertEqual(self.browser.run("return document.documentElement.scrollWidth"), width, "nothing is wider than the page")
            if PICTURES:
                time.sleep(0.5)  # colours fade
                self.browser.picture(PICTURES / f"console-{width}{'-dark' if dark else ''}.png")


if not browser.is_there():
    print("1..0 # SKIP Debian's chromium and chromium-driver aren't there")
    sys.exit(77)
tap_runner.main()
