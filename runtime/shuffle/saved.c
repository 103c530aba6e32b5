/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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

static quern_status write_rows(qn_home *home, qn_run_writer *writer, qn_error *error)
{
    const qn_key *key = NULL;
    const uint64_t *value = NULL;
    quern_status status = qn_home_result_open(home, error);
    while (status == QUERN_OK) {
        status = qn_home_result_next(home, &key, &value, error);
        if (status != QUERN_OK || !key)
            break;
        status = qn_run_writer_put(writer, key, value, error);
    }
    qn_home_result_close(home);
    return status;
}

static quern_status write_run(qn_home *home, qn_spill *spill, qn_run *run_out, qn_error *error)
{
    qn_run_writer writer = {0};
    quern_status status = qn_run_writer_open(&writer, spill, error);
    if (status == QUERN_OK)
        status = write_rows(home, &writer, error);
    if (status == QUERN_OK)
        return qn_run_writer_close(&writer, run_out, error);
    qn_run_writer_abandon(&writer);
    return status;
}

quern_status qn_saved_write(qn_shuffle *shuffle, const char *path, qn_saved *saved_out, qn_error *error)
{
    const qn_shuffle_config *config = &shuffle->config;
    qn_spill spill;
    *saved_out =
        (qn_saved){.rank = config->comm->rank, .size = config->comm->size, .value_words = config->reducer->value_words};
    quern_status status = qn_shuffle_finish(shuffle, error);
    if (status != QUERN_OK)
        return status;
    qn_scratch file = {path, config->scratch.cipher};
    status = qn_saved_open(&spill, file, O_RDWR | O_CREAT | O_EXCL, config->reducer->value_words, config->block_bytes,
                           error);
    saved_out->stamp = spill.stamp;
    if (status == QUERN_OK)
        status = write_run(qn_shuffle_get_home(shuffle), &spill, &saved_out->run, error);
    saved_out->record_count = saved_out->run.row_count;
    if (status == QUERN_OK && fsync(spill.fd) != 0)
        status = qn_error_set(error, QUERN_ERROR_CHECKPOINT, errno, "cannot write %s", path);
    qn_spill_fini(&spill);
    return status;
}

/* One that qn_saved_write() wrote. */
static quern_status open_saved(qn_spill *spill, const char *path, const qn_saved *saved, const qn_cipher *cipher,
                               size_t block_bytes, qn_error *error)
{
    quern_status status =
        qn_saved_open(spill, (qn_scratch){path, cipher}, O_RDONLY | O_NONBLOCK, saved->value_words, block_bytes, error);
    spill->stamp = saved->stamp;
    return status;
}

bool qn_saved_is_run(const qn_run *run)
{
    return run->offset <= INT64_MAX && run->bytes <= INT64_MAX && run->block_bytes_max <= run->bytes &&
           run->unpacked_bytes_max <= INT32_MAX;
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
    quern_status status = open_saved(&spill, path, saved, cipher, VERIFY_BLOCK_BYTES, error);
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

static bool may_have_keys(const qn_shuffle *shuffle, const qn_saved *saved)
{
    const qn_home_config *own = &shuffle->home.config;
    return qn_range_first(saved->rank, saved->size) <= own->tag_last &&
           qn_range_last(saved->rank, saved->size) >= own->tag_first;
}

quern_status qn_saved_restore(qn_shuffle *shuffle, const char *path, const qn_saved *saved, qn_error *error)
{
    qn_spill spill;
    qn_run_reader reader = {0};
    bool more = true;
    if (!may_have_keys(shuffle, saved))
        return QUERN_OK;
    const qn_shuffle_config *config = &shuffle->config;
    quern_status status = open_saved(&spill, path, saved, config->scratch.cipher, config->block_bytes, error);
    if (status == QUERN_OK)
        status = qn_run_reader_open(&reader, &spill, &saved->run, error);
    while (status == QUERN_OK) {
        status = qn_run_reader_next(&reader, &more, error);
        if (status != QUERN_OK || !more)
            break;
        status = qn_shuffle_restore(shuffle, &reader.key, reader.value, error);
    }
    qn_run_reader_close(&reader);
    qn_spill_fini(&spill);
    return status;
}
