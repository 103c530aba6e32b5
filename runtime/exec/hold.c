/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/hold.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/exec/chain_internal.h"

#define BYTES_FIRST ((size_t)256 << 10)
#define WORD_BYTES  8
#define ENTRY_FIRST 4096

typedef enum hold_mode {
    PASSING, /* records go on */
    HOLDING,
    TRYING, /* they go nowhere: there were too many to be held */
} hold_mode;

typedef struct held_record {
    size_t at; /* of the key in the bytes; the value is behind it */
    uint32_t key_bytes, value_bytes, origin;
} held_record;

struct qn_hold {
    hold_mode mode;
    uint64_t bytes_max;
    uint8_t *bytes; /* [capacity_bytes] */
    size_t capacity_bytes, used_bytes;
    held_record *records; /* [count] */
    size_t count, capacity;
    bool has_values;
};

qn_hold *qn_hold_create(uint64_t bytes_max)
{
    qn_hold *hold = calloc(1, sizeof *hold);
    if (hold)
        hold->bytes_max = bytes_max;
    return hold;
}

void qn_hold_destroy(qn_hold *hold)
{
    if (!hold)
        return;
    free(hold->bytes);
    free(hold->records);
    free(hold);
}

static size_t whole_words(size_t bytes)
{
    return (bytes + WORD_BYTES - 1) & ~(size_t)(WORD_BYTES - 1);
}

/* Room for so much more. False: there is none within the bound, or no memory, which is the same. */
static bool make_room(qn_hold *hold, uint64_t bytes, size_t count)
{
    uint64_t needed = hold->used_bytes + bytes + QN_SLACK_BYTES;
    if (needed + (hold->count + count) * sizeof *hold->records > hold->bytes_max)
        return false;
    if (needed > hold->capacity_bytes) {
        size_t capacity = hold->capacity_bytes ? hold->capacity_bytes : BYTES_FIRST;
        while (capacity < needed)
            capacity *= 2;
        uint8_t *larger = realloc(hold->bytes, capacity);
        if (!larger)
            return false;
        hold->bytes = larger;
        hold->capacity_bytes = capacity;
    }
    if (hold->count + count > hold->capacity) {
        size_t capacity = 2 * (hold->count + count) > ENTRY_FIRST ? 2 * (hold->count + count) : ENTRY_FIRST;
        held_record *more = realloc(hold->records, capacity * sizeof *more);
        if (!more)
            return false;
        hold->records = more;
        hold->capacity = capacity;
    }
    return true;
}

/* Keys and values stand as emitted ones do: at words, values filled up with zeros. */
static void hold_record(qn_hold *hold, quern_record record, uint32_t origin)
{
    size_t value_at = hold->used_bytes + whole_words(record.key.bytes),
           end = value_at + whole_words(record.value.bytes);
    memcpy(hold->bytes + hold->used_bytes, record.key.data, record.key.bytes);
    if (record.value.bytes > 0) {
        memset(hold->bytes + end - WORD_BYTES, 0, WORD_BYTES);
        memcpy(hold->bytes + value_at, record.value.data, record.value.bytes);
    }
    hold->records[hold->count++] =
        (held_record){hold->used_bytes, (uint32_t)record.key.bytes, (uint32_t)record.value.bytes, origin};
    hold->used_bytes = end;
}

bool qn_hold_take(qn_hold *hold, const qn_batch *batch)
{
    if (hold->mode != HOLDING)
        return hold->mode == TRYING;
    size_t count = batch->block.count;
    if (!make_room(hold, qn_batch_bytes(batch) + 2 * count * WORD_BYTES, count)) {
        hold->mode = TRYING;
        return true;
    }
    hold->has_values = batch->block.value != NULL;
    for (size_t i = 0; i < count; i++)
        hold_record(hold, qn_batch_record(batch, i), qn_batch_origin(batch, i));
    return true;
}

bool qn_hold_counts(const qn_hold *hold)
{
    return hold->mode != TRYING;
}

/* Some of what is held, as a batch. */
static size_t give_some(const qn_hold *hold, size_t from, quern_emitter *room, qn_batch *batch_out)
{
    size_t count = hold->count - from < QN_BATCH_COUNT_MAX ? hold->count - from : QN_BATCH_COUNT_MAX;
    for (size_t i = 0; i < count; i++) {
        const held_record *record = &hold->records[from + i];
        room->key[i] = hold->bytes + record->at;
        room->key_bytes[i] = record->key_bytes;
        room->value[i] = hold->bytes + record->at + whole_words(record->key_bytes);
        room->value_bytes[i] = record->value_bytes;
        room->origins[i] = record->origin;
    }
    *batch_out =
        (qn_batch){.block = {.count = count, .key = room->key, .key_bytes = room->key_bytes}, .origin = room->origins};
    if (hold->has_values) {
        batch_out->block.value = room->value;
        batch_out->block.value_bytes = room->value_bytes;
    }
    return count;
}

/* All that is held, to the end. The last operator's emitter is empty, and lends its arrays. */
static quern_status release(qn_chain *chain, qn_hold *hold)
{
    quern_emitter *room = &chain->operators[chain->operator_count - 1].out;
    quern_status status = QUERN_OK;
    for (size_t from = 0; from < hold->count && status == QUERN_OK;) {
        qn_batch batch;
        from += give_some(hold, from, room, &batch);
        status = qn_chain_deliver(chain, &batch);
    }
    return status;
}

quern_status qn_hold_run(qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error)
{
    qn_hold *hold = chain->hold;
    hold->mode = HOLDING;
    hold->count = hold->used_bytes = 0;
    quern_status status = qn_chain_run(chain, batch, skip, error);
    bool was_trial = hold->mode == TRYING;
    hold->mode = PASSING;
    if (status != QUERN_OK)
        return status;
    return was_trial ? qn_chain_run(chain, batch, skip, error) : release(chain, hold);
}

quern_status qn_chain_hold(qn_chain *chain, uint64_t bytes_max, qn_error *error)
{
    if (chain->operator_count == 0)
        return QUERN_OK;
    chain->hold = qn_hold_create(bytes_max);
    return chain->hold ? QUERN_OK
                       : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the operators of a stage");
}
