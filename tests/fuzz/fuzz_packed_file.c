/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that may be packed in any way: what they are taken for, where they are cut, and that cutting changes no record, nor whether they can be read at all,
 * nor what is bad of them. First byte: how wide; second: what is read, and whether bad input is passed over.
 */
#include <fcntl.h>

#include "runtime/io/listing.h"
#include "runtime/io/record_plan.h"
#include "tests/fuzz/fuzz_reading.h"

#define TASKS_MAX     8 /* about; each of them opens the file */
#define PASSES_BAD    8
#define RECORDS_BYTES 7

static qn_source source;

static void read_splits(const qn_listing *listing, uint64_t split_bytes, fuzz_reading *to)
{
    static qn_buffer task;
    qn_splits splits;
    qn_error error = {0};
    FUZZ_CHECK(qn_splits_create(&splits, listing, split_bytes, &error) == QUERN_OK, "%s", error.text);
    for (uint32_t i = 0; i < splits.count && to->status == QUERN_OK && !to->is_cut_short; i++) {
        task.bytes = 0;
        qn_split_encode(&splits.items[i], listing, &task);
        fuzz_read_task(&source, &task, NULL, to);
    }
    qn_splits_destroy(&splits);
}

/* Borders are in order and within the file. */
static void check_units(const qn_input_file *file)
{
    const qn_units *units = &file->units;
    for (size_t i = 0; i < units->count; i++) {
        const qn_border *border = &units->borders[i];
        FUZZ_CHECK(border->offset < units->borders[i + 1].offset, "border %zu of %zu", i, units->count);
        FUZZ_CHECK(!border->member ||
                       (border->data_begin <= file->bytes && border->data_bytes <= file->bytes - border->data_begin),
                   "member %zu is not in the file", i);
    }
    FUZZ_CHECK(units->count == 0 || units->borders[units->count].offset == file->bytes,
               "the last border is not the end");
}

/* As the engine chooses (runtime/engine/task_list.c). */
static quern_status find_borders(qn_listing *listing, const qn_source_format *format, bool passes_bad, uint64_t spacing,
                                 qn_error *error)
{
    bool is_free = format->kind == QN_SOURCE_RECORDS;
    quern_status status = qn_listing_examine(listing, 0, error);
    if (status == QUERN_OK && !(passes_bad && is_free))
        status = qn_listing_find_units(listing, spacing, format->kind == QN_SOURCE_FIXED, passes_bad, error);
    return status;
}

/* spacing 0: not cut. */
static void read_file(const qn_source_format *format, const char *path, uint64_t bytes, uint64_t spacing,
                      bool passes_bad, fuzz_reading *to)
{
    qn_listing listing;
    qn_error error = {0};
    fuzz_reading_begin(to);
    to->status = qn_listing_create(&listing, &path, 1, &error);
    FUZZ_CHECK(to->status == QUERN_OK && listing.bytes == bytes, "%llu bytes: %s", (unsigned long long)listing.bytes,
               error.text);
    if (spacing > 0)
        to->status = find_borders(&listing, format, passes_bad, spacing, &error);
    if (listing.file_count > 0 && to->status == QUERN_OK)
        check_units(&listing.files[0]);
    bool is_of_lines = passes_bad && format->records.kind == QN_RECORDS_SEQUENCES;
    if (format->kind == QN_SOURCE_RECORDS && !is_of_lines && to->status == QUERN_OK)
        to->status = qn_record_plan(&format->records, &listing, &error);
    if (to->status == QUERN_OK)
        read_splits(&listing, spacing == 0 ? UINT64_MAX : spacing + bytes / TASKS_MAX, to);
    qn_listing_destroy(&listing);
}

/* Of rows none whose quotes hold line breaks, which need others to count them. */
static qn_source_format choose(uint8_t choice)
{
    qn_source_format format = {.kind = QN_SOURCE_RECORDS};
    switch (choice & 7) {
    case 1:
        format.records.kind = QN_RECORDS_SEQUENCES;
        return format;
    case 2:
        format.records.kind = QN_RECORDS_ROWS;
        format.records.rows = (qn_row_format){.separator = ' ', .has_quotes = true, .is_ragged = true};
        return format;
    case 3:
        format.records.kind = QN_RECORDS_FILES;
        return format;
    case 4:
        format.kind = QN_SOURCE_FIXED;
        format.layout = (qn_record_layout){.record_bytes = RECORDS_BYTES,
                                           .key_type = QUERN_FIXED,
                                           .key_bytes = RECORDS_BYTES,
                                           .value_type = QUERN_NONE};
        return format;
    default:
        format.kind = QN_SOURCE_TEXT;
        qn_delimiters_init(&format.delimiters, "\n", 1);
        return format;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static fuzz_reading whole, parts;
    fuzz_input content = {data, bytes};
    uint64_t spacing = 1 + fuzz_take(&content);
    uint8_t choice = fuzz_take(&content);
    bool passes_bad = choice & PASSES_BAD;
    const char *path = fuzz_file(content.data, content.bytes);
    qn_source_format format = choose(choice);
    qn_error error = {0};
    FUZZ_CHECK(qn_source_init(&source, &format, FUZZ_RECORD_BYTES_MAX, &error) == QUERN_OK, "%s", error.text);
    if (passes_bad) {
        qn_source_pass_bad(&source, true);
        qn_source_forgive_damage(&source, true);
    }
    read_file(&format, path, content.bytes, 0, passes_bad, &whole);
    read_file(&format, path, content.bytes, spacing, passes_bad, &parts);
    if (!whole.is_cut_short && !parts.is_cut_short)
        fuzz_check_same(&whole, &parts, "in units");
    qn_source_fini(&source);
    return 0;
}
