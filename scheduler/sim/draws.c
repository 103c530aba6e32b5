/* SPDX-License-Identifier: BSD-3-Clause */
#include "scheduler/sim/draws.h"

#include <math.h>

#include "scheduler/sim/sim_random.h"

enum { LOG_TERMS = 12, EXP_TERMS = 16, LANCZOS_TERMS = 9 };

static const double LN2 = 0.693147180559945309417;
static const double HALF_ROOT = 0.707106781186547524401;

/* x = m 2^e with m around 1; ln m = 2 artanh((m - 1) / (m + 1)). */
double qn_draw_log(double x)
{
    int exponent = 0;
    double m = frexp(x, &exponent);
    if (m < HALF_ROOT) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1);
    double sum = 0;
    for (int term = LOG_TERMS; term-- > 0;) {
        sum = sum * s * s + 1.0 / (2 * term + 1);
    }
    return exponent * LN2 + 2 * s * sum;
}

double qn_draw_exp(double x)
{
    double whole = (double)(int64_t)(x / LN2 + (x < 0 ? -0.5 : 0.5));
    double part = x - whole * LN2;
    double sum = 1;
    for (int term = EXP_TERMS; term > 0; term--) {
        sum = 1 + sum * part / term;
    }
    return ldexp(sum, (int)whole);
}

double qn_draw_unit(uint64_t *random)
{
    return (double)((qn_sim_draw(random) >> 11) + 1) / 9007199254740992.0;
}

/* Marsaglia's polar method: no sine. */
static double draw_normal(uint64_t *random)
{
    for (;;) {
        double u = 2 * qn_draw_unit(random) - 1;
        double v = 2 * qn_draw_unit(random) - 1;
        double square = u * u + v * v;
        if (square > 0 && square < 1) {
            return u * sqrt(-2 * qn_draw_log(square) / square);
        }
    }
}

double qn_draw_lognormal(uint64_t *random, double mean, double sigma)
{
    return mean * qn_draw_exp(sigma * draw_normal(random) - sigma * sigma / 2);
}

double qn_draw_pareto(uint64_t *random, double mean, double alpha)
{
    double least = mean * (alpha - 1) / alpha;
    return least * qn_draw_exp(-qn_draw_log(qn_draw_unit(random)) / alpha);
}

/* Gamma(1 + x), x >= 0, by Lanczos (g = 7). */
static double gamma_after(double x)
{
    static const double terms[LANCZOS_TERMS] = {
        0.99999999999980993, 676.5203681218851,    -1259.1392167224028,   771.32342877765313,    -176.61502916214059,
        12.507343278686905,  -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
    };
    double sum = terms[0];
    for (int i = 1; i < LANCZOS_TERMS; i++) {
        sum += terms[i] / (x + i);
    }
    double base = x + 7.5;
    return 2.5066282746310005 * qn_draw_exp((x + 0.5) * qn_draw_log(base) - base) * sum;
}

/* The life at whose end so much hazard has come together. */
static double life_of(double hazard, double mean, double shape)
{
    double scale = mean / gamma_after(1 / shape);
    return hazard > 0 ? scale * qn_draw_exp(qn_draw_log(hazard) / shape) : 0;
}

double qn_draw_weibull(uint64_t *random, double mean, double shape)
{
    return life_of(-qn_draw_log(qn_draw_unit(random)), mean, shape);
}

/* Of Gamma's distribution, a >= 1, by Marsaglia and Tsang: the cube of a normal one, some taken back. */
static double draw_gamma(uint64_t *random, double a)
{
    double most = a - 1.0 / 3, width = 1 / sqrt(9 * most);
    for (;;) {
        double normal = draw_normal(random), root = 1 + width * normal, cube = root * root * root;
        if (root > 0 &&
            qn_draw_log(qn_draw_unit(random)) < normal * normal / 2 + most - most * cube + most * qn_draw_log(cube)) {
            return most * cube;
        }
    }
}

/* Who looks at any time finds a long life more often than a short one, in the ratio of their lengths, and any moment of it alike. The hazard of
 * a life that is found so is of Gamma's distribution. */
double qn_draw_weibull_rest(uint64_t *random, double mean, double shape)
{
    double whole = life_of(draw_gamma(random, 1 + 1 / shape), mean, shape);
    return whole * qn_draw_unit(random);
}
