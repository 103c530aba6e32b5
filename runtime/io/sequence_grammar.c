/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/sequence_grammar.h"

#include <stdlib.h>

#include "runtime/io/fastq_bad.h"

#define HEADER_BYTES ((size_t)4 << 10) /* read at once where a header is read again */

/* ---- which of the two ---- */

/* UNKNOWN: the first byte that is no line break begins neither. */
static qn_sequence_kind kind_of(const qn_sequence_format *format, const uint8_t *data, size_t bytes)
{
    size_t at = qn_view_pass_breaks(&(qn_view){.data = data, .bytes = bytes}, 0);
    qn_sequence_kind kind = at == bytes       ? QN_SEQUENCES_UNKNOWN
                            : data[at] == '>' ? QN_SEQUENCES_FASTA
                            : data[at] == '@' ? QN_SEQUENCES_FASTQ
                                              : QN_SEQUENCES_UNKNOWN;
    if (format->format == QUERN_SEQUENCE_ANY)
        return kind;
    return format->format == QUERN_SEQUENCE_FASTA ? QN_SEQUENCES_FASTA : QN_SEQUENCES_FASTQ;
}

static quern_status no_kind(const qn_record_source *source, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s begins with neither '>' nor '@': it is no FASTA or FASTQ file",
                        source->task.window.content.name);
}

/* ---- headers that are needed again ---- */

static bool keep_header(qn_record_source *source, const char *header, size_t bytes, qn_error *error)
{
    qn_grammar_state *state = &source->state;
    if (state->header_capacity < bytes + QN_SLACK_BYTES) {
        free(state->header);
        state->header_capacity = 2 * bytes + QN_SLACK_BYTES;
        state->header = calloc(1, state->header_capacity);
    }
    if (!state->header) {
        state->header_capacity = 0;
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the name of a sequence");
        return false;
    }
    memcpy(state->header, header, bytes);
    state->header_bytes = bytes;
    return true;
}

/* An attempt is continued in the middle of a sequence: its name is where it began. */
static quern_status read_header(qn_record_source *source, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t bytes = HEADER_BYTES;; bytes *= 2) {
        char *data = malloc(bytes);
        size_t got = 0;
        if (!data)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the name of a sequence");
        status =
            qn_content_read(&source->task.window.content, data, source->task.place.record_offset, bytes, &got, error);
        qn_view view = {.data = (const uint8_t *)data, .bytes = got, .at_end = status != QUERN_OK || got < bytes};
        qn_line line;
        bool whole = qn_view_line(&view, 0, &line);
        if (status == QUERN_OK && whole && !keep_header(source, data + 1, line.end > 1 ? line.end - 1 : 0, error))
            status = error->status;
        free(data);
        if (whole)
            return status;
    }
}

/* ---- FASTA ---- */

/* A sequence, or a piece of it. */
typedef struct bases {
    const uint8_t *first; /* where they stand, if in one run */
    size_t first_bytes;
    size_t count;
    size_t end;   /* of the last one, in the view */
    size_t next;  /* where the sequence ends; if it does */
    bool is_last; /* it does */
} bases;

static quern_span span_of(const void *data, size_t bytes)
{
    return (quern_span){data, bytes};
}

/* The end of what a line has, as far as it is seen: a '\r' that may be of its end is left for later. */
static size_t seen_end(const qn_view *view, size_t at, size_t *next_out)
{
    qn_line line;
    if (qn_view_line(view, at, &line)) {
        *next_out = line.next;
        return line.end;
    }
    *next_out = SIZE_MAX;
    return view->bytes - (view->bytes > at && view->data[view->bytes - 1] == '\r');
}

