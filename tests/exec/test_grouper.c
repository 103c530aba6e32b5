/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/exec/test_grouper.c: callbacks of groups see each value of their key, in order and as often as they like, in memory or on disk;
 * and what they emit arrives once, however often they fail. What each key has, reads, emits and fails is a function of its number.
 */
#include "runtime/exec/grouper.h"
#include "tests/exec/chain_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#define GROUP_COUNT_MAX 400
#define VALUE_BYTES_MAX 60000

static kit_directory directory;
static qn_error error;
static const quern_schema texts = {QUERN_BYTES, QUERN_BYTES, 0};

static struct world {
    uint32_t group_count;
    uint32_t values_of[2][GROUP_COUNT_MAX]; /* of the left (or only) side, and the right one */
    uint32_t emits_of[GROUP_COUNT_MAX];
    uint32_t fails_of[GROUP_COUNT_MAX];       /* attempts that fail */
    uint32_t fails_after_of[GROUP_COUNT_MAX]; /* so many records were emitted */
    uint32_t reads_of[GROUP_COUNT_MAX];       /* 0: nothing; 1: a part; 2: all; 3: all, twice */
    uint32_t attempts_of[GROUP_COUNT_MAX];
    uint32_t arrived_of[GROUP_COUNT_MAX];
    uint32_t value_pad_bytes, key_pad_bytes;
    uint32_t giant_every; /* value of its number has VALUE_BYTES_MAX bytes */
    quern_join_type join_type;
    uint32_t last_group; /* that arrived */
    uint64_t batch_count, fail_batch_at, wrong_count;
    uint64_t pair_count; /* calls of the join's */
    bool damages;
    bool checks;      /* check mode: a callback that does not fail is called a second time */
    bool fails_again; /* and then fails, for once */
    uint64_t sum;     /* of what the counter was given in attempts that did not fail */
    struct quern_counter counter;
} world;

static qn_collator collator, beside;
static int beside_side; /* the input that is in `beside`; -1: none */
static uint32_t outer_input;
static qn_comm comm;
static qn_node node;
static qn_chain chain;
static qn_grouper *grouper;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    memset(&world, 0, sizeof world);
    world.last_group = UINT32_MAX;
    beside_side = -1;
    outer_input = 0;
}

static void tear_down(void)
{
    qn_grouper_destroy(grouper);
    grouper = NULL;
    qn_chain_fini(&chain);
    qn_collator_fini(&collator);
    qn_collator_fini(&beside);
    kit_remove_directory(&directory);
}

/* ---- keys and values by their numbers ---- */

static uint8_t key_memory[VALUE_BYTES_MAX + 64], value_memory[VALUE_BYTES_MAX + 64];

static quern_span key_of(uint32_t group)
{
    memset(key_memory, 'k', world.key_pad_bytes);
    int digits = sprintf((char *)key_memory + world.key_pad_bytes, "%06u", group);
    return quern_bytes(key_memory, world.key_pad_bytes + (size_t)digits);
}

static uint32_t number_at(const void *digits)
{
    char text[7] = "";
    memcpy(text, digits, 6);
    return (uint32_t)strtoul(text, NULL, 10);
}

static uint32_t group_of(quern_span key)
{
    return number_at((const uint8_t *)key.data + key.bytes - 6);
}

static quern_span value_of(uint32_t number)
{
    size_t bytes = world.giant_every > 0 && number % world.giant_every == 1 ? VALUE_BYTES_MAX : world.value_pad_bytes;
    int digits = sprintf((char *)value_memory, "%06u", number);
    memset(value_memory + digits, 'v', bytes);
    return quern_bytes(value_memory, bytes + (size_t)digits);
}

static bool is_value(quern_span got, uint32_t number)
{
    quern_span wanted = value_of(number);
    return got.bytes == wanted.bytes && memcmp(got.data, wanted.data, got.bytes) == 0;
}

/* ---- callbacks ---- */

