#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/commands.md says what the tables of the commands say: usage: commands_doc.py ROOT QUERN [--write]

--write makes the page anew.
"""

import os
import subprocess
import sys

import rulekit

PAGE = "docs/commands.md"


def page_of(command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def page_equals_tables(command):
    """command: what prints the page."""
    def rule(root):
        if not os.path.exists(os.path.join(root, PAGE)):
            return [f"{PAGE}:1: there is no such page"]
        wanted, found = page_of(command).split("\n"), rulekit.read(root, PAGE).split("\n")
        return [f"{PAGE}:{number}: not what the commands say: {there}"
                for number, (there, said) in enumerate(zip(found + [""] * len(wanted), wanted + [""] * len(found)), 1) if there != said][:5]
    return rule


def main(root, quern, *more):
    command = [quern, "help", "--markdown"]
    if "--write" in more:
        with open(os.path.join(root, PAGE), "w", encoding="utf-8") as file:
            file.write(page_of(command))
        return 0
    return rulekit.run(root, {"docs/commands.md lists the commands and their options": page_equals_tables(command)})


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
