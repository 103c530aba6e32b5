/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_output.c: an output directory is whole or absent.
 */
#include "runtime/io/output.h"
#include "tests/disk.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <dirent.h>
#include <jansson.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/hash.h"

static kit_directory directory;
static char out[128];
static qn_error error;
static const qn_part_style plain = {0};
static qn_output output;

static void set_up(void)
{
    kit_make_directory(&directory);
    snprintf(out, sizeof out, "%s/out", directory.path);
    qn_error_clear(&error);
    disk_reset();
}

static void tear_down(void)
{
    qn_output_release(&output);
    kit_remove_directory(&directory);
}

static const char *in_out(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", out, name);
    return path;
}

/* The names in the output directory, sorted, each with a blank behind it; "absent" if there is none. */
static void check_names(const char *expected)
{
    struct dirent **entries = NULL;
    int count = scandir(out, &entries, NULL, alphasort);
    char got[1024] = "";
    if (count < 0)
        strcpy(got, "absent");
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
            (!output.lock.named || strcmp(name, QN_OUTPUT_LOCK_NAME) != 0))
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", name);
        free(entries[i]);
    }
    free(entries);
    ck_assert_str_eq(got, expected);
}

/* The names below are those beside the lock's. */
static void prepare(void)
{
    kit_assert_ok(qn_output_prepare(&output, out, NULL, &error), &error);
}

static void write_part(qn_part *part, uint64_t number, uint64_t part_count, const char *text)
{
    kit_assert_ok(qn_part_open(part, out, number, part_count, &plain, &error), &error);
    kit_assert_ok(qn_part_write(part, text, strlen(text), &error), &error);
    part->summary.records = 1;
}

START_TEST(a_committed_and_sealed_output_is_its_parts_a_manifest_and_success)
{
    qn_part parts[3];
    qn_part_summary summaries[3];
    static const char *const texts[] = {"first\n", "", "third\n"};
    prepare();
    for (uint64_t i = 0; i < 3; i++) {
        write_part(&parts[i], i, 3, texts[i]);
        kit_assert_ok(qn_part_finish(&parts[i], &error), &error);
    }
    check_names(".part-00000.tmp .part-00001.tmp .part-00002.tmp ");
    for (int i = 0; i < 3; i++) {
        kit_assert_ok(qn_part_commit(&parts[i], &error), &error);
        summaries[i] = parts[i].summary;
        qn_part_close(&parts[i], true);
    }
    check_names("part-00000 part-00001 part-00002 ");
    kit_assert_ok(qn_output_seal(&output, summaries, 3, QUERN_NOT_COMPRESSED, false, &error), &error);
    check_names("_MANIFEST.json _SUCCESS part-00000 part-00001 part-00002 ");
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "part-%05d", i);
        char *content = kit_read_file(in_out(name), NULL);
        ck_assert_str_eq(content, texts[i]);
        ck_assert_uint_eq(summaries[i].bytes, strlen(texts[i]));
        ck_assert_uint_eq(summaries[i].checksum, qn_checksum(texts[i], strlen(texts[i]), 0));
        free(content);
    }
}
END_TEST

START_TEST(the_manifest_lists_the_parts_with_bytes_records_and_checksum)
{
    qn_part_summary summaries[] = {{0, 6, 1, 0x1234}, {1, 0, 0, UINT64_MAX}, {2, UINT64_C(1) << 40, 77, 1}};
    prepare();
    kit_assert_ok(qn_output_seal(&output, summaries, 3, QUERN_NOT_COMPRESSED, false, &error), &error);
    json_error_t problem;
    json_t *manifest = json_load_file(in_out("_MANIFEST.json"), 0, &problem);
    ck_assert_msg(manifest != NULL, "%s", problem.text);
    ck_assert_int_eq(json_integer_value(json_object_get(manifest, "quern_manifest")), 1);
    json_t *parts = json_object_get(manifest, "parts");
    ck_assert_uint_eq(json_array_size(parts), 3);
    json_t *last = json_array_get(parts, 2);
    ck_assert_str_eq(json_string_value(json_object_get(last, "name")), "part-00002");
    ck_assert_int_eq(json_integer_value(json_object_get(last, "bytes")), (json_int_t)1 << 40);
    ck_assert_int_eq(json_integer_value(json_object_get(last, "records")), 77);
    ck_assert_str_eq(json_string_value(json_object_get(last, "xxh3_64")), "0000000000000001");
    ck_assert_str_eq(json_string_value(json_object_get(json_array_get(parts, 1), "xxh3_64")), "ffffffffffffffff");
    json_decref(manifest);
}
END_TEST

