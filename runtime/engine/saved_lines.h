/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/saved_lines.h: what a line of a checkpoint's journal says of the files of a result, and back. */
#ifndef QN_ENGINE_SAVED_LINES_H
#define QN_ENGINE_SAVED_LINES_H

#include <jansson.h>

#include "runtime/shuffle/saved.h"

#define QN_SAVED_NAME_BYTES 96

/* A file of a stage's result. */
typedef struct qn_saved_file {
    uint32_t stage;
    char name[QN_SAVED_NAME_BYTES]; /* in the directory */
    qn_saved saved;
} qn_saved_file;

/* A new reference; NULL: no memory. */
json_t *qn_saved_file_describe(const qn_saved_file *file);
/* False: the line is not ours after all. */
bool qn_saved_file_parse(const json_t *line, uint32_t stage, qn_saved_file *file_out);

/* Whether one of these lines, from the first-th on, names a file. */
bool qn_saved_file_is_named(const json_t *lines, size_t first, const char *name);

/* False, and 0: it has no such number. */
bool qn_json_number(const json_t *object, const char *key, uint64_t *number_out);
uint64_t qn_json_get_number(const json_t *object, const char *key);

#endif
