/* SPDX-License-Identifier: BSD-3-Clause. Counts lines, and misbehaves at the line "crash": isolated_job [once-]HOW SHAPE DIR PATH.
 *
 * HOW: a signal's name in small letters, exit, loop, fail or none. once-: only the first who comes there, of all ranks and attempts. SHAPE: what the callback
 * is; written and written-many: as filter and many, but the lines are not counted; group and what follows it: of the lines by themselves. Rank 0 prints how often it was called for a record that went through. */
#include <fcntl.h>
#include <quern/quern.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LONG_BYTES ((size_t)300000)
#define NUMBERS    20000

static const quern_schema lines_schema = {.key = QUERN_BYTES, .value = QUERN_NONE};
static const char *how;
static quern_counter *counter;
static quern_shared *suffix;

static int is_first(void)
{
    int file = open(getenv("ISOLATED_MARK"), O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (file >= 0)
        close(file);
    return file >= 0;
}

static int misbehave(void)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"bus", SIGBUS}, {"fpe", SIGFPE}, {"ill", SIGILL}, {"kill", SIGKILL}};
    static int *volatile nowhere = (int *)8;
    const char *what = strncmp(how, "once-", 5) == 0 ? how + 5 : how;
    if (what != how && !is_first())
        return 0;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(what, signals[i].name) == 0)
            raise(signals[i].number);
    if (strcmp(what, "segv") == 0)
        *nowhere = 1;
    if (strcmp(what, "abort") == 0)
        abort();
    if (strcmp(what, "exit") == 0)
        exit(3);
    for (volatile int i = 0; strcmp(what, "loop") == 0; i++)
        ;
    return strcmp(what, "fail") == 0;
}

static int misbehave_at(const void *key, size_t bytes)
{
    int code = bytes == 5 && memcmp(key, "crash", 5) == 0 ? misbehave() : 0;
    quern_counter_add(counter, 1);
    return code;
}

static int filter(const quern_record *line, int *keep_out, void *user)
{
    (void)user;
    *keep_out = 1;
    return misbehave_at(line->key.data, line->key.bytes);
}

static int filter_block(const quern_block *lines, uint8_t *keep_out, void *user)
{
    int code = 0;
    (void)user;
    memset(keep_out, 1, lines->count);
    for (size_t i = 0; i < lines->count && code == 0; i++)
        code = misbehave_at(lines->key[i], lines->key_bytes[i]);
    return code;
}

/* The line with what was broadcast behind it. */
static int map(const quern_record *line, quern_record *out, void *user)
{
    static char text[256];
    (void)user;
    memcpy(text, line->key.data, line->key.bytes);
    memcpy(text + line->key.bytes, quern_shared_data(suffix), quern_shared_bytes(suffix));
    out->key = quern_bytes(text, line->key.bytes + quern_shared_bytes(suffix));
    return misbehave_at(line->key.data, line->key.bytes);
}

/* Much of each line, before and behind what goes wrong. */
static int many(const quern_record *line, quern_emitter *out, void *user)
{
    char text[64];
    (void)user;
    for (int i = 0; i < 300; i++) {
        int bytes = snprintf(text, sizeof text, "%.*s %d", (int)line->key.bytes, (const char *)line->key.data, i);
        int code = quern_emit(out, quern_bytes(text, (size_t)bytes), quern_bytes("", 0));
        if (code == 0 && i == 150)
            code = misbehave_at(line->key.data, line->key.bytes);
        if (code != 0)
            return code;
    }
    return 0;
}

/* Records longer than anything that was made for them. */
static int longer(const quern_record *line, quern_emitter *out, void *user)
{
    static char text[LONG_BYTES];
    (void)user;
    for (size_t i = 0; i < LONG_BYTES; i++)
        text[i] = (char)('a' + i % 23);
    memcpy(text, line->key.data, line->key.bytes);
    int code = quern_emit(out, line->key, quern_bytes("", 0));
    if (code == 0)
        code = quern_emit(out, quern_bytes(text, LONG_BYTES), quern_bytes("", 0));
    return code ? code : misbehave_at(line->key.data, line->key.bytes);
}

static int of_number(const quern_record *in, quern_record *out, void *user)
{
    static char text[32];
    (void)user;
    uint64_t number = quern_u64(in->key);
    int code = number == NUMBERS / 2 ? misbehave_at("crash", 5) : misbehave_at("", 0);
    out->key = quern_bytes(text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)number));
    return code;
}

