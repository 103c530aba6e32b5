/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_sequence_grammar.c: sequences of FASTA and FASTQ are those that were written, wherever files are cut.
 */
#include "runtime/io/record_plan.h"
#include "tests/io/recordkit.h"

static const char *line_end = "\n";

static qn_source_format format_of(quern_sequence_format format, quern_sequence_value value)
{
    return (qn_source_format){
        .kind = QN_SOURCE_RECORDS,
        .records = {.kind = QN_RECORDS_SEQUENCES, .sequences = {.format = format, .value = value}}};
}

static void put_line(const char *line, size_t count)
{
    put(&made.content, line, count);
    put_text(line_end);
}

/* Letters, '>' and '@' among them where `nasty` says so. */
static void fill(char *to, size_t count, const char *letters, uint64_t *state)
{
    for (size_t i = 0; i < count; i++)
        to[i] = letters[kit_random_below(state, strlen(letters))];
}

static void put_wrapped(const char *text, size_t count, size_t width)
{
    for (size_t at = 0; at < count; at += width)
        put_line(text + at, count - at < width ? count - at : width);
}

static void take_last_break(void)
{
    made.content.bytes -= strlen(line_end);
}

static size_t put_name(char *name, size_t i, uint64_t *state)
{
    size_t count = (size_t)sprintf(name, "%zu", i), more = kit_random_below(state, 8);
    fill(name + count, more, "> @+/x;", state);
    return kit_random_below(state, 9) == 0 ? 0 : count + more;
}

static void make_fasta(size_t count, size_t bases_max, uint32_t piece, uint32_t overlap, uint64_t *state)
{
    static char bases[2000000], name[64];
    begin_model();
    for (size_t i = 0; i < count; i++) {
        size_t bytes = kit_random_below(state, 4) == 0 ? 0 : kit_random_below(state, bases_max);
        size_t width = kit_random_below(state, 3) == 0 ? bases_max : 1 + kit_random_below(state, 9);
        size_t name_bytes = put_name(name, i, state);
        fill(bases, bytes, "ACGTacgtN*-", state);
        put_text(">");
        put_line(name, name_bytes);
        put_wrapped(bases, bytes, width);
        for (size_t from = 0;; from += piece - overlap) {
            size_t given = piece > 0 && bytes - from > piece ? piece : bytes - from;
            expect(name, name_bytes, bases + from, given);
            if (from + given == bytes)
                break;
        }
    }
    if (kit_random_below(state, 2))
        take_last_break();
}

static void make_fastq(size_t count, size_t bases_max, bool wrapped, bool with_qualities, uint64_t *state)
{
    static char both[400000], name[64];
    begin_model();
    for (size_t i = 0; i < count; i++) {
        size_t bytes = kit_random_below(state, 4) == 0 ? 0 : kit_random_below(state, bases_max);
        size_t width = wrapped ? 1 + kit_random_below(state, 9) : bases_max + 1;
        size_t name_bytes = put_name(name, i, state);
        fill(both, bytes, "ACGTacgtN", state);
        fill(both + bytes, bytes, "@+>IJ!", state);
        put_text("@");
        put_line(name, name_bytes);
        put_wrapped(both, bytes, width);
        if (bytes == 0)
            put_line("", 0);
        put_text("+");
        put_line(name, kit_random_below(state, 2) ? name_bytes : 0);
        put_wrapped(both + bytes, bytes, width);
        if (bytes == 0)
            put_line("", 0);
        expect(name, name_bytes, both, with_qualities ? 2 * bytes : bytes);
    }
    if (kit_random_below(state, 2))
        take_last_break();
}

START_TEST(sequences_of_fasta_are_whole_wherever_the_file_is_cut)
{
    for (uint64_t seed = 1; seed <= kit_rounds(24); seed++) {
        uint64_t state = seed;
        line_end = seed % 2 ? "\n" : "\r\n";
        qn_source_format format = format_of(seed % 3 ? QUERN_SEQUENCE_ANY : QUERN_SEQUENCE_FASTA, QUERN_SEQUENCE_BASES);
        open_kit(&format, RECORD_BYTES_MAX);
        make_fasta(1 + kit_random_below(&state, 9), 40, 0, 0, &state);
        check_every_cut();
        close_kit();
    }
}
END_TEST

