/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/grouper.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/arena.h"
#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/data/key_text.h"

#define WINDOW_COUNT      512
#define SIDE_COUNT        2
#define VALUES_PER_SIGN   4096
#define LARGE_CHECKED_MAX 16 /* groups whose values are on disk, that are read twice in check mode */

/* The values of one side of a group. */
typedef struct kept_values {
    quern_span *values; /* [count], unless they are on disk */
    uint64_t count, capacity;
    uint64_t bytes; /* of copies and references */
    bool on_disk;
    qn_run run;
} kept_values;

struct quern_values {
    qn_grouper *grouper;
    kept_values *kept;
    uint64_t next;
    qn_run_reader reader; /* of values on disk */
    bool reading;
    const uint8_t *block;
    uint64_t left_bytes;
};

/* Records in order. */
typedef struct stream {
    qn_sorter *sorter;
    qn_packed window[WINDOW_COUNT];
    size_t count, next;
    uint64_t read_count, read_bytes;
} stream;

struct qn_grouper {
    qn_grouper_config config;
    stream streams[SIDE_COUNT];    /* the second one is of what is beside the collator */
    stream *stream_of[SIDE_COUNT]; /* of each side: both the first one, or each its own */
    qn_packed key;                 /* the group's: its own copy */
    uint8_t *key_bytes;
    uint64_t key_bytes_max;
    kept_values sides[SIDE_COUNT];
    quern_values cursors[SIDE_COUNT];
    qn_arena copies;
    qn_spill spill;
    qn_error *error;      /* of this turn */
    uint32_t large_count; /* check mode: groups on disk so far */
    uint64_t turn_count;
};

static void open_streams(qn_grouper *grouper)
{
    const qn_grouper_config *config = &grouper->config;
    grouper->streams[0].sorter = config->collator->sorter;
    grouper->stream_of[0] = grouper->stream_of[1] = &grouper->streams[0];
    if (!config->beside)
        return;
    grouper->streams[1].sorter = config->beside->sorter;
    grouper->stream_of[config->beside_side] = &grouper->streams[1];
}

quern_status qn_grouper_create(qn_grouper **grouper_out, const qn_grouper_config *config, qn_error *error)
{
    qn_grouper *grouper = calloc(1, sizeof *grouper);
    if (!grouper)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read groups");
    grouper->config = *config;
    const qn_collator_config *collated = &config->collator->config;
    qn_arena_init(&grouper->copies, 0);
    qn_spill_init(&grouper->spill, collated->scratch, QN_BLOCK_PACKED, collated->block_bytes);
    for (uint32_t side = 0; side < SIDE_COUNT; side++)
        grouper->cursors[side] = (quern_values){.grouper = grouper, .kept = &grouper->sides[side]};
    open_streams(grouper);
    *grouper_out = grouper;
    return QUERN_OK;
}

static void close_cursor(quern_values *values)
{
    if (values->reading)
        qn_run_reader_close(&values->reader);
    values->reading = false;
    values->next = values->left_bytes = 0;
}

void qn_grouper_destroy(qn_grouper *grouper)
{
    if (!grouper)
        return;
    for (uint32_t side = 0; side < SIDE_COUNT; side++) {
        close_cursor(&grouper->cursors[side]);
        free(grouper->sides[side].values);
    }
    qn_arena_reset(&grouper->copies);
    qn_spill_fini(&grouper->spill);
    free(grouper->key_bytes);
    free(grouper);
}

qn_group_reads qn_grouper_get_reads(const qn_grouper *grouper)
{
    const stream *first = &grouper->streams[0], *beside = &grouper->streams[1];
    return (qn_group_reads){.record_count = first->read_count + beside->read_count,
                            .bytes = first->read_bytes + beside->read_bytes,
                            .beside_count = beside->read_count};
}

/* ---- reading ---- */

/* The next record, which stays the next until it is stepped over; NULL at the end. */
static quern_status peek(stream *from, const qn_packed **record_out, qn_error *error)
{
    *record_out = NULL;
    if (QN_UNLIKELY(from->next == from->count)) {
        from->next = from->count = 0;
        quern_status status = qn_sorter_next(from->sorter, from->window, WINDOW_COUNT, &from->count, error);
        if (status != QUERN_OK || from->count == 0)
            return status;
    }
    *record_out = &from->window[from->next];
    return QUERN_OK;
}

static void step(qn_grouper *grouper, uint32_t side)
{
    stream *from = grouper->stream_of[side];
    const qn_packed *record = &from->window[from->next++];
    from->read_bytes += (uint64_t)record->key_bytes + record->value_bytes;
    from->read_count++;
}

