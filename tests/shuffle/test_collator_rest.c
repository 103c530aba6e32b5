/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/shuffle/test_collator_rest.c: what collators that rest have saved is all that was inserted, each record once, however often they rest; other ranks,
 * fewer or more, restore it and go on as if they had inserted it.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/shuffle/collatorkit.h"

#define REST_COUNT_MAX 4
#define FILES_MAX      (4 * RING_SIZE_MAX)

#ifdef __SANITIZE_ADDRESS__
#define LIFE_COUNT 8
#else
#define LIFE_COUNT 60
#endif

/* A file, and who made it when. */
typedef struct file_of {
    qn_saved saved;
    uint64_t life;
    uint32_t by;
} file_of;

/* What a line of the journal says. */
static struct epoch {
    uint32_t size;
    file_of files[FILES_MAX];
    uint32_t file_count;
    size_t next[RING_SIZE_MAX]; /* of each rank's input */
} epoch;

static uint64_t life;           /* of the job */
static file_of kept[FILES_MAX]; /* of earlier lives, that this one goes on with */
static uint32_t kept_count;

static void make_path(char *path, size_t bytes, uint64_t of, uint32_t by)
{
    snprintf(path, bytes, "%s/saved-%llu-%u", directory.path, (unsigned long long)of, by);
}

/* All that was inserted is where it belongs, or held. */
static void come_to_rest(void)
{
    bool has_rounds = world.announced;
    for (uint32_t r = 0; r < ring.size; r++)
        qn_collator_rest(&world.ranks[r].collator, has_rounds);
    if (has_rounds)
        announce(UINT64_MAX);
    while (!all_are_over()) {
        uint64_t ask;
        qn_collator *collator = &world.ranks[kit_random_below(&world.state, ring.size)].collator;
        kit_assert_ok(qn_collator_progress(collator, &ask, &error), &error);
    }
}

/* Until all ranks have inserted a random part of what is left, and all of that is where it belongs, or held. */
static void rest_world(void)
{
    bool busy = true;
    for (uint32_t r = 0; r < ring.size; r++) {
        rank *me = &world.ranks[r];
        me->stop = me->next + kit_random_below(&world.state, me->input.count - me->next + 1);
    }
    for (uint64_t turns = 0; busy; turns++) {
        busy = false;
        ck_assert_uint_lt(turns, TURN_COUNT_MAX);
        for (uint32_t r = 0; r < ring.size; r++)
            busy |= world.ranks[r].next < world.ranks[r].stop;
        rank *me = &world.ranks[kit_random_below(&world.state, ring.size)];
        bool was_ended = me->ended;
        me->ended = true; /* it is not to end of itself */
        turn(me);
        me->ended = was_ended;
    }
    come_to_rest();
}

static uint64_t file_bytes(uint32_t by)
{
    char path[300];
    struct stat about;
    make_path(path, sizeof path, life, by);
    ck_assert_int_eq(stat(path, &about), 0);
    return (uint64_t)about.st_blocks * 512;
}

/* noted: the journal got its line. */
static void save_world(bool noted)
{
    struct epoch now = {.size = ring.size, .file_count = ring.size + kept_count};
    memcpy(now.files + ring.size, kept, kept_count * sizeof *kept);
    for (uint32_t r = 0; r < ring.size; r++) {
        char path[300];
        make_path(path, sizeof path, life, r);
        kit_assert_ok(qn_collator_save(&world.ranks[r].collator, path, &now.files[r].saved, &error), &error);
        now.files[r].life = life;
        now.files[r].by = r;
        ck_assert_uint_eq(qn_sorter_get_unsaved_bytes(world.ranks[r].collator.sorter), 0);
        now.next[r] = world.ranks[r].next;
    }
    if (noted)
        epoch = now;
    for (uint32_t r = 0; r < ring.size; r++)
        qn_collator_reopen(&world.ranks[r].collator);
}

static void unpack_inputs(void)
{
    for (uint32_t r = 0; r < ring.size; r++)
        kit_unpack(&world.ranks[r].input, &world.collation.layout);
}

