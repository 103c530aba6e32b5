#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Names carry their layer, and nothing grows too long: usage: names.py ROOT"""

import collections
import re
import sys

import rulekit

FILE_LINES_MAX = 800
# A yardstick is one program.
LONGER_FILES = ("tests/perf/",)
LONGER_FILE_LINES_MAX = 1200
FUNCTION_LINES_MAX = 70

PUBLIC = re.compile(r"(quern_[a-z0-9_]+|QUERN_[A-Z0-9_]+)$")
SHARED = re.compile(r"(quern|qn)_[a-z0-9_]+$")
FILE_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*\.[a-z]+$")
# Switches of MPI's own headers, which context.h has to set before it includes mpi.h.
FOREIGN_MACROS = {"OMPI_SKIP_MPICXX", "MPICH_SKIP_MPICXX"}
KEYWORDS = {"struct", "enum", "union", "void", "const", "int", "char", "static", "inline", "typedef", "extern"}


def without_bodies(code):
    """Code of which only what stands outside of braces is left ({} for each pair); extern "C" counts as outside."""
    code = re.sub(r"^[ \t]*#[ \t]*ifdef __cplusplus\b.*?^[ \t]*#[ \t]*endif", rulekit.blank, code,
                  flags=re.MULTILINE | re.DOTALL)
    code = rulekit.without_attributes(rulekit.without_directives(code))
    depth, kept = 0, []
    for char in code:
        depth -= char == "}"
        kept.append(char if depth == 0 or char == "\n" else " ")
        depth += char == "{"
    return "".join(kept)


def declared_names(code):
    """(offset, name) of the macros, tags, typedefs, enumerators, functions and variables that a header declares."""
    for match in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", code, re.MULTILINE):
        yield match.start(1), match.group(1)
    plain = rulekit.without_directives(code)
    for match in re.finditer(r"\b(?:struct|union|enum)\s+(\w+)", plain):
        yield match.start(1), match.group(1)
    for match in re.finditer(r"\benum\b[^{};]*\{([^}]*)\}", plain):
        for name in re.finditer(r"(?:^|,)\s*(\w+)\s*(?=[=,]|$)", match.group(1)):
            yield match.start(1) + name.start(1), name.group(1)
    outside = without_bodies(code)
    for match in re.finditer(r"[^;}]+[;}]", outside):
        name = declarator(match.group(0))
        if name:
            yield match.start() + name.start(1), name.group(1)


def declarator(declaration):
    """The match of the name in a declaration without bodies: a function, a function's type, a type or a variable."""
    return (re.search(r"\(\s*\*\s*(\w+)\s*\)\s*\(", declaration) or
            re.search(r"(?<!\w)(\w+)\s*\(", declaration) or
            re.search(r"(\w+)\s*(?:\[[^\]]*\]\s*)*(?:=[^;]*)?;$", declaration))


def public_headers_declare_public_names(root):
    problems = []
    for path in rulekit.source_files(root, endings=(".h",), folders=("include",)):
        code = rulekit.code_of(rulekit.read(root, path))
        for offset, name in sorted(set(declared_names(code))):
            if not PUBLIC.match(name) and name not in FOREIGN_MACROS | KEYWORDS:
                problems.append(f"{path}:{rulekit.line_of(code, offset)}: {name} is neither quern_… nor QUERN_…")
    return problems


def shared_functions_carry_a_prefix(root):
    problems = []
    for path in rulekit.source_files(root, folders=("runtime", "scheduler")):
        code = rulekit.code_of(rulekit.read(root, path))
        for function in rulekit.functions(code):
            if "static" not in function["head"].split() and not SHARED.match(function["name"]):
                line = rulekit.line_of(code, function.start("name"))
                problems.append(f"{path}:{line}: {function['name']} is not static, yet neither qn_… nor quern_…")
    return problems


def no_type_ends_in_t(root):
    problems = []
    for path in rulekit.source_files(root):
        code = rulekit.code_of(rulekit.read(root, path))
        for match in re.finditer(r"\btypedef\b", code):
            name = declarator(re.match(r"[^;]*;", without_bodies(code[match.start():]) + ";").group(0))
            if name and name.group(1).endswith("_t"):
                problems.append(f"{path}:{rulekit.line_of(code, match.start())}: {name.group(1)} ends in _t")
    return problems


def files_are_named_once_in_snake_case(root):
    """A public header and the room's header behind it may share a name: they are included by different paths."""
    problems, seen = [], collections.defaultdict(list)
    for path in rulekit.source_files(root, endings=(".c", ".h", ".cpp", ".py")):
        name = path.rsplit("/", 1)[-1]
        if not FILE_NAME.match(name) and name != "__init__.py":  # whose name is Python's
            problems.append(f"{path}:1: not snake_case")
        seen[path.startswith("include/"), name].append(path)
    return problems + [f"{paths[0]}:1: the same name as {', '.join(paths[1:])}"
                       for paths in seen.values() if len(paths) > 1]


def files_end_in_time(root):
    problems = []
    for path in rulekit.source_files(root, endings=(".c", ".h", ".cpp", ".py")):
        lines = rulekit.read(root, path).count("\n")
        most = LONGER_FILE_LINES_MAX if path.startswith(LONGER_FILES) else FILE_LINES_MAX
        if lines > most:
            problems.append(f"{path}:1: {lines} lines, more than {most}")
    return problems


def functions_end_in_time(root):
    """By layout: a body opens with { and closes with } in column 0; the lines of the signature before it count."""
    problems = []
    for path in rulekit.source_files(root, endings=(".c", ".h", ".cpp")):
        lines = rulekit.without_directives(rulekit.code_of(rulekit.read(root, path))).split("\n")
        first = None
        for number, line in enumerate(lines, 1):
            if line == "{":
                first = number - 1
                while first > 1 and lines[first - 2].strip() and not lines[first - 2].startswith("}") \
                        and not lines[first - 2].rstrip().endswith(";"):
                    first -= 1
            elif line.startswith("}") and first is not None:
                if number - first + 1 > FUNCTION_LINES_MAX:
                    problems.append(f"{path}:{first}: a function of {number - first + 1} lines, "
                                    f"more than {FUNCTION_LINES_MAX}")
                first = None
    return problems


RULES = {
    "public headers declare quern_ and QUERN_ only": public_headers_declare_public_names,
    "functions that rooms share carry qn_ or quern_": shared_functions_carry_a_prefix,
    "no type ends in _t": no_type_ends_in_t,
    "files are named once, in snake_case": files_are_named_once_in_snake_case,
    f"files have at most {FILE_LINES_MAX} lines": files_end_in_time,
    f"functions have at most {FUNCTION_LINES_MAX} lines": functions_end_in_time,
}

if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], RULES))