static bool add_run(qn_record_source *source, const qn_view *view, const uint8_t *data, size_t bytes, bases *to,
                    qn_error *error)
{
    if (to->count == 0) {
        to->first = data;
        to->first_bytes = bytes;
        to->count = bytes;
        return true;
    }
    uint8_t *room = qn_record_room(source, view, error);
    if (!room)
        return false;
    room += source->joined_bytes;
    if (to->count == to->first_bytes)
        memcpy(room, to->first, to->first_bytes);
    memcpy(room + to->count, data, bytes);
    to->count += bytes;
    return true;
}

/* Whether the sequence goes on behind a piece: QN_FOUND and *is_last_out. */
static qn_finding look_behind(const qn_view *view, size_t at, bases *to)
{
    for (;;) {
        size_t next = 0, end = 0;
        if (at == view->bytes && !view->at_end)
            return QN_MORE;
        to->next = at;
        to->is_last = at == view->bytes || (view->data[at] == '>' && at > 0 && view->data[at - 1] == '\n');
        if (to->is_last)
            return QN_FOUND;
        end = seen_end(view, at, &next);
        if (end > at)
            return QN_FOUND;
        if (next == SIZE_MAX)
            return QN_MORE;
        at = next;
    }
}

/* Bases from `at` on, at most `most`. */
static qn_finding collect(qn_record_source *source, const qn_view *view, size_t at, bool at_line, size_t most,
                          bases *to, qn_error *error)
{
    *to = (bases){.end = at};
    for (size_t next = at; to->count < most; at = next, at_line = true) {
        if (at == view->bytes && !view->at_end)
            return QN_MORE;
        to->next = at;
        to->is_last = at == view->bytes || (at_line && view->data[at] == '>');
        if (to->is_last)
            return QN_FOUND;
        size_t end = seen_end(view, at, &next);
        size_t taken = end - at < most - to->count ? end - at : most - to->count;
        if (next == SIZE_MAX && taken < most - to->count)
            return QN_MORE;
        if (taken > 0 && !add_run(source, view, view->data + at, taken, to, error))
            return QN_FAILED;
        to->end = taken > 0 ? at + taken : to->end;
    }
    return look_behind(view, to->end, to);
}

/* The place of the base that has so many more between it and `at`. */
static size_t step_back(const qn_view *view, size_t at, size_t count)
{
    while (count > 0) {
        at--;
        bool is_break = view->data[at] == '\n' || (view->data[at] == '\r' && view->data[at + 1] == '\n');
        count -= !is_break;
    }
    return at;
}

static qn_finding give_bases(qn_record_source *source, const bases *given, quern_span key, uint64_t offset,
                             qn_error *error)
{
    quern_span value = span_of(given->first, given->count);
    if (given->count > given->first_bytes) {
        value.data = source->joined + source->joined_bytes;
        source->joined_bytes += given->count;
    } else if (given->count == 0)
        value.data = key.data;
    return qn_record_add(source, key, value, offset, error);
}

/* Bases that are not the last of their sequence: the place moves to where the next piece begins. */
static qn_finding give_piece(qn_record_source *source, const qn_view *view, const bases *given, quern_span key,
                             qn_error *error)
{
    qn_text_place *place = &source->task.place;
    if (!place->inside) {
        if (source->count > 0)
            return QN_FULL; /* the kept header is that of one sequence in a block */
        if (!keep_header(source, key.data, key.bytes, error))
            return QN_FAILED;
        place->record_offset = view->offset;
        place->inside = true;
        key = span_of(source->state.header, key.bytes);
    }
    source->state.bases_end = view->offset + given->end;
    place->scan_offset = view->offset + step_back(view, given->end, source->format.sequences.overlap_bases);
    return give_bases(source, given, key, view->offset, error);
}

