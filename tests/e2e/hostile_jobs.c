/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/e2e/hostile_jobs.c: every operator on records made on the spot, of any number and shape, with the right answer beside
 * it: test_hostile.py gives it twenty times its memory, kills its ranks, fills its disks and damages what it spilled.
 *
 *     hostile_jobs OPERATOR SEEDS [NAME=VALUE...]
 *
 * SEEDS is a file of uint64 0, 1, 2, … in order; each becomes `each` records, numbered from 0 over all of them. Record i has
 * the key number i modulo `keys` (0: i itself) as `key-bytes` bytes, and `value-bytes` bytes that nothing compresses. What comes out is
 * counted and summed up by hash, compared with what must come out, and dropped; with out=DIRECTORY it is written as well. linger=PHASE goes slowly
 * through make, meet (groups and pairs) or look (the result), after it made mark=FILE, until that is removed. Exit code 3: a wrong answer.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/e2e/hostile_records.h"

enum { STEP_COUNT = 3, TOP_COUNT = 3 };

static quern_counter *count, *digest, *disorder;
static uint64_t found_count, found_digest, found_disorder; /* in all runs */
static uint8_t last[16];                                   /* key of the result, its begin */
static size_t last_bytes;

/* ---- records ---- */

static void pass(const char *phase)
{
    static uint64_t passes;
    const struct timespec moment = {.tv_nsec = 5000000};
    if (strcmp(given.linger, phase) != 0)
        return;
    if (passes == 0)
        close(open(given.mark, O_CREAT | O_WRONLY, 0600));
    if (passes++ % 64 == 0 && access(given.mark, F_OK) == 0)
        nanosleep(&moment, NULL);
}

static const quern_schema texts = {.key = QUERN_BYTES, .value = QUERN_BYTES};
static const quern_schema numbered = {.key = QUERN_BYTES, .value = QUERN_U64};

/* What a seed becomes. user: below which number; NULL: all. */
static int make_texts(const quern_record *in, quern_emitter *out, void *user)
{
    const uint64_t first = quern_u64(in->key) * given.each, *end = user;
    int code = 0;
    for (uint64_t i = first; i < first + given.each && code == 0 && (!end || i < *end); i++) {
        pass("make");
        code = quern_emit(out, key_of(i), value_of(i));
    }
    return code;
}

static int make_numbers(const quern_record *in, quern_emitter *out, void *user)
{
    const uint64_t first = quern_u64(in->key) * given.each;
    int code = 0;
    (void)user;
    for (uint64_t i = first; i < first + given.each && code == 0; i++) {
        pass("make");
        code = quern_emit(out, key_of(i), quern_of_u64(&i));
    }
    return code;
}

/* Keys of which half are those of other records: of number `user` and more, once each. */
static int make_shifted(const quern_record *in, quern_emitter *out, void *user)
{
    const uint64_t first = quern_u64(in->key) * given.each, shift = *(const uint64_t *)user;
    int code = 0;
    for (uint64_t i = first; i < first + given.each && code == 0 && i < distinct_count(); i++) {
        pass("make");
        code = quern_emit(out, fill(key_room, given.key_bytes, i + shift), value_of(i));
    }
    return code;
}

/* Links between few vertices. */
static int make_links(const quern_record *in, quern_emitter *out, void *user)
{
    static uint8_t *room;
    const uint64_t first = quern_u64(in->key) * given.each;
    int code = 0;
    (void)user;
    if (!room)
        room = malloc(given.key_bytes + 8);
    for (uint64_t i = first; room && i < first + given.each && code == 0; i++) {
        pass("make");
        code = quern_emit(out, fill(key_room, given.key_bytes, i % vertex_count()),
                          fill(room, given.key_bytes, target_of(i)));
    }
    return room ? code : quern_fail(out, 0, "no memory for a key");
}

/* ---- what comes out ---- */

static void note(quern_span key, quern_span value)
{
    quern_counter_add(count, 1);
    quern_counter_add(digest, (int64_t)(hash(key, value) >> 16)); /* so that sums do not overflow */
}

