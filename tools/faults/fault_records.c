/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_records.h"

#include <stdlib.h>
#include <string.h>

#include "tools/faults/fault_answer.h"
#include "tools/faults/fault_text.h"

#define BOUND 1000003

static void add(qn_fault_records *to, uint32_t word, uint64_t value)
{
    if (to->count == to->room) {
        to->room = to->room > 0 ? 2 * to->room : 1024;
        to->items = reallocarray(to->items, to->room, sizeof *to->items);
        if (!to->items)
            abort();
    }
    to->items[to->count++] = (qn_fault_record){word, value};
}

void qn_fault_records_free(qn_fault_records *records)
{
    free(records->items);
    *records = (qn_fault_records){0};
}

qn_fault_records qn_fault_records_read(const qn_fault_job *job, bool is_other)
{
    qn_fault_records all = {0};
    for (qn_fault_text text = qn_fault_text_begin(job, is_other); qn_fault_text_next(&text);)
        for (uint32_t i = 0; i == 0 || (i < job->copy_count && !is_other); i++)
            add(&all, text.word, text.at);
    return all;
}

void qn_fault_records_reduce(qn_fault_records *records, bool counts)
{
    static uint64_t sums[QN_FAULT_WORDS_MAX];
    static bool are_there[QN_FAULT_WORDS_MAX];
    memset(sums, 0, sizeof sums);
    memset(are_there, 0, sizeof are_there);
    for (size_t i = 0; i < records->count; i++) {
        sums[records->items[i].word] += counts ? 1 : records->items[i].value;
        are_there[records->items[i].word] = true;
    }
    records->count = 0;
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++)
        if (are_there[word])
            add(records, word, sums[word]);
}

qn_fault_records qn_fault_records_source(const qn_fault_job *job)
{
    qn_fault_records all = qn_fault_records_read(job, false);
    if (job->source == QN_FAULT_RECORDS)
        return all;
    qn_fault_records counts = qn_fault_records_read(job, false);
    qn_fault_records_reduce(&counts, true);
    all.count = job->source == QN_FAULT_REDUCED ? 0 : all.count;
    for (size_t i = 0; i < counts.count; i++)
        add(&all, counts.items[i].word, counts.items[i].value);
    qn_fault_records_free(&counts);
    return all;
}

/* ---- orders */

static uint32_t place_of[QN_FAULT_WORDS_MAX]; /* of each word, in the order of their bytes or the other one */
static bool values_descend;

static int compare_words(const void *left, const void *right, bool by_length)
{
    size_t a_bytes, b_bytes;
    const char *a = qn_fault_text_of(*(const uint32_t *)left, &a_bytes);
    const char *b = qn_fault_text_of(*(const uint32_t *)right, &b_bytes);
    return by_length ? qn_fault_text_compare(a, a_bytes, b, b_bytes) : strcmp(a, b);
}

static int compare_bytes(const void *left, const void *right)
{
    return compare_words(left, right, false);
}

static int compare_lengths(const void *left, const void *right)
{
    return compare_words(left, right, true);
}

static void find_places(bool compares, bool descends)
{
    static uint32_t words[QN_FAULT_WORDS_MAX];
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++)
        words[word] = word;
    qsort(words, QN_FAULT_WORDS_MAX, sizeof *words, compares ? compare_lengths : compare_bytes);
    for (uint32_t place = 0; place < QN_FAULT_WORDS_MAX; place++)
        place_of[words[place]] = descends ? QN_FAULT_WORDS_MAX - 1 - place : place;
}

static int compare_records(const void *left, const void *right)
{
    const qn_fault_record *a = left, *b = right;
    if (a->word != b->word)
        return place_of[a->word] < place_of[b->word] ? -1 : 1;
    if (a->value == b->value)
        return 0;
    return (a->value < b->value) != values_descend ? -1 : 1;
}

void qn_fault_records_sort(qn_fault_records *records, bool compares, bool descends, bool values_do)
{
    find_places(compares, descends);
    values_descend = values_do;
    if (records->count > 0)
        qsort(records->items, records->count, sizeof *records->items, compare_records);
}

static int compare_values(const void *left, const void *right)
{
    const qn_fault_record *a = left, *b = right;
    if (a->value != b->value)
        return a->value > b->value ? -1 : 1;
    return a->word == b->word ? 0 : place_of[a->word] < place_of[b->word] ? -1 : 1;
}

void qn_fault_records_top(qn_fault_records *records, size_t count)
{
    find_places(false, false);
    if (records->count > 0)
        qsort(records->items, records->count, sizeof *records->items, compare_values);
    records->count = records->count < count ? records->count : count;
}

size_t qn_fault_records_same_as(const qn_fault_records *records, size_t begin, uint32_t word)
{
    while (begin < records->count && records->items[begin].word == word)
        begin++;
    return begin;
}

size_t qn_fault_records_same(const qn_fault_records *records, size_t begin)
{
    return qn_fault_records_same_as(records, begin, records->items[begin].word);
}

uint32_t qn_fault_records_first(const qn_fault_records *left, size_t i, const qn_fault_records *right, size_t j)
{
    if (i == left->count || j == right->count)
        return i == left->count ? right->items[j].word : left->items[i].word;
    uint32_t a = left->items[i].word, b = right->items[j].word;
    return place_of[a] < place_of[b] ? a : b;
}