START_TEST(pieces_of_sequences_overlap_as_asked_wherever_the_file_is_cut)
{
    for (uint64_t seed = 1; seed <= kit_rounds(24); seed++) {
        uint64_t state = seed;
        line_end = seed % 2 ? "\n" : "\r\n";
        qn_source_format format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_BASES);
        uint32_t piece = 2 + (uint32_t)kit_random_below(&state, 12),
                 overlap = (uint32_t)kit_random_below(&state, piece / 2 + 1);
        format.records.sequences.piece_bases = piece;
        format.records.sequences.overlap_bases = overlap;
        open_kit(&format, RECORD_BYTES_MAX);
        make_fasta(1 + kit_random_below(&state, 6), 60, piece, overlap, &state);
        check_every_cut();
        close_kit();
    }
}
END_TEST

START_TEST(records_of_four_lines_are_found_wherever_the_file_is_cut)
{
    for (uint64_t seed = 1; seed <= kit_rounds(40); seed++) {
        uint64_t state = seed;
        line_end = seed % 2 ? "\n" : "\r\n";
        qn_source_format format = format_of(seed % 3 ? QUERN_SEQUENCE_ANY : QUERN_SEQUENCE_FASTQ_LINES,
                                            seed % 4 < 2 ? QUERN_SEQUENCE_QUALITIES : QUERN_SEQUENCE_BASES);
        open_kit(&format, RECORD_BYTES_MAX);
        make_fastq(1 + kit_random_below(&state, 9), seed % 5 ? 5 : 40, false, seed % 4 < 2, &state);
        check_every_cut();
        close_kit();
    }
}
END_TEST

START_TEST(fastq_of_several_lines_is_read_as_one_task_and_is_not_cut)
{
    for (uint64_t seed = 1; seed <= kit_rounds(40); seed++) {
        uint64_t state = seed;
        line_end = seed % 2 ? "\n" : "\r\n";
        qn_source_format format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_QUALITIES);
        open_kit(&format, RECORD_BYTES_MAX);
        make_fastq(40, 60, true, true, &state);
        write_content();
        check_stretches(made.content.bytes, 0, true);
        check_pieces(1 + seed * seed);
        qn_input_file file = {path, made.content.bytes, QN_PACKING_NONE, false};
        qn_listing listing = {.files = &file, .file_count = 1, .bytes = file.bytes};
        qn_splits splits;
        kit_assert_ok(qn_record_plan(&format.records, &listing, &error), &error);
        ck_assert(file.is_whole);
        kit_assert_ok(qn_splits_create(&splits, &listing, 10, &error), &error);
        ck_assert_uint_eq(splits.count, 1);
        qn_splits_destroy(&splits);
        close_kit();
    }
}
END_TEST

START_TEST(files_of_many_chunks_and_records_longer_than_chunks_are_whole)
{
    for (uint64_t seed = 1; seed <= kit_rounds(9); seed++) {
        uint64_t state = seed;
        bool fasta = seed % 3 > 0;
        line_end = seed % 2 ? "\n" : "\r\n";
        qn_source_format format =
            format_of(QUERN_SEQUENCE_ANY, fasta ? QUERN_SEQUENCE_BASES : QUERN_SEQUENCE_QUALITIES);
        if (seed % 3 == 2) {
            format.records.sequences.piece_bases = 70000;
            format.records.sequences.overlap_bases = 1000;
        }
        open_kit(&format, RECORD_BYTES_MAX);
        if (fasta)
            make_fasta(8, seed == 1 ? 1900000 : 800000, format.records.sequences.piece_bases, 1000 * (seed % 3 == 2),
                       &state);
        else
            make_fastq(seed == 3 ? 12 : 30000, seed == 3 ? 190000 : 200, false, true, &state);
        write_content();
        check_stretches(made.content.bytes, 0, true);
        check_stretches(1 + made.content.bytes / 7, kit_random_below(&state, 1000), true);
        check_stretches(1 + made.content.bytes / 40, kit_random_below(&state, 1000), false);
        check_pieces(70000 * seed);
        close_kit();
    }
}
END_TEST

