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
#include "runtime/io/archive_view.h"
#include "runtime/io/gunzip.h"
#include "runtime/io/sevenzip.h"

#define INPUT_BYTES   ((size_t)256 << 10) /* that libarchive reads at a time */
#define HEAD_BYTES    512                 /* of a file, in which most formats show themselves: a header of tar */
#define MEMBERS_BYTES ((size_t)64 << 10)  /* the same of some members of a zip, where it goes from place to place */
#define DROPPED_BYTES ((size_t)64 << 10)
#define MEMBER_NONE   UINT64_MAX
#define ZIP_MAGIC     UINT32_C(0x04034b50)

/* Before LZMA in a zip: two versions, a length, and five bytes of properties, of which four are the dictionary. */
#define ZIP_LZMA_HEAD_BYTES    9
#define ZIP_LZMA_DICTIONARY_AT 5

struct qn_unpacker {
    struct archive *archive;
    qn_gunzip *gunzip; /* what libarchive reads from; NULL: the view */
    qn_archive_view view;
    qn_decoder *decoder;  /* of units; NULL: libarchive */
    qn_decoder *inner;    /* what libarchive reads from, as gunzip */
    uint8_t *inner_bytes; /* [INPUT_BYTES] */
    qn_archive_input input;
    int fd;
    const char *path;
    uint64_t first_entry, entry_count; /* before the part; of it so far */
    uint64_t begin, file_bytes;        /* of the part; of the file */
    uint64_t unpacked;                 /* of all members */
    bool has_members;
    bool ended;
    bool reaches_end; /* of the file */
    uint64_t member;  /* the present one; MEMBER_NONE: before the first */
    char *member_path;
    uint64_t offset;      /* of the next byte of it */
    const uint8_t *block; /* lent by libarchive: the next bytes of the member, behind `gap` zeros */
    size_t block_bytes;
    uint64_t gap_bytes;
};

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
static void support_formats(struct archive *archive, bool is_sevenzip)
{
    archive_read_support_filter_bzip2(archive);
    archive_read_support_filter_xz(archive);
    archive_read_support_filter_zstd(archive);
    archive_read_support_filter_lz4(archive);
    qn_archive_support_tar(archive);
    archive_read_support_format_zip(archive);
    if (is_sevenzip) /* which was looked at */
        archive_read_support_format_7zip(archive);
    archive_read_support_format_cpio(archive);
    archive_read_support_format_iso9660(archive);
    archive_read_support_format_empty(archive);
    archive_read_support_format_raw(archive);
}

/* The next bytes that are unpacked here, libarchive's own filter of gzip not looking at checksums. */
static ptrdiff_t feed(qn_unpacker *unpacker, const void **bytes_out, const char **text_out)
{
    ptrdiff_t bytes;
    if (unpacker->gunzip) {
        bytes = qn_gunzip_next(unpacker->gunzip, bytes_out, text_out);
    } else {
        bytes = qn_decoder_read(unpacker->inner, unpacker->inner_bytes, INPUT_BYTES, text_out);
        *bytes_out = unpacker->inner_bytes;
    }
    if (bytes >= 0)
        qn_archive_input_note(&unpacker->input, *bytes_out, (size_t)bytes);
    return bytes;
}

static la_ssize_t read_fed(struct archive *archive, void *user, const void **bytes_out)
{
    const char *text = NULL;
    ptrdiff_t bytes = feed(user, bytes_out, &text);
    if (bytes < 0)
        archive_set_error(archive, EIO, "%s", text);
    return bytes;
}

static bool is_fed(const qn_unpacker *unpacker)
{
    return unpacker->gunzip || unpacker->inner;
}

static int open_view(qn_unpacker *unpacker)
{
    unpacker->input = qn_archive_view_input(&unpacker->view);
    return qn_archive_view_open(&unpacker->view, unpacker->archive);
}

