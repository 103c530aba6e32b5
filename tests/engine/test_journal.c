/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/engine/test_journal.c: lines that are whole are read, whatever follows them; what late owners write is not seen; who has a checkpoint is named.
 */
#include "runtime/engine/checkpoint_lock.h"
#include "runtime/engine/journal.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_COUNT 5

static kit_directory directory;
static qn_error error;
static char path[300];
static qn_journal journal;
static json_t *lines;
static qn_cipher *cipher; /* NULL: none */

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
    snprintf(path, sizeof path, "%s/journal", directory.path);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

static void open_journal(void)
{
    kit_assert_ok(qn_journal_open(&journal, path, cipher, &lines, &error), &error);
}

/* Closes it, and gives how many lines it had. */
static size_t close_journal(void)
{
    size_t count = json_array_size(lines);
    json_decref(lines);
    qn_journal_close(&journal);
    return count;
}

static void append(int number)
{
    kit_assert_ok(
        qn_journal_append(&journal, json_pack("{s:i, s:s}", "number", number, "text", "a\nb\"\xc3\xa4"), &error),
        &error);
}

static void write_lines(void)
{
    open_journal();
    for (int i = 0; i < LINE_COUNT; i++)
        append(i);
    ck_assert_uint_eq(close_journal(), 0);
}

static size_t count_whole(const char *content, size_t bytes)
{
    size_t count = 0;
    for (size_t i = 0; i < bytes; i++)
        count += content[i] == '\n';
    return count;
}

START_TEST(lines_are_read_in_the_order_in_which_they_were_written)
{
    struct stat about;
    write_lines();
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_uint_eq(about.st_mode & 0777, 0600);
    open_journal();
    ck_assert_uint_eq(json_array_size(lines), LINE_COUNT);
    for (int i = 0; i < LINE_COUNT; i++) {
        const json_t *line = json_array_get(lines, (size_t)i);
        ck_assert_int_eq(json_integer_value(json_object_get(line, "number")), i);
        ck_assert_str_eq(json_string_value(json_object_get(line, "text")), "a\nb\"\xc3\xa4");
    }
    close_journal();
}
END_TEST

START_TEST(a_line_that_breaks_off_anywhere_is_written_over)
{
    size_t bytes = 0;
    write_lines();
    char *content = kit_read_file(path, &bytes);
    for (size_t cut = 0; cut <= bytes; cut++) {
        kit_write_file(path, content, cut);
        open_journal();
        append(99);
        ck_assert_uint_eq(close_journal(), count_whole(content, cut));
        open_journal();
        size_t last = json_array_size(lines) - 1;
        ck_assert_uint_eq(last, count_whole(content, cut));
        ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(lines, last), "number")), 99);
        close_journal();
    }
    free(content);
}
END_TEST

START_TEST(any_flipped_bit_ends_the_reading_before_its_line)
{
    size_t bytes = 0;
    write_lines();
    char *content = kit_read_file(path, &bytes);
    for (size_t at = 0; at < bytes; at++) {
        char kept = content[at];
        content[at] = (char)(kept ^ (1 << at % 8));
        kit_write_file(path, content, bytes);
        content[at] = kept;
        open_journal();
        size_t count = close_journal();
        ck_assert_msg(count == count_whole(content, at), "byte %zu: %zu lines", at, count);
    }
    free(content);
}
END_TEST

START_TEST(what_is_no_journal_has_no_lines)
{
    static const char *const texts[] = {"", "\n", "\n\n\n", "0000000000000000 {}\n", "{\"number\": 1}\n", "zzzz"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        kit_write_file(path, texts[i], strlen(texts[i]));
        open_journal();
        ck_assert_uint_eq(close_journal(), 0);
    }
    unlink(path);
    ck_assert_int_eq(symlink("/dev/zero", path), 0);
    ck_assert_int_eq(qn_journal_open(&journal, path, cipher, &lines, &error), QUERN_ERROR_CHECKPOINT);
}
END_TEST

