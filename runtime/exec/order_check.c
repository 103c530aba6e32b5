/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/order_check.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/data/key_text.h"
#include "runtime/exec/operator_check.h"

#define ITEM_COUNT_MAX  16
#define ITEM_BYTES_MAX  1024 /* longer ones are left out */
#define KEYS_OF_BLOCK   8    /* that are added to the sample */
#define VALUES_OF_BLOCK 32   /* that are added to that of their key, if it is followed */
#define VALUE_COUNT_MAX 8    /* of a key, before another one is followed */
#define FOLLOWED_COUNT  16   /* keys at a time */
#define MISSED_MAX      1024 /* values of others before a key that comes no more loses its place */

typedef struct item {
    uint32_t bytes;
    uint64_t words[ITEM_BYTES_MAX / 8 + 2]; /* aligned, and with slack, as the sorter's */
} item;

typedef struct sample {
    uint64_t key; /* of values: its digest; 0: none */
    uint32_t missed;
    uint32_t count;
    item items[ITEM_COUNT_MAX];
} sample;

typedef int outcomes[ITEM_COUNT_MAX][ITEM_COUNT_MAX];

struct qn_order_check {
    const qn_collate *collate;
    const char *name;
    quern_type key_type, value_type;
    bool of_values;       /* what the sample at hand holds */
    sample keys;          /* where keys are compared */
    sample *values;       /* [FOLLOWED_COUNT], where values are; else NULL */
    const item *shown[3]; /* that break the law; NULL: none */
};

bool qn_order_check_applies(const qn_node *node)
{
    return node->kind == QN_NODE_COLLATE && (node->of.collate.compare_keys || node->of.collate.compare_values);
}

qn_order_check *qn_order_check_create(const qn_node *collate, const char *name)
{
    qn_order_check *check = calloc(1, sizeof *check);
    if (!check)
        return NULL;
    check->collate = &collate->of.collate;
    check->name = name;
    check->key_type = collate->schema.key;
    check->value_type = collate->schema.value;
    if (!check->collate->compare_values)
        return check;
    check->values = calloc(FOLLOWED_COUNT, sizeof *check->values);
    if (check->values)
        return check;
    free(check);
    return NULL;
}

void qn_order_check_destroy(qn_order_check *check)
{
    if (!check)
        return;
    free(check->values);
    free(check);
}

/* ---- the laws: NULL, or the one that is broken ---- */

static int compare(const qn_order_check *check, const item *left, const item *right)
{
    qn_compare_fn fn = check->of_values ? check->collate->compare_values : check->collate->compare_keys;
    int result =
        fn((quern_span){left->words, left->bytes}, (quern_span){right->words, right->bytes}, check->collate->user);
    return (result > 0) - (result < 0);
}

static uint64_t digest_of(const sample *of)
{
    uint64_t seed = of->count;
    for (uint32_t i = 0; i < of->count; i++)
        seed = qn_checksum(of->items[i].words, of->items[i].bytes, seed);
    return seed;
}

static const char *show(qn_order_check *check, const item *a, const item *b, const item *c, const char *law)
{
    check->shown[0] = a;
    check->shown[1] = b;
    check->shown[2] = c;
    return law;
}

/* The second time in another order, so that one that remembers is found. */
static const char *try_again(qn_order_check *check, const sample *of, outcomes first)
{
    for (uint32_t j = of->count; j-- > 0;)
        for (uint32_t i = 0; i < of->count; i++)
            if (compare(check, &of->items[i], &of->items[j]) != first[i][j])
                return show(check, &of->items[i], &of->items[j], NULL,
                            "gave another outcome for the same two when it was called again");
    return NULL;
}

