#!/usr/bin/env python3
"""What code and documents say of each other: every profile key, event, reason, detail and drop stands in a document, and
none stands there that code doesn't have; every command and option that a document writes out exists.

Metrics are compared by `metrics command`, man pages by `man pages`. The tables of docs/EVENTS.md are made of code:
`check_documented.py --write` writes them. With a program's command tree, `check_documented.py --trees PROGRAM...`
looks at commands, too. `--self-test` shows that each rule can fail.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

import checker

PROFILES = ("tools/profiles/nic-server.yaml", "tools/profiles/client.yaml")
EVENTS = "docs/EVENTS.md"
OPERATING = "docs/OPERATING.md"
# A call that asks the profile for a key: the code that asks is the schema.
ASKED = re.compile(r'\b(?:required|optional|list|section|sections|take|span|read_file_reference|networks)\(\s*'
                   r'(?:\w+,\s*)?"([a-z][a-z_0-9]*)"|^\s+"([a-z][a-z_0-9]*)",$', re.M)
# A key of a profile, or of one that is commented out. (In prose a colon follows a word as well.)
WRITTEN = re.compile(r"(?:^|[{,]|^#|- |\| )\s*([a-z][a-z_0-9]*):(?=\s)", re.M)
# Keys of a peer's own file, which docs/ENROLMENT.md has.
ELSEWHERE = {"enabled": "docs/ENROLMENT.md"}


def code_of(root, *names):
    return "\n".join((root / name).read_text() for name in names if (root / name).exists())


def asked_keys(root):
    """Name -> where it is asked for."""
    keys = {}
    for path in sorted([*(root / "common").glob("*_parse.cc"), root / "common/profile.cc", root / "common/peer_file.cc"]):
        if path.exists():
            for found in ASKED.finditer(path.read_text()):
                keys.setdefault(found[1] or found[2], path.relative_to(root))
    return keys


def check_keys(root):
    keys = asked_keys(root)
    written = set()
    for name in PROFILES:
        text = (root / name).read_text() if (root / name).exists() else ""
        for number, line in enumerate(text.splitlines(), 1):
            data, _, comment = line.partition("#")
            # A comment that begins the line may be an example; one behind data is prose.
            example = comment if not data.strip() and re.match(r"\s*(- )?\{?[a-z_0-9]+:\s*\S", comment) else ""
            for key in WRITTEN.findall(data if data.strip() else example):
                written.add(key)
                if key not in keys:
                    yield f"{name}:{number}: no program reads the key {key}"
        written |= set(re.findall(r"([a-z][a-z_0-9]*):", text)) | set(re.findall(r"`([a-z_0-9]+):?`", text))
    for key, path in keys.items():
        where = ELSEWHERE.get(key)
        if key not in written and not (where and key in code_of(root, where)):
            yield f"{path}: the key {key} is in neither {' nor '.join(PROFILES)}"


def rows(title, heads, lines):
    return [f"## {title}", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads),
            *(f"| {' | '.join(line)} |" for line in lines), ""]


def joined(text):
    return re.sub(r'"\s*"', "", text)


def tables(root):
    """What code says, as docs/EVENTS.md has it."""
    reason, header = code_of(root, "common/reason.cc"), code_of(root, "common/reason.h")
    meant = dict(re.findall(r"^  k(\w+) = \d+,\s*///< (.*)$", header, re.M))
    kinds = re.findall(r'return "([A-Z_]+)"', code_of(root, "control/session/event.cc").split("UNKNOWN")[0])
    reasons = re.findall(r'ReasonText\{\s*Reason::k\w+,\s*"([A-Z_]+)",\s*((?:"[^"]*"\s*)+)\}', reason)
    details = re.findall(r'DetailText\{Detail::k(\w+), "(\w+)"\}', reason)
    drops = re.findall(r'\{"([a-z_]+)",\s*((?:"[^"]*"\s*)+),\s*((?:"[^"]*"\s*)+)\}', code_of(root, "common/drop.h"))
    return "\n".join(
        rows("Events", ("`event`",), [(f"`{kind}`",) for kind in kinds if kind != "UNKNOWN"]) +
        rows("Reasons", ("`reason`", "means"), [(f"`{name}`", joined(text).strip().strip('"')) for name, text in reasons]) +
        rows("Details", ("`detail`", "means"), [(f"`{name}`", meant.get(code, "as its name says")) for code, name in details]) +
        rows("Drops", ("drop", "means", "what to do when it keeps rising"),
             [(f"`{name}`", *(joined(text).strip().strip('"') for text in texts)) for name, *texts in drops]))


def check_events(root):
    text = code_of(root, EVENTS)
    if tables(root).strip() not in text:
        yield f"{EVENTS}:1: its tables differ from code: tests/layout/check_documented.py --write"
    known = code_of(root, "common/reason.cc", "control/session/event.cc") + \
        "".join(path.read_text() for path in sorted((root / "control").rglob("*.[ch]*")))
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        if not path.exists():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for name in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", line):
                if f'"{name}"' not in known and not name.startswith("JVPN_") and name not in known:
                    yield f"{path.relative_to(root)}:{number}: no event or reason {name}"


def check_flags(root):
    """Flags of health, in the table of docs/OPERATING.md."""
    code = "".join(path.read_text() for path in sorted((root / "control/gateway").glob("*.[ch]*")))
    raised = set(re.findall(r'(?:raise|look_at_pool)\(\s*(?:flags, [\w.]+,\s*)?"([a-z_]+)"', code)) | \
        set(re.findall(r'^    \{"([a-z_]+)",\n\s+"', code, re.M))
    table = code_of(root, OPERATING).partition("| flag | means |")[2].partition("\n\n")[0]
    told = {name for line in table.splitlines() for name in re.findall(r"`([a-z_]+)`", line.split("|")[1] if "|" in line else "")}
    yield from (f"{OPERATING}: no word of the flag {name}" for name in sorted(raised - told))
    yield from (f"{OPERATING}: nothing raises the flag {name}" for name in sorted(told - raised))


def subtree(tree, words):
    """The command that the words name, and what is left of them."""
    while words:
        below = next((each for each in tree["commands"] if each["name"] == words[0]), None)
        if below is None:
            break
        tree, words = below, words[1:]
    return tree, words


def check_line(trees, words):
    """What of a written command line doesn't exist."""
    tree, left = subtree(trees[words[0]], [word for word in words[1:] if re.fullmatch(r"[a-z]+", word)])
    if tree["commands"] and left and tree["name"] == "jvpn":
        yield f"no command {left[0]}"
    options = {name for each in trees[words[0]]["options"] + tree["options"] for name in each["names"]}
    for word in words[1:]:
        if word.startswith("--") and word.split("=")[0] not in options:
            yield f"no option {word} of {words[0]} {tree['name']}"