START_TEST(a_part_is_the_bytes_that_were_written_however_they_came)
{
    uint64_t state = 1;
    size_t bytes = (size_t)5 << 20;
    uint8_t *data = kit_take(bytes);
    for (size_t i = 0; i < bytes; i++)
        data[i] = (uint8_t)kit_random(&state);
    prepare();
    for (uint64_t round = 0; round < 6; round++) {
        qn_part part;
        kit_assert_ok(qn_part_open(&part, out, round, 6, &plain, &error), &error);
        for (size_t at = 0; at < bytes;) {
            size_t piece = 1 + kit_random_below(&state, (size_t)1 << (8 + 3 * round));
            piece = piece < bytes - at ? piece : bytes - at;
            if (qn_part_write(&part, data + at, piece, &error) != QUERN_OK)
                ck_abort_msg("%s", error.text);
            at += piece;
        }
        kit_assert_ok(qn_part_finish(&part, &error), &error);
        kit_assert_ok(qn_part_commit(&part, &error), &error);
        ck_assert_uint_eq(part.summary.bytes, bytes);
        ck_assert_uint_eq(part.summary.checksum, qn_checksum(data, bytes, 0));
        size_t got_bytes = 0;
        char *got = kit_read_file(part.path, &got_bytes);
        ck_assert_uint_eq(got_bytes, bytes);
        ck_assert_int_eq(memcmp(got, data, bytes), 0);
        free(got);
        qn_part_close(&part, false);
    }
    check_names("");
    free(data);
}
END_TEST

/* Of 70 MiB the last go past the page cache, if the file system can, but for what is no whole page. */
START_TEST(a_large_part_is_the_bytes_that_were_written)
{
    uint64_t state = 2;
    size_t bytes = ((size_t)70 << 20) + 4097 + 11, from = 0;
    uint8_t *data = kit_take(bytes);
    qn_part part;
    for (size_t i = 0; i + 8 <= bytes; i += 8)
        memcpy(data + i, &(uint64_t){kit_random(&state)}, 8);
    prepare();
    kit_assert_ok(qn_part_open(&part, out, 0, 1, &plain, &error), &error);
    for (size_t piece; from < bytes; from += piece) {
        piece = kit_random_below(&state, (size_t)3 << 20);
        piece = piece < bytes - from ? piece : bytes - from;
        kit_assert_ok(qn_part_write(&part, data + from, piece, &error), &error);
    }
    ck_assert(part.direct.is_on != part.direct.is_refused);
    kit_assert_ok(qn_part_finish(&part, &error), &error);
    kit_assert_ok(qn_part_commit(&part, &error), &error);
    ck_assert_uint_eq(part.summary.checksum, qn_checksum(data, bytes, 0));
    size_t got_bytes = 0;
    char *got = kit_read_file(part.path, &got_bytes);
    ck_assert_uint_eq(got_bytes, bytes);
    ck_assert_int_eq(memcmp(got, data, bytes), 0);
    free(got);
    free(data);
    qn_part_close(&part, false);
}
END_TEST

/* 1 MiB, so many times. */
static quern_status write_large(qn_part *part, int count)
{
    uint8_t *data = kit_take((size_t)1 << 20);
    quern_status status = qn_part_open(part, out, 0, 1, &plain, &error);
    for (int i = 0; i < count && status == QUERN_OK; i++)
        status = qn_part_write(part, data, (size_t)1 << 20, &error);
    free(data);
    return status;
}

