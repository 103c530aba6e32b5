/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/failed_attempts.h: why attempts at tasks failed, of a run: the first few, for its report. On rank 0.
 *
 * A run that succeeds in spite of them has no error to tell; what was wrong on one rank, or once, is only here and in the log.
 */
#ifndef QN_ENGINE_FAILED_ATTEMPTS_H
#define QN_ENGINE_FAILED_ATTEMPTS_H

#include <stdint.h>

#include "runtime/base/status.h"

#define QN_FAILED_ATTEMPTS_MAX 20

typedef struct qn_failed_attempt {
    uint32_t stage, task, attempt, rank;
    char text[QN_ERROR_TEXT_BYTES_MAX];
} qn_failed_attempt;

typedef struct qn_failed_attempts {
    uint32_t stage; /* that runs: from 1, in the report */
    uint32_t count; /* in the run; of these the first ones are here */
    qn_failed_attempt first[QN_FAILED_ATTEMPTS_MAX];
} qn_failed_attempts;

#endif
