/* SPDX-License-Identifier: BSD-3-Clause */
/* The rank's side of apart.h. */
#include "runtime/exec/apart.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/thread.h"
#include "runtime/exec/apart_internal.h"
#include "runtime/exec/hold.h"

#define LOAD_BYTES_FIRST ((size_t)1 << 20)
#define LOAD_BYTES_FULL  ((size_t)128 << 10) /* from there on it is run: it is read again while it is in cache */
#define LOOKS_EVERY_NS   (20 * QN_NS_PER_MS) /* whether the child lives */
#define LOOKS_MAX        50                  /* while it only has to go to sleep */
#define END_PATIENCE_NS  (2 * QN_NS_PER_S)   /* for what has no more to do; and for last words */
#define FIELD_ALIGN      ((size_t)64)

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, bytes);
}

static uint64_t count_words(const qn_chain *chain)
{
    uint64_t count = 3 * (uint64_t)chain->operator_count;
    for (const struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        count++;
    return count;
}

/* With very many counters the news of a block would not fit. */
bool qn_apart_can_run(const qn_chain *chain)
{
    bool fits = sizeof(qn_apart_sums) + count_words(chain) * sizeof(uint64_t) <= QN_APART_SLOT_BYTES;
    return fits && qn_chain_has_callbacks(chain);
}

quern_status qn_apart_create(qn_apart **apart_out, const qn_apart_config *config, qn_error *error)
{
    qn_apart *apart = calloc(1, sizeof *apart);
    if (!apart)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a process of callbacks");
    struct qn_chain **chains = calloc(config->chain_count, sizeof(qn_chain *));
    apart->config = *config;
    apart->config.chains = chains;
    apart->shared = map(sizeof *apart->shared);
    apart->load = map(LOAD_BYTES_FIRST);
    apart->load_capacity_bytes = LOAD_BYTES_FIRST;
    if (!chains || !apart->shared || !apart->load) {
        qn_apart_destroy(apart);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a process of callbacks");
    }
    apart->shared->task = QN_APART_NO_TASK;
    for (uint32_t i = 0; i < config->chain_count; i++) {
        qn_chain *chain = chains[i] = config->chains[i];
        chain->apart = qn_apart_can_run(chain) ? apart : NULL;
        chain->apart_number = i;
    }
    *apart_out = apart;
    return QUERN_OK;
}

static void end_child(qn_apart *apart, uint64_t patience_ns)
{
    atomic_store(&apart->shared->stop, true);
    qn_apart_wake(&apart->shared->child_sleeps, &apart->shared->to_child);
    qn_child_end(&apart->child, patience_ns);
}

void qn_apart_destroy(qn_apart *apart)
{
    if (!apart)
        return;
    if (apart->child.pid != 0)
        end_child(apart, END_PATIENCE_NS);
    for (uint32_t i = 0; apart->config.chains && i < apart->config.chain_count; i++)
        if (apart->config.chains[i])
            apart->config.chains[i]->apart = NULL;
    unmap(apart->load, apart->load_capacity_bytes);
    unmap(apart->shared, sizeof *apart->shared);
    free((void *)apart->config.chains);
    free(apart->whole);
    free(apart);
}

void qn_apart_label(qn_apart *apart, uint32_t task, uint32_t attempt)
{
    apart->shared->task = task;
    apart->shared->attempt = attempt;
}

/* ---- loads */

void qn_apart_begin(qn_apart *apart, const qn_chain *chain)
{
    const struct qn_operator *first = &chain->operators[0];
    apart->load_used_bytes = 0;
    apart->shared->chain = chain->apart_number;
    apart->shared->block_count = 0;
    apart->shared->place = first->place;
}

bool qn_apart_is_full(const qn_apart *apart)
{
    return apart->load_used_bytes >= LOAD_BYTES_FULL || apart->shared->block_count == QN_APART_BLOCKS_MAX;
}

/* The child has the old one at its place: the next child has the new one. */
static bool enlarge_load(qn_apart *apart, size_t bytes)
{
    size_t capacity = 2 * apart->load_capacity_bytes;
    while (capacity < bytes)
        capacity *= 2;
    uint8_t *larger = map(capacity);
    if (!larger)
        return false;
    if (apart->child.pid != 0)
        end_child(apart, END_PATIENCE_NS);
    QN_ASSERT(apart->shared->block_count == 0);
    unmap(apart->load, apart->load_capacity_bytes);
    apart->load = larger;
    apart->load_capacity_bytes = capacity;
    return true;
}

/* Room in the load; what is put there is aligned as it was, so that numbers are. */
static void *take_room(qn_apart *apart, size_t bytes, const void *like)
{
    size_t at = (apart->load_used_bytes + FIELD_ALIGN - 1) & ~(FIELD_ALIGN - 1);
    at += (uintptr_t)like & (FIELD_ALIGN - 1);
    QN_ASSERT(at + bytes <= apart->load_capacity_bytes);
    apart->load_used_bytes = at + bytes;
    return apart->load + at;
}

/* An upper bound of what fields of one array take, each at a place of its own. */
static size_t fields_bytes(const uint32_t *bytes, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += bytes[i] + sizeof(uint64_t);
    return sum;
}

/* From the first byte of any of them to the last. Mostly they are a stretch of the input, and copied as one. */
static size_t span_of(const void *const *fields, const uint32_t *bytes, size_t count, const uint8_t **begin_out)
{
    uintptr_t begin = UINTPTR_MAX, end = 0;
    for (size_t i = 0; i < count; i++) {
        uintptr_t at = (uintptr_t)fields[i];
        if (bytes[i] == 0)
            continue;
        begin = at < begin ? at : begin;
        end = at + bytes[i] > end ? at + bytes[i] : end;
    }
    *begin_out = end == 0 ? NULL : (const uint8_t *)begin;
    return end == 0 ? 0 : end - begin;
}

static void copy_each(uint8_t *to, const void *const *from, const void **fields, const uint32_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fields[i] = memcpy(to, from[i], bytes[i]);
        to += (bytes[i] + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
    }
}

/* One array of fields with its bytes. */
static const void **put_fields(qn_apart *apart, const void *const *from, const uint32_t *bytes, size_t count)
{
    const uint8_t *begin = NULL;
    const void **fields = take_room(apart, count * sizeof *fields, NULL);
    size_t all = fields_bytes(bytes, count), span = span_of(from, bytes, count, &begin);
    if (span > all) {
        copy_each(take_room(apart, all, NULL), from, fields, bytes, count);
        return fields;
    }
    uint8_t *copy = take_room(apart, span, begin);
    if (span > 0)
        memcpy(copy, begin, span);
    for (size_t i = 0; i < count; i++)
        fields[i] = bytes[i] == 0 ? copy : copy + ((const uint8_t *)from[i] - begin);
    return fields;
}

static void *put_array(qn_apart *apart, const void *from, size_t bytes)
{
    return from ? memcpy(take_room(apart, bytes, NULL), from, bytes) : NULL;
}

/* With room for what is aligned, and for those who read a little too far. */
static size_t block_bytes(const quern_block *block)
{
    size_t count = block->count;
    size_t bytes = sizeof(qn_apart_block) + 24 * FIELD_ALIGN + QN_SLACK_BYTES;
    bytes += count * (2 * (sizeof(void *) + sizeof(uint32_t)) + sizeof(uint32_t) + sizeof(uint64_t));
    bytes += fields_bytes(block->key_bytes, count);
    return block->value ? bytes + fields_bytes(block->value_bytes, count) : bytes;
}

static bool has_room(const qn_apart *apart, size_t bytes)
{
    return bytes <= apart->load_capacity_bytes - apart->load_used_bytes;
}

bool qn_apart_fits(const qn_apart *apart, const qn_batch *batch)
{
    return apart->shared->block_count == 0 || has_room(apart, block_bytes(&batch->block));
}

quern_status qn_apart_put(qn_apart *apart, const qn_batch *batch, qn_error *error)
{
    size_t count = batch->block.count, bytes = block_bytes(&batch->block);
    if (!has_room(apart, bytes) && !enlarge_load(apart, bytes))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to hand %zu bytes of records to callbacks",
                            bytes);
    qn_apart_block *block = take_room(apart, sizeof *block, NULL);
    *block = (qn_apart_block){.count = (uint32_t)count};
    block->key = put_fields(apart, batch->block.key, batch->block.key_bytes, count);
    block->key_bytes = put_array(apart, batch->block.key_bytes, count * sizeof(uint32_t));
    if (batch->block.value) {
        block->value = put_fields(apart, batch->block.value, batch->block.value_bytes, count);
        block->value_bytes = put_array(apart, batch->block.value_bytes, count * sizeof(uint32_t));
    }
    block->origin = put_array(apart, batch->origin, count * sizeof(uint32_t));
    block->identity = put_array(apart, batch->identity, count * sizeof(uint64_t));
    apart->record_counts[apart->shared->block_count % QN_APART_BLOCKS_MAX] = block->count;
    apart->shared->blocks[apart->shared->block_count++] = block;
    return QUERN_OK;
}

