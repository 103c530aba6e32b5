/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/faults/fault_disk.h: a disk that keeps only what was synced, if its machine dies.
 *
 * Files are those of the real file system. The calls that change them are wrapped by the linker: what was written, made or renamed since it was made
 * durable is noted, and lost by chance when the process ends, in part or garbled. A file is durable by fsync of it, its name by that of
 * its directory.
 */
#ifndef QN_FAULTS_FAULT_DISK_H
#define QN_FAULTS_FAULT_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* From now on; only what lies below the present directory is looked at. */
void qn_fault_disk_watch(void);
/* Takes back by chance what is not durable. How many files are others than they were. */
uint32_t qn_fault_disk_tear(void);
/* Changes some bits of a file, or cuts it. False: there is none. */
bool qn_fault_disk_damage(const char *directory, uint64_t *random);

#endif