static quern_dataset *read_numbers(quern_context *context)
{
    static uint64_t numbers[NUMBERS];
    quern_schema schema = {.key = QUERN_U64, .value = QUERN_NONE};
    for (uint64_t i = 0; i < NUMBERS; i++)
        numbers[i] = i;
    quern_memory_array array = {.count = NUMBERS, .key = numbers};
    return quern_map(quern_read_memory(context, schema, &array, quern_context_rank(context) == 0), lines_schema,
                     of_number, NULL);
}

static const quern_schema counts_schema = {.key = QUERN_BYTES, .value = QUERN_U64};

/* Each line with its number of values. */
static int group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    quern_span value;
    uint64_t count = 0;
    int more;
    (void)user;
    while ((more = quern_values_next(values, &value)) > 0)
        count += quern_u64(value);
    int code = more < 0 ? more : misbehave_at(key.data, key.bytes);
    return code ? code : quern_emit(out, key, quern_of_u64(&count));
}

/* Much of each line, before and behind what goes wrong. */
static int group_many(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    char text[64];
    quern_span value;
    uint64_t count = 0;
    (void)user;
    for (; quern_values_next(values, &value) > 0; count++)
        if (quern_u64(value) != 1)
            return quern_fail_because("a value is another one");
    for (int i = 0; i < 30; i++) {
        int bytes = snprintf(text, sizeof text, "%.*s %d", (int)key.bytes, (const char *)key.data, i);
        int code = quern_emit(out, quern_bytes(text, (size_t)bytes), quern_of_u64(&count));
        if (code == 0 && i == 15)
            code = misbehave_at(key.data, key.bytes);
        if (code != 0)
            return code;
    }
    return 0;
}

static int cogroup(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    uint64_t product = 1, count = 0;
    quern_span value;
    (void)user;
    while (quern_values_next(left, &value) > 0)
        count++;
    product = count;
    quern_values_rewind(left);
    for (count = 0; quern_values_next(right, &value) > 0; count++)
        ;
    product *= count;
    int code = misbehave_at(key.data, key.bytes);
    return code ? code : quern_emit(out, key, quern_of_u64(&product));
}

static int join(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    int code = misbehave_at(key.data, key.bytes);
    (void)user;
    (void)right;
    return code ? code : quern_emit(out, key, *left);
}

static int add(void *into, const void *value, void *user)
{
    uint64_t sum, more;
    (void)user;
    memcpy(&sum, into, sizeof sum);
    memcpy(&more, value, sizeof more);
    sum += more;
    memcpy(into, &sum, sizeof sum);
    return more == 1000 ? misbehave() : 0;
}

static int accumulate(void *accumulator, quern_span value, void *user)
{
    return add(accumulator, value.data, user);
}

static int finish(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t sum;
    (void)user;
    sum = quern_u64(in->value);
    out->value = quern_of_u64(&sum);
    return 0;
}

/* Lines count 1 each, and the line "crash" 1000. */
static int weigh(const quern_record *line, quern_record *out, void *user)
{
    static uint64_t weight;
    weight = user && line->key.bytes == 5 && memcmp(line->key.data, "crash", 5) == 0 ? 1000 : 1;
    out->value = quern_of_u64(&weight);
    return 0;
}

static quern_dataset *build_by_key(quern_dataset *lines, const char *shape)
{
    static const quern_join_options sorted = {.struct_size = sizeof sorted, .strategy = QUERN_JOIN_SORT};
    static const quern_aggregation sums = {.struct_size = sizeof sums,
                                           .accumulator_bytes = 8,
                                           .accumulate = accumulate,
                                           .merge = add,
                                           .finish = finish,
                                           .schema = {.key = QUERN_BYTES, .value = QUERN_U64}};
    int is_reduced = strcmp(shape, "reduce") == 0 || strcmp(shape, "aggregate") == 0;
    quern_dataset *weighed = quern_map(lines, counts_schema, weigh, is_reduced ? &how : NULL);
    if (strcmp(shape, "group") == 0)
        return quern_group_by_key(weighed, counts_schema, group, NULL, NULL);
    if (strcmp(shape, "group-many") == 0)
        return quern_group_by_key(weighed, counts_schema, group_many, NULL, NULL);
    if (strcmp(shape, "cogroup") == 0)
        return quern_cogroup(weighed, weighed, counts_schema, cogroup, NULL);
    if (strcmp(shape, "join") == 0)
        return quern_join_with(weighed, weighed, QUERN_JOIN_INNER, counts_schema, join, NULL, &sorted);
    if (strcmp(shape, "reduce") == 0)
        return quern_reduce_by_key_with(weighed, add, NULL);
    if (strcmp(shape, "aggregate") == 0)
        return quern_aggregate_by_key(weighed, &sums, NULL);
    return NULL;
}

