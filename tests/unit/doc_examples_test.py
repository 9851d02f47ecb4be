#!/usr/bin/python3
"""What documents show holds: every example of a profile is sound in a full profile, and every command line in a block names
a program, a command and options that exist. Those that need neither root nor hardware nor a running program are run.

usage: doc_examples_test.py ROOT JVPN JVPND JVPN-CLIENT

A block of ```yaml whose first line is `# gateway` or `# client` is laid over tools/profiles/nic-server.yaml or client.yaml,
and `jvpn check` has to call it sound. In other blocks and in ```sh, a line that begins with a program or with tools/, perhaps
behind `# ` or `$ `, is a command. In docs/TROUBLESHOOTING.md each message of a table stands in the code, piece by piece between
its `…`; in docs/EVENTS.md each drop has its advice.
"""
import functools
import json
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent))
import tap_runner  # noqa: E402

ROOT, JVPN, PROGRAMS = Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[2:]
sys.path.insert(0, str(ROOT / "tests/layout"))
import check_documented  # noqa: E402
import check_tried  # noqa: E402

FULL = {"gateway": "nic-server.yaml", "client": "client.yaml"}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
# What changes nothing and asks nobody.
HARMLESS = re.compile(r"jvpn (?:genkey|genpsk|check --schema \w+|metrics --list)|[\w-]+ (?:--help|--version)|tools/\w+ --help")
# Before the program, in a block.
BEFORE = r"(?:[#$] )?(?:ip netns exec \S+ )?"


def documents() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def over(full: object, part: object) -> object:
    """The part laid over the full profile: its keys win, lists are replaced."""
    if isinstance(full, dict) and isinstance(part, dict):
        return full | {key: over(full.get(key), value) for key, value in part.items()}
    return part


def sound(part: str) -> str | None:
    """What `jvpn check` says against it in a full profile; None: nothing."""
    role = part.split("\n", 1)[0].removeprefix("# ")
    profile = over(yaml.safe_load((ROOT / "tools/profiles" / FULL[role]).read_text()), yaml.safe_load(part))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for key in ("keys/gw1.key", "laptop.key"):
            (folder / key).parent.mkdir(exist_ok=True)
            (folder / key).write_text(subprocess.run([JVPN, "genkey"], check=True, capture_output=True, text=True).stdout)
            (folder / key).chmod(0o600)
        profile["admin"] = {"socket": str(folder / "socket")}
        (folder / "profile.yaml").write_text(yaml.safe_dump(profile))
        checked = subprocess.run([JVPN, "check", folder / "profile.yaml"], capture_output=True, text=True)
    return None if checked.returncode == 0 else checked.stderr


def examples() -> list[tuple[str, str]]:
    """(document and number, text) of each example of a profile."""
    return [(f"{path.name} {number}", text) for path in documents()
            for number, (kind, text) in enumerate(BLOCK.findall(path.read_text()), 1)
            if kind == "yaml" and text.split("\n", 1)[0] in ("# gateway", "# client")]


def commands() -> list[tuple[str, str]]:
    """(document, command line) of each line of a block that is one."""
    found = []
    for path in documents():
        for kind, text in BLOCK.findall(path.read_text()):
            if kind not in ("", "sh", "bash"):
                continue
            for line in text.splitlines():
                command = re.match(BEFORE + r"((?:build/tools/)?(?:jvpn|jvpnd|jvpn-client|tools/[a-z]+)(?: .*)?)$", line)
                if command:
                    found.append((path.name, command[1].removeprefix("build/")))
    return found


def words_of(command: str) -> list[str]:
    """The words of the first command of a line, without redirections and comments."""
    first = re.split(r"\s(?:#|[|<>&;]|2>)", command)[0]
    try:
        return shlex.split(first)
    except ValueError:
        return first.split()


def wrong_option(words: list[str]) -> str | None:
    """Of a script in tools/: which of its options, or which command, its help doesn't have."""
    asked = [str(ROOT / words[0])]
    if not Path(asked[0]).exists():
        return f"there is no {words[0]}"
    if words[0] in ("tools/lab", "tools/quickstart"):
        commands_too = [words[1]] if words[0] == "tools/lab" and len(words) > 1 and not words[1].startswith("-") else []
        told = subprocess.run([*asked, *commands_too, "--help"], capture_output=True, text=True)
        if told.returncode != 0:
            return told.stderr
        help_text = told.stdout
    else:
        help_text = Path(asked[0]).read_text()
    return next((f"no option {word}" for word in words[1:] if word.startswith("--") and word not in help_text), None)


