"""The other side of perf/harness/script.h: options come as a JSON object in the first argument, the answer goes to
stdout as one line of JSON, what is for people to stderr."""
import json
import os
import sys
import time

from jvpn_lab import topology
from jvpn_lab.console import Failure
from jvpn_lab.run import guarded

_STARTED = time.monotonic()
_BAR = 30

options = json.loads(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].startswith("{") else {}
_answer = os.dup(1)


def silence():
    """From now on nothing but the answer goes to stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def answer(data):
    os.write(_answer, json.dumps(data).encode() + b"\n")


def progress(done, total, doing):
    if sys.stderr.isatty():
        filled, seconds = _BAR * done // max(total, 1), int(time.monotonic() - _STARTED)
        print(f"\r\033[K[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total} {seconds // 60}:{seconds % 60:02} {doing}",
              end="", file=sys.stderr, flush=True)


def in_lab(measure, result):
    """measure(options, found) fills `found` and may be interrupted or fail at any time; result(options, found,
    failure) makes the answer {"json", "table", "environment"} of what there is then. The lab is up until both are
    done."""
    found, failure = {}, None

    def clean_up(_status):
        topology.clean_up(failed=failure is not None)

    silence()
    with guarded(clean_up):
        try:
            topology.lock()
            measure(options, found)
        except Failure as reason:
            failure = str(reason)
        except SystemExit:
            pass  # interrupted: what was done until then counts
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        answer(result(options, found, failure))
