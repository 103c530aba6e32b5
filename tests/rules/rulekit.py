# SPDX-License-Identifier: BSD-3-Clause
"""What the rule scripts share: walking the tree, blanking comments and strings of C, and saying it in TAP.

A rule is a function that takes a tree's root and returns a list of problems, each a line "path:line: what". Every rule
is one TAP test; test_rules.py proves that each can fail.
"""

import os
import re
import sys

CODE_FOLDERS = ("include", "scheduler", "runtime", "examples", "tools", "tests")

# A comment, a string or a character; whichever begins first wins.
_NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
# A definition in our layout: the head begins in column 0, and the brace stands alone in column 0.
_FUNCTION = re.compile(r"^(?P<head>[A-Za-z_][\w \t*]*[ \t*])(?P<name>\w+)\((?P<params>[^;{}]*)\)\s*\n\{", re.MULTILINE)


def source_files(root, endings=(".c", ".h"), folders=CODE_FOLDERS):
    """Paths relative to root, with /, sorted; no hidden folders, no caches, nothing built."""
    found = []
    for folder in folders:
        for where, subfolders, names in os.walk(os.path.join(root, folder)):
            subfolders[:] = sorted(s for s in subfolders if not s.startswith((".", "__", "build")))
            found += [os.path.relpath(os.path.join(where, n), root).replace(os.sep, "/")
                      for n in names if n.endswith(endings)]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def blank(match):
    """Spaces instead of what matched, so that offsets and line numbers stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def _blank_text(match):
    text = match.group(0)
    return text[0] + blank(match)[1:-1] + text[0] if text[0] in "\"'" else blank(match)


def code_of(text):
    """C without comments and without what stands in strings and characters; same length, same lines."""
    return _NOT_CODE.sub(_blank_text, text)


def without_directives(code):
    return _DIRECTIVE.sub(blank, code)


def without_attributes(code):
    return _ATTRIBUTE.sub(blank, code)


def functions(code):
    """The definitions in C that went through code_of()."""
    return list(_FUNCTION.finditer(without_attributes(without_directives(code))))


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def includes(text):
    """(line, name, quoted) of each #include."""
    for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>\n]+)>|"([^"\n]+)")', text, re.MULTILINE):
        yield line_of(text, match.start()), match.group(1) or match.group(2), match.group(2) is not None


def words(code, names):
    """(line, word) wherever one of the regular expressions in names matches a whole identifier."""
    for match in re.finditer(r"(?<!\w)(?:" + "|".join(names) + r")(?!\w)", code):
        yield line_of(code, match.start()), match.group(0)


def run(root, rules):
    """Runs {sentence: rule} on the tree, speaks TAP, returns the exit status. A rule may return a string: skipped."""
    print(f"1..{len(rules)}")
    failed = False
    for number, (sentence, rule) in enumerate(rules.items(), 1):
        problems = rule(root)
        if isinstance(problems, str):
            print(f"ok {number} - {sentence} # SKIP {problems}")
            continue
        failed = failed or bool(problems)
        print(f"{'not ok' if problems else 'ok'} {number} - {sentence}")
        for problem in problems:
            for line in problem.splitlines():
                print(f"# {line}")
    sys.stdout.flush()
    return 1 if failed else 0
