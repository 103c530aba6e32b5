/* SPDX-License-Identifier: BSD-3-Clause */
#include <quern/columns.h>
#include <stdlib.h>

#include "runtime/api/dataset_internal.h"

#define BYTES_MIN 4096

typedef struct column {
    char *data;
    size_t bytes, capacity_bytes;
    uint64_t *ends; /* NULL: all entries have one length */
    size_t end_capacity;
    bool varies;
} column;

struct quern_columns {
    size_t count;
    column key, value;
};

size_t quern_pack_spans(const void *const *data, const uint32_t *bytes, size_t count, void *to)
{
    char *at = to;
    for (size_t i = 0; i < count; i++) {
        memcpy(at, data[i], bytes[i]);
        at += bytes[i];
    }
    return (size_t)(at - (char *)to);
}

/* Room for twice as much as is needed. False: there is none, and all is as it was. */
static bool grow(void *memory_of, size_t *capacity, size_t needed, size_t item_bytes)
{
    void **memory = memory_of;
    if (needed <= *capacity)
        return true;
    size_t wanted = needed > BYTES_MIN / 2 ? 2 * needed : BYTES_MIN;
    void *grown = realloc(*memory, wanted * item_bytes);
    if (!grown)
        return false;
    *memory = grown;
    *capacity = wanted;
    return true;
}

static bool append(column *to, size_t index, quern_span span)
{
    if (!grow(&to->data, &to->capacity_bytes, to->bytes + span.bytes, 1) ||
        (to->varies && !grow(&to->ends, &to->end_capacity, index + 1, sizeof *to->ends)))
        return false;
    memcpy(to->data + to->bytes, span.data, span.bytes);
    to->bytes += span.bytes;
    if (to->varies)
        to->ends[index] = to->bytes;
    return true;
}

static int take(const quern_record *record, void *user)
{
    quern_columns *columns = user;
    if (!append(&columns->key, columns->count, record->key) || !append(&columns->value, columns->count, record->value))
        return quern_fail_because("no memory for the columns");
    columns->count++;
    return 0;
}

static bool varies(quern_type type)
{
    if (QUERN_IS_PAIR(type))
        return QUERN_PAIR_FIRST(type) == QUERN_BYTES || QUERN_PAIR_SECOND(type) == QUERN_BYTES;
    return type == QUERN_BYTES;
}

/* So that neither is NULL, of no records either. */
static bool begin(column *of, quern_type type)
{
    of->varies = varies(type);
    return grow(&of->data, &of->capacity_bytes, 1, 1) &&
           (!of->varies || grow(&of->ends, &of->end_capacity, 1, sizeof *of->ends));
}

quern_columns *quern_columns_collect(quern_dataset *in, quern_collect_to to)
{
    if (!in)
        return NULL;
    quern_columns *columns = calloc(1, sizeof *columns);
    if (!columns || !begin(&columns->key, in->node->schema.key) || !begin(&columns->value, in->node->schema.value)) {
        qn_error_set(qn_dataset_error_of(in->context), QUERN_ERROR_NO_MEMORY, 0, "no memory for columns");
        quern_columns_free(columns);
        return NULL;
    }
    if (quern_collect(in, to, take, columns) == QUERN_OK)
        return columns;
    quern_columns_free(columns);
    return NULL;
}

size_t quern_columns_count(const quern_columns *columns)
{
    return columns->count;
}

const void *quern_columns_keys(const quern_columns *columns)
{
    return columns->key.data;
}

const uint64_t *quern_columns_key_ends(const quern_columns *columns)
{
    return columns->key.ends;
}

const void *quern_columns_values(const quern_columns *columns)
{
    return columns->value.data;
}

const uint64_t *quern_columns_value_ends(const quern_columns *columns)
{
    return columns->value.ends;
}

void quern_columns_free(quern_columns *columns)
{
    if (!columns)
        return;
    free(columns->key.data);
    free(columns->key.ends);
    free(columns->value.data);
    free(columns->value.ends);
    free(columns);
}
