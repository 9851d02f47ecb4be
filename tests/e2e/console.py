#!/usr/bin/env python3
"""The console as an operator has it, in a headless Chromium: a path becomes a black hole in front of it, the session is
amber within a second and green again after its jump, with the reason in its timeline; a gateway that ends is seen; ten
thousand sessions stay fluent; who may look. The page by itself: tests/unit/console_page_test.py.

  jvpn-client ══╳ wan0 ╳══ jvpn-gw ── jvpn-lan      (jvpn_lab/topology.py)
              ══  wan1  ══
              ══  wan2  ══
  in jvpn-gw:  chromium ──┬── jvpn metrics :9470 ── jvpnd.sock
                          └── jvpn metrics :9471 ── a socket that answers for 10 000 sessions
"""
import json
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from e2e import (GATEWAY, SKIPPED, Scenario, bounded, faults, gateway4, in_namespace, in_ns, info, now_ms, processes, program,
                 scenario, start_gateway, start_transfer, step)
from jvpn_lab import browser

LAB, CROWD = "http://127.0.0.1:9470", "http://127.0.0.1:9471"
SESSIONS, AT_ONCE = 10_000, 250
HOSTILE = "<img src=x onerror=document.title='taken'>"
# Every colour that the first session has, and when it is seen first.
WATCH = """window.seen = [];
const note = () => {
  const row = document.querySelector("#rows tr[data-id]"), last = window.seen.at(-1);
  if (row && last?.[1] !== row.dataset.tone) window.seen.push([Date.now(), row.dataset.tone]);
};
new MutationObserver(note).observe(document.getElementById("rows"), {subtree: true, childList: true, attributes: true});
note();"""


class Crowd:
    """An admin socket that answers `show` for many sessions, whose figures change with each answer."""

    def __init__(self, path: Path) -> None:
        self.pages = self.asked = 0
        self.random = random.Random(1)
        self.listener = socket.create_server(str(path), family=socket.AF_UNIX)
        threading.Thread(target=self.serve, daemon=True).start()

    def session(self, number: int) -> dict:
        silent = number % 50 == 7
        return {"session_id": f"{number:032x}", "peer": HOSTILE if number == 0 else f"laptop-{number:05d}", "reason": "HANDSHAKE_OK",
                "state": "VOLATILE" if number % 100 == 3 else "ATTACHED", "local": f"192.0.2.{1 + number % 3}:51900",
                "remote": f"198.51.100.{number % 250}:{20_000 + number}", "rx_bytes": self.pages * number * 100,
                "tx_bytes": self.pages * number * 30, "last_rx_ms_ago": 4_000 if silent else 20, "idle": number % 200 == 9,
                "loss_in": self.random.random() / 50, "loss_out": None, "rtt_us": self.random.randrange(1_000, 60_000),
                "jitter_us": 300, "switches": number % 5}

    def show(self, request: dict) -> dict:
        if request.get("sessions") is False:
            self.asked += 1
            return self.header()
        self.pages += 1
        first = request.get("from", 0)
        page = {"sessions": [self.session(number) for number in range(first, first + AT_ONCE)], "heartbeat_interval_ms": 500}
        if first + AT_ONCE < SESSIONS:
            page["next"] = first + AT_ONCE
        else:
            page["terminated"] = [{"session_id": "f" * 32, "peer": "gone", "reason": "TTL_SESSION_EXPIRED", "ms_ago": 5}]
        return page if first else self.header() | page

    def header(self) -> dict:
        return {"node": "gw1", "role": "gateway", "version": "0", "uptime_ms": int(time.monotonic() * 1e3), "policy_version": 1,
                "totals": {"peers": SESSIONS, "sessions": {"ATTACHED": SESSIONS - 100, "VOLATILE": 100}}, "ports": [], "workers": [],
                "drops": {}}

    def serve(self) -> None:
        streams = []
        while True:
            connection, _ = self.listener.accept()
            request = json.loads(connection.makefile().readline())
            if request.get("follow"):
                streams.append(connection)
                continue
            if request["command"] == "show":
                try:
                    connection.sendall(json.dumps(self.show(request)).encode())
                except OSError:
                    pass
            connection.close()


