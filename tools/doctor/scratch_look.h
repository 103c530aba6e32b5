/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/doctor/scratch_look.h: the directory where jobs put what does not fit their memory.
 */
#ifndef QUERN_DOCTOR_SCRATCH_LOOK_H
#define QUERN_DOCTOR_SCRATCH_LOOK_H

#include "tools/doctor/findings.h"

/* Makes a file there as a job does, and writes 1 MiB. Local; nothing is left. */
void quern_scratch_look(quern_findings *all, const char *directory);

/* The name of a file system by its magic number (statfs), and what it is to spills. */
typedef enum quern_disk_kind {
    QUERN_DISK_LOCAL,
    QUERN_DISK_MEMORY,
    QUERN_DISK_NETWORK,
    QUERN_DISK_LAYERED, /* of a container */
    QUERN_DISK_UNKNOWN,
} quern_disk_kind;
quern_disk_kind quern_scratch_disk_kind(unsigned long magic, const char **name_out);

#endif
