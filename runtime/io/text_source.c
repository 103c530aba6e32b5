/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/text_source.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"

quern_status qn_text_source_init(qn_text_source *source, const qn_delimiters *delimiters, bool skip_empty,
                                 quern_text_value value, uint64_t record_bytes_max, qn_error *error)
{
    QN_ASSERT(record_bytes_max < UINT64_C(1) << 31);
    *source = (qn_text_source){
        .delimiters = *delimiters, .skip_empty = skip_empty, .value = value, .record_bytes_max = record_bytes_max};
    quern_status status = qn_task_reader_init(&source->task, 0, error);
    source->task.window.content.resumes =
        value == QUERN_TEXT_OFFSET || value == QUERN_TEXT_PLACE ? QN_RESUMES_WHERE_TOLD : QN_RESUMES_ANYWHERE;
    return status;
}

void qn_text_source_fini(qn_text_source *source)
{
    qn_task_reader_fini(&source->task);
    free(source->places);
    source->places = NULL;
}

/* Where the first record may begin: a byte before the segment, which tells whether a record begins exactly there. */
static quern_status enter_content(void *user, qn_error *error)
{
    (void)error;
    qn_text_source *source = user;
    qn_text_place *place = &source->task.place;
    const qn_content *content = &source->task.window.content;
    if (!place->started) {
        place->scan_offset = content->begin > 0 ? content->begin - 1 : 0;
        place->record_offset = place->scan_offset;
        /* Within a content the byte before decides; at its begin nothing is before, as if a delimiter were. */
        place->inside = content->begin > 0;
    }
    qn_window_place(&source->task.window, place->inside && place->started ? place->record_offset : place->scan_offset);
    return QUERN_OK;
}

static quern_status too_large(const qn_text_source *source, uint64_t offset, qn_error *error)
{
    return qn_task_reader_too_large(&source->task, offset, source->record_bytes_max, error);
}

static const char too_long[] = "longer than record-bytes";

static size_t find_delimiter(const qn_text_source *source, const uint8_t *data, size_t bytes)
{
    size_t at = 0;
    while (at < bytes && !source->delimiters.is_delimiter[data[at]])
        at++;
    return at;
}

/* Passes over the record at `from`, of which the window holds the begin up to its end, without keeping it. */
static quern_status pass_long(qn_text_source *source, uint64_t from, qn_error *error)
{
    qn_window *window = &source->task.window;
    qn_text_place *place = &source->task.place;
    const uint8_t *data = window->data + (from - window->data_offset);
    size_t bytes = (size_t)(qn_window_end(window) - from), found = bytes;
    quern_status status = QUERN_OK;
    qn_bad_list_begin(source->task.bad, &window->content, from, too_long);
    while (found == bytes && status == QUERN_OK) {
        qn_bad_list_add_raw(source->task.bad, data, bytes);
        if (qn_window_is_last(window))
            break;
        uint64_t end = qn_window_end(window);
        status = qn_window_advance(window, end, error);
        data = window->data + (end - window->data_offset);
        bytes = (size_t)(qn_window_end(window) - end);
        found = find_delimiter(source, data, bytes);
    }
    if (status != QUERN_OK)
        return status; /* the place is still in front of it */
    if (found < bytes)
        qn_bad_list_add_raw(source->task.bad, data, found);
    else
        qn_content_forget_damage(&window->content); /* it is within what is passed over */
    uint64_t end = qn_window_end(window) - (bytes - found);
    qn_bad_list_end(source->task.bad, end - from);
    *place = (qn_text_place){
        .segment = place->segment, .started = true, .member = place->member, .scan_offset = end + (found < bytes)};
    return QUERN_OK;
}

/* Reads a chunk behind what the window holds of the open record. */
static quern_status read_chunk(qn_text_source *source, qn_error *error)
{
    uint64_t kept = source->task.place.inside ? source->task.place.record_offset : source->task.place.scan_offset;
    uint64_t data_end = qn_window_end(&source->task.window);
    if (data_end > kept && data_end - kept > source->record_bytes_max)
        return source->task.bad ? pass_long(source, kept, error) : too_large(source, kept, error);
    return qn_window_advance(&source->task.window, kept, error);
}

