/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output.h: an output directory that is whole or absent.
 *
 * Every part is written under a temporary name in the directory and synced. When all ranks have done that and agree that the job
 * succeeded, each renames its parts, rank 0 writes the manifest, and last of all _SUCCESS. Whoever
 * finds no _SUCCESS has no output. A failed job removes what it wrote, and the directory if it made it.
 *
 * A killed job removes nothing. So a directory may hold a lock and temporary parts and still be taken, if the lock says that
 * nobody writes there any more (runtime/io/output_lock.h).
 */
#ifndef QN_IO_OUTPUT_H
#define QN_IO_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "runtime/base/buffer.h"
#include "runtime/base/file.h"
#include "runtime/base/status.h"
#include "runtime/base/transfers.h"
#include "runtime/data/text_form.h"
#include "runtime/io/output_lock.h"
#include "runtime/io/packer.h"

struct json_t;

/* What the manifest says of a part. */
typedef struct qn_part_summary {
    uint64_t number;
    uint64_t bytes;
    uint64_t records;
    uint64_t checksum; /* XXH3, 64 bits, seed 0 */
    /* of a member of an archive: */
    uint64_t content_bytes; /* before compression, without padding */
    uint32_t crc32;         /* of them; for zip only */
    uint32_t unused;
} qn_part_summary;

/* How parts are written. */
typedef struct qn_part_style {
    quern_compression compression;
    int level;
    const qn_text_form *text; /* borrowed; NULL: they are not text */
    quern_archive archive;
    bool is_passing;   /* read back by this run, then removed: neither synced nor summed up */
    const char *token; /* of the lock under which parts are made (output_lock.h); borrowed while they are; NULL: none */
    bool is_second; /* another rank writes the same part: the file has a name beside that one's until it is adopted */
} qn_part_style;

/* An output is whole but for _SUCCESS. */
typedef void (*qn_announce_fn)(const char *directory, void *user);

/* The directory, on rank 0. */
typedef struct qn_output {
    const char *directory;                     /* borrowed; NULL: not prepared */
    bool created;                              /* it was absent */
    bool has_manifest, has_success;            /* written by this job */
    char *joined_path, *joined_temporary_path; /* of one file; NULL: parts stay apart */
    uint64_t *joined_offsets;                  /* [count] where each part is in it */
    uint64_t joined_bytes;
    char *manifest_path;     /* of a file beside which it is, then without _SUCCESS; NULL: it is in the directory */
    qn_announce_fn announce; /* NULL: nobody has to know */
    void *announce_user;
    qn_lock_file lock;
} qn_output;

/* Parts that an earlier attempt at the job made, and that are to stay when the directory is taken over from it. */
typedef struct qn_kept_parts {
    const qn_part_summary *items; /* [count], by number; borrowed */
    size_t count;
    uint64_t part_count; /* of the whole output */
    const struct qn_part_style *style;
    bool is_joined; /* one file is made of them */
} qn_kept_parts;

/* Rank 0: makes the directory, or checks that it is empty but for what a killed job left, which it removes; and locks it.
 * directory: borrowed until release or withdraw. kept (NULL: none): parts of these numbers and sizes get temporary names of this job instead; what
 * is in them is not looked at. Where the job ran on another machine, it is watched first (output_lock.h). QUERN_ERROR_OUTPUT_EXISTS (the directory
 * is then as it was), QUERN_ERROR_OUTPUT, QUERN_ERROR_SYSTEM, QUERN_ERROR_NO_MEMORY. */
quern_status qn_output_prepare(qn_output *output, const char *directory, const qn_kept_parts *kept, qn_error *error);
/* Rank 0: QUERN_ERROR_OUTPUT_EXISTS if another job took the directory over. One that is not prepared is nobody's to take. */
quern_status qn_output_check_held(const qn_output *output, qn_error *error);
/* The same as the lock's thread saw it last, which costs nothing. */
quern_status qn_output_check_not_lost(const qn_output *output, qn_error *error);
/* Rank 0: removes temporary files that are not of this job: who was taken over may have gone on for a while. */
void qn_output_sweep(const qn_output *output);
/* Removes the lock of a job that was killed when its output was whole. */
void qn_output_settle(const char *directory);
/* Rank 0: an output that is whole is as if its job had been killed before; prepare takes it over then. Errors of prepare. */
quern_status qn_output_forget(const char *directory, qn_error *error);
/* Rank 0, after a failure: takes _SUCCESS and the manifest back if this job wrote them. Takes one that is not prepared. */
void qn_output_unseal(qn_output *output);
/* Rank 0, after a failure, when all parts are removed: ends the lock, and removes the directory if the job created it. Takes
 * one that is not prepared. */
