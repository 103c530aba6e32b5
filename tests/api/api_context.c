/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts inside of a program that runs MPI itself: communicators, levels of threads, binding, and ranks that disagree.
 * usage: api_context DIRECTORY LEVEL [CASE…], LEVEL: single, funneled, serialized or multiple. */
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_kit.h"

#define LINE_COUNT 5000

static const char *input[2];
static bool alone; /* no launcher, no MPI */

static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};

static void make_input(void)
{
    for (int file = 0; file < 2; file++) {
        kit_text lines = {0};
        for (int i = 0; i < LINE_COUNT; i++)
            kit_put(&lines, "%d\n", i % (file ? 50 : 100));
        input[file] = strdup(kit_path("in%d", file));
        kit_write_for_all(input[file], &lines);
        kit_free(&lines);
    }
}

/* A run on a context of whatever ranks; `rank` says whether this one looks at the output. */
static void count_lines(quern_context *context, int file, const char *output)
{
    kit_text expected = {0};
    int keys = file ? 50 : 100;
    quern_write_text(quern_reduce_by_key(quern_read_text(context, input + file, 1, NULL), QUERN_COUNT), output);
    quern_status status = quern_run(context);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(context));
    if (quern_context_rank(context) == 0) {
        kit_text got = kit_read_output(output);
        for (int i = 0; i < keys; i++)
            kit_put(&expected, "%d\t%d\n", i, LINE_COUNT / keys);
        kit_sort_lines(&expected);
        kit_sort_lines(&got);
        CHECK(got.bytes == expected.bytes && memcmp(got.data, expected.data, got.bytes) == 0);
        kit_free(&got);
        kit_free(&expected);
    }
}

static quern_context *context_on(MPI_Comm comm)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create_on(comm, NULL, &context);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(NULL));
    int rank, size;
    MPI_Comm_rank(comm, &rank);
    MPI_Comm_size(comm, &size);
    CHECK_SAME(quern_context_rank(context), rank);
    CHECK_SAME(quern_context_size(context), size);
    return context;
}

/* ---- communicators ---- */

static void half_of_the_ranks_work_and_the_others_do_not_care(void)
{
    MPI_Comm half;
    MPI_Comm_split(MPI_COMM_WORLD, kit_rank() % 2, -kit_rank(), &half); /* in the opposite order */
    if (kit_rank() % 2 == 0) {
        quern_context *context = context_on(half);
        count_lines(context, 0, kit_path("half"));
        quern_context_destroy(context);
    }
    MPI_Comm_free(&half);
}

static void two_contexts_on_disjoint_communicators_live_at_once(void)
{
    MPI_Comm half;
    int colour = kit_rank() % 2;
    MPI_Comm_split(MPI_COMM_WORLD, colour, kit_rank(), &half);
    quern_context *context = context_on(half);
    MPI_Comm_free(&half); /* it was borrowed during the call only */
    for (int run = 0; run < 3; run++)
        count_lines(context, colour, kit_path("both%d.%d", colour, run));
    quern_context_destroy(context);
}

static void contexts_on_overlapping_communicators_take_turns(void)
{
    quern_context *world = context_on(MPI_COMM_WORLD), *self = context_on(MPI_COMM_SELF);
    for (int run = 0; run < 2; run++) {
        count_lines(self, 0, kit_path("self%d.%d", kit_rank(), run));
        count_lines(world, 1, kit_path("world%d", run));
    }
    quern_context_destroy(world);
    count_lines(self, 0, kit_path("self%d.last", kit_rank()));
    quern_context_destroy(self);
}

