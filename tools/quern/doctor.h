/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/doctor.h: the parts of `quern doctor`.
 *
 * It looks at this machine, starts a probe (tools/doctor/probe.c) as `quern run` starts a job, listens to what its ranks say, and judges that. Each step
 * adds its findings; what cannot be looked at any more, because of an error before, is left out.
 */
#ifndef QUERN_TOOLS_DOCTOR_H
#define QUERN_TOOLS_DOCTOR_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

#include "tools/doctor/findings.h"
#include "tools/doctor/probe_lines.h"
#include "tools/quern/ask.h"
#include "tools/quern/beside.h"
#include "tools/quern/launcher.h"

typedef struct quern_doctor {
    const char *hosts, *scratch, *mpirun, *launcher; /* as given; NULL: not */
    long rank_count, timeout_s;                      /* 0: not given */
    bool is_json;
    bool uses_srun;
    bool can_start; /* nothing found so far keeps a job from starting */
    char probe[BESIDE_BYTES];
    json_t *about; /* of the probe, or NULL */
    quern_mpi_kind library;
    quern_findings findings;
} quern_doctor;

/* ---- of this machine: doctor_here.c ---- */

/* What the library is, which launcher there is, and how they fit; cores, memory, limits, scratch. Sets probe, about, library, uses_srun, can_start. */
void quern_doctor_look_here(quern_doctor *all);
/* Where jobs spill that are started from here. Borrowed. */
const char *quern_doctor_scratch(const quern_doctor *all);

/* ---- what ranks said: doctor_listen.c ---- */

typedef struct quern_heard_process {
    char host[PROBE_HOST_BYTES];
    long pid;
    char number[16]; /* of the rank, as the launcher said; "-": it did not */
    long promised;   /* ranks, as the launcher said; 0: it did not */
    long rank, size; /* as MPI says; -1: it is not up */
    char step[PROBE_LINE_BYTES];
    char failed[PROBE_LINE_BYTES]; /* "": it did not */
    bool is_done;
    char *text; /* of a text that is not whole yet; owned */
    size_t text_bytes;
} quern_heard_process;

typedef struct quern_heard {
    quern_heard_process *each;
    size_t count, capacity;
    json_t *ranks, *worlds; /* arrays of objects */
    bool is_short;          /* there was no memory for all of it */
    bool is_damaged;        /* some of those were not whole */
} quern_heard;

void quern_heard_read(quern_heard *heard, const char *words, size_t bytes);
void quern_heard_fini(quern_heard *heard);

/* ---- and what that means ---- */

/* doctor_ranks.c. Whether there is one world of all ranks, of which there are figures. */
bool quern_doctor_judge_ranks(quern_doctor *all, const quern_heard *heard, const quern_answer *answer);
/* doctor_figures.c: threads, losses, binding, memory, clocks, messages, HDF5, and what other machines found. */
void quern_doctor_judge_figures(quern_doctor *all, const quern_heard *heard);

/* ---- doctor_print.c ---- */

/* Counts by level are told by both. */
void quern_doctor_print(const quern_findings *all, FILE *to);
/* False: no memory, or it cannot be written. */
bool quern_doctor_print_json(const quern_doctor *all, const quern_heard *heard, FILE *to);
size_t quern_doctor_count(const quern_findings *all, quern_level level);

#endif
