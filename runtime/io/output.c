/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/output.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/base/pages.h"
#include "runtime/io/deflater.h"
#include "runtime/io/output_archive.h"
#include "runtime/io/output_names.h"

#define WRITE_BUFFER_BYTES ((size_t)1 << 20)
#define DIRECT_BYTES_MIN   ((uint64_t)64 << 20) /* of a part, from which on it is not cached */
#define PAGE_BYTES         4096

static void remove_in(const char *directory, const char *name)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", directory, name) >= 0) {
        unlink(path);
        free(path);
    }
}

static char *final_path(const char *directory, int digits, uint64_t number, const qn_part_style *style)
{
    char suffix[16];
    qn_part_style_suffix(style, suffix);
    return qn_output_part_path(directory, digits, number, suffix);
}

/* What is synced in the end anyhow goes past the page cache if it is much: a copy less, and no crowd in front of the disk. */
static bool goes_direct(const qn_part *part, const void *data, size_t bytes)
{
    bool whole_pages = ((uintptr_t)data | bytes | part->summary.bytes) % PAGE_BYTES == 0;
    return whole_pages && part->summary.bytes >= DIRECT_BYTES_MIN;
}

char *qn_part_temporary_path(const char *directory, uint64_t number, uint64_t part_count, const char *token)
{
    return qn_output_temporary_path(directory, qn_output_digits(part_count), number, token, false);
}

/* Waits for the buffer that is written. */
static quern_status end_behind(qn_part *part, qn_error *error)
{
    qn_transfer *transfer = &part->behind;
    qn_transfers_wait(part->transfers, transfer);
    if (transfer->reason == 0)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_OUTPUT, transfer->reason, "cannot write %s at byte %llu",
                        part->temporary_path, (unsigned long long)(transfer->offset + transfer->done_bytes));
}

/* Whether there is another buffer, and a thread to write this one meanwhile. */
static bool can_write_behind(qn_part *part)
{
    if (!part->transfers)
        part->transfers = qn_transfers_create();
    if (part->transfers && !part->written)
        part->written = qn_pages_reserve(WRITE_BUFFER_BYTES, false);
    return part->written != NULL;
}

/* Begins to write the whole buffer, and gives the part the other one. */
static quern_status write_behind(qn_part *part, qn_error *error)
{
    uint8_t *buffer = part->buffer;
    quern_status status = end_behind(part, error);
    if (status != QUERN_OK)
        return status;
    qn_file_set_direct(part->fd, &part->direct, true);
    part->behind = (qn_transfer){.fd = part->fd,
                                 .direct = &part->direct,
                                 .way = QN_WAY_WRITE,
                                 .data = buffer,
                                 .bytes = WRITE_BUFFER_BYTES,
                                 .offset = part->summary.bytes};
    qn_transfers_start(part->transfers, &part->behind);
    part->buffer = part->written;
    part->written = buffer;
    part->summary.bytes += WRITE_BUFFER_BYTES;
    return QUERN_OK;
}

static quern_status write_out(void *user, const void *data, size_t bytes, qn_error *error)
{
    qn_part *part = user;
    bool is_direct = goes_direct(part, data, bytes);
    if (!part->style.is_passing)
        XXH3_64bits_update(part->checksum, data, bytes);
    if (is_direct && data == part->buffer && bytes == WRITE_BUFFER_BYTES && can_write_behind(part))
        return write_behind(part, error);
    quern_status status = end_behind(part, error);
    if (status != QUERN_OK)
        return status;
    qn_file_set_direct(part->fd, &part->direct, is_direct);
    status = qn_file_write_direct(part->fd, &part->direct, data, bytes, part->summary.bytes, part->temporary_path,
                                  QUERN_ERROR_OUTPUT, error);
    if (status == QUERN_OK)
        part->summary.bytes += bytes;
    return status;
}

/* Ends what is written meanwhile, in whatever state. */
static void stop_behind(qn_part *part)
{
    qn_transfers_cancel(part->transfers, &part->behind);
    qn_transfers_destroy(part->transfers);
    qn_pages_unreserve(part->written, WRITE_BUFFER_BYTES);
    part->transfers = NULL;
    part->written = NULL;
}