/* A byte in the middle of each scratch file. */
static void damage_scratch(void)
{
    DIR *fds = opendir("/proc/self/fd");
    for (struct dirent *entry; (entry = readdir(fds));) {
        char link[300], path[300];
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t bytes = readlink(path, link, sizeof link - 1);
        if (bytes <= 0 || strncmp(link, directory.path, strlen(directory.path)) != 0)
            continue;
        int fd = open(path, O_RDWR | O_CLOEXEC);
        off_t size = lseek(fd, 0, SEEK_END);
        uint8_t damage[64];
        memset(damage, 0x5a, sizeof damage);
        for (off_t at = 100; at < size; at += 4096)
            if (pwrite(fd, damage, sizeof damage, at) < 0)
                ck_abort_msg("cannot damage the scratch file");
        close(fd);
    }
    closedir(fds);
}

/* Reads `most` values; all of them must be the next ones of the model. */
static int read_values(quern_values *values, uint32_t all, uint32_t most)
{
    quern_span value;
    for (uint32_t i = 0; i < most; i++) {
        int more = quern_values_next(values, &value);
        if (more < 0)
            return more;
        if (more != (i < all) || (more && !is_value(value, i)))
            ck_abort_msg("value %u of %u is another", i, all);
        if (!more)
            break;
    }
    return 0;
}

static int read_as_told(quern_values *values, uint32_t group, uint32_t all)
{
    int code = 0;
    if (world.reads_of[group] == 1)
        return read_values(values, all, all / 2);
    if (world.reads_of[group] >= 2)
        code = read_values(values, all, all + 2);
    if (code == 0 && world.reads_of[group] == 3) {
        if (world.damages)
            damage_scratch();
        code = quern_values_rewind(values);
        code = code != 0 ? code : read_values(values, all, all / 3);
        code = code != 0 ? code : quern_values_rewind(values);
        code = code != 0 ? code : read_values(values, all, all + 1);
    }
    return code;
}

static int emit_as_told(quern_span key, uint32_t group, quern_emitter *out)
{
    uint32_t attempt = world.attempts_of[group]++;
    bool fails = attempt < world.fails_of[group] || (world.fails_again && attempt == world.fails_of[group] + 1);
    for (uint64_t i = 0;; i++) {
        world.counter.pending += 1;
        if (fails && i == world.fails_after_of[group])
            return 77;
        if (i == world.emits_of[group])
            break;
        if (quern_emit(out, key, quern_of_u64(&i)) != 0)
            return -1;
    }
    world.sum += 1 + world.emits_of[group];
    return 0;
}

static int group_fn(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    uint32_t group = group_of(key);
    (void)user;
    int code = read_as_told(values, group, world.values_of[0][group]);
    return code != 0 ? code : emit_as_told(key, group, out);
}

static int cogroup_fn(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    uint32_t group = group_of(key);
    (void)user;
    int code = read_as_told(left, group, world.values_of[0][group]);
    code = code != 0 ? code : read_as_told(right, group, world.values_of[1][group]);
    return code != 0 ? code : emit_as_told(key, group, out);
}

/* The numbers of both values in one, with 1 more so that 0 is none. */
static int join_fn(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out, void *user)
{
    uint32_t group = group_of(key);
    uint64_t pair = left ? (uint64_t)number_at(left->data) + 1 : 0;
    (void)user;
    world.pair_count++;
    pair = pair << 32 | (right ? number_at(right->data) + 1 : 0);
    if ((left && !is_value(*left, (uint32_t)(pair >> 32) - 1)) || (right && !is_value(*right, (uint32_t)pair - 1)))
        world.wrong_count++;
    world.counter.pending++;
    bool fails = pair % 5 == 3 && world.attempts_of[group] < world.fails_of[group];
    world.attempts_of[group] += fails;
    if (fails && pair % 2)
        return 77;
    int code = quern_emit(out, key, quern_of_u64(&pair));
    return fails ? 78 : code;
}

/* ---- the end ---- */