static void contexts_one_after_the_other_leave_mpi_as_it_was(void)
{
    int finalised = 0, sum = 1;
    for (int i = 0; i < 4; i++) {
        quern_context *context = kit_context(NULL);
        count_lines(context, i % 2, kit_path("again%d", i));
        quern_context_destroy(context);
    }
    quern_context *unused = kit_context(NULL);
    quern_context_destroy(unused);
    if (alone)
        return;
    MPI_Finalized(&finalised);
    CHECK(!finalised);
    MPI_Allreduce(MPI_IN_PLACE, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    CHECK_SAME(sum, kit_size());
}

static void a_host_goes_on_talking_while_a_context_lives(void)
{
    quern_context *context = kit_context(NULL);
    int to = (kit_rank() + 1) % kit_size(), from = (kit_rank() + kit_size() - 1) % kit_size(), got = -1;
    int mine = kit_rank();
    MPI_Request request;
    /* Wildcard receives of the host must not see messages of the library's. */
    MPI_Irecv(&got, 1, MPI_INT, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &request);
    count_lines(context, 0, kit_path("talk"));
    MPI_Send(&mine, 1, MPI_INT, to, 5, MPI_COMM_WORLD);
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    CHECK_SAME(got, from);
    quern_context_destroy(context);
}

/* ---- binding ---- */

static void the_binding_of_a_host_is_left_alone_unless_asked_for(void)
{
    cpu_set_t before, now;
    CHECK(sched_getaffinity(0, sizeof before, &before) == 0);
    quern_context *context = kit_context(NULL);
    count_lines(context, 0, kit_path("bound0"));
    CHECK(sched_getaffinity(0, sizeof now, &now) == 0);
    if (!alone) /* a job binary without MPI is not a host */
        CHECK(CPU_EQUAL(&before, &now));
    quern_context_destroy(context);
    CHECK(sched_getaffinity(0, sizeof now, &now) == 0);
    CHECK(CPU_EQUAL(&before, &now));
    for (quern_switch pin = QUERN_ON; pin <= QUERN_OFF; pin++) {
        quern_options options;
        quern_options_init(&options);
        options.pin = pin;
        context = kit_context(&options);
        CHECK(sched_getaffinity(0, sizeof now, &now) == 0);
        if (pin == QUERN_OFF)
            CHECK(CPU_EQUAL(&before, &now));
        else if (CPU_COUNT(&before) > 1 && kit_size() <= CPU_COUNT(&before))
            CHECK(CPU_COUNT(&now) < CPU_COUNT(&before));
        count_lines(context, 0, kit_path("bound%d", (int)pin));
        quern_context_destroy(context);
        CHECK(sched_getaffinity(0, sizeof now, &now) == 0);
        CHECK(CPU_EQUAL(&before, &now));
    }
}

/* ---- ranks that disagree ---- */

static void expect_mismatch(quern_context *context)
{
    if (kit_size() == 1) {
        kit_run(context);
        return;
    }
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_PLAN_MISMATCH), "different");
}

static int pass(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    return 0;
}

/* The last rank does something else: what, is the number. */
static void build_one_way_or_another(quern_context *context, int way)
{
    bool other = kit_rank() == kit_size() - 1 && kit_size() > 1;
    quern_text_options words = {.struct_size = sizeof words, .delimiters = " ", .skip_empty = 1};
    quern_dataset *lines = quern_read_text(context, input + (other && way == 0), 1, other && way == 1 ? &words : NULL);
    if (other && way == 2)
        lines = quern_map(lines, only_key, pass, NULL);
    quern_dataset *counts = quern_reduce_by_key(lines, QUERN_COUNT);
    if (other && way == 3)
        counts = quern_reduce_by_key(counts, QUERN_SUM);
    if (other && way == 4)
        counts = quern_reduce_by_key(counts, QUERN_MIN);
    if (way == 4 && !other)
        counts = quern_reduce_by_key(counts, QUERN_MAX);
    if (!(other && way == 5))
        quern_write_text(counts, other && way == 6 ? kit_path("elsewhere%d", way) : kit_path("mismatch%d", way));
    if (other && way == 7)
        quern_write_text(counts, kit_path("more%d", way));
    if (other && way == 8)
        CHECK(quern_counter_create(context, "one more") != NULL);
    if (way == 9)
        CHECK(quern_counter_create(context, other ? "b" : "a") != NULL);
}

static void ranks_with_different_graphs_end_alike(void)
{
    for (int way = 0; way < 10; way++) {
        quern_context *context = kit_context(NULL);
        build_one_way_or_another(context, way);
        expect_mismatch(context);
        if (kit_size() > 1) {
            kit_check_no_output(kit_path("mismatch%d", way));
            kit_check_no_output(kit_path("elsewhere%d", way));
        }
        quern_context_destroy(context);
    }
}

