/* SPDX-License-Identifier: BSD-3-Clause */
/* Mates in two files: each pair once, whatever their lengths and however the files are packed; what is no pair is named. */
#include <inttypes.h>
#include <stdlib.h>

#include "api_kit.h"

#define READ_COUNT 3000

static const quern_type both = QUERN_PAIR(QUERN_BYTES, QUERN_BYTES);
static const char *plain[2], *packed[2];
static kit_text expected;

static quern_context *start_with(const char *bad_records)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 20000;
    options.memory_bytes = (uint64_t)kit_size() * 64 << 20;
    options.report_path = kit_path("report.json");
    options.bad_records = bad_records;
    return kit_context(&options);
}

static quern_context *start(void)
{
    return start_with("fail");
}

static void letters_of(char *text, uint64_t *state, size_t count, const char *letters)
{
    for (size_t i = 0; i < count; i++)
        text[i] = letters[kit_random(state) % strlen(letters)];
    text[count] = 0;
}

static void pack(const char *command, const char *from, const char *to)
{
    char line[2000];
    if (kit_rank() == 0) {
        snprintf(line, sizeof line, "%s < '%s' > '%s'", command, from, to);
        CHECK_SAME(system(line), 0);
    }
    kit_barrier();
}

static void make_reads(void)
{
    kit_text mates[2] = {{0}, {0}};
    uint64_t state = 11;
    char bases[2][300], qualities[300];
    for (int i = 0; i < READ_COUNT; i++) {
        for (int mate = 0; mate < 2; mate++) {
            size_t count = kit_random(&state) % (mate ? 250 : 100);
            letters_of(bases[mate], &state, count, "ACGTN");
            letters_of(qualities, &state, count, "@+>I");
            kit_put(&mates[mate], i % 2 ? "@read%d/%d\n%s\n+\n%s\n" : "@read%d %d:N:0\n%s\n+\n%s\n", i, mate + 1,
                    bases[mate], qualities);
        }
        kit_put(&expected, i % 2 ? "read%d/1\tread%d/2\t%s-%s\n" : "read%d 1:N:0\tread%d 2:N:0\t%s-%s\n", i, i,
                bases[0], bases[1]);
    }
    for (int mate = 0; mate < 2; mate++) {
        plain[mate] = strdup(kit_path("R%d.fastq", mate + 1));
        packed[mate] = strdup(kit_path("R%d.packed", mate + 1));
        kit_write_for_all(plain[mate], &mates[mate]);
        pack(mate ? "zstd -qc" : "gzip -c", plain[mate], packed[mate]);
        kit_free(&mates[mate]);
    }
}

static int show_mates(const quern_record *in, quern_record *out, void *user)
{
    static char shown[1000];
    quern_span first = quern_first_mate(in->value), second = quern_second_mate(in->value);
    (void)user;
    int bytes = snprintf(shown, sizeof shown, "%.*s-%.*s", (int)first.bytes, (const char *)first.data,
                         (int)second.bytes, (const char *)second.data);
    out->value = quern_bytes(shown, (size_t)bytes);
    return 0;
}

static kit_text copy_of(const kit_text *text)
{
    kit_text copy = {0};
    kit_put_bytes(&copy, text->data, text->bytes);
    return copy;
}

static void every_pair_comes_once_however_files_are_packed(void)
{
    const char *files[][2] = {{plain[0], plain[1]}, {packed[0], packed[1]}, {plain[0], packed[1]}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        quern_context *context = start();
        const char *output = kit_path("pairs.%zu", i);
        quern_dataset *pairs = quern_read_sequence_pairs(context, files[i][0], files[i][1], NULL);
        quern_write_text(quern_map(pairs, (quern_schema){both, QUERN_BYTES, 0, 0}, show_mates, NULL), output);
        kit_run(context);
        kit_text lines = copy_of(&expected);
        kit_check_output(output, &lines, false);
        kit_free(&lines);
        quern_context_destroy(context);
    }
}

