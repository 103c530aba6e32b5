/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/io/gunzip.h"

#define INPUT_BYTES     ((size_t)256 << 10) /* that libarchive reads at a time */
#define HEAD_BYTES      512                 /* of a file, in which most formats show themselves: a header of tar */
#define ISO_OFFSET      32769               /* where an image of ISO 9660 has its name */
#define ISO_NAME        "CD001"
#define MEMBER_NONE     UINT64_MAX
#define SUM_AT          148 /* the checksum in a header of tar, in octal digits */
#define SUM_BYTES       8
#define MAGIC_BYTES_MAX 10

struct qn_unpacker {
    struct archive *archive;
    qn_gunzip *gunzip; /* what libarchive reads from; NULL: the file itself */
    const char *path;
    bool has_members;
    bool ended;
    uint64_t member; /* the present one; MEMBER_NONE: before the first */
    char *member_path;
    uint64_t offset;      /* of the next byte of it */
    const uint8_t *block; /* lent by libarchive: the next bytes of the member, behind `gap` zeros */
    size_t block_bytes;
    uint64_t gap_bytes;
};

/* What a file may begin with. With text, these bytes may be text after all. */
typedef struct magic {
    uint8_t bytes[MAGIC_BYTES_MAX];
    uint8_t count;
    bool is_text;
} magic;

