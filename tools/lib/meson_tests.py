#!/usr/bin/env python3
"""What tools/check asks about meson's tests.

  meson_tests.py targets BUILD SUITE…   the ninja targets that the tests of these suites need
  meson_tests.py count BUILD LOGBASE    "PASSED FAILED SKIPPED" of the last `meson test --logbase LOGBASE`;
                                        what the failed ones printed goes to standard error
  meson_tests.py failed BUILD LOGBASE   their names, as meson takes them

Every case of a GoogleTest program counts as one, by the XML that meson made it write to BUILD/NAME.xml
(protocol: 'gtest'; XML of earlier runs must be gone); every other test counts as one.
"""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

TAIL_LINES = 40
UNMET = re.compile(r"\s+FAIL  ")  # as lab/jvpn_lab/console.py prints an expectation that was not met


def introspect(build, what):
    return json.loads(subprocess.check_output(["meson", "introspect", build, what]))


def targets(build, suites):
    by_id = {target["id"]: target for target in introspect(build, "--targets")}
    files = set()
    for test in introspect(build, "--tests"):
        if any(suite.split(":")[-1] in suites for suite in test["suite"]):
            for depended in test["depends"]:
                if depended in by_id:
                    files.update(by_id[depended]["filename"])
    return sorted(os.path.relpath(file, os.path.abspath(build)) for file in files)


def gtest_cases(build, test):
    """(passed, failed, skipped) from the XML of a GoogleTest program; None when it wrote none."""
    name = test["name"].split(" / ", 1)[-1]  # without its suites
    try:
        root = ElementTree.parse(os.path.join(build, name + ".xml")).getroot()
    except (OSError, ElementTree.ParseError):
        return None
    passed = failed = skipped = 0
    for case in root.iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
        elif case.find("skipped") is not None or case.get("status") == "notrun":
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def report_failure(test):
    print(f"--- {test['name']}: {test['result']} after {test['duration']:.1f} s", file=sys.stderr)
    output = (test.get("stdout") or "") + (test.get("stderr") or "")
    lines = output.splitlines()
    first = max(0, len(lines) - TAIL_LINES)
    unmet = [line for line in lines[:first] if UNMET.match(line)]  # a scenario's logs follow them
    for line in unmet + lines[first:]:
        print(f"    {line}", file=sys.stderr)


def results(build, logbase):
    path = os.path.join(build, "meson-logs", logbase + ".json")
    if not os.path.exists(path):  # meson writes none when no test belongs to the suites
        return []
    with open(path) as log:
        return [json.loads(line) for line in log if line.strip()]


def has_failed(test):
    return test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")


def count(build, logbase):
    passed = failed = skipped = 0
    for test in results(build, logbase):
        bad = has_failed(test)
        cases = gtest_cases(build, test)
        if test["result"] == "SKIP":
            skipped += 1
        elif cases is None:
            passed, failed = passed + (not bad), failed + bad
        else:
            # A program that failed beside its cases, e.g. by a leak at its end, is a failure too.
            failed_cases = cases[1] or int(bad)
            passed, failed, skipped = passed + cases[0], failed + failed_cases, skipped + cases[2]
        if bad:
            report_failure(test)
    print(passed, failed, skipped)


def failed(build, logbase):
    for test in results(build, logbase):
        if has_failed(test):
            print(test["name"].split(" / ", 1)[-1])  # without its suites


def main():
    if len(sys.argv) >= 4 and sys.argv[1] == "targets":
        print("\n".join(targets(sys.argv[2], set(sys.argv[3:]))))
    elif len(sys.argv) == 4 and sys.argv[1] == "count":
        count(sys.argv[2], sys.argv[3])
    elif len(sys.argv) == 4 and sys.argv[1] == "failed":
        failed(sys.argv[2], sys.argv[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