static void append_packed(kit_packed *to, const qn_packed *record)
{
    uint64_t bytes = qn_packed_bytes(&world.collation.layout, record->key_bytes, record->value_bytes);
    qn_packed_encode(&world.collation.layout, record, kit_grow(to, bytes));
    to->used_bytes += bytes;
    to->count++;
}

/* The inputs of the life that ends: what was saved of them, and the rest, dealt out to `size` ranks. */
static void divide_inputs(kit_packed *before, kit_packed *left, uint32_t size, uint64_t *state)
{
    for (size_t i = 0; i < world.before.count; i++)
        append_packed(before, &world.before.items[i]);
    for (uint32_t r = 0; r < epoch.size; r++)
        for (size_t i = 0; i < world.ranks[r].input.count; i++)
            append_packed(i < epoch.next[r] ? before : &left[kit_random_below(state, size)],
                          &world.ranks[r].input.items[i]);
}

/* ---- another life ---- */

/* What a rank has to restore: parts of files, one after the other. */
typedef struct task {
    uint32_t file, part, part_count;
    uint32_t by;
} task;

static task tasks[FILES_MAX * RING_SIZE_MAX];
static size_t task_count;

static void deal_out_files(uint64_t *state)
{
    task_count = 0;
    for (uint32_t file = 0; file < epoch.file_count; file++) {
        uint32_t part_count = 1 + (uint32_t)kit_random_below(state, ring.size);
        for (uint32_t part = 0; part < part_count; part++)
            tasks[task_count++] = (task){file, part, part_count, (uint32_t)kit_random_below(state, ring.size)};
    }
}

static void open_file(uint32_t file, char *path, size_t path_bytes, qn_pieces_reader *reader)
{
    const file_of *of = &epoch.files[file];
    make_path(path, path_bytes, of->life, of->by);
    kit_assert_ok(qn_pieces_verify(path, &of->saved, NULL, &error), &error);
    kit_assert_ok(qn_pieces_reader_open(reader, path, &of->saved, NULL, 16384, &error), &error);
}

static void expect_files(void)
{
    for (size_t i = 0; i < task_count; i++) {
        char path[300];
        qn_pieces_reader reader;
        const uint8_t *records = NULL;
        uint64_t bytes = 0, sampled_bytes = 0;
        const qn_saved *saved = &epoch.files[tasks[i].file].saved;
        qn_collator *collator = &world.ranks[tasks[i].by].collator;
        if (tasks[i].part != 0 || saved->record_count == 0)
            continue;
        open_file(tasks[i].file, path, sizeof path, &reader);
        qn_pieces_reader_begin_sample(&reader);
        qn_collator_expect(collator, NULL, 0, saved->record_count);
        do {
            kit_assert_ok(qn_pieces_reader_next(&reader, &records, &bytes, &error), &error);
            qn_collator_expect(collator, records, bytes, 0);
            sampled_bytes += bytes;
        } while (bytes > 0);
        ck_assert_uint_eq(sampled_bytes, qn_pieces_reader_get_sample_bytes(&reader));
        qn_pieces_reader_close(&reader);
    }
}

/* A rank's part in restoring. */
typedef struct restorer {
    size_t next; /* of the tasks */
    bool open;
    qn_pieces_reader reader;
    char path[300];
    const uint8_t *records;
    uint64_t bytes, at;
} restorer;

static restorer restorers[RING_SIZE_MAX];

/* False: it is through. */
static bool restore_some(uint32_t r)
{
    restorer *me = &restorers[r];
    if (me->at < me->bytes) {
        kit_assert_ok(qn_collator_restore(&world.ranks[r].collator, me->records, me->bytes, &me->at, &error), &error);
        return true;
    }
    if (me->open) {
        me->at = 0;
        kit_assert_ok(qn_pieces_reader_next(&me->reader, &me->records, &me->bytes, &error), &error);
        if (me->bytes > 0)
            return true;
        qn_pieces_reader_close(&me->reader);
        me->open = false;
    }
    while (me->next < task_count && tasks[me->next].by != r)
        me->next++;
    if (me->next == task_count)
        return false;
    const task *of = &tasks[me->next++];
    open_file(of->file, me->path, sizeof me->path, &me->reader);
    qn_pieces_reader_begin(&me->reader, of->part, of->part_count);
    return me->open = true;
}