/* By our own decoders: they have limits, and can be asked for the rest. */
static int open_archive(qn_unpacker *unpacker, bool is_gzip, qn_unit_kind kind)
{
    if (kind != QN_UNITS_NONE) {
        unpacker->inner =
            qn_decoder_create(kind, unpacker->fd, &(qn_border){0}, unpacker->file_bytes, unpacker->file_bytes);
        unpacker->inner_bytes = malloc(INPUT_BYTES);
    } else if (is_gzip) {
        unpacker->gunzip = qn_gunzip_create(unpacker->fd);
    } else {
        return open_view(unpacker);
    }
    if (unpacker->gunzip || (unpacker->inner && unpacker->inner_bytes)) {
        unpacker->input = (qn_archive_input){.fd = -1};
        return archive_read_open(unpacker->archive, unpacker, NULL, read_fed, NULL);
    }
    archive_set_error(unpacker->archive, ENOMEM, "no memory");
    return ARCHIVE_FATAL;
}

/* Whatever it is: the whole file. */
static quern_status open_file(qn_unpacker *unpacker, const qn_unit_part *part, qn_error *error)
{
    uint8_t head[HEAD_BYTES];
    size_t bytes = 0;
    int fd = unpacker->fd;
    quern_status status = qn_file_read_at(fd, head, sizeof head, 0, unpacker->path, QUERN_ERROR_INPUT, &bytes, error);
    if (status == QUERN_OK && lseek(fd, 0, SEEK_SET) < 0)
        status = qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot read %s from its begin", unpacker->path);
    if (status == QUERN_OK && bytes >= 4 && qn_le32(head) == ZIP_MAGIC)
        status = qn_units_check_zip(fd, unpacker->path, unpacker->file_bytes, error);
    bool is_sevenzip = qn_sevenzip_is_archive(head, bytes);
    if (status == QUERN_OK && is_sevenzip)
        status = qn_sevenzip_check(fd, unpacker->path, unpacker->file_bytes, error);
    qn_archive_view_init(&unpacker->view, fd, 0, part->behind.offset, INPUT_BYTES);
    support_formats(unpacker->archive, is_sevenzip);
    qn_unit_kind kind = qn_unpack_kind_of(head, bytes);
    bool is_gzip = kind == QN_UNITS_NONE && qn_gunzip_is_gzip(head, bytes);
    if (status == QUERN_OK && open_archive(unpacker, is_gzip, kind) < ARCHIVE_WARN)
        status = failure_of(unpacker, "cannot unpack the begin", error);
    return status;
}

/* Some of the members. */
static quern_status open_members(qn_unpacker *unpacker, const qn_unit_part *part, qn_error *error)
{
    const qn_border *first = &part->first, *behind = &part->behind;
    if (part->kind == QN_UNITS_ZIP) {
        archive_read_support_format_zip_seekable(unpacker->archive);
        qn_archive_view_init_zip(&unpacker->view, unpacker->fd, first->directory, behind->directory,
                                 behind->number - first->number, MEMBERS_BYTES);
    } else {
        qn_archive_support_tar(unpacker->archive);
        qn_archive_view_init(&unpacker->view, unpacker->fd, first->offset, behind->offset, INPUT_BYTES);
    }
    if (open_view(unpacker) < ARCHIVE_WARN)
        return failure_of(unpacker, "cannot unpack the begin of a part", error);
    return QUERN_OK;
}

static quern_status open_part(qn_unpacker *unpacker, const qn_unit_part *part, qn_error *error)
{
    if (part->kind != QN_UNITS_NONE && !qn_units_are_members(part->kind)) {
        unpacker->decoder =
            qn_decoder_create(part->kind, unpacker->fd, &part->first, part->behind.offset, unpacker->file_bytes);
        return unpacker->decoder ? QUERN_OK : no_memory(unpacker->path, error);
    }
    unpacker->archive = archive_read_new();
    if (!unpacker->archive)
        return no_memory(unpacker->path, error);
    return part->kind == QN_UNITS_NONE ? open_file(unpacker, part, error) : open_members(unpacker, part, error);
}

