/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_node_tasks.c: tasks of files that nodes have for themselves, from a node's list by way of messages to the list of all.
 */
#include "runtime/engine/node_tasks.h"
#include "tests/kit.h"
#include "tests/refusal.h"

enum { SPLIT_BYTES = 1000, FILE_BYTES = 3500, NODES = 3 };

static kit_directory directory;
static qn_graph graph;
static qn_error error;
static qn_stages stages;
static qn_far_tasks far;
static qn_task_list all;

static void write_lines(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "w");
    for (size_t i = 0; i < bytes; i++)
        fputc(i % 10 == 9 ? '\n' : 'x', file);
    ck_assert_int_eq(fclose(file), 0);
}

/* A leg that all nodes see, `shared`, before and behind one that is theirs, `own`. */
static void set_up(void)
{
    kit_make_directory(&directory);
    qn_graph_init(&graph);
    qn_error_clear(&error);
    const char *shared = kit_path(&directory, "shared"), *own = kit_path(&directory, "own");
    graph.node_local = own;
    write_lines(shared, FILE_BYTES);
    qn_node *legs[] = {qn_graph_add_text(&graph, &shared, 1, NULL, &error),
                       qn_graph_add_text(&graph, &own, 1, NULL, &error),
                       qn_graph_add_text(&graph, &shared, 1, NULL, &error)};
    qn_node *both = qn_graph_add_union(&graph, legs[0], legs[1], &error);
    both = qn_graph_add_union(&graph, both, legs[2], &error);
    ck_assert_msg(both != NULL, "%s", error.text);
    qn_sink sink = {.kind = QN_SINK_TEXT, .input = both, .directory = "out"};
    kit_assert_ok(qn_graph_add_sink(&graph, &sink, &error), &error);
    kit_assert_ok(qn_stages_create(&stages, &graph, &error), &error);
}

static void tear_down(void)
{
    qn_task_list_destroy(&all);
    qn_node_tasks_destroy(&far);
    qn_graph_fini(&graph);
    kit_remove_directory(&directory);
}

static const char *file_of(uint32_t node)
{
    static char name[32];
    snprintf(name, sizeof name, "of-%u", node);
    return kit_path(&directory, name);
}

/* What a node sends that has so many bytes below `own`, a file of its own; 0: it has nothing there, or what is there. */
static void send_node(uint32_t node, size_t bytes, qn_buffer *message)
{
    const qn_task_cut cut = {.scope = QN_TASKS_OF_NODE,
                             .node = node,
                             .split_bytes = SPLIT_BYTES,
                             .record_bytes_max = 1 << 20,
                             .worker_count = 1};
    const char *own = kit_path(&directory, "own");
    qn_task_list list;
    if (bytes > 0)
        write_lines(own, bytes);
    kit_assert_ok(qn_task_list_create(&list, &stages.items[0], &cut, &error), &error);
    qn_node_tasks_pack(&list, &stages.items[0], node, message);
    qn_task_list_destroy(&list);
    if (bytes > 0)
        ck_assert_int_eq(rename(own, file_of(node)), 0);
    ck_assert(!message->failed);
}

static void send_all(const size_t bytes[NODES], qn_buffer *message)
{
    for (uint32_t node = 0; node < NODES; node++)
        send_node(node, bytes[node], message);
}

/* Of a copy, so that every byte beyond it is out of bounds. */
static quern_status receive(const qn_buffer *message, size_t bytes)
{
    void *text = malloc(bytes + (bytes == 0));
    ck_assert_ptr_nonnull(text);
    memcpy(text, message->data, bytes);
    quern_status status = qn_node_tasks_unpack(&far, &stages.items[0], text, bytes, &error);
    if (status != QUERN_OK)
        free(text);
    return status;
}

static void make_all(void)
{
    const qn_task_cut cut = {.split_bytes = SPLIT_BYTES, .record_bytes_max = 1 << 20, .worker_count = 2, .far = &far};
    kit_assert_ok(qn_task_list_create(&all, &stages.items[0], &cut, &error), &error);
}

