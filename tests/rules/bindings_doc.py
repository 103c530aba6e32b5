#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/bindings.md says what the modules of Fortran and the package of Python have: usage: bindings_doc.py ROOT [--write]

--write makes the rows of its tables anew from the sources.
"""

import ast
import re
import sys

import doc_tables
import rulekit

PAGE = "docs/bindings.md"
FORTRAN, PYTHON, C = "from Fortran", "from Python", "function of C"
PACKAGE = "runtime/python/quern/"
MODULES = ("context", "dataset", "callbacks", "errors", "kinds")
OF_THE_PACKAGE = {"check", "keep", "keep_for_run", "is_pending", "lend", "arrays_of"}  # what its modules ask of each other

_PROCEDURE = re.compile(r"^ *(?:pure )?(?P<type>[\w()]+(?:\(c_\w+\))? )? *(?P<kind>function|subroutine) (?P<name>\w+)\((?P<arguments>[^)]*)\)"
                        r"(?P<head>.*)\n(?P<body>(?:.*\n)*?) *end (?:function|subroutine)", re.MULTILINE)
_OPTIONAL = re.compile(r"\boptional :: (.*)$", re.MULTILINE)


def cell(text):
    return " ".join(text.split()).replace("|", "/")


# ---- Fortran

def public_names(code):
    return [name for listed in re.findall(r"^ *public :: (.*)$", code, re.MULTILINE) for name in re.findall(r"\w+", listed)]


def specifics(code):
    """{name: (its generic one, what is said of that)}."""
    found = {}
    for name, said, body in re.findall(r"^ *interface (quern_\w+)(?: ! (.*))?\n((?:.*\n)*?) *end interface", code, re.MULTILINE):
        found.update((one, (name, said)) for one in re.findall(r"\w+", body.replace("module procedure", "")))
    return found


def comment_above(text, offset):
    lines = text[:offset].split("\n")[:-1]
    said = []
    while lines and re.match(r" *! (?!----)", lines[-1]):
        said.insert(0, lines.pop().strip()[2:])
    return " ".join(said)


def result_of(found):
    if found["kind"] == "subroutine":
        return ""
    if found["type"]:
        return "`%s`" % re.sub(r"^type\((.*)\)$", r"\1", found["type"].strip())
    name = re.search(r"result\((\w+)\)", found["head"])
    declared = re.search(r"^ *(.*) :: %s$" % (name.group(1) if name else found["name"]), found["body"], re.MULTILINE)
    return "`%s`" % declared.group(1).split(",")[0] if declared else ""


def with_optional(found):
    optional = {name for listed in _OPTIONAL.findall(found["body"]) for name in re.findall(r"\w+", listed.split("!")[0])}
    return ", ".join("[%s]" % name if name in optional else name for name in re.findall(r"\w+", found["arguments"]))


def rows_of_fortran(root):
    code = re.sub(r" *& *\n *", " ", rulekit.read(root, "runtime/fortran/quern_calls.f90"))
    public, generic, rows = public_names(code), specifics(code), []
    for found in _PROCEDURE.finditer(code):
        name, said = generic.get(found["name"], (found["name"], ""))
        row = [f"`{name}({with_optional(found)})`", result_of(found), cell(comment_above(code, found.start()) or said)]
        if name in public and row not in rows:
            rows.append(row)
    named = {row[0].split("(")[0].strip("`") for row in rows}
    return sorted(rows), [name for name in public if name not in named]


# ---- Python

def exported(root):
    return {name.name for node in ast.parse(rulekit.read(root, PACKAGE + "__init__.py")).body
            if isinstance(node, ast.ImportFrom) for name in node.names}


def python_row(text, name, node, is_method):
    arguments = ast.unparse(node.args) if isinstance(node, ast.FunctionDef) else ""
    if is_method:
        arguments = re.sub(r"^self(, )?", "", arguments)
    called = sorted(set(re.findall(r"\blib\.(quern_\w+)", ast.get_source_segment(text, node) or "")))
    is_property = any(getattr(one, "id", "") == "property" for one in node.decorator_list)
    return [f"`{name}`" if is_property else f"`{name}({arguments})`", ", ".join(f"`{one}`" for one in called),
            cell(ast.get_docstring(node) or "")]


def rows_of_class(text, node):
    maker = next((one for one in node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"), None)
    arguments = re.sub(r"^self(, )?", "", ast.unparse(maker.args)) if maker and node.name == "Context" else None
    yield [f"`{node.name}`" if arguments is None else f"`{node.name}({arguments})`", "", cell(ast.get_docstring(node) or "")]
    for one in node.body:
        is_setter = any(getattr(by, "attr", "") == "setter" for by in getattr(one, "decorator_list", ()))
        if isinstance(one, ast.FunctionDef) and not one.name.startswith("_") and one.name not in OF_THE_PACKAGE and not is_setter:
            yield python_row(text, f"{node.name}.{one.name}", one, True)


def rows_of_python(root):
    public, rows = exported(root), []
    for module in MODULES:
        text = rulekit.read(root, PACKAGE + module + ".py")
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef) and node.name in public:
                rows += rows_of_class(text, node)
            elif isinstance(node, ast.FunctionDef) and node.name in public:
                rows.append(python_row(text, node.name, node, False))
    return rows


# ---- what is left out

def rows_of_c(root):
    """Functions that some language has not, and which do."""
    asked = (("include/quern/quern.hpp", "include/quern/records.hpp"),
             ("runtime/fortran/quern_prototypes.f90", "runtime/fortran/quern_from_fortran.c"),
             (PACKAGE + "capi.py", PACKAGE + "context.py"))
    texts = ["".join(rulekit.read(root, path) for path in paths) for paths in asked]
    rows = []
    for name in rulekit.read(root, "tests/rules/exported_symbols.txt").split():
        has = ["yes" if re.search(r"\b%s\b" % name, text) else "–" for text in texts]
        if "–" in has:
            rows.append([f"`{name}`"] + has)
    return rows


def fortran_is_listed(root):
    rows, unknown = rows_of_fortran(root)
    return doc_tables.table_differs(root, PAGE, FORTRAN, rows) + \
        [f"runtime/fortran/quern_calls.f90:1: {name} is public and no procedure" for name in unknown]


def python_is_listed(root):
    return doc_tables.table_differs(root, PAGE, PYTHON, rows_of_python(root))


def what_is_left_out_is_listed(root):
    return doc_tables.table_differs(root, PAGE, C, rows_of_c(root))


RULES = {
    "docs/bindings.md lists what modules of Fortran have": fortran_is_listed,
    "docs/bindings.md lists what the package of Python has": python_is_listed,
    "docs/bindings.md lists the functions that a language has not": what_is_left_out_is_listed,
}


def write(root):
    doc_tables.write_table(root, PAGE, FORTRAN, rows_of_fortran(root)[0])
    doc_tables.write_table(root, PAGE, PYTHON, rows_of_python(root))
    doc_tables.write_table(root, PAGE, C, rows_of_c(root))


if __name__ == "__main__":
    if "--write" in sys.argv:
        sys.exit(write(sys.argv[1]))
    sys.exit(rulekit.run(sys.argv[1], RULES))
