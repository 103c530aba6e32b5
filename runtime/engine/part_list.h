/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/part_list.h: parts of an output that are finished, with what was counted in making each: as a rank tells it to the master, and as a line of
 * the journal says it.
 *
 * A part counts by itself: if it turns out to be damaged, its task is done again, and what was counted in making it is left out.
 */
#ifndef QN_ENGINE_PART_LIST_H
#define QN_ENGINE_PART_LIST_H

#include <jansson.h>

#include "runtime/base/buffer.h"
#include "runtime/io/output.h"

typedef struct qn_part_list {
    qn_part_summary *items; /* [count]; owned, and so is what follows */
    int64_t *counted;       /* [count * counter_count]; NULL: there are no counters */
    size_t count, capacity;
    size_t counter_count;
} qn_part_list;

void qn_part_list_fini(qn_part_list *list); /* takes a zeroed one */
/* counted: [counter_count], copied. QUERN_ERROR_NO_MEMORY. */
quern_status qn_part_list_add(qn_part_list *list, const qn_part_summary *summary, const int64_t *counted,
                              qn_error *error);
/* By number. Of several of one number the last one stays. */
void qn_part_list_sort(qn_part_list *list);
/* Keeps those whose bad flag is not set; [count]. */
void qn_part_list_drop(qn_part_list *list, const uint64_t *bad);

/* In a message; failed: no memory. The counted ones are read into a list of as many counters. QUERN_ERROR_INTERNAL, QUERN_ERROR_NO_MEMORY. */
void qn_part_list_encode(qn_buffer *message, const qn_part_summary *summary, const int64_t *counted,
                         size_t counter_count);
quern_status qn_part_list_decode(qn_part_list *list, const void *data, size_t bytes, qn_error *error);

/* As an array of texts; NULL: no memory. */
json_t *qn_part_list_pack(const qn_part_list *list);
/* The list is new, with its counter_count; sorted then. False: it is none, or there is no memory; the list is empty then. part_count: numbers are below it. */
bool qn_part_list_parse(qn_part_list *list, const json_t *packed, uint64_t part_count);

#endif
