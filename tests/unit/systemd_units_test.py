#!/usr/bin/env python3
"""The systemd units of jvpnd, jvpn-client and jvpn-fallback let through every system call that the program itself allows once it runs,
and those by which it gives up the others: else it would end at its start, or later.

usage: systemd_units_test.py ROOT      exit 77 where systemd-analyze isn't there
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

GIVES_UP = {"seccomp", "prctl", "capget", "capset", "landlock_create_ruleset", "landlock_add_rule",
            "landlock_restrict_self", "clone", "mmap", "mprotect", "bpf"}


def members(word: str) -> set[str]:
    """Of a set of systemd's, or the call itself."""
    if not word.startswith("@"):
        return {word}
    listed = subprocess.run(["systemd-analyze", "syscall-filter", word], check=True, capture_output=True, text=True)
    names = {line.strip() for line in listed.stdout.splitlines() if line.startswith("    ") and "#" not in line}
    return set().union(*(members(name) for name in names))


def main() -> None:
    root = Path(sys.argv[1])
    if not shutil.which("systemd-analyze"):
        sys.exit(77)
    source = (root / "tools/shared/sandbox/system_calls.cc").read_text()
    table = source[source.index("kAllowed"):source.index("});", source.index("kAllowed"))]
    needed = set(" ".join(re.findall(r'"([^"]*)"', table)).split()) | GIVES_UP
    assert len(needed) > 150, f"only {len(needed)} calls were found in the program's table"
    for name, only in (("jvpnd.service", set()), ("jvpn-client@.service", {"bpf", "mincore"}),
                       ("jvpn-fallback.service", {"bpf"})):
        unit = (root / "tools/systemd" / name).read_text()
        allowed = set().union(*(members(word) for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.M)
                                for word in line.split()))
        if missing := sorted(needed - only - allowed):
            sys.exit(f"tools/systemd/{name}: SystemCallFilter lacks {', '.join(missing)}")
        print(f"{name}: {len(needed - only)} system calls, all of them in the unit's {len(allowed)}")


if __name__ == "__main__":
    main()