/* A record of the next group, of either side; NULL at the end. */
static quern_status peek_first(qn_grouper *grouper, const qn_packed **record_out, qn_error *error)
{
    const qn_packed *other = NULL;
    quern_status status = peek(&grouper->streams[0], record_out, error);
    if (!grouper->config.beside || status != QUERN_OK)
        return status;
    status = peek(&grouper->streams[1], &other, error);
    if (!*record_out ||
        (other && qn_collation_compare_keys(&grouper->config.collator->config.collation, other, *record_out) < 0))
        *record_out = other;
    return status;
}

/* Groups are in the order of their hashes, and of a tiny key the hash is all there is. */
static inline bool is_of_group(const qn_grouper *grouper, const qn_packed *record)
{
    if (record->prefix != grouper->key.prefix)
        return false;
    return QN_TAG_IS_TINY(record->prefix) ||
           qn_collation_compare_keys(&grouper->config.collator->config.collation, record, &grouper->key) == 0;
}

/* The next record if it is of the group and the side; NULL otherwise. */
static quern_status peek_side(qn_grouper *grouper, uint32_t side, const qn_packed **record_out, qn_error *error)
{
    quern_status status = peek(grouper->stream_of[side], record_out, error);
    bool has_sides = !grouper->config.beside;
    if (*record_out && ((has_sides && (*record_out)->side != side) || !is_of_group(grouper, *record_out)))
        *record_out = NULL;
    return status;
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the values of a group");
}

static quern_status begin_group(qn_grouper *grouper, const qn_packed *first, qn_error *error)
{
    if (first->key_bytes > grouper->key_bytes_max || !grouper->key_bytes) {
        uint8_t *bytes = realloc(grouper->key_bytes, first->key_bytes + QN_SLACK_BYTES);
        if (!bytes)
            return no_memory(error);
        grouper->key_bytes = bytes;
        grouper->key_bytes_max = first->key_bytes;
    }
    memcpy(grouper->key_bytes, first->key, first->key_bytes);
    memset(grouper->key_bytes + first->key_bytes, 0, QN_SLACK_BYTES);
    grouper->key = *first;
    grouper->key.key = grouper->key_bytes;
    return QUERN_OK;
}

static void forget_group(qn_grouper *grouper)
{
    for (uint32_t side = 0; side < SIDE_COUNT; side++) {
        kept_values *kept = &grouper->sides[side];
        close_cursor(&grouper->cursors[side]);
        if (kept->on_disk)
            qn_spill_drop(&grouper->spill, &kept->run);
        *kept = (kept_values){.values = kept->values, .capacity = kept->capacity};
    }
    qn_arena_rewind(&grouper->copies);
}

/* ---- keeping ---- */

static quern_status write_value(qn_run_writer *writer, quern_span value, qn_error *error)
{
    uint32_t bytes = (uint32_t)value.bytes;
    uint8_t small[256];
    uint8_t *packed = sizeof bytes + value.bytes <= sizeof small ? small : malloc(sizeof bytes + value.bytes);
    if (!packed)
        return no_memory(error);
    memcpy(packed, &bytes, sizeof bytes);
    memcpy(packed + sizeof bytes, value.data, value.bytes);
    quern_status status = qn_run_writer_put_packed(writer, packed, sizeof bytes + value.bytes, error);
    if (packed != small)
        free(packed);
    return status;
}

/* What is kept goes to disk, and the rest of the side with it. */
static quern_status keep_on_disk(qn_grouper *grouper, uint32_t side, qn_error *error)
{
    kept_values *kept = &grouper->sides[side];
    qn_run_writer writer = {0};
    quern_status status = qn_run_writer_open(&writer, &grouper->spill, error);
    for (uint64_t i = 0; i < kept->count && status == QUERN_OK; i++)
        status = write_value(&writer, kept->values[i], error);
    const qn_packed *record = NULL;
    while (status == QUERN_OK && (status = peek_side(grouper, side, &record, error)) == QUERN_OK && record) {
        status = write_value(&writer, (quern_span){record->value, record->value_bytes}, error);
        kept->count++;
        step(grouper, side);
    }
    if (status == QUERN_OK)
        status = qn_run_writer_close(&writer, &kept->run, error);
    else
        qn_run_writer_abandon(&writer);
    kept->on_disk = status == QUERN_OK;
    return status;
}