static qn_finding next_fasta(qn_record_source *source, const qn_view *view, qn_error *error)
{
    qn_text_place *place = &source->task.place;
    quern_span key = span_of(source->state.header, source->state.header_bytes);
    size_t most = source->format.sequences.piece_bases > 0 ? source->format.sequences.piece_bases : SIZE_MAX;
    size_t at = 0;
    if (!place->inside) {
        qn_line line;
        if (view->data[0] != '>')
            return qn_record_fail(source, view->offset, error, "a sequence of FASTA must begin with '>'");
        if (!qn_view_line(view, 0, &line))
            return QN_MORE;
        key = span_of(view->data + 1, line.end > 1 ? line.end - 1 : 0);
        at = line.next;
    }
    bases found;
    qn_finding finding = collect(source, view, at, !place->inside, most, &found, error);
    if (finding != QN_FOUND)
        return finding;
    if (!found.is_last)
        return give_piece(source, view, &found, key, error);
    place->scan_offset = view->offset + found.next;
    place->inside = false;
    return give_bases(source, &found, key, view->offset, error);
}

/* Goes from '>' to '>' and looks whether a line begins there. */
static qn_finding enter_fasta(qn_record_source *source, const qn_view *view)
{
    size_t at = 1;
    while (at < view->bytes) {
        const uint8_t *found = memchr(view->data + at, '>', view->bytes - at);
        if (!found)
            break;
        at = (size_t)(found - view->data);
        if (view->data[at - 1] == '\n') {
            source->task.place.scan_offset = view->offset + at;
            return QN_FOUND;
        }
        at++;
    }
    if (view->at_end || view->offset + view->bytes >= source->task.window.content.end)
        return QN_END;
    if (view->bytes < 2)
        return QN_MORE;
    source->task.place.scan_offset = view->offset + view->bytes - 1;
    return QN_PASSED;
}

/* ---- FASTQ ---- */

static bool begins_with(const qn_view *view, const qn_line *line, char byte)
{
    return line->end > line->begin && view->data[line->begin] == (uint8_t)byte;
}

static quern_span line_span(const qn_view *view, const qn_line *line)
{
    return span_of(view->data + line->begin, line->end - line->begin);
}

static qn_finding ends_early(qn_record_source *source, const qn_view *view, size_t at, qn_error *error)
{
    return qn_record_fail(source, view->offset + at, error, "the file ends within this record");
}

static qn_finding bad_lengths(qn_record_source *source, const qn_view *view, size_t at, bool strict, qn_error *error)
{
    return qn_record_fail(source, view->offset + at, error,
                          strict
                              ? "this record is not four lines with as many qualities as bases, as all of a file that "
                                "is cut must be: raise split-bytes above the file's size, and one rank reads it"
                              : "this record has not as many qualities as bases");
}

/* The four lines, if they are. QN_PASSED: the record has another form. */
static qn_finding read_lines(const qn_view *view, size_t at, qn_read_record *to)
{
    qn_line lines[4];
    for (size_t i = 0; i < 4; i++, at = lines[i - 1].next)
        if (!qn_view_line(view, at, &lines[i]))
            return QN_MORE;
    if (!begins_with(view, &lines[2], '+') || begins_with(view, &lines[1], '@') || begins_with(view, &lines[1], '+') ||
        lines[3].end - lines[3].begin != lines[1].end - lines[1].begin)
        return QN_PASSED;
    to->name = span_of(view->data + lines[0].begin + 1, lines[0].end - lines[0].begin - 1);
    to->bases = line_span(view, &lines[1]);
    to->qualities = line_span(view, &lines[3]);
    to->next = lines[3].next;
    return QN_FOUND;
}

/* Puts lines together, from `at` on, until a line begins with '+' (most SIZE_MAX) or there are so many bytes. */
static qn_finding join_lines(qn_record_source *source, const qn_view *view, size_t *at, size_t most, quern_span *to,
                             qn_error *error)
{
    uint8_t *room = qn_record_room(source, view, error);
    if (!room)
        return QN_FAILED;
    *to = span_of(room + source->joined_bytes, 0);
    while (most == SIZE_MAX || to->bytes < most) {
        qn_line line;
        if (*at == view->bytes)
            return view->at_end ? QN_END : QN_MORE;
        if (!qn_view_line(view, *at, &line))
            return QN_MORE;
        if (most == SIZE_MAX && begins_with(view, &line, '+'))
            break;
        if (most == SIZE_MAX && begins_with(view, &line, '@'))
            return qn_record_fail(source, view->offset + *at, error, "a line of a sequence must not begin with '@'");
        memcpy(room + source->joined_bytes, view->data + line.begin, line.end - line.begin);
        source->joined_bytes += line.end - line.begin;
        to->bytes += line.end - line.begin;
        *at = line.next;
    }
    return QN_FOUND;
}