@functools.cache
def code() -> str:
    """All words that our programs print: the C++ sources, with literals that follow each other made one."""
    files = [path for room in ("common", "control", "dataplane", "tools") for path in (ROOT / room).rglob("*.[ch]*")]
    return re.sub(r'"\s*"', "", "".join(path.read_text() for path in files if path.suffix in (".cc", ".h")))


def messages() -> list[str]:
    """The first cells of the tables of docs/TROUBLESHOOTING.md that are headed `message`."""
    found = []
    for _, row in check_tried.table_rows((ROOT / "docs/TROUBLESHOOTING.md").read_text()):
        cell = row.get("message", "")
        found += [] if cell.startswith("none") else re.findall(r"`([^`]+)`", cell)
    return found


def unprinted(message: str) -> list[str]:
    """Pieces of a message that no program prints."""
    return [piece for piece in re.split(r" ?… ?", message) if len(piece) > 3 and piece.strip(" ,;:)") not in code()]


class Examples(unittest.TestCase):
    def setUp(self) -> None:
        self.trees = {}
        for program in PROGRAMS:
            told = subprocess.run([program, "--command-tree"], check=True, capture_output=True).stdout
            tree = json.loads(told)
            self.trees[tree["name"]] = tree

    def wrong(self, command: str) -> list[str]:
        words = words_of(command)
        if words[0].startswith("tools/") and words[0].split("/")[1] not in self.trees:
            return [why for why in [wrong_option(words)] if why]
        words[0] = words[0].removeprefix("tools/")
        return list(check_documented.check_line(self.trees, words))

    def test_profiles_are_sound(self) -> None:
        self.assertGreater(len(examples()), 4)
        for where, text in examples():
            with self.subTest(where):
                self.assertIsNone(sound(text))

    def test_a_bad_example_is_found(self) -> None:
        self.assertIn("no_such_key", sound("# client\npolicy: {version: 2, session: {no_such_key: 1}}\n") or "")
        self.assertIn("heartbeat", sound("# gateway\npolicy: {version: 2, volatility: {heartbeat_interval_ms: 2000}}\n") or "")

    def test_commands_exist(self) -> None:
        self.assertGreater(len(commands()), 30)
        for where, command in commands():
            with self.subTest(f"{where}: {command}"):
                self.assertEqual([], self.wrong(command))

    def test_bad_commands_are_found(self) -> None:
        for command in ("jvpn shwo", "jvpn events --folow", "jvpnd --chek x.yaml", "jvpn-client --improt x",
                        "tools/nothing", "tools/lab cat wan0", "tools/quickstart --keeep", "jvpn --socket /x shwo"):
            with self.subTest(command):
                self.assertNotEqual([], self.wrong(command))

    def test_messages_are_the_programs(self) -> None:
        self.assertGreater(len(messages()), 25)
        for message in messages():
            with self.subTest(message):
                self.assertEqual([], unprinted(message))
        self.assertEqual(["nothing ever says this"], unprinted("no answer from … nothing ever says this"))

    def test_every_drop_has_advice(self) -> None:
        drops = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs/EVENTS.md").read_text().split("## Drops")[1],
                           re.M)
        self.assertGreater(len(drops), 40)
        self.assertEqual([], [drop for drop, means, advice in drops if not means.strip() or not advice.strip()])

    def test_harmless_commands_run(self) -> None:
        paths = {Path(program).name: program for program in PROGRAMS}
        lines = {command for _, command in commands() if HARMLESS.fullmatch(" ".join(words_of(command)))}
        for command in sorted(lines | {"jvpn --version", "jvpn check --schema client", "tools/lab --help"}):
            words = words_of(command)
            program = paths.get(words[0]) or str(ROOT / words[0])
            with self.subTest(command):
                ran = subprocess.run([program, *words[1:]], capture_output=True, text=True, timeout=60)
                self.assertEqual(0, ran.returncode, ran.stderr)


del sys.argv[1:]
tap_runner.main()