/* user: not NULL if keys must not descend; one rank reads its stretch of the whole from begin to end. */
static int look(const quern_block *block, uint8_t *keep_out, void *user)
{
    for (size_t i = 0; i < block->count; i++) {
        pass("look");
        size_t bytes = block->key_bytes[i] < sizeof last ? block->key_bytes[i] : sizeof last;
        quern_span value = quern_bytes(block->value ? block->value[i] : "", block->value ? block->value_bytes[i] : 0);
        note(quern_bytes(block->key[i], block->key_bytes[i]), value);
        int order = memcmp(block->key[i], last, bytes < last_bytes ? bytes : last_bytes);
        if (user && (order < 0 || (order == 0 && bytes < last_bytes)))
            quern_counter_add(disorder, 1);
        memcpy(last, block->key[i], last_bytes = bytes);
    }
    memset(keep_out, given.out != NULL, block->count);
    return 0;
}

static int none(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 1;
}

static void ask(quern_dataset *result, void *ordered)
{
    quern_dataset *seen = quern_filter_block(result, look, ordered);
    if (given.out)
        quern_write_fixed(seen, given.out);
    else
        quern_collect(seen, QUERN_COLLECT_ROOT, none, NULL);
}

/* ---- operators ---- */

static int meet_values(quern_span key, quern_values *values, uint64_t *seen_out)
{
    quern_span value;
    int more;
    while ((more = quern_values_next(values, &value)) > 0) {
        pass("meet");
        *seen_out += hash(key, value) >> 16;
    }
    return more;
}

/* Twice over, since a group may be read again. */
static int sum_group(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    uint64_t once = 0, again = 0;
    (void)user;
    if (meet_values(key, values, &once) < 0 || quern_values_rewind(values) < 0 || meet_values(key, values, &again) < 0)
        return 1;
    return once == again ? quern_emit(out, key, quern_of_u64(&once)) : quern_fail(out, 0, "two readings differ");
}

static uint64_t begin_of(quern_span value)
{
    uint64_t word = 0;
    memcpy(&word, value.data, value.bytes < sizeof word ? value.bytes : sizeof word);
    return word;
}

/* The order of nothing in particular. */
static int compare_begins(quern_span left, quern_span right, void *user)
{
    uint64_t a = begin_of(left), b = begin_of(right);
    (void)user;
    return a < b ? 1 : a == b ? 0 : -1;
}

static int sum_ordered(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    uint64_t sum = 0, before = UINT64_MAX;
    quern_span value;
    int more;
    (void)user;
    while ((more = quern_values_next(values, &value)) > 0) {
        pass("meet");
        if (begin_of(value) > before)
            quern_counter_add(disorder, 1);
        before = begin_of(value);
        sum += hash(key, value) >> 16;
    }
    return more < 0 ? 1 : quern_emit(out, key, quern_of_u64(&sum));
}

/* That of the type, in the program's own words. */
static int compare_keys(quern_span left, quern_span right, void *user)
{
    int order = memcmp(left.data, right.data, left.bytes < right.bytes ? left.bytes : right.bytes);
    (void)user;
    return order ? order : (left.bytes > right.bytes) - (left.bytes < right.bytes);
}

static int count_links(const quern_vertices *some, void *user)
{
    (void)user;
    for (size_t i = 0; i < some->count; i++) {
        some->value[i] = some->step == 0 ? 0 : some->come[i];
        some->send[i] = 1;
    }
    return 0;
}

static int sum_both(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    uint64_t sum = 0;
    (void)user;
    if (meet_values(key, left, &sum) < 0 || meet_values(key, right, &sum) < 0)
        return 1;
    return quern_emit(out, key, quern_of_u64(&sum));
}

static int pair_left(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)right;
    (void)user;
    pass("meet");
    return quern_emit(out, key, *left);
}

static int pair_either(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)user;
    pass("meet");
    return quern_emit(out, key, left ? *left : *right);
}

