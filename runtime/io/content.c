/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/file.h"
#include "runtime/data/batch.h"

void qn_content_init(qn_content *content)
{
    *content = (qn_content){.fd = -1};
}

void qn_content_fini(qn_content *content)
{
    if (content->name)
        qn_content_leave(content);
    free(content->joined);
    content->joined = NULL;
    content->name = NULL;
}

void qn_content_close(qn_content *content)
{
    content->segment = NULL;
    if (content->unpacker)
        return;
    if (content->fd >= 0)
        close(content->fd);
    content->fd = -1;
}

void qn_content_leave(qn_content *content)
{
    qn_unpacker_destroy(content->unpacker);
    content->unpacker = NULL;
    content->unpacked = NULL;
    qn_content_close(content);
}

static quern_status open_file(qn_content *content, const qn_segment *segment, qn_error *error)
{
    content->fd = open(segment->path, O_RDONLY | O_CLOEXEC);
    if (content->fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", segment->path);
    return QUERN_OK;
}

/* path/member, with slack behind it. */
static quern_status join_name(qn_content *content, const char *path, const char *member, qn_error *error)
{
    size_t path_bytes = strlen(path), member_bytes = strlen(member);
    char *joined = calloc(1, path_bytes + 1 + member_bytes + 1 + QN_SLACK_BYTES);
    if (!joined)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the name of a member of %s", path);
    memcpy(joined, path, path_bytes);
    joined[path_bytes] = '/';
    memcpy(joined + path_bytes + 1, member, member_bytes);
    free(content->joined);
    content->joined = joined;
    content->name = joined;
    return QUERN_OK;
}

/* Enters a member of what is unpacked, from the front again if it is behind. */
static quern_status enter_member(qn_content *content, const qn_segment *segment, uint64_t member, bool *found_out,
                                 qn_error *error)
{
    quern_status status = QUERN_OK;
    if (content->unpacker && !qn_unpacker_can_enter(content->unpacker, member)) {
        qn_unpacker_destroy(content->unpacker);
        content->unpacker = NULL;
    }
    if (!content->unpacker)
        status = qn_unpacker_create(&content->unpacker, content->fd, segment->path, error);
    if (status == QUERN_OK)
        status = qn_unpacker_enter(content->unpacker, member, found_out, error);
    if (status != QUERN_OK || !*found_out)
        return status;
    content->unpacked = segment;
    content->begin = 0;
    content->end = content->bytes = QN_BYTES_UNKNOWN;
    const char *path = qn_unpacker_member_path(content->unpacker);
    return path ? join_name(content, segment->path, path, error) : QUERN_OK;
}

static quern_status open_packing(qn_content *content, const qn_segment *segment, uint64_t member, bool *found_out,
                                 qn_error *error)
{
    qn_packing packing = segment->packing;
    bool has_file = packing != QN_PACKING_INLINE;
    quern_status status = content->fd < 0 && has_file ? open_file(content, segment, error) : QUERN_OK;
    if (status == QUERN_OK && packing == QN_PACKING_UNKNOWN)
        status = qn_unpack_examine(content->fd, segment->path, segment->file_bytes, &packing, error);
    if (status != QUERN_OK)
        return status;
    if (packing == QN_PACKING_STREAM)
        return enter_member(content, segment, member, found_out, error);
    content->begin = segment->begin;
    content->end = segment->end;
    content->bytes = segment->file_bytes;
    *found_out = member == 0 || !has_file; /* a piece is of any member */
    return QUERN_OK;
}

quern_status qn_content_open(qn_content *content, const qn_segment *segment, uint64_t member, bool *found_out,
                             qn_error *error)
{
    *found_out = false;
    if (content->unpacked != segment)
        qn_content_leave(content);
    content->segment = segment;
    content->member = member;
    content->name = segment->path;
    quern_status status = content->unpacker ? enter_member(content, segment, member, found_out, error)
                                            : open_packing(content, segment, member, found_out, error);
    if (status != QUERN_OK || !*found_out)
        qn_content_leave(content);
    return status;
}

static quern_status read_file(const qn_content *content, void *to, uint64_t offset, size_t bytes, size_t *got_out,
                              qn_error *error)
{
    uint64_t left = offset < content->bytes ? content->bytes - offset : 0;
    size_t wanted = bytes < left ? bytes : (size_t)left;
    quern_status status =
        qn_file_read_at(content->fd, to, wanted, offset, content->name, QUERN_ERROR_INPUT, got_out, error);
    if (status == QUERN_OK && *got_out < wanted)
        status =
            qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s ends at byte %llu; it had %llu bytes when the job began",
                         content->name, (unsigned long long)(offset + *got_out), (unsigned long long)content->bytes);
    return status;
}

/* Brings what is unpacked to a byte of the member. */
static quern_status seek_unpacked(qn_content *content, uint64_t offset, qn_error *error)
{
    bool found = true;
    size_t got = 0;
    quern_status status = QUERN_OK;
    if (qn_unpacker_get_offset(content->unpacker) > offset) {
        uint64_t bytes = content->bytes;
        status = enter_member(content, content->segment, content->member, &found, error);
        content->bytes = bytes;
    }
    uint64_t ahead = status == QUERN_OK && found ? offset - qn_unpacker_get_offset(content->unpacker) : 0;
    return ahead > 0 ? qn_unpacker_read(content->unpacker, NULL, ahead, &got, error) : status;
}

quern_status qn_content_read(qn_content *content, void *to, uint64_t offset, size_t bytes, size_t *got_out,
                             qn_error *error)
{
    *got_out = 0;
    if (content->segment->packing == QN_PACKING_INLINE) {
        uint64_t left = offset < content->bytes ? content->bytes - offset : 0;
        *got_out = bytes < left ? bytes : (size_t)left;
        memcpy(to, content->segment->data + (offset - content->segment->begin), *got_out);
        return QUERN_OK;
    }
    if (!content->unpacker)
        return read_file(content, to, offset, bytes, got_out, error);
    quern_status status = seek_unpacked(content, offset, error);
    if (status == QUERN_OK)
        status = qn_unpacker_read(content->unpacker, to, bytes, got_out, error);
    if (status == QUERN_OK && *got_out < bytes)
        content->bytes = offset + *got_out;
    return status;
}

double qn_content_get_share(const qn_content *content)
{
    off_t at = content->fd >= 0 && content->unpacker ? lseek(content->fd, 0, SEEK_CUR) : 0;
    uint64_t bytes = content->unpacked ? content->unpacked->file_bytes : 0;
    return at <= 0 || bytes == 0 ? 0 : (uint64_t)at >= bytes ? 1 : (double)at / (double)bytes;
}
