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


def public_of_cxx(root):
    """Class::member of what quern.hpp and records.hpp offer: members stand in by four, and what is not public comes last."""
    found = []
    for name in ("quern.hpp", "records.hpp"):
        with open(os.path.join(root, "include", "quern", name), encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", "", re.sub(r"^namespace detail\n.*?^} // namespace detail", "", file.read(), flags=re.DOTALL | re.MULTILINE),
                          flags=re.DOTALL)
        for owner, body in re.findall(r"^(?:template <[^\n]*> )?class (\w+)[^\n;]*\n\{\n  public:\n(.*?)^(?:  private:|\};)", text, re.DOTALL | re.MULTILINE):
            plain = re.sub(r"^    template <[^\n>]*>", "   ", body, flags=re.MULTILINE)
            members = re.findall(r"^     ?(?! )[^\n;={(]*?\b(\w+)\(", plain, re.MULTILINE)
            found += ["%s::%s" % (owner, member) for member in members if member not in (owner, "operator")]
    return sorted(set(found))


def explained_of_cxx(pages):
    """The same of the pages of classes."""
    return {"%s::%s" % (name[len("classquern_1_1"):-len(".html")].replace("__", "_"), member)
            for name in os.listdir(pages) if name.startswith("classquern_1_1") and name.endswith(".html")
            for member in re.findall(r"◆ ([\w ()]+?)\(\)", text_of(os.path.join(pages, name)))}


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
        shown = [name for name in os.listdir(pages) if name.endswith(".html") and re.match(r"\w+_8h(pp)?\.html|classquern_", name)] \
            if os.path.isdir(pages) else []
        whole = "".join(text_of(os.path.join(pages, name)) for name in shown)
        of_cxx = explained_of_cxx(pages) if shown else set()
    finally:
        shutil.rmtree(directory)
    said = done.stdout + done.stderr
    missing = [name for name in public(root) if not re.search(r"◆ %s\(\)" % name, whole)]
    members = public_of_cxx(root)
    missing_of_cxx = [name for name in members if name not in of_cxx]
    spoiled = re.findall(r"\S*(?:&#\d+;|\\[@<>#&%*])\S*", whole)
    results = {
        "Doxygen makes the reference without a warning": [] if done.returncode == 0 and not said.strip() else said.splitlines()[:20],
        "every public function is explained in it": missing,
        "every public member of a class of C++ is in it": missing_of_cxx if len(members) > 70 else ["only found %s" % members],
        "what the headers of C++ have for themselves is not in it": [name for name in shown if "detail" in name] or
        re.findall(r"◆ [^◆]*nobody there could[^◆]*", whole),
        "signs in comments are read as they stand": spoiled[:5],
    }
    print("1..%d" % len(results))
    for number, (sentence, problems) in enumerate(results.items(), 1):
        print("%sok %d - %s" % ("not " if problems else "", number, sentence))
        print("".join("#   %s\n" % problem for problem in problems), end="")
    return 1 if any(results.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
