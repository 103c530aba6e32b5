#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The C sources are formatted as tools/format leaves them: usage: format.py ROOT"""

import os
import subprocess
import sys

import rulekit

FORMAT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "format")
STATUS_NO_FORMATTER = 77


def sources_are_formatted(root):
    done = subprocess.run([FORMAT, "--check", root], capture_output=True, text=True, check=False)
    if done.returncode == STATUS_NO_FORMATTER:
        return done.stderr.strip()
    if done.returncode == 0:
        return []
    paths = sorted({line.split(":")[0].removeprefix("./") for line in done.stderr.splitlines() if ": error:" in line})
    return [f"{path}:1: not formatted: run tools/format" for path in paths] or [done.stderr]


RULES = {"sources are formatted": sources_are_formatted}

if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], RULES))
