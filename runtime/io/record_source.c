/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/record_source.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/io/file_grammar.h"
#include "runtime/io/row_grammar.h"
#include "runtime/io/sequence_grammar.h"

/* Two records come at once at most. */
#define COUNT_FULL (QN_BATCH_COUNT_MAX - 1)

static const qn_grammar *grammar_of(qn_record_kind kind)
{
    switch (kind) {
    case QN_RECORDS_SEQUENCES:
        return &qn_sequence_grammar;
    case QN_RECORDS_ROWS:
        return &qn_row_grammar;
    case QN_RECORDS_FILES:
        return &qn_file_grammar;
    }
    QN_ASSERT(!"a format is of a kind");
    return NULL;
}

quern_status qn_record_source_init(qn_record_source *source, const qn_record_format *format, uint64_t record_bytes_max,
                                   qn_error *error)
{
    QN_ASSERT(record_bytes_max < UINT64_C(1) << 31);
    memset(source, 0, sizeof *source);
    source->grammar = grammar_of(format->kind);
    source->format = *format;
    source->record_bytes_max = record_bytes_max;
    return qn_task_reader_init(&source->task, 0, error);
}

void qn_record_source_fini(qn_record_source *source)
{
    qn_task_reader_fini(&source->task);
    if (source->grammar && source->grammar->fini)
        source->grammar->fini(source);
    free(source->joined);
    source->joined = NULL;
}

/* What records of the content cannot be read without; may also find the place. */
static quern_status learn_front(qn_record_source *source, qn_error *error)
{
    const qn_segment *segment = source->task.window.content.segment;
    if (segment->packing != QN_PACKING_INLINE)
        return source->grammar->open ? source->grammar->open(source, error) : QUERN_OK;
    qn_reader told = qn_reader_of(segment->told, segment->told_bytes);
    return source->grammar->hear ? source->grammar->hear(source, &told, error) : QUERN_OK;
}

static quern_status enter_content(void *user, qn_error *error)
{
    qn_record_source *source = user;
    qn_text_place *place = &source->task.place;
    const qn_content *content = &source->task.window.content;
    if (!place->started) {
        place->started = content->begin == 0;
        place->scan_offset = content->begin > 0 ? content->begin - 1 : 0;
    }
    quern_status status = learn_front(source, error);
    qn_window_place(&source->task.window, place->scan_offset);
    return status;
}

qn_finding qn_record_fail(qn_record_source *source, uint64_t offset, qn_error *error, const char *what)
{
    const char *name = qn_task_reader_locate(&source->task, &offset);
    source->bad_reason = what;
    qn_error_set(error, QUERN_ERROR_INPUT, 0, "byte %llu of %s: %s", (unsigned long long)offset, name, what);
    return QN_FAILED;
}

static quern_status too_large(qn_record_source *source, uint64_t offset, qn_error *error)
{
    source->bad_reason = "longer than record-bytes";
    return qn_task_reader_too_large(&source->task, offset, source->record_bytes_max, error);
}

qn_finding qn_record_add(qn_record_source *source, quern_span key, quern_span value, uint64_t offset, qn_error *error)
{
    uint32_t at = source->count++;
    QN_ASSERT(at < QN_BATCH_COUNT_MAX);
    if (QN_UNLIKELY(key.bytes + value.bytes > source->record_bytes_max)) {
        too_large(source, offset, error);
        return QN_FAILED;
    }
    source->keys[at] = key.data;
    source->key_bytes[at] = (uint32_t)key.bytes;
    source->values[at] = value.data;
    source->value_bytes[at] = (uint32_t)value.bytes;
    source->offsets[at] = offset;
    return QN_FOUND;
}

uint8_t *qn_record_room(qn_record_source *source, const qn_view *view, qn_error *error)
{
    size_t needed = 2 * view->bytes + QN_SLACK_BYTES;
    if (source->joined_capacity >= needed)
        return source->joined;
    QN_ASSERT(source->joined_bytes == 0); /* records of this block would lose what they point to */
    free(source->joined);
    source->joined = malloc(needed);
    source->joined_capacity = source->joined ? needed : 0;
    if (!source->joined)
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to put records of %s together",
                     source->task.window.content.name);
    return source->joined;
}