quern_status qn_unpacker_create(qn_unpacker **unpacker_out, int fd, const char *path, uint64_t file_bytes,
                                const qn_unit_part *part, qn_error *error)
{
    qn_unpacker *unpacker = calloc(1, sizeof *unpacker);
    if (!unpacker)
        return no_memory(path, error);
    unpacker->fd = fd;
    unpacker->path = path;
    unpacker->file_bytes = file_bytes;
    unpacker->member = MEMBER_NONE;
    unpacker->begin = part->first.offset;
    unpacker->reaches_end = part->behind.offset >= file_bytes;
    unpacker->first_entry = part->first.number;
    quern_status status = open_part(unpacker, part, error);
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
    if (unpacker->archive)
        archive_read_free(unpacker->archive);
    qn_archive_view_fini(&unpacker->view);
    qn_decoder_destroy(unpacker->decoder);
    qn_decoder_destroy(unpacker->inner);
    free(unpacker->inner_bytes);
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
bool qn_unpacker_changes_nothing(const qn_unpacker *unpacker)
{
    return archive_format(unpacker->archive) == ARCHIVE_FORMAT_RAW && archive_filter_count(unpacker->archive) == 1 &&
           !is_fed(unpacker);
}

bool qn_unpacker_has_entries(const qn_unpacker *unpacker)
{
    return unpacker->entry_count > 1; /* the last one that was looked for may not be */
}

bool qn_unpacker_is_bare_tar(const qn_unpacker *unpacker)
{
    int format = archive_format(unpacker->archive) & ARCHIVE_FORMAT_BASE_MASK;
    return format == ARCHIVE_FORMAT_TAR && archive_filter_count(unpacker->archive) == 1 && !is_fed(unpacker);
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

/* To what units unpack to. */
static quern_status next_unpacked(qn_unpacker *unpacker)
{
    unpacker->ended = unpacker->member != MEMBER_NONE;
    unpacker->member++; /* from none to 0 */
    unpacker->offset = 0;
    return QUERN_OK;
}

/* Behind an archive there is the end of what it is compressed as, with the checksum. */
static quern_status drain(qn_unpacker *unpacker, qn_error *error)
{
    ptrdiff_t got = 0;
    const char *text = NULL;
    const void *bytes;
    do {
        got = is_fed(unpacker) ? feed(unpacker, &bytes, &text) : 0;
    } while (got > 0);
    return got == 0
               ? QUERN_OK
               : qn_error_set(error, QUERN_ERROR_INPUT, 0, "cannot unpack the end of %s: %s", unpacker->path, text);
}

/* A tar ends in zeros. One that was cut between two members does not, and nothing else tells. */
static quern_status look_for_tar_end(const qn_unpacker *unpacker, int result, qn_error *error)
{
    if (!unpacker->reaches_end || qn_archive_is_tar_end(unpacker->archive, &unpacker->input, result))
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "%s ends without the zeros that end a tar: it is truncated. If nothing is missing, add them to "
                        "the tar (truncate -s +1024), or let it pass as a bad record",
                        unpacker->path);
}

/* Where something is, to be told. */
static const char *place_kind(const qn_unpacker *unpacker)
{
    return is_fed(unpacker) || archive_filter_count(unpacker->archive) > 1 ? " of what it unpacks to" : "";
}

static quern_status look_behind_cpio(const qn_unpacker *unpacker, qn_error *error)
{
    if (qn_archive_has_only_zeros_left(unpacker->archive, &unpacker->input))
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "%s has something behind the end of the cpio, at byte %llu%s, which would not be read: cut it "
                        "off, or let it pass as a bad record",
                        unpacker->path, (unsigned long long)archive_filter_bytes(unpacker->archive, 0),
                        place_kind(unpacker));
}

/* Or where it was cut, between headers of a member, say. */
static bool is_at_tar_end(const qn_unpacker *unpacker, int result)
{
    return qn_archive_is_tar_end(unpacker->archive, &unpacker->input, result) ||
           (unpacker->reaches_end && qn_archive_is_used_up(unpacker->archive, &unpacker->input, result));
}

