/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/doctor/test_doctor_parts.c: what ranks say arrives however it is passed on; what launchers, file systems and kernels say is understood. */
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/kit.h"
#include "tools/doctor/machine_look.h"
#include "tools/doctor/scratch_look.h"
#include "tools/quern/ask.h"
#include "tools/quern/commands.h"
#include "tools/quern/doctor.h"
#include "tools/quern/launcher.h"

#define WORDS_BYTES (1 << 16)

int quern_command_fail(int number, const char *format, ...)
{
    (void)number, (void)format;
    return 1;
}

/* ---- what ranks say ---- */

/* What quern_probe_say_long() and others write, of a process that has our name. */
static size_t say_into(char words[WORDS_BYTES], const char *json)
{
    FILE *file = tmpfile();
    int before = dup(STDOUT_FILENO);
    fflush(stdout);
    ck_assert_ptr_nonnull(file);
    dup2(fileno(file), STDOUT_FILENO);
    quern_probe_say(PROBE_BEGUN, "%d %d", 3, 8);
    quern_probe_say(PROBE_UP, "%d %d", 3, 8);
    quern_probe_say(PROBE_STEP, "%s", "a step with | and quern-probe in it\n" PROBE_MARK);
    quern_probe_say_long(PROBE_RANK, json);
    quern_probe_say_long(PROBE_WORLD, "{}");
    dup2(before, STDOUT_FILENO);
    close(before);
    ssize_t bytes = pread(fileno(file), words, WORDS_BYTES, 0);
    fclose(file);
    ck_assert_int_gt(bytes, 0);
    return (size_t)bytes;
}

static void check_heard(const quern_heard *heard, const char *json)
{
    ck_assert(!heard->is_short && !heard->is_damaged);
    ck_assert_uint_eq(heard->count, 1);
    const quern_heard_process *one = heard->each;
    ck_assert_int_eq(one->pid, getpid());
    ck_assert_int_eq(one->rank, 3);
    ck_assert_int_eq(one->size, 8);
    ck_assert_int_eq(one->promised, 8);
    ck_assert_str_eq(one->number, "3");
    ck_assert_str_eq(one->step, "a step with | and quern-probe in it  quern-probe ");
    ck_assert(!one->is_done);
    ck_assert_uint_eq(json_array_size(heard->ranks), 1);
    ck_assert_uint_eq(json_array_size(heard->worlds), 1);
    char *text = json_dumps(json_array_get(heard->ranks, 0), JSON_COMPACT);
    ck_assert_str_eq(text, json);
    free(text);
}

/* A text with blanks and bars everywhere, so that some part begins and ends with them. */
static char *make_json(size_t bytes)
{
    static const char pattern[] = "a  | quern-";
    char *json = malloc(bytes + 16);
    strcpy(json, "{\"text\":\"");
    for (size_t i = 0; i < bytes; i++)
        json[9 + i] = pattern[i % (sizeof pattern - 1)];
    strcpy(json + 9 + bytes, "\"}");
    return json;
}

START_TEST(texts_of_any_length_arrive)
{
    static char words[WORDS_BYTES];
    for (size_t bytes = 0; bytes < 700; bytes += kit_is_slow() ? 1 : 7) {
        quern_heard heard = {0};
        char *json = make_json(bytes);
        size_t said = say_into(words, json);
        ck_assert_uint_eq(said % PROBE_LINE_BYTES, 0);
        quern_heard_read(&heard, words, said);
        check_heard(&heard, json);
        quern_heard_fini(&heard);
        free(json);
    }
}
END_TEST

/* Open MPI passes on 4095 bytes: without the end of a line, which then comes behind somebody else's line. */
START_TEST(lines_arrive_though_others_come_before_their_ends)
{
    static char words[WORDS_BYTES], mixed[2 * WORDS_BYTES];
    char *json = make_json(900), other[PROBE_LINE_BYTES + 1];
    size_t said = say_into(words, json), to = 0;
    snprintf(other, sizeof other, "[1,5]<stdout>:" PROBE_MARK "n7 77 %s -%c   \n", PROBE_DONE, PROBE_END);
    for (size_t at = 0; at < said; at += PROBE_LINE_BYTES) {
        memcpy(mixed + to, words + at, PROBE_LINE_BYTES - 3);
        to += PROBE_LINE_BYTES - 3;
        to += (size_t)sprintf(mixed + to, "%s", other);
        memcpy(mixed + to, words + at + PROBE_LINE_BYTES - 3, 3);
        to += 3;
    }
    quern_heard heard = {0};
    quern_heard_read(&heard, mixed, to);
    ck_assert_uint_eq(heard.count, 2);
    ck_assert_str_eq(heard.each[1].host, "n7");
    ck_assert(heard.each[1].is_done);
    heard.count = 1;
    check_heard(&heard, json);
    quern_heard_fini(&heard);
    free(json);
}
END_TEST