static int pair_right(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    (void)left;
    (void)user;
    pass("meet");
    return quern_emit(out, key, *right);
}

static int add_hash(void *accumulator, quern_span value, void *user)
{
    (void)user;
    *(uint64_t *)accumulator += hash(quern_text(""), value) >> 16;
    return 0;
}

static int add_sums(void *into, const void *value, void *user)
{
    (void)user;
    *(uint64_t *)into += *(const uint64_t *)value;
    return 0;
}

static int sum_out(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 0;
}

static int add_index(const quern_record *in, uint64_t index, quern_record *out, void *user)
{
    static uint64_t number;
    (void)user;
    number = index + hash(in->key, in->value) % 1024;
    out->value = quern_of_u64(&number);
    return 0;
}

static int keep_all(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    (void)user;
    *keep_out = 1;
    return 0;
}

static quern_dataset *next_state(quern_dataset *state, uint64_t step, void *user)
{
    (void)step;
    (void)user;
    return quern_sort_by_key(quern_filter(state, keep_all, NULL), NULL);
}

typedef struct job_base {
    quern_context *context;
    quern_dataset *seeds;
} job_base;

static quern_dataset *make(job_base *job)
{
    return quern_flat_map(job->seeds, texts, make_texts, NULL);
}

static quern_dataset *make_u64(job_base *job)
{
    return quern_flat_map(job->seeds, numbered, make_numbers, NULL);
}

static quern_dataset *make_few(job_base *job)
{
    static uint64_t end;
    end = given.keys ? given.keys : record_count;
    return quern_flat_map(job->seeds, texts, make_texts, &end);
}

static quern_status run(job_base *job)
{
    quern_status status = quern_run(job->context);
    found_count += (uint64_t)quern_counter_value(count);
    found_digest += (uint64_t)quern_counter_value(digest);
    found_disorder += (uint64_t)quern_counter_value(disorder);
    last_bytes = 0;
    return status;
}

static quern_status sort_all(job_base *job)
{
    ask(quern_sort_by_key(make(job), NULL), job);
    return run(job);
}

static quern_status group_all(job_base *job)
{
    ask(quern_group_by_key(make(job), numbered, sum_group, NULL, NULL), NULL);
    return run(job);
}

static quern_status cogroup_all(job_base *job)
{
    ask(quern_cogroup(make(job), make(job), numbered, sum_both, NULL), NULL);
    return run(job);
}

static quern_status join_few(job_base *job)
{
    ask(quern_join(make(job), make_few(job), QUERN_JOIN_INNER, texts, pair_left, NULL), NULL);
    return run(job);
}

static quern_dataset *make_half(job_base *job)
{
    static uint64_t shift;
    shift = distinct_count() / 2;
    return quern_flat_map(job->seeds, texts, make_shifted, &shift);
}

static quern_status join_full(job_base *job)
{
    ask(quern_join(make(job), make_half(job), QUERN_JOIN_FULL, texts, pair_either, NULL), NULL);
    return run(job);
}

static quern_status join_anti(job_base *job)
{
    ask(quern_join(make(job), make_half(job), QUERN_JOIN_ANTI, texts, pair_either, NULL), NULL);
    return run(job);
}

static quern_status join_broadcast(job_base *job)
{
    static uint64_t end;
    const quern_join_options by = {.struct_size = sizeof by, .strategy = QUERN_JOIN_BROADCAST_RIGHT};
    end = vertex_count();
    quern_dataset *few = quern_flat_map(job->seeds, texts, make_texts, &end);
    ask(quern_join_with(make(job), few, QUERN_JOIN_INNER, texts, pair_left, NULL, &by), NULL);
    return run(job);
}

static quern_status sort_compared(job_base *job)
{
    const quern_sort_options by = {.struct_size = sizeof by, .compare = compare_keys};
    ask(quern_sort_by_key(make(job), &by), job);
    return run(job);
}

static quern_status group_ordered(job_base *job)
{
    const quern_group_options by = {.struct_size = sizeof by, .compare_values = compare_begins};
    ask(quern_group_by_key(make(job), numbered, sum_ordered, NULL, &by), NULL);
    return run(job);
}