/* Sequence and qualities of any number of lines. */
static qn_finding read_long(qn_record_source *source, const qn_view *view, size_t begin, qn_read_record *to,
                            qn_error *error)
{
    qn_line line;
    if (!qn_view_line(view, begin, &line))
        return QN_MORE;
    size_t at = line.next;
    to->name = span_of(view->data + begin + 1, line.end - begin - 1);
    qn_finding finding = join_lines(source, view, &at, SIZE_MAX, &to->bases, error);
    if (finding == QN_FOUND && !qn_view_line(view, at, &line))
        finding = QN_MORE;
    at = line.next;
    if (finding == QN_FOUND)
        finding = join_lines(source, view, &at, to->bases.bytes, &to->qualities, error);
    if (finding == QN_END)
        return ends_early(source, view, begin, error);
    to->next = at;
    return finding == QN_FOUND && to->qualities.bytes != to->bases.bytes
               ? bad_lengths(source, view, begin, false, error)
               : finding;
}

/* A content of which only a part is ours, from borders that nobody knows for certain. */
static bool is_cut(const qn_record_source *source)
{
    const qn_content *content = &source->task.window.content;
    if (!content->segment || content->segment->packing == QN_PACKING_INLINE)
        return false;
    return content->begin > 0 || content->end < content->bytes || qn_content_goes_on(content);
}

qn_finding qn_fastq_read_four(const qn_record_source *source, const qn_view *view, size_t at, qn_read_record *to)
{
    if (at < view->bytes && view->data[at] != '@')
        return QN_PASSED;
    if (at == view->bytes)
        return view->at_end ? QN_PASSED : QN_MORE;
    qn_finding finding = read_lines(view, at, to);
    size_t bytes = (finding == QN_FOUND ? to->next : view->bytes) - at;
    return finding != QN_PASSED && bytes > qn_fastq_read_bytes_max(source) ? QN_PASSED : finding;
}

static qn_finding read_one(qn_record_source *source, const qn_view *view, size_t at, qn_read_record *to,
                           qn_error *error)
{
    if (source->task.bad) {
        qn_finding finding = qn_fastq_read_four(source, view, at, to);
        return finding == QN_PASSED
                   ? qn_record_fail(source, view->offset + at, error, "not four lines that are a record of FASTQ")
                   : finding;
    }
    bool strict = is_cut(source) || source->format.sequences.format == QUERN_SEQUENCE_FASTQ_LINES;
    if (view->data[at] != '@')
        return qn_record_fail(source, view->offset + at, error, "a record of FASTQ must begin with '@'");
    qn_finding finding = read_lines(view, at, to);
    if (finding != QN_PASSED)
        return finding;
    if (strict)
        return bad_lengths(source, view, at, true, error);
    return read_long(source, view, at, to, error);
}

static qn_finding give_read(qn_record_source *source, const qn_view *view, const qn_read_record *given, size_t at,
                            qn_error *error)
{
    quern_span value = given->bases;
    if (source->format.sequences.value == QUERN_SEQUENCE_QUALITIES) {
        uint8_t *room = qn_record_room(source, view, error);
        if (!room)
            return QN_FAILED;
        room += source->joined_bytes;
        memcpy(room, given->bases.data, given->bases.bytes);
        memcpy(room + given->bases.bytes, given->qualities.data, given->qualities.bytes);
        value = span_of(room, 2 * given->bases.bytes);
        source->joined_bytes += value.bytes;
    }
    return qn_record_add(source, given->name, value, view->offset + at, error);
}