void qn_output_withdraw(qn_output *output);
/* Rank 0, when a rank was lost: ends the lock as if the job had been killed, so that who prepares the directory takes it over. is_given_again: even if it
 * is whole. Takes one that is not prepared. */
void qn_output_leave(qn_output *output, bool is_given_again);
/* Rank 0, after success: ends the lock. Takes one that is not prepared. */
void qn_output_release(qn_output *output);

/* One part being written. */
typedef struct qn_part {
    qn_part_style style;
    qn_packer *packer;            /* NULL: bytes are written as they are */
    struct qn_deflater *deflater; /* of a member of a zip; the same */
    char *temporary_path;
    char *path;
    int fd;
    uint8_t *buffer;
    size_t used_bytes;
    void *checksum; /* XXH3 state */
    qn_part_summary summary;
    bool is_named; /* it has its name, as this file: another job may have put one there since */
    dev_t named_device;
    ino_t named_number;
    struct timespec named_changed;
    qn_direct direct;
    /* Where a large part is not cached, one buffer is written while the other is filled: */
    qn_transfers *transfers; /* NULL until then */
    uint8_t *written;        /* the other; the same */
    qn_transfer behind;      /* of it */
} qn_part;

/* Where a part is until it has its name: freed by the caller; NULL: no memory. */
char *qn_part_temporary_path(const char *directory, uint64_t number, uint64_t part_count, const char *token);

/* Opens part `number` of part_count. The directory is borrowed during the call; the part must stay where it is. */
quern_status qn_part_open(qn_part *part, const char *directory, uint64_t number, uint64_t part_count,
                          const qn_part_style *style, qn_error *error);
/* May write some of it later; then a failure is that of a later call, of finish at the latest. */
quern_status qn_part_write(qn_part *part, const void *data, size_t bytes, qn_error *error);
/* Of a second one, when the other's file is gone: it has its name now. */
quern_status qn_part_adopt(qn_part *part, const char *directory, uint64_t part_count, qn_error *error);
/* One that an earlier attempt at the job finished: as after finish. */
quern_status qn_part_take_up(qn_part *part, const char *directory, const qn_part_summary *summary, uint64_t part_count,
                             const qn_part_style *style, qn_error *error);
/* Flushes and syncs; the part then waits under its temporary name. */
quern_status qn_part_finish(qn_part *part, qn_error *error);
/* Gives it its name. */
quern_status qn_part_commit(qn_part *part, qn_error *error);
/* Removes the file, under whichever name, unless kept; frees everything. Takes a zeroed one. */
void qn_part_close(qn_part *part, bool keep);

/* One file instead of parts: rank 0 begins it and works out where they go, behind each other; of an archive it writes what stands between
 * them. All ranks copy theirs there; when all have, rank 0 commits it, and the others' parts are closed without being kept. summaries:
 * [count] by number. offsets_out: [count]. QUERN_ERROR_OUTPUT, QUERN_ERROR_NO_MEMORY. */
quern_status qn_output_join_begin(qn_output *output, const qn_part_summary *summaries, uint64_t count,
                                  const qn_part_style *style, uint64_t *offsets_out, qn_error *error);
quern_status qn_part_join(const qn_part *part, const char *directory, uint64_t part_count, uint64_t offset,
                          qn_error *error);
quern_status qn_output_join_commit(qn_output *output, qn_error *error);

/* Rank 0, when all parts have their names: manifest, then _SUCCESS, all durable, if nobody took the directory over; then the lock ends. summaries:
 * [count] by number; of one file, the pieces of it. On failure neither of the two is left, unless somebody else's. QUERN_ERROR_OUTPUT,
 * QUERN_ERROR_OUTPUT_EXISTS, QUERN_ERROR_NO_MEMORY. */
quern_status qn_output_seal(qn_output *output, const qn_part_summary *summaries, size_t count,
                            quern_compression compression, bool is_one_file, qn_error *error);
/* The same of an archive, whose parts are its members. */
quern_status qn_output_seal_archive(qn_output *output, const qn_part_summary *summaries, size_t count,
                                    const qn_part_style *style, qn_error *error);
/* The same with a manifest that is a text already. */
quern_status qn_output_seal_text(qn_output *output, const char *manifest, qn_error *error);
/* A manifest of parts that are described already, which it takes; freed by the caller. NULL: no memory, or parts is NULL. */
char *qn_output_manifest_text(struct json_t *parts);

#endif
