/* SPDX-License-Identifier: BSD-3-Clause */
/* Sequences and rows: the same records, or a failure, in stretches and in pieces. First byte: the format; second: where it is cut. */
#include "tests/fuzz/fuzz_reading.h"

/* *is_free_out: of several lines, which cannot be cut; rank 0 would have seen it. */
static qn_source_format choose(uint8_t choice, bool *is_free_out)
{
    qn_source_format format = {.kind = QN_SOURCE_RECORDS};
    qn_record_format *records = &format.records;
    *is_free_out = false;
    if (choice & 1) {
        records->kind = QN_RECORDS_ROWS;
        records->rows = (qn_row_format){.separator = choice & 2 ? '\t' : ',',
                                        .has_quotes = !(choice & 4),
                                        .has_quoted_newlines = !(choice & 4) && !(choice & 8),
                                        .has_header = choice & 16,
                                        .is_ragged = choice & 32,
                                        .key_column = choice >> 6 & 1,
                                        .key_name = (choice & 144) == 144 ? "k" : NULL};
        return format;
    }
    static const quern_sequence_format formats[] = {QUERN_SEQUENCE_FASTA, QUERN_SEQUENCE_FASTQ_LINES,
                                                    QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_FASTQ};
    records->kind = QN_RECORDS_SEQUENCES;
    records->sequences.format = formats[choice >> 1 & 3];
    records->sequences.value = choice & 8 ? QUERN_SEQUENCE_QUALITIES : QUERN_SEQUENCE_BASES;
    records->sequences.interleaved = choice & 16;
    records->sequences.piece_bases = choice & 32 ? 2 + (choice >> 6) : 0;
    records->sequences.overlap_bases = choice & 32 ? choice >> 7 : 0;
    *is_free_out = records->sequences.interleaved || (choice >> 1 & 3) > 1;
    return format;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input content = {data, bytes};
    bool is_free;
    qn_source_format format = choose(fuzz_take(&content), &is_free);
    uint64_t seed = fuzz_take(&content);
    fuzz_check_cuts(&format, &content, seed, !is_free, format.records.rows.has_quoted_newlines);
    return 0;
}
