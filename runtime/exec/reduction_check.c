/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/reduction_check.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/data/key_text.h"
#include "runtime/exec/operator_check.h"

#define SAMPLE_COUNT     64                  /* keys that are followed at a time */
#define VALUE_BYTES_MAX  1024                /* longer values are not looked at */
#define ROUND_COUNT_MAX  8                   /* of three values each, before another key is followed */
#define MISSED_COUNT_MAX (UINT32_C(1) << 16) /* records of others before a key that comes no more loses its place */
#define WORD_COUNT       (QUERN_FIXED_BYTES_MAX / 8)

/* A value that is reduced, or an accumulator; as 8-byte aligned as the reduction's own. */
typedef struct operand {
    bool failed; /* a callback refused to make it */
    uint64_t words[WORD_COUNT];
} operand;

typedef struct raw_value {
    uint32_t bytes;
    uint64_t words[VALUE_BYTES_MAX / 8];
} raw_value;

typedef struct sample {
    uint64_t key;    /* its digest; 0: the place is free */
    uint32_t missed; /* records of other keys since the last one of this */
    uint32_t round;
    uint32_t count; /* values */
    raw_value values[3];
    operand folded; /* after the first round: everything before */
} sample;

struct qn_reduction_check {
    const qn_node *reduce;
    sample *samples; /* [SAMPLE_COUNT]; NULL: a reduction of our own */
    quern_span key;  /* of the values at hand */
    const char *who; /* which of the callbacks is tried */
    bool touched;    /* a callback changed what it may only read */
    qn_batch shuffled;
    uint16_t order[QN_BATCH_COUNT_MAX];
    const void *keys[QN_BATCH_COUNT_MAX], *values[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX], value_bytes[QN_BATCH_COUNT_MAX], origins[QN_BATCH_COUNT_MAX];
};

qn_reduction_check *qn_reduction_check_create(const qn_node *reduce)
{
    qn_reduction_check *check = calloc(1, sizeof *check);
    qn_reducer_kind kind = reduce->reducer.kind;
    if (!check)
        return NULL;
    check->reduce = reduce;
    if (kind != QN_REDUCER_USER && kind != QN_REDUCER_AGGREGATE)
        return check;
    check->samples = calloc(SAMPLE_COUNT, sizeof *check->samples);
    if (check->samples)
        return check;
    free(check);
    return NULL;
}

void qn_reduction_check_destroy(qn_reduction_check *check)
{
    if (!check)
        return;
    free(check->samples);
    free(check);
}

static const qn_reducer *reducer_of(const qn_reduction_check *check)
{
    return &check->reduce->reducer;
}

static bool is_aggregation(const qn_reduction_check *check)
{
    return reducer_of(check)->kind == QN_REDUCER_AGGREGATE;
}

/* ---- the user's callbacks, on copies ---- */

static operand merge(qn_reduction_check *check, const operand *into, const operand *value)
{
    const qn_reducer *reducer = reducer_of(check);
    operand made = *into, read_only = *value;
    made.failed = into->failed || value->failed;
    if (made.failed)
        return made;
    made.failed = reducer->fn(made.words, read_only.words, reducer->user) != 0;
    check->touched |= memcmp(read_only.words, value->words, reducer->value_bytes) != 0;
    return made;
}

static void accumulate(qn_reduction_check *check, operand *into, const raw_value *value)
{
    const qn_reducer *reducer = reducer_of(check);
    uint64_t read_only[VALUE_BYTES_MAX / 8];
    if (into->failed)
        return;
    memcpy(read_only, value->words, value->bytes);
    into->failed = reducer->accumulate(into->words, (quern_span){read_only, value->bytes}, reducer->user) != 0;
    check->touched |= memcmp(read_only, value->words, value->bytes) != 0;
}

/* What stands for a value, or for two (NULL: one only) that are put into one accumulator. */
static operand accumulated(qn_reduction_check *check, const raw_value *first, const raw_value *second)
{
    const qn_reducer *reducer = reducer_of(check);
    operand made = {0};
    if (!is_aggregation(check)) {
        QN_ASSERT(first->bytes <= sizeof made.words && !second);
        memcpy(made.words, first->words, first->bytes);
        return made;
    }
    made.failed = reducer->init && reducer->init(made.words, reducer->user) != 0;
    accumulate(check, &made, first);
    if (second)
        accumulate(check, &made, second);
    return made;
}

/* A digest of what the accumulator becomes in the end. */
static uint64_t finished(const qn_reduction_check *check, const operand *made)
{
    const qn_reducer *reducer = reducer_of(check);
    operand read_only = *made;
    quern_record in = {check->key, {read_only.words, reducer->value_bytes}}, out = in;
    if (reducer->finish_fn(&in, &out, reducer->user) != 0)
        return 0;
    if (reducer->finished_type == QUERN_NONE)
        out.value = (quern_span){"", 0};
    return qn_check_digest(out, 1);
}

static bool same(const qn_reduction_check *check, const operand *a, const operand *b)
{
    const qn_reducer *reducer = reducer_of(check);
    if (a->failed || b->failed)
        return a->failed && b->failed;
    if (memcmp(a->words, b->words, reducer->value_bytes) == 0)
        return true;
    return reducer->finish_fn && finished(check, a) == finished(check, b);
}

/* ---- the laws: NULL, or the one that is broken ---- */

static const char *try_pair(qn_reduction_check *check, const operand *a, const operand *b)
{
    operand ab = merge(check, a, b), again = merge(check, a, b), ba = merge(check, b, a);
    if (check->touched)
        return "changed the value that it combines, and may only read";
    if (!same(check, &ab, &again))
        return "gave another result for the same arguments when it was called again";
    return same(check, &ab, &ba) ? NULL : "is not commutative: two values in the other order gave another result";
}

