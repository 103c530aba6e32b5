/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that may be packed in any way: what they are taken for, where they are cut, and that cutting changes no record. First byte: how wide. */
#include <fcntl.h>

#include "runtime/io/listing.h"
#include "tests/fuzz/fuzz_reading.h"

#define TASKS_MAX 8 /* about; each of them opens the file */

static void read_splits(qn_source *source, const qn_listing *listing, uint64_t split_bytes, fuzz_reading *to)
{
    static qn_buffer task;
    qn_splits splits;
    qn_error error = {0};
    fuzz_reading_begin(to);
    FUZZ_CHECK(qn_splits_create(&splits, listing, split_bytes, &error) == QUERN_OK, "%s", error.text);
    for (uint32_t i = 0; i < splits.count && to->status == QUERN_OK && !to->is_cut_short; i++) {
        task.bytes = 0;
        qn_split_encode(&splits.items[i], listing, &task);
        fuzz_read_task(source, &task, NULL, to);
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

static quern_status list(qn_listing *listing, const char *path, uint64_t bytes, uint64_t spacing)
{
    qn_error error = {0};
    quern_status status = qn_listing_create(listing, &path, 1, &error);
    FUZZ_CHECK(status == QUERN_OK, "%s", error.text);
    FUZZ_CHECK(listing->bytes == bytes, "%llu bytes", (unsigned long long)listing->bytes);
    if (spacing > 0)
        status = qn_listing_examine(listing, 0, &error);
    if (spacing > 0 && status == QUERN_OK)
        status = qn_listing_find_units(listing, spacing, false, false, &error);
    if (listing->file_count > 0 && status == QUERN_OK)
        check_units(&listing->files[0]);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static fuzz_reading whole, parts;
    static qn_source source;
    fuzz_input content = {data, bytes};
    uint64_t spacing = 1 + fuzz_take(&content);
    const char *path = fuzz_file(content.data, content.bytes);
    qn_source_format format = {.kind = QN_SOURCE_TEXT};
    qn_error error = {0};
    qn_listing listing;
    qn_delimiters_init(&format.delimiters, "\n", 1);
    FUZZ_CHECK(qn_source_init(&source, &format, FUZZ_RECORD_BYTES_MAX, &error) == QUERN_OK, "%s", error.text);
    fuzz_reading_begin(&whole);
    if (list(&listing, path, content.bytes, 0) == QUERN_OK)
        read_splits(&source, &listing, UINT64_MAX, &whole);
    qn_listing_destroy(&listing);
    if (list(&listing, path, content.bytes, spacing) == QUERN_OK)
        read_splits(&source, &listing, spacing + content.bytes / TASKS_MAX, &parts);
    qn_listing_destroy(&listing);
    /* Readers of parts and libarchive differ in what damage they see; what both read is the same. */
    if (whole.status == QUERN_OK && parts.status == QUERN_OK && !whole.is_cut_short && !parts.is_cut_short)
        fuzz_check_same(&whole, &parts, "in units");
    qn_source_fini(&source);
    return 0;
}
