/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/top_page.h: the page of `quern top` as lines, made of what a job writes into its directory, and of nothing else.
 *
 * The files may be anybody's: fields that are missing, or of another type, count as 0 or empty, and no line has anything in it that a terminal
 * would take for a command.
 */
#ifndef QUERN_TOOLS_TOP_PAGE_H
#define QUERN_TOOLS_TOP_PAGE_H

#include <jansson.h>
#include <stddef.h>

typedef enum quern_top_order {
    QUERN_TOP_BY_RANK,
    QUERN_TOP_BY_LOAD,
    QUERN_TOP_BY_MEMORY,
    QUERN_TOP_BY_SILENCE,
} quern_top_order;

typedef enum quern_top_style {
    QUERN_TOP_PLAIN,
    QUERN_TOP_STRONG, /* what a job is, and heads of columns */
    QUERN_TOP_ALERT,
} quern_top_style;

typedef struct quern_top_view {
    const char *name;
    const json_t *status, *ranks; /* NULL: there is none, or it cannot be read */
    double silent_seconds;        /* for how long nothing new came of a job that should run; 0: something does */
    quern_top_order order;
    size_t first;         /* of the ranks, as they are ordered, the first one to show */
    size_t columns, rows; /* to fill; rows 0: as many as it takes */
    const char *keys;     /* the last line; NULL: none */
} quern_top_view;

#define QUERN_TOP_LINE_BYTES 2048 /* of a line before it is made plain */

/* The stage that runs, by a status that has one; one of its stages that are over. What they write is not plain yet. */
void quern_top_describe_stage(const json_t *status, char line[QUERN_TOP_LINE_BYTES]);
void quern_top_describe_stage_over(const json_t *stage, char line[QUERN_TOP_LINE_BYTES]);

typedef void (*quern_top_line_fn)(void *user, const char *line, quern_top_style style);

/* Hands out lines, from the first to the last; of `rows` no more. Returns how many ranks there are. */
size_t quern_top_page(const quern_top_view *view, quern_top_line_fn line, void *user);

#endif