START_TEST(a_write_that_fails_meanwhile_is_an_error_of_the_part)
{
    prepare();
    for (int before = 63; before < 70; before++) {
        qn_part part = {0};
        qn_error_clear(&error);
        disk_fail(&disk.writes, before, before % 2 ? ENOSPC : EIO);
        quern_status status = write_large(&part, 70);
        if (status == QUERN_OK)
            status = qn_part_finish(&part, &error);
        ck_assert_int_eq(status, QUERN_ERROR_OUTPUT);
        ck_assert_msg(strstr(error.text, ".part-00000.tmp") && strstr(error.text, strerror(before % 2 ? ENOSPC : EIO)),
                      "%s", error.text);
        qn_part_close(&part, false);
        check_names("");
    }
}
END_TEST

START_TEST(a_large_part_may_be_closed_while_the_disk_writes)
{
    qn_part part = {0};
    pthread_t releaser;
    prepare();
    kit_assert_ok(write_large(&part, 70), &error);
    ck_assert_ptr_nonnull(part.transfers);
    kit_assert_ok(qn_part_write(&part, out, 1, &error), &error);
    disk_hold(true);
    ck_assert_int_eq(pthread_create(&releaser, NULL, disk_release_later, NULL), 0);
    qn_part_close(&part, false);
    pthread_join(releaser, NULL);
    check_names("");
}
END_TEST

START_TEST(a_part_that_is_not_kept_is_gone_in_any_state)
{
    for (int state = 0; state < 4; state++) {
        qn_part part = {0};
        if (state == 0)
            prepare();
        if (state > 0)
            write_part(&part, 0, 1, "text");
        if (state > 1)
            kit_assert_ok(qn_part_finish(&part, &error), &error);
        if (state > 2)
            kit_assert_ok(qn_part_commit(&part, &error), &error);
        qn_part_close(&part, false);
        check_names("");
        qn_part_close(&part, false);
    }
}
END_TEST

START_TEST(closing_a_zeroed_part_leaves_standard_input_open)
{
    qn_part part = {0};
    struct stat before;
    ck_assert_int_eq(fstat(0, &before), 0);
    qn_part_close(&part, false);
    ck_assert_int_eq(fstat(0, &before), 0);
}
END_TEST

static void check_refused(quern_status expected, const char *part)
{
    qn_output other;
    qn_error_clear(&error);
    ck_assert_int_eq(qn_output_prepare(&other, out, NULL, &error), expected);
    ck_assert_msg(strstr(error.text, part) != NULL, "%s", error.text);
    qn_output_withdraw(&other);
    qn_error_clear(&error);
}

START_TEST(a_directory_that_is_not_empty_is_refused_and_untouched)
{
    ck_assert_int_eq(mkdir(out, 0700), 0);
    kit_write_file(in_out(".hidden"), "x", 1);
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, out);
    check_names(".hidden ");
    ck_assert_int_eq(unlink(in_out(".hidden")), 0);
    kit_write_file(in_out(".part-00000.tmp"), "x", 1); /* without a lock: who knows whose */
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, out);
    check_names(".part-00000.tmp ");
    ck_assert_int_eq(unlink(in_out(".part-00000.tmp")), 0);
    kit_write_file(in_out("part-00000"), "x", 1);
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, out);
    check_names("part-00000 ");
}
END_TEST

START_TEST(what_cannot_be_an_output_directory_is_an_error_that_names_it)
{
    kit_write_file(out, "x", 1);
    check_refused(QUERN_ERROR_OUTPUT, out);
    ck_assert_int_eq(qn_output_prepare(&output, "/nonexistent/out", NULL, &error), QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, "/nonexistent/out"));
    qn_error_clear(&error);
    ck_assert_int_eq(unlink(out), 0);
    ck_assert_int_eq(symlink("/nonexistent", out), 0);
    check_refused(QUERN_ERROR_OUTPUT, out);
}
END_TEST

