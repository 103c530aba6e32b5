/* SPDX-License-Identifier: BSD-3-Clause */
/* The child's side of apart.h. The chains are copies of the rank's, with other ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/exec/apart_internal.h"
#include "runtime/exec/hold.h"

#define TURNS_UNTOLD_MAX 4096 /* so many begin again at most, where none gave anything */

typedef struct apart_end {
    qn_apart *apart;
    qn_chain *chain;
    uint8_t *copy; /* of a slot whose records have to go into several */
    size_t copy_bytes;
} apart_end;

static qn_apart_slot *free_slot(qn_apart *apart)
{
    return qn_apart_slot_at(apart->shared, atomic_load_explicit(&apart->shared->produced, memory_order_relaxed));
}

static unsigned used_slots(qn_apart_shared *shared)
{
    return atomic_load(&shared->produced) - atomic_load(&shared->consumed);
}

static void sleep_until_woken(qn_apart_shared *shared)
{
    while (sem_wait(&shared->to_child) != 0 && errno == EINTR)
        ;
}

/* When it returns, the next slot is free. Half of the slots are left to be read at once: waking somebody for one costs more than the slot. */
static void publish(qn_apart *apart, qn_apart_kind kind, uint32_t count)
{
    qn_apart_shared *shared = apart->shared;
    qn_apart_slot *slot = free_slot(apart);
    slot->kind = kind;
    slot->count = count;
    atomic_fetch_add(&shared->produced, 1);
    if (used_slots(shared) >= QN_APART_SLOTS / 2)
        qn_apart_wake(&shared->rank_sleeps, &shared->to_rank);
    while (used_slots(shared) == QN_APART_SLOTS) {
        atomic_store(&shared->child_sleeps, true);
        if (used_slots(shared) == QN_APART_SLOTS)
            sleep_until_woken(shared);
        atomic_store(&shared->child_sleeps, false);
    }
}

static size_t aligned(size_t bytes)
{
    return (bytes + 7) & ~(size_t)7;
}

/* The last operator writes what it emits straight into the next slot. */
static void lend_slot(const apart_end *end)
{
    quern_emitter *out = &end->chain->operators[end->chain->operator_count - 1].out;
    if (!out->is_lent)
        free(out->buffer);
    out->is_lent = true;
    out->buffer = free_slot(end->apart)->data;
    out->capacity_bytes = QN_APART_SLOT_BYTES;
}

/* A record longer than a slot, in parts. */
static void send_parts(qn_apart *apart, const quern_record *record, uint32_t origin, bool has_values)
{
    const quern_span fields[] = {record->key, record->value};
    size_t at = 0;
    qn_apart_slot *slot = free_slot(apart);
    for (int field = 0; field < 2; field++) {
        for (size_t done = 0; done < fields[field].bytes;) {
            size_t room = QN_APART_SLOT_BYTES - at, left = fields[field].bytes - done;
            size_t bytes = left < room ? left : room;
            memcpy(slot->data + at, (const uint8_t *)fields[field].data + done, bytes);
            at += bytes;
            done += bytes;
            bool is_last = done == fields[field].bytes && (field == 1 || fields[1].bytes == 0);
            if (at < QN_APART_SLOT_BYTES && !is_last)
                continue;
            slot->part_bytes = at;
            slot->whole_key_bytes = (uint32_t)record->key.bytes;
            slot->whole_value_bytes = (uint32_t)record->value.bytes;
            slot->whole_origin = origin;
            slot->has_values = has_values;
            publish(apart, QN_APART_PART, 0);
            slot = free_slot(apart);
            at = 0;
        }
    }
}

static void set_entry(qn_apart_slot *slot, size_t at, const qn_batch *batch, size_t i)
{
    slot->key[at] = batch->block.key[i];
    slot->key_bytes[at] = batch->block.key_bytes[i];
    slot->value[at] = batch->block.value ? batch->block.value[i] : NULL;
    slot->value_bytes[at] = batch->block.value ? batch->block.value_bytes[i] : 0;
    slot->origin[at] = qn_batch_origin(batch, i);
}