/* The bytes from the place up to `end`. */
static quern_status show(qn_record_source *source, uint64_t end, qn_view *view_out, qn_error *error)
{
    qn_window *window = &source->task.window;
    uint64_t from = source->task.place.scan_offset;
    quern_status status = QUERN_OK;
    if (qn_window_end(window) < end && !qn_window_is_last(window))
        status = qn_window_extend(window, from, end, error);
    uint64_t there = qn_window_end(window) < end ? qn_window_end(window) : end;
    *view_out =
        (qn_view){.data = window->data + (from - window->data_offset),
                  .bytes = there > from ? (size_t)(there - from) : 0,
                  .offset = from,
                  .at_end = qn_window_is_last(window) && qn_window_end(window) <= end && !window->content.damage};
    return status;
}

/* What is left of the view behind the place. */
static qn_view view_behind(const qn_record_source *source, const qn_view *view)
{
    size_t passed = (size_t)(source->task.place.scan_offset - view->offset);
    return (qn_view){.data = view->data + passed,
                     .bytes = view->bytes - passed,
                     .offset = source->task.place.scan_offset,
                     .at_end = view->at_end};
}

/* One step: what is at the place, which is at the begin of the view. */
static qn_finding find(qn_record_source *source, const qn_view *view, qn_error *error)
{
    const qn_grammar *grammar = source->grammar;
    const qn_text_place *place = &source->task.place;
    if (!place->started) {
        qn_finding finding = grammar->enter(source, view, error);
        source->task.place.started = finding == QN_FOUND;
        return finding == QN_FOUND ? QN_PASSED : finding;
    }
    if (view->bytes == 0 && view->at_end)
        return QN_END;
    if (place->inside || place->scan_offset < source->task.window.content.end)
        return grammar->next(source, view, error);
    if (source->count > 0)
        return QN_FULL;
    qn_finding finding = grammar->follow ? grammar->follow(source, view, error) : QN_FOUND;
    return finding == QN_FOUND ? QN_END : finding;
}

/* Where the records that a step added end. */
static void note_ends(qn_record_source *source, uint32_t first)
{
    for (uint32_t i = first; i < source->count; i++)
        source->ends[i] = i + 1 < source->count ? source->offsets[i + 1] : source->task.place.scan_offset;
}

static bool is_passable(const qn_record_source *source)
{
    return source->task.bad && source->bad_reason && source->grammar->pass;
}

/* The same, where a record that is bad is passed over: nothing of it is in the block, and the place is in front of it. */
static qn_finding find_or_stay(qn_record_source *source, const qn_view *view, qn_error *error)
{
    uint32_t count = source->count;
    qn_text_place place = source->task.place;
    source->bad_reason = NULL;
    qn_finding finding = find(source, view, error);
    note_ends(source, count);
    if (finding == QN_FAILED && is_passable(source)) {
        source->count = count;
        source->task.place = place;
    }
    return finding;
}

/* Goes through a view until a block is full or the view holds no more. */
static qn_finding take_records(qn_record_source *source, const qn_view *view, qn_error *error)
{
    qn_finding finding = QN_FOUND;
    while (source->count < COUNT_FULL && (finding == QN_FOUND || finding == QN_PASSED)) {
        qn_view rest = view_behind(source, view);
        bool entered = source->task.place.started;
        finding = QN_LIKELY(!source->task.bad) ? find(source, &rest, error) : find_or_stay(source, &rest, error);
        QN_ASSERT(!(finding == QN_MORE && rest.at_end));
        if (entered != source->task.place.started)
            break; /* the first block is seen from its own place */
    }
    return finding;
}

/* A view that cannot grow: the content ends there with damage. */
static bool is_damaged_at(const qn_record_source *source, const qn_view *view)
{
    const qn_window *window = &source->task.window;
    return window->content.damage && qn_window_is_last(window) && view->offset + view->bytes >= qn_window_end(window);
}

static uint64_t grow(const qn_record_source *source, uint64_t end)
{
    uint64_t quarter = (end - source->task.place.scan_offset) / 4;
    return end + (quarter / QN_READ_CHUNK_BYTES + 1) * QN_READ_CHUNK_BYTES;
}

