/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/scratch_choice.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

bool qn_scratch_is_memory(const char *directory)
{
    struct statfs about;
    return statfs(directory, &about) == 0 &&
           ((unsigned long)about.f_type == TMPFS_MAGIC || (unsigned long)about.f_type == RAMFS_MAGIC);
}

static bool can_be_used(const char *directory)
{
    return access(directory, W_OK | X_OK) == 0;
}

const char *qn_scratch_choose(const char *asked)
{
    if (asked)
        return asked;
    const char *of_job = getenv("SLURM_TMPDIR"), *by_user = getenv("TMPDIR"), *first = NULL;
    const char *const places[] = {of_job && can_be_used(of_job) ? of_job : NULL, /* not every node has it */
                                  by_user, "/var/tmp"};                          /* not /tmp, which may be memory */
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!places[i] || !*places[i])
            continue;
        if (!first)
            first = places[i];
        bool is_there = places[i] == first || can_be_used(places[i]);
        if (is_there && !qn_scratch_is_memory(places[i]))
            return places[i];
    }
    return first;
}
