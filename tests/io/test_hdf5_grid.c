/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_hdf5_grid.c: arrays of any shape and chunks, cut into tasks, boxes, pieces and records: every element once, no chunk twice.
 */
#include "runtime/io/hdf5_listing.h"
#include "tests/kit.h"

#define ELEMENT_COUNT_MAX 5000
#define RANK_MAX          4

static qn_error error;

typedef struct array {
    uint32_t rank, element_bytes;
    uint64_t dims[RANK_MAX], chunk[RANK_MAX];
    bool is_chunked;
    uint64_t elements;
} array;

static array make_array(uint64_t *state)
{
    array made = {.rank = 1 + (uint32_t)kit_random_below(state, RANK_MAX), .elements = 1};
    made.element_bytes = kit_random_below(state, 3) == 0 ? 1 + (uint32_t)kit_random_below(state, 40000) : 8;
    made.is_chunked = kit_random_below(state, 3) > 0;
    for (uint32_t d = 0; d < made.rank; d++) {
        uint64_t most = ELEMENT_COUNT_MAX / made.elements;
        made.dims[d] = 1 + kit_random_below(state, most < 400 || made.rank == 1 ? most : 400);
        made.chunk[d] = 1 + kit_random_below(state, made.dims[d] + 3);
        made.elements *= made.dims[d];
    }
    return made;
}

static qn_hdf5_grid make_grid(const array *of, quern_hdf5_record record)
{
    qn_hdf5_grid grid;
    ck_assert(
        qn_hdf5_grid_init(&grid, record, of->rank, of->dims, of->is_chunked ? of->chunk : NULL, of->element_bytes));
    ck_assert_uint_eq(qn_hdf5_grid_elements(&grid), of->elements);
    return grid;
}

static uint64_t index_of(const array *of, const uint64_t *at)
{
    uint64_t index = 0;
    for (uint32_t d = 0; d < of->rank; d++)
        index = index * of->dims[d] + at[d];
    return index;
}

/* Goes to the next coordinates of a part, in C order; false behind the last. */
static bool advance(const array *of, const uint64_t *start, const uint64_t *count, uint64_t *at)
{
    for (uint32_t d = of->rank; d-- > 0;) {
        if (++at[d] < start[d] + count[d])
            return true;
        at[d] = start[d];
    }
    return false;
}

/* Marks with `mark` each element of a part, which nobody marked before. */
static uint64_t mark(const array *of, const uint64_t *start, const uint64_t *count, uint64_t number, uint64_t *marks)
{
    uint64_t at[RANK_MAX], marked = 0;
    memcpy(at, start, of->rank * sizeof *at);
    do {
        uint64_t index = index_of(of, at);
        if (index >= of->elements || marks[index] != 0) /* an assertion for each takes long */
            ck_abort_msg("element %llu is in two boxes", (unsigned long long)index);
        marks[index] = number;
        marked++;
    } while (advance(of, start, count, at));
    return marked;
}

START_TEST(every_element_is_in_one_box_and_no_chunk_in_two)
{
    uint64_t state = (uint64_t)_i + 1;
    array of = make_array(&state);
    for (int record = QUERN_HDF5_ROWS; record <= QUERN_HDF5_CHUNKS; record++) {
        qn_hdf5_grid grid = make_grid(&of, (quern_hdf5_record)record);
        uint64_t *marks = kit_take(of.elements * sizeof *marks), marked = 0, at[RANK_MAX] = {0};
        memset(marks, 0, of.elements * sizeof *marks);
        for (uint64_t i = 0; i < grid.box_count; i++) {
            qn_hdf5_box box;
            qn_hdf5_grid_box(&grid, i, &box);
            marked += mark(&of, box.start, box.count, i + 1, marks);
        }
        ck_assert_uint_eq(marked, of.elements);
        const uint64_t zero[RANK_MAX] = {0};
        for (bool more = of.is_chunked; more; more = advance(&of, zero, of.dims, at)) {
            uint64_t first[RANK_MAX];
            for (uint32_t d = 0; d < of.rank; d++)
                first[d] = at[d] / of.chunk[d] * of.chunk[d];
            if (marks[index_of(&of, at)] != marks[index_of(&of, first)])
                ck_abort_msg("a chunk is in two boxes");
        }
        free(marks);
    }
}
END_TEST