def start_console(name: str, socket_path: Path, address: str) -> None:
    processes.spawn(name, "gw", program("jvpn"), "--socket", socket_path, "metrics", "--listen", address.removeprefix("http://"))


def text(page: browser.Browser, selector: str) -> str:
    return page.run("return [...document.querySelectorAll(arguments[0])].map((each) => each.textContent).join('|')", selector)


def tones(page: browser.Browser) -> list[str]:
    return page.run("return [...document.querySelectorAll('#rows tr[data-id]')].map((row) => row.dataset.tone)")


def jump(s: Scenario, page: browser.Browser) -> None:
    s.expect("the session is green", lambda: tones(page) == ["ok"], within=10)
    page.run("document.querySelector('#rows tr[data-id]').click()")
    s.expect("its timeline begins with the handshake", lambda: "HANDSHAKE_OK" in text(page, "#timeline li"), within=5)
    page.run(WATCH)
    begun = now_ms()
    faults.cut(s.noted.link, "silent")
    s.expect("the session jumps", s.noted.jumped, within=10)
    s.expect("green again", lambda: page.run("return window.seen.map((each) => each[1])")[-2:] == ["warn", "ok"], within=10)
    seen = page.run("return window.seen")
    amber = next((at for at, tone in seen if tone == "warn"), begun + 10**6) - begun
    info(f"amber {amber} ms after the cut, green {seen[-1][0] - begun} ms after it")
    s.expect("amber within a second", 0 <= amber <= 1_000)
    s.expect("the jump, its cause and the paths are in the timeline",
             lambda: all(word in text(page, "#timeline li") for word in ("Jump: dead", "TRANSPORT_SWITCH_OK", "RECOVERING → ATTACHED")), within=5)
    s.expect("the round trip is known", lambda: "ms" in text(page, "#rows tr[data-id] td:nth-child(6)"), within=10)


def look(s: Scenario, page: browser.Browser) -> None:
    s.expect("cores have a load", lambda: "%" in text(page, "#cores td"), within=5)
    s.expect("ports and paths are there", lambda: "wan1" in text(page, "#ports") and "1" in text(page, "#paths td:nth-child(2)"))
    # Nobody has such an index; an idle lab drops nothing by itself.
    stray = f"import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(bytes([4]) + bytes(95), ({gateway4('wan1')!r}, 51900))"
    in_ns("client", sys.executable, "-c", stray)
    s.expect("drops are there by name", lambda: "_" in text(page, "#drops"), within=5)
    for width in (400, 1280):
        page.resize(width, 800)
        s.expect(f"{width} pixels: nothing is wider than the page",
                 lambda width=width: page.run("return document.documentElement.scrollWidth") == width, within=5)


def end_of_gateway(s: Scenario, page: browser.Browser) -> None:
    GATEWAY.stop(signal.SIGKILL)
    s.expect("the gateway is red", lambda: page.run("return document.getElementById('node-mark').dataset.tone") == "down", within=5)
    s.expect("nothing is green", lambda: "ok" not in tones(page), within=5)
    s.expect("the page says why", lambda: "No answer" in text(page, "#alerts"))
    start_gateway()
    s.expect("green again after its start", lambda: tones(page) == ["ok"], within=30)


VIEWER = ("-b", "jvpn_console=1")  # the cookie that a browser has of the page


def http(*words: str) -> str:
    """Status, of what somebody in jvpn-gw asks."""
    return bounded(10, *in_namespace("gw", "curl", "-s", "-m", "3", "-o", "/dev/null", "-w", "%{http_code}", *words)).stdout


