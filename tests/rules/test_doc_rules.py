#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every rule about the pages can fail: each is given a small tree that keeps it, and the same with one violation.

usage: test_doc_rules.py CC
"""

import os
import sys
import tempfile

import bindings_doc
import commands_doc
import doc_tables
import options_doc
import pages_doc
import report_doc
import rulekit
import status_doc

GOOD = {
    "include/quern/options.h": '#define QUERN_OPTION_LIST(X) \\\n'
                               '    X(memory_bytes, uint64_t, "memory", SIZE, "70%, of all", \\\n'
                               '      "bytes (of " "a node)") \\\n'
                               '    X(split_bytes, uint64_t, "split-bytes", SIZE, "none", "one task")\n',
    "docs/options.md": "# Options\n\n| argument | variable | field | kind | default | meaning |\n"
                       "| --- | --- | --- | --- | --- | --- |\n"
                       "| `--quern-memory` | `QUERN_MEMORY` | `memory_bytes` | SIZE | 70%, of all "
                       "| bytes (of a node) |\n"
                       "| `--quern-split-bytes` | `QUERN_SPLIT_BYTES` | `split_bytes` | SIZE | none "
                       "| one task |\n\nEnd.\n",
    "include/quern/status.h": '#define QUERN_STATUS_LIST(X) \\\n    X(INPUT, 20, JOB, "no input") \\\n'
                              '    X(MPI, 51, CONTEXT, "MPI failed")\n',
    "docs/status.md": "| code | name | scope | text | remedy |\n| --- | --- | --- | --- | --- |\n"
                      "| 20 | `QUERN_ERROR_INPUT` | job | no input | look |\n"
                      "| 51 | `QUERN_ERROR_MPI` | context | MPI failed | start again |\n",
    "runtime/engine/stage_run.h":
        '#define QN_STAGE_FIGURES(X) \\\n    X(tasks, "tasks") \\\n    X(wait_ns, "waiting")\n',
    "runtime/engine/report.c": 'json_object_set_new(object, "status", x);\nset_u64(object, "node", 1);\n',
    "examples/count.c": "int main(void)\n{\n    first();\n    second();\n    third();\n}\n",
    "README.md": "See [options](docs/options.md), [commands](docs/commands.md), [status](docs/status.md#x), [calls](docs/bindings.md) and [this](docs/report.md).\n\n"
                 "```c\nfirst();\nthird();\n```\n\n```c\nint main(void)\n{\n    return 0;\n}\n```\n",
    "docs/commands.md": "# Commands\n\nquern run\n",
    "include/quern/quern.hpp": "quern_run(raw());\n",
    "include/quern/records.hpp": "",
    "runtime/fortran/quern_calls.f90":
        "    interface quern_put ! of anything\n        module procedure put_one\n    end interface\n"
        "    public :: quern_run, &\n        quern_put\ncontains\n    ! Runs.\n    subroutine quern_run(context, ierr)\n"
        "        integer, optional :: ierr\n    end subroutine\n    type(quern_x) function put_one(one) result(x)\n    end function\n",
    "runtime/fortran/quern_prototypes.f90": "bind(C, name='quern_run')\n",
    "runtime/fortran/quern_from_fortran.c": "",
    "runtime/python/quern/__init__.py": "from .context import Context\n",
    "runtime/python/quern/capi.py": "'quern_run': 1\n",
    "runtime/python/quern/context.py": "class Context:\n    def run(self, k=1):\n        \"\"\"Runs.\"\"\"\n        lib.quern_run(self)\n",
    "runtime/python/quern/dataset.py": "",
    "runtime/python/quern/callbacks.py": "",
    "runtime/python/quern/errors.py": "",
    "runtime/python/quern/kinds.py": "",
    "tests/rules/exported_symbols.txt": "quern_put\nquern_run\n",
    "docs/bindings.md": "| from Fortran | gives | |\n| --- | --- | --- |\n| `quern_put(one)` | `quern_x` | of anything |\n"
                        "| `quern_run(context, [ierr])` |  | Runs. |\n\n"
                        "| from Python | calls | |\n| --- | --- | --- |\n| `Context` |  |  |\n"
                        "| `Context.run(k=1)` | `quern_run` | Runs. |\n\n"
                        "| function of C | C++ | Fortran | Python |\n| --- | --- | --- | --- |\n| `quern_put` | – | – | – |\n",
    "docs/report.md": "| field | meaning |\n| --- | --- |\n| `tasks` | a |\n| `wait_ns` | b |\n\n"
                      "| field | meaning |\n| --- | --- |\n| `status` | c |\n| `node` | d |\n",
}


COMMANDS = commands_doc.page_equals_tables(["printf", "# Commands\\n\\nquern run\\n"])


def violations(page_rules):
    """rule, what is wrong, {path: (old, new)}, what the rule must say"""
    options, status, explained = "docs/options.md", "docs/status.md", "docs/report.md"
    links, linked, code, programs = page_rules.values()
    yield links, "a link to nowhere", {"README.md": ("docs/options.md", "docs/opinions.md")}, \
        "docs/opinions.md does not"
    yield linked, "a page that nobody links", {"README.md": ("docs/report.md", "docs/status.md")}, "docs/report.md"
    yield code, "code that no example has", {"examples/count.c": ("third", "other")}, "not lines of an example"
    yield code, "code in another order", {"README.md": ("first();\nthird();", "third();\nfirst();")}, "not lines"
    yield programs, "a program that does not compile", {"README.md": ("return 0", "return zero")}, "zero"
    yield COMMANDS, "a command that the page tells otherwise", {"docs/commands.md": ("run", "walk")}, "commands.md:3"
    same = options_doc.page_equals_header
    yield same, "an option that the page lacks", \
        {"include/quern/options.h":
            ('"one task")', '"one task") \\\n    X(log, char, "log", TEXT, "none", "a log")')}, \
        "missing: `--quern-log`"
    yield same, "an option that is gone", {options: ("\n\nEnd", "\n| `--quern-old` | | | | | |\n\nEnd")}, \
        "not in the header"
    yield same, "a default that changed", {"include/quern/options.h": ("70%", "60%")}, "60%"
    yield same, "a meaning that changed", {"include/quern/options.h": ('"a node)"', '"a rank)"')}, "of a rank"
    yield same, "options out of order", {
        options: (GOOD[options].split("\n")[4] + "\n" + GOOD[options].split("\n")[5],
                  GOOD[options].split("\n")[5] + "\n" + GOOD[options].split("\n")[4])}, "not in the header's order"
    yield same, "no table of options", {options: ("| argument", "| option")}, "no table"
    yield same, "no list of options", \
        {"include/quern/options.h": ("QUERN_OPTION_LIST", "OTHER_LIST")}, "no QUERN_OPTION_LIST"
    same = status_doc.page_equals_header
    yield same, "a status that the page lacks", {status: ("| 20 |", "| 19 |")}, "missing: 20"
    yield same, "a text that changed", {"include/quern/status.h": ("MPI failed", "MPI broke")}, "MPI broke"
    yield same, "a scope that changed", {"include/quern/status.h": ("20, JOB", "20, CALL")}, "| call |"
    yield same, "no list of statuses", \
        {"include/quern/status.h": ("QUERN_STATUS_LIST", "OTHER")}, "no QUERN_STATUS_LIST"
    yield status_doc.each_has_a_remedy, "a status without a remedy", {status: ("| look |", "| |")}, "has no remedy"
    yield report_doc.figures_are_explained, "a figure that the page lacks", \
        {explained: ("`wait_ns`", "wait")}, "wait_ns"
    yield report_doc.figures_are_explained, "no list of figures", \
        {"runtime/engine/stage_run.h": ("QN_STAGE_FIGURES", "OTHER")}, "no QN_STAGE_FIGURES"
    yield report_doc.other_fields_are_explained, "a field that the page lacks", \
        {"runtime/engine/report.c": ('"node"', '"host"')}, "no row for host"
    yield report_doc.nothing_else_is_explained, "a field that is gone", \
        {explained: ("`node`", "`gone`")}, "gone is not in"


    calls, package, page = "runtime/fortran/quern_calls.f90", "runtime/python/quern/context.py", "docs/bindings.md"
    yield bindings_doc.fortran_is_listed, "an argument that must be given now", {calls: (", optional", "")}, "[ierr]"
    yield bindings_doc.fortran_is_listed, "a public name without a procedure", {calls: ("public :: ", "public :: quern_gone, ")}, "quern_gone is public"
    yield bindings_doc.python_is_listed, "a method that the page lacks", {package: ("def run(", "def walk(")}, "missing: `Context.walk(k=1)`"
    yield bindings_doc.python_is_listed, "a default that changed", {package: ("k=1", "k=2")}, "k=2"
    yield bindings_doc.what_is_left_out_is_listed, "a function that a language has now", {page: ("– | – | –", "– | – | yes")}, "missing: `quern_put`"


def write(root, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)


def changed(change):
    files = dict(GOOD)
    for path, (old, new) in change.items():
        assert old in files[path], f"{path} holds no {old!r}"
        files[path] = files[path].replace(old, new)
    return files


def fails_on(rule, change, expected):
    def test(_root):
        with tempfile.TemporaryDirectory() as good, tempfile.TemporaryDirectory() as bad:
            write(good, GOOD)
            write(bad, changed(change))
            before, after = rule(good), "\n".join(rule(bad))
        return [f"the good tree: {problem}" for problem in before] + \
            ([] if expected in after else [f"expected {expected!r}, found: {after or 'nothing'}"])

    return test


def a_missing_page_is_seen(_root):
    with tempfile.TemporaryDirectory() as root:
        write(root, {path: text for path, text in GOOD.items() if not path.startswith("docs/")})
        return [f"not seen by: {sentence}" for sentence, rule in table_rules().items()
                if not rule(root) and rule is not report_doc.nothing_else_is_explained]


def writing_mends_the_page(_root):
    with tempfile.TemporaryDirectory() as root:
        write(root, changed({"docs/options.md": ("one task", "another"), "docs/status.md": ("no input", "another")}))
        doc_tables.write_table(root, options_doc.PAGE, options_doc.COLUMN, options_doc.rows_of(root))
        status_doc.write(root)
        return [f"{path} differs after --write" for path in ("docs/options.md", "docs/status.md")
                if rulekit.read(root, path) != GOOD[path]]


def table_rules():
    return {**options_doc.RULES, **status_doc.RULES, **report_doc.RULES, **bindings_doc.RULES}


def every_rule_is_tried(tried, all_rules):
    return lambda _root: [f"nothing proves that this rule can fail: {sentence}"
                          for sentence, rule in all_rules.items() if rule not in tried]


def main(cc):
    tests, tried, page_rules = {}, [], pages_doc.rules(cc, [])
    for rule, what, change, expected in violations(page_rules):
        tests[f"seen: {what}"] = fails_on(rule, change, expected)
        tried.append(rule)
    tests["seen: a missing page"] = a_missing_page_is_seen
    tests["--write mends a page and keeps the rest of it"] = writing_mends_the_page
    tests["every rule is tried"] = every_rule_is_tried(tried, {**table_rules(), **page_rules, "commands": COMMANDS})
    return rulekit.run("", tests)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