/* Whatever is missing or in the way: nothing is made up, and nothing read beyond the end. */
START_TEST(damaged_words_are_no_report)
{
    static char words[WORDS_BYTES];
    char *json = make_json(300);
    size_t said = say_into(words, json);
    uint64_t state = 7;
    for (size_t bytes = 0; bytes < said; bytes += 13) {
        quern_heard heard = {0};
        char *cut = malloc(bytes > 0 ? bytes : 1);
        memcpy(cut, words, bytes);
        if (bytes > 0)
            cut[kit_random(&state) % bytes] = (char)kit_random(&state);
        quern_heard_read(&heard, cut, bytes);
        ck_assert_uint_le(json_array_size(heard.ranks), 1);
        quern_heard_fini(&heard);
        free(cut);
    }
    free(json);
}
END_TEST

/* ---- what others say of themselves ---- */

START_TEST(kinds_of_mpi_are_told_by_what_they_say)
{
    static const struct {
        const char *words;
        quern_mpi_family family;
        int major, minor;
    } cases[] = {
        {"mpirun (Open MPI) 4.1.4\n\nReport bugs to http://www.open-mpi.org/community/help/\n", QUERN_MPI_OPEN, 4, 1},
        {"Open MPI v5.0.7, package: Debian OpenMPI, ident: 5.0.7, repo rev: v5.0.7", QUERN_MPI_OPEN, 5, 0},
        {"Open MPI 4.1.4", QUERN_MPI_OPEN, 4, 1},
        {"HYDRA build details:\n    Version:                                 4.0.2\n", QUERN_MPI_MPICH, 4, 0},
        {"MPICH Version:      4.2.1", QUERN_MPI_MPICH, 4, 2},
        {"Intel(R) MPI Library for Linux* OS, Version 2021.10 Build 20230619", QUERN_MPI_MPICH, 2021, 10},
        {"MVAPICH2 Version      :       2.3.7", QUERN_MPI_MPICH, 2, 3},
        {"slurm-wlm 22.05.8", QUERN_MPI_SLURM, 22, 5},
        {"bash 5.2", QUERN_MPI_UNKNOWN, 0, 0},
        {"", QUERN_MPI_UNKNOWN, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        quern_mpi_kind kind = quern_mpi_kind_read(cases[i].words);
        ck_assert_int_eq(kind.family, cases[i].family);
        ck_assert_int_eq(kind.major, cases[i].major);
        ck_assert_int_eq(kind.minor, cases[i].minor);
    }
}
END_TEST

START_TEST(file_systems_are_told_by_their_numbers)
{
    const char *name;
    ck_assert_int_eq(quern_scratch_disk_kind(0x01021994, &name), QUERN_DISK_MEMORY);
    ck_assert_str_eq(name, "tmpfs");
    ck_assert_int_eq(quern_scratch_disk_kind(0x6969, &name), QUERN_DISK_NETWORK);
    ck_assert_int_eq(quern_scratch_disk_kind((unsigned long)(int)0xfe534d42, &name), QUERN_DISK_NETWORK);
    ck_assert_int_eq(quern_scratch_disk_kind(0xef53, &name), QUERN_DISK_LOCAL);
    ck_assert_int_eq(quern_scratch_disk_kind(0x12345, &name), QUERN_DISK_UNKNOWN);
}
END_TEST

START_TEST(pages_that_are_off_are_a_warning)
{
    quern_findings findings = {0};
    quern_machine_judge_pages(&findings, "always [madvise] never");
    quern_machine_judge_pages(&findings, "always madvise [never]");
    quern_machine_judge_pages(&findings, NULL);
    ck_assert_int_eq(findings.each[0].level, QUERN_LEVEL_OK);
    ck_assert_ptr_null(findings.each[0].remedy);
    ck_assert_int_eq(findings.each[1].level, QUERN_LEVEL_WARNING);
    ck_assert_ptr_nonnull(findings.each[1].remedy);
    ck_assert_int_eq(findings.each[2].level, QUERN_LEVEL_NOTE);
    quern_findings_fini(&findings);
}
END_TEST

START_TEST(findings_of_other_machines_have_their_names)
{
    quern_findings theirs = {0}, ours = {0};
    quern_findings_add(&theirs, QUERN_LEVEL_OK, "one", "%d", 1);
    quern_findings_add(&theirs, QUERN_LEVEL_ERROR, "two", "%s", "\"\\");
    quern_findings_remedy(&theirs, "do %d", 2);
    json_t *list = quern_findings_to_json(&theirs);
    json_array_append_new(list, json_string("nothing"));
    json_array_append_new(list, json_pack("{ss}", "check", "half"));
    quern_findings_add_json(&ours, list, "n1");
    quern_findings_add_json(&ours, json_null(), "n2");
    json_decref(list);
    quern_findings_fini(&theirs);
    ck_assert_uint_eq(ours.count, 2);
    ck_assert_str_eq(ours.each[1].check, "two");
    ck_assert_int_eq(ours.each[1].level, QUERN_LEVEL_ERROR);
    ck_assert_str_eq(ours.each[1].found, "\"\\");
    ck_assert_str_eq(ours.each[1].remedy, "do 2");
    ck_assert_str_eq(ours.each[0].host, "n1");
    ck_assert(!ours.is_short);
    quern_findings_fini(&ours);
}
END_TEST

/* ---- commands that are asked ---- */

static int ask_shell(const char *script, double seconds, quern_answer *answer)
{
    char shell[] = "sh", option[] = "-c", *words[] = {shell, option, (char *)(uintptr_t)script, NULL};
    return quern_ask(words, seconds, 0.2, answer);
}

START_TEST(answers_have_status_and_words)
{
    quern_answer answer;
    ck_assert_int_eq(ask_shell("echo out; echo err >&2; cat; exit 3", 20, &answer), 0);
    ck_assert_str_eq(answer.words, "out\n");
    ck_assert_str_eq(answer.errors, "err\n");
    ck_assert_int_eq(answer.status, 3);
    ck_assert(!answer.was_late);
    quern_answer_fini(&answer);
    char missing[] = "/no/such/program", *words[] = {missing, NULL};
    ck_assert_int_eq(quern_ask(words, 20, 1, &answer), 0);
    ck_assert_int_eq(answer.status, QUERN_COMMAND_NOT_FOUND);
    quern_answer_fini(&answer);
}
END_TEST

START_TEST(who_does_not_answer_is_ended)
{
    quern_answer answer;
    ck_assert_int_eq(ask_shell("echo first; trap '' TERM; while :; do sleep 1; done", 0.3, &answer), 0);
    ck_assert(answer.was_late);
    ck_assert_int_eq(answer.status, 128 + 9);
    ck_assert_str_eq(answer.words, "first\n");
    quern_answer_fini(&answer);
    ck_assert_int_eq(ask_shell("sleep 60 & echo left", 20, &answer), 0); /* it holds what we listen to */
    ck_assert_int_eq(answer.status, 0);
    quern_answer_fini(&answer);
}
END_TEST

static void say_user(const void *user)
{
    fputs(user, stdout);
    if (strcmp(user, "slow") == 0)
        sleep(60);
}

START_TEST(functions_answer_or_are_ended)
{
    quern_answer answer;
    ck_assert_int_eq(quern_ask_function(say_user, "quick", "a function", 20, &answer), 0);
    ck_assert_str_eq(answer.words, "quick");
    ck_assert(answer.status == 0 && !answer.was_late);
    quern_answer_fini(&answer);
    ck_assert_int_eq(quern_ask_function(say_user, "slow", "a function", 0.2, &answer), 0);
    ck_assert(answer.status > 128 && answer.was_late);
    quern_answer_fini(&answer);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        texts_of_any_length_arrive,
        lines_arrive_though_others_come_before_their_ends,
        damaged_words_are_no_report,
        kinds_of_mpi_are_told_by_what_they_say,
        file_systems_are_told_by_their_numbers,
        pages_that_are_off_are_a_warning,
        findings_of_other_machines_have_their_names,
        answers_have_status_and_words,
        who_does_not_answer_is_ended,
        functions_answer_or_are_ended,
    };
    return kit_run_tests("doctor", tests, sizeof tests / sizeof *tests, NULL, NULL);
}
