#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reducer and combiner in Python: of lines key<TAB>number, sorted, the sum of each key."""
import itertools
import sys

fields = (line.rstrip(b"\n").split(b"\t", 1) for line in sys.stdin.buffer)
for key, lines in itertools.groupby(fields, key=lambda field: field[0]):
    sys.stdout.buffer.write(b"%s\t%d\n" % (key, sum(int(number) for _, number in lines)))
