/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/sort_entries.h"

#include "runtime/base/assert.h"

#define FEW_WORDS        16 /* entries that are sorted by insertion */
#define FEW_RECORDS      24 /* the same, by their records */
#define DEAL_BITS_MAX    11 /* piles of one dealing: few enough that each one's end stays in the cache */
#define ENTRIES_PER_PILE 2  /* aimed at */

typedef struct sort_job {
    const qn_collation *collation;
    const uint8_t *records;
    const qn_sort_entry *end; /* of all entries */
} sort_job;

typedef enum record_field {
    FIELD_KEY,
    FIELD_VALUE,
} record_field;

static void sort_side_and_value(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count);

static qn_packed record_of(const sort_job *job, const qn_sort_entry *entry)
{
    qn_packed record;
    qn_sort_decode(&job->collation->layout, job->records + entry->place, &record);
    return record;
}

static bool is_greater(const sort_job *job, const qn_sort_entry *left, const qn_packed *right)
{
    qn_packed record = record_of(job, left);
    return qn_collation_compare(job->collation, &record, right) > 0;
}

/* Whether a record is not behind the one that follows it. */
static bool is_pair_sorted(const sort_job *job, const qn_sort_entry *pair)
{
    qn_packed second = record_of(job, pair + 1);
    return !is_greater(job, pair, &second);
}

static bool is_sorted(const sort_job *job, const qn_sort_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (entries[i - 1].prefix > entries[i].prefix)
            return false;
        if (entries[i - 1].prefix == entries[i].prefix && !is_pair_sorted(job, &entries[i - 1]))
            return false;
    }
    return true;
}

/* Few entries, by the whole order of their records. */
static void insert_records(const sort_job *job, qn_sort_entry *entries, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        qn_sort_entry moving = entries[i];
        qn_packed record = record_of(job, &moving);
        size_t at = i;
        for (; at > 0 && is_greater(job, &entries[at - 1], &record); at--)
            entries[at] = entries[at - 1];
        entries[at] = moving;
    }
}

/* The entries of [0, left_count) are in scratch, the others in their place. */
static void merge_halves(const sort_job *job, qn_sort_entry *entries, const qn_sort_entry *left, size_t left_count,
                         size_t count)
{
    size_t next_left = 0, next_right = left_count;
    qn_packed right = record_of(job, &entries[next_right]);
    for (size_t to = 0; next_left < left_count; to++) {
        if (next_right < count && is_greater(job, &left[next_left], &right)) {
            entries[to] = entries[next_right++];
            if (next_right < count)
                right = record_of(job, &entries[next_right]);
        } else {
            entries[to] = left[next_left++];
        }
    }
}

/* Any number of entries, by comparison. */
static void merge_sort(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count)
{
    size_t half = count / 2;
    if (count <= FEW_RECORDS) {
        insert_records(job, entries, count);
        return;
    }
    merge_sort(job, entries, scratch, half);
    merge_sort(job, entries + half, scratch, count - half);
    if (is_pair_sorted(job, entries + half - 1))
        return;
    memcpy(scratch, entries, half * sizeof *entries);
    merge_halves(job, entries, scratch, half, count);
}

/* From one place to another, or the same. */
static void insert_words(const qn_sort_entry *from, qn_sort_entry *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        qn_sort_entry moving = from[i];
        size_t at = i;
        for (; at > 0 && to[at - 1].prefix > moving.prefix; at--)
            to[at] = to[at - 1];
        to[at] = moving;
    }
}

typedef struct deal_plan {
    uint64_t least; /* word */
    uint32_t shift;
    uint32_t pile_count;
} deal_plan;

static inline uint32_t pile_of(const deal_plan *plan, const qn_sort_entry *entry)
{
    return (uint32_t)((entry->prefix - plan->least) >> plan->shift);
}

static uint32_t bits_of(uint64_t number)
{
    return number ? 64 - (uint32_t)__builtin_clzll(number) : 0;
}

/* How to deal entries: as many piles as there are entries for, over the range that their words span. */
static deal_plan plan_dealing(const qn_sort_entry *entries, size_t count)
{
    uint64_t least = UINT64_MAX, largest = 0;
    for (size_t i = 0; i < count; i++) {
        least = entries[i].prefix < least ? entries[i].prefix : least;
        largest = entries[i].prefix > largest ? entries[i].prefix : largest;
    }
    uint32_t bits = bits_of(count / ENTRIES_PER_PILE), range_bits = bits_of(largest - least);
    bits = bits < DEAL_BITS_MAX ? bits : DEAL_BITS_MAX;
    uint32_t shift = range_bits > bits ? range_bits - bits : 0;
    return (deal_plan){least, shift, (uint32_t)((largest - least) >> shift) + 1};
}