/* ---- the child, seen from here */

static quern_status start_child(qn_apart *apart, qn_error *error)
{
    qn_apart_shared *shared = apart->shared;
    atomic_store(&shared->stop, false);
    atomic_store(&shared->loaded, false);
    atomic_store(&shared->child_sleeps, false);
    atomic_store(&shared->consumed, atomic_load(&shared->produced));
    atomic_store(&shared->load_done, atomic_load(&shared->load_given));
    sem_init(&shared->to_child, 1, 0);
    sem_init(&shared->to_rank, 1, 0);
    shared->shown = (qn_chain_shown){0};
    apart->config.before_fork(apart->config.user);
    quern_status status = qn_child_start(&apart->child, qn_apart_serve, apart, error);
    apart->config.after_fork(apart->config.user);
    return status;
}

static unsigned get_slot_count(const qn_apart_shared *shared)
{
    return atomic_load(&shared->produced) - atomic_load(&shared->consumed);
}

/* What changes as long as a callback comes back or emits. */
typedef struct apart_signs {
    unsigned produced;
    uint32_t running, record;
} apart_signs;

static apart_signs signs_of(const qn_apart_shared *shared)
{
    return (apart_signs){atomic_load(&shared->produced), shared->shown.running, shared->shown.record};
}

static void sleep_a_little(qn_apart_shared *shared)
{
    atomic_store(&shared->rank_sleeps, true);
    if (get_slot_count(shared) < QN_APART_SLOTS / 2 && qn_apart_works(shared))
        qn_thread_pause(&shared->to_rank, LOOKS_EVERY_NS);
    atomic_store(&shared->rank_sleeps, false);
}

