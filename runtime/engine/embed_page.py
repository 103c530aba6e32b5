#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The page of reports as two arrays of C, before and behind the report: usage: embed_page.py PAGE OUTPUT"""
import sys

MARK = b"@REPORT@"


def array(name, data):
    rows = [", ".join(str(byte) for byte in data[at:at + 32]) for at in range(0, len(data), 32)]
    return f"static const unsigned char {name}[] = {{\n" + ",\n".join(rows) + "};\n"


def main(page, output):
    with open(page, "rb") as file:
        before, behind = file.read().split(MARK)
    with open(output, "w") as file:
        file.write(array("page_before", before) + array("page_behind", behind))


if __name__ == "__main__":
    main(*sys.argv[1:])
