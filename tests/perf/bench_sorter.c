/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/perf/bench_sorter.c: bytes per second of processor time of the sorter: append, finish, a reading that touches each record.
 *
 * Records are 100 bytes with a key of 10 (of 80 for urls). Run it on warm memory:
 *
 *     warm 4 bench_sorter KIND MIB POOL_MIB [DIRECTORY]      KIND: random sorted equal few urls
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "runtime/data/sorter.h"

enum { RECORD_BYTES = 100, KEY_BYTES = 10, URL_BYTES = 80, MAKE_COUNT = 1000, READ_MAX = 512, BLOCK_BYTES = 1 << 20 };

/* Of the processor: others may be busy on this machine, and in memory nothing waits. */
static double now_s(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static uint64_t draw(uint64_t *state)
{
    uint64_t mixed = (*state += UINT64_C(0x9e3779b97f4a7c15));
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mixed ^ (mixed >> 31);
}

static void fail(const qn_error *error)
{
    fprintf(stderr, "bench_sorter: %s\n", error->text);
    exit(EXIT_FAILURE);
}

static void make_key(const char *kind, uint64_t index, uint64_t *random, char *key)
{
    uint64_t word = draw(random);
    if (strcmp(kind, "sorted") == 0)
        word = __builtin_bswap64(index << 20);
    else if (strcmp(kind, "equal") == 0)
        word = 42;
    else if (strcmp(kind, "few") == 0)
        word = (word % 1000) * UINT64_C(0x9e3779b97f4a7c15);
    memcpy(key, &word, sizeof word);
    key[8] = (char)draw(random);
    key[9] = (char)index;
}

/* Packed records, made as the bench goes: each piece is in the cache when it is appended. */
static uint64_t make_records(const char *kind, const qn_layout *layout, uint64_t first, uint64_t *random,
                             uint8_t *packed)
{
    uint8_t *at = packed;
    char key[URL_BYTES + 1] = {0}, value[RECORD_BYTES] = {0};
    bool urls = strcmp(kind, "urls") == 0;
    for (uint64_t i = 0; i < MAKE_COUNT; i++) {
        uint32_t key_bytes = urls ? URL_BYTES : KEY_BYTES;
        if (urls)
            snprintf(key, sizeof key, "https://www.example.org/a/long/path/that/all/of/them/have/%05u/%015u",
                     (unsigned)(draw(random) % 1000), (unsigned)draw(random));
        else
            make_key(kind, first + i, random, key);
        memcpy(value, &i, sizeof i);
        qn_packed record = {.key = (uint8_t *)key, .value = (uint8_t *)value, .key_bytes = key_bytes};
        record.value_bytes = RECORD_BYTES - key_bytes - layout->head_bytes;
        qn_packed_encode(layout, &record, at);
        at += RECORD_BYTES;
    }
    return (uint64_t)(at - packed);
}

static double append(qn_sorter *sorter, const char *kind, const qn_layout *layout, uint64_t bytes)
{
    static uint8_t packed[MAKE_COUNT * RECORD_BYTES];
    uint64_t random = 1;
    double taken_s = 0;
    qn_error error = {0};
    for (uint64_t done = 0; done < bytes; done += sizeof packed) {
        uint64_t made = make_records(kind, layout, done / RECORD_BYTES, &random, packed);
        double start_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
        if (qn_sorter_append_all(sorter, packed, made, &error) != QUERN_OK)
            fail(&error);
        taken_s += now_s(CLOCK_PROCESS_CPUTIME_ID) - start_s;
    }
    return taken_s;
}

static uint64_t read_through(qn_sorter *sorter)
{
    static qn_packed records[READ_MAX];
    uint64_t all = 0;
    volatile uint64_t sink;
    qn_error error = {0};
    for (size_t count = 1; count > 0; all += count) {
        if (qn_sorter_next(sorter, records, READ_MAX, &count, &error) != QUERN_OK)
            fail(&error);
        for (size_t i = 0; i < count; i++)
            sink = records[i].key[0] + records[i].value[records[i].value_bytes - 1];
        (void)sink;
    }
    return all;
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench_sorter random|sorted|equal|few|urls MIB POOL_MIB [DIRECTORY]\n");
        return 2;
    }
    const quern_schema schema = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    const qn_collation collation = {.kind = QN_COLLATE_BY_KEY, .layout = qn_layout_of(&schema, false, false)};
    const qn_sorter_config config = {&collation, strtoull(argv[3], NULL, 10) << 20, BLOCK_BYTES,
                                     .scratch.directory = argc > 4 ? argv[4] : "/var/tmp"};
    uint64_t bytes = strtoull(argv[2], NULL, 10) << 20;
    qn_sorter *sorter = NULL;
    qn_error error = {0};
    double begin_s = now_s(CLOCK_MONOTONIC);
    if (qn_sorter_create(&sorter, &config, &error) != QUERN_OK)
        fail(&error);
    double append_s = append(sorter, argv[1], &collation.layout, bytes), start_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
    if (qn_sorter_finish(sorter, &error) != QUERN_OK)
        fail(&error);
    double finish_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - start_s;
    start_s = now_s(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t read_count = read_through(sorter);
    double read_s = now_s(CLOCK_PROCESS_CPUTIME_ID) - start_s;
    qn_sorter_stats stats = qn_sorter_get_stats(sorter);
    double all_s = append_s + finish_s + read_s, gb = (double)stats.record_bytes / 1e9;
    printf("%-7s %.2f GB  append %.3f s  finish %.3f s  read %.3f s  all %.3f s %.2f GB/s  clock %.3f s  %" PRIu64
           " runs%s\n",
           argv[1], gb, append_s, finish_s, read_s, all_s, gb / all_s, now_s(CLOCK_MONOTONIC) - begin_s,
           stats.spill_runs, read_count == stats.record_count ? "" : "  WRONG");
    qn_sorter_destroy(sorter);
    return EXIT_SUCCESS;
}