static void a_builder_that_fails_on_one_rank_fails_the_run_on_all(void)
{
    quern_context *context = kit_context(NULL);
    const char *bad[] = {NULL};
    bool last = kit_rank() == kit_size() - 1;
    quern_dataset *lines = quern_read_text(context, last ? bad : input, 1, NULL);
    CHECK((lines == NULL) == last);
    quern_write_text(lines, kit_path("builder"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "path is NULL");
    kit_check_no_output(kit_path("builder"));
    quern_context_destroy(context);
}

static void an_option_that_is_bad_on_one_rank_fails_all(void)
{
    quern_options options, scratch, memory;
    quern_context *context = NULL;
    bool last = kit_rank() == kit_size() - 1, first = kit_rank() == 0;
    quern_options_init(&options);
    scratch = memory = options;
    options.attempt_count_max = last ? 99 : 0;
    quern_status status = quern_context_create(NULL, NULL, &options, &context);
    CHECK_STATUS(status, QUERN_ERROR_INVALID_OPTION, quern_context_error_text(NULL));
    kit_check_alike(status, quern_context_error_text(NULL));
    CHECK_HAS(quern_context_error_text(NULL), "99");
    CHECK(context == NULL);
    CHECK_SAME(quern_context_rank(NULL), kit_rank());
    CHECK_SAME(quern_context_size(NULL), kit_size());
    CHECK_SAME(quern_run(NULL), QUERN_ERROR_INVALID_OPTION);

    scratch.scratch_dir = first ? "/nowhere/at/all" : NULL;
    status = quern_context_create(NULL, NULL, &scratch, &context);
    CHECK_STATUS(status, QUERN_ERROR_SCRATCH, quern_context_error_text(NULL));
    kit_check_alike(status, quern_context_error_text(NULL));
    CHECK_HAS(quern_context_error_text(NULL), "/nowhere/at/all");

    memory.memory_bytes = last ? 1000 : 0;
    status = quern_context_create(NULL, NULL, &memory, &context);
    CHECK_STATUS(status, QUERN_ERROR_BUDGET, quern_context_error_text(NULL));
    kit_check_alike(status, quern_context_error_text(NULL));

    /* A wrong argument on one rank, which the others do not have. */
    char name[] = "program", argument[] = "--quern-memory=lots";
    char *argv[] = {name, last ? argument : NULL, NULL};
    int argc = last ? 2 : 1;
    status = quern_context_create(&argc, argv, NULL, &context);
    CHECK_STATUS(status, QUERN_ERROR_INVALID_OPTION, quern_context_error_text(NULL));
    kit_check_alike(status, quern_context_error_text(NULL));
    CHECK_HAS(quern_context_error_text(NULL), "lots");
    CHECK_SAME(argc, last ? 2 : 1);
    CHECK(context == NULL);
    context = kit_context(NULL); /* and after all that one that works */
    count_lines(context, 0, kit_path("good"));
    quern_context_destroy(context);
}

/* ---- nothing at all ---- */

static int keep_all(const quern_record *in, int *keep_out, void *user)
{
    (void)in;
    (void)keep_out;
    (void)user;
    return 0;
}

static void null_builders_return_null(void)
{
    CHECK(quern_read_text(NULL, input, 1, NULL) == NULL);
    CHECK(quern_name(NULL, "name") == NULL);
    CHECK(quern_map(NULL, only_key, pass, NULL) == NULL);
    CHECK(quern_map(NULL, only_key, NULL, NULL) == NULL);
    CHECK(quern_flat_map(NULL, only_key, NULL, NULL) == NULL);
    CHECK(quern_filter(NULL, keep_all, NULL) == NULL);
    CHECK(quern_map_block(NULL, only_key, NULL, NULL) == NULL);
    CHECK(quern_flat_map_block(NULL, only_key, NULL, NULL) == NULL);
    CHECK(quern_filter_block(NULL, NULL, NULL) == NULL);
    CHECK(quern_reduce_by_key(NULL, QUERN_COUNT) == NULL);
    CHECK(quern_reduce_by_key_with(NULL, NULL, NULL) == NULL);
    CHECK(quern_write_text(NULL, "x") != QUERN_OK);
    CHECK(quern_write_text(NULL, NULL) != QUERN_OK);
    CHECK(quern_top_k(NULL, 1, NULL, NULL) != QUERN_OK);
    CHECK(quern_counter_create(NULL, "x") == NULL);
    CHECK_SAME(quern_counter_value(NULL), 0);
    quern_counter_add(NULL, 5);
    CHECK(quern_context_create(NULL, NULL, NULL, NULL) == QUERN_ERROR_INVALID_ARGUMENT);
    CHECK(quern_context_create_on(MPI_COMM_WORLD, NULL, NULL) == QUERN_ERROR_INVALID_ARGUMENT);
    CHECK(quern_context_error_text(NULL)[0] != 0);
    quern_context *context = NULL;
    CHECK(quern_context_create_on(MPI_COMM_NULL, NULL, &context) == QUERN_ERROR_INVALID_ARGUMENT);
    CHECK(context == NULL && quern_context_error_text(NULL)[0] != 0);
    CHECK_SAME(quern_context_rank(NULL), 0);
    CHECK_SAME(quern_context_size(NULL), 1);
    CHECK(quern_run(NULL) != QUERN_OK);
    quern_context_destroy(NULL);
    quern_options_init(NULL);
    CHECK(quern_options_read_argv(NULL, NULL, NULL) != QUERN_OK);
    CHECK(quern_options_help() != NULL);
    CHECK(strcmp(quern_status_name((quern_status)12345), "QUERN_ERROR_UNKNOWN") == 0);
}

/* One refused call each; the run then tells of it, on all ranks, and of the first one if there were several. */
static void refuse(quern_context *context, int way, quern_dataset *lines)
{
    const quern_schema no_key = {QUERN_NONE, QUERN_NONE, 0}, fixed_key = {QUERN_FIXED, QUERN_U64, 0};
    const quern_schema too_wide = {QUERN_BYTES, QUERN_FIXED, QUERN_FIXED_BYTES_MAX + 1};
    const quern_schema empty = {QUERN_BYTES, QUERN_FIXED, 0}, strange = {QUERN_BYTES, (quern_type)77, 0};
    const quern_schema fixed = {QUERN_BYTES, QUERN_FIXED, 12};
    const quern_text_options none = {sizeof none, "", 0, QUERN_TEXT_NO_VALUE},
                             foreign = {sizeof foreign, .delimiters = "\n", .delimiter_count = 17};
    const quern_text_options many = {sizeof many, "0123456789abcdefg", 0, QUERN_TEXT_NO_VALUE};
    const quern_text_options unsized = {0, "\n", 0, QUERN_TEXT_NO_VALUE},
                             short_one = {sizeof(size_t), "\n", 0, QUERN_TEXT_NO_VALUE};
    const char *no_path[] = {NULL};
    const quern_schema *schemas[] = {&no_key, &fixed_key, &too_wide, &empty, &strange};
    const quern_text_options *texts[] = {&none, &foreign, &many, &unsized, &short_one};
    if (way < 5)
        CHECK(quern_map(lines, *schemas[way], pass, NULL) == NULL);
    else if (way < 8)
        CHECK(quern_read_text(context, input, 1, texts[way - 5]) == NULL);
    else if (way == 8)
        CHECK(quern_read_text(context, NULL, 1, NULL) == NULL);
    else if (way == 9)
        CHECK(quern_read_text(context, no_path, 1, NULL) == NULL);
    else if (way == 10)
        CHECK(quern_map(lines, only_key, NULL, NULL) == NULL);
    else if (way == 11)
        CHECK(quern_filter(lines, NULL, NULL) == NULL);
    else if (way == 12)
        CHECK(quern_reduce_by_key(lines, QUERN_SUM) == NULL); /* of no value */
    else if (way == 13)
        CHECK(quern_reduce_by_key(lines, (quern_reduction)0) == NULL);
    else if (way == 14)
        CHECK(quern_reduce_by_key_with(lines, NULL, NULL) == NULL);
    else if (way == 15)
        CHECK(quern_write_text(quern_map(lines, fixed, pass, NULL), kit_path("refused")) == QUERN_ERROR_INVALID_PLAN);
    else if (way == 16)
        CHECK(quern_write_text(lines, NULL) != QUERN_OK);
    else if (way == 17)
        CHECK(quern_write_text(lines, "") != QUERN_OK);
    else if (way == 18)
        CHECK(quern_top_k(lines, 5, NULL, NULL) != QUERN_OK);
    else if (way == 19)
        CHECK(quern_name(lines, NULL) == NULL);
    else if (way == 20)
        CHECK(quern_counter_create(context, NULL) == NULL);
    else
        CHECK(quern_read_text(context, input, 1, texts[way - 18]) == NULL);
}

static void refused_calls_say_why_and_spoil_one_run_only(void)
{
    null_builders_return_null();
    quern_context *context = kit_context(NULL);
    for (int way = 0; way < 23; way++) {
        quern_dataset *lines = quern_read_text(context, input, 1, NULL);
        refuse(context, way, lines);
        if (quern_context_error_text(context)[0] == 0)
            kit_fail(__FILE__, __LINE__, "way %d: refused without a word", way);
        quern_write_text(lines, kit_path("refused"));
        quern_status status = quern_run(context);
        if (status != QUERN_ERROR_INVALID_ARGUMENT && status != QUERN_ERROR_INVALID_PLAN)
            kit_fail(__FILE__, __LINE__, "way %d: %s", way, quern_status_name(status));
        kit_check_alike(status, quern_context_error_text(context));
        kit_check_no_output(kit_path("refused"));
    }
    count_lines(context, 0, kit_path("after"));
    quern_context_destroy(context);
}

static void mpi_that_is_not_there_is_an_error(void)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create_on(MPI_COMM_WORLD, NULL, &context);
    CHECK_STATUS(status, QUERN_ERROR_INVALID_ARGUMENT, quern_context_error_text(NULL));
    CHECK_HAS(quern_context_error_text(NULL), "not initialised");
}