START_TEST(withdrawing_removes_only_a_directory_that_the_job_made_and_that_is_empty)
{
    prepare();
    ck_assert(output.created);
    qn_output_withdraw(&output);
    check_names("absent");
    ck_assert_int_eq(mkdir(out, 0700), 0);
    prepare();
    ck_assert(!output.created);
    qn_output_withdraw(&output);
    check_names("");
    ck_assert_int_eq(rmdir(out), 0);
    prepare();
    kit_write_file(in_out("others"), "x", 1);
    qn_output_withdraw(&output);
    check_names("others ");
    qn_output_withdraw(&output);
}
END_TEST

/* ---- what killed jobs leave ---- */

/* A job that prepares the directory, leaves the files, and dies. */
static void leave_behind(const char *const *names)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        qn_output doomed;
        bool prepared = qn_output_prepare(&doomed, out, NULL, &error) == QUERN_OK;
        for (; *names; names++)
            kit_write_file(in_out(*names), "x", 1);
        _exit(prepared ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

START_TEST(what_a_killed_job_left_is_removed)
{
    static const char *const left[][6] = {{".part-00000.tmp", ".part-123456.tmp"},
                                          {NULL},
                                          {"part-00000", ".part-00001.tmp"}, /* it died while parts got their names */
                                          {"part-00000.tar.gz", "part-123456.h5", "part-00001", "_MANIFEST.json"}};
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        leave_behind(left[i]);
        prepare();
        check_names("");
        ck_assert(!output.created); /* it may have been there before the killed job */
        qn_output_withdraw(&output);
        check_names("");
    }
}
END_TEST

START_TEST(an_output_that_is_to_be_given_again_is_as_if_its_job_had_been_killed)
{
    prepare();
    kit_write_file(in_out("part-00000"), "x", 1);
    kit_write_file(in_out("_MANIFEST.json"), "x", 1);
    kit_write_file(in_out("_SUCCESS"), "", 0);
    qn_output_release(&output);
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, "not empty");
    for (int times = 0; times < 2; times++)
        kit_assert_ok(qn_output_forget(out, &error), &error);
    check_names(QN_OUTPUT_LOCK_NAME " _MANIFEST.json part-00000 ");
    prepare();
    check_names("");
    ck_assert_int_eq(qn_output_forget(out, &error), QUERN_ERROR_OUTPUT_EXISTS); /* somebody writes there */
    qn_error_clear(&error);
    qn_output_withdraw(&output);
}
END_TEST

START_TEST(what_is_not_of_a_killed_job_is_kept_and_refused)
{
    static const char *const names[] = {"part-0000",   "_MANIFEST",   "_SUCCESS",      ".part-0000.tmp",
                                        ".part-.tmp",  ".part-00000", ".part-x00.tmp", ".part-00000.tmp.bak",
                                        "part-00000x", "part-x00000"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char expected[128];
        const char *const left[] = {".part-00001.tmp", names[i], NULL};
        leave_behind(left);
        check_refused(QUERN_ERROR_OUTPUT_EXISTS, "not empty");
        ck_assert_int_eq(unlink(in_out(names[i])), 0);
        snprintf(expected, sizeof expected, ".part-00001.tmp %s ", QN_OUTPUT_LOCK_NAME);
        check_names(expected);
        prepare();
        qn_output_withdraw(&output);
    }
    const char *const left[] = {NULL};
    leave_behind(left);
    ck_assert_int_eq(mkdir(in_out(".part-00000.tmp"), 0700), 0);
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, "not empty");
    ck_assert_int_eq(rmdir(in_out(".part-00000.tmp")), 0);
}
END_TEST

START_TEST(a_live_job_keeps_its_directory)
{
    char process[32];
    snprintf(process, sizeof process, "process %ld", (long)getpid());
    prepare();
    kit_write_file(in_out(".part-00000.tmp"), "x", 1);
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, process);
    check_names(".part-00000.tmp ");
    ck_assert_int_eq(unlink(in_out(".part-00000.tmp")), 0);
    qn_output_withdraw(&output);
    check_names("absent");
}
END_TEST

