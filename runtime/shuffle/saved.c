/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/saved.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

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
    saved_out->layout = qn_layout_of(&config->schema, NULL, false);
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
    quern_status status =
        qn_saved_open_written(&spill, path, saved, config->scratch.cipher, config->block_bytes, error);
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
