/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/scratch_choice.h: where jobs put what does not fit memory, if nobody says.
 *
 * The directory of the batch job, else of the user, else of the system. One that is memory is passed over if a later one is not: what is spilled there
 * would take what spilling is to free, out of every budget's sight. One on a network is not: it is slow, but it has room, and a disk of the node may be
 * too small for what is spilled, which only the user knows; `quern doctor` tells of it. One that cannot be used is not passed over either, but for the batch
 * job's: whoever named it is to know.
 */
#ifndef QN_ENGINE_SCRATCH_CHOICE_H
#define QN_ENGINE_SCRATCH_CHOICE_H

#include <stdbool.h>

/* What was asked for, if that is not NULL; else as above. Borrowed: from the argument or the environment. Local. */
const char *qn_scratch_choose(const char *asked);
/* Whether it is on a tmpfs or ramfs; false, too, where that cannot be seen. */
bool qn_scratch_is_memory(const char *directory);

#endif
