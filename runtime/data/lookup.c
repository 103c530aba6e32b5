/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/lookup.h"

#include "runtime/base/assert.h"

#define LINE_COUNT_MIN   64 /* so many that not all marks are of the same lines */
#define LOAD_COUNT       12 /* records in LOAD_LINES lines: more touches and less memory, or the other way round */
#define LOAD_LINES       5
#define MARK_TRIES_MAX   64
#define QUEUE_COUNT      32 /* records whose memory is asked for at once */
#define FEW_ENTRIES      8  /* are looked at one by one */
#define INSERT_COUNT_MAX 12 /* are ordered by insertion */

/* A count while the table is filled: of a line that overflows OVERFLOWS and how many are still to come; else how many there are, and behind
 * them how many are still to come. */
#define OVERFLOWS  (UINT32_C(1) << 31)
#define COUNT_BITS 8

/* ---- marks ---- */

/* Of three different lines. */
static void choose_marks(qn_lookup *lookup)
{
    uint32_t chosen = 0;
    for (uint64_t i = 0; i < MARK_TRIES_MAX && chosen < 3; i++) {
        uint64_t word = lookup->is_compact ? i : i << 58;
        uint64_t line = qn_lookup_line_of(lookup, word);
        bool is_new = true;
        for (uint32_t k = 0; k < chosen; k++)
            is_new = is_new && lookup->marks[k].line != line;
        if (is_new)
            lookup->marks[chosen++] = (qn_lookup_mark){word, line};
    }
    QN_ASSERT(chosen == 3);
}

/* The word of unused room of a line: it belongs to another one. */
static inline uint64_t empty_word(const qn_lookup *lookup, uint64_t line)
{
    return lookup->marks[lookup->marks[0].line == line].word;
}

/* That of a line whose records are in the overflow. */
static inline uint64_t overflow_word(const qn_lookup *lookup, uint64_t line)
{
    return lookup->marks[lookup->marks[0].line == line || lookup->marks[1].line == line ? 2 : 1].word;
}

/* What is in the first entry of such a line. */
static inline uint64_t overflow_place(uint64_t begin, uint64_t count)
{
    return begin << 32 | count;
}

static inline qn_lookup_match overflow_of(const qn_lookup *lookup, const qn_lookup_line *line)
{
    uint64_t place = line->entries[0].place;
    return (qn_lookup_match){lookup->overflow + (place >> 32), place & UINT32_MAX};
}

/* ---- memory ---- */

qn_lookup qn_lookup_of(const qn_layout *layout, uint64_t record_count, uint64_t packed_bytes)
{
    qn_lookup lookup = {.layout = *layout,
                        .is_compact = !layout->key_varies && !layout->value_varies && layout->key_bytes <= 8 &&
                                      layout->value_bytes <= 8,
                        .record_count = record_count,
                        .packed_bytes = packed_bytes,
                        .line_count = record_count * LOAD_LINES / LOAD_COUNT + LINE_COUNT_MIN};
    QN_ASSERT(!layout->has_tag && !layout->has_side);
    choose_marks(&lookup);
    return lookup;
}

uint64_t qn_lookup_count_bytes(const qn_lookup *lookup)
{
    return lookup->line_count * sizeof *lookup->counts;
}

uint64_t qn_lookup_bytes(const qn_lookup *lookup, uint64_t overflow_count)
{
    return lookup->line_count * sizeof *lookup->lines + overflow_count * sizeof *lookup->overflow;
}

void qn_lookup_attach_counts(qn_lookup *lookup, const uint8_t *packed, void *counts)
{
    QN_ASSERT(lookup->record_count <= QN_LOOKUP_RECORD_COUNT_MAX);
    lookup->packed = packed;
    lookup->counts = counts;
}

void qn_lookup_attach(qn_lookup *lookup, void *memory)
{
    lookup->lines = memory;
    lookup->overflow = lookup->lines[lookup->line_count].entries;
}

static qn_lookup_part part_of(uint64_t all, uint32_t number, uint32_t count)
{
    unsigned __int128 wide = all;
    return (qn_lookup_part){(uint64_t)(wide * number / count), (uint64_t)(wide * (number + 1) / count)};
}

qn_lookup_part qn_lookup_records_of(const qn_lookup *lookup, uint32_t number, uint32_t count)
{
    return part_of(lookup->record_count, number, count);
}

qn_lookup_part qn_lookup_lines_of(const qn_lookup *lookup, uint32_t number, uint32_t count)
{
    return part_of(lookup->line_count, number, count);
}

/* ---- filling ---- */

