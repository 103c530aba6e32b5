#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The reference can be made of the headers: usage: test_reference.py ROOT; prints TAP."""

import html
import os
import re
import shutil
import subprocess
import sys
import tempfile


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", file.read())))


def make(root, directory):
    with open(os.path.join(root, "docs", "doxygen", "Doxyfile"), encoding="utf-8") as file:
        settings = file.read() + "OUTPUT_DIRECTORY = %s\nWARN_AS_ERROR = YES\n" % directory
    return subprocess.run(["doxygen", "-"], input=settings, capture_output=True, text=True, cwd=root)


def public(root):
    with open(os.path.join(root, "tests", "rules", "exported_symbols.txt"), encoding="utf-8") as file:
        return file.read().split()


def main(root):
    if not shutil.which("doxygen"):
        print("1..0 # SKIP there is no doxygen here")
        return 0
    directory = tempfile.mkdtemp(prefix="qdoxygen.")
    try:
        done = make(root, directory)
        pages = os.path.join(directory, "doxygen-html")
        whole = "".join(text_of(os.path.join(pages, name)) for name in os.listdir(pages) if name.endswith("_8h.html")) \
            if os.path.isdir(pages) else ""
    finally:
        shutil.rmtree(directory)
    said = done.stdout + done.stderr
    missing = [name for name in public(root) if not re.search(r"◆ %s\(\)" % name, whole)]
    spoiled = re.findall(r"\S*(?:&#\d+;|\\[@<>#&%*])\S*", whole)
    results = {
        "Doxygen makes the reference without a warning": [] if done.returncode == 0 and not said.strip() else said.splitlines()[:20],
        "every public function is explained in it": missing,
        "signs in comments are read as they stand": spoiled[:5],
    }
    print("1..%d" % len(results))
    for number, (sentence, problems) in enumerate(results.items(), 1):
        print("%sok %d - %s" % ("not " if problems else "", number, sentence))
        print("".join("#   %s\n" % problem for problem in problems), end="")
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
