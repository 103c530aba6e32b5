/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stage_places.h"

#include <stdlib.h>

#define PLACES_AT_ONCE ((uint64_t)1 << 20)

/* What is before each part of the stored result that a leg reads. Each rank puts in what it knows of its parts, at their numbers; the
 * sums of all ranks are then everything, since every part is somewhere once. */
static quern_status learn_places(qn_stage_run *run, uint32_t leg, qn_error *error)
{
    enum { WORDS = sizeof(qn_place) / sizeof(uint64_t) };
    const qn_store *store = run->from[leg]->stored;
    quern_type type = store->layout.value_types[0];
    uint64_t count = run->from[leg]->part_count;
    qn_place *places = calloc(count + 1, sizeof *places), before = {0};
    if (!places)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the places of %llu parts",
                     (unsigned long long)count);
    quern_status status = qn_comm_agree(run->engine->comm, error);
    for (size_t i = 0; status == QUERN_OK && i < store->part_count; i++)
        places[store->parts[i].number] = (qn_place){store->parts[i].record_count, 0, store->parts[i].sum};
    /* In pieces, since words are counted by an int. A sum of several words is of one rank: no carry is lost. */
    for (uint64_t at = 0; at < count && status == QUERN_OK; at += PLACES_AT_ONCE) {
        uint64_t more = count - at < PLACES_AT_ONCE ? count - at : PLACES_AT_ONCE;
        status = qn_comm_reduce_sum(run->engine->comm, (uint64_t *)&places[at], more * WORDS, error);
    }
    for (uint64_t i = 0; i < count && status == QUERN_OK; i++)
        before.record_count_all += places[i].record_count;
    for (uint64_t i = 0; i < count && status == QUERN_OK; i++) {
        qn_place here = places[i];
        places[i] = before;
        before.record_count += here.record_count;
        if (qn_type_is_number(type) && !qn_running_sum_merge(&before.sum, type, &here.sum))
            status = qn_error_set(error, QUERN_ERROR_OVERFLOW, 0, "more than 2^37 floating-point numbers in one sum");
    }
    run->places[leg] = places;
    return status;
}

quern_status qn_stage_learn_places(qn_stage_run *run, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (uint32_t leg = 0; leg < run->stage->leg_count && status == QUERN_OK; leg++)
        if (qn_chain_needs_places(&run->chains[leg]))
            status = learn_places(run, leg, error);
    return status;
}
