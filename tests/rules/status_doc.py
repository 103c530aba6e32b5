#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/status.md says what quern/status.h says, and a remedy for each: usage: status_doc.py ROOT [--write]

--write makes the rows anew from the header and keeps the remedies, which only the page has.
"""

import os
import sys

import doc_tables
import rulekit

HEADER = "include/quern/status.h"
PAGE = "docs/status.md"
COLUMN = "code"
REMEDY = 4


def rows_of(root):
    """code, name, scope, text of each status; None if the header has no list."""
    listed = doc_tables.macro_list(root, HEADER, "QUERN_STATUS_LIST")
    return listed and [[code, f"`QUERN_ERROR_{name}`", scope.lower(), text] for name, code, scope, text in listed]


def page_equals_header(root):
    rows = rows_of(root)
    return doc_tables.table_differs(root, PAGE, COLUMN, rows, REMEDY) if rows else \
        [f"{HEADER}:1: no QUERN_STATUS_LIST"]


def each_has_a_remedy(root):
    if not os.path.exists(os.path.join(root, PAGE)):
        return [f"{PAGE}:1: there is no such page"]
    head, rows = doc_tables.table(rulekit.read(root, PAGE), COLUMN)
    return [f"{PAGE}:{number}: {row[1] if len(row) > 1 else row[0]} has no remedy"
            for number, row in enumerate(rows, head + 2) if len(row) <= REMEDY or not row[REMEDY]]


def write(root):
    _, old = doc_tables.table(rulekit.read(root, PAGE), COLUMN)
    remedies = {row[1]: row[REMEDY] for row in old if len(row) > REMEDY}
    doc_tables.write_table(root, PAGE, COLUMN, [row + [remedies.get(row[1], "")] for row in rows_of(root)])


RULES = {
    "docs/status.md lists the statuses of quern/status.h": page_equals_header,
    "docs/status.md has a remedy for each status": each_has_a_remedy,
}

if __name__ == "__main__":
    if "--write" in sys.argv:
        sys.exit(write(sys.argv[1]))
    sys.exit(rulekit.run(sys.argv[1], RULES))
