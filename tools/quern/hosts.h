/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/hosts.h: the hosts that a job is given, and which of them answer.
 *
 * Intuition. A host that cannot be reached fails the whole launch, so a job that lost one is started again on the others. Each host is asked
 * to run `true`, in the way in which the launcher would reach it; this very machine is not asked. Where no other ever answered, the way may be
 * another than we think: then all are taken, and the launcher says what is wrong.
 *
 * What is no host by its name ("+n1" and "+e" of Open MPI) is taken as it is.
 */
#ifndef QUERN_TOOLS_HOSTS_H
#define QUERN_TOOLS_HOSTS_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#define HOSTS_ANSWER_SECONDS 10
#define HOSTS_ASKED_MAX      64 /* at the same time */

typedef struct quern_host {
    char *words; /* "NAME" or "NAME:SLOTS", in the list's text */
    char *name;
    long slot_count; /* as mpirun counts: 1 where nothing is said, or something that is no number */
    bool answers;
} quern_host;

typedef struct quern_hosts {
    char *text; /* owned */
    quern_host *each;
    size_t count;
    bool is_way_known; /* another machine has answered once */
} quern_hosts;

/* Takes a list apart, "a:2,b,c:4"; all answer until they are asked. 1, with words on standard error: there is no memory. */
int quern_hosts_init(quern_hosts *hosts, const char *list);
void quern_hosts_fini(quern_hosts *hosts); /* takes a zeroed one */

/* Asks all hosts. `mask` is the signal mask that a command gets, and a signal of `awaited` that comes ends the asking: who was not heard
 * then is taken to answer. */
void quern_hosts_ask(quern_hosts *hosts, const sigset_t *mask, const sigset_t *awaited);

/* Those that answer, as a list for the launcher; freed by the caller, NULL without memory. */
char *quern_hosts_list(const quern_hosts *hosts);

/* How many ranks those that answer get, where all together would get rank_count (0: as many as the launcher finds): what fits into all slots
 * is to fit into those that are left; what oversubscribes them does so as much as before. */
long quern_hosts_share(const quern_hosts *hosts, long rank_count);

#endif