/* ---- with a key ---- */

static qn_cipher *make_cipher(uint8_t first)
{
    qn_cipher *made = NULL;
    kit_assert_ok(qn_cipher_create((const uint8_t[QN_KEY_FILE_BYTES]){first}, &made, &error), &error);
    return made;
}

static void drop_cipher(void)
{
    qn_cipher_destroy(cipher);
    cipher = NULL;
}

START_TEST(signed_lines_are_read_and_may_break_off_anywhere)
{
    size_t bytes = 0;
    cipher = make_cipher(1);
    write_lines();
    char *content = kit_read_file(path, &bytes);
    for (size_t cut = 0; cut <= bytes; cut += 1 + cut % 3) {
        kit_write_file(path, content, cut);
        open_journal();
        append(99);
        ck_assert_uint_eq(close_journal(), count_whole(content, cut));
        open_journal();
        ck_assert_uint_eq(close_journal(), count_whole(content, cut) + 1);
    }
    free(content);
    drop_cipher();
}
END_TEST

/* Lines that open_journal() refuses count as none. */
static size_t count_lines(const char *content, size_t bytes)
{
    kit_write_file(path, content, bytes);
    qn_error_clear(&error);
    if (qn_journal_open(&journal, path, cipher, &lines, &error) == QUERN_OK)
        return close_journal();
    ck_assert_int_eq(error.status, QUERN_ERROR_CHECKPOINT);
    return 0;
}

START_TEST(signed_lines_cannot_be_changed_left_out_doubled_or_moved)
{
    size_t bytes = 0, starts[LINE_COUNT + 1] = {0};
    char other[4096];
    cipher = make_cipher(1);
    write_lines();
    char *content = kit_read_file(path, &bytes);
    for (size_t line = 1; line <= LINE_COUNT; line++)
        starts[line] = (size_t)((char *)memchr(content + starts[line - 1], '\n', bytes) - content) + 1;
    for (size_t at = 0; at < bytes; at++) {
        char kept = content[at];
        content[at] = (char)(kept ^ (1 << at % 8));
        size_t count = count_lines(content, bytes);
        content[at] = kept;
        ck_assert_msg(count == count_whole(content, at), "byte %zu: %zu lines", at, count);
    }
    for (size_t line = 0; line < LINE_COUNT - 1; line++) {
        size_t line_bytes = starts[line + 1] - starts[line];
        memcpy(other, content, starts[line]);
        memcpy(other + starts[line], content + starts[line + 1], bytes - starts[line + 1]);
        ck_assert_uint_eq(count_lines(other, bytes - line_bytes), line);
        memcpy(other, content, starts[line + 1]);
        memcpy(other + starts[line + 1], content + starts[line], bytes - starts[line]);
        ck_assert_uint_eq(count_lines(other, bytes + line_bytes), line + 1);
    }
    ck_assert_uint_eq(count_lines(content, bytes), LINE_COUNT);
    free(content);
    drop_cipher();
}
END_TEST

static void check_other_key(uint8_t with, uint8_t then, const char *why)
{
    size_t bytes = 0, after_bytes = 0;
    unlink(path);
    qn_error_clear(&error);
    cipher = with ? make_cipher(with) : NULL;
    write_lines();
    char *content = kit_read_file(path, &bytes);
    drop_cipher();
    cipher = then ? make_cipher(then) : NULL;
    ck_assert_int_eq(qn_journal_open(&journal, path, cipher, &lines, &error), QUERN_ERROR_CHECKPOINT);
    ck_assert_msg(strstr(error.text, why) && strstr(error.text, path), "%s", error.text);
    char *after = kit_read_file(path, &after_bytes);
    ck_assert_uint_eq(after_bytes, bytes);
    ck_assert_mem_eq(after, content, bytes);
    free(content);
    free(after);
    drop_cipher();
}

