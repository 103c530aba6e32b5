/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/slots.h"

#include <quern/types.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

#define SLOT_COUNT_FIRST      2048
#define SLOT_COUNT_FIRST_MIN  256
#define PAD_COUNT_FIRST       1024
#define PAD_COUNT_FIRST_MIN   (QN_SLOTS_COMING_MAX + 128)
#define FIRST_PART            8  /* of its memory that the smallest array takes at most, if it can */
#define LOOK_AHEAD_COUNT      24 /* slots between a cursor and the long keys that it fetches */
#define SCAN_AHEAD_BYTES      2048
#define MOVED_AT_ONCE         512
#define SORT_BY_INSERTION_MAX 48
#define CROWDED_PART          4 /* an array that is crowded and cannot grow counts as full from this part of its keys on */
#define HUGE_BYTES_MIN        (8 * QN_PAGE_HUGE_BYTES) /* below that budget, whole huge pages would be too coarse */
#define HUGE_FROM_BYTES       (QN_PAGE_HUGE_BYTES / 4) /* below that size, too dear */
#define DOUBLING_BYTES_MAX    ((uint64_t)4 << 20) /* smaller ones at least double; larger ones grow by half at least */
#define STRETCHES_MAX         2                   /* that a probe may skip without a crowd being called one */
#define LOAD_PERCENT_MAX      50                  /* a fuller array is slower, and so is an emptier one */
#define LAST_PERCENT_MAX      66                  /* of one that will not have to grow any more */
#define TIGHT_PERCENT_MAX     75                  /* of one that cannot grow any more */
#define GROWTH_PERCENT_MIN    125
#define GROWTH_PERCENT        150
#define GROWTH_PERCENT_SMALL  200
#define WINDOW_COUNT          256 /* slots that growing moves at a time */
#define GROWING_STEPS_MAX                                                                                              \
    ((uint64_t)4 << 20) /* probes while growing, beside some for each key, that no crowd should need more of */
#define GROWING_STEPS_PER_KEY 32
#define REPLACED_COUNT_MAX    4096 /* slots that may be put back one by one */
#define MIXED_PART            4 /* fuller ones are not mixed but grow, and so are those below a half of what they may cost */
#define MIXED_FACTOR          UINT64_C(0x9e3779b97f4a7c15) /* odd, its bits evenly spread */
#define SORT_BITS             8
#define SORTING_STEPS_PER_KEY 16
#define STRIDE_MAX            (sizeof(qn_key) + QUERN_FIXED_BYTES_MAX)

static inline __attribute__((always_inline)) uint64_t *slot_at(const qn_slots *slots, uint64_t index)
{
    return (uint64_t *)(slots->memory + index * slots->stride);
}

static uint64_t slots_in_all(const qn_slots *slots)
{
    return slots->slot_count + slots->pad_count;
}

/* Copies of the two most usual sizes are inlined. */
static inline __attribute__((always_inline)) void copy_slot(void *to, const void *from, size_t stride)
{
    if (stride == 32)
        memcpy(to, from, 32);
    else if (stride == 16)
        memcpy(to, from, 16);
    else
        memcpy(to, from, stride);
}

static void set_size(qn_slots *slots, uint64_t slot_count)
{
    uint64_t last = slots->tag_last - slots->tag_first;
    unsigned __int128 scaled = (unsigned __int128)slot_count << 64;
    slots->slot_count = slot_count;
    slots->factor = slots->mixed ? MIXED_FACTOR : 1;
    slots->scale = slots->mixed || last == UINT64_MAX ? slot_count : (uint64_t)(scaled / ((unsigned __int128)last + 1));
    slots->pad_count = slots->pad_count > slots->pad_count_first ? slots->pad_count : slots->pad_count_first;
    slots->grow_at = slot_count * LOAD_PERCENT_MAX / 100;
    slots->crowded = false;
    slots->stretch_begin = slots->stretch_end = 0;
}

