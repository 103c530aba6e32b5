/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/e2e/hdf5_names.h: types and fields of HDF5 as arguments of the programs that write and dump them. */
#ifndef TESTS_E2E_HDF5_NAMES_H
#define TESTS_E2E_HDF5_NAMES_H

#include <quern/quern.h>
#include <stdlib.h>
#include <string.h>

static inline quern_type type_of(const char *name)
{
    static const char *const names[] = {[QUERN_NONE] = "none", [QUERN_BYTES] = "bytes", [QUERN_I64] = "i64",
                                        [QUERN_U64] = "u64",   [QUERN_FIXED] = "fixed", [QUERN_I32] = "i32",
                                        [QUERN_U32] = "u32",   [QUERN_F32] = "f32",     [QUERN_F64] = "f64"};
    for (int i = 0; name && i <= QUERN_F64; i++)
        if (strcmp(names[i], name) == 0)
            return (quern_type)i;
    return QUERN_NONE;
}

/* "name:type:count", or "name:bytes:any" */
static inline quern_hdf5_field field_of(char *text)
{
    quern_hdf5_field field = {.name = strtok(text, ":")};
    field.type = type_of(strtok(NULL, ":"));
    const char *count = strtok(NULL, ":");
    field.count = !count ? 0 : strcmp(count, "any") == 0 ? QUERN_HDF5_VARIABLE : (uint32_t)atoi(count);
    return field;
}

#endif
