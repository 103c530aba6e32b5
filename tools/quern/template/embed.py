# SPDX-License-Identifier: BSD-3-Clause
"""Files as a table of C: usage: embed.py FILE...; prints it. A name's .txt is left out, and job becomes @NAME@."""
import json
import os
import sys


def name_of(path):
    name = os.path.basename(path).removesuffix(".txt")
    return "@NAME@.c" if name == "job.c" else name


def main(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = "\n".join("        " + json.dumps(line, ensure_ascii=False) for line in file.read().splitlines(True))
        print("    {%s,\n%s},\n" % (json.dumps(name_of(path)), text))


main(sys.argv[1:])