static quern_context *reentered;

static int run_inside(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    CHECK(quern_run(reentered) == QUERN_ERROR_INVALID_ARGUMENT);
    return 0;
}

static void a_run_inside_of_a_run_is_refused(void)
{
    reentered = kit_context(NULL);
    quern_dataset *lines = quern_read_text(reentered, input, 1, NULL);
    quern_write_text(quern_map(lines, only_key, run_inside, NULL), kit_path("inside"));
    kit_run(reentered);
    CHECK(kit_exists(kit_path("inside/_SUCCESS")));
    quern_context_destroy(reentered);
}

int main(int argc, char **argv)
{
    static const char *const levels[] = {"single", "funneled", "serialized", "multiple"};
    static const int numbers[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED, MPI_THREAD_MULTIPLE};
    int got = 0;
    alone = getenv("OMPI_COMM_WORLD_SIZE") == NULL;
    CHECK(argc >= 3);
    for (int i = 0; i < 4 && !alone; i++)
        if (strcmp(argv[2], levels[i]) == 0)
            MPI_Init_thread(&argc, &argv, numbers[i], &got);
    argv[2] = argv[1];
    argv++;
    argc--;
    kit_start(&argc, &argv);
    make_input();
    RUN(contexts_one_after_the_other_leave_mpi_as_it_was, 20);
    bool listing = argc > 2 && strcmp(argv[2], "list") == 0;
    if (!alone || listing) {
        RUN(half_of_the_ranks_work_and_the_others_do_not_care, 20);
        RUN(two_contexts_on_disjoint_communicators_live_at_once, 20);
        RUN(contexts_on_overlapping_communicators_take_turns, 20);
        RUN(a_host_goes_on_talking_while_a_context_lives, 20);
    }
    if (alone)
        RUN(mpi_that_is_not_there_is_an_error, 20);
    RUN(the_binding_of_a_host_is_left_alone_unless_asked_for, 20);
    RUN(ranks_with_different_graphs_end_alike, 20);
    RUN(a_builder_that_fails_on_one_rank_fails_the_run_on_all, 20);
    RUN(an_option_that_is_bad_on_one_rank_fails_all, 20);
    RUN(refused_calls_say_why_and_spoil_one_run_only, 20);
    RUN(a_run_inside_of_a_run_is_refused, 20);
    return kit_finish();
}
