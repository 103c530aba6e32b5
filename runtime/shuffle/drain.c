/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/drain.h"

#include <stdlib.h>

#define WINDOW_SLOT_COUNT                                                                                              \
    1024 /* of the larger array, about: enough to go through in one go, few enough to be scattered */
#define WINDOW_BITS_MAX 24

quern_status qn_drain_init(qn_drain *drain, uint32_t size, qn_error *error)
{
    *drain = (qn_drain){.size = size, .ranges = calloc(size, sizeof *drain->ranges)};
    if (!drain->ranges)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the shuffle");
    return QUERN_OK;
}

void qn_drain_fini(qn_drain *drain)
{
    free(drain->ranges);
    *drain = (qn_drain){0};
}

static uint64_t reverse_bits(uint64_t number, uint32_t bits)
{
    uint64_t reversed = 0;
    for (uint32_t i = 0; i < bits; i++)
        reversed |= ((number >> i) & 1) << (bits - 1 - i);
    return reversed;
}

static void enter_window(const qn_drain *drain, qn_drain_range *range)
{
    uint64_t width = (range->last - range->first) >> drain->window_bits;
    uint64_t at = reverse_bits(range->window, drain->window_bits);
    uint64_t first = range->first + at * width;
    bool is_last = at + 1 == UINT64_C(1) << drain->window_bits;
    range->scan = qn_table_scan_of(drain->table, first, is_last ? range->last : first + width - 1);
}

void qn_drain_start(qn_drain *drain, qn_table *table)
{
    uint64_t tiny = table->tiny.slot_count, wide = table->wide.slot_count;
    uint64_t slot_count = (tiny > wide ? tiny : wide) / drain->size;
    drain->table = table;
    drain->window_bits = 0;
    while (drain->window_bits < WINDOW_BITS_MAX && slot_count >> drain->window_bits > WINDOW_SLOT_COUNT)
        drain->window_bits++;
    for (uint32_t to = 0; to < drain->size; to++) {
        drain->ranges[to] =
            (qn_drain_range){.first = qn_range_first(to, drain->size), .last = qn_range_last(to, drain->size)};
        enter_window(drain, &drain->ranges[to]);
    }
}

size_t qn_drain_take(qn_drain *drain, uint32_t to, const uint64_t **slots_out, size_t max)
{
    qn_drain_range *range = &drain->ranges[to];
    for (;;) {
        size_t count = qn_table_scan_take(&range->scan, slots_out, max);
        if (count > 0 || range->window + 1 >= UINT64_C(1) << drain->window_bits)
            return count;
        range->window++;
        enter_window(drain, range);
    }
}

double qn_drain_get_share(const qn_drain *drain)
{
    double windows = 0;
    for (uint32_t to = 0; to < drain->size; to++)
        windows += (double)drain->ranges[to].window;
    return windows / drain->size / (double)(UINT64_C(1) << drain->window_bits);
}
