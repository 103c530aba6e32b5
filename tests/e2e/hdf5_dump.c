/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes what is read of HDF5 files as lines, key<TAB>value, values in hexadecimal digits: hdf5_dump -o DIR [options] DATASET FILE... */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/e2e/hdf5_names.h"

static char *line; /* of the last record */

static void put_place(char **to, quern_span place)
{
    quern_span file = quern_hdf5_place_file(place), dataset = quern_hdf5_place_dataset(place);
    *to += sprintf(*to, "%.*s %.*s", (int)file.bytes, (const char *)file.data, (int)dataset.bytes,
                   (const char *)dataset.data);
    for (uint32_t d = 0; d < quern_hdf5_place_rank(place); d++)
        *to += sprintf(*to, " %llu+%llu", (unsigned long long)quern_hdf5_place_start(place, d),
                       (unsigned long long)quern_hdf5_place_count(place, d));
}

static int describe(const quern_record *in, quern_record *out, void *user)
{
    free(line);
    line = malloc(2 * (in->key.bytes + in->value.bytes) + 4096);
    char *to = line;
    if (*(const int *)user)
        put_place(&to, in->key);
    else
        to += sprintf(to, "%llu", (unsigned long long)quern_u64(in->key));
    *to++ = '\t';
    for (size_t i = 0; i < in->value.bytes; i++)
        to += sprintf(to, "%02x", ((const uint8_t *)in->value.data)[i]);
    out->key = quern_bytes(line, (size_t)(to - line));
    out->value = quern_bytes(line, 0);
    return 0;
}

int main(int argc, char **argv)
{
    static quern_hdf5_field fields[64];
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    quern_hdf5_options form = {.struct_size = sizeof form, .fields = fields};
    const char *output = NULL;
    int has_places = 0;
    for (int option; (option = getopt(argc, argv, "o:r:t:f:pcx")) != -1;) {
        output = option == 'o' ? optarg : output;
        if (option == 'r')
            form.record = *optarg == 'r' ? QUERN_HDF5_ROWS : *optarg == 'e' ? QUERN_HDF5_ELEMENTS : QUERN_HDF5_CHUNKS;
        if (option == 't')
            form.type = type_of(optarg);
        if (option == 'f')
            fields[form.field_count++] = field_of(optarg);
        has_places |= option == 'p';
        form.convert |= option == 'c';
        form.external |= option == 'x';
    }
    form.key = has_places ? QUERN_HDF5_PLACE : QUERN_HDF5_INDEX;
    form.dataset = argv[optind];
    quern_dataset *records =
        quern_read_hdf5(context, (const char *const *)argv + optind + 1, (size_t)(argc - optind - 1), &form);
    quern_write_text(quern_map(records, (quern_schema){QUERN_BYTES, QUERN_NONE, 0, 0}, describe, &has_places), output);
    if (status == QUERN_OK)
        status = quern_run(context);
    if (status != QUERN_OK && quern_context_rank(context) == 0)
        fprintf(stderr, "hdf5_dump: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    free(line);
    return quern_exit_status(status);
}
