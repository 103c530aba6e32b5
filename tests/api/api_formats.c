/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/api/api_formats.c: sequences, rows and whole files as datasets, in small splits, against what was written. */
#include "api_kit.h"

#include <stdlib.h>
#include <string.h>

static quern_context *context_of_small_splits(void)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 997;
    options.report_path = kit_path("report.json");
    return kit_context(&options);
}

/* key<TAB>value as one line each: what there is of either has no line breaks. */
static void check_records(quern_context *context, quern_dataset *records, const char *output, kit_text *expected)
{
    quern_write_text(records, output);
    kit_run(context);
    kit_check_output(output, expected, false);
    kit_free(expected);
}

static const char *letters_of(char *room, uint64_t *state, size_t count, const char *letters)
{
    size_t of = strlen(letters);
    for (size_t i = 0; i < count; i++)
        room[i] = letters[kit_random(state) % of];
    room[count] = 0;
    return room;
}

static void make_reads(kit_text *fastq, kit_text *expected)
{
    char bases[300], qualities[300];
    uint64_t state = 1;
    for (int i = 0; i < 3000; i++) {
        size_t count = kit_random(&state) % 200;
        letters_of(bases, &state, count, "ACGTN");
        letters_of(qualities, &state, count, "@+>I");
        kit_put(fastq, "@%d/%d @x\n%s\n+\n%s\n", i / 2, 1 + i % 2, bases, qualities);
        kit_put(expected, "%d/%d @x\t%s%s\n", i / 2, 1 + i % 2, bases, qualities);
    }
}

static void fastq_is_cut_and_each_read_comes_once(void)
{
    kit_text fastq = {0}, expected = {0};
    make_reads(&fastq, &expected);
    const char *paths[] = {kit_path("reads.fq")};
    kit_write_for_all(paths[0], &fastq);
    quern_context *context = context_of_small_splits();
    quern_sequence_options options = {.struct_size = sizeof options, .value = QUERN_SEQUENCE_QUALITIES};
    check_records(context, quern_read_sequences(context, paths, 1, &options), kit_path("reads"), &expected);
    CHECK(kit_reported("tasks") > 100);
    options.interleaved = 1;
    kit_text again = {0};
    make_reads(&fastq, &again);
    check_records(context, quern_read_sequences(context, paths, 1, &options), kit_path("pairs"), &again);
    CHECK_SAME(kit_reported("tasks"), 1);
    quern_context_destroy(context);
    kit_free(&fastq);
}

static void fasta_comes_in_pieces_that_overlap(void)
{
    static char bases[200001];
    kit_text fasta = {0}, expected = {0};
    uint64_t state = 2;
    for (int i = 0; i < 6; i++) {
        size_t count = i == 3 ? 200000 : kit_random(&state) % 3000;
        letters_of(bases, &state, count, "ACGTacgtN");
        kit_put(&fasta, ">%d x\r\n", i);
        for (size_t at = 0; at < count; at += 61)
            kit_put(&fasta, "%.61s\r\n", bases + at);
        for (size_t at = 0;; at += 900) {
            kit_put(&expected, "%d x\t%.1000s\n", i, bases + at);
            if (at + 1000 >= count)
                break;
        }
    }
    const char *paths[] = {kit_path("genome.fa")};
    kit_write_for_all(paths[0], &fasta);
    quern_context *context = context_of_small_splits();
    quern_sequence_options options = {.struct_size = sizeof options, .piece_bases = 1000, .overlap_bases = 100};
    check_records(context, quern_read_sequences(context, paths, 1, &options), kit_path("pieces"), &expected);
    quern_context_destroy(context);
    kit_free(&fasta);
}

/* The fields of a row, a '|' behind each, and line breaks as '/'. */
static int show_fields(const quern_record *row, quern_emitter *out, void *user)
{
    char shown[4096], room[4096];
    size_t bytes = 0;
    quern_csv_cursor cursor = {.data = row->value.data, .bytes = row->value.bytes};
    quern_span field;
    (void)user;
    while (quern_csv_next_field(&cursor, room, &field) > 0) {
        for (size_t i = 0; i < field.bytes; i++) {
            char byte = ((const char *)field.data)[i];
            shown[bytes++] = byte == '\n' ? '/' : byte;
        }
        shown[bytes++] = '|';
    }
    return quern_emit(out, row->key, quern_bytes(shown, bytes));
}

static void make_rows(kit_text *csv, kit_text *expected, uint64_t seed)
{
    char field[64];
    uint64_t state = seed;
    kit_put(csv, "\"the\ntext\",name\n");
    for (int i = 0; i < 4000; i++) {
        letters_of(field, &state, kit_random(&state) % 12, "ab,\"\n");
        kit_put(csv, "\"");
        kit_put(expected, "%d\t", i);
        for (const char *at = field; *at; at++) {
            kit_put(csv, *at == '"' ? "\"\"" : "%c", *at);
            kit_put(expected, "%c", *at == '\n' ? '/' : *at);
        }
        kit_put(csv, "\",%d\n", i);
        kit_put(expected, "|%d|\n", i);
    }
}

