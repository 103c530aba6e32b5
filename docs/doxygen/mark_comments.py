#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A header for Doxygen: usage: mark_comments.py HEADER; prints it.

Comments become Doxygen's: that which opens a file is the file's, one behind code on its line belongs to that, any other one to what follows. Those behind
the head of a block of code are left out. Signs that Doxygen would take for commands, tags or links are escaped, but in examples, which are indented by four
and stay as they are.
"""

import re
import sys

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
SIGNS = re.compile(r"[\\@<>#&%*]")
EXAMPLE = re.compile(r"^ \*     ")
RULE = re.compile(r"/\* -{4}.*?\*/")
BLOCK = re.compile(r"\)[\w\s]*\{\s*$")


def escaped(text):
    return SIGNS.sub(lambda match: "\\" + match.group(0), text)


def escaped_line(line):
    if EXAMPLE.match(line):
        return line
    begin = re.match(r" ?\*? ?", line).group(0)
    return begin + escaped(line[len(begin):])


def body(comment):
    lines = comment[2:-2].split("\n")
    return "\n".join([escaped(lines[0])] + [escaped_line(line) for line in lines[1:]])


def marked(text):
    out, at, has_file = [], 0, False
    for match in COMMENT.finditer(text):
        comment = match.group(0)
        before = text[at:match.start()]
        out.append(before)
        at = match.end()
        line = text[text.rfind("\n", 0, match.start()) + 1:match.start()]
        if "SPDX-License" in comment or RULE.fullmatch(comment) or line.lstrip().startswith("#") or line.rstrip().endswith("\\") or \
                BLOCK.search(line):
            out.append("\n" * comment.count("\n"))
        elif not has_file and comment.startswith("/*\n"):
            has_file = True
            out.append("/** \\file" + body(comment) + "*/")
        elif line.strip() and not line.rstrip().endswith("("):
            out.append("/**< " + body(comment).strip() + " */")
        else:
            out.append("/**" + body(comment) + "*/")
    out.append(text[at:])
    return "".join(out)


def main(path):
    with open(path, encoding="utf-8") as file:
        sys.stdout.write(marked(file.read()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
