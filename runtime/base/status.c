/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/status.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

const char *quern_status_name(quern_status status)
{
    switch (status) {
    case QUERN_OK:
        return "QUERN_OK";
#define NAME_CASE(name, code, scope, text)                                                                             \
    case QUERN_ERROR_##name:                                                                                           \
        return "QUERN_ERROR_" #name;
        QUERN_STATUS_LIST(NAME_CASE)
#undef NAME_CASE
    }
    return "QUERN_ERROR_UNKNOWN";
}

const char *quern_status_text(quern_status status)
{
    switch (status) {
    case QUERN_OK:
        return "success";
#define TEXT_CASE(name, code, scope, text)                                                                             \
    case QUERN_ERROR_##name:                                                                                           \
        return text;
        QUERN_STATUS_LIST(TEXT_CASE)
#undef TEXT_CASE
    }
    return "an unknown status";
}

int quern_exit_status(quern_status status)
{
    switch (status) {
    case QUERN_OK:
    case QUERN_ERROR_NOT_RUN:
        return 0;
    case QUERN_ERROR_SUSPENDED:
        return EX_TEMPFAIL;
    case QUERN_ERROR_CORRUPT:
        return EX_IOERR;
    default:
        return 1;
    }
}

quern_status qn_error_set(qn_error *error, quern_status status, int system_errno, const char *format, ...)
{
    if (!error || error->status != QUERN_OK)
        return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(error->text, sizeof error->text, format, arguments);
    va_end(arguments);
    if (system_errno != 0 && length >= 0 && (size_t)length < sizeof error->text)
        snprintf(error->text + length, sizeof error->text - (size_t)length, ": %s", strerror(system_errno));
    return status;
}

void qn_error_clear(qn_error *error)
{
    error->status = QUERN_OK;
    error->text[0] = 0;
}
