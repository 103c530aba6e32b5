/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/link_sums.h"

#include <math.h>

#include "runtime/base/assert.h"

#define ADDED(left, right)   ((left) + (right))
#define SMALLER(left, right) ((right) < (left) ? (right) : (left))
#define LARGER(left, right)  ((right) > (left) ? (right) : (left))

#define AS_SENT(i)    sent[sources[i]]
#define LENGTHENED(i) (sent[sources[i]] + weights[i])
#define WEIGHED(i)    (sent[sources[i]] * weights[i])

/* One loop for each rule: a decision per link would cost more than the link. */
#define LOOP(name, NOTHING, JOINED, TERM)                                                                              \
    static void name(const double *sent, const uint32_t *counts, size_t vertex_count, const uint32_t *sources,         \
                     const double *weights, double *come_out)                                                          \
    {                                                                                                                  \
        (void)weights;                                                                                                 \
        for (size_t vertex = 0, at = 0; vertex < vertex_count; vertex++) {                                             \
            double first = NOTHING, second = NOTHING;                                                                  \
            size_t end = at + counts[vertex];                                                                          \
            for (; at + 2 <= end; at += 2) {                                                                           \
                first = JOINED(first, TERM(at));                                                                       \
                second = JOINED(second, TERM(at + 1));                                                                 \
            }                                                                                                          \
            if (at < end) {                                                                                            \
                first = JOINED(first, TERM(at));                                                                       \
                at++;                                                                                                  \
            }                                                                                                          \
            come_out[vertex] = JOINED(first, second);                                                                  \
        }                                                                                                              \
    }

LOOP(sum, 0, ADDED, AS_SENT)
LOOP(sum_lengthened, 0, ADDED, LENGTHENED)
LOOP(sum_weighed, 0, ADDED, WEIGHED)
LOOP(least, (double)INFINITY, SMALLER, AS_SENT)
LOOP(least_lengthened, (double)INFINITY, SMALLER, LENGTHENED)
LOOP(least_weighed, (double)INFINITY, SMALLER, WEIGHED)
LOOP(largest, -(double)INFINITY, LARGER, AS_SENT)
LOOP(largest_lengthened, -(double)INFINITY, LARGER, LENGTHENED)
LOOP(largest_weighed, -(double)INFINITY, LARGER, WEIGHED)

double qn_link_nothing(quern_reduction combine)
{
    if (combine == QUERN_SUM)
        return 0;
    return combine == QUERN_MIN ? (double)INFINITY : -(double)INFINITY;
}

double qn_link_combine(quern_reduction combine, double left, double right)
{
    if (combine == QUERN_SUM)
        return ADDED(left, right);
    return combine == QUERN_MIN ? SMALLER(left, right) : LARGER(left, right);
}

void qn_link_sums(const qn_link_rule *rule, const double *sent, const uint32_t *counts, size_t vertex_count,
                  const uint32_t *sources, const double *weights, double *come_out)
{
    static void (*const loops[][3])(const double *, const uint32_t *, size_t, const uint32_t *, const double *,
                                    double *) = {
        {sum, sum_lengthened, sum_weighed},
        {least, least_lengthened, least_weighed},
        {largest, largest_lengthened, largest_weighed},
    };
    int row = rule->combine == QUERN_SUM ? 0 : rule->combine == QUERN_MIN ? 1 : 2;
    QN_ASSERT(rule->weight == QUERN_WEIGHT_NONE || weights);
    loops[row][rule->weight](sent, counts, vertex_count, sources, weights, come_out);
}
