#!/usr/bin/env python3
"""Checks that the data path's stages are told once: code and documents name the same ones in one order.

The list is dataplane/stage.h. The two ways in dataplane/worker.h and docs/ARCHITECTURE.md must equal it, and
every function that ARCHITECTURE.md lists must be in the file that stands beside it. `--self-test` shows that
each rule can fail.
"""
import re

import checker

LIST = "dataplane/stage.h"
TOLD_IN = ("dataplane/worker.h", "docs/ARCHITECTURE.md")
WAYS = {"outside → inside": "kOutsideToInside", "inside → outside": "kInsideToOutside"}
MOST_FILES = 7


def stages(text):
    """The enumerators in order, each with its printed name."""
    body = re.search(r"enum class Stage[^{]*\{(.*?)\};", text, re.S)[1]
    enumerators = re.findall(r"^\s*(k\w+)", body, re.M)
    names = re.findall(r'"(\w+)"', re.search(r"kStageNames\{(.*?)\};", text, re.S)[1])
    return dict(zip(enumerators, names)), len(enumerators) - 1 == len(names)


def way(text, array, names):
    body = re.search(array + r"\{(.*?)\};", text, re.S)[1]
    return [names[each] for each in re.findall(r"Stage::(k\w+)", body)]


def told(text, title):
    found = re.search(r"^(?://)?\s*" + title + r":\s*(.+)$", text, re.M)
    return [each.strip() for each in found[1].split("→")] if found else None


def tables(text):
    """The rows of each way's table in ARCHITECTURE.md: stage, functions, file."""
    for title in WAYS:
        at = re.search("^" + title + ":", text, re.M)
        if not at:
            continue
        rows = []
        for line in text[at.end():].split("\n")[1:]:
            if line.startswith("|"):
                rows.append([cell.strip() for cell in line.strip("|").split("|")])
            elif rows:
                break
        yield title, [row for row in rows[2:] if len(row) == 3]


def check_table(root, title, rows, expected):
    if [row[0] for row in rows if row[0]] != expected:
        yield f"docs/ARCHITECTURE.md: the table of {title} does not list the stages in order"
    files = {row[2].strip("`") for row in rows}
    if len(files) > MOST_FILES:
        yield f"docs/ARCHITECTURE.md: {title} passes {len(files)} files, more than {MOST_FILES}"
    for _, functions, file in rows:
        path = root / file.strip("`")
        source = path.read_text() if path.exists() else ""
        for name in re.findall(r"`([\w:]+)`", functions):
            if not re.search(r"\b" + name.split("::")[-1] + r"\(", source):
                yield f"docs/ARCHITECTURE.md: {title}: no {name}() in {file}"


def findings(root):
    text = (root / LIST).read_text()
    names, complete = stages(text)
    if not complete:
        yield f"{LIST}: each stage needs one name, in the enum's order"
        return
    for file in TOLD_IN:
        for title, array in WAYS.items():
            if told((root / file).read_text(), title) != way(text, array, names):
                yield f"{file}: {title} differs from {array} in {LIST}"
    for title, rows in tables((root / "docs/ARCHITECTURE.md").read_text()):
        yield from check_table(root, title, rows, way(text, WAYS[title], names))


def self_test():
    sound = {
        LIST: "enum class Stage : uint8_t {\n  kRx,\n  kSeal,  ///< x\n  kCount\n};\n"
              'kStageNames{\n "rx", "seal"};\n'
              "kOutsideToInside{Stage::kRx};\nkInsideToOutside{Stage::kRx, Stage::kSeal};\n",
        "dataplane/worker.h": "//   outside → inside: rx\n//   inside → outside: rx → seal\n",
        "dataplane/rx.h": "void receive();\n",
        "docs/ARCHITECTURE.md":
            "outside → inside: rx\n\n| s | f | file |\n|---|---|---|\n| rx | `receive` | `dataplane/rx.h` |\n\n"
            "inside → outside: rx → seal\n\n| s | f | file |\n|---|---|---|\n"
            "| rx | `receive` | `dataplane/rx.h` |\n| seal | | `dataplane/rx.h` |\n",
    }
    spoiled = {
        LIST: ('"rx", "seal"', '"rx"'),
        "dataplane/worker.h": ("rx → seal", "seal → rx"),
        "docs/ARCHITECTURE.md": ("outside: rx → seal", "outside: rx"),
        "dataplane/rx.h": ("receive()", "other()"),
    }
    wrong = []
    for file, change in [(None, None), *spoiled.items()]:
        spoilt = {path: text.replace(*change) if path == file else text for path, text in sound.items()}
        with checker.made_up(spoilt) as root:
            if bool(list(findings(root))) != (file is not None):
                wrong.append(f"wrong verdict with {file or 'nothing'} spoiled")
    return wrong


if __name__ == "__main__":
    checker.main("stages", findings, self_test)
