/* SPDX-License-Identifier: BSD-3-Clause */
/* Sources of formats.h: what they are made with is checked. */
#include <quern/formats.h>

#include "runtime/plan/graph.h"

static qn_node *refuse(qn_error *error, const char *what)
{
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0, "%s", what);
    return NULL;
}

static qn_node *add_source(qn_graph *graph, const char *const *paths, size_t path_count, int as_stored, qn_node *draft,
                           qn_error *error)
{
    if (!qn_graph_copy_paths(graph, paths, path_count, &draft->text, error))
        return NULL;
    const qn_row_format *rows = &draft->of.records.rows;
    if (draft->text.is_on_nodes && draft->kind == QN_NODE_ROWS && rows->has_quotes && rows->has_quoted_newlines) {
        qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                     "node-local: rows with line breaks in quotes are counted by all ranks, so all must see the files: "
                     "set no_quoted_newlines if there are none");
        return NULL;
    }
    draft->text.as_stored = as_stored;
    return qn_graph_add_node(graph, draft, error);
}

qn_node *qn_graph_add_sequences(qn_graph *graph, const char *const *paths, size_t path_count,
                                const quern_sequence_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_SEQUENCES, .schema = {QUERN_BYTES, QUERN_BYTES, 0}};
    if ((unsigned)options->format > QUERN_SEQUENCE_FASTQ_LINES)
        return refuse(error, "read sequences: the format is none of quern_sequence_format");
    if ((unsigned)options->value > QUERN_SEQUENCE_QUALITIES)
        return refuse(error, "read sequences: the value is none of quern_sequence_value");
    if (options->overlap_bases > options->piece_bases / 2)
        return refuse(error, "read sequences: overlap_bases must be at most half of piece_bases");
    draft.of.records = (qn_record_format){.kind = QN_RECORDS_SEQUENCES,
                                          .sequences = {.format = options->format,
                                                        .value = options->value,
                                                        .interleaved = options->interleaved != 0,
                                                        .piece_bases = options->piece_bases,
                                                        .overlap_bases = options->overlap_bases}};
    uint64_t noted[] = {options->format,        options->value,       options->piece_bases,
                        options->overlap_bases, !!options->as_stored, !!options->interleaved};
    qn_graph_note_bytes(graph, noted, sizeof noted);
    return add_source(graph, paths, path_count, options->as_stored, &draft, error);
}

qn_node *qn_graph_add_rows(qn_graph *graph, const char *const *paths, size_t path_count,
                           const quern_csv_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_ROWS, .schema = {QUERN_BYTES, QUERN_BYTES, 0}};
    if (options->separator && !qn_may_separate(options->separator))
        return refuse(error, "read csv: the separator must be an ASCII byte, no quote and no line break");
    if (options->key_name && !options->header)
        return refuse(error, "read csv: a key by its name needs a header");
    qn_row_format *rows = &draft.of.records.rows;
    draft.of.records.kind = QN_RECORDS_ROWS;
    *rows = (qn_row_format){.separator = options->separator ? options->separator : ',',
                            .has_quotes = !options->no_quotes,
                            .has_quoted_newlines = !options->no_quoted_newlines,
                            .has_header = options->header != 0,
                            .is_ragged = options->ragged != 0,
                            .key_column = options->key_column};
    if (options->key_name && !(rows->key_name = qn_arena_text(&graph->arena, options->key_name))) {
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a dataset");
        return NULL;
    }
    uint64_t noted[] = {(unsigned char)rows->separator,
                        rows->has_quotes,
                        rows->has_quoted_newlines,
                        rows->has_header,
                        rows->is_ragged,
                        rows->key_column,
                        !!options->as_stored};
    qn_graph_note_bytes(graph, noted, sizeof noted);
    qn_graph_note(graph, rows->key_name ? rows->key_name : "");
    return add_source(graph, paths, path_count, options->as_stored, &draft, error);
}

qn_node *qn_graph_add_files(qn_graph *graph, const char *const *paths, size_t path_count,
                            const quern_file_options *options, qn_error *error)
{
    qn_node draft = {.kind = QN_NODE_FILES, .schema = {QUERN_BYTES, QUERN_BYTES, 0}};
    draft.of.records.kind = QN_RECORDS_FILES;
    uint64_t noted = !!options->as_stored;
    qn_graph_note_bytes(graph, &noted, sizeof noted);
    return add_source(graph, paths, path_count, options->as_stored, &draft, error);
}