static int check_qualities(const quern_record *in, void *user)
{
    quern_span second = quern_second_mate(in->value);
    quern_span name = quern_pair_second(both, in->key);
    CHECK(memcmp(name.data, "read", 4) == 0);
    CHECK_SAME(quern_sequence_bases(second).bytes, quern_sequence_qualities(second).bytes);
    ++*(uint64_t *)user;
    return 0;
}

static void mates_may_have_qualities(void)
{
    quern_context *context = start();
    uint64_t count = 0;
    const quern_sequence_options options = {.struct_size = sizeof options, .value = QUERN_SEQUENCE_QUALITIES};
    quern_dataset *pairs = quern_read_sequence_pairs(context, plain[0], plain[1], &options);
    quern_collect(pairs, QUERN_COLLECT_ALL, check_qualities, &count);
    kit_run(context);
    CHECK_SAME(count, READ_COUNT);
    quern_context_destroy(context);
}

static int ignore(const quern_record *record, void *user)
{
    (void)record;
    (void)user;
    return 0;
}

static const char *fail_with(quern_context *context, const char *first, const char *second)
{
    quern_collect(quern_read_sequence_pairs(context, first, second, NULL), QUERN_COLLECT_ALL, ignore, NULL);
    return kit_run_fails(context, QUERN_ERROR_CALLBACK);
}

static void names_that_differ_are_named_with_both_files(void)
{
    quern_context *context = start();
    const char *other = kit_path("other.fastq");
    char command[200];
    snprintf(command, sizeof command, "sed 's/^@read1234 2/@read9999 2/'");
    pack(command, plain[1], other);
    const char *text = fail_with(context, packed[0], other);
    CHECK_HAS(text, "record 1235 of ");
    CHECK_HAS(text, packed[0]);
    CHECK_HAS(text, other);
    CHECK_HAS(text, "read1234");
    CHECK_HAS(text, "read9999");
    quern_context_destroy(context);
}

static void a_file_with_more_records_is_named(void)
{
    for (int side = 0; side < 2; side++) {
        quern_context *context = start();
        const char *shorter = kit_path("%d.short.fastq", side);
        pack("head -n 11996", plain[side], shorter);
        const char *text = side ? fail_with(context, plain[0], shorter) : fail_with(context, shorter, plain[1]);
        CHECK_HAS(text, "short.fastq has fewer records than ");
        CHECK_HAS(text, "record 3000 of that");
        CHECK_HAS(text, "read2999");
        CHECK_HAS(text, plain[!side]);
        quern_context_destroy(context);
    }
}

/* The same read is bad in both files, so that who leaves it out in both would find that all names are equal. */
static void a_bad_record_fails_whatever_is_to_be_done_about_others(void)
{
    quern_context *context = start_with("skip:100");
    const char *bad[2] = {kit_path("bad1.fastq"), kit_path("bad2.fastq")};
    for (int side = 0; side < 2; side++)
        pack("sed '4003s/^+/-/'", plain[side], bad[side]);
    quern_collect(quern_read_sequence_pairs(context, bad[0], bad[1], NULL), QUERN_COLLECT_ALL, ignore, NULL);
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INPUT), ".fastq: ");
    quern_context_destroy(context);
}

static void what_makes_no_sense_is_refused(void)
{
    const quern_sequence_options bad[] = {{.struct_size = sizeof bad[0], .interleaved = 1},
                                          {.struct_size = sizeof bad[0], .piece_bases = 100},
                                          {.struct_size = 0}};
    for (size_t i = 0; i < 4; i++) {
        quern_context *context = start();
        CHECK(!quern_read_sequence_pairs(context, plain[0], i == 3 ? NULL : plain[1], i == 3 ? NULL : &bad[i]));
        kit_run_fails(context, QUERN_ERROR_INVALID_ARGUMENT);
        quern_context_destroy(context);
    }
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_reads();
    RUN(every_pair_comes_once_however_files_are_packed, 60);
    RUN(mates_may_have_qualities, 30);
    RUN(names_that_differ_are_named_with_both_files, 30);
    RUN(a_file_with_more_records_is_named, 30);
    RUN(a_bad_record_fails_whatever_is_to_be_done_about_others, 30);
    RUN(what_makes_no_sense_is_refused, 30);
    kit_free(&expected);
    return kit_finish();
}
