/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/output_archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"

#define TAR_BLOCK_BYTES  512
#define MEMBER_MODE      0644
#define NAME_BYTES       32
#define ZIP_STORED       0
#define ZIP_DEFLATED     8
#define ZIP_VERSION      45 /* of zip64 */
#define ZIP_MADE_BY_UNIX (3 << 8 | ZIP_VERSION)
#define ZIP_FIRST_DAY    0x21 /* of 1980: there is no earlier one, and none to mean that there is none */
#define ZIP_FILE_MODE    ((uint32_t)(0100000 | MEMBER_MODE) << 16)

/* Written so far, and what is to be written there. */
typedef struct frame {
    int fd;
    const char *path;
    const qn_part_style *style;
    int digits;
    uint64_t offset;
    qn_buffer bytes;
} frame;

void qn_part_style_suffix(const qn_part_style *style, char suffix_out[16])
{
    const char *archive = style->archive == QUERN_TAR ? ".tar" : style->archive == QUERN_ZIP ? ".zip" : "";
    const char *packed = style->archive == QUERN_ZIP ? "" : qn_compression_suffix(style->compression);
    snprintf(suffix_out, 16, "%s%s", archive, packed);
}

uint64_t qn_archive_padding(const qn_part_style *style, uint64_t content_bytes)
{
    return style->archive == QUERN_TAR ? (TAR_BLOCK_BYTES - content_bytes % TAR_BLOCK_BYTES) % TAR_BLOCK_BYTES : 0;
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the frame of an archive");
}

static quern_status append_packed(void *user, const void *data, size_t bytes, qn_error *error)
{
    qn_buffer *to = user;
    qn_buffer_append(to, data, bytes);
    return to->failed ? no_memory(error) : QUERN_OK;
}

/* Replaces what is to be written by its compressed form. */
static quern_status pack(frame *to, qn_error *error)
{
    qn_buffer packed = {0};
    qn_packer *packer = NULL;
    quern_status status =
        qn_packer_create(&packer, to->style->compression, to->style->level, append_packed, &packed, error);
    if (status == QUERN_OK)
        status = qn_packer_write(packer, to->bytes.data, to->bytes.bytes, error);
    if (status == QUERN_OK)
        status = qn_packer_end(packer, error);
    qn_packer_destroy(packer);
    qn_buffer_fini(&to->bytes);
    to->bytes = packed;
    return status;
}

static quern_status write_out(frame *to, qn_error *error)
{
    quern_status status = to->bytes.failed ? no_memory(error) : QUERN_OK;
    if (status == QUERN_OK && to->style->archive == QUERN_TAR && to->style->compression != QUERN_NOT_COMPRESSED)
        status = pack(to, error);
    if (status == QUERN_OK)
        status =
            qn_file_write_at(to->fd, to->bytes.data, to->bytes.bytes, to->offset, to->path, QUERN_ERROR_OUTPUT, error);
    to->offset += to->bytes.bytes;
    to->bytes.bytes = 0;
    return status;
}

/* ---- tar ---- */

typedef struct header_sink {
    qn_buffer *bytes;
    bool is_closed; /* what comes then is not of the header */
} header_sink;

static la_ssize_t take_header(struct archive *archive, void *user, const void *data, size_t bytes)
{
    header_sink *to = user;
    (void)archive;
    if (!to->is_closed)
        qn_buffer_append(to->bytes, data, bytes);
    return (la_ssize_t)bytes;
}

static int make_tar_header(struct archive *archive, struct archive_entry *entry, header_sink *to, const char *name,
                           uint64_t bytes)
{
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, AE_IFREG);
    archive_entry_set_perm(entry, MEMBER_MODE);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    archive_entry_set_mtime(entry, 0, 0);
    int result = archive_write_set_format_pax_restricted(archive);
    if (result == ARCHIVE_OK)
        result = archive_write_set_bytes_per_block(archive, 0);
    if (result == ARCHIVE_OK)
        result = archive_write_open(archive, to, NULL, take_header, NULL);
    return result == ARCHIVE_OK ? archive_write_header(archive, entry) : result;
}