static quern_status keep_value(qn_grouper *grouper, uint32_t side, const qn_packed *record, qn_error *error)
{
    const void *data = record->value;
    kept_values *kept = &grouper->sides[side];
    bool stays = qn_sorter_is_stable(grouper->stream_of[side]->sorter);
    if (kept->count == kept->capacity) {
        uint64_t capacity = kept->capacity ? 2 * kept->capacity : 64;
        quern_span *values = realloc(kept->values, capacity * sizeof *values);
        if (!values)
            return no_memory(error);
        kept->values = values;
        kept->capacity = capacity;
    }
    if (!stays && !(data = qn_arena_copy(&grouper->copies, data, record->value_bytes)))
        return no_memory(error);
    kept->bytes += sizeof *kept->values + (stays ? 0 : record->value_bytes);
    kept->values[kept->count++] = (quern_span){data, record->value_bytes};
    return QUERN_OK;
}

/* All values of a side of the group. */
static quern_status keep_side(qn_grouper *grouper, uint32_t side, qn_error *error)
{
    kept_values *kept = &grouper->sides[side];
    const qn_packed *record;
    for (;;) {
        quern_status status = peek_side(grouper, side, &record, error);
        if (status != QUERN_OK || !record)
            return status;
        if (kept->bytes + record->value_bytes > grouper->config.kept_bytes_max / SIDE_COUNT)
            return keep_on_disk(grouper, side, error);
        status = keep_value(grouper, side, record, error);
        if (status != QUERN_OK)
            return status;
        step(grouper, side);
    }
}

/* ---- values for callbacks ---- */

/* A failure behind the callback: it is told to stop. */
static int stop(quern_values *values)
{
    values->grouper->config.chain->end_failed = true;
    return -1;
}

static int next_on_disk(quern_values *values, quern_span *value_out)
{
    qn_grouper *grouper = values->grouper;
    uint32_t bytes;
    if (!values->reading) {
        if (qn_run_reader_open(&values->reader, &grouper->spill, &values->kept->run, grouper->error) != QUERN_OK)
            return stop(values);
        values->reading = true;
        values->left_bytes = 0;
    }
    if (values->left_bytes == 0 &&
        qn_run_reader_next_block(&values->reader, &values->block, &values->left_bytes, grouper->error) != QUERN_OK)
        return stop(values);
    memcpy(&bytes, values->block, sizeof bytes);
    QN_ASSERT(values->left_bytes >= sizeof bytes + bytes); /* blocks are verified, and hold whole values */
    *value_out = (quern_span){values->block + sizeof bytes, bytes};
    values->block += sizeof bytes + bytes;
    values->left_bytes -= sizeof bytes + bytes;
    values->next++;
    return 1;
}

int quern_values_next(quern_values *values, quern_span *value_out)
{
    if (values->next == values->kept->count)
        return 0;
    if (QN_UNLIKELY(values->next % VALUES_PER_SIGN == 0))
        values->grouper->config.chain->shown->record++; /* who reads a large group is not stuck */
    if (QN_UNLIKELY(values->kept->on_disk))
        return next_on_disk(values, value_out);
    *value_out = values->kept->values[values->next++];
    return 1;
}

int quern_values_rewind(quern_values *values)
{
    close_cursor(values);
    return 0;
}

/* ---- turns ---- */

static quern_span key_of(const qn_grouper *grouper)
{
    return (quern_span){grouper->key.key, grouper->key.key_bytes};
}

/* In check mode the bytes of what a callback may only read stand for it: the key, the values that are in memory, and, in a join, the one of
 * the outer record. A copy of the whole group need not be kept. */
static uint64_t digest_side(const kept_values *kept, uint64_t count_max, uint64_t seed)
{
    uint64_t count = kept->on_disk ? 0 : kept->count < count_max ? kept->count : count_max;
    for (uint64_t i = 0; i < count; i++)
        seed = qn_checksum(kept->values[i].data, kept->values[i].bytes, seed);
    return seed;
}

static uint64_t digest_group(void *turn)
{
    qn_grouper *grouper = turn;
    uint64_t seed = qn_checksum(grouper->key.key, grouper->key.key_bytes, 0);
    for (uint32_t side = 0; side < SIDE_COUNT; side++)
        seed = digest_side(&grouper->sides[side], UINT64_MAX, seed);
    return seed;
}

static int turn_group(quern_emitter *out, void *turn)
{
    qn_grouper *grouper = turn;
    const qn_node *node = grouper->config.node;
    close_cursor(&grouper->cursors[0]);
    return node->fn.group(key_of(grouper), &grouper->cursors[0], out, node->user);
}

