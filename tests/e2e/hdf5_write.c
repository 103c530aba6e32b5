/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes records of one length as a dataset of HDF5: hdf5_write -o DIR -d DATASET -K TYPE[:BYTES] -V TYPE[:BYTES] [options] FILE... */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/e2e/hdf5_names.h"

static quern_hdf5_field fields[64];
static quern_hdf5_attribute attributes[64];
static uint64_t dims[32], chunk_dims[32];
static uint32_t chunk_rank, filter_values[32][8];
static quern_hdf5_filter filters[32];
static uint32_t fail_at; /* the record with this number as a key */

static uint32_t number_behind(char *separator)
{
    return separator ? (uint32_t)atoi(separator + 1) : 0;
}

/* "name:type:value" */
static quern_hdf5_attribute attribute_of(char *text)
{
    quern_hdf5_attribute attribute = {.name = strtok(text, ":")};
    attribute.type = type_of(strtok(NULL, ":"));
    attribute.text = strtok(NULL, "");
    attribute.integer = atoll(attribute.text);
    attribute.number = atof(attribute.text);
    return attribute;
}

/* NUL and what is behind it are not part of a text. */
static int cut(const quern_record *in, quern_record *out, void *user)
{
    const quern_schema *schema = user;
    if (fail_at > 0 && quern_u32(in->key) == fail_at)
        return 1;
    if (schema->key == QUERN_BYTES)
        out->key.bytes = strnlen(in->key.data, in->key.bytes);
    if (schema->value == QUERN_BYTES)
        out->value.bytes = strnlen(in->value.data, in->value.bytes);
    return 0;
}

/* "type:bytes" */
static quern_type field_type(char *text, uint32_t *bytes_out)
{
    char *separator = strchr(text, ':');
    *bytes_out = number_behind(separator);
    if (separator)
        *separator = 0;
    return type_of(text);
}

/* "number:value:value" */
static void add_filter(quern_hdf5_write_options *as, char *text)
{
    quern_hdf5_filter *filter = &filters[as->filter_count];
    uint32_t *values = filter_values[as->filter_count++];
    filter->number = atoi(strtok(text, ":"));
    filter->values = values;
    for (char *value; (value = strtok(NULL, ":"));)
        values[filter->value_count++] = (uint32_t)atoi(value);
}

static void add_option(quern_hdf5_write_options *as, int option, char *text)
{
    switch (option) {
    case 'd':
        as->dataset = text;
        return;
    case 't':
        as->type = type_of(text);
        return;
    case 'b':
        as->string_bytes = strcmp(text, "any") == 0 ? QUERN_HDF5_VARIABLE : (uint32_t)atoi(text);
        return;
    case 'f':
        fields[as->field_count++] = field_of(text);
        return;
    case 'k':
        as->with_key = 1;
        return;
    case 'D':
        dims[as->row_rank++] = strtoull(text, NULL, 10);
        return;
    case 'c':
        as->chunk_rows = strtoull(text, NULL, 10);
        return;
    case 'h':
        chunk_dims[chunk_rank++] = strtoull(text, NULL, 10);
        as->chunk_dims = chunk_dims;
        return;
    case '3':
        as->fletcher32 = 1;
        return;
    case 'y':
        add_filter(as, text);
        return;
    case 'z':
        as->deflate_level = atoi(text);
        return;
    case 's':
        as->shuffle = 1;
        return;
    case 'p':
        as->files = QUERN_HDF5_PER_RANK;
        return;
    case 'P':
        as->files = QUERN_HDF5_AT_PATH;
        return;
    case 'a':
        attributes[as->attribute_count++] = attribute_of(text);
        return;
    case 'l':
        as->like_file = text;
        return;
    case 'm':
        as->like_dataset = text;
        return;
    case 'L':
        as->like_type = 1;
        return;
    default:
        return;
    }
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    quern_hdf5_write_options as = {
        .struct_size = sizeof as, .fields = fields, .attributes = attributes, .row_dims = dims, .filters = filters};
    quern_fixed_options from = {.struct_size = sizeof from};
    const char *output = NULL;
    int is_cut = 0, is_sorted = 0;
    for (int option; (option = getopt(argc, argv, "o:d:t:b:f:kD:c:h:3y:z:spPa:l:m:LK:V:CSF:")) != -1;) {
        output = option == 'o' ? optarg : output;
        is_cut |= option == 'C';
        is_sorted |= option == 'S';
        if (option == 'K')
            from.schema.key = field_type(optarg, &from.key_bytes);
        else if (option == 'V')
            from.schema.value = field_type(optarg, &from.value_bytes);
        else if (option == 'F')
            fail_at = (uint32_t)atoi(optarg);
        else
            add_option(&as, option, optarg);
    }
    size_t key_bytes = quern_number_bytes(from.schema.key), value_bytes = quern_number_bytes(from.schema.value);
    from.record_bytes =
        (uint32_t)(key_bytes ? key_bytes : from.key_bytes) + (uint32_t)(value_bytes ? value_bytes : from.value_bytes);
    from.value_offset = from.schema.value == QUERN_NONE ? 0 : (uint32_t)(key_bytes ? key_bytes : from.key_bytes);
    from.schema.key_bytes = from.schema.key == QUERN_FIXED ? from.key_bytes : 0;
    from.schema.value_bytes = from.schema.value == QUERN_FIXED ? from.value_bytes : 0;
    quern_dataset *records =
        quern_read_fixed(context, (const char *const *)argv + optind, (size_t)(argc - optind), &from);
    if (is_cut || fail_at > 0)
        records = quern_map(records, from.schema, cut, &from.schema);
    if (is_sorted)
        records = quern_sort_by_key(records, NULL);
    quern_write_hdf5(records, output, &as);
    if (status == QUERN_OK)
        status = quern_run(context);
    if (status != QUERN_OK && quern_context_rank(context) == 0)
        fprintf(stderr, "hdf5_write: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return quern_exit_status(status);
}