/* Moves entries to `to` in piles; ends[i] is where pile i ends. Returns the count of the largest pile. */
static size_t deal(const deal_plan *plan, const qn_sort_entry *from, qn_sort_entry *to, size_t count, size_t *ends)
{
    size_t begin = 0, largest = 0;
    memset(ends, 0, plan->pile_count * sizeof *ends);
    for (size_t i = 0; i < count; i++)
        ends[pile_of(plan, &from[i])]++;
    for (uint32_t pile = 0; pile < plan->pile_count; pile++) {
        size_t pile_count = ends[pile];
        largest = pile_count > largest ? pile_count : largest;
        ends[pile] = begin;
        begin += pile_count;
    }
    for (size_t i = 0; i < count; i++)
        to[ends[pile_of(plan, &from[i])]++] = from[i];
    return largest;
}

static void sort_words(qn_sort_entry *from, qn_sort_entry *to, size_t count, bool into_to);

/* More than a few entries. */
static void deal_words(qn_sort_entry *from, qn_sort_entry *to, size_t count, bool into_to)
{
    size_t ends[1 << DEAL_BITS_MAX], begin = 0;
    deal_plan plan = plan_dealing(from, count);
    if (plan.pile_count == 1) {
        if (into_to)
            memcpy(to, from, count * sizeof *to);
        return;
    }
    size_t largest = deal(&plan, from, to, count, ends);
    if (largest <= FEW_WORDS) { /* no entry moves farther than its pile */
        insert_words(to, into_to ? to : from, count);
        return;
    }
    for (uint32_t pile = 0; pile < plan.pile_count; begin = ends[pile++])
        sort_words(to + begin, from + begin, ends[pile] - begin, !into_to);
}

/* By their words. Each dealing shrinks the range of words in a pile by the number of piles, so the depth is bounded. into_to: the
 * result is to be there. */
static void sort_words(qn_sort_entry *from, qn_sort_entry *to, size_t count, bool into_to)
{
    if (count > FEW_WORDS)
        deal_words(from, to, count, into_to);
    else
        insert_words(from, into_to ? to : from, count);
}

static inline quern_span field_of(const sort_job *job, const qn_sort_entry *entry, record_field field)
{
    qn_packed record = record_of(job, entry);
    return field == FIELD_KEY ? (quern_span){record.key, record.key_bytes}
                              : (quern_span){record.value, record.value_bytes};
}

/* Also behind the end of a group: that is where the next one begins. */
static void fetch_ahead(const sort_job *job, const qn_sort_entry *entry)
{
    if (job->end - entry > QN_SORT_FETCH_AHEAD)
        qn_sort_fetch(job->records + entry[QN_SORT_FETCH_AHEAD].place);
}

/* Where a and b differ first; `to` if they do not before. */
static size_t find_difference(const uint8_t *a, const uint8_t *b, size_t from, size_t to)
{
    size_t at = from;
    for (; at + 8 <= to; at += 8) {
        uint64_t left, right;
        memcpy(&left, a + at, sizeof left);
        memcpy(&right, b + at, sizeof right);
        if (left != right)
            return at + (size_t)__builtin_ctzll(left ^ right) / 8;
    }
    while (at < to && a[at] == b[at])
        at++;
    return at;
}

/* How many bytes at their begin all have in common; `known` of them are known to be. */
static size_t common_bytes_of(const sort_job *job, const qn_sort_entry *entries, size_t count, record_field field,
                              size_t known)
{
    quern_span first = field_of(job, &entries[0], field);
    size_t common = first.bytes;
    for (size_t i = 1; i < count && common > known; i++) {
        fetch_ahead(job, &entries[i]);
        quern_span other = field_of(job, &entries[i], field);
        common = find_difference(first.data, other.data, known, other.bytes < common ? other.bytes : common);
    }
    return common;
}

static bool is_descending(const sort_job *job, record_field field)
{
    const qn_collation *collation = job->collation;
    if (field == FIELD_KEY)
        return collation->kind == QN_COLLATE_BY_KEY && collation->descending;
    return collation->values_descending;
}

/* Loads the word at `depth` into each entry. Those that have no bytes there come first, or last where descending; their word is their
 * length: what comes before is the same but for zeros at the end, so that orders them. Returns how many they are. */
