#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The pages lead somewhere and their code is real: usage: pages_doc.py ROOT CC [MPI_FLAG...]

Code in the README is lines of an example, in their order. A block of C in another page that holds main() is a whole
program and compiles; one without it is a part of such a program on the same page, or of an example.
"""

import os
import re
import subprocess
import sys
import tempfile

import rulekit

WARNINGS = ["-x", "c", "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
C_BLOCK = re.compile(r"^```c\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def pages(root):
    found = [name for name in os.listdir(root) if name.endswith(".md")]
    for where, _, names in os.walk(os.path.join(root, "docs")):
        found += [os.path.relpath(os.path.join(where, name), root) for name in names if name.endswith(".md")]
    return sorted(found)


def links_lead_somewhere(root):
    problems = []
    for page in pages(root):
        text = rulekit.read(root, page)
        for match in LINK.finditer(text):
            target = match.group(1).split("#")[0]
            if target and ":" not in target and not os.path.exists(os.path.join(root, os.path.dirname(page), target)):
                problems.append(f"{page}:{rulekit.line_of(text, match.start())}: {target} does not exist")
    return problems


def every_page_is_linked(root):
    linked = set()
    for page in pages(root):
        for target in LINK.findall(rulekit.read(root, page)):
            linked.add(os.path.normpath(os.path.join(os.path.dirname(page), target.split("#")[0])))
    return [f"{page}:1: no page links to it" for page in pages(root) if page.startswith("docs/") and page not in linked]


def lines_of(code):
    return [line.strip() for line in code.split("\n") if line.strip()]


def comes_in_order(lines, whole):
    rest = iter(whole)
    return all(line in rest for line in lines)


def code_is_of_an_example(root):
    examples = [lines_of(rulekit.read(root, path))
                for path in rulekit.source_files(root, endings=(".c",), folders=("examples",))]
    problems = []
    for page in pages(root):
        text = rulekit.read(root, page)
        programs = [lines_of(block) for block in C_BLOCK.findall(text) if "main(" in block]
        for match in C_BLOCK.finditer(text):
            code = match.group(1)
            if "main(" not in code and not any(comes_in_order(lines_of(code), whole) for whole in examples + programs):
                problems.append(f"{page}:{rulekit.line_of(text, match.start())}: not lines of an example")
    return problems


def programs_compile(cc, mpi_flags):
    def rule(root):
        problems = []
        flags = ["-I" + os.path.join(root, "include")]
        for flag in mpi_flags:
            flags += ["-isystem", flag[2:]] if flag.startswith("-I") else [flag]
        for page in pages(root):
            for code in C_BLOCK.findall(rulekit.read(root, page)):
                if "main(" not in code:
                    continue
                with tempfile.NamedTemporaryFile("w", suffix=".c", encoding="utf-8") as source:
                    source.write(code)
                    source.flush()
                    done = subprocess.run([cc, *WARNINGS, *flags, source.name], capture_output=True, text=True,
                                          check=False)
                if done.returncode:
                    problems.append(f"{page}:1: {done.stderr}")
        return problems

    return rule


def rules(cc, mpi_flags):
    return {
        "links between pages lead somewhere": links_lead_somewhere,
        "every page is linked": every_page_is_linked,
        "code on pages is that of a program": code_is_of_an_example,
        "programs on pages compile": programs_compile(cc, mpi_flags),
    }


if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], rules(sys.argv[2], sys.argv[3:])))
