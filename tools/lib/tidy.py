#!/usr/bin/env python3
"""Runs clang-tidy over the product's sources, on all cores, and remembers what was clean.

It looks at the files that the build compiles, most of them a dozen sources at a time, which takes a tenth of
the time; the path-sensitive checks (clang-analyzer-*) then see little: run clang-tidy on one source for them.

A file is clean under a hash of everything that decides: its command line, its own text and that of every
header it was built with (from ninja's dependency log), .clang-tidy and clang-tidy's version. So a second
run only looks at what changed. Only clean results are kept, in the user's cache folder.

usage: tidy.py BUILD SECONDS     Prints "PASSED FAILED" last; files not reached in SECONDS count as failed.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

FOLDERS = ("common", "dataplane", "control", "tools", "lab")
SOURCES = r"^(.*/)?(common|dataplane|control|tools|lab|perf|tests)/.*\.(h|cc)$"
ROOT = pathlib.Path(__file__).resolve().parents[2]
KEPT_DAYS = 30


def cache_folder(build):
    home = os.environ.get("XDG_CACHE_HOME") or (
        os.path.join(os.environ["HOME"], ".cache") if os.environ.get("HOME") else build)
    folder = pathlib.Path(home) / "jvpn-tidy"
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if time.time() - entry.stat().st_mtime > KEPT_DAYS * 86400:
            entry.unlink(missing_ok=True)
    return folder


def sources(build):
    """The entries of the compilation database to look at, one for each file."""
    entries = {}
    with open(os.path.join(build, "compile_commands.json")) as file:
        for entry in json.load(file):
            path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
            relative = os.path.relpath(path, build if path.startswith(build + os.sep) else ROOT)
            if relative.split(os.sep)[0] in FOLDERS:
                entries.setdefault(relative, entry)
    return sorted(entries.items())


def dependencies(build):
    """object → the files it was built from, as ninja's log has it."""
    result, current = {}, None
    text = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True).stdout
    for line in text.splitlines():
        if line.startswith("    "):
            result[current].append(line.strip())
        elif match := re.match(r"(.+): #deps \d+,.*\((VALID|STALE)\)", line):
            current = match[1]
            result[current] = []
    return result


class Digests:
    """SHA-256 of files, each read once."""

    def __init__(self):
        self.known = {}

    def of(self, path):
        if path not in self.known:
            try:
                self.known[path] = hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
            except OSError:
                self.known[path] = "missing"
        return self.known[path]


class Tidy:
    def __init__(self, build, seconds):
        self.build = build
        self.deadline = time.monotonic() + seconds
        self.cache = cache_folder(build)
        self.dependencies = dependencies(build)
        self.digests = Digests()
        self.printing = threading.Lock()
        version = subprocess.run(["clang-tidy", "--version"], capture_output=True, text=True).stdout
        # The version alone: the text also names the host's CPU.
        self.base = (re.findall(r"version \S+", version), self.digests.of(ROOT / ".clang-tidy"))

    def key(self, relative, entry):
        files = self.dependencies.get(entry["output"])
        if not files:
            return None  # never built: nothing tells what it depends on
        parts = [self.base, relative, entry["command"]]
        parts += [(name, self.digests.of(os.path.join(self.build, name))) for name in sorted(files)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def check(self, relative, entry):
        """True: clean; False: findings, printed; None: no time."""
        key = self.key(relative, entry)
        if key and (self.cache / key).exists():
            os.utime(self.cache / key)
            return True
        left = self.deadline - time.monotonic()
        if left <= 0:
            return None
        try:
            run = subprocess.run(
                ["clang-tidy", "-p", self.build, "--quiet", f"--config-file={ROOT}/.clang-tidy",
                 "--checks=-bugprone-suspicious-include", f"--header-filter={SOURCES}",
                 "--extra-arg=-Wno-unknown-warning-option",
                 os.path.join(entry["directory"], entry["file"])],
                capture_output=True, text=True, timeout=left, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            return None
        if run.returncode == 0:
            if key:
                (self.cache / key).touch()
            return True
        with self.printing:
            print(f"--- {relative}\n{run.stdout.strip()}\n{run.stderr.strip()[-2000:]}", flush=True)
        return False


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tidy = Tidy(os.path.abspath(sys.argv[1]), float(sys.argv[2]))
    todo = sources(tidy.build)
    counts = {True: 0, False: 0, None: 0}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, verdict in enumerate(pool.map(lambda item: tidy.check(*item), todo), 1):
            counts[verdict] += 1
            if done % 10 == 0:
                print(f"{done} of {len(todo)} files", flush=True)
    if counts[None]:
        print(f"{counts[None]} files not reached in time", flush=True)
    print(counts[True], counts[False] + counts[None])
    sys.exit(1 if counts[False] or counts[None] else 0)


if __name__ == "__main__":
    main()