static size_t load_words(const sort_job *job, qn_sort_entry *entries, size_t count, record_field field, size_t depth)
{
    uint64_t flip = is_descending(job, field) ? UINT64_MAX : 0;
    size_t first = 0, end = count; /* what is not loaded yet */
    size_t ended = 0;
    while (first < end) {
        qn_sort_entry entry = entries[first];
        fetch_ahead(job, &entries[first]);
        quern_span span = field_of(job, &entry, field);
        if (QN_LIKELY(span.bytes > depth)) {
            const uint8_t *rest = (const uint8_t *)span.data + depth;
            entries[first++].prefix = flip ^ qn_order_prefix(QUERN_BYTES, rest, span.bytes - depth);
            continue;
        }
        entry.prefix = flip ^ span.bytes;
        size_t to = flip ? --end : ended;
        entries[first] = entries[to];
        entries[to] = entry;
        first += flip ? 0 : 1;
        ended++;
    }
    return ended;
}

/* How many entries from the first on have the same word. */
static size_t group_of(const qn_sort_entry *entries, size_t count)
{
    size_t end = 1;
    while (end < count && entries[end].prefix == entries[0].prefix)
        end++;
    return end;
}

static size_t find_largest_group(const qn_sort_entry *entries, size_t count, size_t *group_count_out)
{
    size_t largest = 0, first = 0;
    for (size_t begin = 0, group; begin < count; begin += group) {
        group = group_of(entries + begin, count - begin);
        if (group > largest) {
            largest = group;
            first = begin;
        }
    }
    *group_count_out = largest;
    return first;
}

/* Entries whose bytes have no more to tell than how many they are. */
static void sort_ended(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count,
                       record_field field)
{
    sort_words(entries, scratch, count, false);
    for (size_t begin = 0, group; field == FIELD_KEY && begin < count; begin += group) {
        group = group_of(entries + begin, count - begin);
        sort_side_and_value(job, entries + begin, scratch, group);
    }
}

/* By a field of bytes, then by what follows the field. Up to `depth` they are the same, but for zeros in place of an end. The largest group
 * of entries whose words are the same goes on in the loop: so calls are no deeper than the logarithm of the count. */
static void sort_bytes(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count,
                       record_field field, size_t depth)
{
    while (count > FEW_RECORDS) {
        size_t ended = load_words(job, entries, count, field, depth), largest_count;
        bool descending = is_descending(job, field);
        sort_ended(job, descending ? entries + count - ended : entries, scratch, ended, field);
        entries += descending ? 0 : ended;
        count -= ended;
        sort_words(entries, scratch, count, false);
        size_t largest = find_largest_group(entries, count, &largest_count);
        for (size_t begin = 0, group; begin < count && largest_count < count; begin += group) {
            group = group_of(entries + begin, count - begin);
            if (begin != largest && group > 1)
                sort_bytes(job, entries + begin, scratch, group, field, depth + 8);
        }
        /* Where a word told nothing, many may: skips them at once. */
        bool skips = largest_count == count && ended == 0 && count > FEW_RECORDS;
        size_t common = skips ? common_bytes_of(job, entries, count, field, depth) : 0;
        entries += largest;
        count = largest_count;
        depth = common > depth + 8 ? common : depth + 8;
    }
    insert_records(job, entries, count);
}

static void load_sides(const sort_job *job, qn_sort_entry *entries, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fetch_ahead(job, &entries[i]);
        entries[i].prefix = record_of(job, &entries[i]).side;
    }
}

static void load_values(const sort_job *job, qn_sort_entry *entries, size_t count)
{
    uint64_t flip = job->collation->values_descending ? UINT64_MAX : 0;
    for (size_t i = 0; i < count; i++) {
        fetch_ahead(job, &entries[i]);
        qn_packed record = record_of(job, &entries[i]);
        entries[i].prefix =
            flip ^ qn_order_prefix(job->collation->layout.value_types[record.side], record.value, record.value_bytes);
    }
}

/* Values of one prefix are the same bytes, but for NaN, of which there are many: they are at one end. */
static void sort_nan(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count)
{
    bool descending = job->collation->values_descending;
    const qn_sort_entry *end = descending ? entries : entries + count - 1;
    qn_packed record = record_of(job, end);
    quern_type type = job->collation->layout.value_types[record.side];
    size_t same = 1;
    if (!qn_order_is_nan(type, record.value))
        return;
    while (same < count && entries[descending ? same : count - 1 - same].prefix == end->prefix)
        same++;
    merge_sort(job, descending ? entries : entries + count - same, scratch, same);
}