static quern_status open_part(qn_part *part, qn_error *error)
{
    part->fd = open(part->temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (part->fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot create %s", part->temporary_path);
    if (part->style.compression == QUERN_NOT_COMPRESSED)
        return QUERN_OK;
    if (part->style.archive == QUERN_ZIP)
        return qn_deflater_create(&part->deflater, part->style.level, write_out, part, error);
    return qn_packer_create(&part->packer, part->style.compression, part->style.level, write_out, part, error);
}

quern_status qn_part_open(qn_part *part, const char *directory, uint64_t number, uint64_t part_count,
                          const qn_part_style *style, qn_error *error)
{
    int digits = qn_output_digits(part_count);
    *part = (qn_part){.style = *style, .fd = -1, .summary.number = number};
    part->path = final_path(directory, digits, number, style);
    part->temporary_path = qn_output_temporary_path(directory, digits, number, style->token, style->is_second);
    part->buffer = qn_pages_reserve(WRITE_BUFFER_BYTES, false);
    part->checksum = XXH3_createState();
    if (!part->path || !part->temporary_path || !part->buffer || !part->checksum) {
        qn_part_close(part, true);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to write in %s", directory);
    }
    XXH3_64bits_reset(part->checksum);
    quern_status status = open_part(part, error);
    if (status != QUERN_OK)
        qn_part_close(part, part->fd < 0); /* a file that is there is this part's own */
    return status;
}

quern_status qn_part_adopt(qn_part *part, const char *directory, uint64_t part_count, qn_error *error)
{
    char *path = qn_part_temporary_path(directory, part->summary.number, part_count, part->style.token);
    QN_ASSERT(part->style.is_second);
    if (!path)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to rename %s", part->temporary_path);
    if (rename(part->temporary_path, path) != 0) {
        free(path);
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot rename %s", part->temporary_path);
    }
    free(part->temporary_path);
    part->temporary_path = path;
    part->style.is_second = false;
    return QUERN_OK;
}

quern_status qn_part_take_up(qn_part *part, const char *directory, const qn_part_summary *summary, uint64_t part_count,
                             const qn_part_style *style, qn_error *error)
{
    *part = (qn_part){.style = *style, .fd = -1, .summary = *summary};
    part->path = final_path(directory, qn_output_digits(part_count), summary->number, style);
    part->temporary_path = qn_part_temporary_path(directory, summary->number, part_count, style->token);
    if (part->path && part->temporary_path)
        return QUERN_OK;
    qn_part_close(part, true);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a part in %s", directory);
}

static quern_status pack_part(qn_part *part, const void *data, size_t bytes, qn_error *error)
{
    if (part->deflater)
        return qn_deflater_write(part->deflater, data, bytes, error);
    return part->packer ? qn_packer_write(part->packer, data, bytes, error) : write_out(part, data, bytes, error);
}

static quern_status flush_part(qn_part *part, const void *data, size_t bytes, qn_error *error)
{
    part->summary.content_bytes += bytes;
    if (part->style.archive == QUERN_ZIP)
        part->summary.crc32 = libdeflate_crc32(part->summary.crc32, data, bytes);
    return pack_part(part, data, bytes, error);
}

/* The buffer is filled to its end, so that what is written are whole pages. */
quern_status qn_part_write(qn_part *part, const void *data, size_t bytes, qn_error *error)
{
    const uint8_t *from = data;
    while (part->used_bytes + bytes > WRITE_BUFFER_BYTES) {
        size_t fits = WRITE_BUFFER_BYTES - part->used_bytes;
        memcpy(part->buffer + part->used_bytes, from, fits);
        quern_status status = flush_part(part, part->buffer, WRITE_BUFFER_BYTES, error);
        if (status != QUERN_OK)
            return status;
        part->used_bytes = 0;
        from += fits;
        bytes -= fits;
    }
    memcpy(part->buffer + part->used_bytes, from, bytes);
    part->used_bytes += bytes;
    return QUERN_OK;
}

static void destroy_packers(qn_part *part)
{
    qn_packer_destroy(part->packer);
    qn_deflater_destroy(part->deflater);
    part->packer = NULL;
    part->deflater = NULL;
}

/* The last bytes: of a member of a tar with what pads it. */
static quern_status end_content(qn_part *part, qn_error *error)
{
    static const uint8_t zeros[512];
    quern_status status = flush_part(part, part->buffer, part->used_bytes, error);
    uint64_t padding_bytes = qn_archive_padding(&part->style, part->summary.content_bytes);
    part->used_bytes = 0;
    if (status == QUERN_OK && padding_bytes > 0)
        status = pack_part(part, zeros, padding_bytes, error);
    if (status == QUERN_OK && part->packer)
        status = qn_packer_end(part->packer, error);
    if (status == QUERN_OK && part->deflater)
        status = qn_deflater_end(part->deflater, error);
    destroy_packers(part);
    return status == QUERN_OK ? end_behind(part, error) : status;
}

quern_status qn_part_finish(qn_part *part, qn_error *error)
{
    quern_status status = end_content(part, error);
    stop_behind(part);
    if (status == QUERN_OK && !part->style.is_passing && fsync(part->fd) != 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot sync %s", part->temporary_path);
    if (close(part->fd) != 0 && status == QUERN_OK)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot close %s", part->temporary_path);
    part->fd = -1;
    part->summary.checksum = XXH3_64bits_digest(part->checksum);
    qn_pages_unreserve(part->buffer, WRITE_BUFFER_BYTES);
    part->buffer = NULL;
    return status;
}

quern_status qn_part_commit(qn_part *part, qn_error *error)
{
    if (rename(part->temporary_path, part->path) != 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot rename %s", part->temporary_path);
    struct stat about;
    part->is_named = lstat(part->path, &about) == 0;
    if (part->is_named) {
        part->named_device = about.st_dev;
        part->named_number = about.st_ino;
        part->named_changed = about.st_mtim;
    }
    return QUERN_OK;
}

/* Who took the directory over may have made a part of the same name. */
static bool is_still_named(const qn_part *part)
{
    struct stat about;
    return part->is_named && lstat(part->path, &about) == 0 && about.st_dev == part->named_device &&
           about.st_ino == part->named_number && about.st_mtim.tv_sec == part->named_changed.tv_sec &&
           about.st_mtim.tv_nsec == part->named_changed.tv_nsec;
}

void qn_part_close(qn_part *part, bool keep)
{
    destroy_packers(part);
    stop_behind(part);
    if (part->fd >= 0 && part->path)
        close(part->fd);
    if (!keep && part->path) {
        unlink(part->temporary_path);
        if (is_still_named(part))
            unlink(part->path);
    }
    free(part->path);
    free(part->temporary_path);
    qn_pages_unreserve(part->buffer, WRITE_BUFFER_BYTES);
    if (part->checksum)
        XXH3_freeState(part->checksum);
    *part = (qn_part){.fd = -1};
}

/* Where each part is to go; of an archive all else is written. */
static quern_status place_parts(qn_output *output, int fd, const qn_part_summary *summaries, uint64_t count,
                                const qn_part_style *style, qn_error *error)
{
    uint64_t *offsets = output->joined_offsets;
    if (style->archive != QUERN_NO_ARCHIVE) {
        quern_status status = qn_archive_write_frame(fd, output->joined_temporary_path, style, qn_output_digits(count),
                                                     summaries, count, offsets, &output->joined_bytes, error);
        if (status == QUERN_OK && fsync(fd) != 0)
            status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot sync %s", output->joined_temporary_path);
        return status;
    }
    for (uint64_t i = 0; i < count; output->joined_bytes += summaries[i++].bytes)
        offsets[i] = output->joined_bytes;
    return QUERN_OK;
}

quern_status qn_output_join_begin(qn_output *output, const qn_part_summary *summaries, uint64_t count,
                                  const qn_part_style *style, uint64_t *offsets_out, qn_error *error)
{
    int digits = qn_output_digits(count + 1);
    output->joined_path = final_path(output->directory, qn_output_digits(1), 0, style);
    output->joined_temporary_path = qn_output_temporary_path(output->directory, digits, count, style->token, false);
    output->joined_offsets = calloc(count + 1, sizeof *output->joined_offsets);
    if (!output->joined_path || !output->joined_temporary_path || !output->joined_offsets)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    int fd = open(output->joined_temporary_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot create %s", output->joined_temporary_path);
    quern_status status = place_parts(output, fd, summaries, count, style, error);
    if (close(fd) != 0 && status == QUERN_OK)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot close %s", output->joined_temporary_path);
    if (status == QUERN_OK)
        memcpy(offsets_out, output->joined_offsets, count * sizeof *offsets_out);
    return status;
}

/* Piece by piece, in the kernel where it can. */
static quern_status copy_all(int from, int to, uint64_t bytes, uint64_t offset, const char *path, qn_error *error)
{
    off_t at = (off_t)offset;
    uint64_t left = bytes;
    while (left > 0) {
        ssize_t copied = copy_file_range(from, NULL, to, &at, left, 0);
        if (copied < 0 && errno == EINTR)
            continue;
        if (copied <= 0)
            break;
        left -= (uint64_t)copied;
    }
    uint8_t *buffer = left > 0 ? malloc(WRITE_BUFFER_BYTES) : NULL;
    quern_status status =
        left > 0 && !buffer ? qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to join the output") : QUERN_OK;
    for (size_t got = 0; status == QUERN_OK && left > 0; left -= got) {
        size_t wanted = left < WRITE_BUFFER_BYTES ? left : WRITE_BUFFER_BYTES;
        status = qn_file_read_at(from, buffer, wanted, bytes - left, path, QUERN_ERROR_OUTPUT, &got, error);
        if (status == QUERN_OK && got == 0)
            status = qn_error_set(error, QUERN_ERROR_OUTPUT, 0, "a part of %s became shorter", path);
        if (status == QUERN_OK)
            status = qn_file_write_at(to, buffer, got, offset + (bytes - left), path, QUERN_ERROR_OUTPUT, error);
    }
    free(buffer);
    return status;
}

quern_status qn_part_join(const qn_part *part, const char *directory, uint64_t part_count, uint64_t offset,
                          qn_error *error)
{
    char *path = qn_part_temporary_path(directory, part_count, part_count + 1, part->style.token);
    int to = path ? open(path, O_WRONLY | O_CLOEXEC) : -1;
    int from = open(part->temporary_path, O_RDONLY | O_CLOEXEC);
    quern_status status = QUERN_OK;
    if (!path)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    else if (to < 0 || from < 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot copy %s into %s", part->temporary_path, path);
    if (status == QUERN_OK)
        status = copy_all(from, to, part->summary.bytes, offset, path, error);
    if (status == QUERN_OK && fsync(to) != 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot sync %s", path);
    if (from >= 0)
        close(from);
    if (to >= 0 && close(to) != 0 && status == QUERN_OK)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot close %s", path);
    free(path);
    return status;
}

quern_status qn_output_join_commit(qn_output *output, qn_error *error)
{
    if (qn_output_check_held(output, error) != QUERN_OK)
        return error->status;
    if (rename(output->joined_temporary_path, output->joined_path) != 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot rename %s", output->joined_temporary_path);
    return QUERN_OK;
}

static json_t *describe_part(const qn_part_summary *summary, int digits, quern_compression compression)
{
    char name[64], checksum[32];
    snprintf(name, sizeof name, "part-%0*" PRIu64 "%s", digits, summary->number, qn_compression_suffix(compression));
    snprintf(checksum, sizeof checksum, "%016" PRIx64, summary->checksum);
    return json_pack("{s:s, s:I, s:I, s:s}", "name", name, "bytes", (json_int_t)summary->bytes, "records",
                     (json_int_t)summary->records, "xxh3_64", checksum);
}

/* Not json_dumps(): a refusal of memory while its text grows can leave a piece out without an error (jansson 2.14). */
static char *print_json(const json_t *json)
{
    size_t bytes = json_dumpb(json, NULL, 0, JSON_INDENT(1));
    char *text = malloc(bytes + 1);
    if (!text || bytes == 0 || json_dumpb(json, text, bytes, JSON_INDENT(1)) != bytes) {
        free(text);
        return NULL;
    }
    text[bytes] = 0;
    return text;
}

static json_t *describe_parts(const qn_part_summary *summaries, size_t count, quern_compression compression)
{
    int digits = qn_output_digits(count);
    json_t *parts = json_array();
    bool complete = parts != NULL;
    for (size_t i = 0; complete && i < count; i++)
        complete = json_array_append_new(parts, describe_part(&summaries[i], digits, compression)) == 0;
    if (complete)
        return parts;
    json_decref(parts);
    return NULL;
}

/* One part, with the pieces that it was made of: a checksum of the whole would have to be read again. */
static json_t *describe_joined(const qn_part_summary *summaries, size_t count, quern_compression compression)
{
    char name[64];
    json_int_t bytes = 0, records = 0;
    json_t *pieces = json_array();
    bool complete = pieces != NULL;
    snprintf(name, sizeof name, "part-%0*d%s", QN_OUTPUT_DIGITS_MIN, 0, qn_compression_suffix(compression));
    for (size_t i = 0; complete && i < count; i++) {
        char checksum[32];
        snprintf(checksum, sizeof checksum, "%016" PRIx64, summaries[i].checksum);
        json_t *piece = json_pack("{s:I, s:I, s:I, s:s}", "offset", bytes, "bytes", (json_int_t)summaries[i].bytes,
                                  "records", (json_int_t)summaries[i].records, "xxh3_64", checksum);
        complete = json_array_append_new(pieces, piece) == 0;
        bytes += (json_int_t)summaries[i].bytes;
        records += (json_int_t)summaries[i].records;
    }
    if (complete)
        return json_pack("[{s:s, s:I, s:I, s:o}]", "name", name, "bytes", bytes, "records", records, "pieces", pieces);
    json_decref(pieces);
    return NULL;
}

/* Of a member: its name and content, and where its bytes are as they are stored, with their checksum. */
static json_t *describe_member(const qn_part_summary *summary, int digits, uint64_t offset)
{
    char name[64], checksum[32];
    snprintf(name, sizeof name, "part-%0*" PRIu64, digits, summary->number);
    snprintf(checksum, sizeof checksum, "%016" PRIx64, summary->checksum);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s}", "name", name, "content_bytes",
                     (json_int_t)summary->content_bytes, "records", (json_int_t)summary->records, "offset",
                     (json_int_t)offset, "bytes", (json_int_t)summary->bytes, "xxh3_64", checksum);
}

static json_t *describe_archive(const qn_output *output, const qn_part_summary *summaries, size_t count,
                                const qn_part_style *style)
{
    char name[64], suffix[16];
    json_int_t records = 0;
    json_t *members = json_array();
    bool complete = members != NULL;
    qn_part_style_suffix(style, suffix);
    snprintf(name, sizeof name, "part-%0*d%s", QN_OUTPUT_DIGITS_MIN, 0, suffix);
    for (size_t i = 0; complete && i < count; i++) {
        json_t *member = describe_member(&summaries[i], qn_output_digits(count), output->joined_offsets[i]);
        complete = json_array_append_new(members, member) == 0;
        records += (json_int_t)summaries[i].records;
    }
    if (complete)
        return json_pack("[{s:s, s:I, s:I, s:o}]", "name", name, "bytes", (json_int_t)output->joined_bytes, "records",
                         records, "members", members);
    json_decref(members);
    return NULL;
}

char *qn_output_manifest_text(json_t *parts)
{
    json_t *manifest = parts ? json_pack("{s:i, s:o}", "quern_manifest", 1, "parts", parts) : NULL;
    char *text = manifest ? print_json(manifest) : NULL;
    json_decref(manifest);
    return text;
}

void qn_output_unseal(qn_output *output)
{
    bool is_ours = output->has_success || qn_lock_file_is_held(&output->lock);
    if (output->has_success)
        remove_in(output->directory, QN_OUTPUT_SUCCESS_NAME);
    if (output->has_manifest && is_ours)
        remove_in(output->directory, QN_OUTPUT_MANIFEST_NAME);
    output->has_success = output->has_manifest = false;
    if (output->joined_temporary_path)
        unlink(output->joined_temporary_path);
    if (output->joined_path && is_ours)
        unlink(output->joined_path);
    if (output->joined_path && is_ours && output->manifest_path)
        unlink(output->manifest_path);
}

/* A file of the commit gets its name if the output is still this job's, and nobody else has made one of that name. */
static quern_status name_commit(qn_output *output, const char *from, const char *name, qn_error *error)
{
    char *path = NULL;
    struct stat about;
    quern_status status = qn_output_check_held(output, error);
    if (status == QUERN_OK && asprintf(&path, "%s/%s", output->directory, name) < 0)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    if (status == QUERN_OK && lstat(path, &about) == 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, EEXIST, "cannot create %s", path);
    if (status == QUERN_OK && rename(from, path) != 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot rename %s", from);
    free(path);
    return status == QUERN_OK ? qn_file_sync_directory(output->directory, error) : status;
}

/* The lock goes last: parts, manifest and success keep other jobs away by then. */
static quern_status name_all(qn_output *output, const char *manifest_path, const char *success_path, qn_error *error)
{
    quern_status status = name_commit(output, manifest_path, QN_OUTPUT_MANIFEST_NAME, error);
    output->has_manifest = status == QUERN_OK;
    if (status != QUERN_OK)
        return status;
    if (output->announce)
        output->announce(output->directory, output->announce_user);
    status = name_commit(output, success_path, QN_OUTPUT_SUCCESS_NAME, error);
    output->has_success = status == QUERN_OK;
    if (status != QUERN_OK)
        return status;
    qn_output_sweep(output); /* not before: what is there may be of who took it over */
    qn_lock_file_drop(&output->lock);
    return QUERN_OK;
}

/* Both files are there before the lock is looked at: one that is there when the output is taken over is removed, and cannot get its name. */
static quern_status seal(qn_output *output, const char *manifest, qn_error *error)
{
    char *manifest_path = qn_output_commit_path(output->directory, false, output->lock.token);
    char *success_path = qn_output_commit_path(output->directory, true, output->lock.token);
    quern_status status = QUERN_OK;
    if (!manifest_path || !success_path)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a file name");
    if (status == QUERN_OK)
        status = qn_file_create(manifest_path, manifest, strlen(manifest), error);
    if (status == QUERN_OK)
        status = qn_file_create(success_path, "", 0, error);
    if (status == QUERN_OK)
        status = name_all(output, manifest_path, success_path, error);
    if (status != QUERN_OK && manifest_path && success_path) {
        unlink(manifest_path);
        unlink(success_path);
    }
    free(manifest_path);
    free(success_path);
    return status;
}

quern_status qn_output_seal_text(qn_output *output, const char *manifest, qn_error *error)
{
    quern_status status = seal(output, manifest, error);
    if (status != QUERN_OK)
        qn_output_unseal(output);
    return status;
}

/* Takes the parts; NULL: there was no memory for them. */
static quern_status seal_parts(qn_output *output, json_t *parts, qn_error *error)
{
    char *text = qn_output_manifest_text(parts);
    if (!text)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the manifest of %s", output->directory);
    quern_status status = qn_output_seal_text(output, text, error);
    free(text);
    return status;
}

quern_status qn_output_seal(qn_output *output, const qn_part_summary *summaries, size_t count,
                            quern_compression compression, bool is_one_file, qn_error *error)
{
    json_t *parts =
        is_one_file ? describe_joined(summaries, count, compression) : describe_parts(summaries, count, compression);
    return seal_parts(output, parts, error);
}

quern_status qn_output_seal_archive(qn_output *output, const qn_part_summary *summaries, size_t count,
                                    const qn_part_style *style, qn_error *error)
{
    return seal_parts(output, describe_archive(output, summaries, count, style), error);
}