START_TEST(a_long_sequence_in_pieces_needs_memory_for_a_piece_only)
{
    uint64_t state = 5;
    qn_source_format format = format_of(QUERN_SEQUENCE_FASTA, QUERN_SEQUENCE_BASES);
    format.records.sequences.piece_bases = 4096;
    line_end = "\n";
    open_kit(&format, 5000);
    make_fasta(4, 1900000, 4096, 0, &state);
    write_content();
    check_stretches(made.content.bytes, 0, true);
    check_pieces((size_t)1 << 20);
    ck_assert_uint_le(source.of.records.task.window.capacity_bytes, source.of.records.task.window.capacity_first);
    close_kit();
}
END_TEST

START_TEST(pairs_are_given_together_and_must_have_one_name)
{
    qn_source_format format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_BASES);
    format.records.sequences.interleaved = true;
    open_kit(&format, RECORD_BYTES_MAX);
    begin_model();
    put_text("@a/1 x\nAC\n+\n@@\n@a/2 y\nGT\n+\n++\n\n@b\nA\nC\n+\nI\n\nI\n@b\n\n+\n\n");
    expect_texts("a/1 x", "AC");
    expect_texts("a/2 y", "GT");
    expect_texts("b", "AC");
    expect_texts("b", "");
    write_content();
    check_stretches(made.content.bytes, 0, true);
    for (size_t bytes_min = 1; bytes_min < 60; bytes_min++)
        check_pieces(bytes_min);
    put_text("@c/1\nA\n+\nI\n");
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_INPUT, "no mate");
    put_text("@d/2\nA\n+\nI\n");
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_INPUT, "names differ");
    qn_input_file file = {path, made.content.bytes, QN_PACKING_NONE, false};
    qn_listing listing = {.files = &file, .file_count = 1, .bytes = file.bytes};
    kit_assert_ok(qn_record_plan(&format.records, &listing, &error), &error);
    ck_assert(file.is_whole);
    close_kit();
}
END_TEST

static void check_bad(const char *text, const char *words)
{
    begin_model();
    put_text(text);
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_INPUT, words);
}

START_TEST(what_is_no_sequence_is_refused_with_file_and_byte)
{
    qn_source_format format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_BASES);
    open_kit(&format, RECORD_BYTES_MAX);
    check_bad("ACGT\n", "neither '>' nor '@'");
    check_bad("\n\n;x\n", "neither '>' nor '@'");
    check_bad("@a\nAC\n+\nI\n@b\nA\n+\nI\n", "byte 0 of");
    check_bad("@a\nAC\n+\nIII\n", "not as many qualities");
    check_bad("@a\nA\n+\nI\nx\n", "byte 9 of");
    check_bad("@a\nA\n+\nI\n>b\nA\n", "must begin with '@'");
    check_bad("@a\nA\n+", "ends within this record");
    check_bad("@a\nA\n", "ends within this record");
    check_bad("@a", "ends within this record");
    check_bad("@a\nA\n+\n", "ends within this record");
    check_bad("@a\n@A\n+\nII\n", "must not begin with '@'");
    close_kit();
    format = format_of(QUERN_SEQUENCE_FASTA, QUERN_SEQUENCE_BASES);
    open_kit(&format, RECORD_BYTES_MAX);
    check_bad("@a\nA\n+\nI\n", "must begin with '>'");
    close_kit();
    format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_QUALITIES);
    open_kit(&format, RECORD_BYTES_MAX);
    check_bad(">a\nA\n", "only FASTQ has");
    close_kit();
    format = format_of(QUERN_SEQUENCE_FASTA, QUERN_SEQUENCE_BASES);
    open_kit(&format, 100);
    begin_model();
    put_text(">long\n");
    for (int i = 0; i < 60000; i++)
        put_text("ACGTACGT\n");
    write_content();
    check_failure(0, made.content.bytes, QUERN_ERROR_RECORD_TOO_LARGE, "byte 0 of");
    close_kit();
}
END_TEST

/* All stretches of a cut file: some reader fails, or all records come. */
static bool some_stretch_fails(uint64_t stretch)
{
    bool failed = false;
    for (uint64_t begin = 0; begin < made.content.bytes && !failed; begin += stretch) {
        uint64_t end = begin + stretch < made.content.bytes ? begin + stretch : made.content.bytes;
        qn_batch batch = {0};
        qn_buffer task = {0};
        make_task(&task, begin, end);
        qn_error_clear(&error);
        quern_status status = qn_source_open(&source, task.data, task.bytes, NULL, &error);
        do
            status = status == QUERN_OK ? qn_source_next(&source, &batch, &error) : status;
        while (status == QUERN_OK && batch.block.count > 0);
        failed = status != QUERN_OK;
        qn_buffer_fini(&task);
    }
    qn_error_clear(&error);
    return failed;
}