/* A name without what follows a blank, and without "/1" or "/2". */
static size_t name_bytes(quern_span name, char mate)
{
    const char *text = name.data;
    size_t bytes = 0;
    while (bytes < name.bytes && text[bytes] != ' ' && text[bytes] != '\t')
        bytes++;
    return bytes >= 2 && text[bytes - 2] == '/' && text[bytes - 1] == mate ? bytes - 2 : bytes;
}

bool qn_sequence_are_mates(quern_span first, quern_span second)
{
    size_t bytes = name_bytes(first, '1');
    return bytes == name_bytes(second, '2') && memcmp(first.data, second.data, bytes) == 0;
}

static qn_finding next_pair(qn_record_source *source, const qn_view *view, qn_error *error)
{
    qn_read_record reads[2];
    qn_finding finding = read_one(source, view, 0, &reads[0], error);
    if (finding != QN_FOUND)
        return finding;
    size_t second = qn_view_pass_breaks(view, reads[0].next);
    if (qn_view_is_unseen(view, second))
        return QN_MORE;
    if (second == view->bytes)
        return qn_record_fail(source, view->offset, error, "this record has no mate behind it");
    finding = read_one(source, view, second, &reads[1], error);
    if (finding != QN_FOUND)
        return finding;
    if (!qn_sequence_are_mates(reads[0].name, reads[1].name))
        return qn_record_fail(source, view->offset, error,
                              "this record and the one behind it are no pair: their names differ");
    finding = give_read(source, view, &reads[0], 0, error);
    if (finding == QN_FOUND)
        finding = give_read(source, view, &reads[1], second, error);
    source->task.place.scan_offset = view->offset + reads[1].next;
    return finding;
}

static qn_finding next_fastq(qn_record_source *source, const qn_view *view, qn_error *error)
{
    qn_read_record found;
    qn_finding finding = read_one(source, view, 0, &found, error);
    if (finding != QN_FOUND)
        return finding;
    source->task.place.scan_offset = view->offset + found.next;
    return give_read(source, view, &found, 0, error);
}

/* Whether a record of four lines seems to begin at `at`, a line's begin. QN_END: not, and nothing that could be one comes behind it. */
static qn_finding looks_like_read(const qn_view *view, size_t at)
{
    qn_line line = {.next = at};
    if (at < view->bytes && view->data[at] != '@')
        return QN_PASSED;
    for (size_t i = 0; i < 3; i++) {
        if (line.next == view->bytes)
            return view->at_end ? QN_END : QN_MORE;
        if (!qn_view_line(view, line.next, &line))
            return QN_MORE;
    }
    return begins_with(view, &line, '+') ? QN_FOUND : QN_PASSED;
}

/* The view begins at a byte before the stretch, or at the break before a line that has to be seen further. */
static qn_finding enter_fastq(qn_record_source *source, const qn_view *view)
{
    const uint8_t *found = NULL;
    size_t from = 0;
    qn_finding finding = QN_PASSED;
    while (finding != QN_MORE && from < view->bytes &&
           (found = memchr(view->data + from, '\n', view->bytes - from)) != NULL) {
        size_t line = (size_t)(found - view->data) + 1;
        if (view->offset + line >= source->task.window.content.end)
            return QN_END;
        finding = looks_like_read(view, line);
        from = finding == QN_MORE ? line - 1 : line;
        if (finding == QN_FOUND) {
            source->task.place.scan_offset = view->offset + line;
            return QN_FOUND;
        }
    }
    if (view->at_end || (finding != QN_MORE && view->offset + view->bytes >= source->task.window.content.end))
        return QN_END;
    if (finding != QN_MORE) /* the next break is behind the view */
        from = view->bytes > 0 ? view->bytes - 1 : 0;
    source->task.place.scan_offset = view->offset + from;
    return from > 0 ? QN_PASSED : QN_MORE;
}