static quern_status put_tar_header(frame *to, const char *name, uint64_t bytes, qn_error *error)
{
    header_sink sink = {&to->bytes, false};
    struct archive *archive = archive_write_new();
    struct archive_entry *entry = archive_entry_new();
    int result = archive && entry ? make_tar_header(archive, entry, &sink, name, bytes) : ARCHIVE_FATAL;
    quern_status status = QUERN_OK;
    if (result != ARCHIVE_OK)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, 0, "cannot make the tar header of %s: %s", name,
                              archive && archive_error_string(archive) ? archive_error_string(archive) : "no memory");
    sink.is_closed = true;
    archive_entry_free(entry);
    archive_write_free(archive);
    QN_ASSERT(status != QUERN_OK || to->bytes.failed || to->bytes.bytes % TAR_BLOCK_BYTES == 0);
    return status;
}

static void put_tar_end(frame *to)
{
    static const uint8_t zeros[2 * TAR_BLOCK_BYTES];
    qn_buffer_append(&to->bytes, zeros, sizeof zeros);
}

/* ---- zip ---- */

static void put_number(qn_buffer *to, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        qn_buffer_append(to, &(uint8_t){(uint8_t)(number >> 8 * i)}, 1);
}

static uint64_t limited(uint64_t number)
{
    return number < UINT32_MAX ? number : UINT32_MAX;
}

/* The numbers that were too large for where they should stand, in their order. */
static void put_large_numbers(qn_buffer *to, const uint64_t *numbers, unsigned count)
{
    unsigned large = 0;
    for (unsigned i = 0; i < count; i++)
        large += numbers[i] >= UINT32_MAX;
    if (large == 0)
        return;
    put_number(to, 1, 2);
    put_number(to, 8 * large, 2);
    for (unsigned i = 0; i < count; i++)
        if (numbers[i] >= UINT32_MAX)
            put_number(to, numbers[i], 8);
}

/* What both headers of a member have in common: from the version needed to the length of what is extra. */
static void put_zip_fields(frame *to, const qn_part_summary *member, const char *name, size_t extra_bytes)
{
    put_number(&to->bytes, ZIP_VERSION, 2);
    put_number(&to->bytes, 0, 2);
    put_number(&to->bytes, to->style->compression == QUERN_GZIP ? ZIP_DEFLATED : ZIP_STORED, 2);
    put_number(&to->bytes, 0, 2);
    put_number(&to->bytes, ZIP_FIRST_DAY, 2);
    put_number(&to->bytes, member->crc32, 4);
    put_number(&to->bytes, limited(member->bytes), 4);
    put_number(&to->bytes, limited(member->content_bytes), 4);
    put_number(&to->bytes, strlen(name), 2);
    put_number(&to->bytes, extra_bytes, 2);
}

static void put_local_header(frame *to, const qn_part_summary *member, const char *name)
{
    bool is_large = member->bytes >= UINT32_MAX || member->content_bytes >= UINT32_MAX;
    const uint64_t both[] = {member->content_bytes, member->bytes};
    qn_part_summary shown = *member;
    if (is_large) /* a local header must have both there then */
        shown.bytes = shown.content_bytes = UINT32_MAX;
    put_number(&to->bytes, 0x04034b50, 4);
    put_zip_fields(to, &shown, name, is_large ? 20 : 0);
    qn_buffer_append(&to->bytes, name, strlen(name));
    if (!is_large)
        return;
    put_number(&to->bytes, 1, 2);
    put_number(&to->bytes, sizeof both, 2);
    put_number(&to->bytes, both[0], 8);
    put_number(&to->bytes, both[1], 8);
}

static void put_directory_entry(frame *to, const qn_part_summary *member, const char *name, uint64_t header_offset)
{
    const uint64_t numbers[] = {member->content_bytes, member->bytes, header_offset};
    qn_buffer extra = {0};
    put_large_numbers(&extra, numbers, 3);
    put_number(&to->bytes, 0x02014b50, 4);
    put_number(&to->bytes, ZIP_MADE_BY_UNIX, 2);
    put_zip_fields(to, member, name, extra.bytes);
    put_number(&to->bytes, 0, 2); /* of a comment */
    put_number(&to->bytes, 0, 2); /* disk */
    put_number(&to->bytes, 0, 2); /* internal attributes */
    put_number(&to->bytes, ZIP_FILE_MODE, 4);
    put_number(&to->bytes, limited(header_offset), 4);
    qn_buffer_append(&to->bytes, name, strlen(name));
    if (extra.bytes > 0)
        qn_buffer_append(&to->bytes, extra.data, extra.bytes);
    to->bytes.failed |= extra.failed;
    qn_buffer_fini(&extra);
}