static int turn_cogroup(quern_emitter *out, void *turn)
{
    qn_grouper *grouper = turn;
    const qn_node *node = grouper->config.node;
    close_cursor(&grouper->cursors[QN_SIDE_OUTER]);
    close_cursor(&grouper->cursors[QN_SIDE_INNER]);
    return node->fn.cogroup(key_of(grouper), &grouper->cursors[QN_SIDE_OUTER], &grouper->cursors[QN_SIDE_INNER], out,
                            node->user);
}

static int turn_copy(quern_emitter *out, void *turn)
{
    const qn_packed *record = turn;
    return quern_emit(out, (quern_span){record->key, record->key_bytes},
                      (quern_span){record->value, record->value_bytes});
}

/* An outer record of a join, and how it is paired. */
typedef struct join_turn {
    qn_grouper *grouper;
    const quern_span *outer; /* NULL: none; then inner values stand alone */
    bool pairs;              /* with each inner value; otherwise it stands alone */
} join_turn;

static bool outer_is_left(const qn_grouper *grouper)
{
    return grouper->config.collator->config.outer_input == 0;
}

static int turn_join(quern_emitter *out, void *turn)
{
    const join_turn *joined = turn;
    qn_grouper *grouper = joined->grouper;
    const qn_node *node = grouper->config.node;
    quern_values *values = &grouper->cursors[QN_SIDE_INNER];
    quern_span value;
    const quern_span *inner = joined->pairs ? &value : NULL;
    bool is_left = outer_is_left(grouper);
    const quern_span *left = is_left ? joined->outer : inner, *right = is_left ? inner : joined->outer;
    int more = 0, code = 0;
    if (!joined->pairs)
        return node->fn.join(key_of(grouper), left, right, out, node->user);
    close_cursor(values);
    while (code == 0 && qn_chain_turn_goes_on(out) && (more = quern_values_next(values, &value)) > 0)
        code = node->fn.join(key_of(grouper), left, right, out, node->user);
    return more < 0 ? more : code;
}

/* Of the inner values those that are read again in check mode. */
static uint64_t digest_join(void *turn)
{
    const join_turn *joined = turn;
    const qn_grouper *grouper = joined->grouper;
    uint64_t seed = qn_checksum(grouper->key.key, grouper->key.key_bytes, 0);
    if (joined->outer)
        seed = qn_checksum(joined->outer->data, joined->outer->bytes, seed);
    return joined->pairs ? digest_side(&grouper->sides[QN_SIDE_INNER], QN_TURN_CALLS_MAX, seed) : seed;
}

/* Adds to a callback's failure where it happened. */
static quern_status name_key(qn_grouper *grouper, quern_status status, qn_error *error)
{
    char key[QN_KEY_TEXT_BYTES_MAX + 1];
    size_t used = strlen(error->text);
    const qn_chain *chain = grouper->config.chain;
    if (status == QUERN_OK || chain->end_failed || (!chain->callback_failed && status != QUERN_ERROR_CHECK))
        return status;
    qn_key_describe(grouper->config.collator->config.collation.layout.key_type, grouper->key.key,
                    grouper->key.key_bytes, key);
    snprintf(error->text + used, sizeof error->text - used, ", on the group with key \"%s\" (%u bytes)", key,
             grouper->key.key_bytes);
    return status;
}

static quern_status take_turn(qn_grouper *grouper, const qn_turn *turn, qn_error *error)
{
    const qn_grouper_config *config = &grouper->config;
    const qn_turn_watch *watch = config->watch;
    uint64_t number = grouper->turn_count++;
    if (number < config->first_turn)
        return QUERN_OK;
    grouper->error = error;
    if (watch)
        watch->begin(watch->user, number, key_of(grouper));
    quern_status status = qn_chain_turn(config->chain, turn, config->attempt_count_max, error);
    if (status == QUERN_OK && watch)
        return watch->end(watch->user, number, error);
    return name_key(grouper, status, error);
}

/* In check mode groups are read twice; of those on disk only the first few. */
static bool is_checked(qn_grouper *grouper)
{
    bool on_disk = grouper->sides[0].on_disk || grouper->sides[1].on_disk;
    return !on_disk || grouper->large_count++ < LARGE_CHECKED_MAX;
}

static quern_status take_group(qn_grouper *grouper, int (*call)(quern_emitter *out, void *turn), qn_error *error)
{
    qn_turn turn = {call, is_checked(grouper) ? digest_group : NULL, grouper};
    return take_turn(grouper, &turn, error);
}

static quern_status take_pairs(qn_grouper *grouper, join_turn *joined, qn_error *error)
{
    qn_turn turn = {turn_join, digest_join, joined};
    return take_turn(grouper, &turn, error);
}

/* ---- groups ---- */

