#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Every rule can fail: each is given a small tree that keeps all rules, and the same tree with one violation.

usage: test_rules.py CC CXX [MPI_FLAG...]
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile

import headers
import layers
import names
import purity
import rulekit
import symbols
import format as formatting

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

TABLE = """\
| room | what it is | may use |
| --- | --- | --- |
| `include/quern` | the contract | – |
| `scheduler` | decisions | – |
| `scheduler/sim` | simulated cluster | scheduler |
| `runtime/base` | basics | include/quern |
| `runtime/comm` | messages | include/quern, runtime/base |
| `runtime/api` | public calls | include/quern, runtime/base, runtime/comm |
| `tests` | proof | all of the above |
"""

CONTEXT_H = """\
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/context.h: the context.
 *
 *     int rank = quern_context_rank(context);
 *
 * Limits: none.
 */
#ifndef QUERN_CONTEXT_H
#define QUERN_CONTEXT_H

#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

#define QUERN_API __attribute__((visibility("default")))

typedef struct quern_context quern_context;
typedef int (*quern_each_fn)(int rank, void *user);
typedef enum quern_switch {
    QUERN_AUTO = 0, /* decides: nobody */
    QUERN_ON,
} quern_switch;

/* The rank. Local, cannot fail. Since 0.1. */
QUERN_API int quern_context_rank(const quern_context *context);

static inline int quern_double(int number)
{
    return 2 * number;
}

#ifdef __cplusplus
}
#endif
#endif
"""

QUERN_H = """\
/*
 * quern/quern.h: everything.
 *
 *     (void)quern_double(argc);
 */
#ifndef QUERN_QUERN_H
#define QUERN_QUERN_H

#include <quern/context.h>

#endif
"""

SCHEDULER_C = """\
#include "scheduler/scheduler.h"

#include <string.h>

/* printf("no code") and malloc(1) in a comment are none. */
static int helper(int number)
{
    return number + 1;
}

int qn_sched_next(int number)
{
    int copy = 0;
    memcpy(&copy, &number, sizeof copy);
    return helper(copy);
}
"""

GOOD = {
    "ARCHITECTURE.md": "# Architecture\n\n" + TABLE,
    "include/quern/context.h": CONTEXT_H,
    "include/quern/quern.h": QUERN_H,
    "scheduler/scheduler.h": "#include <stdint.h>\nint qn_sched_next(int number);\n",
    "scheduler/scheduler.c": SCHEDULER_C,
    "scheduler/sim/sim.c": '#include "scheduler/scheduler.h"\n#include <stdlib.h>\n',
    "runtime/base/status.h": "#include <quern/quern.h>\nconst char *qn_status_text(int number);\n",
    "runtime/base/status.c": '#include "runtime/base/status.h"\n\n'
                             'const char *qn_status_text(int number)\n{\n    return number ? "exit(1)" : "";\n}\n',
    "runtime/comm/comm.c": '#include "runtime/base/status.h"\n#include <mpi.h>\nint qn_comm_x = MPI_SUCCESS;\n',
    "runtime/api/context.c": '#include "runtime/base/status.h"\nextern MPI_Comm qn_comm_given;\n',
    "tests/test_status.c": '#include "runtime/base/status.h"\n',
    "tests/rules/exported_symbols.txt": "quern_context_rank\n",
}


def long_function(lines):
    return "\nstatic int qn_long(void)\n{\n" + "    ;\n" * (lines - 4) + "    return 0;\n}\n"


def write(root, files):
    for path, text in files.items():
        os.makedirs(os.path.dirname(os.path.join(root, path)) or root, exist_ok=True)
        with open(os.path.join(root, path), "w", encoding="utf-8") as file:
            file.write(text)