/* Some records, one behind the other. */
typedef struct walk {
    uint64_t at, left_count;
    qn_packed record;
    uint64_t place; /* of the record */
} walk;

static inline bool step(const qn_lookup *lookup, walk *on)
{
    if (on->left_count == 0)
        return false;
    if (lookup->is_compact) { /* most tables, and nothing to decode */
        on->record.key = lookup->packed + on->at;
        on->record.value = on->record.key + lookup->layout.key_bytes;
        on->record.key_bytes = lookup->layout.key_bytes;
        on->record.value_bytes = lookup->layout.value_bytes;
        on->at += lookup->layout.key_bytes + lookup->layout.value_bytes;
        on->left_count--;
        return true;
    }
    uint64_t bytes =
        qn_packed_decode(&lookup->layout, lookup->packed + on->at, lookup->packed_bytes - on->at, &on->record);
    on->place = on->at;
    on->at += bytes;
    on->left_count--;
    return on->record.key != NULL;
}

/* In front of the first record of a part. Where sizes vary, one has to go there record by record. */
static walk walk_to(const qn_lookup *lookup, qn_lookup_part records)
{
    const qn_layout *layout = &lookup->layout;
    walk on = {.left_count = records.begin};
    if (layout->key_varies || layout->value_varies)
        while (step(lookup, &on))
            ;
    else
        on.at = records.begin * qn_packed_bytes(layout, layout->key_bytes, layout->value_bytes);
    on.left_count = records.end - records.begin;
    return on;
}

static qn_lookup_entry entry_of(const qn_lookup *lookup, const walk *on)
{
    uint64_t word = qn_lookup_word_of(lookup, on->record.key, on->record.key_bytes), place = on->place;
    if (lookup->is_compact)
        place = lookup->layout.value_bytes > 0 ? qn_lookup_word(on->record.value, on->record.value_bytes) : 0;
    return (qn_lookup_entry){word, place};
}

/* Records on their way into the table. What they will touch of it is asked for when they come in. */
typedef struct queue {
    uint64_t lines[QUEUE_COUNT];
    qn_lookup_entry entries[QUEUE_COUNT];
    uint32_t count;
} queue;

/* Fills the queue with the next records; returns false, and it is empty, when there are no more. */
static bool next_records(const qn_lookup *lookup, walk *on, queue *next)
{
    for (next->count = 0; next->count < QUEUE_COUNT && step(lookup, on); next->count++) {
        qn_lookup_entry entry = entry_of(lookup, on);
        uint64_t line = qn_lookup_line_of(lookup, entry.word);
        next->lines[next->count] = line;
        next->entries[next->count] = entry;
        __builtin_prefetch(&lookup->counts[line], 1);
    }
    return next->count > 0;
}

void qn_lookup_count(qn_lookup *lookup, qn_lookup_part records)
{
    walk on = walk_to(lookup, records);
    queue next;
    while (next_records(lookup, &on, &next))
        for (uint32_t i = 0; i < next.count; i++)
            __atomic_fetch_add(&lookup->counts[next.lines[i]], 1, __ATOMIC_RELAXED);
}

uint64_t qn_lookup_overflow(const qn_lookup *lookup, qn_lookup_part lines)
{
    uint64_t sum = 0;
    for (uint64_t line = lines.begin; line < lines.end; line++)
        sum += lookup->counts[line] > QN_LOOKUP_LINE_COUNT ? lookup->counts[line] : 0;
    return sum;
}

void qn_lookup_place(qn_lookup *lookup, qn_lookup_part lines, uint64_t before)
{
    for (uint64_t line = lines.begin; line < lines.end; line++) {
        uint32_t count = lookup->counts[line];
        if (count <= QN_LOOKUP_LINE_COUNT) {
            lookup->counts[line] = count << COUNT_BITS | count;
            continue;
        }
        lookup->lines[line].entries[0] = (qn_lookup_entry){overflow_word(lookup, line), overflow_place(before, count)};
        lookup->counts[line] = OVERFLOWS | count;
        before += count;
    }
}

/* Where the next record of a line belongs. */
static qn_lookup_entry *take_place(qn_lookup *lookup, uint64_t line)
{
    uint32_t count = __atomic_fetch_sub(&lookup->counts[line], 1, __ATOMIC_RELAXED);
    if (QN_LIKELY(!(count & OVERFLOWS)))
        return &lookup->lines[line].entries[(count & ((1 << COUNT_BITS) - 1)) - 1];
    const qn_lookup_entry *first = overflow_of(lookup, &lookup->lines[line]).entries;
    return lookup->overflow + (first - lookup->overflow) + (count & ~OVERFLOWS) - 1;
}