def check_commands(root, trees):
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for text in re.findall(r"`((?:jvpn|jvpnd|jvpn-client) [^`]*)`", line):
                words = re.findall(r"[\w./:@-]+", text.split("; ")[0].split(" | ")[0])
                for wrong in check_line(trees, words) if words[0] in trees else ():
                    yield f"{path.relative_to(root)}:{number}: {text}: {wrong}"
    told = code_of(root, "README.md", *(str(path.relative_to(root)) for path in sorted((root / "docs").glob("*.md"))))
    for each in trees["jvpn"]["commands"]:
        if not re.search(rf"jvpn {each['name']}\b|`{each['name']}`", told):
            yield f"README.md: nothing is written of jvpn {each['name']}"


def findings(root):
    yield from check_keys(root)
    yield from check_events(root)
    yield from check_flags(root)


def write(root):
    path = root / EVENTS
    head = path.read_text().split("## Events")[0]
    path.write_text(head + tables(root))


def self_test():
    tree = {
        "common/profile.cc": 'map.required("asked", kind, x);\nmap.optional(\n    "hidden",\n    kind);\n',
        "common/reason.cc": 'ReasonText{Reason::kOne, "ONE_REASON", "one " "thing"},\nDetailText{Detail::kA, "a"},\n',
        "control/session/event.cc": 'return "STATE_CHANGE";\n',
        "tools/profiles/client.yaml": "asked: 1\nunread: 2\n# commented: 3\n# words: of prose that goes on\n",
        "docs/EVENTS.md": "`ONE_REASON` `NO_REASON`\n",
        "control/gateway/health.cc": 'flags.raise("hidden_flag", x);\n',
        "docs/OPERATING.md": "| flag | means |\n|---|---|\n| `no_flag` | x |\n\n",
    }
    with checker.made_up(tree) as root:
        found = list(findings(root))
        found += [f"command:{wrong}" for wrong in check_line(
            {"jvpn": {"name": "jvpn", "options": [], "commands": [{"name": "up", "options": [], "commands": []}]}},
            ["jvpn", "upp", "--none"])]
    return checker.missed(found, (
        "common/profile.cc: the key hidden", "tools/profiles/client.yaml:2", "tools/profiles/client.yaml:3",
        "docs/EVENTS.md:1: its tables", "docs/EVENTS.md:1: no event or reason NO_REASON", "command:no command upp",
        "docs/OPERATING.md: no word of the flag hidden_flag", "docs/OPERATING.md: nothing raises the flag no_flag",
        "command:no option --none"))


def main():
    root = Path(__file__).resolve().parents[2]
    if "--write" in sys.argv:
        return write(root)
    if "--trees" in sys.argv:
        told = [json.loads(subprocess.run([program, "--command-tree"], check=True, capture_output=True).stdout)
                for program in sys.argv[sys.argv.index("--trees") + 1:]]
        found = list(check_commands(root, {tree["name"]: tree for tree in told}))
        print(*found, sep="\n")
        sys.exit(1 if found else 0)
    checker.main("documented", findings, self_test)


if __name__ == "__main__":
    main()