START_TEST(pieces_are_a_box_in_order_and_within_their_bytes)
{
    uint64_t state = (uint64_t)_i + 1;
    array of = make_array(&state);
    for (int record = QUERN_HDF5_ROWS; record <= QUERN_HDF5_ELEMENTS; record++) {
        qn_hdf5_grid grid = make_grid(&of, (quern_hdf5_record)record);
        uint64_t bytes_max = 1 + kit_random_below(&state, 300000);
        qn_hdf5_box box;
        qn_hdf5_grid_box(&grid, kit_random_below(&state, grid.box_count), &box);
        for (uint64_t next = 0; next < box.record_count;) {
            qn_hdf5_piece piece, again;
            uint64_t start[QN_HDF5_RANK_MAX];
            qn_hdf5_grid_piece(&grid, &box, bytes_max, next, &piece);
            ck_assert_uint_eq(piece.first_record, next);
            ck_assert(piece.record_count == 1 || piece.record_count * grid.unit_bytes <= bytes_max);
            qn_hdf5_grid_start(&grid, &box, next, start);
            ck_assert_mem_eq(start, piece.start, of.rank * sizeof *start);
            next += piece.record_count;
            qn_hdf5_grid_piece(&grid, &box, bytes_max, next - 1, &again);
            ck_assert_uint_eq(again.first_record, piece.first_record);
            ck_assert_uint_le(next, box.record_count);
        }
    }
}
END_TEST

START_TEST(indices_are_those_of_the_coordinates)
{
    uint64_t state = (uint64_t)_i + 1, indices[512];
    array of = make_array(&state);
    for (int record = QUERN_HDF5_ROWS; record <= QUERN_HDF5_CHUNKS; record++) {
        qn_hdf5_grid grid = make_grid(&of, (quern_hdf5_record)record);
        qn_hdf5_box box;
        qn_hdf5_grid_box(&grid, kit_random_below(&state, grid.box_count), &box);
        uint64_t first = kit_random_below(&state, box.record_count), left = box.record_count - first;
        uint32_t count = left < 512 ? (uint32_t)left : 512;
        qn_hdf5_grid_indices(&grid, &box, first, count, indices);
        for (uint32_t i = 0; i < count; i++) {
            uint64_t start[QN_HDF5_RANK_MAX];
            qn_hdf5_grid_start(&grid, &box, first + i, start);
            ck_assert_uint_eq(indices[i], record == QUERN_HDF5_ROWS ? start[0] : index_of(&of, start));
        }
    }
}
END_TEST

START_TEST(an_array_without_elements_has_no_boxes_and_one_too_large_is_refused)
{
    qn_hdf5_grid grid;
    ck_assert(qn_hdf5_grid_init(&grid, QUERN_HDF5_ROWS, 2, (const uint64_t[]){5, 0}, NULL, 8));
    ck_assert_uint_eq(grid.box_count, 0);
    ck_assert_uint_eq(qn_hdf5_grid_elements(&grid), 0);
    ck_assert(!qn_hdf5_grid_init(&grid, QUERN_HDF5_ELEMENTS, 2, (const uint64_t[]){INT64_MAX, 2}, NULL, 8));
    ck_assert(!qn_hdf5_grid_init(&grid, QUERN_HDF5_ROWS, 1, (const uint64_t[]){INT64_MAX}, NULL, 8));
}
END_TEST

#define INPUT_COUNT 5

static qn_hdf5_listing make_listing(uint64_t *state, qn_hdf5_input *inputs, qn_hdf5_grid *grids)
{
    qn_hdf5_listing listing = {
        .items = inputs, .count = INPUT_COUNT, .record = QUERN_HDF5_ELEMENTS, .piece_bytes_max = 77};
    for (size_t i = 0; i < INPUT_COUNT; i++) {
        array of = make_array(state);
        grids[i] = make_grid(&of, listing.record);
        inputs[i] = (qn_hdf5_input){"file",
                                    "/path",
                                    grids[i].dims,
                                    grids[i].box,
                                    of.rank,
                                    of.element_bytes,
                                    grids[i].box_count,
                                    qn_hdf5_grid_box_bytes(&grids[i]),
                                    of.elements * of.element_bytes};
        listing.bytes += inputs[i].bytes;
    }
    return listing;
}