void qn_lookup_fill(qn_lookup *lookup, qn_lookup_part records)
{
    walk on = walk_to(lookup, records);
    queue queues[2];
    bool more = next_records(lookup, &on, &queues[0]);
    for (uint32_t turn = 0; more; turn ^= 1) {
        const queue *now = &queues[turn];
        for (uint32_t i = 0; i < now->count; i++)
            __builtin_prefetch(&lookup->lines[now->lines[i]], 1);
        more = next_records(lookup, &on, &queues[turn ^ 1]);
        for (uint32_t i = 0; i < now->count; i++)
            *take_place(lookup, now->lines[i]) = now->entries[i];
    }
}

/* ---- order ---- */

static qn_packed record_of(const qn_lookup *lookup, const qn_lookup_entry *entry)
{
    qn_packed record = {0};
    qn_packed_decode(&lookup->layout, lookup->packed + entry->place, lookup->packed_bytes - entry->place, &record);
    return record;
}

/* What is equal by its type need not be the same bytes. */
static int compare_values(quern_type type, quern_span left, quern_span right)
{
    int result = type == QUERN_NONE ? 0 : qn_order_compare(type, left, right);
    return result != 0 ? result : qn_order_compare(QUERN_BYTES, left, right);
}

static int compare_compact(const qn_lookup *lookup, const qn_lookup_entry *left, const qn_lookup_entry *right)
{
    if (left->word != right->word)
        return left->word < right->word ? -1 : 1;
    if (left->place == right->place)
        return 0;
    uint32_t bytes = lookup->layout.value_bytes;
    return compare_values(lookup->layout.value_types[0], (quern_span){&left->place, bytes},
                          (quern_span){&right->place, bytes});
}

static int compare_entries(const qn_lookup *lookup, const qn_lookup_entry *left, const qn_lookup_entry *right)
{
    if (lookup->is_compact)
        return compare_compact(lookup, left, right);
    if (left->word != right->word)
        return left->word < right->word ? -1 : 1;
    qn_packed one = record_of(lookup, left), other = record_of(lookup, right);
    int result =
        qn_order_compare(QUERN_BYTES, (quern_span){one.key, one.key_bytes}, (quern_span){other.key, other.key_bytes});
    if (result != 0)
        return result;
    return compare_values(lookup->layout.value_types[0], (quern_span){one.value, one.value_bytes},
                          (quern_span){other.value, other.value_bytes});
}

static void insert_in_order(const qn_lookup *lookup, qn_lookup_entry *entries, uint64_t count)
{
    for (uint64_t i = 1; i < count; i++) {
        qn_lookup_entry entry = entries[i];
        uint64_t at = i;
        for (; at > 0 && compare_entries(lookup, &entries[at - 1], &entry) > 0; at--)
            entries[at] = entries[at - 1];
        entries[at] = entry;
    }
}

static void swap(qn_lookup_entry *left, qn_lookup_entry *right)
{
    qn_lookup_entry moved = *left;
    *left = *right;
    *right = moved;
}

/* Any of the entries, by a repeatable chance, so that no input is the bad one. */
static qn_lookup_entry choose_pivot(const qn_lookup_entry *entries, uint64_t count)
{
    return entries[qn_hash_fold(count ^ entries->place, QN_HASH_TINY_1) % count];
}

/* In place, since nobody counts more memory: what is less than the pivot, equal to it, and more. The shorter part first, so the recursion
 * is at most 32 deep. */
static void sort_entries(const qn_lookup *lookup, qn_lookup_entry *entries, uint64_t count)
{
    while (count > INSERT_COUNT_MAX) {
        qn_lookup_entry pivot = choose_pivot(entries, count);
        uint64_t less = 0, at = 0, more = count;
        while (at < more) {
            int result = compare_entries(lookup, &entries[at], &pivot);
            if (result < 0)
                swap(&entries[less++], &entries[at++]);
            else if (result > 0)
                swap(&entries[at], &entries[--more]);
            else
                at++;
        }
        bool first_is_shorter = less < count - more;
        if (first_is_shorter)
            sort_entries(lookup, entries, less);
        else
            sort_entries(lookup, entries + more, count - more);
        entries += first_is_shorter ? more : 0;
        count = first_is_shorter ? count - more : less;
    }
    insert_in_order(lookup, entries, count);
}

/* Of a line whose records have all come. */
static void order_line(qn_lookup *lookup, uint64_t line)
{
    qn_lookup_entry *entries = lookup->lines[line].entries;
    if (lookup->counts[line] & OVERFLOWS) {
        qn_lookup_match in = overflow_of(lookup, &lookup->lines[line]);
        sort_entries(lookup, lookup->overflow + (in.entries - lookup->overflow), in.count);
        return;
    }
    uint32_t count = lookup->counts[line] >> COUNT_BITS;
    insert_in_order(lookup, entries, count);
    for (; count < QN_LOOKUP_LINE_COUNT; count++)
        entries[count] = (qn_lookup_entry){empty_word(lookup, line), 0};
}