static quern_status follow_links(job_base *job)
{
    const quern_vertex_program program = {
        .struct_size = sizeof program, .combine = QUERN_SUM, .step_count_max = STEP_COUNT, .step = count_links};
    ask(quern_iterate_links(quern_flat_map(job->seeds, texts, make_links, NULL), NULL, &program, NULL), NULL);
    return run(job);
}

static quern_status join_many(job_base *job)
{
    ask(quern_join(make_few(job), make(job), QUERN_JOIN_INNER, texts, pair_right, NULL), NULL);
    return run(job);
}

static quern_status reduce_all(job_base *job)
{
    ask(quern_reduce_by_key(make_u64(job), QUERN_SUM), NULL);
    return run(job);
}

static quern_status aggregate_all(job_base *job)
{
    const quern_aggregation sum = {.struct_size = sizeof sum,
                                   .accumulator_bytes = 8,
                                   .accumulate = add_hash,
                                   .merge = add_sums,
                                   .finish = sum_out,
                                   .schema = numbered};
    ask(quern_aggregate_by_key(make(job), &sum, NULL), NULL);
    return run(job);
}

static quern_status top_of_all(job_base *job)
{
    ask(quern_top_k_by_key(make_u64(job), TOP_COUNT), NULL);
    return run(job);
}

static quern_status distinct_all(job_base *job)
{
    ask(quern_distinct(make(job)), NULL);
    return run(job);
}

static quern_status unite(job_base *job)
{
    ask(quern_sort_by_key(quern_union(make(job), quern_sort_by_key(make(job), NULL)), NULL), job);
    return run(job);
}

/* What is kept in the first run is read by itself in the others, and beside a sort. */
static quern_status keep(job_base *job)
{
    quern_dataset *kept = quern_cache(make(job));
    quern_status status = QUERN_OK;
    for (uint64_t i = 0; i < given.runs && status == QUERN_OK; i++) {
        ask(i % 2 ? quern_sort_by_key(kept, NULL) : kept, i % 2 ? job : NULL);
        status = run(job);
    }
    return status;
}

static quern_status keep_reduced(job_base *job)
{
    quern_dataset *kept = quern_cache(quern_reduce_by_key(make_u64(job), QUERN_SUM));
    quern_status status = QUERN_OK;
    for (uint64_t i = 0; i < given.runs && status == QUERN_OK; i++) {
        ask(i % 2 ? quern_reduce_by_key(kept, QUERN_SUM) : kept, NULL);
        status = run(job);
    }
    return status;
}

static quern_status iterate(job_base *job)
{
    const quern_iteration steps = {.struct_size = sizeof steps, .step_count_max = STEP_COUNT, .step = next_state};
    quern_dataset *final = NULL;
    quern_status status = quern_iterate(job->context, make(job), &steps, NULL, &final);
    if (status != QUERN_OK)
        return status;
    ask(final, job);
    return run(job);
}

static quern_status zip(job_base *job)
{
    ask(quern_zip_with_index(make(job), numbered, add_index, NULL), NULL);
    return run(job);
}

static quern_status sum_up(job_base *job)
{
    ask(quern_prefix_sum(make_u64(job)), NULL);
    return run(job);
}

static const double fractions[] = {0, 0.5, 1};

static quern_status cut(job_base *job)
{
    ask(quern_quantiles(make_u64(job), fractions, 3), NULL);
    return run(job);
}

/* ---- the right answers ---- */

typedef struct job_answer {
    uint64_t count, digest;
} job_answer;

static void add(job_answer *answer, quern_span key, quern_span value)
{
    answer->count++;
    answer->digest += hash(key, value) >> 16;
}

static void expect_all(job_answer *right)
{
    for (uint64_t i = 0; i < record_count; i++)
        add(right, key_of(i), value_of(i));
}

static void expect_twice(job_answer *right)
{
    expect_all(right);
    right->count *= 2;
    right->digest *= 2;
}

