/* SPDX-License-Identifier: BSD-3-Clause */
/* What ranks send each other: tasks, and packed records. What is read back and written again is the same bytes. */
#include <quern/types.h>

#include "runtime/data/packed.h"
#include "runtime/io/split.h"
#include "tests/fuzz/fuzz.h"

/* Every text and every byte that a segment borrows is there. */
static uint64_t touch(const qn_segment *segment)
{
    uint64_t sum = strlen(segment->path);
    if (segment->packing == QN_PACKING_INLINE)
        for (uint64_t i = 0; i < segment->end - segment->begin; i++)
            sum += segment->data[i];
    for (size_t i = 0; i < segment->told_bytes; i++)
        sum += segment->told[i];
    if (segment->part.first.member)
        sum += strlen(segment->part.first.member);
    if (segment->part.behind.member)
        sum += strlen(segment->part.behind.member);
    return sum;
}

static void try_split(const fuzz_input *input)
{
    qn_segment *segments = NULL, *again = NULL;
    uint32_t count = 0, again_count = 0;
    qn_error error = {0};
    qn_buffer written = {0};
    qn_reader reader = qn_reader_of(input->data, input->bytes);
    (void)qn_split_is_packed(input->data, input->bytes);
    if (qn_split_decode(&reader, &segments, &count, &error) != QUERN_OK)
        return;
    volatile uint64_t sum = 0;
    qn_buffer_append_u32(&written, count);
    for (uint32_t i = 0; i < count; i++) {
        sum += touch(&segments[i]);
        qn_segment_encode(&segments[i], &written);
    }
    reader = qn_reader_of(written.data, written.bytes);
    FUZZ_CHECK(qn_split_decode(&reader, &again, &again_count, &error) == QUERN_OK, "%s", error.text);
    FUZZ_CHECK(again_count == count && reader.left_bytes == 0, "%u segments, not %u", again_count, count);
    for (uint32_t i = 0; i < count; i++)
        FUZZ_CHECK(strcmp(segments[i].path, again[i].path) == 0 && touch(&segments[i]) == touch(&again[i]) &&
                       segments[i].begin == again[i].begin && segments[i].end == again[i].end,
                   "segment %u is another", i);
    free(segments);
    free(again);
    qn_buffer_fini(&written);
}

static void try_records(fuzz_input *input)
{
    static const quern_type types[] = {QUERN_BYTES, QUERN_U64, QUERN_BYTES, QUERN_F64};
    uint8_t choice = fuzz_take(input);
    quern_schema schema = {.key = types[choice & 3], .value = types[choice >> 2 & 3]};
    qn_layout layout = qn_layout_of(&schema, choice & 16 ? &schema : NULL, choice & 32);
    while (input->bytes > 0) {
        qn_packed record;
        uint8_t *room;
        uint64_t used = qn_packed_decode(&layout, input->data, input->bytes, &record);
        if (used == 0)
            return;
        FUZZ_CHECK(used <= input->bytes, "%llu bytes", (unsigned long long)used);
        room = malloc(used);
        if (!room)
            return;
        qn_packed_encode(&layout, &record, room);
        FUZZ_CHECK(memcmp(room, input->data, used) == 0, "a record is another");
        free(room);
        input->data += used;
        input->bytes -= used;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input input = {data, bytes};
    if (fuzz_take(&input) & 1)
        try_records(&input);
    else
        try_split(&input);
    return 0;
}
