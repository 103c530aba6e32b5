/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/cat.h: what `quern cat` shows, by kinds of files.
 *
 * Nothing in a file is believed before it was checked, by what reads it in jobs (journal.h, saved.h, pieces.h, row.h). What is shown of names and
 * records is fit for any terminal: bytes that are not printable ASCII are \xNN.
 */
#ifndef QUERN_TOOLS_CAT_H
#define QUERN_TOOLS_CAT_H

#include <stdbool.h>
#include <stdint.h>

#include "runtime/base/cipher.h"
#include "runtime/engine/saved_lines.h"

typedef enum quern_cat_outcome {
    QUERN_CAT_WHOLE,
    QUERN_CAT_UNREAD,      /* it cannot be read, or is of no kind that is known */
    QUERN_CAT_DAMAGED = 3, /* what is right of it was shown */
} quern_cat_outcome;

typedef struct quern_cat {
    uint64_t record_count_max; /* of each file, that are shown */
    const qn_cipher *cipher;   /* NULL: no key was given */
} quern_cat;

/* Writes bytes as text; a tab and a backslash, too, are escaped. */
void quern_cat_put(const void *data, uint64_t bytes);
void quern_cat_put_text(const char *text);

/* Says on standard output what is wrong with the file. */
quern_cat_outcome quern_cat_tell_damage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A journal, and whether the files that its last lines name are whole. */
quern_cat_outcome quern_cat_journal(const quern_cat *how, const char *path);
/* Blocks that lie behind each other: of a file that no journal names. */
quern_cat_outcome quern_cat_blocks(const quern_cat *how, const char *path);
/* A file as the line of a journal says that it was written. */
quern_cat_outcome quern_cat_saved(const quern_cat *how, const char *path, const qn_saved *saved);
/* Status, ranks, report, manifest. */
quern_cat_outcome quern_cat_json(const quern_cat *how, const char *path);
/* Members of an archive, each read to its end. */
quern_cat_outcome quern_cat_archive(const quern_cat *how, const char *path);

/* What the journal beside a file says of it; false: nothing. */
bool quern_cat_find_saved(const quern_cat *how, const char *path, qn_saved_file *found_out);

#endif