/* The next stretch's reader finds what looks like a record; if what comes here does not, that is an error now. */
static qn_finding follow_sequence(qn_record_source *source, const qn_view *view, qn_error *error)
{
    if (source->task.bad)
        return QN_FOUND; /* it finds what is bad, too */
    size_t at = qn_view_pass_breaks(view, 0);
    if (qn_view_is_unseen(view, at))
        return QN_MORE;
    if (at == view->bytes)
        return QN_FOUND;
    if (source->state.sequences != QN_SEQUENCES_FASTQ)
        return view->data[at] == '>' || source->state.sequences == QN_SEQUENCES_UNKNOWN
                   ? QN_FOUND
                   : qn_record_fail(source, view->offset + at, error, "a sequence of FASTA must begin with '>'");
    qn_finding finding = looks_like_read(view, at);
    if (finding == QN_FOUND || finding == QN_MORE)
        return finding;
    return finding == QN_END ? ends_early(source, view, at, error) : bad_lengths(source, view, at, true, error);
}

static quern_status open_sequences(qn_record_source *source, qn_error *error)
{
    uint8_t front[HEADER_BYTES];
    size_t got = 0;
    quern_status status = QUERN_OK;
    source->state.sequences = kind_of(&source->format.sequences, NULL, 0);
    bool at_front = source->task.place.started && source->task.place.scan_offset == 0;
    if (!at_front && source->state.sequences == QN_SEQUENCES_UNKNOWN) {
        status = qn_content_read_front(&source->task.window.content, front, sizeof front, &got, error);
        source->state.sequences = kind_of(&source->format.sequences, front, got);
        if (status == QUERN_OK && source->state.sequences == QN_SEQUENCES_UNKNOWN)
            status = no_kind(source, error);
    }
    if (status == QUERN_OK && source->task.bad && source->state.sequences == QN_SEQUENCES_FASTQ &&
        !source->task.place.started)
        status = qn_fastq_find_sure(source, error);
    return status == QUERN_OK && source->task.place.inside ? read_header(source, error) : status;
}

static void tell_sequences(const qn_record_source *source, qn_buffer *to)
{
    const qn_grammar_state *state = &source->state;
    qn_buffer_append_u32(to, state->sequences);
    qn_buffer_append_span(to, state->header, source->task.place.inside ? state->header_bytes : 0);
}

static quern_status hear_sequences(qn_record_source *source, qn_reader *told, qn_error *error)
{
    const qn_text_place *place = &source->task.place;
    size_t bytes = 0;
    if (source->task.window.content.begin == 0)
        return open_sequences(source, error); /* the front is in the piece */
    source->state.sequences = (qn_sequence_kind)qn_reader_u32(told);
    const char *header = qn_reader_span(told, &bytes);
    if (told->failed)
        return qn_error_set(error, QUERN_ERROR_INTERNAL, 0, "a piece of a file says too little");
    if (!place->inside)
        return QUERN_OK;
    if (place->record_offset >= source->task.window.content.begin)
        return read_header(source, error);
    return keep_header(source, header, bytes, error) ? QUERN_OK : error->status;
}

/* ---- either ---- */

/* What is before the first sequence of FASTA, where that is passed over, is all that is: empty lines, too. */
static bool begins_with_other(const qn_record_source *source, const qn_view *view, size_t at)
{
    return source->task.bad && view->offset == 0 && source->state.sequences == QN_SEQUENCES_FASTA && at < view->bytes &&
           view->data[at] != '>';
}