/* Locks need not reach other machines, so one that could be had would prove nothing. */
START_TEST(a_job_of_another_machine_or_of_nobody_known_keeps_its_directory)
{
    static const char *const owners[] = {"00000000-0000-0000-0000-000000000000 7 elsewhere\n", "- 7 elsewhere\n", "",
                                         "x", "\xff\xfe"};
    static const char *const parts[] = {".part-00000.tmp", NULL};
    for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
        char expected[64];
        leave_behind(parts);
        kit_write_file(in_out(QN_OUTPUT_LOCK_NAME), owners[i], strlen(owners[i]));
        check_refused(QUERN_ERROR_OUTPUT_EXISTS, i < 2 ? "process 7 on elsewhere" : "not known");
        snprintf(expected, sizeof expected, ".part-00000.tmp %s ", QN_OUTPUT_LOCK_NAME);
        check_names(expected);
        ck_assert_int_eq(unlink(in_out(".part-00000.tmp")), 0);
        ck_assert_int_eq(unlink(in_out(QN_OUTPUT_LOCK_NAME)), 0);
    }
}
END_TEST

/* ---- what an earlier attempt at the same job finished ---- */

START_TEST(parts_that_are_to_stay_get_names_of_this_job_and_nothing_else_stays)
{
    static const char *const left[] = {".part-00000.0123456789abcdef.tmp",
                                       ".part-00001.0123456789abcdef.tmp",
                                       ".part-00002.0123456789abcdef.second.tmp",
                                       "part-00003",
                                       "part-00004.gz",
                                       ".part-00007.tmp",
                                       ".manifest.0123456789abcdef.tmp",
                                       ".success.0123456789abcdef.tmp",
                                       QN_OUTPUT_LOCK_NAME ".0123456789abcdef",
                                       NULL};
    const qn_part_summary parts[] = {{.number = 0, .bytes = 1}, {.number = 1, .bytes = 2}, {.number = 2, .bytes = 1},
                                     {.number = 3, .bytes = 1}, {.number = 4, .bytes = 1}, {.number = 7, .bytes = 1}};
    const qn_kept_parts kept = {.items = parts, .count = 6, .part_count = 10, .style = &plain};
    char expected[256];
    leave_behind(left);
    kit_assert_ok(qn_output_prepare(&output, out, &kept, &error), &error);
    const char *token = output.lock.token;
    snprintf(expected, sizeof expected, ".part-00000.%s.tmp .part-00003.%s.tmp .part-00007.%s.tmp ", token, token,
             token);
    check_names(expected);
    qn_part part;
    qn_part_style style = {.token = token};
    kit_assert_ok(qn_part_take_up(&part, out, &parts[0], 10, &style, &error), &error);
    kit_assert_ok(qn_part_commit(&part, &error), &error);
    qn_part_close(&part, false);
    snprintf(expected, sizeof expected, ".part-00003.%s.tmp .part-00007.%s.tmp ", token, token);
    check_names(expected);
}
END_TEST

START_TEST(parts_that_stayed_and_nobody_went_on_with_are_removed_with_the_lock)
{
    static const char *const left[] = {".part-00000.0123456789abcdef.tmp", NULL};
    const qn_part_summary parts[] = {{.number = 0, .bytes = 1}};
    const qn_kept_parts kept = {.items = parts, .count = 1, .part_count = 1, .style = &plain};
    leave_behind(left);
    kit_assert_ok(qn_output_prepare(&output, out, &kept, &error), &error);
    qn_output_unseal(&output);
    qn_output_withdraw(&output);
    check_names("");
    prepare();
    qn_output_withdraw(&output);
}
END_TEST