typedef enum apart_news {
    SLOTS,
    ENDED,     /* the child has */
    TIMED_OUT, /* it was ended */
    IS_OVER,   /* the job failed elsewhere */
} apart_news;

/* It may say where it is stuck. */
static void end_stuck(qn_apart *apart)
{
    if (apart->config.tells_crash)
        qn_child_signal(&apart->child, SIGABRT);
    qn_child_end(&apart->child, apart->config.tells_crash ? END_PATIENCE_NS : 0);
}

/* Until there is something to read, or will be nothing. */
static apart_news wait_for_news(qn_apart *apart)
{
    qn_apart_shared *shared = apart->shared;
    uint64_t since_ns = qn_clock_ns();
    apart_signs before = signs_of(shared);
    while (get_slot_count(shared) == 0) {
        bool had_ended = apart->child.pid == 0; /* what it wrote before that is to be seen first */
        if (had_ended)
            return ENDED;
        sleep_a_little(shared);
        if (get_slot_count(shared) > 0)
            break;
        qn_child_has_ended(&apart->child);
        apart_signs now = signs_of(shared);
        if (memcmp(&now, &before, sizeof now) != 0)
            since_ns = qn_clock_ns();
        before = now;
        if (!apart->config.look_around(apart->config.user))
            return IS_OVER;
        if (apart->config.timeout_ns > 0 && qn_clock_ns() - since_ns > apart->config.timeout_ns) {
            end_stuck(apart);
            return TIMED_OUT;
        }
    }
    return SLOTS;
}

