#!/usr/bin/env python3
"""Checks words and references: no banned word anywhere; named files exist, and so do the sections of documents.

The banned words stand in docs/CONTRIBUTING.md, between `<!-- banned words -->` and `<!-- end -->`. A reference is
`docs/NAME.md, section` in a comment; the section is matched by the beginning of a heading's words. `--self-test`
shows that each rule can fail.
"""
import re
import subprocess
import sys

import checker

SUFFIXES = {".h", ".cc", ".py", ".sh", ".md", ".build", ".yaml", ".txt"}
# The page that lists the words, this check, and the recording of the engine's words.
EXEMPT = {"docs/CONTRIBUTING.md", "tests/layout/check_words.py", "tests/unit/engine_recording.txt"}
REFERENCE = re.compile(r"docs/([A-Z_]+\.md), ([a-z][a-z ,;]*[a-z])")
PATH = re.compile(r"(?<![\w/.])((?:common|control|dataplane|lab|perf|tests|tools)/[a-z0-9_/]+\.(?:h|cc|py|sh|md))\b")
FOREIGN = re.compile(r"\bdesign §|\bspec/")


def files(root):
    listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"],
                            capture_output=True, text=True, check=True).stdout.split("\n")
    for name in sorted(set(listed)):
        path = root / name
        if path.suffix in SUFFIXES and name not in EXEMPT and path.is_file():
            yield name, path.read_text(errors="replace")


def banned_words(root):
    text = (root / "docs/CONTRIBUTING.md").read_text()
    block = re.search(r"<!-- banned words -->(.*?)<!-- end -->", text, re.S)
    if not block:
        sys.exit("docs/CONTRIBUTING.md: no list of banned words")
    words = re.findall(r"`([^`]+)`", block[1])
    # A capitalised word is a name of code, the others are phrases or beginnings of names.
    return [re.compile(rf"\b{re.escape(word)}" + ("\\b" if word[-1].isalpha() else "")) for word in words]


def headings(root, name):
    path = root / "docs" / name
    if not path.exists():
        return None
    return [line.lstrip("# ").lower() for line in path.read_text().splitlines() if line.startswith("#")]


def findings(root):
    words = banned_words(root)
    for name, text in files(root):
        for number, line in enumerate(text.splitlines(), 1):
            for word in words:
                if word.search(line):
                    yield f"{name}:{number}: banned: {word.pattern}"
            if FOREIGN.search(line):
                yield f"{name}:{number}: a reference that this repository can't answer"
            for path in PATH.findall(line):
                beside = root / "tools/client" / path if name.startswith("tools/client/") else root / path
                if not (name.startswith("tests/layout/") or (root / path).exists() or beside.exists()):
                    yield f"{name}:{number}: no file {path}"
            for document, section in REFERENCE.findall(line):
                found = headings(root, document)
                if found is None:
                    yield f"{name}:{number}: no docs/{document}"
                elif not any(heading.startswith(section) or section in heading for heading in found):
                    yield f"{name}:{number}: docs/{document} has no section {section!r}"


def self_test():
    tree = {
        "docs/CONTRIBUTING.md": "# C\n<!-- banned words -->`Heard`, `tell_`<!-- end -->\n",
        "docs/DESIGN.md": "# Design\n## Reattach\n",
        "a.h": "struct Heard;\n",
        "b.cc": "tell_dead();\n",
        "c.h": "// docs/DESIGN.md, reattach\n",
        "d.h": "// docs/DESIGN.md, nowhere\n",
        "e.h": "// design \u00a75\n",
        "f.h": "// see common/gone.h\n",
    }
    with checker.made_up(tree) as root:
        found = list(findings(root))
    wrong = checker.missed(found, ("a.h:1", "b.cc:1", "d.h:1", "e.h:1", "f.h:1"))
    if any("c.h" in finding for finding in found):
        wrong.append("a section that is there must not be a finding")
    return wrong


if __name__ == "__main__":
    checker.main("words", findings, self_test)