def violations():
    """(the rule, what is wrong, {path: text to append, or (old, new)}, words of the problem that it must find)"""
    yield layers.table_is_sound, "a row names a room below", \
        {"ARCHITECTURE.md": ("simulated cluster | scheduler", "simulated cluster | runtime/base")}, "not stand above"
    yield layers.table_is_sound, "a room is empty", \
        {"ARCHITECTURE.md": "| `runtime/ghost` | nothing | – |\n"}, "runtime/ghost is empty"
    yield layers.table_is_sound, "the table is gone", \
        {"ARCHITECTURE.md": ("| room | what", "| place | what")}, "no table"
    yield layers.every_source_has_a_room, "a folder without a row", {"runtime/attic/attic.c": "\n"}, "in no room"
    yield layers.includes_follow_the_table, "an include upwards", \
        {"runtime/base/status.c": '#include "runtime/comm/comm.h"\n'}, "may not use runtime/comm"
    yield layers.includes_follow_the_table, "the scheduler includes the contract", \
        {"scheduler/scheduler.c": "#include <quern/quern.h>\n"}, "may not use include/quern"
    yield layers.includes_follow_the_table, "an include by a roundabout path", \
        {"runtime/base/status.c": '#include "../comm/comm.h"\n'}, "in no room"
    yield layers.mpi_stays_in_its_rooms, "mpi.h elsewhere", {"runtime/base/status.c": "#include <mpi.h>\n"}, "mpi.h"
    yield layers.mpi_stays_in_its_rooms, "a call in runtime/api", \
        {"runtime/api/context.c": "int x = MPI_Finalize();\n"}, "MPI_Finalize"

    yield purity.scheduler_includes_nothing_of_the_world, "the scheduler includes time.h", \
        {"scheduler/scheduler.c": "#include <time.h>\n"}, "time.h"
    yield purity.scheduler_includes_nothing_of_the_world, "the simulator includes pthread.h", \
        {"scheduler/sim/sim.c": "#include <pthread.h>\n"}, "pthread.h"
    yield purity.scheduler_calls_nothing_of_the_world, "the scheduler allocates", \
        {"scheduler/scheduler.c": "void *x = malloc(1);\n"}, "malloc"
    yield purity.scheduler_calls_nothing_of_the_world, "the simulator reads the clock", \
        {"scheduler/sim/sim.c": "long x = time(NULL);\n"}, "time"
    for word, line in {"stderr": "fputs(text, stderr);", "printf": 'printf("x");', "exit": "exit (1);",
                       "abort": "abort();", "assert": "assert(x);",
                       "STDERR_FILENO": "write(STDERR_FILENO, x, 1);"}.items():
        yield purity.library_neither_prints_nor_exits, f"the library uses {word}", \
            {"runtime/base/status.c": line + "\n"}, word

    for declaration, word in {"#define BAD 1": "BAD", "typedef struct bad bad;": "bad",
                              "enum bad_enum { QUERN_B };": "bad_enum",
                              "enum quern_e {\n    QUERN_A,\n    BAD_B = 2,\n};": "BAD_B",
                              "int bad_call(int x);": "bad_call", "typedef int (*bad_fn)(int);": "bad_fn",
                              "extern int bad_variable;": "bad_variable",
                              "static inline int bad_inline(void)\n{\n    return 0;\n}": "bad_inline"}.items():
        yield names.public_headers_declare_public_names, f"a public header declares {word}", \
            {"include/quern/quern.h": declaration + "\n"}, f"{word} is neither"
    yield names.shared_functions_carry_a_prefix, "a bare function that is not static", \
        {"runtime/base/status.c": "\nint *bare(int a,\n          int b)\n{\n    return 0;\n}\n"}, "bare is not static"
    yield names.no_type_ends_in_t, "a struct type in _t", \
        {"runtime/base/status.h": "typedef struct qn_x {\n    int a;\n} qn_x_t;\n"}, "qn_x_t"
    yield names.no_type_ends_in_t, "a function type in _t", \
        {"tests/test_status.c": "typedef int (*qn_call_t)(void);\n"}, "qn_call_t"
    yield names.files_are_named_once_in_snake_case, "a camel", {"runtime/base/bigFile.c": "\n"}, "not snake_case"
    yield names.files_are_named_once_in_snake_case, "a name twice", {"runtime/comm/status.c": "\n"}, "the same name"
    yield names.files_end_in_time, "a long file", {"tests/base/long.c": "\n" * (names.FILE_LINES_MAX + 1)}, "801 lines"
    yield names.functions_end_in_time, "a long function", \
        {"runtime/base/status.c": long_function(names.FUNCTION_LINES_MAX + 1)}, "71 lines"

    listed = "tests/rules/exported_symbols.txt"
    yield symbols.list_is_sorted, "an unsorted list", {listed: "quern_a\n"}, "does not come after"
    yield symbols.list_equals_headers, "a symbol that no header declares", {listed: "quern_z\n"}, "quern_z"
    yield symbols.list_equals_headers, "a function that nobody reviewed", \
        {"include/quern/quern.h": "QUERN_API int quern_new(void);\n"}, "quern_new"


def header_violations(rules, cxx):
    alone_c, alone_cxx, example, explained = rules.values()
    path = "include/quern/context.h"
    yield alone_c, "a header that needs another", {path: "int quern_x(uint64_t y, size_t z, bool w);\n"}, "context.h"
    yield alone_c, "a header that warns", \
        {path: "static inline int quern_w(int x)\n{\n    if (x < 1u)\n        return 1;\n    return 0;\n}\n"}, "sign"
    if cxx:
        yield alone_cxx, "a header that C++ does not take", \
            {path: "static inline int *quern_x(void *y)\n{\n    return y;\n}\n"}, "invalid conversion"
    yield example, "no example", {path: ("     int rank", "  int rank")}, "has no example"
    yield example, "an example that is out of date", \
        {path: ("= quern_context_rank(context)", "= quern_context_rank()")}, "context.h:5"
    yield explained, "no comment", {path: "QUERN_API int quern_x(void);\n"}, "quern_x lacks a comment"
    yield explained, "no word on locality", {path: ("Local, cannot", "Never does it")}, "Collective"
    yield explained, "no version", {path: (" Since 0.1.", "")}, "Since"