/* What pairs the join makes of a group, in order: of the outer side first. NULL: only how many. */
static uint32_t model_pairs(uint32_t group, uint64_t *pairs)
{
    uint32_t left = world.values_of[0][group], right = world.values_of[1][group], count = 0;
    quern_join_type type = world.join_type;
    bool alone =
        left > 0 && right == 0 && (type == QUERN_JOIN_LEFT || type == QUERN_JOIN_FULL || type == QUERN_JOIN_ANTI);
    bool semi = type == QUERN_JOIN_SEMI && left > 0 && right > 0;
    bool right_alone = left == 0 && (type == QUERN_JOIN_RIGHT || type == QUERN_JOIN_FULL);
    if (alone || semi)
        right = 1;
    else if (right_alone)
        left = 1;
    else if (type == QUERN_JOIN_ANTI || type == QUERN_JOIN_SEMI)
        left = 0;
    uint32_t all = left * right, inner = outer_input == 0 ? right : left;
    for (; count < all; count++) {
        uint32_t first = count / inner + 1, second = count % inner + 1;
        uint64_t l = outer_input == 0 ? first : second, r = outer_input == 0 ? second : first;
        if (pairs)
            pairs[count] = (right_alone ? 0 : l) << 32 | (alone || semi ? 0 : r);
    }
    return count;
}

static uint64_t expected_record(uint32_t group, uint32_t number)
{
    static uint64_t pairs[100000];
    static uint32_t pairs_of = UINT32_MAX;
    if (node.kind != QN_NODE_JOIN)
        return number;
    if (pairs_of != group || number == 0)
        model_pairs(group, pairs);
    pairs_of = group;
    return pairs[number];
}

static quern_status arrive(void *user, const qn_batch *batch, qn_error *failure)
{
    (void)user;
    if (++world.batch_count == world.fail_batch_at)
        return qn_error_set(failure, QUERN_ERROR_OUTPUT, 0, "the end failed");
    for (size_t i = 0; i < batch->block.count; i++) {
        quern_record record = qn_batch_record(batch, i);
        uint32_t group = group_of(record.key);
        bool is_first = group != world.last_group;
        if (is_first && world.arrived_of[group] > 0)
            ck_abort_msg("group %u comes twice", group);
        world.wrong_count += quern_u64(record.value) != expected_record(group, world.arrived_of[group]++);
        world.last_group = group;
    }
    return QUERN_OK;
}

/* ---- running ---- */

static void insert(uint32_t group, uint32_t number, uint32_t input)
{
    qn_collator *into = (int)input == beside_side ? &beside : &collator;
    quern_span key = key_of(group), value = value_of(number);
    uint32_t key_bytes = (uint32_t)key.bytes, value_bytes = (uint32_t)value.bytes;
    qn_batch batch = {.block = {1, &key.data, &key_bytes, &value.data, &value_bytes}};
    size_t next = 0;
    kit_assert_ok(qn_collator_insert(into, &batch, input, &next, &error), &error);
}

static void end_collator(qn_collator *filled)
{
    kit_assert_ok(qn_collator_end(filled, &error), &error);
    kit_assert_ok(qn_collator_rewind(filled, &error), &error);
}

static void open_collator(qn_node_kind kind, uint64_t pool_bytes)
{
    bool has_two = kind == QN_NODE_COGROUP || kind == QN_NODE_JOIN, sides = has_two && beside_side < 0;
    comm = (qn_comm){.size = 1, .node_count = 1, .node_size = 1};
    qn_collator_config config = {
        .comm = &comm,
        .collation = {.kind = QN_COLLATE_BY_HASH, .layout = qn_layout_of(&texts, sides ? &texts : NULL, true)},
        .division = sides ? QN_DIVIDE_OUTER : QN_DIVIDE_KEYS,
        .outer_input = outer_input,
        .pool_bytes = pool_bytes,
        .block_bytes = 8192,
        .scratch.directory = directory.path,
    };
    kit_assert_ok(qn_collator_init(&collator, &config, &error), &error);
    if (beside_side >= 0)
        kit_assert_ok(qn_collator_init(&beside, &config, &error), &error);
    for (uint32_t input = 0; input <= has_two; input++) /* from the last value to the first */
        for (uint32_t left = 1, number = 200000; left > 0; number--) {
            left = number;
            for (uint32_t group = 0; group < world.group_count; group++)
                if (number < world.values_of[input][group])
                    insert(group, number, input);
        }
    end_collator(&collator);
    if (beside_side >= 0)
        end_collator(&beside);
}

