#!/usr/bin/env python3
"""Checks sizes: lines of a file, lines of a function, methods of a class.

Files of the product, the lab and the harness (PRODUCT) have at most 400 lines, functions 60 lines, classes 40 methods;
files of the tests have at most 500 lines. What is larger for a reason stands in LONG_FILES, LONG_FUNCTIONS or
LARGE_CLASSES with that reason; an entry that nothing needs is a finding, too. C++ is read by its braces, so it must
be formatted by clang-format. `--self-test` shows that each rule can fail.
"""
import ast
import re

import checker

SUFFIXES = (".h", ".cc", ".py")
MAX_FILE_LINES = 400
MAX_TEST_LINES = 500
MAX_FUNCTION_LINES = 60
MAX_METHODS = 40
# Path -> reason. For tables and facts of the wire, which a second file would only tear apart.
LONG_FILES = {}
# "path:name" -> reason.
LONG_FUNCTIONS = {}
LARGE_CLASSES = {}

TYPE = re.compile(r"^(?:template\b.*>\s*)?(?:typedef\s+)?(class|struct|union|enum)\b")
NAME_OF_TYPE = re.compile(r"\b(?:class|struct)\s+(?:alignas\([^)]*\)\s+|\[\[[^\]]*\]\]\s+)*(\w+)")
CONTROL = re.compile(r"^(?:if|for|while|switch|do|else|try|catch|return)\b")