static const magic magics[] = {
    {{0x1f, 0x8b, 8}, 3, false},                    /* gzip, BGZF */
    {{'B', 'Z', 'h'}, 3, true},                     /* bzip2 */
    {{0xfd, '7', 'z', 'X', 'Z', 0}, 6, false},      /* xz */
    {{0x28, 0xb5, 0x2f, 0xfd}, 4, false},           /* zstd */
    {{0x04, 0x22, 0x4d, 0x18}, 4, false},           /* lz4 */
    {{0x02, 0x21, 0x4c, 0x18}, 4, false},           /* lz4, the old frame */
    {{'P', 'K', 3, 4}, 4, false},                   /* zip */
    {{'P', 'K', 5, 6}, 4, false},                   /* zip without members */
    {{'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}, 6, false}, /* 7-Zip */
    {{'0', '7', '0', '7', '0', '1'}, 6, true},      /* cpio */
    {{'0', '7', '0', '7', '0', '2'}, 6, true},
    {{'0', '7', '0', '7', '0', '7'}, 6, true},
};

/* Frames that decoders of zstd and of lz4 leave out: pzstd begins with one. */
static bool is_skippable_frame(const uint8_t *head)
{
    return (head[0] & 0xf0) == 0x50 && head[1] == 0x2a && head[2] == 0x4d && head[3] == 0x18;
}

/* Whether the checksum of a header of tar is right. Its own bytes count as spaces. */
static bool is_tar_header(const uint8_t *head)
{
    uint32_t sum = SUM_BYTES * ' ', said = 0;
    for (size_t i = 0; i < HEAD_BYTES; i++)
        if (i < SUM_AT || i >= SUM_AT + SUM_BYTES)
            sum += head[i];
    for (size_t i = SUM_AT; i < SUM_AT + SUM_BYTES; i++)
        if (head[i] >= '0' && head[i] <= '7')
            said = 8 * said + (head[i] - (uint32_t)'0');
    return said == sum && head[0] != 0;
}

typedef enum appearance {
    LOOKS_PLAIN,
    LOOKS_PACKED,
    LOOKS_LIKE_EITHER,
} appearance;

static appearance look_at(const uint8_t *head, size_t bytes)
{
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (bytes >= magics[i].count && memcmp(head, magics[i].bytes, magics[i].count) == 0)
            return magics[i].is_text ? LOOKS_LIKE_EITHER : LOOKS_PACKED;
    if (bytes >= 4 && is_skippable_frame(head))
        return LOOKS_PACKED;
    return bytes == HEAD_BYTES && is_tar_header(head) ? LOOKS_LIKE_EITHER : LOOKS_PLAIN;
}

static quern_status look_at_file(int fd, const char *path, uint64_t file_bytes, appearance *appearance_out,
                                 qn_error *error)
{
    uint8_t head[HEAD_BYTES];
    size_t bytes = 0;
    quern_status status = qn_file_read_at(fd, head, sizeof head, 0, path, QUERN_ERROR_INPUT, &bytes, error);
    if (status != QUERN_OK)
        return status;
    *appearance_out = look_at(head, bytes);
    if (*appearance_out != LOOKS_PLAIN || file_bytes < ISO_OFFSET + sizeof ISO_NAME)
        return QUERN_OK;
    status = qn_file_read_at(fd, head, sizeof ISO_NAME - 1, ISO_OFFSET, path, QUERN_ERROR_INPUT, &bytes, error);
    if (status == QUERN_OK && bytes == sizeof ISO_NAME - 1 && memcmp(head, ISO_NAME, bytes) == 0)
        *appearance_out = LOOKS_LIKE_EITHER;
    return status;
}

static quern_status no_memory(const char *path, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to unpack %s", path);
}

/* libarchive's words, or the system's. */
static quern_status failure_of(const qn_unpacker *unpacker, const char *what, qn_error *error)
{
    const char *text = archive_error_string(unpacker->archive);
    const char *member = unpacker->member_path;
    return qn_error_set(error, archive_errno(unpacker->archive) == ENOMEM ? QUERN_ERROR_NO_MEMORY : QUERN_ERROR_INPUT,
                        0, "%s of %s%s%s at byte %llu: %s", what, unpacker->path, member ? "/" : "",
                        member ? member : "", (unsigned long long)unpacker->offset, text ? text : "unknown format");
}

/* Only what is built into libarchive: nothing that starts a program, or that reads files which an archive names. */
static void support_formats(struct archive *archive)
{
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_lz4(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_zip(archive);
    archive_read_support_format_7zip(archive);
    archive_read_support_format_cpio(archive);
    archive_read_support_format_iso9660(archive);
    archive_read_support_format_empty(archive);
    archive_read_support_format_raw(archive);
}

/* libarchive's own filter of gzip does not look at checksums. */
static la_ssize_t read_gunzip(struct archive *archive, void *user, const void **bytes_out)
{
    const char *text = NULL;
    ptrdiff_t bytes = qn_gunzip_next(user, bytes_out, &text);
    if (bytes < 0)
        archive_set_error(archive, EIO, "%s", text);
    return bytes;
}

static int open_archive(qn_unpacker *unpacker, int fd, const uint8_t *head, size_t head_bytes)
{
    if (!qn_gunzip_is_gzip(head, head_bytes))
        return archive_read_open_fd(unpacker->archive, fd, INPUT_BYTES);
    unpacker->gunzip = qn_gunzip_create(fd);
    if (unpacker->gunzip)
        return archive_read_open(unpacker->archive, unpacker->gunzip, NULL, read_gunzip, NULL);
    archive_set_error(unpacker->archive, ENOMEM, "no memory");
    return ARCHIVE_FATAL;
}

static quern_status open_file(qn_unpacker *unpacker, int fd, qn_error *error)
{
    uint8_t head[HEAD_BYTES];
    size_t bytes = 0;
    quern_status status = qn_file_read_at(fd, head, sizeof head, 0, unpacker->path, QUERN_ERROR_INPUT, &bytes, error);
    if (status == QUERN_OK && lseek(fd, 0, SEEK_SET) < 0)
        status = qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot read %s from its begin", unpacker->path);
    if (status == QUERN_OK && open_archive(unpacker, fd, head, bytes) < ARCHIVE_WARN)
        status = failure_of(unpacker, "cannot unpack the begin", error);
    return status;
}

quern_status qn_unpacker_create(qn_unpacker **unpacker_out, int fd, const char *path, qn_error *error)
{
    qn_unpacker *unpacker = calloc(1, sizeof *unpacker);
    if (!unpacker)
        return no_memory(path, error);
    unpacker->path = path;
    unpacker->member = MEMBER_NONE;
    unpacker->archive = archive_read_new();
    quern_status status = unpacker->archive ? QUERN_OK : no_memory(path, error);
    if (status == QUERN_OK) {
        support_formats(unpacker->archive);
        status = open_file(unpacker, fd, error);
    }
    if (status != QUERN_OK) {
        qn_unpacker_destroy(unpacker);
        return status;
    }
    *unpacker_out = unpacker;
    return QUERN_OK;
}

void qn_unpacker_destroy(qn_unpacker *unpacker)
{
    if (!unpacker)
        return;
    archive_read_free(unpacker->archive);
    qn_gunzip_destroy(unpacker->gunzip);
    free(unpacker->member_path);
    free(unpacker);
}

/* A file, and not another name of one: unless that is where the format has its bytes. */
static bool is_file(struct archive_entry *entry)
{
    bool is_name_only = archive_entry_hardlink(entry) && archive_entry_size(entry) == 0;
    return archive_entry_filetype(entry) == AE_IFREG && !is_name_only;
}

/* What is text after all has no filter and no format. */
static bool is_as_it_was(const qn_unpacker *unpacker)
{
    return archive_format(unpacker->archive) == ARCHIVE_FORMAT_RAW && archive_filter_count(unpacker->archive) == 1 &&
           !unpacker->gunzip;
}

static quern_status name_member(qn_unpacker *unpacker, struct archive_entry *entry, qn_error *error)
{
    const char *path = archive_entry_pathname(entry);
    char number[48];
    if (!path)
        path = archive_entry_pathname_utf8(entry); /* the locale cannot say it */
    if (!path) {
        snprintf(number, sizeof number, "member %llu", (unsigned long long)unpacker->member);
        path = number;
    }
    free(unpacker->member_path);
    unpacker->member_path = strdup(path);
    return unpacker->member_path ? QUERN_OK : no_memory(unpacker->path, error);
}

/* To the next file of the archive. */
static quern_status next_member(qn_unpacker *unpacker, qn_error *error)
{
    struct archive_entry *entry = NULL;
    int result;
    do {
        result = archive_read_next_header(unpacker->archive, &entry);
    } while (result == ARCHIVE_RETRY || ((result == ARCHIVE_OK || result == ARCHIVE_WARN) && !is_file(entry)));
    unpacker->block_bytes = 0;
    unpacker->gap_bytes = 0;
    if (result == ARCHIVE_EOF) {
        unpacker->ended = true;
        return QUERN_OK;
    }
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        return failure_of(unpacker, "cannot go on behind this member", error);
    unpacker->offset = 0;
    unpacker->member++; /* from none to 0 */
    unpacker->has_members = archive_format(unpacker->archive) != ARCHIVE_FORMAT_RAW;
    return unpacker->has_members ? name_member(unpacker, entry, error) : QUERN_OK;
}

bool qn_unpacker_can_enter(const qn_unpacker *unpacker, uint64_t member)
{
    if (unpacker->ended || unpacker->member == MEMBER_NONE)
        return unpacker->member == MEMBER_NONE || member > unpacker->member;
    return member > unpacker->member || (member == unpacker->member && unpacker->offset == 0);
}

quern_status qn_unpacker_enter(qn_unpacker *unpacker, uint64_t member, bool *found_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && !unpacker->ended && (unpacker->member == MEMBER_NONE || unpacker->member < member))
        status = next_member(unpacker, error);
    *found_out = status == QUERN_OK && !unpacker->ended;
    return status;
}

const char *qn_unpacker_member_path(const qn_unpacker *unpacker)
{
    return unpacker->has_members ? unpacker->member_path : NULL;
}

uint64_t qn_unpacker_get_offset(const qn_unpacker *unpacker)
{
    return unpacker->offset;
}

/* Borrows the next block. Of a file with holes there is a gap before it, or before the end. false: the member is at its end, or failed. */
static bool next_block(qn_unpacker *unpacker, quern_status *status, qn_error *error)
{
    const void *block = NULL;
    size_t bytes = 0;
    la_int64_t offset = 0;
    int result;
    do {
        result = archive_read_data_block(unpacker->archive, &block, &bytes, &offset);
    } while (result == ARCHIVE_RETRY);
    if (result == ARCHIVE_EOF && (offset < 0 || (uint64_t)offset <= unpacker->offset))
        return false;
    bool is_good = result == ARCHIVE_OK || result == ARCHIVE_WARN || result == ARCHIVE_EOF;
    if (!is_good || offset < 0 || (uint64_t)offset < unpacker->offset) {
        *status = failure_of(unpacker, "cannot unpack the data", error);
        return false;
    }
    unpacker->block = block;
    unpacker->block_bytes = bytes;
    unpacker->gap_bytes = (uint64_t)offset - unpacker->offset;
    return true;
}

static size_t take_some(qn_unpacker *unpacker, uint8_t *to, size_t bytes_max)
{
    size_t bytes;
    if (unpacker->gap_bytes > 0) {
        bytes = unpacker->gap_bytes < bytes_max ? unpacker->gap_bytes : bytes_max;
        if (to)
            memset(to, 0, bytes);
        unpacker->gap_bytes -= bytes;
    } else {
        bytes = unpacker->block_bytes < bytes_max ? unpacker->block_bytes : bytes_max;
        if (to)
            memcpy(to, unpacker->block, bytes);
        unpacker->block += bytes;
        unpacker->block_bytes -= bytes;
    }
    unpacker->offset += bytes;
    return bytes;
}

quern_status qn_unpacker_read(qn_unpacker *unpacker, void *to, size_t bytes, size_t *got_out, qn_error *error)
{
    size_t got = 0;
    quern_status status = QUERN_OK;
    while (got < bytes) {
        if (unpacker->gap_bytes + unpacker->block_bytes == 0 && !next_block(unpacker, &status, error))
            break;
        got += take_some(unpacker, to ? (uint8_t *)to + got : NULL, bytes - got);
    }
    *got_out = got;
    return status;
}

/* Whether libarchive takes a file of text for packed. One that it cannot make sense of is text. */
static quern_status ask_libarchive(int fd, const char *path, qn_packing *packing_out, qn_error *error)
{
    qn_unpacker *unpacker = NULL;
    bool found = false;
    quern_status status = qn_unpacker_create(&unpacker, fd, path, error);
    if (status != QUERN_OK)
        return status;
    qn_error unread = {0};
    bool made_sense = qn_unpacker_enter(unpacker, 0, &found, &unread) == QUERN_OK;
    *packing_out = made_sense && !is_as_it_was(unpacker) ? QN_PACKING_STREAM : QN_PACKING_NONE;
    qn_unpacker_destroy(unpacker);
    return QUERN_OK;
}

quern_status qn_unpack_examine(int fd, const char *path, uint64_t file_bytes, qn_packing *packing_out, qn_error *error)
{
    appearance looks = LOOKS_PLAIN;
    quern_status status = look_at_file(fd, path, file_bytes, &looks, error);
    *packing_out = looks == LOOKS_PLAIN ? QN_PACKING_NONE : QN_PACKING_STREAM;
    return status == QUERN_OK && looks == LOOKS_LIKE_EITHER ? ask_libarchive(fd, path, packing_out, error) : status;
}
