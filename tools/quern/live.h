/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/live.h: how far a job is, on standard error of who waits for it, from the files that the job keeps in its directory.
 *
 * A job under a launcher has no terminal: what it writes goes through pipes. So who started the launcher looks into the job directory once a second.
 * On a terminal the stage that runs has a line, which is rewritten, and stays as it was at the end of the stage; elsewhere there is a line every half a
 * minute, and one when a stage is over that had such a line. What an earlier job left in the directory is not this one's, and is not shown.
 */
#ifndef QUERN_TOOLS_LIVE_H
#define QUERN_TOOLS_LIVE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "tools/quern/batch_job.h"

typedef enum quern_live_lines {
    QUERN_LIVE_AUTO, /* as above */
    QUERN_LIVE_ON,   /* and in a log one for each stage that is over */
    QUERN_LIVE_OFF,
} quern_live_lines;

typedef struct quern_live {
    quern_live_lines lines;
    quern_batch_job job;  /* its directory; "": there is none */
    bool is_new;          /* the directory is one of our choice: it is to be said where it is */
    bool is_begun;        /* this attempt has written something there */
    struct timespec seen; /* when the file that was read last was written; of an earlier job, until there is another */
    ino_t seen_file;
    bool is_terminal, is_open; /* a line stands on it without its end */
    double next;               /* when a log gets its next line */
    json_int_t run, over;      /* the stages of this run up to this one were told to be over */
    json_int_t drawn;          /* the last stage that had a line */
} quern_live;

/* directory: of the job, "": none. Copies it. */
void quern_live_init(quern_live *live, const char *directory, quern_live_lines lines, bool is_new);
/* An attempt begins: what is in the directory is not its work. */
void quern_live_begin(quern_live *live);
/* To be called about once a second; it takes a quern_live. */
void quern_live_look(void *live);
/* The attempt is over. Returns whether it was a job of Quern's. */
bool quern_live_end(quern_live *live);

#endif