/* ---- what comes from it */

static quern_status garbled(qn_chain *chain)
{
    chain->end_failed = true; /* no second attempt: nobody knows what is lost */
    return qn_error_set(chain->error, QUERN_ERROR_INTERNAL, 0,
                        "the process of callbacks wrote where it must not, and what it gave cannot be read");
}

/* What the child wrote last may be anything. */
static bool is_sound(const qn_apart *apart, const qn_apart_slot *slot)
{
    if (slot->count > QN_BATCH_COUNT_MAX)
        return false;
    for (uint32_t i = 0; i < slot->count; i++) {
        if (!qn_apart_can_reach(apart, slot, slot->key[i], slot->key_bytes[i]))
            return false;
        if (slot->has_values && !qn_apart_can_reach(apart, slot, slot->value[i], slot->value_bytes[i]))
            return false;
    }
    return true;
}

static quern_status take_records(const qn_apart *apart, qn_chain *chain, const qn_apart_slot *slot)
{
    if (!is_sound(apart, slot))
        return garbled(chain);
    qn_batch batch = {.block = {.count = slot->count, .key = slot->key, .key_bytes = slot->key_bytes},
                      .origin = slot->origin};
    if (slot->has_values) {
        batch.block.value = slot->value;
        batch.block.value_bytes = slot->value_bytes;
    }
    return qn_chain_deliver(chain, &batch);
}

static bool hold_whole(qn_apart *apart, size_t bytes)
{
    if (apart->whole_capacity_bytes >= bytes)
        return true;
    free(apart->whole);
    apart->whole = malloc(bytes);
    apart->whole_capacity_bytes = apart->whole ? bytes : 0;
    return apart->whole != NULL;
}

/* The first part says how long the record is, the others the same. Each is copied before it is looked at: the child may be writing there. */
static bool is_sound_part(qn_apart *apart, const qn_chain *chain, const qn_apart_slot *slot, size_t *part_bytes_out)
{
    const volatile qn_apart_slot *told = slot;
    uint32_t key_bytes = told->whole_key_bytes, value_bytes = told->whole_value_bytes;
    uint64_t part_bytes = told->part_bytes, bytes = (uint64_t)key_bytes + value_bytes;
    if (apart->whole_used_bytes == 0) {
        apart->whole_key_bytes = key_bytes;
        apart->whole_value_bytes = value_bytes;
    }
    *part_bytes_out = part_bytes;
    return key_bytes == apart->whole_key_bytes && value_bytes == apart->whole_value_bytes &&
           bytes <= chain->record_bytes_max && part_bytes > 0 && part_bytes <= QN_APART_SLOT_BYTES &&
           part_bytes <= bytes - apart->whole_used_bytes;
}

/* The value begins at a word. */
static quern_status take_part(qn_apart *apart, qn_chain *chain, const qn_apart_slot *slot)
{
    size_t part_bytes = 0;
    if (!is_sound_part(apart, chain, slot, &part_bytes))
        return garbled(chain);
    uint32_t key_bytes = apart->whole_key_bytes, value_bytes = apart->whole_value_bytes, origin = slot->whole_origin;
    size_t bytes = (size_t)key_bytes + value_bytes, lead = (8 - key_bytes % 8) % 8; /* in front of the key */
    if (apart->whole_used_bytes == 0 && !hold_whole(apart, lead + bytes + QN_SLACK_BYTES))
        return qn_error_set(chain->error, QUERN_ERROR_NO_MEMORY, 0, "no memory for an emitted record of %zu bytes",
                            bytes);
    memcpy(apart->whole + lead + apart->whole_used_bytes, slot->data, part_bytes);
    apart->whole_used_bytes += part_bytes;
    if (apart->whole_used_bytes < bytes)
        return QUERN_OK;
    apart->whole_used_bytes = 0;
    const void *key = apart->whole + lead, *value = apart->whole + lead + key_bytes;
    qn_batch batch = {.block = {.count = 1, .key = &key, .key_bytes = &key_bytes}, .origin = &origin};
    if (slot->has_values) {
        batch.block.value = &value;
        batch.block.value_bytes = &value_bytes;
    }
    return qn_chain_deliver(chain, &batch);
}

