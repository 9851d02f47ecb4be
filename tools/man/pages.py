#!/usr/bin/env python3
"""Man pages and bash completion of our programs, made of their own command trees.

usage: pages.py man|completion PROGRAM NOTES OUTPUT

PROGRAM is run with --command-tree (tools/shared/command_tree.h). NOTES has what a tree doesn't know, `## HEADING` and
paragraphs, or lines `WORD: text`, which become a list; it isn't read for completion.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

SECTION = 8


def tree_of(program: str) -> dict:
    said = subprocess.run([program, "--command-tree"], check=True, capture_output=True, text=True).stdout
    return json.loads(said)


def roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join("\\&" + line if line.startswith((".", "'")) else line for line in text.splitlines())


def sentence(text: str) -> str:
    if not re.match(r"\w+:", text):  # a word of the command line
        text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else text + "."


def is_flag(option: dict) -> bool:
    return not option["value"]


def positional(option: dict) -> bool:
    return not option["names"][0].startswith("-")


def value_name(option: dict) -> str:
    kind = option["type"].split(":", 1)[0]
    return {"": "VALUE", "UINT": "NUMBER", "INT": "NUMBER"}.get(kind, kind)


def choices(option: dict) -> list[str]:
    found = re.search(r"\{([^}]*)\}", option["type"])
    return found[1].split(",") if found else []


def own_options(tree: dict) -> list[dict]:
    return [each for each in tree["options"] if not positional(each)]


def synopsis(words: str, tree: dict) -> str:
    parts = [f".B {roff(words)}"]
    if own_options(tree):
        parts.append("[\\fIOPTIONS\\fR]")
    for each in tree["options"]:
        if positional(each):
            name = f"\\fI{roff(each['names'][0])}\\fR"
            parts.append(name if each["required"] else f"[{name}]")
    return "\n".join(parts)


def man_option(option: dict) -> str:
    names = ", ".join(f"\\fB{roff(name)}\\fR" for name in option["names"])
    if positional(option):
        names = f"\\fI{roff(option['names'][0])}\\fR"
    elif not is_flag(option):
        names += f" \\fI{roff(value_name(option))}\\fR"
    text = sentence(option["description"])
    if choices(option):
        text += f" One of {', '.join(choices(option))}."
    if option["default"] and not is_flag(option):
        text += f" Default: {option['default']}."
    return f".TP\n{names}\n{roff(text)}"


def man_command(words: str, tree: dict) -> list[str]:
    """The command and those below it."""
    if tree["commands"]:
        return [line for each in tree["commands"] for line in man_command(f"{words} {each['name']}", each)]
    lines = [f".SS {roff(words)}", synopsis(words, tree), ".PP", roff(sentence(tree["description"]))]
    return lines + [man_option(each) for each in tree["options"] if each["names"][0] != "-h"]


def man_notes(notes: str) -> list[str]:
    lines = []
    for line in notes.splitlines():
        listed = re.match(r"([\w./~-]+(?: [\w./-]+)?): (.*)", line)
        if line.startswith("## "):
            lines.append(f".SH {roff(line[3:])}")
        elif line.startswith(".BR "):
            lines.append(line)
        elif not line.strip():
            lines.append(".PP")
        elif listed:
            lines.append(f".TP\n\\fB{roff(listed[1])}\\fR\n{roff(listed[2])}")
        else:
            lines.append(roff(line))
    return lines


def man(tree: dict, notes: str) -> str:
    name = tree["name"]
    lines = [f'.TH {name.upper()} {SECTION} "" "Jumping VPN"', ".SH NAME",
             f"{roff(name)} \\- {roff(tree['description'].rstrip('.')[:1].lower() + tree['description'].rstrip('.')[1:])}",
             ".SH SYNOPSIS", synopsis(name, tree)]
    if tree["commands"]:
        lines += ["\\fICOMMAND\\fR", ".SH COMMANDS", *man_command(name, tree)]
    lines += [".SH OPTIONS", *(man_option(each) for each in tree["options"]), *man_notes(notes)]
    return "\n".join(lines) + "\n"


def completion_cases(words: str, tree: dict) -> list[str]:
    """One line of a bash `case` for each command: what may follow it, and of which options files or words."""
    follow = [name for each in own_options(tree) for name in each["names"]]
    follow += [each["name"] for each in tree["commands"]]
    follow += [word for each in tree["options"] if positional(each) for word in choices(each)]
    lines = [f'    "{words}") words="{" ".join(follow)}" ;;']
    for each in tree["commands"]:
        lines += completion_cases(f"{words} {each['name']}", each)
    return lines


def value_cases(trees: list[dict]) -> list[str]:
    """What follows an option that takes a value: one of its words, or a file."""
    lines, seen = [], set()
    for tree in trees:
        for option in own_options(tree):
            names = "|".join(option["names"])
            if is_flag(option) or names in seen:
                continue
            seen.add(names)
            answer = f'compgen -W "{" ".join(choices(option))}"' if choices(option) else "compgen -f"
            lines.append(f'    {names}) mapfile -t COMPREPLY < <({answer} -- "$current"); return ;;')
    return lines


def all_trees(tree: dict) -> list[dict]:
    return [tree, *(below for each in tree["commands"] for below in all_trees(each))]


def paths(words: str, tree: dict) -> list[str]:
    return [words, *(path for each in tree["commands"] for path in paths(f"{words} {each['name']}", each))]


def completion(tree: dict) -> str:
    name = tree["name"]
    function = "_" + name.replace("-", "_")
    root = " ".join(option for each in own_options(tree) for option in each["names"])
    known = "|".join(f'"{path}"' for path in paths(name, tree)[1:])
    descend = f'      case "$at $word" in {known}) at="$at $word" ;; esac' if known else "      :"
    names = ""
    if name == "jvpn":  # names of clients of this host, and of peers with a file beside the gateway's profile
        names = ('  if [[ $at == "jvpn up" || $at == "jvpn down" ]]; then\n'
                   '    local each\n'
                   '    for each in /etc/jvpn/*.yaml; do\n'
                   '      each=${each##*/}; each=${each%.yaml}\n'
                   '      [[ ! $each =~ ^[[:alnum:]._-]+$ || $each == jvpnd ]] || words+=" $each"\n'
                   '    done\n  fi\n'
                   '  if [[ $at =~ ^jvpn\\ peer\\ (remove|disable|enable|show)$ ]]; then\n'
                   '    local each profile=/etc/jvpn/jvpnd.yaml n\n'
                   '    for ((n = 1; n < COMP_CWORD; ++n)); do\n'
                   '      [[ ${COMP_WORDS[n]} != --profile ]] || profile=${COMP_WORDS[n + 1]}\n'
                   '    done\n'
                   '    [[ $profile == */* ]] || profile=./$profile\n'
                   '    for each in "${profile%/*}"/peers.d/"$current"*.yaml; do\n'
                   '      each=${each##*/}; each=${each%.yaml}\n'
                   '      [[ ! $each =~ ^[[:alnum:]._-]+$ ]] || words+=" $each"\n'
                   '    done\n  fi\n')
    return "\n".join([
        f"# bash completion of {name}, made of its command tree (tools/man/pages.py).",
        f"{function}() {{",
        '  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} at=' + f'"{name}" word words=""',
        '  case "$before" in', *value_cases(all_trees(tree)), "  esac",
        '  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do', descend, "  done",
        '  case "$at" in', *completion_cases(name, tree), "  esac",
        f'  [[ $at == "{name}" ]] || words+=" {root}"',
        names + '  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")',
        '  [[ ${#COMPREPLY[@]} -ne 0 ]] || mapfile -t COMPREPLY < <(compgen -f -- "$current")',
        "}",
        f"complete -o filenames -F {function} {name}",
    ]) + "\n"


def main() -> None:
    what, program, notes, output = sys.argv[1:]
    tree = tree_of(program)
    text = man(tree, Path(notes).read_text()) if what == "man" else completion(tree)
    Path(output).write_text(text)


if __name__ == "__main__":
    main()