static const char *try_pairs(qn_order_check *check, const sample *of, outcomes found)
{
    for (uint32_t i = 0; i < of->count; i++)
        if (found[i][i] != 0)
            return show(check, &of->items[i], NULL, NULL, "is not reflexive: it does not call one equal to itself");
    for (uint32_t i = 0; i < of->count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (found[i][j] != -found[j][i])
                return show(check, &of->items[i], &of->items[j], NULL,
                            "is not antisymmetric: the first with the second does not give the opposite of the second "
                            "with the first");
    return NULL;
}

/* Whether the first is not behind the second, nor that behind the third, and yet the first is not where it then has to be. */
static bool breaks_transitivity(int first_second, int second_third, int first_third)
{
    if (first_second > 0 || second_third > 0)
        return false;
    return first_second == 0 && second_third == 0 ? first_third != 0 : first_third >= 0;
}

static const char *try_triples(qn_order_check *check, const sample *of, outcomes found)
{
    for (uint32_t i = 0; i < of->count; i++)
        for (uint32_t j = 0; j < of->count; j++)
            for (uint32_t k = 0; k < of->count; k++)
                if (breaks_transitivity(found[i][j], found[j][k], found[i][k]))
                    return show(check, &of->items[i], &of->items[j], &of->items[k],
                                "is not transitive: the first is not behind the second, nor that behind the third, but "
                                "the first is not before the third as it should be");
    return NULL;
}

static const char *try_laws(qn_order_check *check, const sample *of)
{
    outcomes found;
    uint64_t before = digest_of(of);
    for (uint32_t i = 0; i < of->count; i++)
        for (uint32_t j = 0; j < of->count; j++)
            found[i][j] = compare(check, &of->items[i], &of->items[j]);
    const char *law = try_again(check, of, found);
    if (digest_of(of) != before)
        return show(check, NULL, NULL, NULL, "changed what it was given, and may only read");
    law = law ? law : try_pairs(check, of, found);
    return law ? law : try_triples(check, of, found);
}

/* ---- the sample ---- */

static bool has(const sample *in, quern_span data)
{
    for (uint32_t i = 0; i < in->count; i++)
        if (in->items[i].bytes == data.bytes && memcmp(in->items[i].words, data.data, data.bytes) == 0)
            return true;
    return false;
}

static void put(sample *in, uint32_t at, quern_span data)
{
    item *into = &in->items[at];
    memset(into, 0, sizeof *into);
    into->bytes = (uint32_t)data.bytes;
    memcpy(into->words, data.data, data.bytes);
    in->count += at == in->count;
}

static const char *take_keys(qn_order_check *check, const qn_batch *batch, uint64_t seed, uint32_t *origin_out)
{
    bool added = false;
    for (uint64_t i = 0; i < KEYS_OF_BLOCK; i++) {
        uint64_t turn = qn_hash_fold(seed + i, QN_HASH_TINY_1);
        size_t from = turn % batch->block.count;
        quern_span key = qn_batch_record(batch, from).key;
        if (key.bytes > ITEM_BYTES_MAX || has(&check->keys, key))
            continue;
        bool full = check->keys.count == ITEM_COUNT_MAX;
        put(&check->keys, full ? (uint32_t)(turn >> 32) % ITEM_COUNT_MAX : check->keys.count, key);
        *origin_out = qn_batch_origin(batch, from);
        added = true;
    }
    check->of_values = false;
    return added ? try_laws(check, &check->keys) : NULL;
}

/* Where the values of this key are kept; NULL: it is not followed. */
static sample *find(qn_order_check *check, quern_span key)
{
    uint64_t digest = qn_checksum(key.data, key.bytes, 0) | 1;
    sample *place = &check->values[(digest >> 32) % FOLLOWED_COUNT];
    if (place->key != digest && place->key != 0 && ++place->missed < MISSED_MAX)
        return NULL;
    if (place->key != digest)
        place->count = 0;
    place->key = digest;
    place->missed = 0;
    return place;
}

static const char *take_value(qn_order_check *check, quern_record record)
{
    sample *of = record.value.bytes > ITEM_BYTES_MAX ? NULL : find(check, record.key);
    if (!of || has(of, record.value))
        return NULL;
    put(of, of->count, record.value);
    check->of_values = true;
    const char *law = try_laws(check, of);
    if (of->count == VALUE_COUNT_MAX)
        of->key = 0;
    return law;
}

/* One of each few values, anywhere among these. */
static const char *take_values(qn_order_check *check, const qn_batch *batch, uint64_t seed, uint32_t *origin_out)
{
    size_t step = 1 + batch->block.count / VALUES_OF_BLOCK;
    const char *law = NULL;
    for (size_t i = seed % step; i < batch->block.count && !law; i += step) {
        law = take_value(check, qn_batch_record(batch, i));
        *origin_out = qn_batch_origin(batch, i);
    }
    return law;
}

/* ---- what is said ---- */

/* Those that break the law, quoted. */
static void describe(const qn_order_check *check, char *to, size_t room)
{
    quern_type type = check->of_values ? check->value_type : check->key_type;
    char text[QN_KEY_TEXT_BYTES_MAX + 1];
    *to = 0;
    for (int i = 0; i < 3 && check->shown[i]; i++) {
        qn_key_describe(type, check->shown[i]->words, check->shown[i]->bytes, text);
        int used = snprintf(to, room, "%s\"%s\" (%u bytes)", i == 0 ? ": " : ", ", text, check->shown[i]->bytes);
        QN_ASSERT(used > 0 && (size_t)used < room);
        to += used;
        room -= (size_t)used;
    }
}

quern_status qn_order_check_take(qn_order_check *check, const qn_batch *batch, uint32_t *origin_out, qn_error *error)
{
    uint64_t seed = qn_check_digest(qn_batch_record(batch, 0), batch->block.count);
    const char *law = NULL;
    char shown[3 * (QN_KEY_TEXT_BYTES_MAX + 32)];
    *origin_out = qn_batch_origin(batch, 0);
    if (check->collate->compare_keys)
        law = take_keys(check, batch, seed, origin_out);
    if (!law && check->values)
        law = take_values(check, batch, seed, origin_out);
    if (!law)
        return QUERN_OK;
    describe(check, shown, sizeof shown);
    return qn_error_set(error, QUERN_ERROR_CHECK, 0, "the comparison of %s of '%s' %s%s",
                        check->of_values ? "values" : "keys", check->name, law, shown);
}
