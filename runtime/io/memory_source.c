/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/memory_source.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/arena.h"
#include "runtime/base/assert.h"

static size_t value_words(const qn_memory_source *source)
{
    return (source->value_size + 7) / 8;
}

quern_status qn_memory_source_open(qn_memory_source *source, const qn_memory_arrays *arrays, const quern_schema *schema,
                                   qn_error *error)
{
    *source = (qn_memory_source){.arrays = arrays,
                                 .schema = *schema,
                                 .key_size = qn_schema_key_bytes(schema),
                                 .value_size = qn_schema_value_bytes(schema)};
    QN_ASSERT(source->key_size > 0);
    source->copied_keys = malloc((size_t)QN_BATCH_COUNT_MAX * source->key_size + QN_SLACK_BYTES);
    if (source->value_size > 0) /* zeros stay behind values that are no whole words */
        source->aligned_values = calloc(QN_BATCH_COUNT_MAX, 8 * value_words(source));
    if (!source->copied_keys || (source->value_size > 0 && !source->aligned_values)) {
        qn_memory_source_close(source);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read arrays in memory");
    }
    for (size_t i = 0; i < QN_BATCH_COUNT_MAX; i++) {
        source->key_bytes[i] = source->key_size;
        source->value_bytes[i] = source->value_size;
    }
    return QUERN_OK;
}

void qn_memory_source_close(qn_memory_source *source)
{
    free(source->copied_keys);
    free(source->aligned_values);
    *source = (qn_memory_source){0};
}

static const quern_memory_array *array_at(const qn_memory_source *source, size_t index)
{
    return &source->arrays->items[index];
}

/* How many of the keys from element `from` on have slack behind them within their own array. */
static size_t count_with_slack(const quern_memory_array *array, size_t from, size_t count)
{
    size_t left = array->count - 1 - from; /* elements behind the first one */
    size_t tail = (QN_SLACK_BYTES + array->key_stride - 1) / array->key_stride;
    size_t safe = left + 1 > tail ? left + 1 - tail : 0;
    return safe < count ? safe : count;
}

static void refer_to_keys(qn_memory_source *source, const quern_memory_array *array, size_t from, size_t count)
{
    bool has_floats = qn_type_shape_of(source->schema.key, source->schema.key_bytes).has_floats;
    size_t as_they_are = has_floats ? 0 : count_with_slack(array, from, count);
    const uint8_t *key = (const uint8_t *)array->key + from * array->key_stride;
    uint8_t *copy = source->copied_keys;
    for (size_t i = 0; i < as_they_are; i++, key += array->key_stride)
        source->keys[i] = key;
    for (size_t i = as_they_are; i < count; i++, key += array->key_stride, copy += source->key_size) {
        memcpy(copy, key, source->key_size);
        if (has_floats)
            qn_key_canonicalise(source->schema.key, copy, source->key_size);
        source->keys[i] = copy;
    }
}

/* Numbers and structs are handed on as whole words at aligned addresses. */
static bool must_align(const qn_memory_source *source, const quern_memory_array *array)
{
    return source->value_size % 8 != 0 || (uintptr_t)array->value % 8 != 0 || array->value_stride % 8 != 0;
}

static void refer_to_values(qn_memory_source *source, const quern_memory_array *array, size_t from, size_t count)
{
    const uint8_t *value = (const uint8_t *)array->value + from * array->value_stride;
    uint64_t *to = source->aligned_values;
    if (!must_align(source, array)) {
        for (size_t i = 0; i < count; i++, value += array->value_stride)
            source->values[i] = value;
        return;
    }
    for (size_t i = 0; i < count; i++, value += array->value_stride, to += value_words(source)) {
        memcpy(to, value, source->value_size);
        source->values[i] = to;
    }
}

/* Past arrays that are through. */
static void find_array(qn_memory_source *source)
{
    const qn_memory_arrays *arrays = source->arrays;
    while (source->array < arrays->count && source->next == arrays->items[source->array].count) {
        source->passed += arrays->items[source->array++].count;
        source->next = 0;
    }
}

void qn_memory_source_next(qn_memory_source *source, qn_batch *batch_out)
{
    size_t count = 0;
    find_array(source);
    source->block_array = source->array;
    source->block_next = source->next;
    if (source->array < source->arrays->count) {
        const quern_memory_array *array = array_at(source, source->array);
        count = array->count - source->next < QN_BATCH_COUNT_MAX ? array->count - source->next : QN_BATCH_COUNT_MAX;
        refer_to_keys(source, array, source->next, count);
        if (source->aligned_values)
            refer_to_values(source, array, source->next, count);
        source->next += count;
    }
    *batch_out = (qn_batch){.block = {.count = count,
                                      .key = source->keys,
                                      .key_bytes = source->key_bytes,
                                      .value = source->aligned_values ? source->values : NULL,
                                      .value_bytes = source->aligned_values ? source->value_bytes : NULL}};
}

uint64_t qn_memory_source_number(const qn_memory_source *source)
{
    return source->passed + source->block_next;
}
