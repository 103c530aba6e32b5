/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/givens.h: what a job was given besides its graph and its files: its command line, parameters that it names, and what it broadcast.
 *
 * Callbacks are not in the digest of a graph, and what they are told by `user` is not either. So a checkpoint could be that of other work,
 * though graph and files are the same. These are what it is known by besides: a name, and a digest of all that was ever given by it, so what was given before an
 * earlier run counts in later ones.
 *
 * What rank 0 was given counts. Before each run it tells the others (checkpoint_runs.c), who may have to take its place.
 */
#ifndef QN_ENGINE_GIVENS_H
#define QN_ENGINE_GIVENS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/status.h"

#define QN_GIVEN_COUNT_MAX      4096
#define QN_GIVEN_NAME_BYTES_MAX 256

typedef struct qn_givens {
    json_t *names; /* of numbers; NULL: nobody asks for them, and notes are not taken; owned */
} qn_givens;

/* QUERN_ERROR_NO_MEMORY. */
quern_status qn_givens_init(qn_givens *givens, qn_error *error);
void qn_givens_fini(qn_givens *givens); /* takes a zeroed one */

/* Something of this kind ("parameter", "file") and name (NULL: there is but one of the kind) is given, perhaps once more. QUERN_ERROR_INVALID_ARGUMENT: the
 * name is no text of one line, or there are too many. QUERN_ERROR_NO_MEMORY. */
quern_status qn_givens_note(qn_givens *givens, const char *kind, const char *name, const void *data, size_t bytes,
                            qn_error *error);
/* The same of a file, by its content; of one of more than 1 GiB by its size and time of change. QUERN_ERROR_INPUT: it cannot be read. */
quern_status qn_givens_note_file(qn_givens *givens, const char *path, qn_error *error);
/* The same of this process's command line: without the directory of its first word, and without options of the library. */
quern_status qn_givens_note_command(qn_givens *givens, qn_error *error);

/* Of all of them, in any order. 0: there are none. */
uint64_t qn_givens_digest(const json_t *names);
/* The first that is not in both, or not the same, as what is to be said of it; false: there is none. */
bool qn_givens_compare(const json_t *before, const json_t *names, char *text, size_t bytes);

#endif
