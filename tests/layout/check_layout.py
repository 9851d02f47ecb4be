#!/usr/bin/env python3
"""Checks the repository's layout: top-level folders, the direction of includes, what common/ may use.

Prints one line per finding, `file:line: what`, and exits 1 if there is any. `--self-test` shows on
made-up trees that each rule can fail.
"""
import re
import subprocess

import checker

FOLDERS = {"dataplane", "control", "common", "tests", "perf", "tools", "lab", "docs", ".ci"}
FILES = {"meson.build", "meson_options.txt", "README.md", "LICENSE",
         ".gitignore", ".clang-format", ".clang-tidy"}
# Folder -> folders it may include from. tests/ and perf/ may include everything.
MAY_INCLUDE = {
    "common": {"common"},
    "dataplane": {"dataplane", "common"},
    "control": {"control", "common"},
    "lab": {"lab", "tools", "common"},
}
# The one program that joins both sides, and the tool that shares control's DPDK-free part.
WIRING = "tools/jvpnd/"
TOOLS_MAY_INCLUDE = {"tools", "control", "common"}
# Rooms: folder -> room -> rooms beside it that it may include. `main.cc` of a program may include all.
ROOMS = {
    "control/": {
        "session": {"session"},
        "protocol": {"protocol", "session"},
        "jump": {"jump", "protocol", "session"},
        "engine": {"engine", "jump", "protocol", "session"},
        "events": {"events", "session"},
        "files": {"files"},
        "admin": {"admin", "engine", "events", "files", "session"},
        "store": {"store", "session"},
        "cluster": {"cluster", "files", "store", "session"},
        "publish": {"publish", "session"},
        "neighbor": {"neighbor", "publish"},
        "gateway": {"gateway", "neighbor", "publish", "admin", "events", "engine", "session"},
    },
    "tools/client/": {
        "tunnel": {"tunnel"},
        "underlays": {"underlays"},
        "dataplane": {"dataplane", "tunnel", "underlays"},
        "attendant": {"attendant", "tunnel"},
        "control": {"control", "attendant", "dataplane", "tunnel", "underlays"},
    },
}
# What includes DPDK; everything else in control/, and what it includes, is free of it.
KNOW_DPDK = ("control/publish/", "control/neighbor/", "control/gateway/")
# Free of DPDK: used by programs that run without it.
COMMON_FORBIDDEN = {"thread", "fstream", "iostream", "filesystem", "mutex", "future",
                    "unistd.h", "fcntl.h", "sys/socket.h", "stdio.h", "cstdio"}
COMMON_EXCEPTIONS = {
    # A failed assertion must say where before the program ends, and no logger can be trusted by then.
    "common/assert.cc": {"cstdio"},
    # Closes what it owns; opens, reads and writes nothing.
    "common/file_descriptor.h": {"unistd.h"},
}
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]')


def sources(root):
    for folder in ("common", "dataplane", "control", "tools", "lab", "tests", "perf"):
        yield from sorted((root / folder).rglob("*.h"))
        yield from sorted((root / folder).rglob("*.cc"))


def includes(path):
    for number, line in enumerate(path.read_text().splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1] == '"', found[2]


def allowed(relative):
    folder = relative.split("/")[0]
    if relative.startswith(WIRING):
        return None
    if folder == "tools":
        return TOOLS_MAY_INCLUDE
    return MAY_INCLUDE.get(folder)


def check_includes(root):
    for path in sources(root):
        relative = str(path.relative_to(root))
        permitted = allowed(relative)
        for number, ours, name in includes(path):
            made_from = name.replace(".pb.h", ".proto")
            if ours and not (root / made_from).exists():
                yield f'{relative}:{number}: "{name}" is not a path from the root'
            elif ours and permitted is not None and name.split("/")[0] not in permitted:
                yield f'{relative}:{number}: must not include "{name}"'
            elif not ours and relative.startswith("common/") and \
                    name in COMMON_FORBIDDEN - COMMON_EXCEPTIONS.get(relative, set()):
                yield f"{relative}:{number}: common/ does no I/O and starts no thread: <{name}>"


