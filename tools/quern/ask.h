/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/ask.h: a command that is run for what it writes, and that takes no longer than it may.
 *
 * It has no input and a process group of its own, and ends if we do. What it writes goes to memory, so that nothing that it leaves behind keeps us
 * waiting for the end of a pipe. One that takes too long, or writes without end, is asked to end (TERM), and killed when it does not; one that a
 * file system holds even then is left behind.
 */
#ifndef QUERN_TOOLS_ASK_H
#define QUERN_TOOLS_ASK_H

#include <stdbool.h>
#include <stddef.h>

#define ASK_BYTES_MAX ((size_t)64 << 20)

typedef struct quern_answer {
    int status;           /* of exit; 128 and the signal; 127: it cannot be started */
    bool was_late;        /* or wrote too much: it was ended */
    char *words, *errors; /* of standard output and error; NUL at the end; owned */
    size_t words_bytes;
} quern_answer;

/* words: up to NULL; found by PATH. 1, with words on standard error: it cannot be asked, and there is no answer. */
int quern_ask(char *const *words, double seconds, double seconds_to_end, quern_answer *answer);

/* The same of a function, which is called in a child and writes to standard output: for what may wait for a file system for ever. `what` is for
 * messages. */
typedef void (*quern_ask_fn)(const void *user);
int quern_ask_function(quern_ask_fn function, const void *user, const char *what, double seconds, quern_answer *answer);
void quern_answer_fini(quern_answer *answer); /* takes zeros */

/* From now on INT, TERM and HUP do not end us, but whoever is asked, and all who would be asked after that; once in a process. */
void quern_ask_heed_signals(void);
/* The one that came; 0: none. */
int quern_ask_signal(void);

#endif
