/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/fastq_bad.h"

#include <stdlib.h>

#define SURE_BYTES     ((uint64_t)16 << 10) /* read at first on either side of where a stretch begins */
#define SURE_BYTES_MAX ((uint64_t)32 << 20) /* who finds nothing in so many reads from the begin of the file on */

enum { AT_LINE = 1, WITHIN_LINE = 2 }; /* state.passing */

/* Goes on to the next line at which a record begins, from a line's begin or from within one. */
static qn_finding pass_lines(qn_record_source *source, const qn_view *view, size_t at)
{
    qn_finding finding = QN_PASSED;
    qn_read_record ignored;
    while (finding == QN_PASSED && at < view->bytes) {
        if (source->state.passing == AT_LINE) {
            finding = qn_fastq_read_four(source, view, at, &ignored);
            source->state.passing = finding == QN_PASSED ? WITHIN_LINE : AT_LINE;
            continue;
        }
        const uint8_t *found = memchr(view->data + at, '\n', view->bytes - at);
        at = found ? (size_t)(found - view->data) + 1 : view->bytes;
        source->state.passing = found ? AT_LINE : WITHIN_LINE;
    }
    source->task.place.scan_offset = view->offset + at;
    if (finding == QN_FOUND || (view->at_end && at == view->bytes))
        return QN_FOUND;
    return at > 0 ? QN_PASSED : QN_MORE;
}

qn_finding qn_fastq_pass(qn_record_source *source, const qn_view *view)
{
    qn_read_record itself;
    if (source->state.passing > 0)
        return pass_lines(source, view, 0);
    qn_finding finding = qn_fastq_read_four(source, view, 0, &itself);
    if (finding == QN_MORE)
        return QN_MORE;
    if (finding == QN_FOUND) { /* too long, or without its mate */
        source->task.place.scan_offset = view->offset + itself.next;
        return QN_FOUND;
    }
    source->state.passing = WITHIN_LINE;
    return pass_lines(source, view, 0);
}

qn_finding qn_fastq_enter(qn_record_source *source, const qn_view *view)
{
    qn_text_place *place = &source->task.place;
    const qn_content *content = &source->task.window.content;
    qn_read_record found;
    if (source->state.passing > 0 && pass_lines(source, view, 0) != QN_FOUND)
        return place->scan_offset >= content->end ? QN_END : place->scan_offset > view->offset ? QN_PASSED : QN_MORE;
    size_t at = (size_t)(place->scan_offset - view->offset);
    source->state.passing = 0;
    if (at > 0)
        return QN_PASSED;
    at = qn_view_pass_breaks(view, 0);
    place->scan_offset = view->offset + at;
    if (view->at_end && at == view->bytes)
        return QN_END;
    if (qn_view_is_unseen(view, at))
        return at > 0 ? QN_PASSED : QN_MORE;
    if (place->scan_offset >= content->begin)
        return QN_FOUND;
    qn_finding finding = qn_fastq_read_four(source, view, at, &found);
    if (finding == QN_MORE)
        return at > 0 ? QN_PASSED : QN_MORE;
    source->state.passing = finding == QN_FOUND ? 0 : WITHIN_LINE; /* something bad that began before the stretch */
    place->scan_offset += finding == QN_FOUND ? found.next - at : 0;
    return QN_PASSED;
}

/* The last record for certain that begins at `most` of the view or before. SIZE_MAX: none is seen. */
static size_t last_sure(const qn_record_source *source, const qn_view *view, size_t most)
{
    size_t sure = SIZE_MAX, others = view->offset == 0 ? 3 : 0, at = 0; /* lines before that begin none */
    qn_line line;
    qn_read_record found;
    if (view->offset > 0) {
        if (!qn_view_line(view, 0, &line))
            return SIZE_MAX;
        at = line.next;
    }
    while (at <= most && at < view->bytes) {
        qn_finding finding = qn_fastq_read_four(source, view, at, &found);
        if (finding == QN_FOUND && others >= 3)
            sure = at;
        others = finding == QN_PASSED ? others + 1 : 0;
        if (!qn_view_line(view, at, &line))
            break;
        at = line.next;
    }
    return sure;
}

quern_status qn_fastq_find_sure(qn_record_source *source, qn_error *error)
{
    uint64_t begin = source->task.window.content.begin, back = SURE_BYTES;
    source->state.passing = 0;
    for (;; back *= 2) {
        uint64_t from = begin > back ? begin - back : 0;
        size_t bytes = (size_t)(begin - from + back), got = 0;
        uint8_t *data = malloc(bytes + QN_WINDOW_SLACK_BYTES);
        if (!data)
            return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to find a record");
        quern_status status = qn_content_read(&source->task.window.content, data, from, bytes, &got, error);
        qn_view view = {.data = data, .bytes = got, .offset = from, .at_end = got < bytes};
        size_t sure = status == QUERN_OK ? last_sure(source, &view, (size_t)(begin - from)) : SIZE_MAX;
        free(data);
        if (status != QUERN_OK)
            return status;
        source->task.place.scan_offset = sure == SIZE_MAX ? 0 : from + sure;
        if (sure != SIZE_MAX || from == 0 || back >= SURE_BYTES_MAX)
            return QUERN_OK;
    }
}
