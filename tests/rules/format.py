#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The C sources are formatted as .clang-format says: usage: format.py ROOT"""

import shutil
import subprocess
import sys

import rulekit


def sources_are_formatted(root):
    if not shutil.which("clang-format"):
        return "clang-format is not installed"
    files = rulekit.source_files(root, endings=(".c", ".h", ".cpp"))
    done = subprocess.run(["clang-format", "--style=file", "--dry-run", "-Werror", *files], cwd=root,
                          capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    problems = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    return [f"{path}:1: not formatted: run tools/format" for path in problems] or [done.stderr]


RULES = {"sources are formatted": sources_are_formatted}

if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], RULES))