static void open_grouper(qn_node_kind kind, uint64_t pool_bytes, uint64_t kept_bytes_max, uint32_t attempts)
{
    const qn_node *operators[] = {&node};
    node = (qn_node){
        .kind = kind,
        .name = "tested",
        .schema = {QUERN_BYTES, QUERN_U64, 0},
    };
    if (kind == QN_NODE_JOIN)
        node.of.join_type = world.join_type;
    else
        node.of.k = 1000000;
    if (kind == QN_NODE_GROUP)
        node.fn.group = group_fn;
    else if (kind == QN_NODE_COGROUP)
        node.fn.cogroup = cogroup_fn;
    else
        node.fn.join = join_fn;
    open_collator(kind, pool_bytes);
    kit_assert_ok(qn_chain_init(&chain, operators, 1, &world.counter, arrive, NULL, &error), &error);
    if (world.checks)
        kit_assert_ok(qn_chain_check(&chain, NULL, NULL, &error), &error);
    qn_grouper_config config = {.node = &node,
                                .collator = &collator,
                                .beside = beside_side < 0 ? NULL : &beside,
                                .beside_side = beside_side == (int)outer_input ? QN_SIDE_OUTER : QN_SIDE_INNER,
                                .chain = &chain,
                                .attempt_count_max = attempts,
                                .kept_bytes_max = kept_bytes_max};
    kit_assert_ok(qn_grouper_create(&grouper, &config, &error), &error);
}

static quern_status run(void)
{
    bool more = true;
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && more)
        status = qn_grouper_next(grouper, &more, &error);
    return status == QUERN_OK ? qn_chain_end_turns(&chain, qn_grouper_get_reads(grouper).record_count, &error) : status;
}

static void check_all_arrived(void)
{
    uint64_t read = 0, emitted = 0, called_twice = 0, failed = 0;
    for (uint32_t group = 0; group < world.group_count; group++) {
        uint32_t wanted = node.kind == QN_NODE_JOIN ? model_pairs(group, NULL) : world.emits_of[group];
        read += world.values_of[0][group] + world.values_of[1][group];
        emitted += wanted;
        if (world.arrived_of[group] != wanted)
            ck_abort_msg("%u of %u records of group %u arrived", world.arrived_of[group], wanted, group);
        if (node.kind != QN_NODE_JOIN && !world.checks)
            ck_assert_uint_eq(world.attempts_of[group], world.fails_of[group] + 1);
        called_twice += world.attempts_of[group] == world.fails_of[group] + (world.fails_again ? 4 : 2);
        failed += node.kind == QN_NODE_JOIN ? world.attempts_of[group] : world.fails_of[group];
    }
    if (!world.checks) /* what is called twice may fail the second time as well */
        ck_assert_uint_eq(chain.turn_attempts_failed, failed);
    ck_assert_uint_eq(world.wrong_count, 0);
    ck_assert_uint_eq(qn_grouper_get_reads(grouper).record_count, read);
    qn_edge_stats edge = qn_chain_edge(&chain, 0);
    ck_assert_uint_eq(edge.records_in, read);
    ck_assert_uint_eq(edge.records_out, emitted);
    ck_assert_uint_eq(chain.end_records, emitted);
    if (world.checks && node.kind != QN_NODE_JOIN) {
        ck_assert_int_eq(world.counter.sum, (int64_t)(world.group_count + emitted));
        ck_assert_uint_ge(called_twice, world.group_count < 16 ? world.group_count : 16);
    } else if (node.kind != QN_NODE_JOIN)
        ck_assert_int_eq(world.counter.sum, (int64_t)world.sum);
    else
        ck_assert_int_eq(world.counter.sum, (int64_t)emitted);
}

