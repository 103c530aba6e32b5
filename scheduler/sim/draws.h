/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * scheduler/sim/draws.h: lengths and lifetimes by chance, the same bits on every machine.
 *
 * Logarithm and exponential are made of IEEE additions, multiplications and divisions only (and frexp, ldexp, sqrt, which are exact), since
 * those of libm differ between machines in the last bit, and one bit is another run. Their error is below 1e-14 of the result.
 */
#ifndef QN_SCHEDULER_SIM_DRAWS_H
#define QN_SCHEDULER_SIM_DRAWS_H

#include <stdint.h>

double qn_draw_log(double x);
double qn_draw_exp(double x);

/* Above 0, up to 1. */
double qn_draw_unit(uint64_t *random);
/* sigma: of the logarithm. */
double qn_draw_lognormal(uint64_t *random, double mean, double sigma);
/* alpha > 1: the smaller, the heavier the tail. */
double qn_draw_pareto(uint64_t *random, double mean, double alpha);
/* shape 1: without memory; below, those that are new fail more often. */
double qn_draw_weibull(uint64_t *random, double mean, double shape);
/* What is left of the life of one that is found alive, after many have followed each other in its place: one failure in `mean` on average,
 * whatever the shape. */
double qn_draw_weibull_rest(uint64_t *random, double mean, double shape);

#endif