static quern_status run_group(qn_grouper *grouper, qn_error *error)
{
    quern_status status = keep_side(grouper, 0, error);
    return status == QUERN_OK ? take_group(grouper, turn_group, error) : status;
}

static quern_status run_cogroup(qn_grouper *grouper, qn_error *error)
{
    quern_status status = keep_side(grouper, QN_SIDE_INNER, error);
    if (status == QUERN_OK)
        status = keep_side(grouper, QN_SIDE_OUTER, error);
    return status == QUERN_OK ? take_group(grouper, turn_cogroup, error) : status;
}

static quern_status run_top(qn_grouper *grouper, qn_error *error)
{
    const qn_packed *record;
    quern_status status;
    for (uint64_t count = 0; (status = peek_side(grouper, 0, &record, error)) == QUERN_OK && record; count++) {
        if (count < grouper->config.node->of.k)
            status = take_turn(grouper, &(qn_turn){turn_copy, NULL, (void *)(uintptr_t)record}, error);
        if (status != QUERN_OK)
            return status;
        step(grouper, 0);
    }
    return status;
}

/* Whether a join has the records of a side that have no partner. */
static bool wants_lone(quern_join_type type, bool is_left)
{
    if (type == QUERN_JOIN_FULL)
        return true;
    return is_left ? type == QUERN_JOIN_LEFT || type == QUERN_JOIN_ANTI : type == QUERN_JOIN_RIGHT;
}

static quern_status join_outer(qn_grouper *grouper, qn_error *error)
{
    quern_join_type type = grouper->config.node->of.join_type;
    bool has_partners = grouper->sides[QN_SIDE_INNER].count > 0, is_left = outer_is_left(grouper);
    bool pairs = has_partners && type <= QUERN_JOIN_FULL;
    bool stands_alone = has_partners ? type == QUERN_JOIN_SEMI && is_left : wants_lone(type, is_left);
    const qn_packed *record;
    quern_status status;
    while ((status = peek_side(grouper, QN_SIDE_OUTER, &record, error)) == QUERN_OK && record) {
        quern_span outer = {record->value, record->value_bytes};
        join_turn turn = {grouper, &outer, pairs};
        if (pairs || stands_alone)
            status = take_pairs(grouper, &turn, error);
        if (status != QUERN_OK)
            return status;
        step(grouper, QN_SIDE_OUTER);
    }
    return status;
}

/* Whether inner records come through by themselves: without a partner on this rank or another; or with one, if the join only asks for that. */
static bool wants_inner(const qn_grouper *grouper, bool has_outer)
{
    quern_join_type type = grouper->config.node->of.join_type;
    const qn_collator *collator = grouper->config.collator;
    bool is_left = !outer_is_left(grouper), is_first;
    bool lone = wants_lone(type, is_left), partnered = type == QUERN_JOIN_SEMI && is_left;
    if (grouper->sides[QN_SIDE_INNER].count == 0 || !(partnered || (lone && !has_outer)))
        return false;
    bool is_divided =
        qn_splitters_is_divided(&collator->splitters, collator->config.comm->rank, &grouper->key, &is_first);
    return has_outer || is_divided ? partnered && is_first : lone;
}

static quern_status run_join(qn_grouper *grouper, qn_error *error)
{
    const qn_packed *outer;
    join_turn inner_alone = {grouper, NULL, true};
    quern_status status = keep_side(grouper, QN_SIDE_INNER, error);
    if (status == QUERN_OK)
        status = peek_side(grouper, QN_SIDE_OUTER, &outer, error);
    if (status == QUERN_OK && wants_inner(grouper, outer != NULL))
        status = take_pairs(grouper, &inner_alone, error);
    return status == QUERN_OK ? join_outer(grouper, error) : status;
}

quern_status qn_grouper_next(qn_grouper *grouper, bool *more_out, qn_error *error)
{
    const qn_packed *first;
    quern_status status = peek_first(grouper, &first, error);
    *more_out = first != NULL;
    if (status != QUERN_OK || !first)
        return status;
    status = begin_group(grouper, first, error);
    if (status != QUERN_OK)
        return status;
    switch (grouper->config.node->kind) {
    case QN_NODE_GROUP:
        status = run_group(grouper, error);
        break;
    case QN_NODE_TOP_OF_KEY:
        status = run_top(grouper, error);
        break;
    case QN_NODE_COGROUP:
        status = run_cogroup(grouper, error);
        break;
    default:
        QN_ASSERT(grouper->config.node->kind == QN_NODE_JOIN);
        status = run_join(grouper, error);
        break;
    }
    forget_group(grouper);
    return status;
}