/* The smallest array: with large values and little memory, one that leaves room for keys. */
static void choose_first(qn_slots *slots, size_t bytes_max)
{
    slots->slot_count_first = SLOT_COUNT_FIRST;
    slots->pad_count_first = PAD_COUNT_FIRST;
    if ((SLOT_COUNT_FIRST + PAD_COUNT_FIRST) * (uint64_t)slots->stride <= bytes_max / FIRST_PART)
        return;
    slots->pad_count_first = PAD_COUNT_FIRST_MIN;
    while (slots->slot_count_first > SLOT_COUNT_FIRST_MIN &&
           (slots->slot_count_first + slots->pad_count_first) * (uint64_t)slots->stride > bytes_max / FIRST_PART)
        slots->slot_count_first /= 2;
}

bool qn_slots_init(qn_slots *slots, uint32_t key_words, uint32_t value_words, uint64_t tag_first, uint64_t tag_last,
                   size_t bytes_max)
{
    uint32_t stride = 8 * (1 + key_words + value_words);
    qn_slots made = {
        .tag_first = tag_first,
        .tag_last = tag_last,
        .stride = stride,
        .key_words = key_words,
        .expected_percent = GROWTH_PERCENT,
    };
    choose_first(&made, bytes_max);
    size_t least_bytes = ((size_t)made.slot_count_first + made.pad_count_first) * stride;
    made.reserved_bytes = bytes_max > least_bytes ? bytes_max : least_bytes;
    made.memory = qn_pages_reserve(made.reserved_bytes, false);
    if (!made.memory)
        return false;
    *slots = made;
    set_size(slots, slots->slot_count_first);
    return true;
}

void qn_slots_fini(qn_slots *slots)
{
    qn_pages_unreserve(slots->memory, slots->reserved_bytes);
    *slots = (qn_slots){0};
}

void qn_slots_clear(qn_slots *slots)
{
    qn_pages_release(slots->memory, (qn_slots_get_bytes(slots) + QN_PAGE_SMALL_BYTES - 1) & ~(QN_PAGE_SMALL_BYTES - 1));
    slots->used_count = 0;
    slots->mixed = slots->sorted = false;
    set_size(slots, slots->slot_count_first);
}

void qn_slots_restart(qn_slots *slots, uint64_t tag_first, uint64_t tag_last)
{
    if (slots->used_count > 0)
        memset(slots->memory, 0, qn_slots_get_bytes(slots));
    slots->used_count = 0;
    slots->mixed = slots->sorted = false;
    slots->tag_first = tag_first;
    slots->tag_last = tag_last;
    set_size(slots, slots->slot_count);
}

/* Makes the reservation hold so many slots. */
static bool reserve_slots(qn_slots *slots, uint64_t count)
{
    size_t bytes = count * slots->stride;
    if (bytes <= slots->reserved_bytes)
        return true;
    uint8_t *memory = qn_pages_reserve(bytes, bytes >= HUGE_BYTES_MIN);
    if (!memory)
        return false;
    memcpy(memory, slots->memory, qn_slots_get_bytes(slots));
    qn_pages_unreserve(slots->memory, slots->reserved_bytes);
    slots->memory = memory;
    slots->reserved_bytes = bytes;
    slots->is_huge = bytes >= HUGE_BYTES_MIN;
    return true;
}

/* Room behind the last cluster. Needed only when a thousand keys crowd the last places: equal hashes. */
static bool extend_pad(qn_slots *slots)
{
    if (!reserve_slots(slots, slots_in_all(slots) + slots->pad_count))
        return false;
    slots->pad_count *= 2;
    return true;
}

/* The last slot was come to, and it has to stay empty: puts the content there once there is another one. */
static bool put_at_end(qn_slots *slots, const uint64_t *content)
{
    uint64_t moving[STRIDE_MAX / 8]; /* a copy: the array itself may move */
    uint64_t index = slots_in_all(slots) - 1;
    copy_slot(moving, content, slots->stride);
    if (!extend_pad(slots))
        return false;
    copy_slot(slot_at(slots, index), moving, slots->stride);
    return true;
}

/* Puts a slot's content in the first empty slot from its place on. False: no memory. */
static inline __attribute__((always_inline)) bool put_slot(qn_slots *slots, const uint64_t *content, size_t stride)
{
    uint8_t *slot = slots->memory + qn_slots_place(slots, *content) * stride;
    while (*(uint64_t *)slot != 0)
        slot += stride;
    if (QN_UNLIKELY(slot == slots->memory + (slots_in_all(slots) - 1) * stride))
        return put_at_end(slots, content);
    copy_slot(slot, content, stride);
    return true;
}

