#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts words: mpirun -n N python3 wordcount.py [-o DIR] [--top K] PATH..."""

import getopt
import sys

import quern

USAGE = "usage: wordcount [-o DIR] [--top K] PATH..."


def read_arguments(arguments):
    """(directory, k or None, paths); None: they are not understood."""
    directory, top = None, None
    try:
        options, paths = getopt.gnu_getopt(arguments, "o:", ["top="])
        for name, value in options:
            directory = value if name == "-o" else directory
            top = int(value) if name == "--top" else top
    except (getopt.GetoptError, ValueError):
        return None
    return (directory, top, paths) if paths and (top is None or top > 0) else None


def count_words(context, directory, top, paths):
    words = context.read_text(paths, delimiters=b" \t\n\v\f\r", skip_empty=True)
    counts = words.reduce_by_key(quern.COUNT)
    found = None
    if directory:
        counts.write_text(directory)
    if top or not directory:
        found = counts.top_k(top or 20)
    context.run()
    for word, count in found.records if found else ():
        sys.stdout.buffer.write(b"%d\t%s\n" % (count, word))
    sys.stdout.flush()


def explain(error):
    if error.rank == 0:
        print("wordcount: %s" % error, file=sys.stderr, flush=True)
    return 2 if error.status == quern.Status.INVALID_OPTION else error.exit_status


def run(context):
    """Says why before the context ends: a rank that leaves MPI with an exit code may take the others along."""
    asked = read_arguments(sys.argv[1:])
    if not asked:
        if context.rank == 0:
            print(USAGE, file=sys.stderr, flush=True)
        return 2
    try:
        count_words(context, *asked)
        return 0
    except quern.Error as error:
        return explain(error)


def main():
    try:
        with quern.Context(argv=sys.argv) as context:
            return run(context)
    except quern.Error as error:
        return explain(error)


if __name__ == "__main__":
    sys.exit(main())
