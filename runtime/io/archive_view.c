/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/archive_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define END64_BYTES   56
#define LOCATOR_BYTES 20
#define VERSION_ZIP64 45

void qn_archive_view_init(qn_archive_view *view, int fd, uint64_t begin, uint64_t end, size_t block_bytes)
{
    *view = (qn_archive_view){.fd = fd, .begin = begin, .end = end, .position = begin, .block_bytes = block_bytes};
}

static void put(uint8_t *to, uint64_t number, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        to[i] = (uint8_t)(number >> 8 * i);
}

void qn_archive_view_init_zip(qn_archive_view *view, int fd, uint64_t directory, uint64_t directory_end,
                              uint64_t entry_count, size_t block_bytes)
{
    qn_archive_view_init(view, fd, 0, directory_end, block_bytes);
    uint8_t *end64 = view->tail, *locator = end64 + END64_BYTES, *end = locator + LOCATOR_BYTES;
    view->tail_bytes = QN_VIEW_TAIL_BYTES;
    put(end64, 0x06064b50, 4);
    put(end64 + 4, END64_BYTES - 12, 8);
    put(end64 + 12, VERSION_ZIP64, 2);
    put(end64 + 14, VERSION_ZIP64, 2);
    put(end64 + 24, entry_count, 8);
    put(end64 + 32, entry_count, 8);
    put(end64 + 40, directory_end - directory, 8);
    put(end64 + 48, directory, 8);
    put(locator, 0x07064b50, 4);
    put(locator + 8, directory_end, 8);
    put(locator + 16, 1, 4);
    put(end, 0x06054b50, 4);
    put(end + 8, UINT16_MAX, 2);
    put(end + 10, UINT16_MAX, 2);
    put(end + 12, UINT32_MAX, 4);
    put(end + 16, UINT32_MAX, 4);
}

void qn_archive_view_fini(qn_archive_view *view)
{
    free(view->block);
    view->block = NULL;
}

static uint64_t bytes_of(const qn_archive_view *view)
{
    return view->end - view->begin + view->tail_bytes;
}

static la_ssize_t read_view(struct archive *archive, void *user, const void **bytes_out)
{
    qn_archive_view *view = user;
    ssize_t got;
    if (view->position >= view->end) {
        size_t at = (size_t)(view->position - view->end);
        *bytes_out = view->tail + at;
        view->position += view->tail_bytes - at;
        return (la_ssize_t)(view->tail_bytes - at);
    }
    uint64_t left = view->end - view->position;
    do {
        got = pread(view->fd, view->block, left < view->block_bytes ? (size_t)left : view->block_bytes,
                    (off_t)view->position);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        archive_set_error(archive, got < 0 ? errno : EIO, "%s", got < 0 ? strerror(errno) : "the file became shorter");
        return -1;
    }
    view->position += (uint64_t)got;
    view->read_bytes += (uint64_t)got;
    *bytes_out = view->block;
    return got;
}

static la_int64_t skip_view(struct archive *archive, void *user, la_int64_t wanted)
{
    qn_archive_view *view = user;
    (void)archive;
    uint64_t left = view->begin + bytes_of(view) - view->position;
    uint64_t bytes = (uint64_t)wanted < left ? (uint64_t)wanted : left;
    view->position += bytes;
    return (la_int64_t)bytes;
}

static la_int64_t seek_view(struct archive *archive, void *user, la_int64_t offset, int whence)
{
    qn_archive_view *view = user;
    int64_t bytes = (int64_t)bytes_of(view);
    int64_t from = whence == SEEK_END ? bytes : whence == SEEK_CUR ? (int64_t)(view->position - view->begin) : 0;
    if (offset < -from || offset > bytes - from) {
        archive_set_error(archive, EINVAL, "it says that something is where the file is not");
        return ARCHIVE_FATAL;
    }
    view->position = view->begin + (uint64_t)(from + offset);
    return from + offset;
}

int qn_archive_view_open(qn_archive_view *view, struct archive *archive)
{
    view->block = malloc(view->block_bytes);
    if (!view->block) {
        archive_set_error(archive, ENOMEM, "no memory");
        return ARCHIVE_FATAL;
    }
    archive_read_set_read_callback(archive, read_view);
    archive_read_set_skip_callback(archive, skip_view);
    archive_read_set_seek_callback(archive, seek_view);
    archive_read_set_callback_data(archive, view);
    return archive_read_open1(archive);
}

qn_archive_input qn_archive_view_input(const qn_archive_view *view)
{
    return (qn_archive_input){.fd = view->fd, .begin = view->begin, .end = view->end};
}
