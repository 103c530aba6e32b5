#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""abi.py sees what would break programs: usage: test_abi.py ROOT CC LIBRARY [MPI_FLAG...]; prints TAP."""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))

# What is done to a header: (file, what is there, what is put there, what must be said).
BREACHES = {
    "a field in the middle of a struct": ("types.h", "    uint32_t value_bytes;\n    uint32_t key_bytes;\n",
                                          "    uint32_t between;\n    uint32_t value_bytes;\n    uint32_t key_bytes;\n",
                                          "struct quern_schema.value_bytes at 8"),
    "a field of another size": ("options.h", "X(attempt_count_max, uint64_t,", "X(attempt_count_max, uint16_t,",
                                "struct quern_options.attempt_count_max"),
    "another number of an enumerator": ("operators.h", "QUERN_JOIN_ANTI = 6", "QUERN_JOIN_ANTI = 7",
                                        "constant QUERN_JOIN_ANTI 6"),
    "another parameter": ("dataset.h", "quern_keys(quern_dataset *in)", "quern_keys(quern_dataset *in, int more)",
                          "function QUERN_0 quern_dataset * quern_keys(quern_dataset *in)"),
    "a function that nobody reviewed": ("status.h", "QUERN_API int quern_exit_status",
                                        "QUERN_API int quern_new(void);\nQUERN_API int quern_exit_status",
                                        "function not exported int quern_new(void)"),
}


def run(root, rest):
    return subprocess.run([sys.executable, os.path.join(HERE, "abi.py"), root, *rest], capture_output=True, text=True)


def seen(top, rest, breach):
    name, old, new, expected = breach
    with tempfile.TemporaryDirectory() as root:
        shutil.copytree(os.path.join(top, "include"), os.path.join(root, "include"))
        os.makedirs(os.path.join(root, "tests", "abi"))
        shutil.copy(os.path.join(HERE, "quern_0.txt"), os.path.join(root, "tests", "abi"))
        path = os.path.join(root, "include", "quern", name)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with open(path, "w", encoding="utf-8") as file:
            file.write(text.replace(old, new, 1))
        if old not in text:
            return ["%s has no %r any more" % (name, old)]
        done = run(root, rest)
        return [] if done.returncode == 1 and "# " + expected in done.stdout and "write-abi" in done.stdout else \
            done.stdout.splitlines()[:8] or ["nothing was said"]


def main(top, rest):
    whole = run(top, rest)
    if "SKIP" in whole.stdout:
        print(whole.stdout, end="")
        return 0
    print("1..%d" % len(BREACHES))
    failed = 0
    for number, (what, breach) in enumerate(BREACHES.items(), 1):
        problems = seen(top, rest, breach)
        failed += bool(problems)
        print("%sok %d - seen: %s" % ("not " if problems else "", number, what))
        for problem in problems:
            print("#   " + problem)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