static quern_status end_archive(qn_unpacker *unpacker, int result, qn_error *error)
{
    int format = archive_format(unpacker->archive) & ARCHIVE_FORMAT_BASE_MASK;
    unpacker->ended = true;
    quern_status status = drain(unpacker, error);
    if (status == QUERN_OK && format == ARCHIVE_FORMAT_TAR)
        return look_for_tar_end(unpacker, result, error);
    return status == QUERN_OK && format == ARCHIVE_FORMAT_CPIO ? look_behind_cpio(unpacker, error) : status;
}

static quern_status fail_next(const qn_unpacker *unpacker, int result, qn_error *error)
{
    uint64_t at;
    const char *member = unpacker->member_path;
    if (!qn_archive_is_no_header(unpacker->archive, &unpacker->input, result, &at))
        return failure_of(unpacker, "cannot go on behind this member", error);
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "cannot go on in %s%s%s: at byte %llu%s there is neither a header of a tar nor the zeros "
                        "that end one. It is damaged there, or something was put behind its end: cut that off, or let "
                        "it pass as a bad record",
                        unpacker->path, member ? " behind its member " : "", member ? member : "",
                        (unsigned long long)(unpacker->input.begin + at), place_kind(unpacker));
}

/* libarchive's decoder of LZMA takes as much memory as the member asks for. */
static bool is_wide_lzma(const qn_unpacker *unpacker)
{
    uint8_t head[ZIP_LZMA_HEAD_BYTES];
    size_t got = 0;
    qn_error unread = {0};
    if (unpacker->gunzip || unpacker->inner ||
        qn_file_read_at(unpacker->fd, head, sizeof head, (uint64_t)archive_filter_bytes(unpacker->archive, 0),
                        unpacker->path, QUERN_ERROR_INPUT, &got, &unread) != QUERN_OK)
        return true;
    return got == sizeof head && qn_le32(head + ZIP_LZMA_DICTIONARY_AT) > QN_UNPACK_WINDOW_BYTES_MAX;
}

/* Of xz each block may ask for more, but what comes of a member is all that it can fill. */
static quern_status check_window(const qn_unpacker *unpacker, struct archive_entry *entry, qn_error *error)
{
    const char *format = archive_format_name(unpacker->archive);
    if ((archive_format(unpacker->archive) & ARCHIVE_FORMAT_BASE_MASK) != ARCHIVE_FORMAT_ZIP || !format)
        return QUERN_OK;
    bool is_wide = strstr(format, "(lzma)") && is_wide_lzma(unpacker);
    is_wide |= strstr(format, "(xz)") &&
               (!archive_entry_size_is_set(entry) || (uint64_t)archive_entry_size(entry) > QN_UNPACK_WINDOW_BYTES_MAX);
    if (!is_wide)
        return QUERN_OK;
    return qn_error_set(
        error, QUERN_ERROR_INPUT, 0,
        "%s/%s may want a window of more than 128 MiB of LZMA or xz: unpack it yourself, or compress it "
        "with a smaller dictionary",
        unpacker->path, unpacker->member_path);
}

/* To the next file of the archive. */
static quern_status next_member(qn_unpacker *unpacker, qn_error *error)
{
    if (unpacker->decoder)
        return next_unpacked(unpacker);
    struct archive_entry *entry = NULL;
    int result;
    do { /* to try again would be to look for the next header that makes sense, and to lose what is before it */
        result = archive_read_next_header(unpacker->archive, &entry);
        unpacker->entry_count++;
    } while ((result == ARCHIVE_OK || result == ARCHIVE_WARN) && !is_file(entry));
    unpacker->block_bytes = 0;
    unpacker->gap_bytes = 0;
    bool is_good = result == ARCHIVE_OK || result == ARCHIVE_WARN;
    if (result == ARCHIVE_EOF || (!is_good && is_at_tar_end(unpacker, result)))
        return end_archive(unpacker, result, error);
    if (!is_good)
        return fail_next(unpacker, result, error);
    unpacker->offset = 0;
    unpacker->member++; /* from none to 0 */
    unpacker->has_members = archive_format(unpacker->archive) != ARCHIVE_FORMAT_RAW;
    quern_status status = unpacker->has_members ? name_member(unpacker, entry, error) : QUERN_OK;
    return status == QUERN_OK ? check_window(unpacker, entry, error) : status;
}

