/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/keeper.h: one command at a time, of which nothing is left when it has ended.
 *
 * Intuition. A launcher that is killed leaves the ranks behind, and so does one that ends in an odd way. The kernel gives
 * orphans to the nearest ancestor that asked for them (PR_SET_CHILD_SUBREAPER): us. So when the launcher has ended, whatever it
 * or its children started on this machine is our child, or will be as soon as its parents have ended, in process groups and
 * sessions of their own or not. What does not end by itself within a second is killed until there are no children any more.
 *
 * A launcher may also stay for ever: Open MPI's has been seen to lock itself up at its end, with dead children that it never
 * asks about. Children that stay dead for KEEPER_DEAD_SECONDS, or ones that are all gone on a machine where they should be,
 * mean that it is to be killed. So it is, if asked for, when another host does not take what it says any more (peers.h).
 *
 * Signals that would end us are passed on to the launcher, USR1 and USR2 too, which it passes on to the ranks. If it does not
 * end within KEEPER_ENDING_SECONDS of one that asks it to, it is killed. One by which a terminal stops what runs (TSTP) stops all that the launcher
 * started on this machine, whatever group that is in, and then us; when we go on (CONT), all of it does.
 */
#ifndef QUERN_TOOLS_KEEPER_H
#define QUERN_TOOLS_KEEPER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define KEEPER_DEAD_SECONDS   5
#define KEEPER_ENDING_SECONDS 10
#define KEEPER_GRACE_SECONDS  1  /* for what the command left to end by itself */
#define KEEPER_KILL_SECONDS   30 /* for what was killed to be gone */

typedef struct quern_keeper {
    sigset_t awaited, before; /* what we wait for; what the command gets */
    pid_t *strangers;         /* children that we had before, who are none of our business; owned */
    size_t stranger_count;
    pid_t pid;           /* of the command; 0: has ended */
    int outcome;         /* of waitpid() */
    bool was_no_command; /* the outcome is our own: there is none of that name, or it cannot be run */
    bool is_local;       /* the command's children are to be on this machine */
    bool has_peers;      /* it talks to other hosts, and ends if one of them is lost */
    bool was_stuck;      /* it was killed since it did not end, */
    bool was_lost;       /* or since another host did not answer it */
    int signal_passed;   /* the last one; 0: none */
    double ending_since; /* seconds; 0: nobody asked */
    double lonely_since; /* the command has a child that is dead, or none; 0: neither */
    bool had_children;
    void (*look)(void *user); /* called about once a second while the command runs; NULL: nobody is */
    void *user;               /* of look */
} quern_keeper;

/* 1, with words on standard error: it cannot be done. Once in a process. */
int quern_keeper_init(quern_keeper *keeper, bool is_local);
/* Starts the command and waits until it has ended and all that it started is gone. 1, with words on standard error: it could not be
 * started, or something of it cannot be ended. */
int quern_keeper_run(quern_keeper *keeper, char *const *command);
/* Waits, for at most so long, or for a signal, which it notes. */
void quern_keeper_pause(quern_keeper *keeper, double seconds);
void quern_keeper_fini(quern_keeper *keeper);

#endif