START_TEST(a_part_that_another_job_went_on_with_is_not_removed_by_who_made_it)
{
    static const char *const nothing[] = {NULL};
    const qn_part_style first_style = {.token = "0123456789abcdef"};
    qn_part first, next;
    leave_behind(nothing);
    kit_assert_ok(qn_part_open(&first, out, 0, 1, &first_style, &error), &error);
    kit_assert_ok(qn_part_write(&first, "whole", 5, &error), &error);
    kit_assert_ok(qn_part_finish(&first, &error), &error);
    kit_assert_ok(qn_part_commit(&first, &error), &error);
    const qn_kept_parts kept = {.items = &first.summary, .count = 1, .part_count = 1, .style = &plain};
    kit_assert_ok(qn_output_prepare(&output, out, &kept, &error), &error);
    const qn_part_style style = {.token = output.lock.token};
    kit_assert_ok(qn_part_take_up(&next, out, &first.summary, 1, &style, &error), &error);
    kit_assert_ok(qn_part_commit(&next, &error), &error);
    qn_part_close(&next, true);
    qn_part_close(&first, false);
    check_names("part-00000 ");
}
END_TEST

/* As another job does on another machine, when this one has given no sign of life. */
static void take_away(void)
{
    static const char theirs[] =
        "00000000-0000-0000-0000-000000000000 7 elsewhere 0123456789abcdef\n00000000000000000001\n";
    kit_write_file(in_out("theirs"), theirs, strlen(theirs));
    ck_assert_int_eq(rename(in_out("theirs"), in_out(QN_OUTPUT_LOCK_NAME)), 0);
    output.lock.named = true;
}

START_TEST(who_was_taken_over_commits_nothing_and_removes_nothing_of_the_next_one)
{
    qn_part part;
    prepare();
    kit_assert_ok(qn_output_check_held(&output, &error), &error);
    write_part(&part, 0, 1, "mine");
    kit_assert_ok(qn_part_finish(&part, &error), &error);
    kit_assert_ok(qn_part_commit(&part, &error), &error);
    take_away();
    ck_assert_int_eq(unlink(in_out("part-00000")), 0);
    kit_write_file(in_out("part-00000"), "theirs", 6);
    ck_assert_int_eq(qn_output_check_held(&output, &error), QUERN_ERROR_OUTPUT_EXISTS);
    qn_error_clear(&error);
    ck_assert_int_eq(qn_output_seal(&output, &part.summary, 1, QUERN_NOT_COMPRESSED, false, &error),
                     QUERN_ERROR_OUTPUT_EXISTS);
    ck_assert_ptr_nonnull(strstr(error.text, "took over"));
    qn_output_unseal(&output);
    qn_part_close(&part, false);
    qn_output_withdraw(&output);
    check_names(QN_OUTPUT_LOCK_NAME " part-00000 ");
}
END_TEST

static void lose_it(const char *path, void *user)
{
    (void)path;
    (void)user;
    take_away();
    kit_write_file(in_out(".part-00001.0123456789abcdef.tmp"), "theirs", 6);
}

START_TEST(who_was_taken_over_while_it_commits_removes_no_part_of_the_next_one)
{
    prepare();
    output.announce = lose_it;
    ck_assert_int_eq(qn_output_seal(&output, NULL, 0, QUERN_NOT_COMPRESSED, false, &error), QUERN_ERROR_OUTPUT_EXISTS);
    ck_assert_int_eq(access(in_out(".part-00001.0123456789abcdef.tmp"), F_OK), 0);
    qn_output_withdraw(&output);
}
END_TEST

START_TEST(success_and_the_end_of_the_lock_are_one_and_a_lock_beside_it_is_nobodys)
{
    static const char *const left[] = {"part-00000", "_MANIFEST.json", "_SUCCESS", NULL};
    leave_behind(left);
    check_refused(QUERN_ERROR_OUTPUT_EXISTS, "not empty");
    qn_output_settle(out);
    check_names("_MANIFEST.json _SUCCESS part-00000 ");
    qn_output_settle(out);
}
END_TEST

