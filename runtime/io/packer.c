/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/packer.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct qn_packer {
    struct archive *archive;
    qn_packer_fn fn;
    void *user;
    qn_error failure; /* of fn */
    bool is_lz4;
    bool discards; /* ended, or given up */
    bool has_content;
};

typedef struct kind {
    const char *suffix;
    int (*add)(struct archive *archive);
    const char *filter; /* libarchive's name of it */
} kind;

static const kind kinds[] = {
    [QUERN_NOT_COMPRESSED] = {"", NULL, NULL},
    [QUERN_GZIP] = {".gz", archive_write_add_filter_gzip, "gzip"},
    [QUERN_ZSTD] = {".zst", archive_write_add_filter_zstd, "zstd"},
    [QUERN_LZ4] = {".lz4", archive_write_add_filter_lz4, "lz4"},
};

const char *qn_compression_suffix(quern_compression compression)
{
    return (size_t)compression < sizeof kinds / sizeof *kinds ? kinds[compression].suffix : NULL;
}

/* libarchive is not told of a failure: it would never free what it holds for this function. */
static la_ssize_t give_out(struct archive *archive, void *user, const void *data, size_t bytes)
{
    qn_packer *packer = user;
    (void)archive;
    if (!packer->discards)
        packer->discards = packer->fn(packer->user, data, bytes, &packer->failure) != QUERN_OK;
    return (la_ssize_t)bytes;
}

/* What fn answered before counts as well, and in its own words. */
static quern_status outcome(const qn_packer *packer, bool done, qn_error *error)
{
    if (done && packer->failure.status == QUERN_OK)
        return QUERN_OK;
    if (packer->failure.status != QUERN_OK)
        return qn_error_set(error, packer->failure.status, 0, "%s", packer->failure.text);
    const char *text = archive_error_string(packer->archive);
    return qn_error_set(error, archive_errno(packer->archive) == ENOMEM ? QUERN_ERROR_NO_MEMORY : QUERN_ERROR_OUTPUT, 0,
                        "cannot compress the output: %s", text ? text : "unknown");
}

/* Neither a time in the file, nor blocks of output of any size but what comes. */
static int set_up(qn_packer *packer, const kind *of, int level)
{
    struct archive *archive = packer->archive;
    char digits[16];
    int result = archive_write_set_format_raw(archive);
    if (result == ARCHIVE_OK)
        result = of->add(archive);
    if (result == ARCHIVE_OK && of->add == archive_write_add_filter_gzip)
        result = archive_write_set_filter_option(archive, of->filter, "timestamp", NULL);
    snprintf(digits, sizeof digits, "%d", level);
    if (result == ARCHIVE_OK && level != 0)
        result = archive_write_set_filter_option(archive, of->filter, "compression-level", digits);
    if (result == ARCHIVE_OK)
        result = archive_write_set_bytes_in_last_block(archive, 1);
    return result == ARCHIVE_OK ? archive_write_open(archive, packer, NULL, give_out, NULL) : result;
}

static int begin_stream(struct archive *archive)
{
    struct archive_entry *entry = archive_entry_new();
    if (!entry)
        return ARCHIVE_FATAL;
    archive_entry_set_pathname(entry, "data");
    archive_entry_set_filetype(entry, AE_IFREG);
    int result = archive_write_header(archive, entry);
    archive_entry_free(entry);
    return result;
}

quern_status qn_packer_create(qn_packer **packer_out, quern_compression compression, int level, qn_packer_fn fn,
                              void *user, qn_error *error)
{
    qn_packer *packer = calloc(1, sizeof *packer);
    if (packer)
        packer->archive = archive_write_new();
    if (!packer || !packer->archive) {
        free(packer);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to compress the output");
    }
    packer->fn = fn;
    packer->user = user;
    packer->is_lz4 = compression == QUERN_LZ4;
    if (set_up(packer, &kinds[compression], level) == ARCHIVE_OK && begin_stream(packer->archive) == ARCHIVE_OK) {
        *packer_out = packer;
        return QUERN_OK;
    }
    quern_status status = outcome(packer, false, error);
    qn_packer_destroy(packer);
    return status;
}

quern_status qn_packer_write(qn_packer *packer, const void *data, size_t bytes, qn_error *error)
{
    la_ssize_t written = archive_write_data(packer->archive, data, bytes);
    packer->has_content |= bytes > 0;
    return outcome(packer, written == (la_ssize_t)bytes, error);
}

/* libarchive cannot close a frame of LZ4 that it was given nothing for: it takes the checksum of a state that is not there. */
static bool cannot_be_closed(const qn_packer *packer)
{
    return packer->is_lz4 && !packer->has_content;
}

quern_status qn_packer_end(qn_packer *packer, qn_error *error)
{
    static const uint8_t empty_frame[] = {
        0x04, 0x22, 0x4d, 0x18, /* magic */
        0x64, 0x40, 0xa7,       /* independent blocks, a checksum of the content; 64 KiB; theirs */
        0,    0,    0,    0,    /* no block more */
        0x05, 0x5d, 0xcc, 0x02};
    if (cannot_be_closed(packer))
        return packer->fn(packer->user, empty_frame, sizeof empty_frame, error);
    int result = archive_write_close(packer->archive);
    packer->discards = true;
    return outcome(packer, result == ARCHIVE_OK, error);
}

void qn_packer_destroy(qn_packer *packer)
{
    if (!packer)
        return;
    packer->discards = true; /* freeing it closes it */
    if (cannot_be_closed(packer))
        archive_write_data(packer->archive, "", 1);
    archive_write_free(packer->archive);
    free(packer);
}
