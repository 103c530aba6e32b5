/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/file_sum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/base/file.h"
#include "runtime/base/pages.h"

#define READ_BYTES ((size_t)1 << 20)

quern_status qn_file_get_bytes(const char *path, uint64_t *bytes_out, qn_error *error)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot read %s again", path);
    *bytes_out = (uint64_t)about.st_size;
    return QUERN_OK;
}

static quern_status sum_up(int fd, const char *path, uint64_t offset, uint64_t bytes, uint8_t *buffer,
                           XXH3_state_t *state, qn_error *error)
{
    XXH3_64bits_reset(state);
    for (uint64_t left = bytes; left > 0;) {
        size_t got = 0, wanted = left < READ_BYTES ? (size_t)left : READ_BYTES;
        quern_status status =
            qn_file_read_at(fd, buffer, wanted, offset + (bytes - left), path, QUERN_ERROR_OUTPUT, &got, error);
        if (status == QUERN_OK && got == 0)
            status = qn_error_set(error, QUERN_ERROR_OUTPUT, 0, "%s became shorter", path);
        if (status != QUERN_OK)
            return status;
        XXH3_64bits_update(state, buffer, got);
        left -= got;
    }
    return QUERN_OK;
}

quern_status qn_file_sync_and_sum(const char *path, uint64_t offset, uint64_t bytes, uint64_t *checksum_out,
                                  qn_error *error)
{
    uint8_t *buffer = aligned_alloc(QN_PAGE_SMALL_BYTES, READ_BYTES + QN_PAGE_SMALL_BYTES);
    XXH3_state_t *state = XXH3_createState();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    quern_status status = QUERN_OK;
    if (!buffer || !state)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to sum up %s", path);
    else if (fd < 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot read %s again", path);
    else if (fsync(fd) != 0)
        status = qn_error_set(error, QUERN_ERROR_OUTPUT, errno, "cannot sync %s", path);
    if (status == QUERN_OK)
        status = sum_up(fd, path, offset, bytes, buffer + qn_pages_place(offset), state, error);
    if (status == QUERN_OK)
        *checksum_out = XXH3_64bits_digest(state);
    if (fd >= 0)
        close(fd);
    if (state)
        XXH3_freeState(state);
    free(buffer);
    return status;
}
