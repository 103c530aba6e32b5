/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/saved_lines.h"

#include <stdio.h>
#include <string.h>

bool qn_json_number(const json_t *object, const char *key, uint64_t *number_out)
{
    const json_t *number = json_object_get(object, key);
    *number_out = json_is_integer(number) ? (uint64_t)json_integer_value(number) : 0;
    return json_is_integer(number);
}

uint64_t qn_json_get_number(const json_t *object, const char *key)
{
    uint64_t number = 0;
    qn_json_number(object, key, &number);
    return number;
}

/* ---- the layout of records ---- */

enum {
    HAS_TAG = 1,
    HAS_SIDE = 2,
    KEY_VARIES = 4,
    VALUE_VARIES = 8,
    HAS_ALL = 15,
};

static json_t *describe_layout(const qn_layout *layout)
{
    json_int_t has = (layout->has_tag ? HAS_TAG : 0) | (layout->has_side ? HAS_SIDE : 0) |
                     (layout->key_varies ? KEY_VARIES : 0) | (layout->value_varies ? VALUE_VARIES : 0);
    return json_pack("[I, I, I, I, I, I]", (json_int_t)layout->key_type, (json_int_t)layout->value_types[0],
                     (json_int_t)layout->value_types[1], (json_int_t)layout->key_bytes, (json_int_t)layout->value_bytes,
                     has);
}

/* That of an earlier version has none. */
static bool parse_layout(const json_t *packed, qn_layout *layout_out)
{
    json_int_t types[3], bytes[2], has;
    *layout_out = (qn_layout){0};
    if (!packed)
        return true;
    if (json_unpack((json_t *)packed, "[I, I, I, I, I, I!]", &types[0], &types[1], &types[2], &bytes[0], &bytes[1],
                    &has) != 0)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (types[i] < 0 || types[i] > INT32_MAX || (i < 2 && (bytes[i] < 0 || bytes[i] > INT32_MAX)))
            return false;
    if (has < 0 || has > HAS_ALL)
        return false;
    *layout_out = (qn_layout){.key_type = (quern_type)types[0],
                              .value_types = {(quern_type)types[1], (quern_type)types[2]},
                              .key_bytes = (uint32_t)bytes[0],
                              .value_bytes = (uint32_t)bytes[1],
                              .key_varies = has & KEY_VARIES,
                              .value_varies = has & VALUE_VARIES,
                              .has_tag = has & HAS_TAG,
                              .has_side = has & HAS_SIDE};
    layout_out->head_bytes = (layout_out->has_tag ? 8U : 0) + (layout_out->key_varies ? 4U : 0) +
                             (layout_out->value_varies ? 4U : 0) + (layout_out->has_side ? 1U : 0);
    return true;
}

/* ---- files ---- */

json_t *qn_saved_file_describe(const qn_saved_file *file)
{
    const qn_run *run = &file->saved.run;
    char stamp[2 * QN_STAMP_BYTES + 1];
    qn_stamp_print(&file->saved.stamp, stamp);
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "name", file->name, "stamp",
                     stamp, "rank", (json_int_t)file->saved.rank, "ranks", (json_int_t)file->saved.size, "words",
                     (json_int_t)file->saved.value_words, "offset", (json_int_t)run->offset, "bytes",
                     (json_int_t)run->bytes, "rows", (json_int_t)run->row_count, "block_bytes",
                     (json_int_t)run->block_bytes_max, "unpacked_bytes", (json_int_t)run->unpacked_bytes_max, "number",
                     (json_int_t)run->number, "records", (json_int_t)file->saved.record_count, "layout",
                     describe_layout(&file->saved.layout));
}

bool qn_saved_file_parse(const json_t *line, uint32_t stage, qn_saved_file *file_out)
{
    const char *name = json_string_value(json_object_get(line, "name"));
    const char *stamp = json_string_value(json_object_get(line, "stamp"));
    uint64_t numbers[10];
    static const char *const keys[] = {"rank", "ranks",       "words",          "offset", "bytes",
                                       "rows", "block_bytes", "unpacked_bytes", "number", "records"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!qn_json_number(line, keys[i], &numbers[i]))
            return false;
    if (!name || strlen(name) >= QN_SAVED_NAME_BYTES || strchr(name, '/') || numbers[0] >= numbers[1] ||
        numbers[1] > UINT32_MAX || numbers[2] > UINT32_MAX)
        return false;
    *file_out = (qn_saved_file){.stage = stage,
                                .saved = {.rank = (uint32_t)numbers[0],
                                          .size = (uint32_t)numbers[1],
                                          .value_words = (uint32_t)numbers[2],
                                          .record_count = numbers[9]}};
    file_out->saved.run = (qn_run){.offset = numbers[3],
                                   .bytes = numbers[4],
                                   .row_count = numbers[5],
                                   .block_bytes_max = numbers[6],
                                   .unpacked_bytes_max = numbers[7],
                                   .number = numbers[8]};
    if (stamp && !qn_stamp_parse(stamp, &file_out->saved.stamp))
        return false;
    if (!qn_saved_is_run(&file_out->saved.run) ||
        !parse_layout(json_object_get(line, "layout"), &file_out->saved.layout))
        return false;
    snprintf(file_out->name, sizeof file_out->name, "%s", name);
    return true;
}

bool qn_saved_file_is_named(const json_t *lines, size_t first, const char *name)
{
    for (size_t i = first; i < json_array_size(lines); i++) {
        const json_t *files = json_object_get(json_array_get(lines, i), "files");
        for (size_t k = 0; k < json_array_size(files); k++) {
            const char *other = json_string_value(json_object_get(json_array_get(files, k), "name"));
            if (other && strcmp(other, name) == 0)
                return true;
        }
    }
    return false;
}