void qn_lookup_order(qn_lookup *lookup, qn_lookup_part lines)
{
    for (uint64_t line = lines.begin; line < lines.end; line++)
        order_line(lookup, line);
}

/* ---- finding ---- */

/* A key that is looked for. */
typedef struct wanted {
    uint64_t word;
    const void *key;
    uint32_t bytes;
} wanted;

/* Below 0, 0 or above, as the key of the entry comes before, is, or comes after the one that is looked for. */
static inline int compare_with(const qn_lookup *lookup, const qn_lookup_entry *entry, const wanted *key)
{
    if (entry->word != key->word)
        return entry->word < key->word ? -1 : 1;
    if (lookup->is_compact || QN_TAG_IS_TINY(key->word))
        return 0; /* the word is the key */
    qn_packed record = record_of(lookup, entry);
    return qn_order_compare(QUERN_BYTES, (quern_span){record.key, record.key_bytes},
                            (quern_span){key->key, key->bytes});
}

/* The first entry whose key is not before the wanted one (past: is behind it). */
static uint64_t search(const qn_lookup *lookup, const qn_lookup_entry *entries, uint64_t count, const wanted *key,
                       bool past)
{
    uint64_t begin = 0, end = count;
    while (begin < end) {
        uint64_t middle = begin + (end - begin) / 2;
        int result = compare_with(lookup, &entries[middle], key);
        if (result < 0 || (past && result == 0))
            begin = middle + 1;
        else
            end = middle;
    }
    return begin;
}

/* Among entries in their order. Unused ones belong to no key. */
static qn_lookup_match find_in(const qn_lookup *lookup, const qn_lookup_entry *entries, uint64_t count,
                               const wanted *key)
{
    uint64_t begin = 0, end = 0;
    if (count > FEW_ENTRIES) {
        begin = search(lookup, entries, count, key, false);
        end = search(lookup, entries, count, key, true);
        return (qn_lookup_match){entries + begin, end - begin};
    }
    while (begin < count && compare_with(lookup, &entries[begin], key) != 0)
        begin++;
    for (end = begin; end < count && compare_with(lookup, &entries[end], key) == 0; end++)
        ;
    return (qn_lookup_match){entries + begin, end - begin};
}

/* Without a branch, since which entries are the key's cannot be predicted. */
static inline qn_lookup_match find_word(const qn_lookup_entry *entries, uint64_t word)
{
    uint32_t first = QN_LOOKUP_LINE_COUNT - 1, count = 0;
    for (uint32_t i = QN_LOOKUP_LINE_COUNT; i-- > 0;) {
        first = entries[i].word == word ? i : first;
        count += entries[i].word == word;
    }
    return (qn_lookup_match){entries + first, count};
}

void qn_lookup_find(const qn_lookup *lookup, const void *const *keys, const uint32_t *key_bytes, size_t count,
                    qn_lookup_match *matches_out)
{
    uint64_t words[QN_LOOKUP_FIND_COUNT_MAX], lines[QN_LOOKUP_FIND_COUNT_MAX];
    QN_ASSERT(count <= QN_LOOKUP_FIND_COUNT_MAX);
    for (size_t i = 0; i < count; i++) {
        words[i] = qn_lookup_word_of(lookup, keys[i], key_bytes[i]);
        lines[i] = qn_lookup_line_of(lookup, words[i]);
        __builtin_prefetch(&lookup->lines[lines[i]]);
    }
    for (size_t i = 0; i < count; i++) { /* where the key's records are, if there are any */
        const qn_lookup_line *line = &lookup->lines[lines[i]];
        bool overflows = line->entries[0].word == overflow_word(lookup, lines[i]);
        matches_out[i] = overflows ? overflow_of(lookup, line) : (qn_lookup_match){line->entries, QN_LOOKUP_LINE_COUNT};
        __builtin_prefetch(matches_out[i].entries);
    }
    for (size_t i = 0; i < count; i++) {
        qn_lookup_match in = matches_out[i];
        if (QN_LIKELY(lookup->is_compact && in.count == QN_LOOKUP_LINE_COUNT))
            matches_out[i] = find_word(in.entries, words[i]);
        else
            matches_out[i] = find_in(lookup, in.entries, in.count, &(wanted){words[i], keys[i], key_bytes[i]});
    }
}