static void expect_each_run(job_answer *right)
{
    expect_all(right);
    right->count *= given.runs;
    right->digest *= given.runs;
}

/* A record of each key, whose value sums something up over the key's records. */
static void expect_sums(job_answer *right, uint64_t (*part)(uint64_t i))
{
    for (uint64_t key = 0; key < distinct_count(); key++) {
        uint64_t sum = 0;
        for (uint64_t i = key; i < record_count; i += distinct_count())
            sum += part(i);
        add(right, key_of(key), quern_of_u64(&sum));
    }
}

static void expect_full(job_answer *right)
{
    uint64_t shift = distinct_count() / 2;
    expect_all(right);
    for (uint64_t i = distinct_count() - shift; i < distinct_count(); i++)
        add(right, fill(key_room, given.key_bytes, i + shift), value_of(i));
}

static void expect_of_keys(job_answer *right, uint64_t end)
{
    for (uint64_t i = 0; i < record_count; i++)
        if (i % distinct_count() < end)
            add(right, key_of(i), value_of(i));
}

static void expect_anti(job_answer *right)
{
    expect_of_keys(right, distinct_count() / 2);
}

static void expect_few(job_answer *right)
{
    expect_of_keys(right, vertex_count());
}

static void expect_links(job_answer *right)
{
    uint64_t counts[FEW_COUNT] = {0};
    for (uint64_t i = 0; i < record_count; i++)
        counts[target_of(i)]++;
    for (uint64_t vertex = 0; vertex < vertex_count(); vertex++)
        add(right, fill(key_room, given.key_bytes, vertex), quern_of_f64(&(double){(double)counts[vertex]}));
}

static uint64_t part_pair(uint64_t i)
{
    return hash(key_of(i), value_of(i)) >> 16;
}

static uint64_t part_two_pairs(uint64_t i)
{
    return 2 * part_pair(i);
}

static uint64_t part_value(uint64_t i)
{
    return hash(quern_text(""), value_of(i)) >> 16;
}

static uint64_t part_number(uint64_t i)
{
    return i;
}

static void expect_groups(job_answer *right)
{
    expect_sums(right, part_pair);
}

static void expect_cogroups(job_answer *right)
{
    expect_sums(right, part_two_pairs);
}

static void expect_aggregates(job_answer *right)
{
    expect_sums(right, part_value);
}

static void expect_reduced(job_answer *right)
{
    expect_sums(right, part_number);
}

static void expect_reduced_each_run(job_answer *right)
{
    expect_reduced(right);
    right->count *= given.runs;
    right->digest *= given.runs;
}

static void expect_top(job_answer *right)
{
    uint64_t keys = distinct_count();
    for (uint64_t i = record_count > TOP_COUNT * keys ? record_count - TOP_COUNT * keys : 0; i < record_count; i++)
        add(right, key_of(i), quern_of_u64(&i));
}

static void expect_keys(job_answer *right)
{
    for (uint64_t key = 0; key < distinct_count(); key++)
        add(right, key_of(key), quern_text(""));
}

static void expect_indexes(job_answer *right)
{
    for (uint64_t i = 0; i < record_count; i++) {
        uint64_t number = i + hash(key_of(i), value_of(i)) % 1024;
        add(right, key_of(i), quern_of_u64(&number));
    }
}

static void expect_prefixes(job_answer *right)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < record_count; i++) {
        sum += i;
        add(right, key_of(i), quern_of_u64(&sum));
    }
}

static void expect_cuts(job_answer *right)
{
    const uint64_t places[] = {0, record_count / 2 + record_count % 2 - 1, record_count - 1};
    for (uint64_t i = 0; i < 3 && record_count > 0; i++)
        add(right, quern_of_u64(&places[i]), quern_of_u64(&i));
}

