/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/helpers.h"

#include <stdlib.h>

#define NOBODY UINT32_MAX

quern_status qn_helpers_init(qn_helpers *helpers, uint32_t rank_count, qn_error *error)
{
    *helpers = (qn_helpers){.rank_count = rank_count, .ranks = calloc(rank_count, sizeof *helpers->ranks)};
    if (!helpers->ranks)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to schedule on %u ranks", rank_count);
    for (uint32_t rank = 0; rank < rank_count; rank++)
        helpers->ranks[rank].helps = NOBODY;
    return QUERN_OK;
}

void qn_helpers_fini(qn_helpers *helpers)
{
    free(helpers->ranks);
    *helpers = (qn_helpers){0};
}

void qn_helpers_give(qn_helpers *helpers, uint32_t rank, bool is_packed)
{
    if (!helpers->ranks)
        return;
    helpers->ranks[rank].tasks++;
    helpers->ranks[rank].packed += is_packed;
    helpers->packed += is_packed;
    helpers->changed = true;
}

static void free_helpers_of(qn_helpers *helpers, uint32_t lender)
{
    for (uint32_t rank = 0; rank < helpers->rank_count; rank++)
        if (helpers->ranks[rank].helps == lender)
            helpers->ranks[rank].helps = NOBODY;
    helpers->ranks[lender].helper_count = 0;
}

void qn_helpers_take_back(qn_helpers *helpers, uint32_t rank, bool is_packed)
{
    if (!helpers->ranks)
        return;
    helpers->ranks[rank].tasks--;
    helpers->ranks[rank].packed -= is_packed;
    helpers->packed -= is_packed;
    helpers->changed = true;
    if (is_packed) /* who lends begins anew with each task */
        free_helpers_of(helpers, rank);
}

static bool is_idle(const qn_rank_hands *hands)
{
    return hands->tasks == 0 && hands->helps == NOBODY;
}

/* The rank with a packed task that has the fewest helpers, if it may have one more. */
static uint32_t find_lender(const qn_helpers *helpers)
{
    uint32_t best = NOBODY, fewest = QN_HELPERS_MAX;
    for (uint32_t rank = 0; rank < helpers->rank_count; rank++) {
        const qn_rank_hands *hands = &helpers->ranks[rank];
        if (hands->packed > 0 && hands->helper_count < fewest) {
            fewest = hands->helper_count;
            best = rank;
        }
    }
    return best;
}

bool qn_helpers_next(qn_helpers *helpers, uint32_t *helper_out, uint32_t *lender_out)
{
    if (!helpers->ranks || !helpers->changed || helpers->packed == 0)
        return false;
    uint32_t helper = 0, lender = find_lender(helpers);
    while (helper < helpers->rank_count && !is_idle(&helpers->ranks[helper]))
        helper++;
    if (lender == NOBODY || helper == helpers->rank_count) {
        helpers->changed = false;
        return false;
    }
    helpers->ranks[helper].helps = lender;
    helpers->ranks[lender].helper_count++;
    *helper_out = helper;
    *lender_out = lender;
    return true;
}