/* Fields of a batch that point into the slot point into the copy from then on. */
static bool leave_slot(apart_end *end, const qn_batch *batch, const void **key, const void **value)
{
    const qn_apart_slot *slot = free_slot(end->apart);
    if (!end->copy && !(end->copy = malloc(sizeof slot->data)))
        return false;
    memcpy(end->copy, slot->data, sizeof slot->data);
    for (size_t i = 0; i < batch->block.count; i++) {
        const quern_record record = qn_batch_record(batch, i);
        const uint8_t *fields[] = {record.key.data, record.value.data};
        for (int field = 0; field < 2; field++)
            if (qn_apart_is_within(fields[field], 0, slot->data, sizeof slot->data))
                fields[field] = end->copy + (fields[field] - slot->data);
        key[i] = fields[0];
        value[i] = fields[1];
    }
    return true;
}

/* Everything copied, into as many slots as it takes. */
static bool send_copies(apart_end *end, const qn_batch *batch)
{
    const void *key[QN_BATCH_COUNT_MAX], *value[QN_BATCH_COUNT_MAX];
    bool has_values = batch->block.value != NULL;
    if (!leave_slot(end, batch, key, value))
        return false;
    qn_batch moved = *batch;
    moved.block.key = key;
    moved.block.value = has_values ? value : NULL;
    size_t count = 0, used = 0;
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(&moved, i);
        size_t key_bytes = aligned(record.key.bytes), bytes = key_bytes + aligned(record.value.bytes);
        qn_apart_slot *slot = free_slot(end->apart);
        if (count > 0 && used + bytes > QN_APART_SLOT_BYTES) {
            slot->has_values = has_values;
            publish(end->apart, QN_APART_RECORDS, (uint32_t)count);
            slot = free_slot(end->apart);
            count = used = 0;
        }
        if (bytes > QN_APART_SLOT_BYTES) {
            send_parts(end->apart, &record, qn_batch_origin(batch, i), has_values);
            continue;
        }
        set_entry(slot, count, &moved, i);
        slot->key[count] = memcpy(slot->data + used, record.key.data, record.key.bytes);
        slot->value[count] = slot->data + used + key_bytes;
        if (record.value.bytes > 0) {
            memset(slot->data + used + bytes - sizeof(uint64_t), 0, sizeof(uint64_t));
            memcpy(slot->data + used + key_bytes, record.value.data, record.value.bytes);
        }
        used += bytes;
        count++;
    }
    free_slot(end->apart)->has_values = has_values;
    if (count > 0)
        publish(end->apart, QN_APART_RECORDS, (uint32_t)count);
    return true;
}

/* Bytes of the fields that the rank could not follow. */
static size_t bytes_out_of_reach(const qn_apart *apart, const qn_apart_slot *slot, const qn_batch *batch)
{
    size_t bytes = 0;
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        if (!qn_apart_can_reach(apart, slot, record.key.data, record.key.bytes))
            bytes += aligned(record.key.bytes);
        if (record.value.bytes > 0 && !qn_apart_can_reach(apart, slot, record.value.data, record.value.bytes))
            bytes += aligned(record.value.bytes);
    }
    return bytes;
}

static const void *bring_near(const qn_apart *apart, qn_apart_slot *slot, const void *field, size_t bytes, size_t *used)
{
    if (bytes == 0)
        return slot->data;
    if (qn_apart_can_reach(apart, slot, field, bytes))
        return field;
    uint8_t *to = slot->data + *used;
    memset(to + aligned(bytes) - sizeof(uint64_t), 0, sizeof(uint64_t));
    memcpy(to, field, bytes);
    *used += aligned(bytes);
    return to;
}

