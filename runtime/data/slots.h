/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/data/slots.h: an array of slots in the order of the hash; what a table is made of.
 *
 * Intuition. A slot's place is the key's tag scaled to the array's size, so the array is nearly sorted by tag at all times. That
 * one property pays four times: growing is one backward sweep in place (no second array, no re-hash, no random
 * access); a partition is a range of slots; a spilled run or an output needs no sort beyond neighbours; and
 * what other ranks send falls into one small region after another.
 *
 * Model. Open addressing, linear probing without wrap-around: slot_count slots, then a pad that the last clusters may run
 * into, whose last slot always stays empty. A slot is a tag, key_words words of key and value_words words of value; a tag of
 * 0 is an empty slot. Nothing is ever deleted, except everything at once.
 *
 * Invariants. Between a key's place and its slot there is no empty slot. Keys in different clusters (maximal runs of full
 * slots) are ordered by tag as the clusters are.
 *
 * Keys that come in the order of their tags (from an earlier output) crowd one region of an array that is too small for what is
 * still to come, and linear probing would go quadratic. Three things against it: what a long probe passed and found to be sorted is
 * remembered as a stretch, which later probes skip or search by bisection; long probes all the same (QN_SLOTS_PROBE_MAX)
 * make the array grow early; and where that does not help, the array is mixed: places are by a multiple of the tag, as in any
 * hash table. Who then wants a range or the order has the slots sorted first, side by side at the front; keys that come later mix them
 * again. Clearing ends both.
 */
#ifndef QN_DATA_SLOTS_H
#define QN_DATA_SLOTS_H

#include <stdbool.h>

#include "runtime/base/hash.h"
#include "runtime/base/status.h"

#define QN_SLOTS_PROBE_MAX  128
#define QN_SLOTS_COMING_MAX 512 /* keys that may be put in between two calls of qn_slots_make_room() */

typedef struct qn_slots {
    uint8_t *memory;
    uint64_t slot_count; /* without the pad */
    uint64_t pad_count;
    uint64_t factor;    /* 1, unless mixed */
    uint64_t scale;     /* place = high word of (tag - tag_first) * factor * scale */
    uint64_t tag_first; /* the range of tags that may come: tag_first … tag_last */
    uint64_t tag_last;
    uint32_t slot_count_first, pad_count_first; /* of the smallest array */
    uint64_t used_count;
    uint64_t grow_at;                    /* used_count at which it grows */
    uint32_t stride;                     /* bytes of a slot */
    uint32_t key_words;                  /* 0: the tag is the key; 2: k0 and k1 of qn_key follow it */
    uint32_t expected_percent;           /* keys expected in the end, of those of now */
    bool crowded;                        /* a probe was too long */
    bool mixed;                          /* not in the order of tags */
    bool is_huge;                        /* on huge pages since it grew */
    bool sorted;                         /* it was mixed, and is now sorted: the slots [0, used_count) */
    uint64_t stretch_begin, stretch_end; /* full slots in ascending order of tags */
    size_t reserved_bytes;
} qn_slots;

typedef enum qn_slots_result {
    QN_SLOTS_OK,
    QN_SLOTS_FULL,      /* it would need more than bytes_max */
    QN_SLOTS_NO_MEMORY, /* the system refused; what was in it may be lost */
} qn_slots_result;

/* The smallest array, for tags of [tag_first, tag_last]; it is expected to grow to bytes_max. False: no address space. */
bool qn_slots_init(qn_slots *slots, uint32_t key_words, uint32_t value_words, uint64_t tag_first, uint64_t tag_last,
                   size_t bytes_max);
void qn_slots_fini(qn_slots *slots); /* takes a zeroed one */
/* Empties it and gives its memory back. */
void qn_slots_clear(qn_slots *slots);

/* Empties it but keeps its memory and its size, for tags of another range. */
void qn_slots_restart(qn_slots *slots, uint64_t tag_first, uint64_t tag_last);

static inline size_t qn_slots_get_bytes(const qn_slots *slots)
{
    return (slots->slot_count + slots->pad_count) * slots->stride;
}

static inline __attribute__((always_inline)) uint64_t qn_slots_place(const qn_slots *slots, uint64_t tag)
{
    uint64_t scaled = (tag - slots->tag_first) * slots->factor;
    return (uint64_t)(((unsigned __int128)scaled * slots->scale) >> 64);
}

/* Whether so many more keys would make it grow. */
static inline bool qn_slots_lacks(const qn_slots *slots, uint64_t coming)
{
    return slots->used_count + coming > slots->grow_at;
}

/* Sorts all slots by key, side by side at the front: scans then give them in order. What is put in later mixes them. */
void qn_slots_sort(qn_slots *slots);

/* How many keys have a tag of [tag_first, tag_last]. */
uint64_t qn_slots_count_range(qn_slots *slots, uint64_t tag_first, uint64_t tag_last);

/* Before `coming` more keys, of which QN_SLOTS_COMING_MAX may be put in before the next call: grows if it is full or crowded. */
qn_slots_result qn_slots_make_room(qn_slots *slots, size_t coming, size_t bytes_max);

/* The slot with this tag, or the empty one where it belongs, for a tag that is not near its place. To put a key in, fill the empty
 * slot and count it in used_count. */
uint64_t *qn_slots_probe(qn_slots *slots, uint64_t tag);

/* The first slot that may have this tag, where others with it follow, or the empty one behind them. */
const uint64_t *qn_slots_find(qn_slots *slots, uint64_t tag);

/* Moves what has a tag of [tag_first, tag_last] into an empty array of the same kind with room for it. What `from` then holds of these
 * tags is undefined, and the memory of most of it given back. False: no memory. */
bool qn_slots_move(qn_slots *to, qn_slots *from, uint64_t tag_first, uint64_t tag_last);

/* Goes through the slots of the tags [tag_first, tag_last] as they lie. */
typedef struct qn_slots_scan {
    const uint8_t *next, *last_place; /* behind it the next empty slot is the end, */
    const uint8_t *end;               /* or this */
    uint64_t tag_first, tag_span;
    uint32_t stride;
} qn_slots_scan;

/* Unless the range is that of the array, a mixed one is sorted. */
qn_slots_scan qn_slots_scan_of(qn_slots *slots, uint64_t tag_first, uint64_t tag_last);
/* The next slots, up to `max`; 0 at the end. There is room for one more in slots_out. To go back, set `next`. */
size_t qn_slots_scan_take(qn_slots_scan *scan, const uint64_t **slots_out, size_t max);

/* Goes through the slots of the tags [tag_first, tag_last] in the order of keys. */
typedef struct qn_slots_cursor {
    qn_slots *slots;
    uint64_t next;        /* index */
    uint64_t cluster_end; /* slots before it are sorted */
    uint64_t tag_first, tag_last;
    uint64_t fetched; /* slots before it had their long keys fetched into the cache */
} qn_slots_cursor;

qn_slots_cursor qn_slots_cursor_of(qn_slots *slots, uint64_t tag_first, uint64_t tag_last);
/* The next slot; NULL at the end. It stays in place until the array is changed. */
const uint64_t *qn_slots_cursor_peek(qn_slots_cursor *cursor);
void qn_slots_cursor_step(qn_slots_cursor *cursor);
#endif