static quern_dataset *build(quern_context *context, const char *shape, const char *path)
{
    if (strcmp(shape, "memory") == 0)
        return read_numbers(context);
    quern_dataset *lines = quern_read_text(context, &path, 1, NULL);
    if (strcmp(shape, "filter") == 0 || strcmp(shape, "written") == 0)
        return quern_filter(lines, filter, NULL);
    if (strcmp(shape, "result") == 0)
        return quern_filter(quern_count_by_key(lines), filter, NULL);
    if (strcmp(shape, "block") == 0)
        return quern_filter_block(lines, filter_block, NULL);
    if (strcmp(shape, "map") == 0)
        return quern_map(lines, lines_schema, map, NULL);
    if (strcmp(shape, "many") == 0 || strcmp(shape, "written-many") == 0)
        return quern_flat_map(lines, lines_schema, many, NULL);
    if (strcmp(shape, "longer") == 0)
        return quern_filter(quern_flat_map(lines, lines_schema, longer, NULL), filter, NULL);
    return build_by_key(lines, shape);
}

static int is_by_key(const char *shape)
{
    static const char *const shapes[] = {"group", "group-many", "cogroup", "join", "reduce", "aggregate"};
    int is_one = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        is_one |= strcmp(shape, shapes[i]) == 0;
    return is_one;
}

static quern_status run_once(quern_context *context, const char *shape, const char *directory, const char *path)
{
    int is_counted = strcmp(shape, "result") != 0 && strncmp(shape, "written", 7) != 0 && !is_by_key(shape);
    quern_dataset *looked_at = quern_name(build(context, shape, path), "look closely");
    quern_write_text(is_counted ? quern_count_by_key(looked_at) : looked_at, directory);
    return quern_run(context);
}

/* Again and again with the same left side, which is kept, and from the third time on in its order. */
static quern_status join_kept(quern_context *context, const char *directory, const char *path)
{
    static const quern_join_options sorted = {
        .struct_size = sizeof sorted, .strategy = QUERN_JOIN_SORT, .outer = QUERN_JOIN_OUTER_RIGHT};
    char each[4096];
    quern_status status = QUERN_OK;
    quern_dataset *lines = quern_read_text(context, &path, 1, NULL);
    quern_dataset *kept = quern_cache(quern_map(lines, counts_schema, weigh, NULL));
    for (int i = 0; i < 4 && status == QUERN_OK; i++) {
        quern_dataset *others = quern_map(lines, counts_schema, weigh, NULL);
        quern_dataset *joined = quern_join_with(kept, others, QUERN_JOIN_FULL, counts_schema, join, NULL, &sorted);
        snprintf(each, sizeof each, i < 3 ? "%s-%d" : "%s", directory, i);
        quern_write_text(quern_name(joined, "look closely"), each);
        status = quern_run(context);
    }
    return status;
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    if (status != QUERN_OK || argc != 5) {
        fprintf(stderr, "%s\n", quern_context_error_text(context));
        return 2;
    }
    how = argv[1];
    counter = quern_counter_create(context, "calls");
    quern_broadcast(context, " seen", 5, &suffix);
    status = strcmp(argv[2], "join-kept") == 0 ? join_kept(context, argv[3], argv[4])
                                               : run_once(context, argv[2], argv[3], argv[4]);
    if (status != QUERN_OK && quern_context_rank(context) == 0)
        fprintf(stderr, "%s\n", quern_context_error_text(context));
    if (status == QUERN_OK && quern_context_rank(context) == 0)
        printf("%lld calls\n", (long long)quern_counter_value(counter));
    quern_shared_free(suffix);
    quern_context_destroy(context);
    return quern_exit_status(status);
}
