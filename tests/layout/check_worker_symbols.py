#!/usr/bin/env python3
"""Checks what the worker's object code calls: no lock, no allocation in C, no log, no I/O.

usage: check_worker_symbols.py ARCHIVE OBJECT

Names that the object leaves to the linker must match none of the forbidden ones. (Construction, before
the loop starts, may use operator new.)
"""
import re
import subprocess
import sys

FORBIDDEN = re.compile(
    r"^(pthread_|sem_|mtx_|futex|syscall$|malloc$|calloc$|realloc$|free$|rte_malloc|rte_zmalloc|rte_free|"
    r"spdlog|fmt::|std::ostream|std::basic_ostream|printf|fprintf|puts|write$|read$|send|recv|poll$|"
    r"epoll|open$|usleep|sleep$|rte_log|rte_delay|std::mutex|std::condition|std::thread|std::__throw_system)")


def undefined_symbols(archive, member):
    text = subprocess.run(["nm", "--demangle", "--undefined-only", archive],
                          capture_output=True, text=True, check=True).stdout
    current = None
    for line in text.splitlines():
        if line.endswith(":"):
            current = line[:-1]
        elif current and current.endswith(member) and line.split():
            yield line.split(maxsplit=1)[1]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    names = list(undefined_symbols(*sys.argv[1:]))
    if not names:
        sys.exit(f"no symbols: {sys.argv[2]} is not in {sys.argv[1]}")
    bad = [name for name in names if FORBIDDEN.match(name)]
    for name in bad:
        print(f"{sys.argv[2]} calls {name}")
    print(f"{len(names)} names looked at, {len(bad)} forbidden")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