/* The end of the child's chains. */
static quern_status end_in_slot(void *user, const qn_batch *batch, qn_error *error)
{
    apart_end *end = user;
    qn_apart_slot *slot = free_slot(end->apart);
    const quern_emitter *out = &end->chain->operators[end->chain->operator_count - 1].out;
    size_t used = out->is_lent ? aligned(out->used_bytes) : 0, count = batch->block.count;
    if (used + bytes_out_of_reach(end->apart, slot, batch) > QN_APART_SLOT_BYTES) {
        if (!send_copies(end, batch))
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for records on their way");
        lend_slot(end);
        return QUERN_OK;
    }
    for (size_t i = 0; i < count; i++) {
        set_entry(slot, i, batch, i);
        slot->key[i] = bring_near(end->apart, slot, slot->key[i], slot->key_bytes[i], &used);
        slot->value[i] = bring_near(end->apart, slot, slot->value[i], slot->value_bytes[i], &used);
    }
    slot->has_values = batch->block.value != NULL;
    publish(end->apart, QN_APART_RECORDS, (uint32_t)count);
    lend_slot(end);
    return QUERN_OK;
}

static void publish_failure(qn_apart *apart, const qn_chain *chain, const qn_error *failure)
{
    qn_apart_failure told = {
        .status = failure->status, .origin = chain->failed_origin, .callback_failed = chain->callback_failed};
    memcpy(told.text, failure->text, sizeof told.text);
    memcpy(free_slot(apart)->data, &told, sizeof told);
    publish(apart, QN_APART_FAILED, 0);
}

