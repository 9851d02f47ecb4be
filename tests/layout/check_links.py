#!/usr/bin/env python3
"""Every link of README.md and docs/*.md to a file of this repository resolves, and so does its anchor, as GitHub makes
anchors of headings; every picture in docs/pictures is shown somewhere, and every document is reached from README.md.
`--self-test` shows that each rule can fail.
"""
import re

import checker

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FOREIGN = re.compile(r"[a-z]+:")  # http:, mailto: …


def prose(text):
    """The text with its blocks and spans of code emptied; every line stays where it is."""
    text = re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text):
    """What GitHub calls the headings: lower case, blanks are hyphens, other signs go; a second one of a name gets -1."""
    found = set()
    for heading in re.findall(r"^#+ +(.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        number = 1
        while name in found:
            name, number = f"{name.removesuffix(f'-{number - 1}')}-{number}", number + 1
        found.add(name)
    return found


def findings(root):
    documents = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
    targets = {}
    for path in documents:
        text = prose(path.read_text())
        for found in LINK.finditer(text):
            link, number = found[1], text.count("\n", 0, found.end()) + 1
            if FOREIGN.match(link):
                continue
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            targets.setdefault(path, set()).add(target)
            where = f"{path.relative_to(root)}:{number}"
            if not target.exists() or not target.is_relative_to(root.resolve()):
                yield f"{where}: there is no {link}"
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text()):
                yield f"{where}: {name or path.name} has no heading for #{anchor}"
    linked = {target for each in targets.values() for target in each}
    for picture in sorted((root / "docs/pictures").glob("*")):
        if picture.resolve() not in linked:
            yield f"{picture.relative_to(root)}: no document shows it"
    for document in documents[1:]:
        if document.resolve() not in targets.get(documents[0], set()):
            yield f"{document.relative_to(root)}: README.md has no link to it"


def self_test():
    tree = {
        "README.md": "# R\n[a](docs/A.md#two-words)\n[b](docs/B.md)\n[c](#nowhere)\n[d](docs/A.md#two-words-1)\n"
                     "[e](docs/A.md#absent) `[f](docs/code.md)`\n[g](https://example.org/x)\n```\n[h](docs/block.md)\n```\n",
        "docs/A.md": "# A\n## Two, words!\n## Two words\n[up](../README.md#r) ![p](pictures/shown.svg) [out](../../x)\n"
                     "## `code` and [a link](x.md)\n[i](#code-and-a-link)\n",
        "docs/C.md": "# C\n",
        "docs/pictures/shown.svg": "",
        "docs/pictures/lonely.svg": "",
    }
    with checker.made_up(tree) as root:
        found = list(findings(root))
    wrong = checker.missed(found, (
        "README.md:3: there is no docs/B.md", "README.md:4: README.md has no heading for #nowhere",
        "README.md:6: docs/A.md has no heading for #absent", "docs/A.md:4: there is no ../../x",
        "docs/pictures/lonely.svg: no document shows it", "docs/C.md: README.md has no link to it"))
    # The heading with a link in it is one more: docs/x.md isn't there.
    return wrong + [f"too much: {each}" for each in found if len(found) != 7]


if __name__ == "__main__":
    checker.main("links", findings, self_test)