/* A block went through; unless it was only a trial, it counts. */
static void take_sums(qn_apart *apart, qn_chain *chain, const qn_apart_slot *slot)
{
    const qn_apart_sums *sums = (const qn_apart_sums *)(const void *)slot->data;
    const uint64_t *word = sums->words;
    apart->turns_through = sums->turns_through;
    if (chain->hold && !qn_hold_counts(chain->hold))
        return;
    chain->operators[0].place = chain->operators[0].committed_place = sums->place;
    for (uint32_t i = 0; i < chain->operator_count; i++) {
        qn_edge_stats *edge = &chain->operators[i].committed;
        edge->records_in += *word++;
        edge->records_out += *word++;
        edge->records_dropped += *word++;
        chain->operators[i].stats = *edge;
    }
    for (struct quern_counter *counter = chain->counters; counter; counter = counter->next)
        counter->sum += (int64_t)*word++;
}

static quern_status take_failure(qn_chain *chain, const qn_apart_slot *slot)
{
    qn_apart_failure told;
    memcpy(&told, slot->data, sizeof told);
    told.text[sizeof told.text - 1] = '\0';
    chain->callback_failed = told.callback_failed;
    chain->failed_origin = told.origin < QN_BATCH_COUNT_MAX ? told.origin : 0;
    if (told.status == QUERN_OK)
        return garbled(chain);
    return qn_error_set(chain->error, (quern_status)told.status, 0, "%s", told.text);
}

static quern_status take_slot(qn_apart *apart, qn_chain *chain, const qn_apart_slot *slot, uint32_t *done)
{
    switch (slot->kind) {
    case QN_APART_RECORDS:
        return take_records(apart, chain, slot);
    case QN_APART_PART:
        return take_part(apart, chain, slot);
    case QN_APART_DONE:
    case QN_APART_TURNS:
        take_sums(apart, chain, slot);
        chain->delivered = chain->skip = 0;
        if (slot->kind == QN_APART_DONE)
            chain->passed_apart += apart->record_counts[(*done)++ % QN_APART_BLOCKS_MAX];
        return QUERN_OK;
    case QN_APART_FAILED:
        apart->has_stopped = true;
        return take_failure(chain, slot);
    default:
        return garbled(chain);
    }
}

static void free_slot(qn_apart_shared *shared)
{
    atomic_fetch_add(&shared->consumed, 1);
    if (get_slot_count(shared) <= QN_APART_SLOTS / 2)
        qn_apart_wake(&shared->child_sleeps, &shared->to_child);
}

/* The child ended in the middle of a block. */
static quern_status blame(qn_apart *apart, qn_chain *chain, apart_news news)
{
    const qn_chain_shown *shown = &apart->shared->shown;
    uint32_t running = shown->running, record = shown->record;
    char how[96], where[QN_ERROR_TEXT_BYTES_MAX / 2] = "the process of callbacks";
    if (running > 0 && running <= chain->operator_count)
        snprintf(where, sizeof where, "the callback of '%s'", chain->operators[running - 1].node->name);
    chain->callback_failed = true;
    chain->ended_apart = true;
    chain->failed_origin = record < QN_BATCH_COUNT_MAX ? record : 0;
    if (news == TIMED_OUT)
        return qn_error_set(chain->error, QUERN_ERROR_CALLBACK, 0,
                            "%s neither came back nor emitted within %.0f s (task-timeout) and was ended", where,
                            (double)apart->config.timeout_ns / (double)QN_NS_PER_S);
    qn_child_describe(&apart->child, how, sizeof how);
    return qn_error_set(chain->error, QUERN_ERROR_CALLBACK, 0, "%s ended its process: %s", where, how);
}

