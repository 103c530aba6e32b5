/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/exec/chain_internal.h"

void qn_counters_hide(struct quern_counter *counter)
{
    for (; counter; counter = counter->next) {
        counter->aside = counter->pending;
        counter->pending = 0;
    }
}

void qn_counters_show(struct quern_counter *counter)
{
    for (; counter; counter = counter->next)
        counter->pending = counter->aside;
}

void qn_counters_settle(struct quern_counter *counter, bool keep)
{
    for (; counter; counter = counter->next) {
        counter->sum += keep ? counter->pending : 0;
        counter->pending = 0;
    }
}