/* Takes all keys of the slots [0, end) out and puts them back. False: no memory. */
static bool replace_slots(qn_slots *slots, uint64_t end)
{
    size_t bytes = end * slots->stride;
    uint8_t *held = malloc(bytes);
    if (!held)
        return false;
    memcpy(held, slots->memory, bytes);
    memset(slots->memory, 0, bytes);
    bool complete = true;
    for (size_t at = 0; complete && at < bytes; at += slots->stride)
        if (*(const uint64_t *)(held + at) != 0)
            complete = put_slot(slots, (const uint64_t *)(held + at), slots->stride);
    free(held);
    return complete;
}

/* Takes all keys out and puts them back at mixed places. False: no memory. */
static bool mix(qn_slots *slots)
{
    size_t bytes = slots->used_count * slots->stride, held_bytes = 0, all_bytes = qn_slots_get_bytes(slots);
    uint8_t *held = malloc(bytes > 0 ? bytes : 1);
    if (!held)
        return false;
    for (size_t at = 0; at < all_bytes; at += slots->stride)
        if (*(const uint64_t *)(slots->memory + at) != 0) {
            memcpy(held + held_bytes, slots->memory + at, slots->stride);
            held_bytes += slots->stride;
        }
    QN_ASSERT(held_bytes == bytes);
    memset(slots->memory, 0, all_bytes);
    slots->mixed = true;
    slots->sorted = false;
    set_size(slots, slots->slot_count);
    bool complete = true;
    for (size_t at = 0; complete && at < bytes; at += slots->stride)
        complete = put_slot(slots, (const uint64_t *)(held + at), slots->stride);
    free(held);
    return complete;
}

/* Moves the keys of the slots [begin, end) to their new places, all behind `end`. False: there was one for which that is not so; it and
 * those behind it are still there. Adds up the bytes that were probed. */
static inline __attribute__((always_inline)) bool move_window(qn_slots *slots, uint64_t begin, uint64_t end,
                                                              size_t stride, uint64_t *probed)
{
    const qn_slots of = *slots; /* a copy that no store can change */
    uint8_t *first = of.memory + begin * stride, *last = of.memory + (slots_in_all(&of) - 1) * stride;
    uint8_t *target[WINDOW_COUNT];
    uint32_t full[WINDOW_COUNT];
    size_t count = 0;
    for (uint32_t i = 0; i < end - begin; i++) {
        full[count] = i;
        count += *(const uint64_t *)(first + i * stride) != 0;
    }
    for (size_t i = 0; i < count; i++) {
        target[i] = of.memory + qn_slots_place(&of, *(const uint64_t *)(first + full[i] * stride)) * stride;
        __builtin_prefetch(target[i], 1);
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *slot = first + full[i] * stride, *to = target[i];
        while (*(const uint64_t *)to != 0)
            to += stride;
        if (QN_UNLIKELY(target[i] < of.memory + end * stride || to == last))
            return false;
        copy_slot(to, slot, stride);
        memset(slot, 0, stride);
        *probed += (uint64_t)(to - target[i]);
    }
    return true;
}

static inline __attribute__((always_inline)) bool move_windows(qn_slots *slots, uint64_t end, size_t stride)
{
    uint64_t probed = 0, probed_max = (GROWING_STEPS_MAX + GROWING_STEPS_PER_KEY * slots->used_count) * stride;
    while (end > 0) {
        uint64_t begin = end > WINDOW_COUNT ? end - WINDOW_COUNT : 0;
        bool moved = move_window(slots, begin, end, stride, &probed);
        if (!slots->mixed && (probed > probed_max || (!moved && end > REPLACED_COUNT_MAX)))
            return mix(slots);
        if (!moved)
            return replace_slots(slots, end);
        end = begin;
    }
    return true;
}

/*
 * Enlarges the array in place. Places only move up, so going from the last slots to the first, each key moves into space behind all
 * unmoved ones; but for the first few, which are too near the begin, and where a crowd reaches the last slot: what is left then is taken
 * out and put in again. False: no memory; the content is then lost, and with it the job.
 */
