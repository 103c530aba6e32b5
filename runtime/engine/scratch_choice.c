/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/scratch_choice.h"

#include <stdlib.h>
#include <unistd.h>

const char *qn_scratch_choose(const char *asked)
{
    if (asked)
        return asked;
    const char *of_job = getenv("SLURM_TMPDIR"), *by_user = getenv("TMPDIR");
    if (of_job && *of_job && access(of_job, W_OK | X_OK) == 0) /* not every node has it */
        return of_job;
    if (by_user && *by_user)
        return by_user;
    return "/var/tmp"; /* not /tmp, which may be memory */
}
