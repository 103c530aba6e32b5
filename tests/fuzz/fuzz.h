/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz/fuzz.h: what the fuzzers share. Each is one function of arbitrary bytes that ends the process if a promise is broken.
 *
 * libFuzzer drives it (-Dfuzzers=true, clang), or replay.c does, deterministically, as an ordinary test: the files of the corpus, each
 * of them shortened and with bits flipped. A promise here is more than "no crash": the same records wherever a file is cut, the
 * same rows or an error.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/buffer.h"
#include "runtime/base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

#define FUZZ_CHECK(condition, ...)                                                                                     \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fputc('\n', stderr);                                                                                       \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* The first bytes of an input choose what is tried with the others. */
typedef struct fuzz_input {
    const uint8_t *data;
    size_t bytes;
} fuzz_input;

static inline uint8_t fuzz_take(fuzz_input *input)
{
    if (input->bytes == 0)
        return 0;
    input->bytes--;
    return *input->data++;
}

/* A directory for small files, in memory if there is such a one. */
static inline const char *fuzz_directory(void)
{
    return access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* A number below `bound`, from a seed and a place in a series. */
static inline uint64_t fuzz_number(uint64_t seed, uint64_t at, uint64_t bound)
{
    uint64_t mixed = (seed * 0x100 + at + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (mixed ^ (mixed >> 31)) % bound;
}

/* A file in memory that readers can open; the same one each time, with other bytes. */
static inline const char *fuzz_file(const uint8_t *data, size_t bytes)
{
    static int fd = -1;
    static char path[40];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    FUZZ_CHECK(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, bytes, 0) == (ssize_t)bytes, "no file in memory");
    return path;
}

#endif
