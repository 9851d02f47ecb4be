#!/usr/bin/env python3
"""Checks that nothing is defined twice: no class and no function of one full name in two files of the product.

Two definitions of one name in one program are undefined behaviour that no linker reports (ODR), and two helpers that
do the same drift apart. Names in unnamed namespaces count, too, with their file's room. `-flto -Wodr` finds the former
alone and takes minutes. C++ is read by its braces, so it must be formatted by clang-format. `--self-test` shows that
each rule can fail.
"""
import re

import checker

TYPE = re.compile(r"^(?:template\b[^;{]*>\s*)?(?:class|struct|enum class|union) (?:alignas\([^)]*\) )?(\w+)(?![\w:])[^;()]*$")
FUNCTION = re.compile(r"^(?:template\b[^;{]*>\s*)?(?:inline |constexpr |static |\[\[\w+\]\] )*[\w:<>,&* ]+?[ &*]"
                      r"(\w+)(\([^{};]*\))(?: const| noexcept)*$")
OVERLOADED = {"main", "to_string"}  # one of each program; one for each type


def blanked(text):
    """The text without comments, literals and preprocessor lines."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|'
                         r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)
    return pattern.sub(" ", text)


def definitions(text):
    """Full names of the types and free functions that a file defines at namespace scope."""
    scopes, start = [], 0
    text = blanked(text)
    for found in re.finditer(r"[{};]", text):
        head = " ".join(text[start:found.start()].split())
        start = found.end()
        if found[0] == "}":
            if scopes:
                scopes.pop()
            continue
        if found[0] == ";" or any(scope is None for scope in scopes):
            if found[0] == "{":
                scopes.append(None)
            continue
        if head.startswith("namespace"):
            scopes.append(head[len("namespace"):].strip() or "(unnamed)")
            continue
        scopes.append(None)
        where = "::".join(scope for scope in scopes if scope)
        if type_found := TYPE.match(head):
            yield f"{where}::{type_found[1]}"
        elif (function := FUNCTION.match(head)) and function[1] not in OVERLOADED and "::" not in head.split("(")[0].split()[-1]:
            yield f"{where}::{function[1]}{' '.join(function[2].split())}"


def program_of(relative):
    """Programs that are never linked together may use a name for a thing of their own."""
    parts = relative.split("/")
    return "/".join(parts[:2]) if parts[0] in ("tools", "lab") else "product"


def findings(root):
    seen = {}
    for folder in checker.PRODUCT:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix not in (".h", ".cc"):
                continue
            relative = str(path.relative_to(root))
            for name in set(definitions(path.read_text())):
                key = (program_of(relative) if "(unnamed)" in name else "", name)
                if key in seen and seen[key] != relative:
                    yield f"{relative}: {name} is defined in {seen[key]}, too"
                seen.setdefault(key, relative)


def self_test():
    bad = {
        "common/a.h": "namespace jvpn {\nstruct Twice {\n  int a;\n};\ninline int helper(int x) {\n  return x;\n}\n}\n",
        "control/b.h": "namespace jvpn {\nstruct Twice {\n  long a;\n};\n}\n",
        "dataplane/c.h": "namespace jvpn {\ninline int helper(int x) {\n  return x;\n}\n}\n",
    }
    good = {
        "common/d.h": "namespace jvpn {\nstruct Other;\nint helper(long x);\nstruct Holder {\n  struct Twice {};\n};\n}\n",
        "control/e.h": "namespace jvpn::room {\nstruct Twice {};\ninline int helper(int x) {\n  return x;\n}\n}\n",
    }
    with checker.made_up({**bad, **good}) as root:
        found = list(findings(root))
    return [] if len(found) == 2 else [f"{len(found)} findings instead of 2: {found}"]


if __name__ == "__main__":
    checker.main("definitions", findings, self_test)