static const char *try_triple(qn_reduction_check *check, const operand *a, const operand *b, const operand *c)
{
    operand ab = merge(check, a, b), bc = merge(check, b, c);
    operand left = merge(check, &ab, c), right = merge(check, a, &bc);
    return same(check, &left, &right) ? NULL : "is not associative: three values grouped otherwise gave another result";
}

static const char *try_accumulating(qn_reduction_check *check, const raw_value *a, const raw_value *b)
{
    operand one = accumulated(check, a, NULL), again = accumulated(check, a, NULL);
    operand other = accumulated(check, b, NULL);
    operand ab = accumulated(check, a, b), ba = accumulated(check, b, a);
    if (check->touched)
        return "changed the value that it was given, and may only read";
    if (!same(check, &one, &again))
        return "gave another accumulator for the same value when it was called again";
    if (!same(check, &ab, &ba))
        return "gave another accumulator for two values in the other order";
    operand merged = merge(check, &one, &other);
    return same(check, &ab, &merged) ? NULL
                                     : "does not fit merge: two values in one accumulator gave another result "
                                       "than in two that were merged";
}

static const char *try_two(qn_reduction_check *check, const sample *of)
{
    const raw_value *a = &of->values[of->count - 2], *b = &of->values[of->count - 1];
    operand x = accumulated(check, a, NULL), y = accumulated(check, b, NULL);
    check->who = is_aggregation(check) ? "merge" : "callback";
    const char *law = check->touched ? NULL : try_pair(check, &x, &y);
    if (law || !is_aggregation(check))
        return law;
    check->who = "accumulate";
    return try_accumulating(check, a, b);
}

/* Three values, with each other and with what came before; which they then join. */
static const char *try_three(qn_reduction_check *check, sample *of)
{
    check->who = is_aggregation(check) ? "merge" : "callback";
    operand x[3];
    for (size_t i = 0; i < 3; i++)
        x[i] = accumulated(check, &of->values[i], NULL);
    const char *law = try_triple(check, &x[0], &x[1], &x[2]);
    operand all = merge(check, &x[0], &x[1]);
    all = merge(check, &all, &x[2]);
    if (of->round > 0) {
        law = law ? law : try_pair(check, &of->folded, &x[0]);
        law = law ? law : try_triple(check, &of->folded, &x[1], &x[2]);
        all = merge(check, &of->folded, &all);
    }
    of->folded = all;
    return law;
}

/* ---- the sample ---- */

/* Where the values of this key are kept; NULL: it is not followed. */
static sample *find(qn_reduction_check *check, quern_span key)
{
    uint64_t digest = qn_checksum(key.data, key.bytes, 0);
    digest += digest == 0;
    sample *place = &check->samples[digest % SAMPLE_COUNT];
    if (place->key != digest && place->key != 0 && ++place->missed < MISSED_COUNT_MAX)
        return NULL;
    if (place->key != digest)
        place->count = place->round = 0;
    place->key = digest;
    place->missed = 0;
    return place;
}

static const char *take_value(qn_reduction_check *check, quern_record record)
{
    if (record.value.bytes > VALUE_BYTES_MAX)
        return NULL;
    sample *of = find(check, record.key);
    if (!of)
        return NULL;
    raw_value *kept = &of->values[of->count++];
    kept->bytes = (uint32_t)record.value.bytes;
    memcpy(kept->words, record.value.data, record.value.bytes);
    check->key = record.key;
    const char *law = of->count > 1 ? try_two(check, of) : NULL;
    if (law || of->count < 3)
        return law;
    law = try_three(check, of);
    of->count = 0;
    if (++of->round == ROUND_COUNT_MAX || of->folded.failed)
        of->key = 0;
    return law;
}

quern_status qn_reduction_check_take(qn_reduction_check *check, const qn_batch *batch, uint32_t *origin_out,
                                     qn_error *error)
{
    for (size_t i = 0; check->samples && i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        const char *law = take_value(check, record);
        if (!law)
            continue;
        char key[QN_KEY_TEXT_BYTES_MAX + 1];
        qn_key_describe(check->reduce->schema.key, record.key.data, record.key.bytes, key);
        *origin_out = qn_batch_origin(batch, i);
        return qn_error_set(error, QUERN_ERROR_CHECK, 0, "the %s of '%s' %s; values of key \"%s\" (%zu bytes)",
                            check->who, check->reduce->name, law, key, record.key.bytes);
    }
    return QUERN_OK;
}

/* ---- the order ---- */

static uint64_t seed_of(const qn_batch *batch)
{
    uint64_t seed = batch->block.count;
    for (size_t i = 0; i < batch->block.count; i++)
        seed = qn_checksum(batch->block.key[i], batch->block.key_bytes[i], seed);
    return seed;
}

const qn_batch *qn_reduction_check_shuffle(qn_reduction_check *check, const qn_batch *batch)
{
    const quern_block *block = &batch->block;
    qn_check_permute(check->order, block->count, seed_of(batch));
    for (size_t i = 0; i < block->count; i++) {
        uint16_t from = check->order[i];
        check->keys[i] = block->key[from];
        check->key_bytes[i] = block->key_bytes[from];
        check->origins[i] = qn_batch_origin(batch, from);
        if (block->value) {
            check->values[i] = block->value[from];
            check->value_bytes[i] = block->value_bytes[from];
        }
    }
    check->shuffled = (qn_batch){.block = {.count = block->count,
                                           .key = check->keys,
                                           .key_bytes = check->key_bytes,
                                           .value = block->value ? check->values : NULL,
                                           .value_bytes = block->value ? check->value_bytes : NULL},
                                 .origin = check->origins};
    return &check->shuffled;
}
