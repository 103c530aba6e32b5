/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define LINE_BYTES_MAX 1500

quern_status qn_log_open(qn_log *log, const char *path, uint32_t rank, qn_error *error)
{
    int fd = -1;
    if (path && strcmp(path, "-") == 0)
        fd = STDERR_FILENO;
    else if (path) {
        fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (fd < 0)
            return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, errno, "cannot open the log %s", path);
    }
    *log = (qn_log){.fd = fd, .rank = rank, .start_ns = qn_clock_ns()};
    return QUERN_OK;
}

void qn_log_close(qn_log *log)
{
    if (log->fd > STDERR_FILENO)
        close(log->fd);
    log->fd = -1;
}

void qn_log_line(const qn_log *log, const char *format, ...)
{
    if (log->fd < 0)
        return;
    char line[LINE_BYTES_MAX];
    int used =
        snprintf(line, sizeof line, "quern %.6f rank %u: ", (double)(qn_clock_ns() - log->start_ns) / 1e9, log->rank);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, arguments);
    va_end(arguments);
    size_t length = strnlen(line, sizeof line - 2);
    line[length] = '\n';
    if (more >= 0 && write(log->fd, line, length + 1) < 0)
        return; /* nobody to tell: a log that cannot be written must not end a job */
}