START_TEST(a_journal_of_another_key_is_refused_and_not_written_over)
{
    check_other_key(1, 2, "with another key");
    check_other_key(1, 0, "written with a key");
    check_other_key(0, 1, "written without a key");
}
END_TEST

START_TEST(a_full_disk_leaves_the_lines_that_were_there)
{
    write_lines();
    open_journal();
    int kept = journal.fd;
    journal.fd = open("/dev/full", O_RDWR);
    ck_assert_int_eq(qn_journal_append(&journal, json_pack("{s:i}", "number", 6), &error), QUERN_ERROR_CHECKPOINT);
    close(journal.fd);
    journal.fd = kept;
    append(7);
    close_journal();
    open_journal();
    ck_assert_uint_eq(close_journal(), LINE_COUNT + 1);
}
END_TEST

/* ---- taken over ---- */

START_TEST(what_a_late_owner_writes_is_not_in_the_renewed_journal)
{
    write_lines();
    open_journal();
    qn_journal late = journal;
    late.fd = dup(journal.fd);
    ck_assert_int_ge(late.fd, 0);
    kit_assert_ok(qn_journal_renew(&journal, &error), &error);
    append(7);
    kit_assert_ok(qn_journal_append(&late, json_pack("{s:i}", "number", 6), &error),
                  &error); /* cuts off what is behind */
    append(8);
    qn_journal_close(&late);
    close_journal();
    open_journal();
    ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(lines, LINE_COUNT), "number")), 7);
    ck_assert_uint_eq(close_journal(), LINE_COUNT + 2);
}
END_TEST

START_TEST(a_journal_that_cannot_be_renewed_goes_on_as_it_was)
{
    char blocked[sizeof path + 8];
    write_lines();
    open_journal();
    snprintf(blocked, sizeof blocked, "%s.new", path);
    ck_assert_int_eq(mkdir(blocked, 0700), 0);
    ck_assert_int_eq(qn_journal_renew(&journal, &error), QUERN_ERROR_CHECKPOINT);
    qn_error_clear(&error);
    append(7);
    close_journal();
    open_journal();
    ck_assert_uint_eq(close_journal(), LINE_COUNT + 1);
}
END_TEST

START_TEST(the_lock_names_who_has_the_checkpoint)
{
    qn_lock_file lock = {0}, other = {0};
    kit_assert_ok(qn_checkpoint_lock_take(&lock, directory.path, &error), &error);
    ck_assert_int_eq(qn_checkpoint_lock_take(&other, directory.path, &error), QUERN_ERROR_CHECKPOINT);
    ck_assert_msg(strstr(error.text, "a job that is running has the checkpoint of") != NULL, "%s", error.text);
    qn_lock_file_drop(&lock);
    qn_error_clear(&error);
    snprintf(path, sizeof path, "%s/" QN_CHECKPOINT_LOCK_NAME, directory.path);
    kit_write_file(path, "", 0);
    ck_assert_int_eq(qn_checkpoint_lock_take(&other, directory.path, &error), QUERN_ERROR_CHECKPOINT);
    ck_assert_msg(strstr(error.text, "/" QN_CHECKPOINT_LOCK_NAME) != NULL, "%s", error.text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        lines_are_read_in_the_order_in_which_they_were_written,
        a_line_that_breaks_off_anywhere_is_written_over,
        any_flipped_bit_ends_the_reading_before_its_line,
        what_is_no_journal_has_no_lines,
        signed_lines_are_read_and_may_break_off_anywhere,
        signed_lines_cannot_be_changed_left_out_doubled_or_moved,
        a_journal_of_another_key_is_refused_and_not_written_over,
        a_full_disk_leaves_the_lines_that_were_there,
        what_a_late_owner_writes_is_not_in_the_renewed_journal,
        a_journal_that_cannot_be_renewed_goes_on_as_it_was,
        the_lock_names_who_has_the_checkpoint,
    };
    return kit_run_tests("journal", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
