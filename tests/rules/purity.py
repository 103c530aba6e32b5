#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The scheduler decides and does nothing else; the library neither prints nor exits: usage: purity.py ROOT [OBJECT...]

OBJECT: the scheduler as built (objects or static libraries), whose undefined symbols are looked at with nm.
"""

import re
import subprocess
import sys

import rulekit

SCHEDULER_HEADERS = {"stdbool.h", "stddef.h", "stdint.h", "string.h"}
# The simulated cluster owns its memory and checks itself. Still no clock, no thread, no file, no printing.
SIMULATOR_HEADERS = SCHEDULER_HEADERS | {"inttypes.h", "limits.h", "math.h", "stdlib.h", "assert.h"}

MEMORY = [r"malloc", r"calloc", r"realloc", r"aligned_alloc", r"posix_memalign", r"free", r"alloca", r"mmap"]
WORLD = [r"\w*printf", r"puts", r"fopen", r"open", r"read", r"write", r"time", r"clock\w*", r"gettimeofday",
         r"nanosleep", r"u?sleep", r"s?rand\w*", r"getenv", r"pthread_\w+", r"mtx_\w+", r"thrd_\w+", r"P?MPI_\w+"]

# What a compiler may call behind the back of code that calls nothing.
OBJECT_SYMBOLS = re.compile(r"(qn_sched_\w+|mem(cpy|move|set|cmp)|str(len|n?cmp)|__stack_chk_fail"
                            r"|_GLOBAL_OFFSET_TABLE_)$")

# assert() prints and goes away in release builds: QN_ASSERT does neither.
ENDING = [r"exit", r"_exit", r"_Exit", r"quick_exit", r"abort", r"longjmp", r"siglongjmp"]
PRINTING = [r"v?printf", r"puts", r"putchar", r"perror", r"psignal", r"err", r"errx", r"warn", r"warnx", r"assert"]
STREAMS = [r"stdout", r"stderr", r"STDOUT_FILENO", r"STDERR_FILENO"]
# {path: words}: who may after all, and why. Anything new here needs a reason that a reviewer believes.
ALLOWED = {
    "runtime/base/log.c": {"STDERR_FILENO"},  # log_path "-": the user asked for it
    "runtime/engine/progress_lines.c": {"STDERR_FILENO"},  # progress=on: the user asked for it
    "runtime/base/child.c": {"_exit", "stdout", "stderr"},  # a child of ours ends so, and what callbacks printed there is theirs
    "runtime/base/crash.c": {"STDERR_FILENO", "_exit"},  # the process is ending, and nobody else can say why
}


def is_simulator(path):
    return path.startswith("scheduler/sim/")


def calls(code, names):
    """(line, name) of each use as a function. A field or a parameter may well be called `time`."""
    for match in re.finditer(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(", code):
        yield rulekit.line_of(code, match.start()), match.group(1)


def scheduler_includes_nothing_of_the_world(root):
    problems = []
    for path in rulekit.source_files(root, folders=("scheduler",)):
        allowed = SIMULATOR_HEADERS if is_simulator(path) else SCHEDULER_HEADERS
        for line, name, quoted in rulekit.includes(rulekit.read(root, path)):
            own = quoted and (name.startswith("scheduler/") or "/" not in name)
            if not own and (quoted or name not in allowed):
                problems.append(f"{path}:{line}: includes {name}")
    return problems


def scheduler_calls_nothing_of_the_world(root):
    problems = []
    for path in rulekit.source_files(root, folders=("scheduler",)):
        code = rulekit.code_of(rulekit.read(root, path))
        names = WORLD if is_simulator(path) else WORLD + MEMORY
        problems += [f"{path}:{line}: uses {word}" for line, word in calls(code, names)]
    return problems


def undefined_symbols(built):
    done = subprocess.run(["nm", "--undefined-only", "-P", built], capture_output=True, text=True, check=True)
    lines = (line.split() for line in done.stdout.splitlines())
    return {fields[0] for fields in lines if len(fields) >= 2 and fields[1] in ("U", "w")}


def scheduler_objects_need_nothing(objects):
    def rule(_root):
        if not objects:
            return "no objects given"
        return [f"{built}: needs {symbol}" for built in objects
                for symbol in sorted(undefined_symbols(built)) if not OBJECT_SYMBOLS.match(symbol)]

    return rule


def library_neither_prints_nor_exits(root):
    problems = []
    for path in rulekit.source_files(root, folders=("scheduler", "runtime")):
        code = rulekit.code_of(rulekit.read(root, path))
        found = list(rulekit.words(code, STREAMS)) + list(calls(code, PRINTING + ENDING))
        allowed = ALLOWED.get(path, set()) | ({"assert"} if is_simulator(path) else set())
        problems += [f"{path}:{line}: uses {word}" for line, word in sorted(found) if word not in allowed]
    return problems


def rules(objects):
    return {
        "the scheduler includes nothing of the world": scheduler_includes_nothing_of_the_world,
        "the scheduler calls nothing of the world": scheduler_calls_nothing_of_the_world,
        "the scheduler's objects need nothing of the world": scheduler_objects_need_nothing(objects),
        "the library neither prints nor exits": library_neither_prints_nor_exits,
    }


if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], rules(sys.argv[2:])))
