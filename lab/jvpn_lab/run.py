"""Running commands and whole programs within bounds: time limits, signals, cleaning up."""
import contextlib
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from jvpn_lab.console import EXIT_USAGE, Failure, error

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("JVPN_BUILD", ROOT / "build"))
os.environ["LC_ALL"] = "C"  # numbers and error texts that are read here

_CLEAN_UP_LIMIT_S = 60
_EXIT_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 143, signal.SIGALRM: 124}


class Unanswered(Failure):
    """A program did not tell what it was asked for, perhaps not yet: wait_for() asks again."""


def program(name: str) -> str:
    """The path of one of ours, in the build tree."""
    folder = "lab" if name.startswith("lab-") else "tests" if name == "many-clients" else "tools"
    return str(BUILD / folder / name)


def bounded(seconds: float, *command: object, text: str | None = None, output: Path | None = None, show: bool = False,
            grace: float = 5) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end; both its outputs are in .stdout, or in the file `output`, or shown.

    When the time is over, or a signal comes, it gets SIGTERM and the grace in seconds to clean up. Exit code 124: the
    time was over.
    """
    with contextlib.ExitStack() as stack:
        to = None if show else stack.enter_context(output.open("w")) if output else subprocess.PIPE
        process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL if text is None else subprocess.PIPE, stdout=to,
            stderr=None if show else subprocess.STDOUT, text=True, errors="replace")
        try:
            said, _ = process.communicate(text, timeout=seconds)
        except BaseException as reason:
            said = end_process(process, grace)
            if not isinstance(reason, subprocess.TimeoutExpired):
                raise
            process.returncode = 124
    return subprocess.CompletedProcess(process.args, process.returncode, said or "")


def end_process(process: subprocess.Popen[str], grace: float) -> str:
    """SIGTERM, and SIGKILL when it has not ended in time; returns what it still said."""
    process.terminate()
    try:
        return process.communicate(timeout=grace)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()[0]


def run(*command: object, text: str | None = None, seconds: float = 30) -> str:
    """Runs a command that has to succeed; returns what it said."""
    done = bounded(seconds, *command, text=text)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: exit code {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def succeeds(*command: object) -> bool:
    return bounded(30, *command).returncode == 0


def shell_helper(seconds: float, *words: object) -> None:
    """A function of tools/lib/common.sh that has to succeed, its output shown; its own traps end what it runs."""
    script = 'source "$0"; trap end_bounded EXIT; trap "exit 143" TERM; "$@"'
    helper = ["bash", "-euo", "pipefail", "-c", script, ROOT / "tools/lib/common.sh"]
    if bounded(seconds, *helper, *words, show=True).returncode != 0:
        raise Failure(f"{words[0]} failed")


def wait_for(seconds: float, condition: Callable[[], object]) -> bool:
    """Polls until the condition holds; False when the time is over."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(Unanswered):
            if condition():
                return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)


def require_within(seconds: float, condition: Callable[[], object], otherwise: str) -> None:
    if not wait_for(seconds, condition):
        raise Failure(otherwise)


_held: list[int] | None = None  # signals that came while they were held


def _on_signal(number: int, _frame: object) -> None:
    if _held is not None:
        _held.append(number)
        return
    _shield()
    if number == signal.SIGALRM:
        error("not done within the time limit")
    raise SystemExit(_EXIT_CODES[number])


def _shield() -> None:
    """From here on only cleaning up is left: no signal may cut it short, but the kernel bounds it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(_CLEAN_UP_LIMIT_S)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """For what has to be done as a whole, such as starting a process and noting its pid."""
    global _held
    _held = []
    try:
        yield
    finally:
        came, _held = _held, None
        for number in came[:1]:
            _on_signal(number, None)


@contextlib.contextmanager
def guarded(clean_up: Callable[[int], None], limit_s: int = 0) -> Iterator[None]:
    """Around all that a program does as root: whatever happens, clean_up follows with the exit code, and the program
    ends by it. SIGINT, SIGTERM, SIGHUP and the time limit (0: none) end the body early."""
    for number in _EXIT_CODES:
        signal.signal(number, _on_signal)
    signal.alarm(limit_s)
    status = 0
    try:
        try:
            if os.geteuid() != 0:
                raise Failure("this needs root (namespaces, hugepages): run it with sudo", EXIT_USAGE)
            yield
        except Failure as failure:
            error(str(failure))
            status = failure.exit_code
        except Exception:
            error(traceback.format_exc())
            status = 1
        _shield()
    except SystemExit as stop:
        status = int(stop.code or 0)
    clean_up(status)
    sys.exit(status)
