#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Mapper in Python: word<TAB>1 for each word. quern stream --map words.py --combine sum.py --reduce sum.py -o DIR PATH..."""
import sys

for line in sys.stdin.buffer:
    for word in line.split():
        sys.stdout.buffer.write(word + b"\t1\n")
