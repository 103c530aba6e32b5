/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/data/spillkit.h: a spill file as single bytes, which the file's own descriptor may not allow.
 */
#ifndef TESTS_DATA_SPILLKIT_H
#define TESTS_DATA_SPILLKIT_H

#include <fcntl.h>
#include <unistd.h>

#include "runtime/data/spill.h"
#include "tests/kit.h"

/* The file once more, through the page cache; to be closed. */
static inline int spillkit_reopen(const qn_spill *spill)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", spill->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    return fd;
}

static inline void spillkit_read(const qn_spill *spill, void *data, size_t bytes, uint64_t offset)
{
    int fd = spillkit_reopen(spill);
    ck_assert_int_eq(pread(fd, data, bytes, (off_t)offset), (ssize_t)bytes);
    close(fd);
}

static inline void spillkit_write(const qn_spill *spill, const void *data, size_t bytes, uint64_t offset)
{
    int fd = spillkit_reopen(spill);
    ck_assert_int_eq(pwrite(fd, data, bytes, (off_t)offset), (ssize_t)bytes);
    close(fd);
}

#endif
