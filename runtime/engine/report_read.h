/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/report_read.h: fields of a report, or of any other JSON, which may be missing, or anything. */
#ifndef QN_ENGINE_REPORT_READ_H
#define QN_ENGINE_REPORT_READ_H

#include <jansson.h>
#include <math.h>

#include "runtime/engine/progress.h"

#define QN_REPORT_NUMBER_MAX 9e18 /* so that it can be made an integer */

static inline double qn_report_clamp(double number)
{
    return fmax(-QN_REPORT_NUMBER_MAX, fmin(number, QN_REPORT_NUMBER_MAX));
}

/* 0 if it is no number. */
static inline double qn_report_number(const json_t *object, const char *name)
{
    return qn_report_clamp(json_number_value(json_object_get(object, name)));
}

/* Empty if it is no text. */
static inline const char *qn_report_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* The sum of a number over a list of objects. */
static inline double qn_report_sum(const json_t *list, const char *name)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(list); i++)
        sum += qn_report_number(json_array_get(list, i), name);
    return qn_report_clamp(sum);
}

/* How long all of these ranks were in a state, by its name. */
static inline double qn_report_state_seconds(const json_t *ranks, const char *state)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(ranks); i++)
        sum += qn_report_number(json_object_get(json_array_get(ranks, i), "state_seconds"), state);
    return qn_report_clamp(sum);
}

/* As qn_progress_bytes(). */
static inline const char *qn_report_bytes(double bytes)
{
    return qn_progress_bytes((uint64_t)fmax(0, qn_report_clamp(bytes)));
}

#endif