/* Random groups with 1 to value_count_max values. */
static void make_groups(uint32_t count, uint32_t value_count_max, bool both, uint64_t *state)
{
    static const uint32_t emits[] = {0, 1, 2, 600, 5000};
    static const uint32_t most[] = {1, 3, 100, 100};
    memset(&world, 0, sizeof world);
    world.last_group = UINT32_MAX;
    world.group_count = count;
    for (uint32_t group = 0; group < count; group++) {
        world.values_of[0][group] = 1 + (uint32_t)kit_random_below(state, value_count_max);
        if (both) {
            bool neither = kit_random_below(state, 2);
            world.values_of[1][group] = neither ? 0 : 1 + (uint32_t)kit_random_below(state, value_count_max);
            world.values_of[0][group] *= neither || kit_random_below(state, 3) > 0;
        }
        world.emits_of[group] = emits[kit_random_below(state, count > 50 ? 4 : 5)];
        world.fails_of[group] = kit_random_below(state, 2) ? (uint32_t)kit_random_below(state, 4) : 0;
        world.reads_of[group] = (uint32_t)kit_random_below(state, 4);
        uint32_t bound = most[kit_random_below(state, 4)];
        uint32_t after = kit_random_below(state, 3) ? world.emits_of[group] : (uint32_t)kit_random_below(state, bound);
        world.fails_after_of[group] = after < world.emits_of[group] ? after : world.emits_of[group];
    }
}

static void run_and_check(qn_node_kind kind, uint64_t pool_bytes, uint64_t kept_bytes_max)
{
    open_grouper(kind, pool_bytes, kept_bytes_max, 4);
    kit_assert_ok(run(), &error);
    check_all_arrived();
    qn_grouper_destroy(grouper);
    grouper = NULL;
    qn_chain_fini(&chain);
    qn_collator_fini(&collator);
    qn_collator_fini(&beside);
}

/* ---- tests ---- */

START_TEST(groups_are_read_as_callbacks_like_and_what_they_emit_arrives_once)
{
    uint64_t state = 21;
    for (int round = 0; round < 24; round++) {
        bool spills = round % 2, kept_on_disk = round % 3 == 0;
        qn_node_kind kind = round % 4 < 2 ? QN_NODE_GROUP : QN_NODE_COGROUP;
        make_groups(5 + (uint32_t)kit_random_below(&state, 90), round % 5 ? 40 : 700, kind == QN_NODE_COGROUP, &state);
        world.value_pad_bytes = (uint32_t)kit_random_below(&state, 60);
        run_and_check(kind, spills ? 32 << 10 : 64 << 20, kept_on_disk ? 600 : 1 << 20);
    }
}
END_TEST

START_TEST(giant_keys_and_values_are_kept_in_memory_and_on_disk)
{
    uint64_t state = 22;
    for (int round = 0; round < 4; round++) {
        make_groups(6, 25, round % 2, &state);
        world.giant_every = 5;
        world.key_pad_bytes = 20000;
        run_and_check(round % 2 ? QN_NODE_COGROUP : QN_NODE_GROUP, round < 2 ? 64 << 20 : 64 << 10,
                      round < 2 ? 64 << 20 : 4000);
    }
}
END_TEST

START_TEST(a_group_of_two_hundred_thousand_values_is_read_twice)
{
    world.group_count = 1;
    world.values_of[0][0] = 200000;
    world.reads_of[0] = 3;
    world.emits_of[0] = 100000;
    world.fails_of[0] = 2;
    world.fails_after_of[0] = 99999;
    run_and_check(QN_NODE_GROUP, 1 << 20, 1 << 16);
}
END_TEST

START_TEST(joins_pair_each_left_value_with_each_right_one_though_callbacks_fail)
{
    uint64_t state = 23;
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++)
        for (int round = 0; round < 4; round++) {
            bool spills = round % 2;
            outer_input = (uint32_t)round / 2;
            make_groups(60, spills ? 30 : 12, true, &state);
            world.join_type = (quern_join_type)type;
            run_and_check(QN_NODE_JOIN, spills ? 32 << 10 : 64 << 20, spills ? 300 : 1 << 20);
        }
}
END_TEST