/* A table that is no longer small is on huge pages from now on, cleared or not. */
static void make_huge(qn_slots *slots)
{
    if (slots->is_huge || slots->reserved_bytes < HUGE_BYTES_MIN || qn_slots_get_bytes(slots) < HUGE_FROM_BYTES)
        return;
    qn_pages_advise_huge(slots->memory, slots->reserved_bytes);
    slots->is_huge = true;
}

static bool grow_to(qn_slots *slots, uint64_t slot_count)
{
    uint64_t end = slots_in_all(slots);
    if (!reserve_slots(slots, slot_count + slots->pad_count))
        return false;
    set_size(slots, slot_count);
    make_huge(slots);
    if (slots->stride == 16)
        return move_windows(slots, end, 16);
    return slots->stride == 32 ? move_windows(slots, end, 32) : move_windows(slots, end, slots->stride);
}

/* Slots with keys begin like a qn_key; of those without, the tag decides. */
static int compare_keys(const void *a, const void *b)
{
    return qn_key_compare(a, b);
}

static int compare_tags(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static inline int compare_slots(const qn_slots *slots, const uint64_t *a, const uint64_t *b)
{
    if (*a != *b || slots->key_words == 0)
        return *a < *b ? -1 : *a > *b;
    return qn_key_compare((const qn_key *)a, (const qn_key *)b);
}

static bool is_sorted(const qn_slots *slots, uint64_t begin, uint64_t end)
{
    for (uint64_t i = begin + 1; i < end; i++)
        if (compare_slots(slots, slot_at(slots, i - 1), slot_at(slots, i)) > 0)
            return false;
    return true;
}

/* Sorts the slots [begin, end) by key. Sorted order is a valid order of a cluster. */
static void sort_cluster(qn_slots *slots, uint64_t begin, uint64_t end)
{
    uint64_t moving[STRIDE_MAX / 8];
    if (end - begin > SORT_BY_INSERTION_MAX) {
        if (is_sorted(slots, begin, end))
            return;
        qsort(slot_at(slots, begin), end - begin, slots->stride, slots->key_words ? compare_keys : compare_tags);
        return;
    }
    for (uint64_t i = begin + 1; i < end; i++) {
        if (compare_slots(slots, slot_at(slots, i - 1), slot_at(slots, i)) <= 0)
            continue;
        uint64_t to = i;
        copy_slot(moving, slot_at(slots, i), slots->stride);
        for (; to > begin && compare_slots(slots, slot_at(slots, to - 1), moving) > 0; to--)
            copy_slot(slot_at(slots, to), slot_at(slots, to - 1), slots->stride);
        copy_slot(slot_at(slots, to), moving, slots->stride);
    }
}

static void swap_slots(qn_slots *slots, uint64_t a, uint64_t b)
{
    uint64_t moving[STRIDE_MAX / 8];
    copy_slot(moving, slot_at(slots, a), slots->stride);
    copy_slot(slot_at(slots, a), slot_at(slots, b), slots->stride);
    copy_slot(slot_at(slots, b), moving, slots->stride);
}

/* Sorts the slots [begin, end), whose tags differ in the lowest `bits` at most, in place: by the upper bits of those, then each part. */
static void sort_parts(qn_slots *slots, uint64_t begin, uint64_t end, uint32_t bits)
{
    uint64_t next[1 << SORT_BITS], ends[1 << SORT_BITS] = {0};
    uint64_t mask = (1 << SORT_BITS) - 1;
    if (end - begin <= SORT_BY_INSERTION_MAX || bits < SORT_BITS) {
        sort_cluster(slots, begin, end);
        return;
    }
    bits -= SORT_BITS;
    for (uint64_t i = begin; i < end; i++)
        ends[(*slot_at(slots, i) >> bits) & mask]++;
    for (uint64_t part = 0, at = begin; part <= mask; part++) {
        next[part] = at;
        ends[part] = at += ends[part];
    }
    for (uint64_t part = 0; part <= mask; part++)
        while (next[part] < ends[part]) {
            uint64_t other = (*slot_at(slots, next[part]) >> bits) & mask;
            if (other != part)
                swap_slots(slots, next[part], next[other]);
            next[other]++;
        }
    for (uint64_t part = 0, at = begin; part <= mask; at = ends[part++])
        sort_parts(slots, at, ends[part], bits);
}

/* Moves all keys to the front, side by side. Whether a slot is full nobody can predict: it is copied in any case. */
static inline __attribute__((always_inline)) void move_to_front(qn_slots *slots, size_t stride)
{
    uint8_t *end = slots->memory + slots_in_all(slots) * stride, *to = slots->memory;
    for (uint8_t *slot = slots->memory; slot < end; slot += stride) {
        uint64_t moving[STRIDE_MAX / 8];
        bool full = *(const uint64_t *)slot != 0;
        memcpy(moving, slot, stride);
        memcpy(to, moving, stride);
        to += full ? stride : 0;
    }
    memset(to, 0, (size_t)(end - to));
}

/* Sorts the first slots, whose order is that of clusters already. False, and they are in any order, if that takes too many steps. */
static bool sort_neighbours(qn_slots *slots, uint64_t count)
{
    uint64_t moving[STRIDE_MAX / 8], steps_left = SORTING_STEPS_PER_KEY * count;
    for (uint64_t i = 1; i < count; i++) {
        uint64_t to = i;
        if (QN_LIKELY(compare_slots(slots, slot_at(slots, i - 1), slot_at(slots, i)) <= 0))
            continue;
        copy_slot(moving, slot_at(slots, i), slots->stride);
        for (; to > 0 && compare_slots(slots, slot_at(slots, to - 1), moving) > 0; to--)
            copy_slot(slot_at(slots, to), slot_at(slots, to - 1), slots->stride);
        copy_slot(slot_at(slots, to), moving, slots->stride);
        if (i - to > steps_left)
            return false;
        steps_left -= i - to;
    }
    return true;
}

/* Sorts all of an array, side by side at its front. */
static void sort_all(qn_slots *slots)
{
    if (slots->stride == 32)
        move_to_front(slots, 32);
    else if (slots->stride == 40)
        move_to_front(slots, 40);
    else
        move_to_front(slots, slots->stride);
    if (slots->mixed || !sort_neighbours(slots, slots->used_count))
        sort_parts(slots, 0, slots->used_count, 64);
    slots->sorted = true;
}

void qn_slots_sort(qn_slots *slots)
{
    if (slots->used_count > 0 && !slots->sorted)
        sort_all(slots);
}

/* Gives the memory of the slots between back, whole huge pages of it; partial ones later. Returns where it ended. */
static const uint8_t *release_slots(const uint8_t *begin, const uint8_t *end)
{
    const uint8_t *last = (const uint8_t *)((uintptr_t)end & ~(QN_PAGE_HUGE_BYTES - 1));
    if (last <= begin)
        return begin;
    qn_pages_release((void *)(uintptr_t)begin, (size_t)(last - begin));
    return last;
}

/* Whether the keys from the place of this tag on are a crowd. */
static bool is_far(const qn_slots *slots, uint64_t tag)
{
    uint64_t index = qn_slots_place(slots, tag), end = index + REPLACED_COUNT_MAX;
    if (end >= slots_in_all(slots))
        return false;
    while (index < end && *slot_at(slots, index) != 0)
        index++;
    return index == end;
}

bool qn_slots_move(qn_slots *to, qn_slots *from, uint64_t tag_first, uint64_t tag_last)
{
    const uint64_t *moving[MOVED_AT_ONCE + 1];
    qn_slots_scan scan = qn_slots_scan_of(from, tag_first, tag_last);
    const uint8_t *released = scan.next;
    while (*(const uint64_t *)released != 0) /* a cluster that the tags before may need */
        released += from->stride;
    if (from->mixed && !to->mixed && !mix(to))
        return false;
    for (size_t count; (count = qn_slots_scan_take(&scan, moving, MOVED_AT_ONCE)) > 0;) {
        for (size_t i = 0; i < count; i++)
            if (!put_slot(to, moving[i], to->stride))
                return false;
        to->used_count += count;
        if (!to->mixed && is_far(to, *moving[count - 1]) && !mix(to))
            return false;
        /* What the last probes pushed behind the last place lies among keys of the tags behind. */
        if (!from->sorted) /* searching needs them */
            released = release_slots(released, scan.next < scan.last_place ? scan.next : released);
    }
    return true;
}

/* How large it should become for so many keys, within bytes_max. 0: it cannot. */
static uint64_t larger_count(const qn_slots *slots, uint64_t key_count, size_t bytes_max)
{
    uint64_t now = slots->slot_count;
    bool small = now * slots->stride < DOUBLING_BYTES_MAX;
    uint64_t least = now / 100 * (small ? GROWTH_PERCENT_SMALL : GROWTH_PERCENT);
    uint64_t wanted = now / 100 * slots->expected_percent;
    if (least * LOAD_PERCENT_MAX / 100 < key_count)
        least = key_count * 100 / LOAD_PERCENT_MAX + 2;
    uint64_t most = bytes_max / slots->stride > slots->pad_count ? bytes_max / slots->stride - slots->pad_count : 0;
    /* What is only expected takes half of what is left at most. */
    uint64_t half = most > now ? now + (most - now) / 2 : now;
    if (least <= most)
        return wanted > least && half > least ? (wanted < half ? wanted : half) : least;
    return most * LOAD_PERCENT_MAX / 100 >= key_count && most >= now / 100 * GROWTH_PERCENT_MIN ? most : 0;
}

/* Whether all that is still expected fits if the array becomes somewhat fuller than it should: better than to move everything for it. */
static bool lasts(qn_slots *slots, uint64_t key_count)
{
    uint64_t expected = slots->used_count / 100 * slots->expected_percent,
             most = slots->slot_count * LAST_PERCENT_MAX / 100;
    if (expected > most || key_count > most)
        return false;
    slots->grow_at = most;
    return true;
}

/* Room behind the last cluster for what comes before the next look. */
static bool make_pad(qn_slots *slots, size_t coming)
{
    while (*slot_at(slots, slots_in_all(slots) - 1 - coming) != 0)
        if (!extend_pad(slots))
            return false;
    return true;
}

/* Whether an array is mostly empty: no larger one helps against a crowd in it. Of neighbouring tags it is if the array is large already,
 * in smaller ones it may just be the first of what other ranks send; of equal tags, if their places are mixed. */
static bool is_sparse(const qn_slots *slots, size_t bytes_max)
{
    return (slots->mixed || qn_slots_get_bytes(slots) >= bytes_max / 2) &&
           slots->used_count < slots->slot_count / MIXED_PART;
}

qn_slots_result qn_slots_make_room(qn_slots *slots, size_t coming, size_t bytes_max)
{
    bool lacks = qn_slots_lacks(slots, coming);
    if (QN_UNLIKELY(slots->sorted) && !mix(slots))
        return QN_SLOTS_NO_MEMORY;
    if (!make_pad(slots, coming < QN_SLOTS_COMING_MAX ? coming : QN_SLOTS_COMING_MAX))
        return QN_SLOTS_NO_MEMORY;
    if (QN_LIKELY(!lacks && !slots->crowded))
        return QN_SLOTS_OK;
    if (!slots->crowded && lasts(slots, slots->used_count + coming))
        return QN_SLOTS_OK;
    if (slots->crowded && !lacks && is_sparse(slots, bytes_max)) {
        slots->crowded = false;
        return slots->mixed || mix(slots) ? QN_SLOTS_OK : QN_SLOTS_NO_MEMORY;
    }
    uint64_t slot_count = larger_count(slots, slots->used_count + coming, bytes_max);
    if (slot_count > 0)
        return grow_to(slots, slot_count) ? QN_SLOTS_OK : QN_SLOTS_NO_MEMORY;
    if (slots->used_count == 0 && lacks &&
        coming <= QN_SLOTS_COMING_MAX) /* to call an empty one full would help nobody */
        return grow_to(slots, coming * 100 / LOAD_PERCENT_MAX + 2) ? QN_SLOTS_OK : QN_SLOTS_NO_MEMORY;
    bool fuller = slots->used_count >= slots->slot_count * LOAD_PERCENT_MAX / 100; /* mixing would not help that */
    if (slots->crowded && !slots->mixed && !fuller && !mix(slots))
        return QN_SLOTS_NO_MEMORY;
    bool is_worth = slots->used_count >= slots->grow_at / CROWDED_PART; /* to spill less would be worse */
    if (slots->crowded && is_worth) {
        slots->crowded = false;
        return QN_SLOTS_FULL;
    }
    slots->crowded = false;
    slots->grow_at = slots->slot_count * TIGHT_PERCENT_MAX / 100;
    return qn_slots_lacks(slots, coming) ? QN_SLOTS_FULL : QN_SLOTS_OK;
}

/* The first of the slots [low, high), which are sorted, whose tag is not less. */
static uint64_t bisect(const qn_slots *slots, uint64_t low, uint64_t high, uint64_t tag)
{
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (*slot_at(slots, middle) < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Makes the stretch as long as it is sorted; starts another one at `index` if that is not in it. */
static void extend_stretch(qn_slots *slots, uint64_t index)
{
    if (index < slots->stretch_begin || index >= slots->stretch_end) {
        slots->stretch_begin = index;
        slots->stretch_end = index + 1;
    }
    uint64_t end = slots->stretch_end;
    while (*slot_at(slots, end) > *slot_at(slots, end - 1)) /* an empty slot is not */
        end++;
    slots->stretch_end = end;
}

/* The first slot from `index` on that is empty or has this tag. The slots from there on are known to be full. */
static uint64_t skip_stretch(qn_slots *slots, uint64_t index, uint64_t tag)
{
    extend_stretch(slots, index);
    uint64_t found = bisect(slots, slots->stretch_begin, slots->stretch_end, tag);
    if (found >= index && found < slots->stretch_end && *slot_at(slots, found) == tag)
        return found;
    return slots->stretch_end; /* not in it: behind it */
}

uint64_t *qn_slots_probe(qn_slots *slots, uint64_t tag)
{
    uint64_t index = qn_slots_place(slots, tag), near = index + QN_SLOTS_PROBE_MAX;
    while (*slot_at(slots, index) != 0 && *slot_at(slots, index) != tag && index < near)
        index++;
    if (QN_LIKELY(index < near))
        return slot_at(slots, index);
    for (unsigned stretches = 0; *slot_at(slots, index) != 0 && *slot_at(slots, index) != tag; stretches++) {
        index = skip_stretch(slots, index, tag);
        slots->crowded |= stretches >= STRETCHES_MAX;
    }
    return slot_at(slots, index);
}

const uint64_t *qn_slots_find(qn_slots *slots, uint64_t tag)
{
    return slots->sorted ? slot_at(slots, bisect(slots, 0, slots->used_count, tag)) : qn_slots_probe(slots, tag);
}

/* Where the tags [first, last] may be: places, or the very slots. */
static void find_range(const qn_slots *slots, uint64_t first, uint64_t last, qn_slots_scan *scan)
{
    uint64_t begin = 0, end = slots->slot_count;
    scan->end = (const uint8_t *)slot_at(slots, slots_in_all(slots));
    if (slots->sorted || first > last) {
        begin = first > last ? 0 : bisect(slots, 0, slots->used_count, first);
        end = first > last ? 0 : last == UINT64_MAX ? slots->used_count : bisect(slots, 0, slots->used_count, last + 1);
        scan->end = (const uint8_t *)slot_at(slots, end);
    } else if (!slots->mixed) {
        begin = qn_slots_place(slots, first);
        end = qn_slots_place(slots, last) + 1;
    }
    scan->next = (const uint8_t *)slot_at(slots, begin);
    scan->last_place = (const uint8_t *)slot_at(slots, end) - slots->stride;
}

qn_slots_scan qn_slots_scan_of(qn_slots *slots, uint64_t tag_first, uint64_t tag_last)
{
    uint64_t first = tag_first > slots->tag_first ? tag_first : slots->tag_first;
    uint64_t last = tag_last < slots->tag_last ? tag_last : slots->tag_last;
    bool whole = first == slots->tag_first && last == slots->tag_last;
    first += first == 0; /* no tag is 0, an empty slot is */
    if (slots->mixed && !slots->sorted && !whole)
        sort_all(slots);
    qn_slots_scan scan = {.tag_first = first, .tag_span = last - first, .stride = slots->stride};
    find_range(slots, first, last, &scan);
    return scan;
}

uint64_t qn_slots_count_range(qn_slots *slots, uint64_t tag_first, uint64_t tag_last)
{
    const uint64_t *taken[MOVED_AT_ONCE + 1];
    uint64_t count = 0;
    qn_slots_scan scan = qn_slots_scan_of(slots, tag_first, tag_last);
    for (size_t more; (more = qn_slots_scan_take(&scan, taken, MOVED_AT_ONCE)) > 0;)
        count += more;
    return count;
}

static inline __attribute__((always_inline)) size_t take_slots(qn_slots_scan *scan, const uint64_t **slots_out,
                                                               size_t max, size_t stride)
{
    const uint8_t *slot = scan->next, *last = scan->last_place, *end = scan->end;
    uint64_t first = scan->tag_first, span = scan->tag_span;
    size_t count = 0;
    /* Whether a slot is full nobody can predict: it is written down in any case. */
    for (; count < max && slot <= last; slot += stride) {
        __builtin_prefetch(slot + SCAN_AHEAD_BYTES);
        slots_out[count] = (const uint64_t *)slot;
        count += *slots_out[count] - first <= span;
    }
    for (; count < max && slot > last && slot < end && *(const uint64_t *)slot != 0;
         slot += stride) { /* pushed behind by probing */
        slots_out[count] = (const uint64_t *)slot;
        count += *slots_out[count] - first <= span;
    }
    scan->next = slot;
    return count;
}

size_t qn_slots_scan_take(qn_slots_scan *scan, const uint64_t **slots_out, size_t max)
{
    if (scan->stride == 16)
        return take_slots(scan, slots_out, max, 16);
    return scan->stride == 32 ? take_slots(scan, slots_out, max, 32) : take_slots(scan, slots_out, max, scan->stride);
}

qn_slots_cursor qn_slots_cursor_of(qn_slots *slots, uint64_t tag_first, uint64_t tag_last)
{
    if (tag_first < slots->tag_first)
        tag_first = slots->tag_first;
    slots->stretch_begin = slots->stretch_end = 0; /* sorting will move slots */
    if (slots->mixed && !slots->sorted)
        sort_all(slots);
    uint64_t first = slots->sorted ? bisect(slots, 0, slots->used_count, tag_first) : qn_slots_place(slots, tag_first);
    /* A cluster that began before the first place may hold keys of ours: start at its begin, so that sorting it is whole. */
    while (!slots->sorted && first > 0 && *slot_at(slots, first - 1) != 0)
        first--;
    return (qn_slots_cursor){
        .slots = slots,
        .next = first,
        .cluster_end = slots->sorted ? slots->used_count : first,
        .tag_first = tag_first,
        .tag_last = tag_last < slots->tag_last ? tag_last : slots->tag_last,
    };
}

/* Moves to the next cluster and sorts it. False at the end. */
static bool enter_cluster(qn_slots_cursor *cursor)
{
    if (cursor->slots->sorted)
        return false;
    uint64_t end = slots_in_all(cursor->slots);
    uint64_t last_begin = qn_slots_place(cursor->slots, cursor->tag_last); /* no cluster of ours begins behind it */
    uint64_t index = cursor->next;
    while (index <= last_begin && *slot_at(cursor->slots, index) == 0)
        index++;
    cursor->next = index;
    while (index < end && *slot_at(cursor->slots, index) != 0)
        index++;
    cursor->cluster_end = index;
    sort_cluster(cursor->slots, cursor->next, index);
    return cursor->next < index;
}

const uint64_t *qn_slots_cursor_peek(qn_slots_cursor *cursor)
{
    for (;;) {
        if (cursor->next == cursor->cluster_end && !enter_cluster(cursor))
            return NULL;
        const uint64_t *slot = slot_at(cursor->slots, cursor->next);
        if (*slot > cursor->tag_last)
            return NULL;
        if (*slot >= cursor->tag_first)
            return slot;
        cursor->next++;
    }
}

void qn_slots_cursor_step(qn_slots_cursor *cursor)
{
    cursor->next++;
    if (cursor->slots->key_words == 0)
        return;
    uint64_t end = slots_in_all(cursor->slots);
    if (cursor->fetched < cursor->next)
        cursor->fetched = cursor->next;
    for (; cursor->fetched < cursor->next + LOOK_AHEAD_COUNT && cursor->fetched < end; cursor->fetched++) {
        const qn_key *slot = (const qn_key *)slot_at(cursor->slots, cursor->fetched);
        if (QN_TAG_CODE(slot->tag) == QN_TAG_LONG)
            __builtin_prefetch((const void *)(uintptr_t)slot->k0);
    }
}
