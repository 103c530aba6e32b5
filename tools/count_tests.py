#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts what `meson test` just did in each BUILD_DIR: usage: count_tests.py BUILD_DIR...

A TAP test counts by its subtests, any other as one. A TAP test that went wrong without a failed subtest (crashed, timed
out, broke its plan) is one failure more. Prints what failed tests said (Meson does not, for TAP), the names of what
failed, and last the one line of counts. The status is 0 only if nothing failed and something passed in every directory.
"""

import json
import os
import re
import sys

PLAN = re.compile(r"^1\.\.\d+", re.MULTILINE)
SUBTEST = re.compile(r"^(?P<bad>not )?ok\b *\d* *-? *(?P<name>[^#\n]*)(?:# *(?P<directive>(?i:SKIP|TODO)))?",
                     re.MULTILINE)
OUTPUT_LINES_MAX = 300  # of a failed test's output, counted from its end
FINE = ("OK", "SKIP", "EXPECTEDFAIL")


class Count:
    def __init__(self):
        self.passed = self.skipped = 0
        self.failures = []

    def add(self, record):
        """Counts the record of a test; returns whether it failed."""
        failures_before = len(self.failures)
        subtests = list(SUBTEST.finditer(record["stdout"])) if PLAN.search(record["stdout"]) else []
        bad = [s for s in subtests if s["bad"] and not s["directive"]]
        self.failures += [f"{record['name']}: {s['name'].strip()}" for s in bad]
        if record["result"] not in FINE and not bad:
            self.failures.append(f"{record['name']}: {record['result']}, status {record['returncode']}")
        skipped = sum(1 for s in subtests if s["directive"])
        self.skipped += skipped
        self.passed += len(subtests) - len(bad) - skipped
        if not subtests:
            self.passed += record["result"] in ("OK", "EXPECTEDFAIL")
            self.skipped += record["result"] == "SKIP"
        return len(self.failures) > failures_before


def show(build_dir, record):
    print(f"\n---- {build_dir}: {record['name']}: {' '.join(record['command'])}")
    for stream in ("stdout", "stderr"):
        lines = (record.get(stream) or "").splitlines()
        if len(lines) > OUTPUT_LINES_MAX:
            print(f"[{len(lines) - OUTPUT_LINES_MAX} earlier lines: {build_dir}/meson-logs/testlog.txt]")
        for line in lines[-OUTPUT_LINES_MAX:]:
            print(line)


def read_log(build_dir):
    path = os.path.join(build_dir, "meson-logs", "testlog.json")
    if not os.path.exists(path):
        return []
    with open(path, encoding="utf-8", errors="replace") as file:
        return [json.loads(line) for line in file]


def main(build_dirs):
    sys.stdout.reconfigure(errors="replace")  # what tests say need not be text, nor the locale UTF-8
    total = Count()
    empty = []
    for build_dir in build_dirs:
        passed_before = total.passed
        for record in read_log(build_dir):
            if total.add(record):
                show(build_dir, record)
        if total.passed == passed_before:
            empty.append(build_dir)

    print()
    for name in total.failures:
        print(f"FAILED {name}")
    for build_dir in empty:
        print(f"no test passed in {build_dir}/")
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {len(total.failures)} failed{skipped}")
    return 1 if total.failures or empty or not build_dirs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