START_TEST(two_results_side_by_side_are_read_as_one_with_both_sides)
{
    uint64_t state = 24;
    for (int round = 0; round < 24; round++) {
        bool spills = round / 2 % 2;
        make_groups(5 + (uint32_t)kit_random_below(&state, 60), 20, true, &state);
        for (uint32_t group = 0; round % 5 == 4 && group < world.group_count; group++)
            world.values_of[round % 2][group] = 0, world.values_of[1 - round % 2][group] += 1; /* a side is empty */
        beside_side = round % 2;
        outer_input = round % 3 ? (uint32_t)kit_random_below(&state, 2) : 0;
        world.join_type = (quern_join_type)(QUERN_JOIN_INNER + round % 6);
        run_and_check(round % 3 ? QN_NODE_JOIN : QN_NODE_COGROUP, spills ? 32 << 10 : 64 << 20, spills ? 300 : 1 << 20);
    }
}
END_TEST

START_TEST(a_callback_that_always_fails_ends_the_job_and_its_key_is_named)
{
    for (uint32_t emits = 0; emits <= 5000; emits += 1250) {
        memset(&world, 0, sizeof world);
        world.group_count = 3;
        for (uint32_t group = 0; group < 3; group++) {
            world.values_of[0][group] = 2;
            world.emits_of[group] = emits;
            world.fails_of[group] = group == 1 ? 9 : 0;
            world.fails_after_of[group] = emits;
        }
        open_grouper(QN_NODE_GROUP, 1 << 20, 1 << 20, 3);
        ck_assert_int_eq(run(), QUERN_ERROR_CALLBACK);
        ck_assert_uint_eq(world.attempts_of[1], 3);
        ck_assert_msg(strstr(error.text, "000001") && strstr(error.text, "'tested' returned 77"), "%s", error.text);
        tear_down();
        kit_make_directory(&directory);
        qn_error_clear(&error);
    }
}
END_TEST

START_TEST(a_failure_of_the_end_is_passed_on_and_nothing_is_tried_again)
{
    for (uint64_t batch = 1; batch <= 12; batch++) {
        memset(&world, 0, sizeof world);
        world.last_group = UINT32_MAX;
        world.group_count = 4;
        for (uint32_t group = 0; group < 4; group++) {
            world.values_of[0][group] = 1;
            world.emits_of[group] = 1500;
        }
        world.fail_batch_at = batch;
        open_grouper(QN_NODE_GROUP, 1 << 20, 1 << 20, 3);
        ck_assert_int_eq(run(), QUERN_ERROR_OUTPUT);
        for (uint32_t group = 0; group < 4; group++)
            ck_assert_uint_le(world.attempts_of[group], 1);
        ck_assert_msg(!strstr(error.text, "key"), "%s", error.text);
        tear_down();
        kit_make_directory(&directory);
        qn_error_clear(&error);
    }
}
END_TEST

START_TEST(damaged_values_on_disk_are_an_error_and_not_the_callbacks)
{
    world.group_count = 1;
    world.values_of[0][0] = 5000;
    world.value_pad_bytes = 20;
    world.reads_of[0] = 3;
    world.emits_of[0] = 1;
    world.damages = true;
    open_grouper(QN_NODE_GROUP, 64 << 20, 2000, 3);
    quern_status status = run();
    ck_assert_msg(status == QUERN_ERROR_SCRATCH || status == QUERN_ERROR_CORRUPT, "%d %s", (int)status, error.text);
    ck_assert_uint_eq(world.attempts_of[0], 0);
}
END_TEST

/* The end of the groups' chain is another one, whose callbacks count and fail too. */
static int count_and_fail_once(const quern_record *in, quern_record *out, void *user)
{
    static uint32_t calls;
    (void)user;
    world.counter.pending += 1000000;
    *out = *in;
    return ++calls % 700 == 0;
}