/* Scans as much of the buffer as makes a block. Returns how many positions there are. */
static size_t scan_some(qn_text_source *source, size_t first)
{
    qn_text_place *place = &source->task.place;
    size_t positions_max =
        source->skip_empty ? 2 * QN_BATCH_COUNT_MAX - 2 * QN_SCAN_STEP_BYTES : QN_BATCH_COUNT_MAX - QN_SCAN_STEP_BYTES;
    bool inside = place->inside;
    size_t end = 0;
    size_t count = qn_scan(&source->delimiters, source->task.window.data,
                           place->scan_offset - source->task.window.data_offset, source->task.window.data_bytes,
                           source->skip_empty, &inside, source->positions + first, positions_max, &end);
    place->scan_offset = source->task.window.data_offset + end;
    if (source->skip_empty)
        place->inside = inside;
    return first + count;
}

/* Runs of other bytes than delimiters: positions are begin, end, begin, end … */
static size_t take_runs(qn_text_source *source, bool at_end)
{
    qn_text_place *place = &source->task.place;
    size_t first = 0;
    if (place->inside)
        source->positions[first++] = (uint32_t)(place->record_offset - source->task.window.data_offset);
    size_t count = scan_some(source, first);
    if (count % 2 == 1 && at_end && place->scan_offset == qn_window_end(&source->task.window)) {
        source->positions[count++] = (uint32_t)source->task.window.data_bytes;
        place->inside = false;
    }
    for (size_t i = 0; i < count / 2; i++) {
        source->keys[i] = source->task.window.data + source->positions[2 * i];
        source->key_bytes[i] = source->positions[2 * i + 1] - source->positions[2 * i];
    }
    if (count % 2 == 1)
        place->record_offset = source->task.window.data_offset + source->positions[count - 1];
    return count / 2;
}

/* What stands between delimiters, empty or not: positions are the delimiters. A record is always open, but for the end of a file. */
static size_t take_lines(qn_text_source *source, bool at_end)
{
    qn_text_place *place = &source->task.place;
    if (!place->inside)
        place->record_offset = place->scan_offset;
    place->inside = true;
    size_t count = scan_some(source, 0);
    uint64_t data_end = qn_window_end(&source->task.window);
    uint32_t begin = (uint32_t)(place->record_offset - source->task.window.data_offset);
    for (size_t i = 0; i < count; i++) {
        source->keys[i] = source->task.window.data + begin;
        source->key_bytes[i] = source->positions[i] - begin;
        begin = source->positions[i] + 1;
    }
    if (at_end && place->scan_offset == data_end && begin < source->task.window.data_bytes) {
        source->keys[count] = source->task.window.data + begin;
        source->key_bytes[count++] = (uint32_t)source->task.window.data_bytes - begin;
        begin = (uint32_t)source->task.window.data_bytes;
    }
    place->record_offset = source->task.window.data_offset + begin;
    return count;
}

/* Where a segment starts inside a file: drops what belongs to the record before it. True when that is found. */
static bool skip_foreign(qn_text_source *source)
{
    qn_text_place *place = &source->task.place;
    uint64_t at = place->scan_offset - source->task.window.data_offset;
    while (at < source->task.window.data_bytes && !source->delimiters.is_delimiter[source->task.window.data[at]])
        at++;
    bool found = at < source->task.window.data_bytes;
    place->scan_offset = source->task.window.data_offset + at + found;
    place->record_offset = place->scan_offset;
    place->started = found;
    place->inside = !found;
    return found;
}

/* Makes sure that the place is at a record of ours. False: it is not yet, or the content has none and is closed. */
static bool enter_records(qn_text_source *source)
{
    const qn_content *content = &source->task.window.content;
    bool found = source->task.place.started || content->begin == 0 || skip_foreign(source);
    /* The first record of ours begins behind a delimiter: if that is not before the segment's end, there is none. */
    bool behind = source->task.place.scan_offset >= content->end && !(found && source->task.place.inside);
    if ((!found && qn_window_is_last(&source->task.window)) || behind) {
        qn_task_reader_close_content(&source->task);
        return false;
    }
    source->task.place.started = found;
    return found;
}

/* What could be unpacked ends within a record, or behind one. If that is the next stretch's, its reader tells it. */
static void tell_damage(qn_text_source *source, uint64_t from)
{
    qn_window *window = &source->task.window;
    const uint8_t *data = window->data + (from - window->data_offset);
    size_t bytes = (size_t)(qn_window_end(window) - from);
    if (from >= window->content.end)
        return;
    if (bytes <= source->record_bytes_max) {
        qn_bad_list_tell_damage(source->task.bad, &window->content, from, data, bytes);
        return;
    }
    qn_bad_list_begin(source->task.bad, &window->content, from, too_long);
    qn_bad_list_add_raw(source->task.bad, data, bytes);
    qn_bad_list_end(source->task.bad, bytes);
    qn_content_forget_damage(&window->content);
}

