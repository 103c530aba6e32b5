/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/spill_io.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/file.h"

quern_status qn_spill_open_file(qn_spill *spill, qn_error *error)
{
    if (spill->fd >= 0)
        return QUERN_OK;
    quern_status status = qn_file_open_scratch(spill->directory, &spill->fd, &spill->left_directory, error);
    if (status != QUERN_OK)
        return status;
    return QUERN_OK;
}

void qn_spill_close_file(qn_spill *spill)
{
    if (spill->fd >= 0)
        close(spill->fd);
    spill->fd = -1;
    qn_file_remove_scratch(spill->left_directory);
    spill->left_directory = NULL;
}

static quern_status write_failed(const qn_spill *spill, int reason, qn_error *error)
{
    if (spill->is_named)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, reason, "cannot write %s", spill->directory);
    bool is_full = reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
    return qn_error_set(error, QUERN_ERROR_SCRATCH, reason,
                        "cannot spill to %s, where %llu MiB of this rank are already: %sname another directory with "
                        "--quern-scratch%s",
                        spill->directory, (unsigned long long)(spill->end >> 20),
                        is_full ? "free space there, or " : "", is_full ? ", or give the job more memory" : "");
}

/* What the cache has written of the file's earlier pieces it need not keep. */
static void leave_cache(const qn_spill *spill, uint64_t bytes, uint64_t offset)
{
    (void)sync_file_range(spill->fd, (off_t)offset, (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    (void)posix_fadvise(spill->fd, 0, (off_t)offset, POSIX_FADV_DONTNEED);
}

quern_status qn_spill_write(qn_spill *spill, bool cached, const uint8_t *data, uint64_t bytes, uint64_t offset,
                            qn_error *error)
{
    qn_file_set_direct(spill->fd, &spill->direct, !cached);
    for (uint64_t done_bytes = 0; done_bytes < bytes;) {
        ssize_t put = pwrite(spill->fd, data + done_bytes, bytes - done_bytes, (off_t)(offset + done_bytes));
        if (put < 0 && qn_file_can_go_on(spill->fd, &spill->direct))
            continue;
        if (put <= 0)
            return write_failed(spill, put < 0 ? errno : ENOSPC, error);
        done_bytes += (uint64_t)put;
    }
    if (!cached && !spill->direct.is_on)
        leave_cache(spill, bytes, offset);
    return QUERN_OK;
}

quern_status qn_spill_read(qn_spill *spill, bool cached, uint8_t *data, uint64_t bytes, uint64_t offset,
                           uint64_t *bytes_out, qn_error *error)
{
    qn_file_set_direct(spill->fd, &spill->direct, !cached);
    uint64_t done_bytes = 0;
    while (done_bytes < bytes) {
        ssize_t got = pread(spill->fd, data + done_bytes, bytes - done_bytes, (off_t)(offset + done_bytes));
        if (got < 0 && qn_file_can_go_on(spill->fd, &spill->direct))
            continue;
        if (got < 0)
            return qn_error_set(error, QUERN_ERROR_SCRATCH, errno, "cannot read what was spilled to %s at byte %llu",
                                spill->directory, (unsigned long long)(offset + done_bytes));
        if (got == 0)
            break;
        done_bytes += (uint64_t)got;
    }
    *bytes_out = done_bytes;
    return QUERN_OK;
}

void qn_spill_drop(qn_spill *spill, const qn_run *run)
{
    /* Where the file system cannot, the space comes back when the file is closed. */
    (void)!fallocate(spill->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)run->offset,
                     (off_t)qn_spill_align(run->bytes));
}
