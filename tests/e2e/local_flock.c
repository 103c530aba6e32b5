/* SPDX-License-Identifier: BSD-3-Clause */
/* flock() as on a shared file system that keeps locks to each machine, for jobs of one rank on "machines" that have one kernel: it always succeeds. */
#include <sys/file.h>

__attribute__((visibility("default"))) int flock(int fd, int how)
{
    (void)fd;
    (void)how;
    return 0;
}
