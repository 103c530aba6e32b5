# SPDX-License-Identifier: BSD-3-Clause
"""What the *_doc rules share: the lists in the headers (X-macros) and the tables in the pages."""

import os
import re
import sys

import rulekit

_ITEM = re.compile(r'\s*(?:(?P<text>(?:"(?:\\.|[^"\\])*"\s*)+)|(?P<word>[^",()]+?))\s*(?P<end>[,)])')


def unquoted(text):
    """Neighbouring C strings as one; the lists hold no escapes but \\" and \\\\."""
    return re.sub(r"\\(.)", r"\1", "".join(re.findall(r'"((?:\\.|[^"\\])*)"', text)))


def macro_list(root, path, macro):
    """The rows of `#define MACRO(X) X(a, "b") X(c, "d")` as tuples of text; None if there is no such macro."""
    found = re.search(rf"^#define {macro}\(X\)((?:[^\n]*\\\n)*[^\n]*)", rulekit.read(root, path), re.MULTILINE)
    if not found:
        return None
    body, rows = found.group(1).replace("\\\n", "\n"), []
    for start in re.finditer(r"(?<!\w)X\(", body):
        cells, at, more = [], start.end(), True
        while more:
            item = _ITEM.match(body, at)
            if not item:
                break
            cells.append(unquoted(item["text"]) if item["text"] else item["word"])
            at, more = item.end(), item["end"] == ","
        rows.append(tuple(cells))
    return rows


def cells_of(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def table(text, first_column):
    """(line number of the head, rows) of the table whose first column is called so; (0, []) if there is none."""
    lines = text.split("\n")
    for number, line in enumerate(lines):
        if line.startswith("|") and cells_of(line)[0] == first_column:
            rows = []
            for row in lines[number + 2:]:
                if not row.startswith("|"):
                    break
                rows.append(cells_of(row))
            return number + 1, rows
    return 0, []


def table_differs(root, page, first_column, wanted, compared=None):
    """Problems where the page's table is not `wanted` (rows of cells), looking at the first `compared` columns."""
    if not os.path.exists(os.path.join(root, page)):
        return [f"{page}:1: there is no such page"]
    head, rows = table(rulekit.read(root, page), first_column)
    if not head:
        return [f"{page}:1: there is no table with a column '{first_column}'"]
    problems = []
    found = [row[:compared] for row in rows]
    for number, row in enumerate(found, head + 2):
        if row not in wanted:
            problems.append(f"{page}:{number}: not in the header: {' | '.join(row)}")
    for row in wanted:
        if row not in found:
            problems.append(f"{page}:{head}: missing: {' | '.join(row)}")
    if not problems and found != wanted:
        problems.append(f"{page}:{head}: the rows are not in the header's order")
    return problems


def write_table(root, page, first_column, rows):
    """Replaces the rows of a table that is there already."""
    path = os.path.join(root, page)
    text = rulekit.read(root, page)
    head, old = table(text, first_column)
    if not head:
        sys.exit(f"{page}: there is no table with a column '{first_column}'")
    lines = text.split("\n")
    lines[head + 1:head + 1 + len(old)] = ["| " + " | ".join(row) + " |" for row in rows]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines))