/* Entries of the same key and side. */
static void sort_value(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count)
{
    const qn_collation *collation = job->collation;
    if (collation->compare_values) {
        merge_sort(job, entries, scratch, count);
    } else if (qn_order_prefix_decides(collation->layout.value_types[record_of(job, &entries[0]).side])) {
        load_values(job, entries, count);
        sort_words(entries, scratch, count, false);
        sort_nan(job, entries, scratch, count);
    } else {
        sort_bytes(job, entries, scratch, count, FIELD_VALUE, 0);
    }
}

/* Entries of the same key. */
static void sort_side_and_value(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count)
{
    if (!job->collation->layout.has_side) {
        sort_value(job, entries, scratch, count);
        return;
    }
    load_sides(job, entries, count);
    sort_words(entries, scratch, count, false);
    for (size_t begin = 0, group; begin < count; begin += group) {
        group = group_of(entries + begin, count - begin);
        sort_value(job, entries + begin, scratch, group);
    }
}

/* Whether keys have parts that are not in the order of their bytes. */
static bool sorts_pairs(const qn_collation *collation)
{
    return collation->kind == QN_COLLATE_BY_KEY && QUERN_IS_PAIR(collation->layout.key_type);
}

/* A record that is being sorted among few: its side, and then the order of its value as far as a word tells. */
typedef struct few_entry {
    uint64_t word;
    qn_sort_entry entry;
} few_entry;

static bool comes_after(const sort_job *job, const few_entry *left, const few_entry *right)
{
    if (left->word != right->word)
        return left->word > right->word;
    qn_packed record = record_of(job, &right->entry);
    return is_greater(job, &left->entry, &record);
}

static uint64_t few_word(const qn_collation *collation, const qn_packed *record)
{
    uint64_t value = qn_order_prefix(collation->layout.value_types[record->side], record->value, record->value_bytes);
    return (uint64_t)record->side << 63 | (collation->values_descending ? ~value : value) >> 1;
}

/* Few entries of the same prefix, which is most often the same key too: each record is looked at once. False: the keys differ. */
static bool sort_few(const sort_job *job, qn_sort_entry *entries, size_t count)
{
    few_entry few[FEW_RECORDS];
    qn_packed first = record_of(job, &entries[0]);
    for (size_t i = 0; i < count; i++) {
        qn_packed record = record_of(job, &entries[i]);
        if (i > 0 && qn_collation_compare_keys(job->collation, &first, &record) != 0)
            return false;
        few_entry moving = {few_word(job->collation, &record), entries[i]};
        size_t at = i;
        for (; at > 0 && comes_after(job, &few[at - 1], &moving); at--)
            few[at] = few[at - 1];
        few[at] = moving;
    }
    for (size_t i = 0; i < count; i++)
        entries[i] = few[i].entry;
    return true;
}

/* Entries of the same prefix. */
static void sort_group(const sort_job *job, qn_sort_entry *entries, qn_sort_entry *scratch, size_t count)
{
    const qn_collation *collation = job->collation;
    bool plain = collation->kind != QN_COLLATE_BY_USER && !collation->compare_values;
    if (count <= FEW_RECORDS && plain && sort_few(job, entries, count))
        return;
    if (count <= FEW_RECORDS)
        insert_records(job, entries, count);
    else if (collation->kind == QN_COLLATE_BY_USER || sorts_pairs(collation))
        merge_sort(job, entries, scratch, count);
    else if (collation->kind == QN_COLLATE_BY_KEY && qn_order_prefix_decides(collation->layout.key_type))
        sort_side_and_value(job, entries, scratch, count);
    else
        sort_bytes(job, entries, scratch, count, FIELD_KEY, collation->layout.has_tag ? 0 : 8);
}

void qn_sort_entries(const qn_collation *collation, const uint8_t *records, qn_sort_entry *entries,
                     qn_sort_entry *scratch, size_t count)
{
    const sort_job job = {collation, records, entries + count};
    if (is_sorted(&job, entries, count))
        return;
    sort_words(entries, scratch, count, false);
    for (size_t begin = 0, group; begin < count; begin += group) {
        group = group_of(entries + begin, count - begin);
        for (size_t i = 0; i < group && i < FEW_RECORDS; i++)
            fetch_ahead(&job, &entries[begin + i]);
        if (group > 1)
            sort_group(&job, entries + begin, scratch, group);
    }
}
