/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/callback_failure.h: why a callback failed, where it has nothing but its return value to say so with.
 *
 * quern_fail_because() leaves the reason with the thread; whoever sees the callback's code on that thread takes it.
 */
#ifndef QN_BASE_CALLBACK_FAILURE_H
#define QN_BASE_CALLBACK_FAILURE_H

#include "runtime/base/status.h"

/* The reason that was left since the last time, or NULL; until the next one is left. */
const char *qn_callback_reason_take(void);

/* QUERN_ERROR_CALLBACK with the reason, if one was left, else with the code. name: of the operator or output. */
quern_status qn_callback_failed(qn_error *error, const char *name, int code);

#endif
