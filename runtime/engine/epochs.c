/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/epochs.h"

#include <math.h>

#include "runtime/base/clock.h"
#include "runtime/base/suspension.h"

#define SAVE_BYTES_PER_S (200.0 * 1024 * 1024)
#define SAVE_NS_MIN      (20 * QN_NS_PER_MS)
#define TELLING_BYTES                                                                                                  \
    (16.0 * 1024 * 1024)    /* from which on what an epoch took says more of bytes than what is assumed */
#define COST_PART        20 /* of the time may go into saving */
#define END_MARGIN_NS    (QN_NS_PER_S / 2)      /* to meet, and to end */
#define TERM_PATIENCE_NS (QN_NS_PER_S / 10 * 8) /* a launcher kills a second after SIGTERM */

uint64_t qn_epochs_foresee_cost_ns(const qn_epochs *epochs, uint64_t bytes)
{
    const double assumed_ns = (double)QN_NS_PER_S / SAVE_BYTES_PER_S; /* a byte */
    if (epochs->cost_ns == 0)
        return SAVE_NS_MIN + (uint64_t)((double)bytes * assumed_ns);
    if (bytes <= epochs->cost_bytes)
        return epochs->cost_ns;
    double by_bytes_ns = epochs->cost_ns > SAVE_NS_MIN ? (double)(epochs->cost_ns - SAVE_NS_MIN) : 0;
    double byte_ns = (by_bytes_ns + assumed_ns * TELLING_BYTES) / ((double)epochs->cost_bytes + TELLING_BYTES);
    return epochs->cost_ns + (uint64_t)((double)(bytes - epochs->cost_bytes) * byte_ns);
}

static uint64_t interval_ns(const qn_epochs *epochs, uint64_t cost_ns)
{
    double best_ns = sqrt(2.0 * (double)cost_ns * (double)epochs->failure_ns) - (double)cost_ns;
    uint64_t least_ns = COST_PART * cost_ns;
    return best_ns > (double)least_ns ? (uint64_t)best_ns : least_ns;
}

bool qn_epochs_is_due(const qn_epochs *epochs, uint64_t now_ns, uint64_t bytes)
{
    uint64_t wait_ns =
        epochs->every_ns > 0 ? epochs->every_ns : interval_ns(epochs, qn_epochs_foresee_cost_ns(epochs, bytes));
    return now_ns - epochs->last_ns >= wait_ns;
}

bool qn_epochs_pays(const qn_epochs *epochs, uint64_t now_ns, uint64_t bytes)
{
    return epochs->every_ns > 0 || now_ns - epochs->last_ns >= COST_PART * qn_epochs_foresee_cost_ns(epochs, bytes);
}

void qn_epochs_note(qn_epochs *epochs, uint64_t start_ns, uint64_t now_ns, uint64_t bytes)
{
    epochs->last_ns = now_ns;
    epochs->cost_ns = now_ns - start_ns;
    epochs->cost_bytes = bytes;
}

void qn_epochs_end_step(qn_epochs *epochs, uint64_t now_ns)
{
    uint64_t took_ns = now_ns - epochs->step_since_ns;
    epochs->step_ns = took_ns > epochs->step_ns ? took_ns : epochs->step_ns;
    epochs->step_since_ns = 0;
}

void qn_epochs_forget_steps(qn_epochs *epochs)
{
    epochs->step_ns = epochs->step_since_ns = 0;
}

/* To leave what is in hand. */
static uint64_t foresee_step_ns(const qn_epochs *epochs, uint64_t now_ns)
{
    uint64_t takes_ns = epochs->step_since_ns > 0 ? now_ns - epochs->step_since_ns : 0;
    return takes_ns > epochs->step_ns ? takes_ns : epochs->step_ns;
}

bool qn_epochs_must_end(qn_epochs *epochs, uint64_t now_ns, uint64_t bytes)
{
    epochs->is_to_end |= qn_suspension_is_asked();
    epochs->terminated_ns = qn_suspension_since_ns();
    if (epochs->is_to_end || epochs->deadline_ns == UINT64_MAX)
        return epochs->is_to_end;
    uint64_t need_ns = 2 * qn_epochs_foresee_cost_ns(epochs, bytes) + foresee_step_ns(epochs, now_ns) + END_MARGIN_NS;
    epochs->is_to_end = now_ns + need_ns >= epochs->deadline_ns;
    return epochs->is_to_end;
}

bool qn_epochs_may_save(const qn_epochs *epochs, uint64_t now_ns, uint64_t bytes)
{
    uint64_t end_ns = epochs->terminated_ns == 0 ? epochs->deadline_ns : epochs->terminated_ns + TERM_PATIENCE_NS;
    return now_ns + qn_epochs_foresee_cost_ns(epochs, bytes) < end_ns;
}