/* ---- turns of a loop */

uint64_t qn_fault_records_mapped(uint64_t value, uint32_t turn)
{
    return qn_fault_records_bounded(3 * value + turn);
}

uint64_t qn_fault_records_bounded(uint64_t value)
{
    return value % BOUND;
}

uint32_t qn_fault_records_neighbour(const qn_fault_job *job, uint32_t word, uint32_t turn)
{
    return (7 * word + turn) % job->word_count;
}

static void spread(qn_fault_records *state, const qn_fault_job *job, uint32_t turn)
{
    for (size_t i = 0, count = state->count; i < count; i++)
        add(state, qn_fault_records_neighbour(job, state->items[i].word, turn), state->items[i].value / 2 + 1);
    qn_fault_records_reduce(state, false);
}

static void join_counts(qn_fault_records *state, const qn_fault_records *base)
{
    static uint64_t values[QN_FAULT_WORDS_MAX];
    size_t kept = 0;
    memset(values, 0, sizeof values);
    for (size_t i = 0; i < base->count; i++)
        values[base->items[i].word] = base->items[i].value;
    for (size_t i = 0; i < state->count; i++) {
        qn_fault_record one = state->items[i];
        if (values[one.word] > 0)
            state->items[kept++] = (qn_fault_record){one.word, one.value + values[one.word]};
    }
    state->count = kept;
}

static void group(qn_fault_records *state)
{
    size_t kept = 0;
    qn_fault_records_sort(state, false, false, false);
    for (size_t i = 0, end; i < state->count; i = end) {
        uint64_t digest = 0;
        end = qn_fault_records_same(state, i);
        uint32_t word = state->items[i].word;
        for (size_t j = i; j < end; j++)
            digest = qn_fault_answer_fold(digest, state->items[j].value);
        state->items[kept++] = (qn_fault_record){word, qn_fault_records_bounded(digest)};
    }
    state->count = kept;
}

void qn_fault_records_turn(qn_fault_records *state, const qn_fault_job *job, uint32_t turn,
                           const qn_fault_records *base)
{
    switch (job->turn_ways[turn]) {
    case QN_FAULT_TURN_MAP:
        for (size_t i = 0; i < state->count; i++)
            state->items[i].value = qn_fault_records_mapped(state->items[i].value, turn);
        break;
    case QN_FAULT_TURN_SPREAD:
        spread(state, job, turn);
        break;
    case QN_FAULT_TURN_JOIN:
        join_counts(state, base);
        break;
    case QN_FAULT_TURN_GROUP:
        group(state);
        break;
    default: /* sorted records are the same ones */
        break;
    }
}

static void append(qn_fault_records *to, const qn_fault_records *from)
{
    for (size_t i = 0; i < from->count; i++)
        add(to, from->items[i].word, from->items[i].value);
}

void qn_fault_records_end(qn_fault_records *state, const qn_fault_job *job, const qn_fault_records *input)
{
    if (job->end_way == QN_FAULT_END_AS_IT_IS)
        return;
    if (job->end_way != QN_FAULT_END_JOINED) {
        append(state, input);
        if (job->end_way == QN_FAULT_END_REDUCED)
            qn_fault_records_reduce(state, false);
        else
            qn_fault_records_sort(state, false, false, false);
        return;
    }
    qn_fault_records counts = {0};
    append(&counts, input);
    qn_fault_records_reduce(&counts, true);
    join_counts(state, &counts);
    qn_fault_records_free(&counts);
}

/* ---- links */

uint32_t qn_fault_records_target(const qn_fault_job *job, uint32_t word, uint64_t at)
{
    return (uint32_t)((7 * word + at) % job->word_count);
}

/* What comes to each word by its links is added to what it has. */
static void flow_once(uint64_t values[QN_FAULT_WORDS_MAX], const qn_fault_job *job, const qn_fault_records *links)
{
    static uint64_t come[QN_FAULT_WORDS_MAX];
    memset(come, 0, sizeof come);
    for (size_t i = 0; i < links->count; i++) {
        const qn_fault_record *link = &links->items[i];
        come[qn_fault_records_target(job, link->word, link->value)] += values[link->word];
    }
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++)
        values[word] = qn_fault_records_bounded(values[word] + come[word]);
}

qn_fault_records qn_fault_records_flow(const qn_fault_job *job)
{
    static uint64_t values[QN_FAULT_WORDS_MAX];
    static bool are_there[QN_FAULT_WORDS_MAX];
    qn_fault_records links = qn_fault_records_read(job, false), all = {0};
    memset(are_there, 0, sizeof are_there);
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++)
        values[word] = 1;
    for (size_t i = 0; i < links.count; i++) {
        const qn_fault_record *link = &links.items[i];
        are_there[link->word] = are_there[qn_fault_records_target(job, link->word, link->value)] = true;
    }
    for (uint32_t turn = 0; turn < job->turn_count; turn++)
        flow_once(values, job, &links);
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++)
        if (are_there[word])
            add(&all, word, values[word]);
    qn_fault_records_free(&links);
    return all;
}
