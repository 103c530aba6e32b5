/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/sink.h: where a stage's records end if not in a shuffle: part files, the k largest, or all for the
 * program.
 *
 * A sink lives from the first record to the end of the run; nothing of it is visible before qn_sink_writer_commit.
 */
#ifndef QN_ENGINE_SINK_H
#define QN_ENGINE_SINK_H

#include "runtime/comm/comm.h"
#include "runtime/data/batch.h"
#include "runtime/io/output.h"
#include "runtime/plan/graph.h"

struct qn_top_row;

typedef struct qn_sink_writer {
    const qn_sink *sink;
    quern_schema schema;
    /* text, fixed, HDF5 */
    qn_part *parts; /* [part_count], finished but for the last while it is open */
    size_t part_count, part_capacity;
    uint64_t part_count_all;         /* of the output; 0: none was opened yet */
    char token[QN_BEAT_TOKEN_BYTES]; /* of the output's lock; all ranks */
    bool part_open;
    qn_output output; /* rank 0 */
    /* top k: a heap, its smallest row first */
    struct qn_top_row *rows;
    size_t row_count, row_capacity;
    /* collect: parts behind each other (collect.h) */
    uint8_t *collected; /* [kept_bytes_max] reserved, [kept_bytes] used */
    uint64_t kept_part_count;
    uint64_t part_at_bytes; /* where the open part begins */
    uint64_t huge_at_bytes; /* kept_bytes from which on what follows is on huge pages */
    /* top k and collect */
    uint64_t kept_bytes, kept_bytes_max; /* of rows and keys, or of parts */
    bool checks;                         /* check mode: whether the callback of collect leaves records as they are */
} qn_sink_writer;

/* Rank 0 makes the directory; other ranks do nothing there. kept_bytes_max: what the rows of top k, or collected records, may
 * take. kept: parts of an earlier attempt at the job that are to stay, without their style; NULL: none. */
quern_status qn_sink_writer_init(qn_sink_writer *writer, const qn_sink *sink, const qn_comm *comm,
                                 uint64_t kept_bytes_max, const qn_kept_parts *kept, qn_error *error);
/* All ranks learn under which token parts are made. Collective. */
quern_status qn_sink_writer_share_token(qn_sink_writer *writer, qn_comm *comm, qn_error *error);
/* How parts of it are written. */
qn_part_style qn_sink_writer_style(const qn_sink_writer *writer);
/* A part that an earlier attempt at the job finished is this rank's now. */
quern_status qn_sink_writer_take_up(qn_sink_writer *writer, const qn_part_summary *summary, uint64_t part_count,
                                    qn_error *error);

/* Whether an attempt's records are a part that is dropped as a whole. */
static inline bool qn_sink_writer_has_parts(const qn_sink_writer *writer)
{
    return writer->sink->kind != QN_SINK_TOP_K;
}

/* Parts are opened one at a time; top k needs none (these then do nothing). is_second: another rank has that part open, too, and its file keeps
 * out of the way until it is adopted, when that one is gone. */
quern_status qn_sink_writer_begin_part(qn_sink_writer *writer, uint64_t number, uint64_t part_count, bool is_second,
                                       qn_error *error);
quern_status qn_sink_writer_adopt_part(qn_sink_writer *writer, qn_error *error);
quern_status qn_sink_writer_end_part(qn_sink_writer *writer, qn_error *error);
void qn_sink_writer_drop_part(qn_sink_writer *writer); /* the open one */

quern_status qn_sink_writer_put(qn_sink_writer *writer, const qn_batch *batch, qn_error *error);

/* Collective; every rank, when all is written. deliver: top k and collected records to the user, rows
 * into files of HDF5; memory_bytes: what this rank may
 * take for what it keeps and what it gets from others. commit: files get their names. */
quern_status qn_sink_writer_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error);
quern_status qn_sink_writer_commit(qn_sink_writer *writer, qn_comm *comm, qn_error *error);
/* Room for a part, empty; it is one from then on. *part_out: until the next one. QUERN_ERROR_NO_MEMORY. */
quern_status qn_sink_writer_add_part(qn_sink_writer *writer, qn_part **part_out, qn_error *error);
/* Collective. Rank 0 learns of all parts, by number; *all_out is freed by the caller. */
quern_status qn_sink_writer_collect_summaries(qn_sink_writer *writer, qn_comm *comm, qn_part_summary **all_out,
                                              size_t *count_out, qn_error *error);
/* Frees; without keep every file is removed (the directory too, in qn_sink_writer_withdraw). Takes a zeroed one. */
void qn_sink_writer_fini(qn_sink_writer *writer, bool keep);
/* Frees; files stay as they would if the job had been killed, for who begins again (qn_output_leave()). Takes a zeroed one. */
void qn_sink_writer_leave(qn_sink_writer *writer, bool is_given_again);
/* Rank 0, after all ranks removed their files. */
void qn_sink_writer_withdraw(qn_sink_writer *writer);

#endif
