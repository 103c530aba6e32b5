/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/file_grammar.h"

static qn_finding next_file(qn_record_source *source, const qn_view *view, qn_error *error)
{
    const char *name = source->task.window.content.name;
    if (!view->at_end)
        return QN_MORE;
    source->task.place.scan_offset = view->offset + view->bytes;
    return qn_record_add(source, (quern_span){name, strlen(name)}, (quern_span){view->data, view->bytes}, view->offset,
                         error);
}

static qn_finding pass_file(qn_record_source *source, const qn_view *view)
{
    source->task.place.scan_offset = view->offset + view->bytes;
    return view->at_end ? QN_FOUND : view->bytes > 0 ? QN_PASSED : QN_MORE;
}

const qn_grammar qn_file_grammar = {.next = next_file, .pass = pass_file};
