#!/usr/bin/env python3
"""Runs clang-tidy over the product's sources, on all cores, and remembers what was clean.

It looks at the files that the build compiles, most of them many sources at a time, which takes a tenth of
the time; smaller ones that are compiled alike, such as the engine's parts, are joined up to that size. The
path-sensitive checks (clang-analyzer-*) then see little: run clang-tidy on one source for them.

A file is clean under a hash of everything that decides: its command line, its own text and that of every
header it was built with (from ninja's dependency log), .clang-tidy and clang-tidy's version. So a second
run only looks at what changed. Only clean results are kept, in the user's cache folder.

usage: tidy.py BUILD SECONDS     Prints "PASSED FAILED SKIPPED" last: SKIPPED weren't reached in SECONDS.
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import threading
import time

FOLDERS = ("common", "dataplane", "control", "tools", "lab")
SOURCES = r"^(.*/)?(common|dataplane|control|tools|lab|perf|tests)/.*([^b]|[^p]b)\.(h|cc)$"  # not X.pb.h, which is generated
ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_SOURCES = 40  # of a chunk: meson's unity_size in tools/check
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


class Chunk:
    """What clang-tidy looks at in one go: one file that the build compiles, or several that it compiles alike."""

    def __init__(self, name, entry, sources):
        self.name, self.entries, self.sources = name, [entry], sources

    def arguments(self):
        """Of the compiler, without what names the file and its object."""
        words = shlex.split(self.entries[0]["command"])
        kept, skip = [], 0
        for word in words[words.index("c++") + 1:]:
            if skip:
                skip -= 1
            elif word in ("-o", "-c", "-MQ", "-MF"):
                skip = 1
            elif word != "-MD" and not re.match(r"-I\S+\.p$", word):
                kept.append(word)
        return kept

    def command(self, build):
        """What follows `clang-tidy OPTION…`."""
        files = [os.path.join(entry["directory"], entry["file"]) for entry in self.entries]
        if len(files) == 1:
            return ["-p", build, files[0]]
        joined = pathlib.Path(build, "tidy", self.name + ".cpp")
        joined.parent.mkdir(parents=True, exist_ok=True)
        joined.write_text("".join(f'#include "{file}"\n' for file in files))
        return [str(joined), "--", *self.arguments()]


def includes(build, path):
    with open(os.path.join(build, path)) as file:
        return sum(line.startswith("#include") for line in file)


def chunks(build):
    """Of the files in the compilation database, each once; small ones of one folder are joined."""
    result, seen, open_chunks = [], set(), {}
    with open(os.path.join(build, "compile_commands.json")) as file:
        entries = json.load(file)
    for entry in entries:
        path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        relative = os.path.relpath(path, build if path.startswith(build + os.sep) else ROOT)
        folder = relative.split(os.sep)[0]
        if folder not in FOLDERS or relative in seen or relative.endswith(".pb.cc"):  # generated
            continue
        seen.add(relative)
        if not re.search(r"-unity\d+\.cpp$", relative):
            result.append(Chunk(relative, entry, 1))
            continue
        chunk = Chunk(relative, entry, includes(build, path))
        alike = (folder, *chunk.arguments())
        if "/lib" not in relative:  # a program: it has a main() of its own
            result.append(chunk)
            continue
        joined = open_chunks.get(alike)
        if joined and joined.sources + chunk.sources <= MOST_SOURCES:
            joined.entries.append(entry)
            joined.sources += chunk.sources
            continue
        open_chunks[alike] = chunk
        result.append(chunk)
    return sorted(result, key=lambda chunk: chunk.name)


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

    def key(self, chunk):
        files = set()
        for entry in chunk.entries:
            if not self.dependencies.get(entry["output"]):
                return None  # never built: nothing tells what it depends on
            files.update(self.dependencies[entry["output"]])
        parts = [self.base, chunk.name, [entry["command"] for entry in chunk.entries]]
        parts += [(name, self.digests.of(os.path.join(self.build, name))) for name in sorted(files)]
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def check(self, chunk):
        """True: clean; False: findings, printed; None: no time."""
        key = self.key(chunk)
        if key and (self.cache / key).exists():
            os.utime(self.cache / key)
            return True
        left = self.deadline - time.monotonic()
        if left <= 0:
            return None
        try:
            run = subprocess.run(
                ["clang-tidy", "--quiet", f"--config-file={ROOT}/.clang-tidy",
                 "--checks=-bugprone-suspicious-include", f"--header-filter={SOURCES}",
                 "--extra-arg=-Wno-unknown-warning-option", *chunk.command(self.build)],
                capture_output=True, text=True, timeout=left, stdin=subprocess.DEVNULL, cwd=self.build)
        except subprocess.TimeoutExpired:
            return None
        if run.returncode == 0:
            if key:
                (self.cache / key).touch()
            return True
        with self.printing:
            print(f"--- {chunk.name}\n{run.stdout.strip()}\n{run.stderr.strip()[-2000:]}", flush=True)
        return False


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    tidy = Tidy(os.path.abspath(sys.argv[1]), float(sys.argv[2]))
    todo = chunks(tidy.build)
    counts = {True: 0, False: 0, None: 0}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, verdict in enumerate(pool.map(tidy.check, todo), 1):
            counts[verdict] += 1
            if done % 10 == 0:
                print(f"{done} of {len(todo)} files", flush=True)
    if counts[None]:
        print(f"{counts[None]} files not reached in time", flush=True)
    print(counts[True], counts[False], counts[None])
    sys.exit(1 if counts[False] else 0)


if __name__ == "__main__":
    main()
