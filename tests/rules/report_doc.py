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
VERDICT, ALERT_NAMES = "runtime/engine/verdict.c", "runtime/engine/job_status.h"
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


def row_of(root, field):
    """The words of a field's row that stand as code, but for the field and whose it is."""
    row = re.search(r"^\| `%s` \| of `\w+`: ([^|]*)\|" % field, rulekit.read(root, PAGE), re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row.group(1))) if row else set()


def told(root, call):
    """The second words of the calls by which the verdict says something; names of alerts that others tell, too."""
    if not os.path.exists(os.path.join(root, VERDICT)):
        return set()
    return set(re.findall(r'\b%s\(\s*(?:of|&of),\s*"([^"]+)"' % call, rulekit.read(root, VERDICT)))


def alert_names(root):
    there = os.path.exists(os.path.join(root, ALERT_NAMES))
    return set(re.findall(r'^#define QN_ALERT_\w+ +"([^"]+)"', rulekit.read(root, ALERT_NAMES), re.MULTILINE)) if there else set()


def compare(field, known, listed):
    return [f"{PAGE}:1: `{field}` lacks {name}, which {VERDICT} says" for name in sorted(known - listed)] + \
        [f"{PAGE}:1: `{field}` has {name}, which {VERDICT} does not say" for name in sorted(listed - known)]


def kinds_are_listed(root):
    known = told(root, "add_alert") | alert_names(root)
    return compare("kind", known, row_of(root, "kind")) if os.path.exists(os.path.join(root, PAGE)) else [f"{PAGE}:1: is missing"]


def bounds_are_listed(root):
    return compare("bound_by", told(root, "conclude"), row_of(root, "bound_by")) \
        if os.path.exists(os.path.join(root, PAGE)) else [f"{PAGE}:1: is missing"]


RULES = {
    "docs/report.md explains each figure of QN_STAGE_FIGURES": figures_are_explained,
    "docs/report.md explains each other field of the report": other_fields_are_explained,
    "docs/report.md explains no field that does not exist": nothing_else_is_explained,
    "docs/report.md lists the kinds of alerts": kinds_are_listed,
    "docs/report.md lists what bounds a run": bounds_are_listed,
}

if __name__ == "__main__":
    sys.exit(rulekit.run(sys.argv[1], RULES))
