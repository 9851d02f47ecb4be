"""The other side of perf/harness/script.h: facts come as a JSON object in the first argument, a command's words behind
it; the answer to another program goes to stdout as one line of JSON, what is for people to stderr."""
import argparse
import json
import os
import sys
import time

from show import show

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


class Parser(argparse.ArgumentParser):
    """Of a command's own words."""

    def __init__(self, description):
        super().__init__(prog=f"jvpn-perf {options.get('command', '')}", description=description, allow_abbrev=False)

    def add_number(self, name, default, least, most, meaning):
        def number(text):
            value = type(default)(text)
            if not least <= value <= most:
                raise argparse.ArgumentTypeError(f"{text}: expected {least} to {most}")
            return value

        self.add_argument(name, type=number, metavar="NUMBER", default=default, help=f"{meaning} ({default})")

    def parse(self, words):
        self.add_argument("--json", action="store_true", help="one JSON object on stdout")
        return vars(self.parse_args(words))


def in_lab(parser, measure, result):
    """measure(options, found) fills `found` and may be interrupted or fail at any time; result(options, found,
    failure) gives the figures, the table and what the environment is besides, of what there is then. The lab is up
    until both are done."""
    options.update(parser.parse(sys.argv[2:]))
    found, failure, interrupted = {}, None, False

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
            interrupted = True  # what was done until then counts
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)
        figures, table, environment = result(options, found, failure)
        sys.stdout.flush()  # what was silenced stays so
        os.dup2(_answer, 1)
        code = show(options["command"], options["json"], figures, table, interrupted,
                    options["environment"] | environment)
        silence()
        raise SystemExit(code)
