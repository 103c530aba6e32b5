/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/sort_piles.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

#define PAYS_FROM_BYTES  ((uint64_t)64 << 20)  /* smaller ones are found quickly wherever they lie */
#define RECORD_BYTES_MAX 48                    /* on average: copying larger ones costs more than looking at them */
#define PILE_BYTES       ((uint64_t)512 << 10) /* aimed at */
#define PILE_COUNT_MAX   2048
#define STAGE_BYTES                                                                                                    \
    256 /* collected of a pile before it is written: neighbours in memory, so that few pages are changed */

typedef struct pile {
    uint64_t begin, end; /* where in the new memory; end grows as it is filled */
    uint32_t staged_bytes;
    uint8_t *stage; /* [STAGE_BYTES] */
} pile;

typedef struct dealing {
    uint64_t first_prefix;
    uint32_t shift;
    uint32_t pile_count;
    pile *piles;
    uint8_t *stages;
    uint8_t *to;
} dealing;

bool qn_sort_piles_pay(uint64_t bytes, size_t count)
{
    return bytes >= PAYS_FROM_BYTES && bytes / count <= RECORD_BYTES_MAX;
}

static uint32_t pile_of(const dealing *dealt, uint64_t prefix)
{
    return (uint32_t)((prefix - dealt->first_prefix) >> dealt->shift);
}

/* Piles are equal stretches of the prefixes that there are. */
static void choose_piles(dealing *dealt, const qn_sort_entry *entries, size_t count, uint64_t bytes)
{
    uint64_t first = UINT64_MAX, last = 0, wanted = bytes / PILE_BYTES + 1;
    for (size_t i = 0; i < count; i++) {
        first = entries[i].prefix < first ? entries[i].prefix : first;
        last = entries[i].prefix > last ? entries[i].prefix : last;
    }
    if (wanted > PILE_COUNT_MAX)
        wanted = PILE_COUNT_MAX;
    dealt->first_prefix = first;
    while (dealt->shift < 63 && (last - first) >> dealt->shift >= wanted)
        dealt->shift++;
    dealt->pile_count = pile_of(dealt, last) + 1;
}

static bool make_piles(dealing *dealt)
{
    dealt->piles = calloc(dealt->pile_count, sizeof *dealt->piles);
    dealt->stages = malloc((size_t)dealt->pile_count * STAGE_BYTES);
    if (!dealt->piles || !dealt->stages)
        return false;
    for (uint32_t i = 0; i < dealt->pile_count; i++)
        dealt->piles[i].stage = dealt->stages + (size_t)i * STAGE_BYTES;
    return true;
}

static void free_piles(dealing *dealt)
{
    free(dealt->piles);
    free(dealt->stages);
}

/* Records lie one behind the other, so the next one's place is this one's end. */
static uint64_t bytes_of(const qn_sort_entry *entries, size_t i, size_t count, uint64_t bytes)
{
    return (i + 1 < count ? entries[i + 1].place : bytes) - entries[i].place;
}

static void place_piles(dealing *dealt, const qn_sort_entry *entries, size_t count, uint64_t bytes)
{
    uint64_t begin = 0;
    for (size_t i = 0; i < count; i++)
        dealt->piles[pile_of(dealt, entries[i].prefix)].end += bytes_of(entries, i, count, bytes);
    for (uint32_t i = 0; i < dealt->pile_count; i++) {
        uint64_t pile_bytes = dealt->piles[i].end;
        dealt->piles[i].begin = dealt->piles[i].end = begin;
        begin += pile_bytes;
    }
    QN_ASSERT(begin == bytes);
}

static void write_stage(dealing *dealt, pile *filled)
{
    memcpy(dealt->to + filled->end, filled->stage, filled->staged_bytes);
    filled->end += filled->staged_bytes;
    filled->staged_bytes = 0;
}

static void deal(dealing *dealt, const uint8_t *from, const qn_sort_entry *entries, size_t count, uint64_t bytes)
{
    for (size_t i = 0; i < count; i++) {
        pile *filled = &dealt->piles[pile_of(dealt, entries[i].prefix)];
        uint64_t record_bytes = bytes_of(entries, i, count, bytes);
        if (QN_UNLIKELY(filled->staged_bytes + record_bytes > STAGE_BYTES))
            write_stage(dealt, filled);
        if (QN_UNLIKELY(record_bytes > STAGE_BYTES)) {
            memcpy(dealt->to + filled->end, from + entries[i].place, record_bytes);
            filled->end += record_bytes;
            continue;
        }
        memcpy(filled->stage + filled->staged_bytes, from + entries[i].place, record_bytes);
        filled->staged_bytes += (uint32_t)record_bytes;
    }
    for (uint32_t i = 0; i < dealt->pile_count; i++)
        write_stage(dealt, &dealt->piles[i]);
}

/* Entries anew, pile by pile. */
static void sort_piles(const dealing *dealt, const qn_collation *collation, qn_sort_entry *entries,
                       qn_sort_entry *scratch, size_t count)
{
    size_t filled = 0;
    for (uint32_t i = 0; i < dealt->pile_count; i++) {
        const pile *sorted = &dealt->piles[i];
        size_t first = filled;
        for (uint64_t at = sorted->begin; at < sorted->end; filled++) {
            qn_packed record;
            entries[filled].place = at;
            at += qn_sort_decode(&collation->layout, dealt->to + at, &record);
            entries[filled].prefix = qn_collation_prefix(collation, &record);
        }
        qn_sort_entries(collation, dealt->to, entries + first, scratch, filled - first);
    }
    QN_ASSERT(filled == count);
}

bool qn_sort_piles(const qn_collation *collation, const uint8_t *from, uint64_t bytes, uint8_t *to,
                   qn_sort_entry *entries, qn_sort_entry *scratch, size_t count)
{
    dealing dealt = {.to = to};
    choose_piles(&dealt, entries, count, bytes);
    bool made = make_piles(&dealt);
    if (made) {
        place_piles(&dealt, entries, count, bytes);
        deal(&dealt, from, entries, count, bytes);
        sort_piles(&dealt, collation, entries, scratch, count);
    }
    free_piles(&dealt);
    return made;
}