static void restore_files(void)
{
    bool busy[RING_SIZE_MAX];
    uint32_t busy_count = ring.size;
    memset(busy, true, sizeof busy);
    memset(restorers, 0, sizeof restorers);
    for (uint64_t turns = 0; busy_count > 0; turns++) {
        uint64_t ask;
        uint32_t r = (uint32_t)kit_random_below(&world.state, ring.size);
        ck_assert_uint_lt(turns, TURN_COUNT_MAX);
        bool was_busy = busy[r];
        busy[r] = busy[r] && restore_some(r);
        busy_count -= was_busy && !busy[r];
        kit_assert_ok(qn_collator_progress(&world.ranks[r].collator, &ask, &error), &error);
        if (ask != UINT64_MAX)
            announce(ask);
    }
}

/* What is restored need not be written again. */
static void keep_files(void)
{
    come_to_rest();
    for (uint32_t r = 0; r < ring.size; r++) {
        char path[300];
        make_path(path, sizeof path, life, r);
        kit_assert_ok(qn_collator_keep(&world.ranks[r].collator, path, &error), &error);
        qn_collator_reopen(&world.ranks[r].collator);
    }
    memcpy(kept, epoch.files, epoch.file_count * sizeof *kept);
    kept_count = epoch.file_count;
}

/* The job dies, and goes on with other ranks. */
static void begin_again(const kit_shape *shape, qn_division division, sizes how, uint64_t *state)
{
    uint32_t size = 1 + (uint32_t)kit_random_below(state, RING_SIZE_MAX);
    kit_packed before = {0}, left[RING_SIZE_MAX] = {{0}};
    if (world.before.count > 0)
        kit_unpack(&world.before, &world.collation.layout);
    divide_inputs(&before, left, size, state);
    close_world();
    life++;
    open_world(size, shape, division, how, kit_random(state));
    world.before = before;
    for (uint32_t r = 0; r < size; r++)
        world.ranks[r].input = left[r];
    unpack_inputs();
    deal_out_files(state);
    expect_files();
    restore_files();
    kept_count = 0;
    if (epoch.file_count + size <= FILES_MAX && kit_random_below(state, 2))
        keep_files();
}

/* Nothing is left of another one. */
static void begin_job(uint64_t first_life)
{
    life = first_life;
    kept_count = 0;
}

START_TEST(what_ranks_that_rest_have_saved_others_restore_whatever_their_number)
{
    uint64_t state = 21;
    for (uint64_t seed = 1; seed <= LIFE_COUNT; seed++) {
        kit_shape shape = random_shape(&state);
        sizes how = random_sizes(&state);
        qn_division division = shape.sides ? (kit_random_below(&state, 4) ? QN_DIVIDE_OUTER : QN_DIVIDE_KEYS)
                                           : (qn_division)kit_random_below(&state, 2);
        open_world(1 + (uint32_t)kit_random_below(&state, RING_SIZE_MAX), &shape, division, how, seed);
        fill_inputs(kit_random_below(&state, 8) ? kit_random_below(&state, 1500) : kit_random_below(&state, 3));
        unpack_inputs();
        begin_job(100 * seed);
        for (uint64_t deaths = kit_random_below(&state, 3) + 1; deaths > 0; deaths--) {
            bool noted = false;
            for (uint64_t rests = 1 + kit_random_below(&state, REST_COUNT_MAX); rests > 0; rests--) {
                bool notes = !noted || kit_random_below(&state, 3);
                rest_world();
                save_world(notes);
                noted = true;
                if (!notes)
                    break; /* it died before the line was there */
            }
            begin_again(&shape, division, how, &state);
        }
        run_world();
        check_result();
        close_world();
    }
}
END_TEST

