/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines "key<TAB>rest" that are sorted, grouped or joined with those of a second file, and counted; or joined or counted with what groups of the second
 * file gave (later, united; kept: by an earlier run). It is killed at the line "die" in the callback that splits lines (split; then of the first file only) or behind the order
 * (after): ordered_job sort|group|join|later|united|kept split|after|slow|none OUT LEFT RIGHT. slow: 50 us and more for a line.
 */
#include <quern/quern.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/told.h"

static const char *where;
static quern_counter *split, *after;

static void look(const char *here, quern_counter *counter, const void *key, size_t bytes)
{
    quern_counter_add(counter, 1);
    if (strcmp(where, here) == 0 && bytes == 3 && memcmp(key, "die", 3) == 0)
        kill(getpid(), SIGKILL);
    if (strcmp(where, "slow") == 0 && counter == split)
        nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

static int split_line(const quern_record *line, quern_emitter *out, void *user)
{
    const char *text = line->key.data, *tab = memchr(text, '\t', line->key.bytes);
    size_t key_bytes = tab ? (size_t)(tab - text) : line->key.bytes, rest_at = tab ? key_bytes + 1 : key_bytes;
    look(user, split, text, key_bytes);
    return quern_emit(out, quern_bytes(text, key_bytes), quern_bytes(text + rest_at, line->key.bytes - rest_at));
}

/* How many values, and a number that depends on their order. */
static int digest_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    quern_span value;
    unsigned long long count = 0, digest = 0;
    char text[64];
    int more;
    (void)user;
    for (; (more = quern_values_next(values, &value)) > 0; count++)
        for (size_t i = 0; i < value.bytes; i++)
            digest = digest * 31 + ((const unsigned char *)value.data)[i];
    if (more < 0)
        return more;
    int bytes = snprintf(text, sizeof text, "%llu %llu", count, digest);
    return quern_emit(out, key, quern_bytes(text, (size_t)bytes));
}

static int pair(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    char text[1024];
    (void)user;
    int bytes =
        snprintf(text, sizeof text, "%.*s|%.*s", left ? (int)left->bytes : 0, left ? (const char *)left->data : "",
                 right ? (int)right->bytes : 0, right ? (const char *)right->data : "");
    return quern_emit(out, key, quern_bytes(text, (size_t)bytes));
}

static int look_after(const quern_record *record, int *keep_out, void *user)
{
    (void)user;
    look("after", after, record->key.data, record->key.bytes);
    *keep_out = 1;
    return 0;
}

static quern_dataset *read_pairs(quern_context *context, const char *path, const char *here)
{
    const quern_schema pairs = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    return quern_flat_map(quern_read_text(context, &path, 1, NULL), pairs, split_line, (void *)here);
}

static quern_dataset *put_in_order(quern_context *context, char **argv)
{
    const quern_schema pairs = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    quern_dataset *left = read_pairs(context, argv[4], "split");
    if (strcmp(argv[1], "sort") == 0)
        return quern_sort_by_key(left, NULL);
    if (strcmp(argv[1], "group") == 0)
        return quern_group_by_key(left, pairs, digest_group, NULL, NULL);
    if (strcmp(argv[1], "join") == 0)
        return quern_join(left, read_pairs(context, argv[5], "split"), QUERN_JOIN_FULL, pairs, pair, NULL);
    quern_dataset *groups =
        quern_group_by_key(read_pairs(context, argv[5], "split of the other"), pairs, digest_group, NULL, NULL);
    if (strcmp(argv[1], "later") == 0)
        return quern_join(left, groups, QUERN_JOIN_FULL, pairs, pair, NULL);
    if (strcmp(argv[1], "kept") == 0) {
        quern_cache(groups);
        quern_run(context);
    }
    return quern_count_by_key(quern_union(left, groups));
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0;
    if (status != QUERN_OK || argc != 6) {
        if (speaks)
            fprintf(stderr, "ordered_job: %s\n", quern_context_error_text(NULL));
        quern_context_destroy(NULL);
        return 2;
    }
    where = told(argv, 2);
    split = quern_counter_create(context, "split");
    after = quern_counter_create(context, "after");
    quern_write_text(quern_filter(put_in_order(context, argv), look_after, NULL), argv[3]);
    status = quern_run(context);
    if (status == QUERN_OK && speaks)
        printf("split %lld\nafter %lld\n", (long long)quern_counter_value(split),
               (long long)quern_counter_value(after));
    else if (speaks)
        fprintf(stderr, "ordered_job: %s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return quern_exit_status(status);
}
