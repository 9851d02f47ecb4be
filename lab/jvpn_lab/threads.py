"""One thread of a program of the lab, held still by a debugger's means, ptrace(2): SIGSTOP would hold all of them."""
import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jvpn_lab import processes
from jvpn_lab.console import Failure

# linux/ptrace.h, bits/waitflags.h
PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_DETACH = 0x4206, 0x4207, 17
WAIT_ALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request: int, thread: int) -> None:
    if _libc.ptrace(request, thread, None, None) != 0:
        raise Failure(f"ptrace of thread {thread}: {os.strerror(ctypes.get_errno())}")


def named(name: str, thread: str) -> int:
    """The thread of the program `name` whose own name begins with `thread`."""
    found = [int(task.name) for task in Path(f"/proc/{processes.pid_of(name)}/task").iterdir()
             if (task / "comm").read_text().startswith(thread)]
    if len(found) != 1:
        raise Failure(f"{name} has {len(found)} threads {thread}… instead of one")
    return found[0]


@contextmanager
def held(thread: int) -> Iterator[None]:
    """It stands still meanwhile."""
    _ptrace(PTRACE_SEIZE, thread)
    _ptrace(PTRACE_INTERRUPT, thread)
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        _ptrace(PTRACE_DETACH, thread)
