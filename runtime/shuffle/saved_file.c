/* SPDX-License-Identifier: BSD-3-Clause */
/* Saved files as files: what whoever looks at a checkpoint needs, and who runs no job. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/shuffle/saved.h"

#define VERIFY_BLOCK_BYTES ((size_t)256 << 10)

quern_status qn_saved_open(qn_spill *spill, qn_scratch file, int flags, uint32_t value_words, size_t block_bytes,
                           qn_error *error)
{
    const char *path = file.directory;
    qn_spill_init(spill, file, value_words, block_bytes);
    spill->is_named = true;
    spill->fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return spill->fd >= 0 ? QUERN_OK : qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot open %s", path);
}

quern_status qn_saved_open_written(qn_spill *spill, const char *path, const qn_saved *saved, const qn_cipher *cipher,
                                   size_t block_bytes, qn_error *error)
{
    quern_status status =
        qn_saved_open(spill, (qn_scratch){path, cipher}, O_RDONLY | O_NONBLOCK, saved->value_words, block_bytes, error);
    spill->stamp = saved->stamp;
    return status;
}

bool qn_saved_is_run(const qn_run *run)
{
    return run->offset <= INT64_MAX && run->offset % 8 == 0 && run->bytes <= INT64_MAX &&
           run->block_bytes_max <= run->bytes && run->unpacked_bytes_max <= INT32_MAX;
}

quern_status qn_saved_check_length(const qn_spill *spill, const qn_run *run, const char *path, qn_error *error)
{
    struct stat about;
    if (fstat(spill->fd, &about) != 0)
        return qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot read %s", path);
    if (S_ISREG(about.st_mode) && (uint64_t)about.st_size >= run->offset + run->bytes)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "%s is shorter than it was written", path);
}

static quern_status check_count(uint64_t count, const qn_saved *saved, const char *path, qn_error *error)
{
    if (count == saved->run.row_count)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "%s has %llu rows and not %llu", path, (unsigned long long)count,
                        (unsigned long long)saved->run.row_count);
}

quern_status qn_saved_verify(const char *path, const qn_saved *saved, const qn_cipher *cipher, qn_error *error)
{
    qn_spill spill;
    qn_run_reader reader = {0};
    uint64_t count = 0;
    quern_status status = qn_saved_open_written(&spill, path, saved, cipher, VERIFY_BLOCK_BYTES, error);
    if (status == QUERN_OK)
        status = qn_saved_check_length(&spill, &saved->run, path, error);
    if (status == QUERN_OK)
        status = qn_run_reader_open(&reader, &spill, &saved->run, error);
    for (bool more = true; status == QUERN_OK;) {
        status = qn_run_reader_next(&reader, &more, error);
        if (status == QUERN_OK && !more)
            break;
        count++;
    }
    qn_run_reader_close(&reader);
    qn_spill_fini(&spill);
    return status == QUERN_OK ? check_count(count, saved, path, error) : status;
}