START_TEST(resting_changes_nothing)
{
    uint64_t state = 33;
    for (uint64_t seed = 1; seed <= LIFE_COUNT / 2; seed++) {
        kit_shape shape = random_shape(&state);
        open_world(1 + (uint32_t)kit_random_below(&state, RING_SIZE_MAX), &shape,
                   shape.sides ? QN_DIVIDE_OUTER : QN_DIVIDE_RECORDS, random_sizes(&state), seed);
        fill_inputs(1000);
        unpack_inputs();
        begin_job(10000 + seed);
        for (uint64_t rests = kit_random_below(&state, 6); rests > 0; rests--) {
            rest_world();
            save_world(true);
        }
        run_world();
        check_result();
        close_world();
    }
}
END_TEST

START_TEST(each_record_is_written_once_however_often_ranks_rest)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY,
                       .key_type = QUERN_U64,
                       .value_type = QUERN_BYTES,
                       .key_count = UINT64_MAX,
                       .value_count = UINT64_MAX,
                       .pad_bytes = 500};
    for (uint32_t size = 1; size <= 3; size += 2)
        for (uint64_t pool_bytes = 256 << 10; pool_bytes <= 64 << 20; pool_bytes *= 256) {
            uint64_t input_bytes = 0, written_bytes = 0;
            open_world(size, &shape, QN_DIVIDE_RECORDS, (sizes){pool_bytes, 65536, 16384}, 5);
            fill_inputs(12000);
            unpack_inputs();
            begin_job(life + 1);
            for (int rests = 0; rests < 20; rests++) {
                rest_world();
                save_world(true);
            }
            for (uint32_t r = 0; r < size; r++) {
                input_bytes += world.ranks[r].input.used_bytes;
                written_bytes += file_bytes(r);
            }
            /* What was held is there as the last three epochs had it; beside records are samples and tables. */
            uint64_t times = size > 1 && pool_bytes > 1 << 20 ? 3 : 1;
            ck_assert_uint_le(written_bytes, times * input_bytes * 5 / 4 + size * (2 << 20));
            run_world();
            check_result();
            close_world();
        }
}
END_TEST

START_TEST(what_is_restored_is_divided_by_the_sample_of_all_of_it)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY,
                       .key_type = QUERN_U64,
                       .value_type = QUERN_U64,
                       .key_count = UINT64_MAX,
                       .value_count = 9};
    sizes how = {1 << 20, 8192, 4096};
    uint64_t state = 3;
    open_world(2, &shape, QN_DIVIDE_RECORDS, how, 5);
    for (uint32_t r = 0; r < 2; r++)
        for (size_t i = 0; i < 40000; i++)
            kit_pack(&world.ranks[r].input, &shape, &world.collation.layout, r * 40000 + i, 0, QN_SIDE_INNER, 0);
    unpack_inputs();
    begin_job(life + 1);
    for (int rests = 0; rests < 6; rests++) {
        rest_world();
        save_world(true);
    }
    do {
        begin_again(&shape, QN_DIVIDE_RECORDS, how, &state);
        rest_world();
        save_world(true);
    } while (ring.size < 5);
    run_world();
    double load = check_result();
    ck_assert_msg(load <= 1.3, "%.3f of the mean", load);
    close_world();
}
END_TEST

START_TEST(what_was_restored_and_kept_is_not_written_again)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY,
                       .key_type = QUERN_U64,
                       .value_type = QUERN_BYTES,
                       .key_count = UINT64_MAX,
                       .value_count = UINT64_MAX,
                       .pad_bytes = 500};
    uint64_t state = 1, pool_bytes[] = {128 << 10, 64 << 20};
    for (size_t i = 0; i < 2; i++) {
        uint64_t saved_bytes = 0, written_bytes = 0;
        sizes how = {pool_bytes[i], 65536, 16384};
        open_world(3, &shape, QN_DIVIDE_RECORDS, how, 5);
        fill_inputs(3000);
        unpack_inputs();
        begin_job(life + 1);
        for (int rests = 0; rests < 3; rests++) {
            rest_world();
            save_world(true);
        }
        for (uint32_t r = 0; r < 3; r++)
            saved_bytes += file_bytes(r);
        do {
            begin_again(&shape, QN_DIVIDE_RECORDS, how, &state);
            come_to_rest();
            save_world(true);
        } while (kept_count == 0);
        for (uint32_t r = 0; r < ring.size; r++)
            written_bytes += file_bytes(r);
        ck_assert_uint_lt(written_bytes, saved_bytes / 20);
        begin_again(&shape, QN_DIVIDE_RECORDS, how, &state);
        run_world();
        check_result();
        close_world();
    }
}
END_TEST