START_TEST(a_seal_that_fails_keeps_what_others_wrote)
{
    qn_part_summary summary = {0, 1, 1, 1};
    prepare();
    kit_write_file(in_out("_MANIFEST.json"), "theirs", 6);
    ck_assert_int_eq(qn_output_seal(&output, &summary, 1, QUERN_NOT_COMPRESSED, false, &error), QUERN_ERROR_OUTPUT);
    qn_output_unseal(&output);
    check_names("_MANIFEST.json ");
}
END_TEST

START_TEST(a_part_that_exists_is_not_overwritten_and_not_removed)
{
    qn_part part;
    prepare();
    kit_write_file(in_out(".part-00007.tmp"), "theirs", 6);
    ck_assert_int_eq(qn_part_open(&part, out, 7, 10, &plain, &error), QUERN_ERROR_OUTPUT);
    ck_assert_ptr_nonnull(strstr(error.text, ".part-00007.tmp"));
    qn_part_close(&part, false);
    check_names(".part-00007.tmp ");
}
END_TEST

START_TEST(names_of_many_parts_are_in_the_order_of_their_numbers)
{
    prepare();
    qn_part part;
    write_part(&part, 42, 1000001, "");
    ck_assert_str_eq(part.path, in_out("part-0000042"));
    qn_part_close(&part, false);
    write_part(&part, 99999, 100000, "");
    ck_assert_str_eq(part.path, in_out("part-99999"));
    qn_part_close(&part, false);
    write_part(&part, 0, 0, "");
    ck_assert_str_eq(part.path, in_out("part-00000"));
    qn_part_close(&part, false);
}
END_TEST

START_TEST(a_seal_that_fails_leaves_no_seal)
{
    qn_part_summary summary = {0, 1, 1, 1};
    prepare();
    ck_assert_int_eq(mkdir(in_out("_SUCCESS"), 0700), 0);
    ck_assert_int_eq(qn_output_seal(&output, &summary, 1, QUERN_NOT_COMPRESSED, false, &error), QUERN_ERROR_OUTPUT);
    check_names("_SUCCESS ");
    ck_assert_int_eq(rmdir(in_out("_SUCCESS")), 0);
    qn_error_clear(&error);
    kit_assert_ok(qn_output_seal(&output, &summary, 1, QUERN_NOT_COMPRESSED, false, &error), &error);
    check_names("_MANIFEST.json _SUCCESS ");
    qn_output_unseal(&output);
    check_names("");
    qn_output_unseal(&output);
    qn_error_clear(&error);
    ck_assert_int_eq(rmdir(out), 0);
    ck_assert_int_eq(qn_output_seal(&output, &summary, 1, QUERN_NOT_COMPRESSED, false, &error), QUERN_ERROR_OUTPUT);
}
END_TEST

START_TEST(a_full_disk_is_an_error_that_names_the_part)
{
    struct rlimit before;
    static char data[3 << 20];
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    prepare();
    for (size_t limit = 0; limit < sizeof data; limit += (size_t)700 << 10) {
        qn_part part;
        qn_error_clear(&error);
        kit_assert_ok(qn_part_open(&part, out, 3, 4, &plain, &error), &error);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){limit, before.rlim_max});
        quern_status status = QUERN_OK;
        for (size_t at = 0; at < sizeof data && status == QUERN_OK; at += 4096)
            status = qn_part_write(&part, data + at, 4096, &error);
        if (status == QUERN_OK)
            status = qn_part_finish(&part, &error);
        setrlimit(RLIMIT_FSIZE, &before);
        ck_assert_int_eq(status, QUERN_ERROR_OUTPUT);
        ck_assert_ptr_nonnull(strstr(error.text, "part-00003"));
        qn_part_close(&part, false);
        check_names("");
    }
}
END_TEST

START_TEST(refused_memory_opens_no_part_and_leaves_no_file)
{
    int failure_count = 0;
    prepare();
    for (;; failure_count++) {
        qn_part part;
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_part_open(&part, out, 0, 1, &plain, &error);
        allocations_left = -1;
        qn_part_close(&part, false);
        check_names("");
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
    }
    ck_assert_int_ge(failure_count, 1);
}
END_TEST

