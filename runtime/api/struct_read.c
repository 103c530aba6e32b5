/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs that begin with their size: programs may have been compiled with an older or a newer header than the library. */
#include <string.h>

#include "runtime/api/context_internal.h"

#define STRUCT_BYTES_MAX 4096 /* beyond it the size was never set */

static bool is_zero(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

quern_status qn_struct_read(void *to, size_t to_bytes, size_t first_bytes, const void *from, const char *what,
                            const char *remedy, qn_error *error)
{
    size_t from_bytes = 0;
    if (!from)
        return QUERN_OK;
    memcpy(&from_bytes, from, sizeof from_bytes);
    if (from_bytes < first_bytes || from_bytes > STRUCT_BYTES_MAX)
        return qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%s: struct_size is %zu: %s", what, from_bytes,
                            remedy);
    if (from_bytes > to_bytes && !is_zero((const uint8_t *)from + to_bytes, from_bytes - to_bytes))
        return qn_error_set(
            error, QUERN_ERROR_INVALID_ARGUMENT, 0,
            "%s: a field is set that this library does not know: leave it zero, or use the library that "
            "the header belongs to",
            what);
    memcpy(to, from, from_bytes < to_bytes ? from_bytes : to_bytes);
    memcpy(to, &to_bytes, sizeof to_bytes);
    return QUERN_OK;
}