START_TEST(tasks_of_nodes_stand_behind_each_other_in_their_leg)
{
    const size_t bytes[NODES] = {2500, 0, 1200};
    qn_buffer message = {0};
    send_all(bytes, &message);
    kit_assert_ok(receive(&message, message.bytes), &error);
    make_all();
    ck_assert_uint_eq(far.bytes, 3700);
    ck_assert_uint_eq(far.file_count, 2);
    ck_assert_uint_eq(all.bytes, 3700 + 2 * FILE_BYTES);
    uint64_t bytes_of[NODES] = {0}, shared_bytes = 0;
    uint32_t last = 0;
    for (uint32_t task = 0; task < all.count; task++) {
        qn_task_entry entry = qn_task_list_find(&all, task);
        ck_assert_int_eq(entry.leg == 1, entry.node != UINT32_MAX);
        ck_assert(!entry.is_packed);
        if (entry.node == UINT32_MAX) {
            shared_bytes += entry.bytes;
            continue;
        }
        ck_assert_uint_ge(entry.node, last);
        last = entry.node;
        bytes_of[entry.node] += entry.bytes;
    }
    ck_assert_uint_eq(shared_bytes, 2 * FILE_BYTES);
    for (uint32_t node = 0; node < NODES; node++)
        ck_assert_uint_eq(bytes_of[node], bytes[node]);
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(files_of_different_nodes_have_different_numbers)
{
    const size_t bytes[NODES] = {100, 100, 100};
    uint64_t seen[NODES];
    uint32_t count = 0;
    qn_buffer message = {0}, task = {0};
    send_all(bytes, &message);
    kit_assert_ok(receive(&message, message.bytes), &error);
    make_all();
    for (uint32_t i = 0; i < all.count; i++) {
        qn_segment *segments = NULL;
        uint32_t segment_count = 0;
        qn_task_entry entry = qn_task_list_find(&all, i);
        task.bytes = 0;
        qn_task_list_encode(&all, &entry, &task);
        qn_reader reader = qn_reader_of(task.data, task.bytes);
        kit_assert_ok(qn_split_decode(&reader, &segments, &segment_count, &error), &error);
        if (entry.node != UINT32_MAX) {
            ck_assert_uint_eq(segment_count, 1);
            ck_assert_str_eq(segments[0].path, kit_path(&directory, "own"));
            for (uint32_t other = 0; other < count; other++)
                ck_assert_uint_ne(seen[other], segments[0].file);
            seen[count++] = segments[0].file;
        }
        free(segments);
    }
    ck_assert_uint_eq(count, NODES);
    qn_buffer_fini(&message);
    qn_buffer_fini(&task);
}
END_TEST

START_TEST(a_path_that_no_node_has_is_an_error_that_names_it)
{
    const size_t bytes[NODES] = {0};
    qn_buffer message = {0};
    send_all(bytes, &message);
    ck_assert_int_eq(receive(&message, message.bytes), QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, kit_path(&directory, "own")));
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(a_path_that_is_the_same_on_two_nodes_is_refused)
{
    qn_buffer message = {0};
    send_node(0, 100, &message);
    send_node(1, 0, &message);
    ck_assert_int_eq(rename(file_of(0), kit_path(&directory, "own")), 0);
    send_node(2, 0, &message);
    ck_assert_int_eq(receive(&message, message.bytes), QUERN_ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "is the same on node 0 and on node 2"));
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(a_message_that_ends_early_is_refused_at_every_byte)
{
    const size_t bytes[NODES] = {2500, 0, 1200};
    qn_buffer message = {0};
    send_node(0, bytes[0], &message);
    for (size_t end = 1; end < message.bytes; end++) {
        qn_error_clear(&error);
        ck_assert_int_eq(receive(&message, end), QUERN_ERROR_INTERNAL);
        ck_assert_ptr_null(far.items);
    }
    qn_buffer_fini(&message);
}
END_TEST

START_TEST(any_refusal_of_memory_is_told_and_leaves_nothing)
{
    const size_t bytes[NODES] = {2500, 0, 1200};
    qn_buffer message = {0};
    send_all(bytes, &message);
    void *text = malloc(message.bytes);
    memcpy(text, message.data, message.bytes);
    quern_status status = QUERN_ERROR_NO_MEMORY;
    for (int n = 0; status != QUERN_OK; n++) {
        ck_assert_int_lt(n, 100);
        qn_error_clear(&error);
        allocations_left = n;
        status = qn_node_tasks_unpack(&far, &stages.items[0], text, message.bytes, &error);
        allocations_left = -1;
        ck_assert(status == QUERN_OK || status == QUERN_ERROR_NO_MEMORY);
    }
    qn_buffer_fini(&message);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        tasks_of_nodes_stand_behind_each_other_in_their_leg, files_of_different_nodes_have_different_numbers,
        a_path_that_no_node_has_is_an_error_that_names_it,   a_path_that_is_the_same_on_two_nodes_is_refused,
        a_message_that_ends_early_is_refused_at_every_byte,  any_refusal_of_memory_is_told_and_leaves_nothing,
    };
    return kit_run_tests("node_tasks", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