/* What there is of a load that is not wanted any more goes with the child. */
static void give_up(qn_apart *apart)
{
    for (int looks = 0; looks < LOOKS_MAX && apart->has_stopped && qn_apart_works(apart->shared); looks++)
        sleep_a_little(apart->shared);
    if (qn_apart_works(apart->shared))
        end_child(apart, 0);
    atomic_store(&apart->shared->consumed, atomic_load(&apart->shared->produced));
}

static quern_status is_over(qn_chain *chain)
{
    chain->end_failed = true;
    return qn_error_set(chain->error, QUERN_ERROR_INTERNAL, 0, "the job failed elsewhere");
}

static quern_status follow_load(qn_apart *apart, qn_chain *chain, uint32_t *done)
{
    qn_apart_shared *shared = apart->shared;
    uint32_t block_count = shared->block_count; /* the child could write there */
    while (*done < block_count) {
        apart_news news = wait_for_news(apart);
        if (news == ENDED || news == TIMED_OUT)
            return blame(apart, chain, news);
        if (news == IS_OVER)
            return is_over(chain);
        while (get_slot_count(shared) > 0) {
            const qn_apart_slot *slot = qn_apart_slot_at(shared, atomic_load(&shared->consumed));
            quern_status status = *done < block_count ? take_slot(apart, chain, slot, done) : garbled(chain);
            free_slot(shared);
            if (status != QUERN_OK)
                return status;
        }
        if (apart->config.take_turns && !apart->config.look_around(apart->config.user)) /* all of it is one load */
            return is_over(chain);
    }
    return QUERN_OK;
}

quern_status qn_apart_run_load(qn_apart *apart, qn_chain *chain, uint64_t skip, uint32_t *done_out, qn_error *error)
{
    qn_apart_shared *shared = apart->shared;
    chain->error = error;
    chain->delivered = 0;
    chain->skip = skip;
    chain->callback_failed = chain->end_failed = chain->ended_apart = false;
    apart->whole_used_bytes = 0;
    apart->has_stopped = false;
    *done_out = 0;
    /* Who ended while there was nothing to do has done no harm. */
    if (qn_child_has_ended(&apart->child) && start_child(apart, error) != QUERN_OK)
        return error->status;
    atomic_fetch_add(&shared->load_given, 1);
    atomic_store(&shared->loaded, true);
    qn_apart_wake(&shared->child_sleeps, &shared->to_child);
    quern_status status = follow_load(apart, chain, done_out);
    shared->shown.record = 0;
    if (status != QUERN_OK)
        give_up(apart);
    return status;
}

quern_status qn_apart_run_turns(qn_apart *apart, qn_chain *chain, uint64_t skip, uint64_t *through, qn_error *error)
{
    uint32_t done = 0;
    chain->has_turns = true;
    apart->shared->chain = chain->apart_number;
    apart->shared->block_count = 1;
    apart->shared->first_turn = apart->turns_through = *through;
    quern_status status = qn_apart_run_load(apart, chain, skip, &done, error);
    *through = apart->turns_through;
    return status;
}

volatile qn_apart_turn_view *qn_apart_get_view(qn_apart *apart)
{
    return &apart->shared->view;
}

uint32_t qn_apart_get_record(const qn_apart *apart)
{
    return apart->shared->shown.record;
}

quern_status qn_apart_run(qn_chain *chain, const qn_batch *batch, uint64_t skip, qn_error *error)
{
    uint32_t done = 0;
    qn_apart *apart = chain->apart;
    qn_apart_begin(apart, chain);
    quern_status status = qn_apart_put(apart, batch, error);
    if (status == QUERN_OK)
        return qn_apart_run_load(apart, chain, skip, &done, error);
    chain->delivered = 0;
    chain->callback_failed = chain->end_failed = false;
    return status;
}
