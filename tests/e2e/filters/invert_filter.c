/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A filter for HDF5 to find as a plugin: every byte becomes another, by a value that has to come with it. With INVERT_READS_ONLY in the environment it
 * can only be undone.
 */
#include <H5PLextern.h>
#include <stdlib.h>

#define NUMBER 399 /* of those for tests */

static size_t invert(unsigned flags, size_t value_count, const unsigned *values, size_t bytes, size_t *room_bytes,
                     void **room)
{
    unsigned char *at = *room;
    (void)flags, (void)room_bytes;
    for (size_t i = 0; i < bytes && value_count == 1; i++)
        at[i] ^= (unsigned char)values[0];
    return value_count == 1 ? bytes : 0;
}

static H5Z_class2_t about = {H5Z_CLASS_T_VERS, NUMBER, 1, 1, "invert", NULL, NULL, invert};

H5PL_type_t H5PLget_plugin_type(void)
{
    return H5PL_TYPE_FILTER;
}

const void *H5PLget_plugin_info(void)
{
    about.encoder_present = getenv("INVERT_READS_ONLY") == NULL;
    return &about;
}