static qn_finding next_sequence(qn_record_source *source, const qn_view *view, qn_error *error)
{
    qn_text_place *place = &source->task.place;
    size_t passed = place->inside ? 0 : qn_view_pass_breaks(view, 0);
    if (qn_view_is_unseen(view, passed) && passed == 0)
        return QN_MORE;
    if (passed > 0 && begins_with_other(source, view, passed))
        return qn_record_fail(source, view->offset, error, "a sequence of FASTA must begin with '>'");
    if (passed > 0) {
        place->scan_offset += passed;
        return QN_PASSED;
    }
    if (source->state.sequences == QN_SEQUENCES_UNKNOWN)
        source->state.sequences = kind_of(&source->format.sequences, view->data, view->bytes);
    if (source->state.sequences == QN_SEQUENCES_UNKNOWN) {
        no_kind(source, error);
        return QN_FAILED;
    }
    const qn_sequence_format *format = &source->format.sequences;
    bool is_fasta = source->state.sequences == QN_SEQUENCES_FASTA;
    if (is_fasta && (format->value == QUERN_SEQUENCE_QUALITIES || format->interleaved))
        return qn_record_fail(source, view->offset, error,
                              "this is FASTA, but qualities or pairs were asked for, which only FASTQ has");
    if (is_fasta)
        return next_fasta(source, view, error);
    return format->interleaved ? next_pair(source, view, error) : next_fastq(source, view, error);
}

static qn_finding enter_sequences(qn_record_source *source, const qn_view *view, qn_error *error)
{
    (void)error;
    if (source->task.bad && source->state.sequences == QN_SEQUENCES_FASTQ)
        return qn_fastq_enter(source, view);
    return source->state.sequences == QN_SEQUENCES_FASTA ? enter_fasta(source, view) : enter_fastq(source, view);
}

/* To the next line that begins with '>'. */
static qn_finding pass_fasta(qn_record_source *source, const qn_view *view)
{
    size_t at = 0;
    while (at < view->bytes) {
        const uint8_t *found = memchr(view->data + at, '\n', view->bytes - at);
        at = found ? (size_t)(found - view->data) + 1 : view->bytes;
        if (at < view->bytes && view->data[at] == '>' && found)
            break;
    }
    bool found = at < view->bytes;
    size_t kept = !found && !view->at_end && at > 0 && view->data[at - 1] == '\n';
    at -= kept < at ? kept : 0;
    source->task.place.scan_offset = view->offset + at;
    return found || view->at_end ? QN_FOUND : at > 0 ? QN_PASSED : QN_MORE;
}

static qn_finding pass_sequence(qn_record_source *source, const qn_view *view)
{
    return source->state.sequences == QN_SEQUENCES_FASTA ? pass_fasta(source, view) : qn_fastq_pass(source, view);
}

static void forget_sequences(qn_record_source *source)
{
    free(source->state.header);
    source->state.header = NULL;
}

const qn_grammar qn_sequence_grammar = {
    .open = open_sequences,
    .tell = tell_sequences,
    .hear = hear_sequences,
    .enter = enter_sequences,
    .next = next_sequence,
    .follow = follow_sequence,
    .pass = pass_sequence,
    .fini = forget_sequences,
};

/* ---- before any reading ---- */

bool qn_sequence_needs_front(const qn_sequence_format *format)
{
    return format->format != QUERN_SEQUENCE_FASTA &&
           (format->format != QUERN_SEQUENCE_FASTQ_LINES || format->interleaved);
}

bool qn_sequence_can_be_cut(const qn_sequence_format *format, const uint8_t *data, size_t bytes, bool at_end)
{
    qn_view view = {.data = data, .bytes = bytes, .at_end = at_end};
    if (kind_of(format, data, bytes) != QN_SEQUENCES_FASTQ)
        return true;
    if (format->interleaved)
        return false;
    qn_finding finding = QN_FOUND;
    for (size_t at = qn_view_pass_breaks(&view, 0); finding == QN_FOUND && at < bytes;) {
        qn_read_record found;
        finding = data[at] == '@' ? read_lines(&view, at, &found) : QN_PASSED;
        at = finding == QN_FOUND ? qn_view_pass_breaks(&view, found.next) : at;
    }
    return finding == QN_FOUND || finding == QN_MORE;
}
