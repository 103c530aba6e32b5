/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/e2e/hostile_records.h: the records of hostile_jobs.c, each by its number: for who makes them, and who knows what must come of them.
 */
#ifndef TESTS_E2E_HOSTILE_RECORDS_H
#define TESTS_E2E_HOSTILE_RECORDS_H

#include <quern/types.h>

#define FEW_COUNT 1000 /* keys that are few in any case */

typedef struct parameters {
    uint64_t each, keys, key_bytes, value_bytes, runs;
    const char *out, *linger, *mark;
} parameters;

static parameters given = {.each = 1000, .key_bytes = 10, .value_bytes = 90, .runs = 2, .linger = "", .mark = ""};
static uint64_t record_count;
static uint8_t *key_room, *value_room;

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The first 8 bytes tell numbers apart. */
static quern_span fill(uint8_t *room, uint64_t bytes, uint64_t number)
{
    for (uint64_t at = 0; at < bytes; at += 8, number += UINT64_C(0x2545f4914f6cdd1d)) {
        uint64_t word = mix(number);
        memcpy(room + at, &word, bytes - at < 8 ? bytes - at : 8);
    }
    return quern_bytes(room, bytes);
}

static quern_span key_of(uint64_t i)
{
    return fill(key_room, given.key_bytes, given.keys ? i % given.keys : i);
}

static quern_span value_of(uint64_t i)
{
    return fill(value_room, given.value_bytes, ~i);
}

static uint64_t hash(quern_span key, quern_span value)
{
    uint64_t sum = key.bytes, word;
    for (size_t at = 0; at < key.bytes; at += 8) {
        word = 0;
        memcpy(&word, (const uint8_t *)key.data + at, key.bytes - at < 8 ? key.bytes - at : 8);
        sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    }
    for (size_t at = 0; at < value.bytes; at += 8) {
        word = 0;
        memcpy(&word, (const uint8_t *)value.data + at, value.bytes - at < 8 ? value.bytes - at : 8);
        sum = (sum ^ (sum >> 29) ^ word) * UINT64_C(0x94d049bb133111eb);
    }
    return sum ^ (sum >> 31);
}

/* How many keys there are. */
static uint64_t distinct_count(void)
{
    return given.keys && given.keys < record_count ? given.keys : record_count;
}

/* Of links. */
static uint64_t vertex_count(void)
{
    return distinct_count() < FEW_COUNT ? distinct_count() : FEW_COUNT;
}

static uint64_t target_of(uint64_t i)
{
    return mix(i) % vertex_count();
}

#endif
