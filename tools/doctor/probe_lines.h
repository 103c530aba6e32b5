/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/doctor/probe_lines.h: what the ranks of a probe say to who started them, through the launcher's standard output.
 *
 * Launchers pass on what ranks write in pieces that may end anywhere, with pieces of other ranks between them. So every line has the same length and
 * is written in one call: then most pieces end where lines do, or (Open MPI's) a few bytes before, among the spaces. A text that is longer comes as
 * several lines, while nobody else says anything.
 *
 *     \035quern-probe HOST PID KIND TEXT\036      and spaces up to PROBE_LINE_BYTES
 */
#ifndef QUERN_DOCTOR_PROBE_LINES_H
#define QUERN_DOCTOR_PROBE_LINES_H

#define PROBE_LINE_BYTES 256                /* with its end; SLURM passes on 1024 at once, Open MPI 4096 */
#define PROBE_MARK       "\035quern-probe " /* no text has what begins and ends lines in it */
#define PROBE_END        '\036'
#define PROBE_SETTLE_NS  50000000 /* until what ranks said is passed on */
#define PROBE_HOST_BYTES 65

/* Kinds. */
#define PROBE_BEGUN  "begun"  /* NUMBER COUNT as the launcher says, or "- 0"; before MPI has started */
#define PROBE_UP     "up"     /* RANK SIZE */
#define PROBE_STEP   "step"   /* what it does now */
#define PROBE_FAILED "failed" /* why: the rank is over */
#define PROBE_DONE   "done"
#define PROBE_RANK   "rank"  /* of rank 0, for each rank: JSON */
#define PROBE_WORLD  "world" /* of rank 0: JSON, of all ranks */
#define PROBE_PART   "part"  /* of a text that goes on in the next line of the process, before the kind that it is */

/* This machine's name, as it stands in lines. Static. */
const char *quern_probe_host(void);
/* Local, any rank. */
void quern_probe_say(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
void quern_probe_say_long(const char *kind, const char *text);

#endif