static void csv_is_cut_within_quoted_line_breaks(void)
{
    const quern_schema shown = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    kit_text expected = {0};
    const char *paths[] = {kit_path("a.csv"), kit_path("b.csv")};
    for (uint64_t i = 0; i < 2; i++) {
        kit_text csv = {0};
        make_rows(&csv, &expected, 3 + i);
        kit_write_for_all(paths[i], &csv);
        kit_free(&csv);
    }
    quern_context *context = context_of_small_splits();
    quern_csv_options options = {.struct_size = sizeof options, .header = 1, .key_name = "name"};
    quern_dataset *rows = quern_flat_map(quern_read_csv(context, paths, 2, &options), shown, show_fields, NULL);
    check_records(context, rows, kit_path("rows"), &expected);
    CHECK(kit_reported("tasks") > 40);
    quern_context_destroy(context);
}

static void a_row_that_breaks_the_rules_fails_the_job_with_file_and_byte(void)
{
    kit_text csv = {0};
    for (int i = 0; i < 3000; i++)
        kit_put(&csv, i == 1500 ? "a,b\"c\n" : "a,\"b\"\n");
    const char *paths[] = {kit_path("bad.csv")};
    kit_write_for_all(paths[0], &csv);
    quern_context *context = context_of_small_splits();
    quern_write_text(quern_read_csv(context, paths, 1, NULL), kit_path("failed"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INPUT), "bad.csv");
    quern_context_destroy(context);
    kit_free(&csv);
}

/* The name within the test's directory, which differs from run to run. */
static int length_of(const quern_record *in, quern_record *out, void *user)
{
    uint64_t *length = user;
    *length = in->value.bytes;
    out->value = quern_of_u64(length);
    CHECK(in->key.bytes > 5);
    out->key = quern_bytes((const char *)in->key.data + in->key.bytes - 5, 5);
    return 0;
}

static void whole_files_are_records(void)
{
    const quern_schema lengths = {.key = QUERN_BYTES, .value = QUERN_U64};
    uint64_t length;
    kit_text expected = {0};
    const char *paths[5];
    for (size_t i = 0; i < 5; i++) {
        kit_text content = {0};
        paths[i] = kit_path("file%zu", i);
        for (size_t n = 0; n < 1 + i * i * 50000; n++)
            kit_put(&content, "x");
        kit_put(&expected, "file%zu\t%zu\n", i, content.bytes);
        kit_write_for_all(paths[i], &content);
        kit_free(&content);
    }
    quern_context *context = context_of_small_splits();
    check_records(context, quern_map(quern_read_files(context, paths, 5, NULL), lengths, length_of, &length),
                  kit_path("lengths"), &expected);
    quern_context_destroy(context);
}

static void records_end_at_any_bytes(void)
{
    kit_text text = {0}, expected = {0};
    uint64_t state = 7;
    for (int i = 0; i < 5000; i++) {
        char word[32];
        letters_of(word, &state, kit_random(&state) % 20, "ab\n\xc3");
        for (char *at = word; *at; at++)
            *at = *at == '\n' ? 'n' : *at;
        kit_put(&expected, "%s\n", word);
        kit_put(&text, "%s", word);
        kit_put_bytes(&text, kit_random(&state) % 2 ? "\0" : "\xff", 1);
    }
    const char *paths[] = {kit_path("text")};
    kit_write_for_all(paths[0], &text);
    quern_context *context = context_of_small_splits();
    quern_text_options options = {.struct_size = sizeof options, .delimiters = "\0\xff", .delimiter_count = 2};
    check_records(context, quern_read_text(context, paths, 1, &options), kit_path("words"), &expected);
    quern_context_destroy(context);
    kit_free(&text);
}

static void options_that_make_no_sense_are_refused(void)
{
    quern_context *context = kit_context(NULL);
    const char *paths[] = {"x"}, *none[] = {NULL};
    quern_sequence_options overlaps = {.struct_size = sizeof overlaps, .piece_bases = 10, .overlap_bases = 6},
                           strange = {.struct_size = sizeof strange, .format = (quern_sequence_format)9};
    quern_csv_options quotes = {.struct_size = sizeof quotes, .separator = '"'},
                      nameless = {.struct_size = sizeof nameless, .key_name = "a"};
    CHECK(!quern_read_sequences(context, paths, 1, &overlaps));
    CHECK(!quern_read_sequences(context, paths, 1, &strange));
    CHECK(!quern_read_sequences(context, none, 1, NULL));
    CHECK(!quern_read_csv(context, paths, 1, &quotes));
    CHECK(!quern_read_csv(context, paths, 1, &nameless));
    CHECK(!quern_read_csv(context, paths, 1, &(quern_csv_options){0}));
    CHECK(!quern_read_files(context, paths, 1, &(quern_file_options){0}));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT), "half of piece_bases");
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    RUN(fastq_is_cut_and_each_read_comes_once, 60);
    RUN(fasta_comes_in_pieces_that_overlap, 60);
    RUN(csv_is_cut_within_quoted_line_breaks, 60);
    RUN(a_row_that_breaks_the_rules_fails_the_job_with_file_and_byte, 60);
    RUN(whole_files_are_records, 60);
    RUN(records_end_at_any_bytes, 60);
    RUN(options_that_make_no_sense_are_refused, 60);
    return kit_finish();
}
