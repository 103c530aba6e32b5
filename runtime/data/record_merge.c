/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/record_merge.h"

#include "runtime/base/assert.h"

static void load_from_memory(qn_record_merge *merge, qn_record_input *input)
{
    const qn_sorted *memory = &merge->memory;
    size_t at = input->next_entry;
    if (at == memory->count) {
        input->ended = true;
        return;
    }
    if (at + QN_SORT_FETCH_AHEAD < memory->count)
        qn_sort_fetch_whole(memory->records + memory->entries[at + QN_SORT_FETCH_AHEAD].place, memory->typical_bytes);
    qn_sort_decode(&merge->collation->layout, memory->records + memory->entries[at].place, &input->record);
    input->next_entry++;
}

static quern_status load_from_block(qn_record_merge *merge, qn_record_input *input, qn_error *error)
{
    uint64_t bytes = qn_packed_decode(&merge->collation->layout, input->next, input->left_bytes, &input->record);
    if (QN_UNLIKELY(bytes == 0))
        return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a spilled record does not fit its block");
    input->next += bytes;
    input->left_bytes -= bytes;
    return QUERN_OK;
}

/* Loads the next record of a run from its next block. */
static quern_status load_block(qn_record_merge *merge, qn_record_input *input, qn_error *error)
{
    quern_status status = qn_run_reader_next_block(&input->reader, &input->next, &input->left_bytes, error);
    if (status != QUERN_OK)
        return status;
    input->ended = input->left_bytes == 0;
    return input->ended ? QUERN_OK : load_from_block(merge, input, error);
}

static qn_record_player player_of(const qn_record_merge *merge, uint32_t index)
{
    const qn_record_input *input = &merge->inputs[index];
    uint64_t prefix = input->ended ? UINT64_MAX : qn_collation_prefix(merge->collation, &input->record);
    return (qn_record_player){prefix, index};
}

/* Of players with the same prefix; what ended comes last. */
static __attribute__((noinline)) bool comes_before_in_full(const qn_record_merge *merge, qn_record_player a,
                                                           qn_record_player b)
{
    const qn_record_input *left = &merge->inputs[a.input], *right = &merge->inputs[b.input];
    if (left->ended || right->ended)
        return right->ended && !left->ended;
    return qn_collation_compare(merge->collation, &left->record, &right->record) < 0;
}

static inline bool comes_before(const qn_record_merge *merge, qn_record_player a, qn_record_player b)
{
    if (QN_LIKELY(a.prefix != b.prefix))
        return a.prefix < b.prefix;
    return comes_before_in_full(merge, a, b);
}

/* The winner's input has another record: plays its way up again. */
static void replay(qn_record_merge *merge)
{
    qn_record_player winner = player_of(merge, merge->losers[0].input);
    for (uint32_t at = (winner.input + merge->input_count) / 2; at > 0; at /= 2) {
        qn_record_player other = merge->losers[at];
        if (comes_before(merge, other, winner)) {
            merge->losers[at] = winner;
            winner = other;
        }
    }
    merge->losers[0] = winner;
}

static void play_all(qn_record_merge *merge)
{
    qn_record_player winners[2 * QN_RECORD_MERGE_INPUTS_MAX];
    uint32_t count = merge->input_count;
    for (uint32_t i = 0; i < count; i++)
        winners[count + i] = player_of(merge, i);
    for (uint32_t at = count; at-- > 1;) {
        qn_record_player left = winners[2 * at], right = winners[2 * at + 1];
        bool right_wins = comes_before(merge, right, left);
        winners[at] = right_wins ? right : left;
        merge->losers[at] = right_wins ? left : right;
    }
    merge->losers[0] = winners[1];
}

static quern_status open_run(qn_record_merge *merge, qn_spill *spill, const qn_run *run, qn_merge_room room,
                             qn_error *error)
{
    qn_record_input *input = &merge->inputs[merge->input_count];
    uint8_t *memory = room.run_bytes > 0 ? room.memory + merge->input_count * room.run_bytes : NULL;
    quern_status status = qn_run_reader_open_ahead(&input->reader, spill, run, memory, room.run_bytes, error);
    if (status != QUERN_OK)
        return status;
    merge->input_count++;
    input->of_run = true;
    return QUERN_OK;
}

/* All are opened, and so read ahead, before the first is waited for. */
static quern_status open_runs(qn_record_merge *merge, qn_spill *spill, const qn_run *runs, uint32_t run_count,
                              qn_merge_room room, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t i = 0; i < run_count && status == QUERN_OK; i++)
        status = open_run(merge, spill, &runs[i], room, error);
    for (uint32_t i = 0; i < run_count && status == QUERN_OK; i++)
        status = load_block(merge, &merge->inputs[i], error);
    return status;
}

quern_status qn_record_merge_open(qn_record_merge *merge, const qn_collation *collation, qn_spill *spill,
                                  const qn_run *runs, uint32_t run_count, const qn_sorted *memory, qn_merge_room room,
                                  qn_error *error)
{
    QN_ASSERT(run_count <= QN_RECORD_MERGE_FAN_IN_MAX);
    memset(merge, 0, sizeof *merge);
    merge->collation = collation;
    quern_status status = open_runs(merge, spill, runs, run_count, room, error);
    if (status != QUERN_OK) {
        qn_record_merge_close(merge);
        return status;
    }
    if (memory) {
        merge->memory = *memory;
        load_from_memory(merge, &merge->inputs[merge->input_count++]);
    }
    if (merge->input_count > 0)
        play_all(merge);
    return QUERN_OK;
}

void qn_record_merge_close(qn_record_merge *merge)
{
    for (uint32_t i = 0; i < merge->input_count; i++)
        qn_run_reader_close(&merge->inputs[i].reader);
    merge->input_count = 0;
}

/* Moves the winner's input on; or notes that the next record is in another block. */
static inline quern_status advance(qn_record_merge *merge, qn_record_input *input, qn_error *error)
{
    if (!input->of_run) {
        load_from_memory(merge, input);
    } else if (input->left_bytes == 0) {
        merge->stalled = true;
        return QUERN_OK;
    } else {
        quern_status status = load_from_block(merge, input, error);
        if (status != QUERN_OK)
            return status;
    }
    replay(merge);
    return QUERN_OK;
}

static quern_status end_stall(qn_record_merge *merge, qn_error *error)
{
    quern_status status = load_block(merge, &merge->inputs[merge->losers[0].input], error);
    if (status != QUERN_OK)
        return status;
    merge->stalled = false;
    replay(merge);
    return QUERN_OK;
}

quern_status qn_record_merge_next(qn_record_merge *merge, qn_packed *records_out, size_t max, size_t *count_out,
                                  qn_error *error)
{
    size_t count = 0;
    quern_status status = merge->stalled ? end_stall(merge, error) : QUERN_OK;
    while (status == QUERN_OK && count < max && !merge->stalled && merge->input_count > 0) {
        qn_record_input *input = &merge->inputs[merge->losers[0].input];
        if (input->ended)
            break;
        records_out[count++] = input->record;
        status = advance(merge, input, error);
    }
    *count_out = status == QUERN_OK ? count : 0;
    return status;
}
