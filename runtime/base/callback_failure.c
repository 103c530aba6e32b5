/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/callback_failure.h"

#include <quern/dataset.h>
#include <stdio.h>

#define REASON_BYTES_MAX 512

static _Thread_local char reason[REASON_BYTES_MAX]; /* "": none */

int quern_fail_because(const char *text)
{
    snprintf(reason, sizeof reason, "%s", text && *text ? text : "failed");
    return 1;
}

const char *qn_callback_reason_take(void)
{
    static _Thread_local char taken[REASON_BYTES_MAX];
    if (!*reason)
        return NULL;
    memcpy(taken, reason, sizeof taken);
    *reason = 0;
    return taken;
}

quern_status qn_callback_failed(qn_error *error, const char *name, int code)
{
    const char *why = qn_callback_reason_take();
    if (why)
        return qn_error_set(error, QUERN_ERROR_CALLBACK, 0, "'%s': %s", name, why);
    return qn_error_set(error, QUERN_ERROR_CALLBACK, 0, "the callback of '%s' returned %d", name, code);
}