static const struct {
    const char *name;
    quern_status (*run)(job_base *job);
    void (*expect)(job_answer *right);
} operators[] = {
    {"sort", sort_all, expect_all},
    {"sort-compared", sort_compared, expect_all},
    {"group", group_all, expect_groups},
    {"group-ordered", group_ordered, expect_groups},
    {"cogroup", cogroup_all, expect_cogroups},
    {"join", join_few, expect_all},
    {"join-many", join_many, expect_all},
    {"join-full", join_full, expect_full},
    {"join-anti", join_anti, expect_anti},
    {"join-broadcast", join_broadcast, expect_few},
    {"reduce", reduce_all, expect_reduced},
    {"aggregate", aggregate_all, expect_aggregates},
    {"top", top_of_all, expect_top},
    {"distinct", distinct_all, expect_keys},
    {"union", unite, expect_twice},
    {"cache", keep, expect_each_run},
    {"cache-reduced", keep_reduced, expect_reduced_each_run},
    {"iterate", iterate, expect_all},
    {"links", follow_links, expect_links},
    {"zip", zip, expect_indexes},
    {"prefix", sum_up, expect_prefixes},
    {"quantiles", cut, expect_cuts},
};

/* ---- the program ---- */

static int read_parameter(const char *argument)
{
    const struct {
        const char *name;
        uint64_t *number;
        const char **text;
    } all[] = {{"each=", &given.each, NULL},           {"keys=", &given.keys, NULL},
               {"key-bytes=", &given.key_bytes, NULL}, {"value-bytes=", &given.value_bytes, NULL},
               {"runs=", &given.runs, NULL},           {"out=", NULL, &given.out},
               {"linger=", NULL, &given.linger},       {"mark=", NULL, &given.mark}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        size_t length = strlen(all[i].name);
        if (strncmp(argument, all[i].name, length) != 0)
            continue;
        if (all[i].number)
            *all[i].number = strtoull(argument + length, NULL, 10);
        else
            *all[i].text = argument + length;
        return 1;
    }
    return 0;
}

static int say(job_answer right)
{
    printf("count=%" PRIu64 " digest=%" PRIx64 " disorder=%" PRIu64 "\n", found_count, found_digest, found_disorder);
    if (found_count == right.count && found_digest == right.digest && found_disorder == 0)
        return 0;
    fprintf(stderr, "hostile_jobs: wrong answer: count=%" PRIu64 " digest=%" PRIx64 " disorder=0 expected\n",
            right.count, right.digest);
    return 3;
}

static int work(quern_context *context, size_t which, const char *path)
{
    const quern_fixed_options words = {.struct_size = sizeof words, .record_bytes = 8, .schema = {.key = QUERN_U64}};
    job_base job = {context, quern_read_fixed(context, &path, 1, &words)};
    count = quern_counter_create(context, "count");
    digest = quern_counter_create(context, "digest");
    disorder = quern_counter_create(context, "disorder");
    quern_status status = operators[which].run(&job);
    int is_first = quern_context_rank(context) == 0;
    if (status != QUERN_OK && is_first)
        fprintf(stderr, "hostile_jobs: %s\n", quern_context_error_text(context));
    if (status != QUERN_OK || !is_first)
        return quern_exit_status(status);
    job_answer right = {0};
    operators[which].expect(&right);
    return say(right);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    struct stat seeds;
    size_t which = 0;
    int code = 2;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    while (argc >= 3 && which < sizeof operators / sizeof *operators && strcmp(operators[which].name, argv[1]) != 0)
        which++;
    for (int i = 3; i < argc && read_parameter(argv[i]); i++)
        ;
    key_room = malloc(given.key_bytes + 8);
    value_room = malloc(given.value_bytes + 8);
    if (status != QUERN_OK) {
        if (quern_context_rank(NULL) == 0)
            fprintf(stderr, "hostile_jobs: %s\n", quern_context_error_text(NULL));
        code = 1;
    } else if (argc >= 3 && which < sizeof operators / sizeof *operators && key_room && value_room &&
               stat(argv[2], &seeds) == 0) {
        record_count = (uint64_t)seeds.st_size / 8 * given.each;
        code = work(context, which, argv[2]);
    }
    free(key_room);
    free(value_room);
    quern_context_destroy(context);
    return code;
}