/* Where the next record begins, or has begun. */
static uint64_t next_offset(const qn_text_place *place)
{
    return place->inside ? place->record_offset : place->scan_offset;
}

/* Records of the present content, from what is in the window. *done_out: nothing is left that is ours. */
static size_t take_records(qn_text_source *source, bool *done_out)
{
    const qn_content *content = &source->task.window.content;
    qn_text_place *place = &source->task.place;
    bool is_last = qn_window_is_last(&source->task.window), at_end = is_last && !content->damage;
    size_t count = source->skip_empty ? take_runs(source, at_end) : take_lines(source, at_end);
    /* Records that begin behind the segment are somebody else's. */
    while (count > 0 && source->task.window.data_offset +
                                (uint64_t)((const uint8_t *)source->keys[count - 1] - source->task.window.data) >=
                            content->end)
        count--;
    *done_out =
        next_offset(place) >= content->end || (is_last && place->scan_offset == qn_window_end(&source->task.window));
    return count;
}

static void give_block(qn_text_source *source, size_t count, qn_batch *batch_out)
{
    *batch_out = (qn_batch){.block = {.count = count, .key = source->keys, .key_bytes = source->key_bytes}};
    if (source->value != QUERN_TEXT_NO_VALUE) {
        batch_out->block.value = source->values;
        batch_out->block.value_bytes = source->value_bytes;
    }
}

static uint8_t *take_places(qn_text_source *source, size_t bytes)
{
    if (source->places_bytes < bytes) {
        free(source->places);
        source->places = malloc(bytes);
        source->places_bytes = source->places ? bytes : 0;
    }
    return source->places;
}

/* Where the records of a block are, as their values. */
static quern_status give_places(qn_text_source *source, size_t count, qn_error *error)
{
    const char *path = source->task.window.content.name;
    size_t path_bytes = source->value == QUERN_TEXT_OFFSET ? 0 : strlen(path);
    size_t step_bytes = (sizeof(uint64_t) + path_bytes + 7) & ~(size_t)7;
    uint8_t *places =
        source->value == QUERN_TEXT_PATH ? NULL : take_places(source, count * step_bytes + QN_SLACK_BYTES);
    if (!places && source->value != QUERN_TEXT_PATH)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the places of records of %s", path);
    for (uint32_t i = 0; i < count; i++) {
        source->values[i] = path;
        source->value_bytes[i] = (uint32_t)path_bytes;
        if (!places)
            continue;
        uint64_t offset = 0;
        qn_text_source_locate(source, i, &offset);
        source->values[i] = places + i * step_bytes;
        source->value_bytes[i] = (uint32_t)(sizeof offset + path_bytes);
        memcpy(places + i * step_bytes, &offset, sizeof offset);
        memcpy(places + i * step_bytes + sizeof offset, path, path_bytes);
    }
    return QUERN_OK;
}

/* Takes those that are too long out of the block. */
static void drop_long(qn_text_source *source, size_t *count)
{
    size_t kept = 0;
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t bytes = source->key_bytes[i];
        uint64_t offset = 0;
        qn_text_source_locate(source, i, &offset);
        source->keys[kept] = source->keys[i];
        source->key_bytes[kept] = bytes;
        kept += bytes <= source->record_bytes_max;
        if (bytes <= source->record_bytes_max)
            continue;
        qn_bad_list_begin(source->task.bad, &source->task.window.content, offset, too_long);
        qn_bad_list_add_raw(source->task.bad, source->keys[i], bytes);
        qn_bad_list_end(source->task.bad, bytes);
    }
    *count = kept;
}

/* A buffer that is no longer than a record may be holds none that is too long: the ordinary case. */
static quern_status check_lengths(qn_text_source *source, size_t *count, qn_error *error)
{
    if (QN_LIKELY(source->task.window.data_bytes <= source->record_bytes_max))
        return QUERN_OK;
    if (source->task.bad) {
        drop_long(source, count);
        return QUERN_OK;
    }
    for (uint32_t i = 0; i < *count; i++) {
        if (source->key_bytes[i] > source->record_bytes_max) {
            uint64_t offset = 0;
            qn_text_source_locate(source, i, &offset);
            return too_large(source, offset, error);
        }
    }
    return QUERN_OK;
}

