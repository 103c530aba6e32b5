#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What programs were compiled against is still there: usage: abi.py ROOT CC LIBRARY [MPI_FLAG...] [--write]

The reviewed list is tests/abi/quern_0.txt: each public function as it is declared, with the version that the library gives it;
sizes of public structs, offsets and sizes of their fields; values of enumerators and of macros that are integers. The headers say what there is,
a compiled program where it lies. The list is that of machines with 64-bit pointers and little-endian numbers.

A line that is gone or different breaks programs that were linked against the library before; a new one does not, unless it is a field in a
struct without struct_size. --write makes the list anew; then review the difference.
"""

import os
import re
import struct
import subprocess
import sys
import tempfile

LIST_FILE = "tests/abi/quern_0.txt"
VERSION = "QUERN_0"
ADVICE_GONE = """a program that was linked against the library before may now crash or read the wrong bytes.
#   Take the change back: new fields go to the end of structs that have struct_size, new meanings to new functions. If it has to be, and
#   after a release: raise quern_soversion in runtime/api/meson.build, begin the nodes of runtime/api/quern.map again, and say so in CHANGELOG.md.
#   If nothing was released with it yet, or when all that is done: {command}"""
ADVICE_NEW = """new, and not reviewed. If it is meant to be a promise: {command}"""


class Unsuitable(Exception):
    pass


def compiled(cc, flags, source, *arguments):
    done = subprocess.run([*cc, *flags, *arguments, "-x", "c", "-"], input=source, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit("abi.py: %s says: %s" % (cc[0], done.stderr[-2000:]))
    return done.stdout


def declarations(cc, flags):
    """The preprocessed text of our own headers, each in one line of words with single spaces."""
    text, ours = [], False
    for line in compiled(cc, flags, "#include <quern/quern.h>\n", "-E").splitlines():
        mark = re.match(r'# \d+ "([^"]*)"', line)
        if mark:
            ours = "/quern/" in mark.group(1)
        elif ours:
            text.append(line)
    return re.sub(r"\s+", " ", re.sub(r"__attribute__ ?\(\(.*?\)\)\)", "", " ".join(text)))


def members(body):
    """The names of a struct's fields; of what is a pointer to a function, too."""
    for declaration in body.split(";"):
        if not declaration.strip():
            continue
        pointer = re.search(r"\(\*(\w+)\)", declaration)
        if pointer:
            yield pointer.group(1)
            continue
        first, *others = re.sub(r"\[[^]]*\]", "", declaration).split(",")
        yield re.findall(r"\w+", first)[-1]
        for other in others:
            yield re.findall(r"\w+", other)[-1]


def structs(text):
    return {name: list(members(body)) for name, body, _ in
            re.findall(r"typedef struct (quern_\w+) \{([^{}]*)\} (quern_\w+) ?;", text)}


def enumerators(text):
    for body in re.findall(r"typedef enum quern_\w+ \{([^{}]*)\}", text):
        yield from re.findall(r"\b(QUERN_\w+)\b(?=[^,]*)", re.sub(r"=[^,}]*", "", body))


def integer_macros(cc, flags):
    for line in compiled(cc, flags, "#include <quern/quern.h>\n", "-dM", "-E").splitlines():
        match = re.fullmatch(r"#define (QUERN_\w+) \(?-?(?:\d+|0x[0-9a-fA-F]+|UINT64_C\(\d+\))[uUlL]*\)?", line)
        if match:
            yield match.group(1)


def functions(text):
    """As declared, without names of parameters' places in the text: {name: declaration}."""
    bare = re.sub(r"static inline [^{;]*\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}", " ", text)
    found = {}
    for chunk in bare.split(";"):
        match = re.search(r"((?:const )?\w+ \**)(quern_\w+)\(([^{}]*)\)\s*$", chunk)
        if match and "typedef" not in chunk and "(*" not in match.group(1):
            result, name, parameters = match.groups()
            found[name] = "%s %s(%s)" % (result.strip(), name, parameters.strip())
    return found


def measured(cc, flags, text):
    """The program's lines on structs, enumerators and macros."""
    source = ["#include <quern/quern.h>", "#include <stddef.h>", "#include <stdio.h>", "int main(void) {"]
    for name, fields in structs(text).items():
        source.append('printf("struct %s bytes %%zu\\n", sizeof(%s));' % (name, name))
        for field in fields:
            source.append('printf("struct %s.%s at %%zu bytes %%zu\\n", offsetof(%s, %s), sizeof(((%s *)0)->%s));' %
                          (name, field, name, field, name, field))
    for name in enumerators(text):
        source.append('printf("constant %s %%lld\\n", (long long)%s);' % (name, name))
    for name in integer_macros(cc, flags):
        source.append('printf("macro %s %%lld\\n", (long long)%s);' % (name, name))
    source.append("return 0; }")
    with tempfile.TemporaryDirectory() as directory:
        program = os.path.join(directory, "layout")
        compiled(cc, flags, "\n".join(source) + "\n", "-w", "-o", program)
        return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def versions(library):
    """{name: version} of what the library exports."""
    done = subprocess.run(["nm", "-D", "--defined-only", "-P", library], capture_output=True, text=True, check=True)
    found = {}
    for row in map(str.split, done.stdout.splitlines()):
        if row and row[1] != "A":
            name, _, version = row[0].partition("@@")
            found[name] = version or "without a version"
    return found


def list_of(root, cc, library, mpi_flags):
    flags = ["-I", os.path.join(root, "include"), *mpi_flags]
    text = declarations(cc, flags)
    given = versions(library)
    lines = ["function %s %s" % (given.pop(name, "not exported"), declaration)
             for name, declaration in functions(text).items()]
    lines += ["function %s %s in no header" % (version, name) for name, version in given.items()]
    return sorted(lines) + sorted(set(measured(cc, flags, text)))


def report(number, sentence, problems):
    print("%sok %d - %s" % ("not " if problems else "", number, sentence))
    for problem in problems:
        print("# " + problem)


def main(arguments):
    writes = "--write" in arguments
    root, cc, library, *mpi_flags = [argument for argument in arguments if argument != "--write"]
    if struct.calcsize("P") != 8 or sys.byteorder != "little":
        print("1..0 # SKIP the reviewed list is that of machines with 64-bit pointers and little-endian numbers")
        return 0
    path = os.path.join(root, LIST_FILE)
    now = list_of(root, cc.split(), library, mpi_flags)
    if writes:
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(line + "\n" for line in now)
        return 0
    with open(path, encoding="utf-8") as file:
        reviewed = file.read().splitlines()
    command = "meson compile -C BUILD write-abi, then review the difference of %s." % LIST_FILE
    gone = [line for line in reviewed if line not in set(now)]
    new = [line for line in now if line not in set(reviewed)]
    print("1..3")
    report(1, "every export has the version %s" % VERSION,
           ["%s: %s" % item for item in sorted(versions(library).items()) if item[1] != VERSION])
    report(2, "what programs were compiled against is as it was",
           gone and gone + [ADVICE_GONE.format(command=command)])
    report(3, "what is public was reviewed", new and new + [ADVICE_NEW.format(command=command)])
    return 1 if gone or new else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
