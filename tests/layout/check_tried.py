#!/usr/bin/env python3
"""What documents call a test exists: in every table with a column `tried by`, each name in backticks is a test.

That is `Suite.Case` of GoogleTest (`*` for any ending), a scenario, a test of tests/meson.build, a file in tests/ by its
name with or without its ending, a path with whatever arguments follow, a check that headers of tests/ share, `jvpn audit`,
or `jvpn-perf` with one of its commands. In
docs/READINESS.md a line whose state is `holds` names at least one; states are `holds`, `partly` and `open`, and the latter
two say in words what is missing. `--self-test` shows that each rule can fail.
"""
import fnmatch
import re

import checker

READINESS = "docs/READINESS.md"
STATES = ("holds", "partly", "open")
CASE = re.compile(r"^(?:TEST|TEST_F|TEST_P)\(\s*(\w+),\s*(\w+)", re.M)
INSTANTIATED = re.compile(r"^INSTANTIATE_TEST_SUITE_P\(\s*(\w+),\s*(\w+)", re.M)


def cases(root):
    """`Suite.Case` of every test that GoogleTest runs."""
    found = set()
    for path in (root / "tests").rglob("*.cc"):
        text = path.read_text()
        found |= {f"{suite}.{name}" for suite, name in CASE.findall(text)}
        found |= {f"{prefix}/{suite}.x" for prefix, suite in INSTANTIATED.findall(text)}
    return found


def other_names(root):
    """Scenarios, tests of meson, files of tests/, checks that its headers share, and the tool that judges logs."""
    found = {"jvpn audit"}
    for path in (root / "tests").rglob("*"):
        if path.is_file():
            found |= {path.name, path.stem}
        if path.suffix == ".h":
            found |= set(re.findall(r"\bvoid (expect_\w+)\(", path.read_text()))
    build = root / "tests/meson.build"
    if build.exists():
        found |= set(re.findall(r"\btest\('([^']+)'", build.read_text()))
    harness = "".join(path.read_text() for path in (root / "perf").rglob("*.cc"))
    found |= {f"jvpn-perf {name}" for name in re.findall(r'"([a-z][a-z-]+)"', harness)}
    return found


def is_test(root, name, known, others):
    first = name.split()[0]
    if "/" in first and "." in first and (root / first).exists():
        return True
    if name in others or " ".join(name.split()[:2]) in others:
        return True
    return bool(fnmatch.filter(known if "." in name else others, name))


def table_rows(text):
    """(line, {column: cell}) of each row of each table."""
    head = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            head = None
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if head is None:
            head = cells
        elif not set(line) <= set("|-: "):
            yield number, dict(zip(head, cells))


def findings(root):
    known, others = cases(root), other_names(root)
    for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
        if not path.exists():
            continue
        relative = str(path.relative_to(root))
        for number, row in table_rows(path.read_text()):
            names = re.findall(r"`([^`]+)`", row.get("tried by", ""))
            tests = [name for name in names if is_test(root, name, known, others)]
            for name in names:
                code = (root / "tests").exists() and name in row.get("kept by", "")
                if name not in tests and not code:
                    yield f"{relative}:{number}: there is no test {name}"
            if relative != READINESS or "state" not in row:
                continue
            if row["state"] not in STATES:
                yield f"{relative}:{number}: the state is one of {', '.join(STATES)}, not {row['state']}"
            if row["state"] == "holds" and not tests:
                yield f"{relative}:{number}: it holds, and no test says so"
            if row["state"] in ("partly", "open") and not row.get("figure, or what is missing"):
                yield f"{relative}:{number}: what is missing isn't said"


def self_test():
    head = "| what | state | tried by | figure, or what is missing |\n|---|---|---|---|\n"
    bad = {
        "tests/unit/some_test.cc": "TEST(Some, Case) {\n}\n",
        "tests/e2e/scenario.py": "",
        "tests/meson.build": "test('a name', x)\n",
        "perf/main.cc": 'add("pipeline")',
        READINESS: head +
        "| a | holds | `Some.Case`, `Some.*`, `scenario`, `a name`, `tests/e2e/scenario.py --x`, `jvpn-perf pipeline` | |\n"
        "| b | holds | `Some.Other` | |\n| c | holds | none | |\n| d | done | `scenario` | |\n| e | open | | |\n"
        "| f | holds | `jvpn-perf nothing`, `scenario` | |\n",
        "docs/OTHER.md": "| what | tried by |\n|---|---|\n| g | `no_scenario` |\n",
    }
    with checker.made_up(bad) as root:
        found = list(findings(root))
    wrong = checker.missed(found, [f"{READINESS}:{line}:" for line in (4, 5, 6, 7, 8)] + ["docs/OTHER.md:3"])
    if any(f"{READINESS}:3:" in finding for finding in found):
        wrong.append("each kind of name in the first row is a test")
    return wrong


if __name__ == "__main__":
    checker.main("tried", findings, self_test)