def blanked(text):
    """The text without comments, literals and preprocessor lines; every line stays where it is."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])\'|'
                         r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.S | re.M)
    return pattern.sub(lambda found: "\n" * found[0].count("\n") or " ", text)


class Scope:
    def __init__(self, kind, name, line):
        self.kind, self.name, self.line, self.methods = kind, name, line, set()


def kind_of(head):
    """What a brace opens, by the text since the last ; { or }: namespace, type, function or anything else."""
    head = re.sub(r"^(?:(?:public|private|protected):\s*)+", "", " ".join(head.split()))
    bare = re.sub(r"\[\[.*?\]\]", "", re.sub(r"^template\s*<.*?>\s*(?=class|struct|union|\w)", "", head)).strip()
    if bare.startswith(("namespace", "extern", "inline namespace")):
        return "namespace", ""
    if TYPE.match(bare):
        found = NAME_OF_TYPE.search(head)
        return ("enum" if bare.startswith("enum") else "type"), found[1] if found else "?"
    called = re.search(r"([~\w]+(?:::[~\w]+)*|operator\s*\S+?)\s*\(", bare)
    if called and not CONTROL.match(bare) and not re.search(r"=\s*$|=[^=]*\($", bare[:called.start() + 1]):
        return "function", called[1]
    return "other", ""


def declared_methods(statement):
    """The name that a statement of a class body declares, when it is a function."""
    text = " ".join(statement.split())
    text = re.sub(r"^(?:(?:public|private|protected):\s*)+", "", text)
    if not text or text.startswith(("using", "friend", "typedef", "static_assert")):
        return None
    text = re.sub(r"alignas\([^)]*\)|\[\[.*?\]\]|decltype\([^)]*\)", "", text)
    while re.search(r"<[^<>()]*(?:\([^()]*\))?[^<>()]*>", text):  # std::function<void(int)>
        text = re.sub(r"<[^<>()]*(?:\([^()]*\))?[^<>()]*>", "", text)
    found = re.match(r"[^=({]*?(~?\w+|operator\s*[^\s(]+(?:\(\))?)\s*\(", text)
    return found[1] if found else None


def scan(text):
    """Yields (kind, name, first line, lines or methods) of every function and class."""
    scopes, head, line, head_line, before = [], "", 1, 1, " "
    for char in blanked(text):
        previous, before = before, char
        if char == "\n":
            line += 1
        if not head.strip() and not char.isspace():
            head_line = line
        inside = scopes[-1] if scopes else None
        if char == "{" and not previous.isspace():  # x_{1}: an initialiser, no block
            scopes.append(Scope("initialiser", "", line))
        elif char == "}" and inside and inside.kind == "initialiser":
            scopes.pop()
        elif inside and inside.kind == "initialiser":
            continue
        elif char == "{":
            kind, name = kind_of(head)
            if inside and inside.kind in ("function", "other"):
                kind = "type" if kind == "type" else "other"
            if kind == "function" and inside and inside.kind == "type":
                inside.methods.add((name, head_line))
            scopes.append(Scope(kind, name, head_line))
            head = ""
        elif char == "}":
            if not scopes:
                return
            done = scopes.pop()
            if done.kind == "function":
                yield "function", done.name, done.line, line - done.line + 1
            elif done.kind == "type":
                yield "class", done.name, done.line, len(done.methods)
            head = ""
        elif char == ";":
            if inside and inside.kind == "type":
                name = declared_methods(head)
                if name:
                    inside.methods.add((name, head_line))
            head = ""
        else:
            head += char


def scan_python(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield "function", node.name, node.lineno, node.end_lineno - node.lineno + 1
        elif isinstance(node, ast.ClassDef):
            methods = sum(isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) for each in node.body)
            yield "class", node.name, node.lineno, methods


def measured_files(root):
    for folder in (*checker.PRODUCT, "tests"):
        for path in sorted((root / folder).rglob("*")):
            relative = str(path.relative_to(root))
            if path.suffix in SUFFIXES:
                yield relative, path.read_text()


def violations(relative, text):
    """Yields (which exception would excuse it, finding)."""
    lines = text.count("\n")
    of_tests = relative.startswith("tests/")
    most_lines = MAX_TEST_LINES if of_tests else MAX_FILE_LINES
    if lines > most_lines:
        yield ("file", relative), f"{relative}: {lines} lines, more than {most_lines}"
    if of_tests:
        return
    for kind, name, line, size in (scan_python if relative.endswith(".py") else scan)(text):
        most, what = (MAX_FUNCTION_LINES, "lines") if kind == "function" else (MAX_METHODS, "methods")
        if size > most:
            yield (kind, f"{relative}:{name}"), f"{relative}:{line}: {kind} {name} has {size} {what}, more than {most}"


def findings(root):
    excused = {("file", each) for each in LONG_FILES} | {("function", each) for each in LONG_FUNCTIONS}
    excused |= {("class", each) for each in LARGE_CLASSES}
    needed = set()
    for relative, text in measured_files(root):
        for excuse, finding in violations(relative, text):
            needed.add(excuse)
            if excuse not in excused:
                yield finding
    for _, name in sorted(excused - needed):
        yield f"{name}: an exception that nothing needs"


def self_test():
    body = "".join(f"  x({i});\n" for i in range(70))
    methods = "".join(f"  int get_{i}() const {{ return {i}; }}\n" for i in range(21))
    declared = "".join(f"  void do_{i}(std::function<void(int)> f = {{}});\n  int field_{i}_ = f({i});\n"
                       for i in range(20))
    bad = {
        "common/long.h": "// a line\n" * 401,
        "dataplane/long.cc": "namespace a {\nint f() {\n" + body + "}\n}\n",
        "control/gateway/constructor.cc": "A::A(int x)\n    : x_{x} {\n" + body + "}\n",
        "tools/many.h": "class alignas(64) Many final : public B {\n public:\n" + methods + declared + "};\n",
        "tests/unit/long_test.cc": "// a line\n" * 501,
        "lab/long.py": "def f():\n" + "    pass\n" * 70,
    }
    good = {
        "common/table.h": "constexpr int kTable[] = {\n" + "    1,\n" * 70 + "};\n",
        "common/few.h": "class Few {\n" + methods + "  int field_ = 0;\n" * 30 + "};\n",
        "dataplane/two.cc": "void a() {\n" + body[:300] + "}\nvoid b() {\n  const char* x = \"{{{\";  // {\n}\n",
        "tests/long.cc": "// a line\n" * 500,
    }
    with checker.made_up({**bad, **good}) as root:
        found = [each for each in findings(root) if "nothing needs" not in each]
    return checker.missed(found, bad) + [each for each in found if not any(path in each for path in bad)]


if __name__ == "__main__":
    checker.main("sizes", findings, self_test)
