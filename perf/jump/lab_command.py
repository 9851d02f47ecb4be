"""What jvpn-perf's commands in the lab share (perf/jump/lab_commands.cc starts them): options come as a JSON object in
the first argument, the result goes to stdout as {"json", "table", "environment"}, what is for people to stderr."""
import json
import os
import sys
import time

from jvpn_lab import topology
from jvpn_lab.console import Failure
from jvpn_lab.run import guarded

_STARTED = time.monotonic()
_BAR = 30


def progress(done, total, doing):
    if sys.stderr.isatty():
        filled, seconds = _BAR * done // max(total, 1), int(time.monotonic() - _STARTED)
        print(f"\r\033[K[{'#' * filled}{'.' * (_BAR - filled)}] {done}/{total} {seconds // 60}:{seconds % 60:02} {doing}",
              end="", file=sys.stderr, flush=True)


def main(measure, result):
    """measure(options, found) fills `found` and may be interrupted or fail at any time; result(options, found,
    failure) makes what is printed of what there is then. The lab is up until both are done."""
    options, found, failure = json.loads(sys.argv[1]), {}, None

    def clean_up(_status):
        topology.clean_up(failed=failure is not None)

    answer = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
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
        json.dump(result(options, found, failure), answer)
        answer.close()
