#!/usr/bin/env python3
"""`jvpn metrics` beside a program that answers what was recorded in the lab: what promtool says of names, texts and
rules, that document, rules and dashboard speak of metrics that there are, and who may listen where.

Prints TAP. Usage: metrics_test.py JVPN SOURCE_ROOT
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import tap_runner

JVPN = sys.argv[1]
ROOT = Path(sys.argv[2])
MONITORING = ROOT / "tools/monitoring"
RECORDED = ROOT / "tests/unit/metrics"
EVENT = ('{"ts_ms":1,"seq":1,"event":"TRANSPORT_SWITCH","session_id":"%s","node_id":"gw1","reason":"TRANSPORT_SWITCH_OK",'
         '"cause":"dead","latency_ms":7,"boot_ms":5}\n' % ("1" * 32))


class Answering:
    """An admin socket that answers `show` by a recording, and `events` by one event."""

    def __init__(self, name: str):
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/admin.sock"
        self.answer = (RECORDED / f"{name}.json").read_text()
        self.requests = []
        self.listener = socket.create_server(self.path, family=socket.AF_UNIX)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        self.streams = []
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            request = json.loads(connection.makefile().readline())
            self.requests.append(request)
            if request["command"] == "show":
                connection.sendall(self.answer.encode())
            elif request.get("follow"):
                connection.sendall(EVENT.encode())
                self.streams.append(connection)
                continue
            connection.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for stream in self.streams:
            stream.close()
        self.thread.join(5)
        self.folder.cleanup()


def jvpn(*words):
    return subprocess.run([JVPN, *words], capture_output=True, text=True, timeout=20)


def promtool(*words, text=None):
    return subprocess.run(["promtool", *words], input=text, capture_output=True, text=True, timeout=20)


def names(expression):
    return set(re.findall(r"\bjvpn_[a-z0-9_]+", expression))


def listed():
    """Names of samples."""
    found = {}
    for name, kind in re.findall(r"^\| `(\S+)` \| (\w+) ", jvpn("metrics", "--list").stdout, re.M):
        for suffix in ("_bucket", "_sum", "_count") if kind == "histogram" else ("",):
            found[name + suffix] = kind
    return found


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def status_of(port, path, **headers):
    """Of the answer, and its headers. Underscores of names stand for dashes."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                     headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


def fetch(port, path="/metrics"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return answer.read().decode()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


class Serving:
    """`jvpn metrics` on a free port, once it listens."""

    def __init__(self, path, *words):
        self.port = free_port()
        # A search for leaks starts a process, which the exporter's sandbox refuses.
        environment = os.environ | {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        self.process = subprocess.Popen([JVPN, "--socket", path, "metrics", "--listen", f"127.0.0.1:{self.port}", *words],
                                        stderr=subprocess.PIPE, text=True, env=environment)
        self.process.stderr.readline()

    def end(self):
        """Its status, and what it said."""
        self.process.send_signal(signal.SIGTERM)
        said = self.process.communicate(timeout=10)[1]
        return self.process.returncode, said


class Metrics(unittest.TestCase):
    def test_promtool_finds_nothing_wrong_with_names_and_texts(self):
        for name in ("gateway", "cluster", "client"):
            with Answering(name) as program:
                said = jvpn("--socket", program.path, "metrics", "--once")
                assert said.returncode == 0 and "jvpn_up 1" in said.stdout, said
                checked = promtool("check", "metrics", text=said.stdout)
                assert checked.returncode == 0 and not checked.stdout + checked.stderr, (name, checked)
                bad = promtool("check", "metrics", text=said.stdout.replace("_total", "_milliseconds"))
                assert bad.returncode != 0, "promtool finds what is wrong"

    def test_a_program_that_is_away_is_down(self):
        said = jvpn("--socket", "/nowhere", "metrics", "--once").stdout
        assert "jvpn_up 0\n" in said and "jvpn_sessions{" not in said, said

    def test_rules_and_dashboard_speak_of_what_there_is(self):
        rules = (MONITORING / "alerts.yml").read_text()
        checked = promtool("check", "rules", str(MONITORING / "alerts.yml"))
        assert checked.returncode == 0, checked
        board = json.loads((MONITORING / "dashboard.json").read_text())
        queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
        spoken_of = names(" ".join(queries)) | names(re.sub(r"^ *#.*|^ *(description|summary):.*", "", rules, flags=re.M))
        assert len(spoken_of) > 20 and spoken_of <= set(listed()), spoken_of - set(listed())
        ids = [panel["id"] for panel in board["panels"]]
        assert len(set(ids)) == len(ids)

    def test_it_serves_http_and_follows_events(self):
        with Answering("gateway") as program:
            server = Serving(program.path)
            try:
                assert until(lambda: 'jvpn_jump_seconds_count{cause="dead"} 1' in fetch(server.port)), fetch(server.port)
                assert until(lambda: "jvpn_exporter_follows_events 1" in fetch(server.port))
                before = sum(request["command"] == "show" for request in program.requests)
                begun = time.monotonic()
                for _ in range(30):
                    fetch(server.port)
                most = 2 + (time.monotonic() - begun) / 0.1
                asked = sum(request["command"] == "show" for request in program.requests) - before
                assert asked <= most, f"{asked} questions by 30 scrapes"
                assert all(request.get("sessions") is False for request in program.requests if request["command"] == "show")
            finally:
                status, said = server.end()
            assert status == 0, (status, said)

    def test_a_silent_connection_keeps_nobody_out(self):
        with Answering("gateway") as program:
            server = Serving(program.path)
            silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
            try:
                assert until(lambda: "jvpn_up 1" in fetch(server.port), 30)
            finally:
                for connection in silent:
                    connection.close()
                server.end()

    def test_a_foreign_name_or_page_gets_nothing(self):
        with Answering("gateway") as program:
            server = Serving(program.path, "--name", "gw1.example", "--name", "GW1")
            try:
                for path in ("/metrics", "/"):
                    for host, status in (("gw1.example:9470", 200), ("gw1", 200), ("localhost", 200), ("[::1]:1", 200),
                                         ("evil.example", 403), ("gw1.example.evil", 403), ("xgw1", 403)):
                        assert status_of(server.port, path, Host=host)[0] == status, (path, host)
                cookie = status_of(server.port, "/")[1]["Set-Cookie"]
                assert "SameSite=Strict" in cookie and "HttpOnly" in cookie, cookie
                mine = cookie.partition(";")[0]
                for path in ("/console/stream", "/console/timeline?session=1"):
                    assert status_of(server.port, path)[0] == 403, "a page from elsewhere has no cookie of ours"
                    assert status_of(server.port, path, Cookie="jvpn_console=10; other=" + mine)[0] == 403
                    assert status_of(server.port, path, Cookie="a=b; " + mine)[0] == 200
                    assert status_of(server.port, path, Cookie=mine, Host="evil.example")[0] == 403
                    assert status_of(server.port, path, Cookie=mine, Sec_Fetch_Site="cross-site")[0] == 403
            finally:
                server.end()

    def test_what_cant_be_listened_on_is_named(self):
        for bad in ("127.0.0.1", "9470", "localhost:9470", "127.0.0.1:0", "127.0.0.1:70000", ""):
            said = jvpn("metrics", "--listen", bad)
            assert said.returncode == 2 and "--listen" in said.stderr, (bad, said)
        with socket.create_server(("127.0.0.1", 0)) as taken:
            said = jvpn("--socket", "/nowhere", "metrics", "--listen", f"127.0.0.1:{taken.getsockname()[1]}")
            assert said.returncode == 1 and "port free" in said.stderr, said


tap_runner.main()
