#!/usr/bin/env python3
"""Shows that the simulation finds bugs: plants each of BUGS in a copy of the sources, builds the simulation there, and
runs seeds until one fails. Prints which seed found which bug, and by what. Fails when a bug isn't found, when its text
isn't in the sources any more, or when the sources as they are don't pass.

usage: planted_bugs.py BUILD_DIRECTORY [--seeds N] [--only NAME]
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
LIMIT_S = 900  # for each bug
CLUSTER = "control/cluster/"

# Name -> [(file, text, what takes its place)].
BUGS = {
    "a write doesn't compare the record's revision": [
        (CLUSTER + "session_writer.cc", "  txn.compares.push_back({key, job.at});\n", "")],
    "the safe time counts from the answer": [
        (CLUSTER + "membership.cc", "std::max(safe_until_, awaited.at + options_.safe)",
         "std::max(safe_until_, now.boot + options_.safe)")],
    "others wait for less than the safe time": [
        (CLUSTER + "membership.cc", "now.boot - other.changed > safe + safe_margin(safe)",
         "now.boot - other.changed > safe - safe_margin(safe)")],
    "writes don't compare the epoch": [
        (CLUSTER + "session_writer.cc",
         "  txn.compares.push_back({epoch, static_cast<Revision>(membership_.epoch())});\n"
         "  txn.otherwise.push_back(Op::get(epoch));\n",
         "  txn.otherwise.push_back(Op::get(epoch));\n")],
    "a resumed session goes on within its block of versions": [
        ("control/protocol/resumer.cc", "  record.version = found.ceiling;\n",
         "  record.version = StateVersion{found.ceiling.value - kVersionBlock + 1};\n")],
    "an ended session is taken for a living one": [
        (CLUSTER + "session_decisions.cc",
         "  if (there.ended) return answer(now, number, Answer::kLost);\n", ""),
        ("control/protocol/resumer.cc", "if (found.ended || expired(", "if (expired("),
        ("control/protocol/resumer.cc",
         "if (context_.table.remembers(claimed) || context_.store.is_ending(claimed))", "if (false)")],
    "any other epoch is taken for a later one": [
        (CLUSTER + "membership.cc", "static_cast<uint64_t>(at->second.epoch_at) > epoch;",
         "static_cast<uint64_t>(at->second.epoch_at) != epoch;")],
    "an owner hands over and goes on": [
        ("control/engine/engine_exit.cc",
         "if (here) parts.lifecycle.park(now, peer, Detail::kHandedOver, wanted.epoch);",
         "if (here && wanted.epoch == 0) parts.lifecycle.park(now, peer, Detail::kHandedOver);")],
    "an end is told before it is kept": [
        ("control/protocol/resumer.cc",
         "  if (reply.answer != OwnershipAnswer::kCommitted) return true;\n", "")],
}


def planted(tree, changes):
    """Plants the changes; returns the files as they were."""
    before = {}
    for path, text, other in changes:
        full = os.path.join(tree, path)
        with open(full, encoding="utf-8") as file:
            content = file.read()
        before.setdefault(full, content)
        if content.count(text) != 1:
            sys.exit(f"planted_bugs: expected once in {path}, found {content.count(text)} times:\n{text}")
        with open(full, "w", encoding="utf-8") as file:
            file.write(content.replace(text, other))
    return before


def build(tree):
    done = subprocess.run(["ninja", "-C", os.path.join(tree, "build"), "tests/simulation"], capture_output=True,
                          text=True, timeout=LIMIT_S, check=False)
    if done.returncode != 0:
        sys.exit("planted_bugs: it doesn't compile:\n" + done.stdout[-4000:])


def copied(directory):
    """A copy of the sources, set up; what is compiled already stays."""
    tree = os.path.join(os.path.abspath(directory), "sources")
    files = subprocess.run(["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                           capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, files):
        there, here = os.path.join(tree, name), os.path.join(ROOT, name)
        if not os.path.isfile(here):
            continue
        os.makedirs(os.path.dirname(there), exist_ok=True)
        with open(here, "rb") as file:
            content = file.read()
        same = os.path.isfile(there) and open(there, "rb").read() == content
        if not same:
            shutil.copy(here, there)
    if not os.path.isdir(os.path.join(tree, "build")):
        subprocess.run(["meson", "setup", "-Dunity=on", "-Dunity_size=40", "-Dtests=true", "-Dperf=false", "-Dwerror=false",
                        "build"],
                       cwd=tree, check=True, stdout=subprocess.DEVNULL, timeout=LIMIT_S)
    return tree


def found_by(tree, seeds):
    """The seed that fails and why; None when none does."""
    done = subprocess.run([os.path.join(tree, "build", "tests", "simulation"), "--seeds", str(seeds)],
                          capture_output=True, text=True, timeout=LIMIT_S, check=False, errors="replace")
    if done.returncode == 0:
        return None
    last = re.findall(r"^JVPN_SEED=(\d+): (.*)$", done.stdout, re.M)
    return last[-1] if last else ("?", f"status {done.returncode}: {done.stderr[-200:]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--seeds", type=int, default=3000)
    parser.add_argument("--only", help="a part of the bug's name")
    options = parser.parse_args()
    tree = copied(options.directory)
    build(tree)
    sound = found_by(tree, min(options.seeds, 200))
    if sound:
        sys.exit(f"planted_bugs: without any bug seed {sound[0]} fails: {sound[1]}")
    missed = 0
    for name, changes in BUGS.items():
        if options.only and options.only not in name:
            continue
        before = planted(tree, changes)
        try:
            build(tree)
            found = found_by(tree, options.seeds)
        finally:
            for path, content in before.items():
                with open(path, "w", encoding="utf-8") as file:
                    file.write(content)
        missed += found is None
        what = f"seed {found[0]}: {found[1]}" if found else f"not found by {options.seeds} seeds"
        print(f"{name:55}  {what}", flush=True)
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
