#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the shared library exports is what was reviewed: usage: symbols.py ROOT [LIBRARY] [--write]

The reviewed file is tests/rules/exported_symbols.txt, sorted, a name a line. --write makes it anew from the headers;
then review the difference: each name in it is a promise.
"""

import os
import re
import subprocess
import sys

import rulekit

LIST_FILE = "tests/rules/exported_symbols.txt"


def declared(root):
    """Every function that a public header declares with QUERN_API."""
    names = set()
    for path in rulekit.source_files(root, endings=(".h",), folders=("include",)):
        code = rulekit.without_directives(rulekit.code_of(rulekit.read(root, path)))
        names.update(re.findall(r"\bQUERN_API\b[^;(]*?(\w+)\s*\(", code))
    return names


def exported(library):
    done = subprocess.run(["nm", "-D", "--defined-only", "-P", library], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    return {row[0].split("@")[0] for row in rows if row[1] != "A"}  # an A is the name of a version


def reviewed(root):
    return rulekit.read(root, LIST_FILE).split("\n")[:-1]


def differences(found, root, where):
    listed = set(reviewed(root))
    return [f"{LIST_FILE}:1: {name} is not in it, but in {where}" for name in sorted(found - listed)] + \
           [f"{LIST_FILE}:1: {name} is in it, but not in {where}" for name in sorted(listed - found)]


def list_is_sorted(root):
    lines = reviewed(root)
    return [f"{LIST_FILE}:{number}: {line!r} does not come after {before!r}"
            for number, (before, line) in enumerate(zip(lines, lines[1:]), 2) if before >= line]


def list_equals_headers(root):
    return differences(declared(root), root, "the public headers")


def list_equals_library(library):
    def rule(root):
        return differences(exported(library), root, os.path.basename(library)) if library else "no library given"

    return rule


def rules(library):
    return {
        "the reviewed list of symbols is sorted": list_is_sorted,
        "the public headers declare the reviewed symbols": list_equals_headers,
        "the library exports the reviewed symbols": list_equals_library(library),
    }


def main(arguments):
    root = arguments[0]
    if "--write" in arguments:
        with open(os.path.join(root, LIST_FILE), "w", encoding="utf-8") as file:
            file.writelines(name + "\n" for name in sorted(declared(root)))
        return 0
    return rulekit.run(root, rules(arguments[1] if len(arguments) > 1 else None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
