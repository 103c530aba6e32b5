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

static uint64_t stretches_of(const qn_memory_source *source, uint64_t count)
{
    return count / source->stretch_elements + (count % source->stretch_elements != 0);
}

static void count_stretches(qn_memory_source *source, bool scattered)
{
    qn_memory_begin at = {0};
    for (size_t i = 0; i < source->arrays->count; i++) {
        source->begins[i] = at;
        at.stretches += stretches_of(source, source->arrays->items[i].count);
        at.elements += source->arrays->items[i].count;
    }
    source->begins[source->arrays->count] = at;
    while (scattered && (uint64_t)1 << source->turn_bits < at.stretches)
        source->turn_bits++;
}

quern_status qn_memory_source_open(qn_memory_source *source, const qn_memory_arrays *arrays, const quern_schema *schema,
                                   bool scattered, qn_error *error)
{
    *source = (qn_memory_source){.arrays = arrays,
                                 .schema = *schema,
                                 .key_size = qn_schema_key_bytes(schema),
                                 .value_size = qn_schema_value_bytes(schema),
                                 .stretch_elements = scattered ? QN_BATCH_COUNT_MAX : UINT64_MAX};
    QN_ASSERT(source->key_size > 0);
    source->copied_keys = malloc((size_t)QN_BATCH_COUNT_MAX * source->key_size + QN_SLACK_BYTES);
    if (source->value_size > 0) /* zeros stay behind values that are no whole words */
        source->aligned_values = calloc(QN_BATCH_COUNT_MAX, 8 * value_words(source));
    source->begins = calloc(arrays->count + 1, sizeof *source->begins);
    if (!source->copied_keys || !source->begins || (source->value_size > 0 && !source->aligned_values)) {
        qn_memory_source_close(source);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read arrays in memory");
    }
    for (size_t i = 0; i < QN_BATCH_COUNT_MAX; i++) {
        source->key_bytes[i] = source->key_size;
        source->value_bytes[i] = source->value_size;
    }
    count_stretches(source, scattered);
    return QUERN_OK;
}

void qn_memory_source_close(qn_memory_source *source)
{
    free(source->copied_keys);
    free(source->aligned_values);
    free(source->begins);
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

/* The last array that begins at or before the stretch: the one that has it, since those without elements have none. */
static size_t find_array(const qn_memory_source *source, uint64_t stretch)
{
    size_t first = 0, end = source->arrays->count;
    while (end - first > 1) {
        size_t middle = first + (end - first) / 2;
        if (source->begins[middle].stretches <= stretch)
            first = middle;
        else
            end = middle;
    }
    return first;
}

static void go_to_stretch(qn_memory_source *source, uint64_t stretch)
{
    source->array = find_array(source, stretch);
    uint64_t all = source->arrays->items[source->array].count;
    uint64_t within = stretch - source->begins[source->array].stretches;
    source->next = within == 0 ? 0 : within * source->stretch_elements;
    source->end = all - source->next < source->stretch_elements ? all : source->next + source->stretch_elements;
}

static uint64_t reversed(uint64_t number, uint32_t bits)
{
    uint64_t result = 0;
    for (uint32_t i = 0; i < bits; i++)
        result |= (number >> i & 1) << (bits - 1 - i);
    return result;
}

/* False: all are through. */
static bool take_stretch(qn_memory_source *source)
{
    uint64_t count = source->begins[source->arrays->count].stretches;
    uint64_t turns = source->turn_bits > 0 ? (uint64_t)1 << source->turn_bits : count;
    while (source->turn < turns) {
        uint64_t stretch = source->turn_bits > 0 ? reversed(source->turn, source->turn_bits) : source->turn;
        source->turn++;
        if (stretch >= count)
            continue;
        go_to_stretch(source, stretch);
        return true;
    }
    return false;
}

void qn_memory_source_next(qn_memory_source *source, qn_batch *batch_out)
{
    size_t count = 0;
    if (source->next < source->end || take_stretch(source)) {
        const quern_memory_array *array = array_at(source, source->array);
        count = source->end - source->next < QN_BATCH_COUNT_MAX ? source->end - source->next : QN_BATCH_COUNT_MAX;
        source->block_array = source->array;
        source->block_next = source->next;
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
    return source->begins[source->block_array].elements + source->block_next;
}