START_TEST(a_file_that_cannot_be_written_fails_the_save_and_not_the_sort)
{
    kit_shape shape = {
        .kind = QN_COLLATE_BY_KEY, .key_type = QUERN_U64, .value_type = QUERN_U64, .key_count = 1000, .value_count = 9};
    qn_saved saved;
    open_world(3, &shape, QN_DIVIDE_RECORDS, (sizes){64 << 10, 4096, 4096}, 5);
    fill_inputs(5000);
    unpack_inputs();
    rest_world();
    for (uint32_t r = 0; r < 3; r++) {
        ck_assert_int_eq(qn_collator_save(&world.ranks[r].collator, "/nowhere/saved", &saved, &error),
                         QUERN_ERROR_CHECKPOINT);
        qn_error_clear(&error);
        qn_collator_reopen(&world.ranks[r].collator);
    }
    run_world();
    check_result();
    close_world();
}
END_TEST

START_TEST(a_damaged_file_is_not_believed)
{
    kit_shape shape = {.kind = QN_COLLATE_BY_KEY,
                       .key_type = QUERN_BYTES,
                       .value_type = QUERN_BYTES,
                       .key_count = 100000,
                       .value_count = 100000};
    uint64_t state = 9;
    char path[300];
    open_world(1, &shape, QN_DIVIDE_RECORDS, (sizes){1 << 20, 4096, 16384}, 5);
    fill_inputs(3000);
    unpack_inputs();
    begin_job(life + 1);
    rest_world();
    world.ranks[0].stop = 0;
    save_world(true);
    make_path(path, sizeof path, life, 0);
    const qn_saved *saved = &epoch.files[0].saved;
    FILE *file = fopen(path, "r+");
    ck_assert_ptr_nonnull(file);
    uint64_t bytes = saved->run.offset + saved->run.bytes;
    uint8_t *content = kit_take(bytes);
    ck_assert_uint_eq(fread(content, 1, bytes, file), bytes);
    for (int i = 0; i < 200; i++) {
        uint64_t at = kit_random_below(&state, bytes);
        uint8_t bit = (uint8_t)(1 << kit_random_below(&state, 8)), damaged = content[at] ^ bit;
        fseek(file, (long)at, SEEK_SET);
        fwrite(&damaged, 1, 1, file);
        fflush(file);
        quern_status status = qn_pieces_verify(path, saved, NULL, &error);
        ck_assert(status == QUERN_ERROR_CORRUPT || content[at] == 0); /* it may be one of no meaning, between blocks */
        qn_error_clear(&error);
        fseek(file, (long)at, SEEK_SET);
        fwrite(&content[at], 1, 1, file);
        fflush(file);
    }
    kit_assert_ok(qn_pieces_verify(path, saved, NULL, &error), &error);
    qn_saved other = *saved;
    other.record_count++;
    ck_assert_int_eq(qn_pieces_verify(path, &other, NULL, &error), QUERN_ERROR_CORRUPT);
    qn_error_clear(&error);
    ck_assert_int_eq(truncate(path, (off_t)saved->run.offset), 0);
    ck_assert_int_eq(qn_pieces_verify(path, saved, NULL, &error), QUERN_ERROR_CORRUPT);
    qn_error_clear(&error);
    fclose(file);
    free(content);
    close_world();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_ranks_that_rest_have_saved_others_restore_whatever_their_number,
        resting_changes_nothing,
        each_record_is_written_once_however_often_ranks_rest,
        what_is_restored_is_divided_by_the_sample_of_all_of_it,
        what_was_restored_and_kept_is_not_written_again,
        a_file_that_cannot_be_written_fails_the_save_and_not_the_sort,
        a_damaged_file_is_not_believed,
    };
    return kit_run_tests("collator_rest", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