static quern_status pass_to_second(void *user, const qn_batch *batch, qn_error *failure)
{
    qn_chain *second = user;
    uint64_t skip = 0;
    while (qn_chain_run(second, batch, skip, failure) != QUERN_OK) {
        if (!second->callback_failed)
            return failure->status;
        skip = second->delivered > skip ? second->delivered : skip;
        qn_error_clear(failure);
    }
    return QUERN_OK;
}

START_TEST(counters_count_each_turn_and_each_block_behind_it_once)
{
    const qn_node map = {
        .kind = QN_NODE_MAP, .name = "map", .schema = {QUERN_BYTES, QUERN_U64, 0}, .fn.map = count_and_fail_once};
    const qn_node *operators[] = {&map};
    qn_chain second = {0};
    uint64_t state = 24, emitted = 0;
    make_groups(20, 5, false, &state);
    open_grouper(QN_NODE_GROUP, 1 << 20, 1 << 20, 4);
    kit_assert_ok(qn_chain_init(&second, operators, 1, &world.counter, arrive, NULL, &error), &error);
    chain.end = pass_to_second;
    chain.end_user = &second;
    kit_assert_ok(run(), &error);
    for (uint32_t group = 0; group < world.group_count; group++)
        emitted += world.emits_of[group];
    ck_assert_uint_gt(emitted, 5000);
    ck_assert_int_eq(world.counter.sum, (int64_t)(world.sum + 1000000 * emitted));
    qn_chain_fini(&second);
}
END_TEST

/* ---- check mode ---- */

START_TEST(in_check_mode_the_same_records_arrive_once_and_count_once)
{
    uint64_t state = 31;
    for (int round = 0; round < 12; round++) {
        bool kept_on_disk = round % 3 == 0;
        qn_node_kind kind = round % 4 < 2 ? QN_NODE_GROUP : QN_NODE_COGROUP;
        make_groups(5 + (uint32_t)kit_random_below(&state, 60), 40, kind == QN_NODE_COGROUP, &state);
        for (uint32_t group = 0; group < world.group_count; group++)
            world.fails_of[group] = world.fails_of[group] > 2 ? 2 : world.fails_of[group];
        world.checks = true;
        world.fails_again = !kept_on_disk && round % 2;
        run_and_check(kind, round % 2 ? 32 << 10 : 64 << 20, kept_on_disk ? 600 : 1 << 20);
    }
    for (int type = QUERN_JOIN_INNER; type <= QUERN_JOIN_ANTI; type++) {
        make_groups(60, 12, true, &state);
        world.checks = true;
        world.join_type = (quern_join_type)type;
        run_and_check(QN_NODE_JOIN, 64 << 20, 1 << 20);
    }
}
END_TEST

START_TEST(a_join_of_thousands_repeats_a_part_of_its_pairs)
{
    world.group_count = 1;
    world.values_of[0][0] = 3;
    world.values_of[1][0] = 5000;
    world.join_type = QUERN_JOIN_INNER;
    world.checks = true;
    run_and_check(QN_NODE_JOIN, 64 << 20, 1 << 20);
    ck_assert_uint_eq(world.pair_count, 3 * (5000 + QN_TURN_CALLS_MAX));
}
END_TEST

static uint64_t call_count;

static int emit_call_count(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    (void)values;
    (void)user;
    call_count++;
    return quern_emit(out, key, quern_of_u64(&call_count));
}

static int emit_ever_more(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    uint64_t one = 1;
    int code = 0;
    (void)values;
    (void)user;
    call_count++;
    for (uint64_t i = 0; i < call_count && code == 0; i++)
        code = quern_emit(out, key, quern_of_u64(&one));
    return code;
}

static int change_value(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    quern_span value;
    (void)key;
    (void)out;
    (void)user;
    while (quern_values_next(values, &value) > 0)
        *(char *)(uintptr_t)value.data ^= 1;
    return 0;
}

