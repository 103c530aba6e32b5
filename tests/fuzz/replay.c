/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/fuzz/replay.c: a fuzzer's main without libFuzzer, and so a test: every file of a corpus as it is, then shortened to lengths
 * spread over it, then with single bits flipped at places spread over it. Always the same, and about so many runs in all; prints TAP.
 * usage: PROGRAM RUN_COUNT DIRECTORY
 */
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define FILES_MAX 256

static unsigned long long run_count;
static char now[4200]; /* what is run, for whoever has to repeat it */

static void tell_and_die(int number)
{
    (void)!write(STDERR_FILENO, now, strlen(now));
    signal(number, SIG_DFL);
    raise(number);
}

/* In a room of exactly so many bytes, so that a sanitizer sees who reads behind them. */
static void run(const uint8_t *data, size_t bytes)
{
    uint8_t *room = malloc(bytes > 0 ? bytes : 1);
    if (!room)
        return;
    memcpy(room, data, bytes);
    LLVMFuzzerTestOneInput(room, bytes);
    free(room);
    run_count++;
}

static void run_changed(const char *path, uint8_t *data, size_t bytes, size_t count)
{
    snprintf(now, sizeof now, "# %s\n", path);
    run(data, bytes);
    size_t step = 1 + bytes / (1 + count / 2);
    for (size_t length = 0; length < bytes; length += step) {
        snprintf(now, sizeof now, "# %s, its first %zu bytes\n", path, length);
        run(data, length);
    }
    for (size_t at = 0; at < bytes; at += step) {
        uint8_t flipped = (uint8_t)(1u << fuzz_number(at, bytes, 8));
        snprintf(now, sizeof now, "# %s, byte %zu with %02x flipped\n", path, at, flipped);
        data[at] ^= flipped;
        run(data, bytes);
        data[at] ^= flipped;
    }
}

static void run_file(const char *path, size_t count)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    FUZZ_CHECK(file && fstat(fileno(file), &about) == 0, "cannot open %s", path);
    size_t bytes = (size_t)about.st_size;
    uint8_t *data = malloc(bytes + 1);
    FUZZ_CHECK(data && fread(data, 1, bytes, file) == bytes, "cannot read %s", path);
    fclose(file);
    run_changed(path, data, bytes, count);
    free(data);
}

static int is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    signal(SIGABRT, tell_and_die);
    FUZZ_CHECK(argc == 3, "usage: %s RUN_COUNT DIRECTORY", argv[0]);
    int count = scandir(argv[2], &entries, is_file, alphasort);
    FUZZ_CHECK(count > 0, "no corpus in %s", argv[2]);
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", argv[2], entries[i]->d_name);
        run_file(path, strtoul(argv[1], NULL, 10) / (size_t)count);
        free(entries[i]);
    }
    free(entries);
    printf("1..1\nok 1 - %d files and what became of them kept every promise, %llu runs\n", count, run_count);
    return 0;
}