def problems_in(root, rule):
    found = rule(root)
    return "\n".join(found) if isinstance(found, list) else ""


def with_violation(change):
    files = dict(GOOD)
    for path, edit in change.items():
        before = files.get(path, "")
        if isinstance(edit, tuple):
            assert edit[0] in before, f"{path} holds no {edit[0]!r}"
            files[path] = before.replace(*edit)
        else:
            files[path] = before + edit
    return files


def fails_on(rule, change, expected):
    """A test: the rule finds nothing in the good tree, and the expected words in the changed one."""
    def test(_root):
        with tempfile.TemporaryDirectory() as good, tempfile.TemporaryDirectory() as bad:
            write(good, GOOD)
            write(bad, with_violation(change))
            before, after = problems_in(good, rule), problems_in(bad, rule)
        problems = [f"the good tree: {before}"] if before else []
        return problems + ([] if expected in after else [f"expected {expected!r}, found: {after or 'nothing'}"])

    return test


def built_problems(cc, code, flags, rule_of):
    """What a rule about built things says of this code."""
    with tempfile.TemporaryDirectory() as root:
        write(root, GOOD)
        write(root, {"built.c": code})
        built = os.path.join(root, "built.o")
        subprocess.run([cc, *flags, "-o", built, os.path.join(root, "built.c")], check=True)
        return problems_in(root, rule_of(built))


def objects_tell(cc):
    def test(_root):
        def rule_of(built):
            return purity.scheduler_objects_need_nothing([built])
        pure = built_problems(cc, "int qn_sched_x(int a) { return a; }\n", ["-c"], rule_of)
        impure = built_problems(cc, "#include <time.h>\nlong qn_sched_x(void) { return time(0); }\n", ["-c"], rule_of)
        return ([pure] if pure else []) + ([] if "needs time" in impure else ["a call of time() was not seen"])

    return test


def libraries_tell(cc):
    def test(_root):
        flags = ["-shared", "-fPIC"]
        good = built_problems(cc, "int quern_context_rank(void) { return 0; }\n", flags, symbols.list_equals_library)
        more = built_problems(cc, "int quern_context_rank, qn_leaked;\n", flags, symbols.list_equals_library)
        less = built_problems(cc, "static int x;\n", flags, symbols.list_equals_library)
        return ([good] if good else []) + ([] if "qn_leaked is not" in more else ["a leaked symbol was not seen"]) + \
            ([] if "quern_context_rank is in it" in less else ["a missing symbol was not seen"])

    return test


def formatting_tells(_root):
    with tempfile.TemporaryDirectory() as root:
        with open(os.path.join(TOP, ".clang-format"), encoding="utf-8") as file:
            write(root, {".clang-format": file.read(), "runtime/base/x.c": "int qn_x;\n"})
        good = formatting.sources_are_formatted(root)
        if isinstance(good, str):
            return good
        write(root, {"runtime/base/x.c": "int   qn_x ;\n"})
        bad = problems_in(root, formatting.sources_are_formatted)
    return good + ([] if "x.c:1: not formatted" in bad else ["a wrong format was not seen"])


def a_failed_rule_fails_the_script(_root):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = rulekit.run("", {"good": lambda root: [], "bad": lambda root: ["why"], "none": lambda root: "no tool"})
    wanted = "1..3\nok 1 - good\nnot ok 2 - bad\n# why\nok 3 - none # SKIP no tool\n"
    return [] if status == 1 and said.getvalue() == wanted else [f"status {status}, said: {said.getvalue()}"]


def every_rule_is_tried(tried, all_rules):
    def test(_root):
        return [f"nothing proves that this rule can fail: {sentence}"
                for sentence in all_rules if sentence not in tried]

    return test


def main(cc, cxx, mpi_flags):
    header_rules = headers.rules(cc, cxx, mpi_flags)
    all_rules = {**layers.RULES, **purity.rules([]), **names.RULES, **symbols.rules(None), **formatting.RULES,
                 **header_rules}
    tests = {
        "seen: an object of the scheduler that calls time()": objects_tell(cc),
        "seen: a library that exports too much, or too little": libraries_tell(cc),
        "seen: a source that is not formatted": formatting_tells,
    }
    tried = {
        "the scheduler's objects need nothing of the world",
        "the library exports the reviewed symbols",
        "sources are formatted",
    }
    for rule, what, change, expected in [*violations(), *header_violations(header_rules, cxx)]:
        tests[f"seen: {what}"] = fails_on(rule, change, expected)
        tried.update(sentence for sentence, known in all_rules.items() if known is rule)
    if not cxx:
        tried.add("each public header compiles alone as C++17")
    tests["a failed rule fails the script"] = a_failed_rule_fails_the_script
    tests["every rule is tried"] = every_rule_is_tried(tried, all_rules)
    return rulekit.run(TOP, tests)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