static int change_key(quern_span key, quern_values *values, quern_emitter *out, void *user)
{
    (void)values;
    (void)out;
    (void)user;
    *(char *)(uintptr_t)key.data ^= 1;
    return 0;
}

static int cogroup_by_calls(quern_span key, quern_values *left, quern_values *right, quern_emitter *out, void *user)
{
    (void)right;
    return emit_call_count(key, left, out, user);
}

static int join_by_calls(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out,
                         void *user)
{
    (void)left;
    (void)right;
    return emit_call_count(key, NULL, out, user);
}

static int join_changing(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *out,
                         void *user)
{
    (void)key;
    (void)out;
    (void)user;
    *(char *)(uintptr_t)(right ? right : left)->data ^= 1;
    return 0;
}

static quern_status swallow(void *user, const qn_batch *batch, qn_error *failure)
{
    (void)user;
    (void)batch;
    (void)failure;
    return QUERN_OK;
}

static void expect_found(const qn_node *of, const char *part, bool on_disk)
{
    memset(&world, 0, sizeof world);
    world.group_count = 3;
    world.values_of[0][0] = world.values_of[0][1] = world.values_of[0][2] = 60;
    world.values_of[1][1] = 4;
    world.join_type = QUERN_JOIN_LEFT;
    world.checks = true;
    call_count = 0;
    open_grouper(of->kind, 1 << 20, on_disk ? 200 : 1 << 20, 3);
    node.fn = of->fn;
    chain.end = swallow;
    ck_assert_msg(run() == QUERN_ERROR_CHECK, "not found: %s", part);
    ck_assert_msg(strstr(error.text, "the callback of 'tested' ") == error.text, "%s", error.text);
    ck_assert_msg(strstr(error.text, part) && strstr(error.text, ", on the group with key \""), "%s", error.text);
    ck_assert(!chain.callback_failed);
    tear_down();
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

START_TEST(a_callback_of_groups_that_breaks_its_promise_is_named_with_the_key)
{
    const char *const other = "gave other records for the same input when it was called again";
    const char *const changed = "changed a key or a value that it was given";
    for (int on_disk = 0; on_disk < 2; on_disk++) {
        expect_found(&(qn_node){.kind = QN_NODE_GROUP, .fn.group = emit_call_count}, other, on_disk);
        expect_found(&(qn_node){.kind = QN_NODE_GROUP, .fn.group = emit_ever_more},
                     "gave 1 records for an input, and 2 for the same when it was called again", on_disk);
        expect_found(&(qn_node){.kind = QN_NODE_GROUP, .fn.group = change_key}, changed, on_disk);
        expect_found(&(qn_node){.kind = QN_NODE_COGROUP, .fn.cogroup = cogroup_by_calls}, other, on_disk);
        expect_found(&(qn_node){.kind = QN_NODE_JOIN, .fn.join = join_by_calls}, other, on_disk);
    }
    expect_found(&(qn_node){.kind = QN_NODE_GROUP, .fn.group = change_value}, changed, false);
    expect_found(&(qn_node){.kind = QN_NODE_JOIN, .fn.join = join_changing}, changed, false);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        groups_are_read_as_callbacks_like_and_what_they_emit_arrives_once,
        giant_keys_and_values_are_kept_in_memory_and_on_disk,
        a_group_of_two_hundred_thousand_values_is_read_twice,
        joins_pair_each_left_value_with_each_right_one_though_callbacks_fail,
        two_results_side_by_side_are_read_as_one_with_both_sides,
        a_callback_that_always_fails_ends_the_job_and_its_key_is_named,
        a_failure_of_the_end_is_passed_on_and_nothing_is_tried_again,
        damaged_values_on_disk_are_an_error_and_not_the_callbacks,
        counters_count_each_turn_and_each_block_behind_it_once,
        in_check_mode_the_same_records_arrive_once_and_count_once,
        a_join_of_thousands_repeats_a_part_of_its_pairs,
        a_callback_of_groups_that_breaks_its_promise_is_named_with_the_key,
    };
    return kit_run_tests("grouper", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