def who_may(s: Scenario) -> None:
    s.expect("the page is there", http(LAB + "/") == "200")
    s.expect("nothing else is", http(LAB + "/etc/passwd") == "404")
    s.expect("under a foreign name it isn't", http("-H", "Host: evil.example", LAB + "/") == "403")
    s.expect("to a foreign page it isn't", http(*VIEWER, "-H", "Sec-Fetch-Site: cross-site", LAB + "/console/stream") == "403")
    s.expect("nor to one that shows no sign of it", http(LAB + "/console/stream") == "403")
    s.expect("nor are metrics under a foreign name", http("-H", "Host: evil.example", LAB + "/metrics") == "403")
    s.expect("it takes no orders", http("-X", "POST", "-d", "x", LAB + "/") in ("404", "405"))
    viewers = [processes.spawn(f"viewer{number}", "gw", "curl", "-sN", *VIEWER, LAB + "/console/stream") for number in range(8)]
    s.expect("there is room for eight viewers", lambda: http(*VIEWER, LAB + "/console/stream") == "503", within=10)
    s.expect("metrics go on beside them", http(LAB + "/metrics") == "200")
    for number in range(len(viewers)):
        processes.send(f"viewer{number}", signal.SIGKILL)
    s.expect("who left makes room", lambda: http(*VIEWER, LAB + "/console/stream") in ("200", "000"), within=10)


def crowd(s: Scenario, page: browser.Browser, program_: Crowd) -> None:
    page.open(CROWD)
    s.expect("all sessions are there", lambda: text(page, "#shown") == str(SESSIONS + 1), within=30)
    s.expect("a hostile name is text", "taken" not in page.run("return document.title") and not page.run("return document.images.length"))
    page.run("performance.clearMeasures()")
    before = program_.pages
    s.expect("figures change", lambda: page.run("return performance.getEntriesByName('take').length") >= 12, within=60)
    times = {name: sorted(page.run("return performance.getEntriesByName(arguments[0]).map((each) => each.duration)", name))
             for name in ("take", "show")}
    for name, all_of in times.items():
        info(f"{SESSIONS} sessions, {name}: {len(all_of)} times, median {all_of[len(all_of) // 2]:.1f} ms, longest {all_of[-1]:.1f} ms")
    s.expect("an update takes the page less than 100 ms, in the median", all(all_of[len(all_of) // 2] < 100 for all_of in times.values()))
    s.expect("whole sweeps were asked for", program_.pages > before)
    s.expect("few rows are in the document", page.run("return document.querySelectorAll('#rows tr').length") < 60)


if not browser.is_there():
    info("console: skipped, Debian's chromium and chromium-driver aren't there")
    sys.exit(SKIPPED)
with scenario(240) as s:
    s.session()
    start_transfer(32, 16)
    start_console("console", GATEWAY.socket, LAB)
    s.expect("the console answers", lambda: http(LAB + "/") == "200", within=10)
    page = browser.Browser(tuple(in_namespace("gw")))
    try:
        page.resize(1280, 800)
        page.open(LAB)
        step("A black hole")
        jump(s, page)
        step("What is shown")
        look(s, page)
        step("The gateway dies")
        end_of_gateway(s, page)
        step("Ten thousand sessions")
        program_ = Crowd(s.work / "crowd.sock")
        start_console("crowd", s.work / "crowd.sock", CROWD)
        s.expect("its console answers", lambda: http(CROWD + "/") == "200", within=10)
        crowd(s, page, program_)
        s.expect("the browser complains of nothing", page.complaints() == [])
    finally:
        page.close()
    step("Who may look")
    who_may(s)
    for name in ("console", "crowd"):
        processes.send(name, signal.SIGTERM)
        s.expect(f"{name} ends by SIGTERM", lambda name=name: processes.ended(name), within=10)
        s.expect(f"{name}: with exit code 0", processes.exit_code(name) == 0)