#define ONE_REFUSED (-2)

/* Refuses one allocation of the writer of JSON; the next one succeeds again. */
static void *refusing_malloc(size_t bytes)
{
    if (allocations_left == 0) {
        allocations_left = ONE_REFUSED;
        return NULL;
    }
    allocations_left -= allocations_left > 0;
    return __real_malloc(bytes);
}

/* A manifest that lacks a part would be worse than none. */
START_TEST(refused_memory_gives_a_whole_manifest_or_an_error)
{
    qn_part_summary summaries[40] = {{0}};
    size_t whole_bytes = 0;
    prepare();
    kit_assert_ok(qn_output_seal(&output, summaries, 40, QUERN_NOT_COMPRESSED, false, &error), &error);
    free(kit_read_file(in_out("_MANIFEST.json"), &whole_bytes));
    qn_output_unseal(&output);
    json_set_alloc_funcs(refusing_malloc, free);
    int failure_count = 0;
    for (;; failure_count++) {
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_output_seal(&output, summaries, 40, QUERN_NOT_COMPRESSED, false, &error);
        bool refused = allocations_left == ONE_REFUSED;
        allocations_left = -1;
        size_t bytes = 0;
        char *manifest = kit_read_file(in_out("_MANIFEST.json"), &bytes);
        free(manifest);
        ck_assert_msg(status == QUERN_ERROR_NO_MEMORY ? !manifest : status == QUERN_OK && bytes == whole_bytes,
                      "refusal %d: status %d, %zu bytes of %zu", failure_count, (int)status, bytes, whole_bytes);
        qn_output_unseal(&output);
        if (!refused)
            break;
    }
    json_set_alloc_funcs(malloc, free);
    ck_assert_int_ge(failure_count, 100);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_committed_and_sealed_output_is_its_parts_a_manifest_and_success,
        the_manifest_lists_the_parts_with_bytes_records_and_checksum,
        a_part_is_the_bytes_that_were_written_however_they_came,
        a_large_part_is_the_bytes_that_were_written,
        a_write_that_fails_meanwhile_is_an_error_of_the_part,
        a_large_part_may_be_closed_while_the_disk_writes,
        a_part_that_is_not_kept_is_gone_in_any_state,
        closing_a_zeroed_part_leaves_standard_input_open,
        a_directory_that_is_not_empty_is_refused_and_untouched,
        what_cannot_be_an_output_directory_is_an_error_that_names_it,
        withdrawing_removes_only_a_directory_that_the_job_made_and_that_is_empty,
        what_a_killed_job_left_is_removed,
        an_output_that_is_to_be_given_again_is_as_if_its_job_had_been_killed,
        what_is_not_of_a_killed_job_is_kept_and_refused,
        a_live_job_keeps_its_directory,
        a_job_of_another_machine_or_of_nobody_known_keeps_its_directory,
        parts_that_are_to_stay_get_names_of_this_job_and_nothing_else_stays,
        parts_that_stayed_and_nobody_went_on_with_are_removed_with_the_lock,
        a_part_that_another_job_went_on_with_is_not_removed_by_who_made_it,
        who_was_taken_over_commits_nothing_and_removes_nothing_of_the_next_one,
        who_was_taken_over_while_it_commits_removes_no_part_of_the_next_one,
        success_and_the_end_of_the_lock_are_one_and_a_lock_beside_it_is_nobodys,
        a_seal_that_fails_keeps_what_others_wrote,
        a_part_that_exists_is_not_overwritten_and_not_removed,
        names_of_many_parts_are_in_the_order_of_their_numbers,
        a_seal_that_fails_leaves_no_seal,
        a_full_disk_is_an_error_that_names_the_part,
        refused_memory_opens_no_part_and_leaves_no_file,
        refused_memory_gives_a_whole_manifest_or_an_error,
    };
    return kit_run_tests("output", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