START_TEST(a_cut_file_whose_form_changes_or_that_ends_early_fails_in_some_stretch)
{
    qn_source_format format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_BASES);
    open_kit(&format, RECORD_BYTES_MAX);
    line_end = "\n";
    for (uint64_t seed = 1; seed <= kit_rounds(200); seed++) {
        uint64_t state = seed;
        make_fastq(1 + kit_random_below(&state, 6), 9, false, false, &state);
        if (made.content.data[made.content.bytes - 1] != '\n')
            put_text("\n");
        if (seed % 2) {
            put_text("@w\nACGT\nACGT\n+\n@@@@\n+III\n@more\nAC\n+\nII\n");
        } else {
            put_text("@last\nACG\n+\n@II\n");
            made.content.bytes -= 2 + kit_random_below(&state, 13);
        }
        write_content();
        for (uint64_t stretch = 1; stretch < made.content.bytes; stretch += 1 + stretch / 4)
            ck_assert_msg(some_stretch_fails(stretch), "seed %llu, stretches of %llu", (unsigned long long)seed,
                          (unsigned long long)stretch);
    }
    close_kit();
}
END_TEST

START_TEST(any_text_is_the_same_records_or_a_failure_wherever_it_is_cut)
{
    qn_source_format format = format_of(QUERN_SEQUENCE_FASTQ_LINES, QUERN_SEQUENCE_QUALITIES);
    open_kit(&format, RECORD_BYTES_MAX);
    check_any_text("@+A\n\n", 16, 5000, 1);
    close_kit();
    format = format_of(QUERN_SEQUENCE_FASTA, QUERN_SEQUENCE_BASES);
    open_kit(&format, RECORD_BYTES_MAX);
    check_any_text(">>A\n\n\r", 20, 1200, 50);
    close_kit();
    format.records.sequences.piece_bases = 3;
    format.records.sequences.overlap_bases = 1;
    open_kit(&format, RECORD_BYTES_MAX);
    check_any_text(">>A\n\n\r", 20, 1200, 50);
    close_kit();
}
END_TEST

START_TEST(data_is_cut_behind_its_last_whole_record)
{
    qn_source_format format = format_of(QUERN_SEQUENCE_ANY, QUERN_SEQUENCE_BASES);
    open_kit(&format, RECORD_BYTES_MAX);
    const char *fasta = ">a\nAC\nGT\n>b\nA\n>c\nACGT", *fastq = "@a\nAC\n+\n@@\n@b\nA\n+\nI\n@c\nA\n+\n";
    begin_model();
    put_text(fasta);
    expect_texts("a", "ACGT");
    expect_texts("b", "A");
    expect_texts("c", "ACGT");
    write_content();
    check_stretches(made.content.bytes, 0, false);
    ck_assert_uint_eq(qn_record_source_cut(&source.of.records, (const uint8_t *)fasta, strlen(fasta)), 14);
    ck_assert_uint_eq(qn_record_source_cut(&source.of.records, (const uint8_t *)fasta, 8), 0);
    begin_model();
    put_text("@x\nA\n+\nI\n");
    expect_texts("x", "A");
    write_content();
    check_stretches(made.content.bytes, 0, false);
    ck_assert_uint_eq(qn_record_source_cut(&source.of.records, (const uint8_t *)fastq, strlen(fastq)), 20);
    close_kit();
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        sequences_of_fasta_are_whole_wherever_the_file_is_cut,
        pieces_of_sequences_overlap_as_asked_wherever_the_file_is_cut,
        records_of_four_lines_are_found_wherever_the_file_is_cut,
        fastq_of_several_lines_is_read_as_one_task_and_is_not_cut,
        files_of_many_chunks_and_records_longer_than_chunks_are_whole,
        a_long_sequence_in_pieces_needs_memory_for_a_piece_only,
        pairs_are_given_together_and_must_have_one_name,
        what_is_no_sequence_is_refused_with_file_and_byte,
        a_cut_file_whose_form_changes_or_that_ends_early_fails_in_some_stretch,
        any_text_is_the_same_records_or_a_failure_wherever_it_is_cut,
        data_is_cut_behind_its_last_whole_record,
    };
    return kit_run_tests("sequence_grammar", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
