/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/output_names.h: what files in an output directory are called.
 *
 *     .quern-lock                     output_lock.h; and .quern-lock.TOKEN, which is about to become it
 *     .part-NNNNN.TOKEN.tmp           a part until it has its name; .second.tmp: one of two that are made of it
 *     .manifest.TOKEN.tmp, .success.TOKEN.tmp   until they have theirs
 *     part-NNNNN, with any suffix; _MANIFEST.json; _SUCCESS
 *
 * The token is that of the lock under which a file was made, so that who was taken over touches nothing of the next one. Earlier versions had none.
 */
#ifndef QN_IO_OUTPUT_NAMES_H
#define QN_IO_OUTPUT_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#define QN_OUTPUT_SUCCESS_NAME  "_SUCCESS"
#define QN_OUTPUT_MANIFEST_NAME "_MANIFEST.json"
#define QN_OUTPUT_DIGITS_MIN    5

typedef enum qn_output_kind {
    QN_OUTPUT_OTHER, /* nothing that a job makes */
    QN_OUTPUT_LOCK,
    QN_OUTPUT_PART,      /* a temporary one */
    QN_OUTPUT_SECOND,    /* the same, of a second attempt */
    QN_OUTPUT_COMMIT,    /* what is about to be success */
    QN_OUTPUT_TEMPORARY, /* any other */
    QN_OUTPUT_NAMED,     /* a part with its name, or the manifest */
} qn_output_kind;

/* What a file is by its name. *number_out: of a part. token: is_own_out is whether the name holds it; NULL: no name does. */
qn_output_kind qn_output_kind_of(const char *name, const char *token, uint64_t *number_out, bool *is_own_out);

int qn_output_digits(uint64_t part_count);
/* Paths, freed by the caller; NULL: no memory. token: NULL or "": none. */
char *qn_output_part_path(const char *directory, int digits, uint64_t number, const char *suffix);
char *qn_output_temporary_path(const char *directory, int digits, uint64_t number, const char *token, bool is_second);
char *qn_output_commit_path(const char *directory, bool is_success, const char *token);

#endif
