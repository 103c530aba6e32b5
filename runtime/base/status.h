/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/status.h: the failure's detail, recorded once by the function that knows the cause.
 *
 * A qn_error travels by pointer through every internal call that can fail. The finder calls
 * qn_error_set(); everyone above passes the status up unchanged. The first detail wins.
 */
#ifndef QN_BASE_STATUS_H
#define QN_BASE_STATUS_H

#include <quern/status.h>

#define QN_ERROR_TEXT_BYTES_MAX 1024

typedef struct qn_error {
    quern_status status;
    char text[QN_ERROR_TEXT_BYTES_MAX]; /* UTF-8 or file-name bytes, NUL at the end */
} qn_error;

/* Records status and text if nothing is recorded yet; returns `status`. `error` may be NULL. A trailing
 * ": %m"-like system text is appended when system_errno is not 0. */
quern_status qn_error_set(qn_error *error, quern_status status, int system_errno, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Forgets what was recorded. */
void qn_error_clear(qn_error *error);

#endif
