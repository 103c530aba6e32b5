/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/log.h: lines for the person who asked for a log. Silent unless opened.
 *
 * A line is one write of "seconds rank text", so lines of several ranks do not mix on a local file system.
 */
#ifndef QN_BASE_LOG_H
#define QN_BASE_LOG_H

#include <stdint.h>

#include "runtime/base/status.h"

typedef struct qn_log {
    int fd; /* -1: silent */
    uint32_t rank;
    uint64_t start_ns;
} qn_log;

/* path NULL: silent; "-": standard error; else appended to (created if missing). */
quern_status qn_log_open(qn_log *log, const char *path, uint32_t rank, qn_error *error);
void qn_log_close(qn_log *log);
void qn_log_line(const qn_log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
