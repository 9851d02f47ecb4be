"""The end of every measurement of jvpn-perf: takes what was measured as a JSON document on stdin (perf/harness/command.cc),
prints figures as JSON or as a table, and exits with 0 (measured), 1 (failed) or 130 (interrupted)."""
import importlib
import json
import os
import pathlib
import sys

# Command: its folder below perf/, and the module there whose function of the command's name gives figures and table.
_VIEWS = {"handshake": ("handshake", "handshakes"), "isolation": ("isolation", "isolation"),
          "ndr": ("ndr", "rates"), "store": ("store", "stores"),
          "storm": ("storm", "storm")} | dict.fromkeys(
    ("jump_load", "pipeline", "publish", "scale"), ("pipeline", "cells"))
_AEAD_FLAGS = ("aes", "avx2", "avx512f", "avx512ifma", "gfni", "pclmulqdq", "vaes", "vpclmulqdq")
_MACHINE = """\
machine    {cpu}, {cpus} CPUs, load {load:.1f} before the run; IPsec-MB on {ipsec_mb}
build      {commit}, {build}
"""


def machine():
    """The first CPU, its flags that AEADs depend on, the kernel."""
    first = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n", 1)[0]
    facts = dict(map(str.strip, line.split(":", 1)) for line in first.splitlines() if ":" in line)
    return {"cpu": facts.get("model name", "unknown"),
            "cpu_flags": [flag for flag in facts.get("flags", "").split() if flag in _AEAD_FLAGS],
            "kernel": f"{os.uname().sysname} {os.uname().release}"}


def figures_and_table(command, measured):
    name = command.replace("-", "_")
    folder, module = _VIEWS[name]
    sys.path.append(str(pathlib.Path(__file__).parents[1] / folder))
    return getattr(importlib.import_module(module), name)(measured)


def show(command, as_json, figures, table, interrupted, environment):
    """Gives the exit code."""
    environment = machine() | environment
    if as_json:
        print(json.dumps({"command": command, **figures, "interrupted": interrupted, "environment": environment},
                         indent=2, ensure_ascii=False))
    elif table:
        print(table + _MACHINE.format(**environment), end="")
        if interrupted:
            print("interrupted: what was done until then")
    sys.stdout.flush()
    if figures.get("failure"):
        print(f"jvpn-perf {command}: {figures['failure']}", file=sys.stderr)
        return 1
    return 130 if interrupted else 0


def main():
    document = json.load(sys.stdin)
    command = document["command"]
    figures, table = figures_and_table(command, document["measured"])
    sys.exit(show(command, document["json"], figures, table, document["interrupted"], document["environment"]))


if __name__ == "__main__":
    main()