bool qn_unpacker_is_at_end(const qn_unpacker *unpacker)
{
    return unpacker->ended;
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

uint64_t qn_unpacker_get_entry(const qn_unpacker *unpacker)
{
    return unpacker->has_members ? unpacker->first_entry + unpacker->entry_count - 1 : 0;
}

qn_decoder *qn_unpacker_get_decoder(const qn_unpacker *unpacker)
{
    return unpacker->decoder;
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
    /* Warnings are checksums and lengths that are wrong. */
    bool is_good = result == ARCHIVE_OK || result == ARCHIVE_EOF;
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
        if (to && bytes > 0)
            memcpy(to, unpacker->block, bytes);
        if (bytes > 0) /* else there may be no block */
            unpacker->block += bytes;
        unpacker->block_bytes -= bytes;
    }
    unpacker->offset += bytes;
    return bytes;
}

static quern_status read_archive(qn_unpacker *unpacker, void *to, size_t bytes, size_t *got_out, qn_error *error)
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

static quern_status read_units(qn_unpacker *unpacker, void *to, size_t bytes, size_t *got_out, qn_error *error)
{
    const char *text = NULL;
    ptrdiff_t got = qn_decoder_read(unpacker->decoder, to, bytes, &text);
    *got_out = qn_decoder_get_given(unpacker->decoder);
    unpacker->offset += *got_out;
    if (got < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "cannot unpack %s at its byte %llu: %s", unpacker->path,
                            (unsigned long long)qn_decoder_get_packed(unpacker->decoder), text);
    return QUERN_OK;
}

static quern_status drop_units(qn_unpacker *unpacker, size_t bytes, size_t *got_out, qn_error *error)
{
    size_t all = 0, got = 1;
    uint8_t *dropped = malloc(DROPPED_BYTES);
    quern_status status = dropped ? QUERN_OK : no_memory(unpacker->path, error);
    while (status == QUERN_OK && all < bytes && got > 0) {
        status = read_units(unpacker, dropped, bytes - all < DROPPED_BYTES ? bytes - all : DROPPED_BYTES, &got, error);
        all += status == QUERN_OK ? got : 0;
    }
    free(dropped);
    *got_out = all;
    return status;
}

uint64_t qn_unpacker_get_packed(const qn_unpacker *unpacker)
{
    if (unpacker->decoder || unpacker->inner)
        return qn_decoder_get_packed(unpacker->decoder ? unpacker->decoder : unpacker->inner) - unpacker->begin;
    off_t at = unpacker->gunzip ? lseek(unpacker->fd, 0, SEEK_CUR) : 0;
    return unpacker->gunzip ? (at > 0 ? (uint64_t)at : 0) : unpacker->view.read_bytes;
}

/* No text that people have is so regular; nested compression made to harm is. */
static quern_status check_ratio(const qn_unpacker *unpacker, qn_error *error)
{
    uint64_t read = qn_unpacker_get_packed(unpacker); /* which may be the same bytes again and again */
    uint64_t packed = read < unpacker->file_bytes ? read : unpacker->file_bytes;
    if (unpacker->unpacked < QN_UNPACK_FREE_BYTES || unpacker->unpacked / QN_UNPACK_RATIO_MAX <= packed)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "%s unpacks to more than %u times its size: unpack it yourself if that is meant",
                        unpacker->path, QN_UNPACK_RATIO_MAX);
}

quern_status qn_unpacker_read(qn_unpacker *unpacker, void *to, size_t bytes, size_t *got_out, qn_error *error)
{
    quern_status status;
    *got_out = 0;
    if (!unpacker->decoder)
        status = read_archive(unpacker, to, bytes, got_out, error);
    else if (to)
        status = read_units(unpacker, to, bytes, got_out, error);
    else
        status = drop_units(unpacker, bytes, got_out, error);
    unpacker->unpacked += *got_out;
    return status == QUERN_OK ? check_ratio(unpacker, error) : status;
}