static void put_large_directory_end(frame *to, uint64_t count, uint64_t begin, uint64_t bytes)
{
    put_number(&to->bytes, 0x06064b50, 4);
    put_number(&to->bytes, 44, 8);
    put_number(&to->bytes, ZIP_MADE_BY_UNIX, 2);
    put_number(&to->bytes, ZIP_VERSION, 2);
    put_number(&to->bytes, 0, 4);
    put_number(&to->bytes, 0, 4);
    put_number(&to->bytes, count, 8);
    put_number(&to->bytes, count, 8);
    put_number(&to->bytes, bytes, 8);
    put_number(&to->bytes, begin, 8);
    put_number(&to->bytes, 0x07064b50, 4); /* where that is */
    put_number(&to->bytes, 0, 4);
    put_number(&to->bytes, begin + bytes, 8);
    put_number(&to->bytes, 1, 4);
}

/* The directory's end, of `bytes` from `begin` on. */
static void put_directory_end(frame *to, uint64_t count, uint64_t begin, uint64_t bytes)
{
    uint64_t shown_count = count < UINT16_MAX ? count : UINT16_MAX;
    if (shown_count < count || count == UINT16_MAX || begin >= UINT32_MAX || bytes >= UINT32_MAX)
        put_large_directory_end(to, count, begin, bytes);
    put_number(&to->bytes, 0x06054b50, 4);
    put_number(&to->bytes, 0, 2);
    put_number(&to->bytes, 0, 2);
    put_number(&to->bytes, shown_count, 2);
    put_number(&to->bytes, shown_count, 2);
    put_number(&to->bytes, limited(bytes), 4);
    put_number(&to->bytes, limited(begin), 4);
    put_number(&to->bytes, 0, 2);
}

/* ---- both ---- */

static void name_member(const frame *to, const qn_part_summary *member, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "part-%0*" PRIu64, to->digits, member->number);
}

static quern_status write_header(frame *to, const qn_part_summary *member, qn_error *error)
{
    char name[NAME_BYTES];
    quern_status status = QUERN_OK;
    name_member(to, member, name);
    if (to->style->archive == QUERN_TAR)
        status = put_tar_header(to, name, member->content_bytes, error);
    else
        put_local_header(to, member, name);
    return status == QUERN_OK ? write_out(to, error) : status;
}

/* The bytes of the header in front of a member of a zip. */
static uint64_t local_header_bytes(const frame *to, const qn_part_summary *member)
{
    char name[NAME_BYTES];
    name_member(to, member, name);
    bool is_large = member->bytes >= UINT32_MAX || member->content_bytes >= UINT32_MAX;
    return 30 + strlen(name) + (is_large ? 20 : 0);
}

static void put_directory(frame *to, const qn_part_summary *summaries, uint64_t count, const uint64_t *offsets)
{
    for (uint64_t i = 0; i < count; i++) {
        char name[NAME_BYTES];
        name_member(to, &summaries[i], name);
        put_directory_entry(to, &summaries[i], name, offsets[i] - local_header_bytes(to, &summaries[i]));
    }
    put_directory_end(to, count, to->offset, to->bytes.bytes);
}

quern_status qn_archive_write_frame(int fd, const char *path, const qn_part_style *style, int digits,
                                    const qn_part_summary *summaries, uint64_t count, uint64_t *offsets_out,
                                    uint64_t *bytes_out, qn_error *error)
{
    frame to = {.fd = fd, .path = path, .style = style, .digits = digits};
    quern_status status = QUERN_OK;
    for (uint64_t i = 0; i < count && status == QUERN_OK; i++) {
        status = write_header(&to, &summaries[i], error);
        offsets_out[i] = to.offset;
        to.offset += summaries[i].bytes;
    }
    if (status == QUERN_OK && style->archive == QUERN_TAR)
        put_tar_end(&to);
    else if (status == QUERN_OK)
        put_directory(&to, summaries, count, offsets_out);
    if (status == QUERN_OK)
        status = write_out(&to, error);
    *bytes_out = to.offset;
    qn_buffer_fini(&to.bytes);
    return status;
}
