"""What is said to people, and the one exception that ends a run with a message."""
import os
import sys
import time
from pathlib import Path
from typing import TextIO

EXIT_USAGE = 2
EXIT_NO_FEATURE = 3  # the kernel or the machine lacks something

BOLD, GREEN, RED, YELLOW, PLAIN = "\033[1m", "\033[32m", "\033[31m", "\033[33m", "\033[0m"
if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
    BOLD = GREEN = RED = YELLOW = PLAIN = ""
_STARTED = time.monotonic()


class Failure(Exception):
    """Ends the run: the text is for people, the code is the program's."""

    def __init__(self, text: str, exit_code: int = 1):
        super().__init__(text)
        self.exit_code = exit_code


def elapsed() -> str:
    minutes, seconds = divmod(int(time.monotonic() - _STARTED), 60)
    return f"{minutes}:{seconds:02}"


def say(text: str, to: TextIO = sys.stdout) -> None:
    try:
        print(text, file=to, flush=True)  # at once: other programs write to the same descriptor
    except BrokenPipeError:  # whoever read it has gone; the run goes on, because it has to clean up
        os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())


def step(text: str) -> None:
    say(f"{BOLD}[{elapsed()}] {text}{PLAIN}")


def info(text: str) -> None:
    for line in text.splitlines():
        say(f"       {line}")


def verdict(met: object, text: str) -> None:
    say(f"       {GREEN}ok{PLAIN}  {text}" if met else f"       {RED}FAIL{PLAIN}  {text}")


def warn(text: str) -> None:
    say(f"{YELLOW}warning:{PLAIN} {text}", sys.stderr)


def error(text: str) -> None:
    say(f"{RED}error:{PLAIN} {text}", sys.stderr)


def show_tail(path: Path, lines: int = 20) -> None:
    """The end of a log, indented, with its name; nothing when there is none."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    if text:
        say("\n    ".join([f"--- last lines of {path.name}", *text.splitlines()[-lines:]]), sys.stderr)
