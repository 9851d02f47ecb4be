#!/usr/bin/env python3
"""No command of any program, given any file of a keys folder in the place of any file that it reads, prints 8 characters
of a key. Usage: no_key_shown_test.py PROGRAM...

The commands of `jvpn` are taken from its help: one that is missing from the table below fails the test.
"""
import itertools
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KEY = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo="
HEX = "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"
PEM = "MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq"
SECRETS = (KEY, HEX, PEM)
# What may lie in a folder of keys. The latter are profiles with a key in a wrong place.
FILES = [KEY + "\n", KEY, KEY + "\r\n", f"key: {KEY}\n", f"{KEY}: key\n", f"- {KEY}\n", f"role: {KEY}\n",
         f"role: [{KEY}]\n", f"{KEY}: 1\n{KEY}: 2\n", f"[Interface]\nPrivateKey = {KEY}\n", f'{{"key": "{KEY}"}}\n',
         f'"{KEY}"\n', f"*{KEY}\n", f"&{KEY} x\n", f"!{KEY} x\n", f"%TAG {KEY}\n", f"a: *{KEY}\n", f"{KEY}\n---\n{KEY}\n",
         f"{HEX}\n", f"key: {HEX}\n", f"role: {HEX}\n", f"{HEX}: x\n",
         f"-----BEGIN PRIVATE KEY-----\n{PEM}\n-----END PRIVATE KEY-----\n", f'{{"event": "{KEY}", "node_id": "{KEY}"}}\n',
         *(f"role: {role}\n{line}\n" for role, line in itertools.product(("gateway", "client"), (
             f"{KEY}: x", f"node: {KEY}", f"node: {KEY} # x", f"crypto: {KEY}", f"crypto: {{private_key_file: {KEY}}}",
             f"policy: {{version: {KEY}}}", f"policy: {{{KEY}: 1}}", f"admin: {{socket: {{{KEY}: 1}}}}",
             f"peers: [{{public_key: {KEY[:-1]}}}]", f"events: {{sinks: [{{kind: {KEY}}}]}}")))]
SOCKET = ["--socket", "FILE"]
# Of each program, what follows its name; FILE is the file, and `<` gives it to standard input.
JVPN = {"genkey": [[]], "genpsk": [[]], "pubkey": [["<"]], "show": [[]], "watch": [["--count", "1"]], "events": [[]],
        "jump": [["--underlay", "wan0"]], "reload": [[]], "sync": [[]], "save": [[]],
        "peer": [["list", "--profile", "FILE"], ["show", "x", "--profile", "FILE"], ["add", "x", "--profile", "FILE"],
                 ["add", "x", "--public-key", KEY[:-1], "--profile", "FILE"], ["remove", "x", "--profile", "FILE"]],
        "terminate": [["--peer", "x"]], "drain": [[]], "drops": [[], ["--explain"]], "health": [[]], "trace": [["--session", "x"]],
        "routes": [[], ["--follow"]], "metrics": [["--once"], ["--list"], ["--listen", "no address"]],
        "audit": [["FILE"], ["--partial", "FILE"], ["--quiet", "FILE"], ["-", "<"]], "check": [["FILE"]],
        "doctor": [["FILE"]], "setup": [["FILE", "--script"]], "up": [["FILE"]], "down": [["FILE"]]}
FALLBACK = ["--listen", "127.0.0.1:1", "--gateway", "127.0.0.1:2"]
OTHERS = {"jvpnd": [["FILE"], ["--check", "FILE"]], "jvpn-client": [["FILE"], ["--import", "FILE", "--config-dir", "/proc/none"]], "jvpn-perf": [["report", "FILE"]],
          "jvpn-fallback": [[*FALLBACK, "--certificate", "FILE", "--key", "/dev/null"],
                            [*FALLBACK, "--certificate", "/dev/null", "--key", "FILE"]]}


def pieces(secret: str) -> set[str]:
    return {secret[i:i + 8] for i in range(len(secret) - 7)}


def commands(program: str) -> list[list[str]]:
    name = Path(program).name
    if name != "jvpn":
        return OTHERS[name]
    help_text = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^  ([a-z]+) ", help_text.partition("Subcommands:")[2], re.M)
    if sorted(listed) != sorted(JVPN):
        sys.exit(f"jvpn has the commands {listed}: say in JVPN what files they read")
    return [[*options, command, *rest] for command, forms in JVPN.items() for rest in forms
            for options in ([], [*SOCKET, "--json"])]


def leaks_of(content: str, table: dict[str, list[list[str]]]) -> list[str]:
    """One entry for each run over that file: what it said if a key is in it, else nothing."""
    secrets = {piece for secret in SECRETS if secret[:20] in content for piece in pieces(secret)}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "some.file"
        file.touch(mode=0o600)
        file.write_text(content)
        for program, forms in table.items():
            for words in forms:
                command = [program, *(str(file) if word == "FILE" else word for word in words if word != "<")]
                done = subprocess.run(command, input=content if "<" in words else "", capture_output=True, text=True,
                                      timeout=20)
                said = done.stdout + done.stderr
                shown = any(piece in said for piece in secrets)
                found.append(f"{' '.join(command)} on {content!r} says:\n{said}" if shown else "")
    return found


def main() -> int:
    table = {program: commands(program) for program in sys.argv[1:]}
    with ThreadPoolExecutor() as pool:
        runs = [said for found in pool.map(lambda content: leaks_of(content, table), FILES) for said in found]
    leaks = [said for said in runs if said]
    print(*leaks, f"{len(runs)} runs, {len(leaks)} of them show a key", sep="\n")
    return 1 if leaks or not runs else 0


sys.exit(main())
