#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/options.md says what quern/options.h says: usage: options_doc.py ROOT [--write]

--write makes the rows of the table anew from the header.
"""

import sys

import doc_tables
import rulekit

HEADER = "include/quern/options.h"
PAGE = "docs/options.md"
COLUMN = "argument"


def rows_of(root):
    """argument, variable, field, kind, default, meaning of each option; None if the header has no list."""
    listed = doc_tables.macro_list(root, HEADER, "QUERN_OPTION_LIST")
    return listed and [[f"`--quern-{name}`", f"`QUERN_{name.upper().replace('-', '_')}`", f"`{field}`", kind, default,
                        meaning] for field, _, name, kind, default, meaning in listed]


def page_equals_header(root):
    rows = rows_of(root)
    return doc_tables.table_differs(root, PAGE, COLUMN, rows) if rows else [f"{HEADER}:1: no QUERN_OPTION_LIST"]


RULES = {"docs/options.md lists the options of quern/options.h": page_equals_header}

if __name__ == "__main__":
    if "--write" in sys.argv:
        sys.exit(doc_tables.write_table(sys.argv[1], PAGE, COLUMN, rows_of(sys.argv[1])))
    sys.exit(rulekit.run(sys.argv[1], RULES))