static uint64_t chunk_end(uint64_t offset)
{
    return (offset / QN_READ_CHUNK_BYTES + 1) * QN_READ_CHUNK_BYTES;
}

/* Goes behind the bad record at the place. */
static quern_status pass_record(qn_record_source *source, qn_error *error)
{
    qn_text_place *place = &source->task.place;
    uint64_t begin = place->scan_offset, end = chunk_end(begin);
    qn_finding finding = QN_MORE;
    qn_error_clear(error);
    qn_bad_list_begin(source->task.bad, &source->task.window.content, begin, source->bad_reason);
    for (source->state.passing = 0; finding != QN_FOUND;) {
        qn_view view;
        uint64_t from = place->scan_offset;
        quern_status status = show(source, end, &view, error);
        if (status != QUERN_OK)
            return status;
        finding = source->grammar->pass(source, &view);
        if (finding == QN_MORE && is_damaged_at(source, &view))
            break; /* the damage is told next */
        qn_bad_list_add_raw(source->task.bad, view.data, (size_t)(place->scan_offset - from));
        end = place->scan_offset != from ? chunk_end(place->scan_offset) : grow(source, end);
    }
    qn_bad_list_end(source->task.bad, place->scan_offset - begin);
    source->state.passing = 0;
    place->inside = false;
    return QUERN_OK;
}

/* A bad record: the block ends in front of it, or there is no block. */
static quern_status give_up(qn_record_source *source, qn_error *error)
{
    if (source->count == 0)
        return pass_record(source, error);
    qn_error_clear(error);
    return QUERN_OK;
}

/* What could be unpacked ends within a record, or behind one. */
static void tell_damage(qn_record_source *source, const qn_view *view)
{
    qn_text_place *place = &source->task.place;
    qn_bad_list_tell_damage(source->task.bad, &source->task.window.content, place->scan_offset, view->data,
                            view->bytes);
    place->scan_offset = qn_window_end(&source->task.window);
    place->inside = false;
}

/* More than a record may have, and no record yet. Who passes over bad records on the way to the first one knows when to end. */
static bool is_too_long(const qn_record_source *source, const qn_view *view)
{
    bool is_entering = source->task.bad && !source->task.place.started;
    return !is_entering && view->bytes > source->record_bytes_max && view->bytes >= QN_READ_CHUNK_BYTES;
}

/* Records of the present content, in a view that grows until there is one. *done_out: the content has none left that is ours. */
static quern_status fill_block(qn_record_source *source, bool *done_out, qn_error *error)
{
    uint64_t end = chunk_end(source->task.place.scan_offset);
    qn_finding finding = QN_MORE;
    while ((finding == QN_MORE || finding == QN_PASSED) && source->count == 0) {
        qn_view view;
        uint64_t from = source->task.place.scan_offset;
        quern_status status = show(source, end, &view, error);
        if (status != QUERN_OK)
            return status;
        source->joined_bytes = 0;
        finding = take_records(source, &view, error);
        if (finding == QN_FAILED && is_passable(source))
            return give_up(source, error);
        if (finding == QN_MORE && source->count == 0 && is_damaged_at(source, &view)) {
            qn_view rest = view_behind(source, &view);
            tell_damage(source, &rest);
            return QUERN_OK;
        }
        /* What was passed over is no part of a block, nor of how much is to be seen for one. */
        bool moved = finding == QN_PASSED || source->task.place.scan_offset != from;
        if (finding == QN_MORE && !moved && is_too_long(source, &view)) {
            status = too_large(source, from, error);
            return is_passable(source) ? give_up(source, error) : status;
        }
        end = moved ? chunk_end(source->task.place.scan_offset) : grow(source, end);
        if (source->count == 0)
            source->task.block_place = source->task.place;
    }
    *done_out = finding == QN_END;
    return finding == QN_FAILED ? error->status : QUERN_OK;
}

static void give_block(qn_record_source *source, qn_batch *batch_out)
{
    *batch_out = (qn_batch){.block = {.count = source->count, .key = source->keys, .key_bytes = source->key_bytes}};
    batch_out->block.value = source->values;
    batch_out->block.value_bytes = source->value_bytes;
}

