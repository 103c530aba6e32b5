/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_task_state.c: which tasks are done comes back from a journal as it was written, and nothing that was not.
 */
#include "runtime/engine/task_state.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <stdlib.h>
#include <string.h>

#define COUNT 100

static bool done[COUNT];
static qn_resume kept[COUNT], *resumes[COUNT];
static qn_task_state state;

static void set_up(void)
{
    memset(done, 0, sizeof done);
    memset(resumes, 0, sizeof resumes);
    state = (qn_task_state){.split_bytes = 1 << 20,
                            .record_bytes_max = UINT64_C(1) << 33,
                            .worker_count = 7,
                            .is_scattered = true,
                            .digest = INT64_MAX,
                            .count = COUNT,
                            .done = done,
                            .resumes = resumes};
}

/* As text and back. */
static bool read_back(json_t *packed, qn_task_state *found)
{
    ck_assert_ptr_nonnull(packed);
    char *text = json_dumps(packed, JSON_COMPACT);
    json_t *parsed = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(parsed);
    bool is_right = qn_task_state_parse(found, parsed);
    json_decref(parsed);
    json_decref(packed);
    free(text);
    return is_right;
}

START_TEST(any_state_comes_back_as_it_was)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed;
        set_up();
        for (uint32_t task = 0; task < COUNT; task++) {
            done[task] = seed == 1 || (seed > 2 && kit_random_below(&random, 1 + seed % 5) == 0);
            if (kit_random_below(&random, 4) > 0)
                continue;
            resumes[task] = &kept[task];
            kept[task] = (qn_resume){.place = {.segment = (uint32_t)kit_random_below(&random, UINT32_MAX),
                                               .started = kit_random_below(&random, 2),
                                               .inside = kit_random_below(&random, 2),
                                               .member = kit_random_below(&random, INT64_MAX),
                                               .scan_offset = kit_random_below(&random, INT64_MAX),
                                               .record_offset = kit_random_below(&random, INT64_MAX)},
                                     .skip = kit_random_below(&random, INT64_MAX)};
        }
        qn_task_state found;
        ck_assert(read_back(qn_task_state_pack(&state), &found));
        ck_assert_uint_eq(found.split_bytes, state.split_bytes);
        ck_assert_uint_eq(found.record_bytes_max, state.record_bytes_max);
        ck_assert_uint_eq(found.worker_count, state.worker_count);
        ck_assert(found.is_scattered);
        ck_assert_uint_eq(found.digest, state.digest);
        ck_assert_uint_eq(found.count, COUNT);
        for (uint32_t task = 0; task < COUNT; task++) {
            ck_assert_int_eq(found.done[task], done[task]);
            const qn_resume *resume = done[task] ? NULL : resumes[task];
            ck_assert_int_eq(!resume, !found.resumes[task]);
            if (!resume)
                continue;
            const qn_text_place *place = &resume->place, *other = &found.resumes[task]->place;
            ck_assert_uint_eq(place->segment, other->segment);
            ck_assert_int_eq(place->started, other->started);
            ck_assert_int_eq(place->inside, other->inside);
            ck_assert_uint_eq(place->member, other->member);
            ck_assert_uint_eq(place->scan_offset, other->scan_offset);
            ck_assert_uint_eq(place->record_offset, other->record_offset);
            ck_assert_uint_eq(resume->skip, found.resumes[task]->skip);
        }
        qn_task_state_fini(&found);
    }
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    static const char *const begin =
        "{\"split_bytes\":1,\"record_bytes\":1,\"workers\":1,\"scattered\":true,\"digest\":1,";
    static const char *const ends[] = {
        "\"count\":3,\"done\":[0,4],\"resumes\":[]}",
        "\"count\":3,\"done\":[3,1],\"resumes\":[]}",
        "\"count\":3,\"done\":[-1,1],\"resumes\":[]}",
        "\"count\":3,\"done\":[0,0],\"resumes\":[]}",
        "\"count\":3,\"done\":[0],\"resumes\":[]}",
        "\"count\":3,\"done\":[\"0\",1],\"resumes\":[]}",
        "\"count\":3,\"done\":[1,9223372036854775807],\"resumes\":[]}",
        "\"count\":3,\"done\":{},\"resumes\":[]}",
        "\"count\":-3,\"done\":[],\"resumes\":[]}",
        "\"count\":4294967296,\"done\":[],\"resumes\":[]}",
        "\"count\":3,\"done\":[]}",
        "\"count\":3,\"done\":[],\"resumes\":[[3,0,true,false,0,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[-1,0,true,false,0,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[0,4294967296,true,false,0,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[0,0,true,false,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[0,0,true,false,0,0,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[0,0,1,false,0,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[0,0,true,false,0,-5,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[[0,0,true,false,0,0,0,0],[0,0,true,false,0,0,0,0]]}",
        "\"count\":3,\"done\":[],\"resumes\":[7]}",
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char text[300];
        qn_task_state found;
        snprintf(text, sizeof text, "%s%s", begin, ends[i]);
        json_t *packed = json_loads(text, 0, NULL);
        ck_assert_ptr_nonnull(packed);
        ck_assert_msg(!qn_task_state_parse(&found, packed), "taken: %s", text);
        ck_assert_ptr_null(found.done);
        json_decref(packed);
    }
}
END_TEST

START_TEST(refused_memory_makes_no_state)
{
    done[3] = true;
    resumes[5] = &kept[5];
    json_t *packed = qn_task_state_pack(&state);
    bool is_right = false;
    for (int allowed = 0; !is_right; allowed++) {
        qn_task_state found;
        allocations_left = allowed;
        is_right = qn_task_state_parse(&found, packed);
        allocations_left = -1;
        ck_assert(is_right || !found.done);
        ck_assert(is_right == (allowed >= 3)); /* what is done, the resumes, the one resume */
        qn_task_state_fini(&found);
    }
    json_decref(packed);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        any_state_comes_back_as_it_was,
        what_cannot_be_is_refused,
        refused_memory_makes_no_state,
    };
    return kit_run_tests("task state", tests, sizeof tests / sizeof *tests, set_up, NULL);
}