/* Figures begin at 0 with each block, so what there is at its end is what it added. */
static void begin_sums(qn_chain *chain)
{
    for (uint32_t i = 0; i < chain->operator_count; i++)
        chain->operators[i].stats = chain->operators[i].committed = (qn_edge_stats){0};
    for (struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        counter->sum = counter->pending = 0;
}

static void publish_sums(qn_apart *apart, const qn_chain *chain, qn_apart_kind kind)
{
    qn_apart_sums *sums = (qn_apart_sums *)(void *)free_slot(apart)->data;
    uint64_t *word = sums->words;
    sums->place = chain->operators[0].committed_place;
    sums->turns_through = apart->turns_through;
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        const qn_edge_stats *edge = &chain->operators[i].committed;
        *word++ = edge->records_in;
        *word++ = edge->records_out;
        *word++ = edge->records_dropped;
    }
    for (const struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        *word++ = (uint64_t)counter->sum;
    publish(apart, kind, 0);
}

static quern_status run_block(qn_apart *apart, apart_end *end, const qn_apart_block *block)
{
    qn_error failure = {0};
    qn_batch batch = {
        .block = {block->count, block->key, block->key_bytes, block->value, block->value_bytes},
        .origin = block->origin,
        .identity = block->identity,
    };
    lend_slot(end); /* news of the last block went away with the old one */
    begin_sums(end->chain);
    quern_status status = qn_chain_run(end->chain, &batch, 0, &failure);
    if (status == QUERN_OK)
        publish_sums(apart, end->chain, QN_APART_DONE);
    else
        publish_failure(apart, end->chain, &failure);
    return status;
}

static void run_blocks(qn_apart *apart, apart_end *end)
{
    qn_apart_shared *shared = apart->shared;
    uint32_t block_count = shared->block_count;
    struct qn_operator *first = &end->chain->operators[0];
    first->place = first->committed_place = shared->place;
    for (uint32_t i = 0; i < block_count; i++)
        if (run_block(apart, end, shared->blocks[i]) != QUERN_OK)
            break;
}

/* ---- turns */

void qn_apart_begin_turn(qn_apart *apart, uint64_t turn, quern_span key)
{
    volatile qn_apart_turn_view *view = &apart->shared->view;
    view->is_in_turn = true;
    view->turn = turn;
    view->key_bytes = key.bytes;
    memcpy((void *)(uintptr_t)view->key, key.data, key.bytes < QN_APART_KEY_BYTES ? key.bytes : QN_APART_KEY_BYTES);
}

static void show_attempts(const qn_apart *apart, const qn_chain *chain)
{
    apart->shared->view.attempts = chain->turn_attempts;
    apart->shared->view.attempts_failed = chain->turn_attempts_failed;
}

/* All that the turns gave is on its way, and what they counted. */
static quern_status tell_turns(qn_apart *apart, qn_chain *chain, uint64_t through, qn_apart_kind kind)
{
    const apart_end *end = chain->end_user;
    struct qn_operator *op = &chain->operators[0];
    quern_status status = qn_emitter_flush(&op->out);
    if (status != QUERN_OK)
        return status;
    op->committed = op->stats;
    apart->turns_through = through;
    publish_sums(apart, chain, kind);
    begin_sums(chain);
    lend_slot(end);
    apart->told_produced = atomic_load(&apart->shared->produced);
    return QUERN_OK;
}

/* Where records went there is something to tell, since they would be dropped if they came again. */
quern_status qn_apart_end_turn(qn_apart *apart, uint64_t turn)
{
    qn_chain *chain = apart->config.chains[0];
    bool has_given = atomic_load_explicit(&apart->shared->produced, memory_order_relaxed) != apart->told_produced;
    show_attempts(apart, chain);
    apart->shared->view.is_in_turn = false;
    if (!has_given && turn - apart->turns_through < TURNS_UNTOLD_MAX)
        return QUERN_OK;
    return tell_turns(apart, chain, turn + 1, QN_APART_TURNS);
}

static void run_turns(qn_apart *apart, apart_end *end)
{
    qn_error failure = {0};
    qn_chain *chain = end->chain;
    chain->error = &failure;
    chain->delivered = chain->skip = 0; /* the rank drops what it has */
    apart->turns_through = apart->shared->first_turn;
    apart->shared->view.is_in_turn = false;
    apart->told_produced = atomic_load(&apart->shared->produced);
    lend_slot(end);
    begin_sums(chain);
    quern_status status = apart->config.take_turns(apart->config.user, apart->turns_through, &failure);
    chain->error = &failure;
    show_attempts(apart, chain);
    if (status == QUERN_OK)
        status = tell_turns(apart, chain, apart->turns_through, QN_APART_DONE);
    if (status != QUERN_OK)
        publish_failure(apart, chain, &failure);
}

static void run_load(qn_apart *apart, apart_end *ends)
{
    qn_apart_shared *shared = apart->shared;
    apart_end *end = &ends[shared->chain];
    /* The rank has all of it with the last news, and may put together and give the next before this one says that it is done. */
    unsigned number = atomic_load(&shared->load_given);
    apart->config.note(apart->config.user, shared->chain, shared->task, shared->attempt);
    if (apart->config.take_turns)
        run_turns(apart, end);
    else
        run_blocks(apart, end);
    atomic_store(&shared->load_done, number);
    qn_apart_wake(&shared->rank_sleeps, &shared->to_rank);
}

/* What the rank does with what comes out is the rank's. */
static void take_over(qn_apart *apart, qn_chain *chain, apart_end *end)
{
    *end = (apart_end){.apart = apart, .chain = chain};
    chain->apart = NULL;
    chain->hold = NULL;
    chain->checks_end = false;
    chain->end = end_in_slot;
    chain->end_user = end;
    chain->shown = &apart->shared->shown;
}

void qn_apart_serve(void *user)
{
    qn_apart *apart = user;
    qn_apart_shared *shared = apart->shared;
    apart_end *ends = calloc(apart->config.chain_count, sizeof *ends);
    if (!ends)
        return;
    for (uint32_t i = 0; i < apart->config.chain_count; i++)
        if (apart->config.chains[i]->apart)
            take_over(apart, apart->config.chains[i], &ends[i]);
    while (!atomic_load(&shared->stop)) {
        if (atomic_exchange(&shared->loaded, false)) {
            run_load(apart, ends);
            continue;
        }
        atomic_store(&shared->child_sleeps, true);
        if (!atomic_load(&shared->loaded) && !atomic_load(&shared->stop))
            sleep_until_woken(shared);
        atomic_store(&shared->child_sleeps, false);
    }
    free(ends);
}
