/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/doctor/machine_look.h: what this machine gives to jobs beside cores: memory, pages, /dev/shm, limits of processes.
 */
#ifndef QUERN_DOCTOR_MACHINE_LOOK_H
#define QUERN_DOCTOR_MACHINE_LOOK_H

#include "tools/doctor/findings.h"

/* Local. Figures that the system does not give are passed over. */
void quern_machine_look(quern_findings *all);

/* The same of one file of the kernel each: the text of transparent_hugepage/enabled (NULL: there is none). */
void quern_machine_judge_pages(quern_findings *all, const char *enabled);

#endif
