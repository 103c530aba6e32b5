/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/spill_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

quern_status qn_spill_open_file(qn_spill *spill, qn_error *error)
{
    if (spill->fd >= 0)
        return QUERN_OK;
    return qn_file_open_scratch(spill->directory, &spill->fd, &spill->left_directory, error);
}

void qn_spill_close_file(qn_spill *spill)
{
    qn_transfers_destroy(spill->transfers);
    spill->transfers = NULL;
    if (spill->direct_fd >= 0)
        close(spill->direct_fd);
    if (spill->fd >= 0)
        close(spill->fd);
    spill->direct_fd = spill->fd = -1;
    qn_file_remove_scratch(spill->left_directory);
    spill->left_directory = NULL;
}

/* The file has no name by which it could be opened once more, but for this one. */
static void open_direct(qn_spill *spill)
{
    char path[64];
    if (spill->direct_fd >= 0 || spill->direct.is_refused)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", spill->fd);
    spill->direct_fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
    spill->direct.is_on = spill->direct_fd >= 0;
    spill->direct.is_refused = spill->direct_fd < 0;
    if (spill->direct_fd >= 0)
        spill->transfers = qn_transfers_create();
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

void qn_spill_start(qn_spill *spill, bool cached, qn_transfer *transfer)
{
    if (!cached)
        open_direct(spill);
    bool is_direct = !cached && spill->direct_fd >= 0;
    transfer->fd = is_direct ? spill->direct_fd : spill->fd;
    transfer->direct = is_direct ? &spill->direct : NULL;
    qn_transfers_start(is_direct ? spill->transfers : NULL, transfer);
}

quern_status qn_spill_wait(qn_spill *spill, bool cached, qn_transfer *transfer, qn_error *error)
{
    qn_transfers_wait(spill->transfers, transfer);
    if (!cached && transfer->way == QN_WAY_WRITE && !spill->direct.is_on)
        leave_cache(spill, transfer->bytes, transfer->offset);
    if (transfer->reason == 0)
        return QUERN_OK;
    if (transfer->way == QN_WAY_WRITE)
        return write_failed(spill, transfer->reason, error);
    return qn_error_set(error, QUERN_ERROR_SCRATCH, transfer->reason, "cannot read what was spilled to %s at byte %llu",
                        spill->directory, (unsigned long long)(transfer->offset + transfer->done_bytes));
}

void qn_spill_cancel(qn_spill *spill, qn_transfer *transfer)
{
    qn_transfers_cancel(spill->transfers, transfer);
}

quern_status qn_spill_write(qn_spill *spill, bool cached, const uint8_t *data, uint64_t bytes, uint64_t offset,
                            qn_error *error)
{
    qn_transfer transfer = {.way = QN_WAY_WRITE, .data = (void *)data, .bytes = bytes, .offset = offset};
    qn_spill_start(spill, cached, &transfer);
    return qn_spill_wait(spill, cached, &transfer, error);
}

quern_status qn_spill_read(qn_spill *spill, bool cached, uint8_t *data, uint64_t bytes, uint64_t offset,
                           uint64_t *bytes_out, qn_error *error)
{
    qn_transfer transfer = {.way = QN_WAY_READ, .data = data, .bytes = bytes, .offset = offset};
    qn_spill_start(spill, cached, &transfer);
    quern_status status = qn_spill_wait(spill, cached, &transfer, error);
    if (status == QUERN_OK)
        *bytes_out = transfer.done_bytes;
    return status;
}

void qn_spill_drop(qn_spill *spill, const qn_run *run)
{
    /* Where the file system cannot, the space comes back when the file is closed. */
    (void)!fallocate(spill->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)run->offset,
                     (off_t)qn_spill_align(run->bytes));
}
