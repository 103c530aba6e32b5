#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Public headers stand alone, their examples compile, their functions are explained.

usage: headers.py ROOT CC CXX [MPI_FLAG...]    (CXX may be empty: then C++ is skipped)

The example of a header is the indented block in its first comment. It is compiled as the body of a function that has
argc, argv and a context, after #include <quern/quern.h> and the usual standard headers.
"""

import re
import subprocess
import sys
import tempfile

import rulekit

WARNINGS = ["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]
AS_C = ["-x", "c", "-std=c11"]
AS_CXX = ["-x", "c++", "-std=c++17"]

EXAMPLE_INDENT = 4
EXAMPLE = """\
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <quern/quern.h>

void example(int argc, char **argv, quern_context *context);
void example(int argc, char **argv, quern_context *context)
{{
    (void)argc, (void)argv, (void)context;
    {{
#line {line} "{path}"
{code}
    }}
}}
"""


def headers(root, endings=(".h",)):
    return rulekit.source_files(root, endings=endings, folders=("include",))


def first_comment(text):
    """(line, text) of the first block comment that says more than the licence."""
    for match in re.finditer(r"/\*.*?\*/", text, re.DOTALL):
        if "SPDX-License-Identifier" not in match.group(0):
            return rulekit.line_of(text, match.start()), match.group(0)
    return 1, ""


def example_of(text):
    """(line, code) of the example in the first comment; code is empty if there is none."""
    first_line, comment = first_comment(text)
    numbered = [(first_line + offset, re.sub(r"^\s*\*(?: |$)", "", line))
                for offset, line in enumerate(comment.split("\n"))]
    indented = [number for number, line in numbered if line.startswith(" " * EXAMPLE_INDENT)]
    if not indented:
        return first_line, ""
    block = [line for number, line in numbered if indented[0] <= number <= indented[-1]]
    return indented[0], "\n".join(block)


class Compiler:
    def __init__(self, root, mpi_flags):
        # Somebody else's headers may warn.
        self.flags = ["-I" + root + "/include"]
        for flag in mpi_flags:
            self.flags += ["-isystem", flag[2:]] if flag.startswith("-I") else [flag]

    def complaint(self, command, code):
        """What the compiler says about the code, or "" if nothing."""
        with tempfile.NamedTemporaryFile("w", suffix=".in", encoding="utf-8") as source:
            source.write(code)
            source.flush()
            done = subprocess.run([*command, *WARNINGS, *self.flags, source.name],
                                  capture_output=True, text=True, check=False)
        return (done.stderr or f"status {done.returncode}") if done.returncode else ""

    def problems(self, root, command, code_of_header, endings=(".h",)):
        found = []
        for path in headers(root, endings):
            code = code_of_header(path)
            complaint = self.complaint(command, code) if code is not None else ""
            if complaint:
                found.append(f"{path}:1: {complaint}")
        return found


def compiles_alone(command, language, mpi_flags):
    def rule(root):
        if not command:
            return "no compiler given"
        compiler = Compiler(root, mpi_flags)
        return compiler.problems(root, [command, *language],
                                 lambda path: f"#include <{path.removeprefix('include/')}>\n",
                                 (".h", ".hpp") if language is AS_CXX else (".h",))

    return rule


def examples_compile(cc, mpi_flags):
    def code_of_example(root, path):
        line, code = example_of(rulekit.read(root, path))
        return EXAMPLE.format(line=line, path=path, code=code) if code else None

    def rule(root):
        missing = [f"{path}:1: its first comment has no example (a block indented by {EXAMPLE_INDENT})"
                   for path in headers(root) if not example_of(rulekit.read(root, path))[1]]
        # An example shows a call and stops; what it would do with the result is not its point.
        command = [cc, *AS_C, "-Wno-unused-variable", "-Wno-unused-but-set-variable"]
        return missing + Compiler(root, mpi_flags).problems(root, command, lambda path: code_of_example(root, path))

    return rule


def functions_are_explained(root):
    problems = []
    for path in headers(root):
        text = rulekit.read(root, path)
        code = rulekit.without_directives(rulekit.code_of(text))
        for match in re.finditer(r"^QUERN_API\b[^;(]*?(\w+)\s*\(", code, re.MULTILINE):
            before = re.search(r"/\*((?:(?!\*/).)*)\*/\s*$", text[:match.start()], re.DOTALL)
            comment = before.group(1) if before else ""
            wanted = {"a comment directly before it": r"\w", '"Local" or "Collective"': r"\b(Local|Collective)\b",
                      '"Since N.N"': r"\bSince \d+\.\d+"}
            lacking = [what for what, pattern in wanted.items() if not re.search(pattern, comment)]
            if lacking:
                problems.append(f"{path}:{rulekit.line_of(text, match.start())}: {match.group(1)} lacks {lacking[0]}")
    return problems


def rules(cc, cxx, mpi_flags):
    return {
        "each public header compiles alone as C11": compiles_alone(cc, AS_C, mpi_flags),
        "each public header compiles alone as C++17": compiles_alone(cxx, AS_CXX, mpi_flags),
        "each public header has an example, which compiles": examples_compile(cc, mpi_flags),
        "each public function is explained": functions_are_explained,
    }


if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], rules(sys.argv[2], sys.argv[3], sys.argv[4:])))
