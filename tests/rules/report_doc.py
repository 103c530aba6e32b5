#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""docs/report.md explains every field of the report, and none that does not exist: usage: report_doc.py ROOT"""

import os
import re
import sys

import doc_tables
import rulekit

FIGURES = "runtime/engine/stage_run.h"
WRITERS = ("runtime/engine/report.c", "runtime/engine/run_view.c", "runtime/engine/verdict.c")
PAGE = "docs/report.md"
# A first cell that names a field, in whichever table of the page it stands.
FIELD = re.compile(r"^\| `(\w+)` \|", re.MULTILINE)


def explained(root):
    return FIELD.findall(rulekit.read(root, PAGE)) if os.path.exists(os.path.join(root, PAGE)) else []


def figures(root):
    return [row[0] for row in doc_tables.macro_list(root, FIGURES, "QN_STAGE_FIGURES") or []]


def written(root):
    """{name: writer} of the names that writers give by name; those of the figures come from their list."""
    return {name: writer for writer in WRITERS if os.path.exists(os.path.join(root, writer))
            for name in re.findall(r'(?:json_object_set_new|set_u64)\([\w>-]+, "(\w+)"', rulekit.read(root, writer))}


def figures_are_explained(root):
    listed = figures(root)
    return [f"{PAGE}:1: no row for {name} of QN_STAGE_FIGURES" for name in listed if name not in explained(root)] \
        if listed else [f"{FIGURES}:1: no QN_STAGE_FIGURES"]


def other_fields_are_explained(root):
    names = written(root)
    return [f"{PAGE}:1: no row for {name}, which {names[name]} writes" for name in names if name not in explained(root)] \
        if names else [f"{WRITERS[0]}:1: no field is written"]


def nothing_else_is_explained(root):
    known = {*figures(root), *written(root)}
    return [f"{PAGE}:1: {name} is not in the report" for name in explained(root) if name not in known]


RULES = {
    "docs/report.md explains each figure of QN_STAGE_FIGURES": figures_are_explained,
    "docs/report.md explains each other field of the report": other_fields_are_explained,
    "docs/report.md explains no field that does not exist": nothing_else_is_explained,
}

if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], RULES))
