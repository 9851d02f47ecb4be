#!/usr/bin/env python3
"""Every command and option of our programs is in its man page and its completion, and every exit code of
tools/shared/exit_code.h in a page; bash completes by them, and no page has a warning of groff's.

usage: man_pages_test.py BUILD ROOT PROGRAM...
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BUILD, ROOT = Path(sys.argv[1]), Path(sys.argv[2])
sys.path.insert(0, str(ROOT / "tools/man"))

import pages  # noqa: E402

failures: list[str] = []


def expect(what: str, condition: object) -> None:
    if not condition:
        failures.append(what)


def plain(page: str) -> str:
    """The words of a page without its markup."""
    return re.sub(r"\\f[BIR]", "", page).replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")


def check_page(tree: dict, page: str) -> None:
    words = plain(page)
    for path, each in zip(pages.paths(tree["name"], tree), pages.all_trees(tree), strict=True):
        expect(f"{tree['name']}.8 lacks {path}", path in words)
        expect(f"{tree['name']}.8 lacks what {path} does",
               each["commands"] or pages.sentence(each["description"]).splitlines()[0] in words or each is tree)
        for option in each["options"]:
            for name in option["names"]:
                expect(f"{tree['name']}.8 lacks {path} {name}", re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", words))
    expect(f"{tree['name']}.8 gives a flag a value, or a value no name", "VALUE" not in words)
    if shutil.which("groff"):
        said = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8"], input=page, capture_output=True, text=True).stderr
        expect(f"{tree['name']}.8: groff says {said}", not said)


def completed(script: Path, *line: str) -> list[str]:
    """What bash offers for a command line whose last word has begun."""
    asked = f'source "{script}"; COMP_WORDS=({" ".join(map(repr, line))}); COMP_CWORD={len(line) - 1}; ' \
            f'{"_" + script.name.replace("-", "_")}; printf "%s\\n" "${{COMPREPLY[@]}}"'
    return subprocess.run(["bash", "-c", asked], check=True, capture_output=True, text=True).stdout.split()


def check_completion(tree: dict, script: Path) -> None:
    for path, each in zip(pages.paths(tree["name"], tree), pages.all_trees(tree), strict=True):
        below = [command["name"] for command in each["commands"]]
        options = [name for option in pages.own_options(each) for name in option["names"]]
        offered = completed(script, *path.split(), "")
        dashes = completed(script, *path.split(), "-")
        for word in below:
            expect(f"completion of {path} lacks {word}", word in offered)
        for option in options:
            expect(f"completion of {path} lacks {option}", option in dashes)
        for option in pages.own_options(each):
            if pages.choices(option):
                expect(f"completion of {path} {option['names'][0]} lacks its words",
                       completed(script, *path.split(), option["names"][0], "") == pages.choices(option))


def check_peers(script: Path) -> None:
    """Peers are named by their files; nothing in a file's name is carried out (compgen expands words)."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "peers.d").mkdir()
        for name in ("laptop", "lab-2", "phone", "$(touch made)", "l a", "l*"):
            (Path(folder) / "peers.d" / f"{name}.yaml").touch()
        for order in ("remove", "disable", "enable", "show"):
            words = ("jvpn", "peer", order, "--profile", f"{folder}/jvpnd.yaml")
            expect(f"peers of {order}", completed(script, *words, "la") == ["lab-2", "laptop"])
            expect(f"all peers of {order}", {"lab-2", "laptop", "phone"} <= set(completed(script, *words, "")))
        expect("a file's name was carried out", not Path("made").exists())
        expect("peers of list", "laptop" not in completed(script, "jvpn", "peer", "list", "--profile", f"{folder}/jvpnd.yaml", "la"))


def main() -> None:
    all_pages = ""
    for program in sys.argv[3:]:
        tree = pages.tree_of(program)
        page = (BUILD / f"{tree['name']}.8").read_text()
        all_pages += plain(page)
        check_page(tree, page)
        check_completion(tree, BUILD / "completions" / tree["name"])
    check_peers(BUILD / "completions" / "jvpn")
    for name, code in re.findall(r"(k\w+) = (\d+)", (ROOT / "tools/shared/exit_code.h").read_text()):
        expect(f"no page has exit code {code} ({name})", re.search(rf"^{code}$", all_pages, re.M))
    print(*failures, f"{len(failures)} failures", sep="\n")
    sys.exit(1 if failures else 0)


main()
