/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/beat.h: a file that says whose it is, and that its owner lives.
 *
 * Intuition. flock() ends with the process, but many shared file systems keep it to each machine, without a word. So the owner also writes a growing number
 * into the file, every QN_BEAT_SECONDS, from a thread of its own, since the one that works may be in a callback for minutes. Whoever finds
 * the file of another machine watches it for QN_BEATS_MISSED_MAX beats: if the number grows, the owner lives; if not, it is dead, or
 * was stopped, and has to look whether the file is still its own (qn_beat_is_owner) before it does what only the owner may.
 *
 * Each look opens the file anew: that is when NFS asks its server what is in it, and what the path leads to.
 *
 *     whose it is\n           as the caller describes itself
 *     00000000000000000001\n  the beat
 */
#ifndef QN_BASE_BEAT_H
#define QN_BASE_BEAT_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QN_BEAT_SECONDS     2
#define QN_BEATS_MISSED_MAX 5
#define QN_BEAT_OWNER_BYTES 192
#define QN_BEAT_TEXT_BYTES  (QN_BEAT_OWNER_BYTES + 22)
#define QN_BEAT_TOKEN_BYTES 17
#define QN_BEAT_HOST_BYTES  65

typedef struct qn_beat {
    const char *path;                /* borrowed until the stop, as the next */
    int fd;                          /* of the file that the path led to when it became ours */
    char owner[QN_BEAT_OWNER_BYTES]; /* one line, with its end */
    uint64_t number;
    pthread_t heart;
    sem_t stop; /* posted when the heart is to stop */
    bool is_started;
    atomic_bool is_lost; /* the heart found it to be another's, or gone */
} qn_beat;

/* A name that no other job has: 16 hexadecimal digits. */
void qn_beat_make_token(char token[QN_BEAT_TOKEN_BYTES]);
/* What this machine is called; "?": it has no name. */
void qn_beat_get_host(char host[QN_BEAT_HOST_BYTES]);

/* Writes owner and the next beat at once: a reader sees one owner or the other. False: errno says why. */
bool qn_beat_write(qn_beat *beat);
/* From now on by itself; the struct must stay where it is. 0, or the system's reason (errno). */
int qn_beat_start(qn_beat *beat);
void qn_beat_stop(qn_beat *beat); /* takes one that was not started, and a zeroed one */
/* Whether the path leads to a file that is ours; false, too, where that cannot be seen. */
bool qn_beat_is_owner(const qn_beat *beat);
/* Whether it surely does not, as the heart saw it last. Costs nothing. */
static inline bool qn_beat_is_lost(const qn_beat *beat)
{
    return atomic_load_explicit(&beat->is_lost, memory_order_relaxed);
}

/* What a file says; 0 bytes: nothing, or it cannot be read. text: with NUL at its end. */
size_t qn_beat_read(const char *path, char text[QN_BEAT_TEXT_BYTES]);
/* Whether a text has a beat, so that it means something if there comes no other. */
bool qn_beat_has_number(const char *text);
/* Watches a file. False: it says the same as before all the time. */
bool qn_beat_goes_on(const char *path, const char *before);

#endif
