/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/scratch_choice.h: where jobs put what does not fit memory, if nobody says. */
#ifndef QN_ENGINE_SCRATCH_CHOICE_H
#define QN_ENGINE_SCRATCH_CHOICE_H

/* What was asked for, if that is not NULL; else of the batch job, the user, or the system. Borrowed: from the argument or the environment. Local. */
const char *qn_scratch_choose(const char *asked);

#endif