START_TEST(tasks_are_every_box_once_and_come_back_from_their_messages)
{
    uint64_t state = (uint64_t)_i + 1, bytes = 0, dataset = 0, box = 0;
    qn_hdf5_input inputs[INPUT_COUNT];
    qn_hdf5_grid grids[INPUT_COUNT];
    qn_hdf5_listing listing = make_listing(&state, inputs, grids);
    qn_splits splits;
    kit_assert_ok(qn_hdf5_splits_create(&splits, &listing, 1 + kit_random_below(&state, 4000000), &error), &error);
    for (uint32_t i = 0; i < splits.count; i++) {
        qn_buffer message = {0};
        uint8_t *copy;
        qn_hdf5_segment *segments;
        uint32_t count;
        qn_hdf5_split_encode(&splits.items[i], &listing, &message);
        kit_assert_ok(qn_hdf5_split_decode(message.data, message.bytes, &copy, &segments, &count, &error), &error);
        for (uint32_t s = 0; s < count; s++) {
            if (box == grids[dataset].box_count) {
                dataset++;
                box = 0;
            }
            ck_assert(segments[s].number == dataset && segments[s].begin == box && segments[s].end > box);
            ck_assert_uint_eq(segments[s].grid.box_count, grids[dataset].box_count);
            ck_assert_mem_eq(segments[s].grid.box, grids[dataset].box, grids[dataset].rank * sizeof(uint64_t));
            ck_assert(strcmp(segments[s].file, "file") == 0 && strcmp(segments[s].path, "/path") == 0);
            ck_assert_uint_eq(segments[s].piece_bytes_max, 77);
            box = segments[s].end;
            bytes += segments[s].bytes;
        }
        free(segments);
        free(copy);
        qn_buffer_fini(&message);
    }
    ck_assert(dataset == INPUT_COUNT - 1 && box == grids[dataset].box_count);
    ck_assert_uint_eq(bytes, listing.bytes);
    qn_splits_destroy(&splits);
}
END_TEST

START_TEST(a_message_that_is_cut_short_is_refused)
{
    uint64_t state = 3;
    qn_hdf5_input inputs[INPUT_COUNT];
    qn_hdf5_grid grids[INPUT_COUNT];
    qn_hdf5_listing listing = make_listing(&state, inputs, grids);
    qn_split all = {.end_file = INPUT_COUNT - 1, .end_offset = grids[INPUT_COUNT - 1].box_count};
    qn_buffer message = {0};
    qn_hdf5_split_encode(&all, &listing, &message);
    for (size_t bytes = 0; bytes < message.bytes; bytes++) {
        uint8_t *copy, *cut = kit_take(bytes + 1); /* of its own, so that reading behind it shows */
        qn_hdf5_segment *segments;
        uint32_t count;
        memcpy(cut, message.data, bytes);
        qn_error_clear(&error);
        ck_assert_int_eq(qn_hdf5_split_decode(cut, bytes, &copy, &segments, &count, &error), QUERN_ERROR_INTERNAL);
        free(cut);
    }
    qn_buffer_fini(&message);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("hdf5_grid");
    TCase *tests = tcase_create("all");
    tcase_set_timeout(tests, KIT_TEST_SECONDS_MAX);
    tcase_add_loop_test(tests, every_element_is_in_one_box_and_no_chunk_in_two, 0, 40);
    tcase_add_loop_test(tests, pieces_are_a_box_in_order_and_within_their_bytes, 0, 60);
    tcase_add_loop_test(tests, indices_are_those_of_the_coordinates, 0, 60);
    tcase_add_test(tests, an_array_without_elements_has_no_boxes_and_one_too_large_is_refused);
    tcase_add_loop_test(tests, tasks_are_every_box_once_and_come_back_from_their_messages, 0, 60);
    tcase_add_test(tests, a_message_that_is_cut_short_is_refused);
    suite_add_tcase(suite, tests);
    return kit_run(suite);
}