quern_status qn_record_source_next(qn_record_source *source, qn_batch *batch_out, qn_error *error)
{
    source->count = 0;
    while (source->task.place.segment < source->task.segment_count) {
        bool is_open = qn_content_is_open(&source->task.window.content), done = false;
        source->task.block_place = source->task.place;
        quern_status status = is_open
                                  ? fill_block(source, &done, error)
                                  : qn_task_reader_open_content(&source->task, &qn_record_task_format, source, error);
        if (status != QUERN_OK)
            return status;
        if (done && source->count == 0)
            qn_task_reader_close_content(&source->task);
        if (source->count > 0 || qn_task_reader_has_bad(&source->task))
            break;
    }
    if (source->count == 0)
        source->task.block_place = source->task.place;
    give_block(source, batch_out);
    return QUERN_OK;
}

/* Where the last record ends, behind which the place is, or within whose sequence. */
static uint64_t record_end(const qn_record_source *source)
{
    return source->task.place.inside ? source->state.bases_end : source->task.place.scan_offset;
}

/* Passes over the records of a view. Behind the last at which a piece may end the place stays, and *end_out is where that is; unchanged if there is none. A
 * '\r' at the end of a piece would be taken for one of a line break. */
static qn_finding pass_records(qn_record_source *source, const qn_view *view, uint64_t *end_out, qn_error *error)
{
    qn_text_place last = source->task.place;
    qn_finding finding = QN_FOUND;
    while (finding == QN_FOUND || finding == QN_PASSED) {
        qn_view rest = view_behind(source, view);
        source->count = 0;
        source->joined_bytes = 0;
        finding = find(source, &rest, error);
        uint64_t end = record_end(source);
        bool is_end = finding == QN_FOUND && !(source->task.place.inside && view->data[end - view->offset - 1] == '\r');
        if (!is_end && finding != QN_END)
            continue;
        last = source->task.place;
        *end_out = end;
    }
    source->count = 0;
    source->task.place = last;
    return finding;
}

/* What is wrong with a record is told when a piece begins with it. */
static quern_status next_piece(void *user, size_t bytes_min, uint64_t *end_out, qn_error *error)
{
    qn_record_source *source = user;
    const qn_text_place from = source->task.place;
    uint64_t end = from.scan_offset + bytes_min;
    for (*end_out = UINT64_MAX;; end = grow(source, end)) {
        qn_view view;
        quern_status status = show(source, end, &view, error);
        if (status != QUERN_OK)
            return status;
        qn_finding finding = pass_records(source, &view, end_out, error);
        if (*end_out != UINT64_MAX) {
            qn_error_clear(error);
            return QUERN_OK;
        }
        if (finding == QN_FAILED)
            return error->status;
        if (view.bytes > source->record_bytes_max && view.bytes >= QN_READ_CHUNK_BYTES)
            return too_large(source, from.scan_offset, error);
    }
}

static void tell(const void *user, qn_buffer *to)
{
    const qn_record_source *source = user;
    if (source->grammar->tell)
        source->grammar->tell(source, to);
}

const qn_task_format qn_record_task_format = {.enter = enter_content, .next_piece = next_piece, .tell = tell};

const char *qn_record_source_locate(const qn_record_source *source, uint32_t record, uint64_t *offset_out)
{
    *offset_out = source->offsets[record];
    return source->task.window.content.name;
}

/* The block that stands in the source is given up; nothing else of it changes. */
size_t qn_record_source_cut(qn_record_source *source, const uint8_t *data, size_t bytes)
{
    qn_text_place place = source->task.place;
    qn_grammar_state state = source->state;
    qn_view view = {.data = data, .bytes = bytes};
    qn_finding finding = QN_FOUND;
    qn_error ignored = {0};
    source->task.place = (qn_text_place){.started = true};
    source->joined_bytes = 0;
    while (finding == QN_FOUND || finding == QN_PASSED) {
        source->count = 0;
        view = view_behind(source, &view);
        source->joined_bytes = 0;
        finding = source->grammar->next(source, &view, &ignored);
        if (source->task.place.inside) /* within a sequence: not before that one */
            source->task.place.scan_offset = source->task.place.record_offset;
        if (source->task.place.inside)
            break;
    }
    size_t cut = (size_t)source->task.place.scan_offset;
    source->count = 0;
    source->task.place = place;
    source->state.sequences = state.sequences;
    return cut;
}