/* Bytes to scan in the window. Several chunks at once where an attempt is continued within a record that began chunks ago. */
static quern_status have_bytes(qn_text_source *source, qn_error *error)
{
    quern_status status = QUERN_OK;
    while (status == QUERN_OK && source->task.place.scan_offset >= qn_window_end(&source->task.window) &&
           !qn_window_is_last(&source->task.window))
        status = read_chunk(source, error);
    if (status == QUERN_OK && source->task.place.scan_offset > qn_window_end(&source->task.window))
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s has changed: an attempt before read byte %llu of it",
                              source->task.window.content.name, (unsigned long long)source->task.place.scan_offset - 1);
    return status;
}

quern_status qn_text_source_next(qn_text_source *source, qn_batch *batch_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    while (source->task.place.segment < source->task.segment_count) {
        bool is_open = qn_content_is_open(&source->task.window.content);
        status = is_open ? have_bytes(source, error)
                         : qn_task_reader_open_content(&source->task, &qn_text_task_format, source, error);
        source->task.block_place =
            source->task.place; /* another attempt begins here: what came before was handed out */
        if (status != QUERN_OK)
            return status;
        if (qn_task_reader_has_bad(&source->task))
            break;
        if (!is_open || !enter_records(source))
            continue;
        source->task.block_place = source->task.place;
        bool done = false;
        size_t count = take_records(source, &done);
        status = check_lengths(source, &count, error);
        if (done && source->task.window.content.damage)
            tell_damage(source, next_offset(&source->task.place));
        if (done)
            qn_task_reader_close_content(&source->task);
        if (count > 0 || qn_task_reader_has_bad(&source->task) || status != QUERN_OK) {
            give_block(source, count, batch_out);
            return status == QUERN_OK && source->value != QUERN_TEXT_NO_VALUE ? give_places(source, count, error)
                                                                              : status;
        }
    }
    give_block(source, 0, batch_out);
    source->task.block_place = source->task.place;
    return QUERN_OK;
}

/* Behind the last delimiter of the window, or of the content, unless that ends with damage. False: there is none from the place on. */
static bool find_border(const qn_text_source *source, uint64_t *border_out)
{
    const qn_window *window = &source->task.window;
    size_t begin = source->task.place.scan_offset - window->data_offset, at = window->data_bytes;
    if (!qn_window_is_last(window) || window->content.damage)
        while (at > begin && !source->delimiters.is_delimiter[window->data[at - 1]])
            at--;
    *border_out = window->data_offset + at;
    return at > begin || qn_window_is_last(window);
}

/* Has whole records in the window, up to the border. */
static quern_status next_piece(void *user, size_t bytes_min, uint64_t *end_out, qn_error *error)
{
    qn_text_source *source = user;
    uint64_t begin = source->task.place.scan_offset;
    quern_status status = QUERN_OK;
    while (status == QUERN_OK) {
        if (qn_window_end(&source->task.window) < begin + bytes_min && !qn_window_is_last(&source->task.window))
            status = qn_window_extend(&source->task.window, begin, begin + bytes_min, error);
        if (status == QUERN_OK && find_border(source, end_out))
            break;
        if (status == QUERN_OK && bytes_min > source->record_bytes_max) {
            *end_out = begin;
            return source->task.bad ? pass_long(source, begin, error) : too_large(source, begin, error);
        }
        bytes_min *= 2;
    }
    if (status == QUERN_OK)
        source->task.place.scan_offset = *end_out;
    return status;
}

/* Behind the last whole record of a content. */
static quern_status tell_rest(void *user, qn_error *error)
{
    (void)error;
    qn_text_source *source = user;
    if (source->task.window.content.damage)
        tell_damage(source, source->task.place.scan_offset);
    return QUERN_OK;
}

const qn_task_format qn_text_task_format = {.enter = enter_content, .next_piece = next_piece, .tell_rest = tell_rest};

const char *qn_text_source_locate(const qn_text_source *source, uint32_t record, uint64_t *offset_out)
{
    *offset_out =
        source->task.window.data_offset + (uint64_t)((const uint8_t *)source->keys[record] - source->task.window.data);
    return source->task.window.content.name;
}