def check_rooms(root):
    """Each file is in a room, and a room includes only those that it may."""
    for folder, rooms in ROOMS.items():
        for path in sorted((root / folder).rglob("*")):
            relative = str(path.relative_to(root / folder))
            if path.suffix not in (".h", ".cc") or relative == "main.cc":
                continue
            room = relative.split("/")[0]
            if room not in rooms:
                yield f"{folder}{relative}: not in one of the rooms of {folder}"
                continue
            depth = folder.count("/")
            for number, ours, name in includes(path):
                if ours and name.startswith(folder) and name.split("/")[depth] not in rooms[room]:
                    yield f'{folder}{relative}:{number}: {room}/ must not include "{name}"'


def check_dpdk_free(root, lists):
    """These files, and what they include, must not reach DPDK."""
    for relative in lists:
        seen, todo = set(), [relative]
        while todo:
            name = todo.pop()
            if name in seen or not (root / name).exists():
                continue
            seen.add(name)
            for number, ours, included in includes(root / name):
                if ours:
                    todo.append(included)
                elif included.startswith("rte_"):
                    yield f"{name}:{number}: DPDK in a part that must be free of it (from {relative})"


def dpdk_free_files(root):
    """All of control/ but the rooms that know DPDK; the client and the operator's tool."""
    for folder in ("control", "tools/client", "tools/jvpn"):
        for path in (root / folder).rglob("*.cc"):
            relative = str(path.relative_to(root))
            if not relative.startswith(KNOW_DPDK):
                yield relative


def check_top_level(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout.split("\n")
    for entry in sorted({line.split("/")[0] for line in listed if line}):
        if entry not in FOLDERS and entry not in FILES:
            yield f"{entry}: not part of the layout"


def findings(root):
    yield from check_top_level(root)
    yield from check_includes(root)
    yield from check_rooms(root)
    yield from check_dpdk_free(root, sorted(set(dpdk_free_files(root))))


def self_test():
    bad = {
        "common/a.h": '#include "control/x.h"\n',
        "common/b.h": "#include <thread>\n",
        "common/assert.cc": "#include <cstdio>\n#include <fstream>\n",
        "dataplane/c.cc": '#include "control/x.h"\n',
        "control/x.h": '#include "dataplane/d.h"\n',
        "dataplane/d.h": "",
        "tools/client/e.cc": '#include "common/f.h"\n',
        "common/f.h": "#include <rte_mbuf.h>\n",
        "tools/other/g.cc": '#include "dataplane/d.h"\n',
        "lab/j.cc": '#include "control/x.h"\n',
        "extra/h.txt": "",
        "common/i.h": '#include "i.h"\n',
        "tools/client/j.cc": "",
        "tools/client/tunnel/k.cc": '#include "tools/client/underlays/l.h"\n',
        "tools/client/underlays/l.h": "",
        "control/session/m.h": '#include "control/jump/n.h"\n',
        "control/jump/n.h": "",
        "control/engine/o.cc": '#include "control/engine/p.h"\n',
        "control/engine/p.h": "#include <rte_ring.h>\n",
        "control/gateway/q.cc": "#include <rte_ring.h>\n",
    }
    with checker.made_up(bad) as root:
        found = list(findings(root))
    wrong = checker.missed(found, (
        "common/a.h:1", "common/b.h:1", "common/assert.cc:2", "dataplane/c.cc:1", "control/x.h:1", "common/f.h:1",
        "tools/other/g.cc:1", "lab/j.cc:1", "extra:", "common/i.h:1", "tools/client/j.cc:", "tools/client/tunnel/k.cc:1",
        "control/session/m.h:1", "control/engine/p.h:1", "control/x.h:"))
    if any("control/gateway/q.cc" in finding for finding in found):
        wrong.append("a room that knows DPDK must not be a finding")
    return wrong


if __name__ == "__main__":
    checker.main("layout", findings, self_test)
