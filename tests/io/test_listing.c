/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_listing.c: which files an input is, in which order, and what is left out.
 */
#include "runtime/io/listing.h"
#include "runtime/io/output_lock.h"
#include "tests/kit.h"
#include "tests/refusal.h"

#include <sys/stat.h>
#include <unistd.h>

static kit_directory directory;
static qn_error error;
static qn_listing listing;

static void set_up(void)
{
    kit_make_directory(&directory);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    qn_listing_destroy(&listing);
    kit_remove_directory(&directory);
}

static void put(const char *name, const char *text)
{
    kit_write_file(kit_path(&directory, name), text, strlen(text));
}

static void make_directory(const char *name)
{
    ck_assert_int_eq(mkdir(kit_path(&directory, name), 0700), 0);
}

static void list_one(const char *path)
{
    kit_assert_ok(qn_listing_create(&listing, &path, 1, &error), &error);
}

/* The listed paths below the directory, each with a blank behind it. */
static void check_paths(const char *expected)
{
    char got[4096] = "";
    uint64_t bytes = 0;
    for (size_t i = 0; i < listing.file_count; i++) {
        const char *path = listing.files[i].path;
        ck_assert_int_eq(strncmp(path, directory.path, strlen(directory.path)), 0);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", path + strlen(directory.path) + 1);
        bytes += listing.files[i].bytes;
    }
    ck_assert_str_eq(got, expected);
    ck_assert_uint_eq(listing.bytes, bytes);
}

START_TEST(a_directory_is_all_regular_files_below_it_in_byte_order)
{
    make_directory("b");
    make_directory("b/deep");
    make_directory("b-side");
    put("b/file", "12345");
    put("b/deep/er", "1");
    put("b-side/x", "12");
    put("a", "1");
    put("B", "1");
    put("\xc3\xa4", "1");
    put(".hidden", "1");
    put("b.txt", "1");
    list_one(directory.path);
    check_paths(".hidden B a b-side/x b.txt b/deep/er b/file \xc3\xa4 ");
    ck_assert_uint_eq(listing.skipped_count, 0);
}
END_TEST

START_TEST(paths_come_in_the_order_given_and_a_file_may_come_twice)
{
    put("z", "12");
    put("a", "1");
    char z[128];
    snprintf(z, sizeof z, "%s/z", directory.path);
    const char *paths[] = {z, directory.path, z};
    kit_assert_ok(qn_listing_create(&listing, paths, 3, &error), &error);
    check_paths("z a z z ");
}
END_TEST

START_TEST(empty_files_are_counted_and_left_out)
{
    put("empty", "");
    put("full", "1");
    list_one(directory.path);
    check_paths("full ");
    ck_assert_uint_eq(listing.empty_count, 1);
}
END_TEST

START_TEST(links_below_a_directory_are_not_followed_and_what_is_no_file_is_skipped)
{
    make_directory("d");
    put("d/file", "1");
    ck_assert_int_eq(symlink("file", kit_path(&directory, "d/link")), 0);
    ck_assert_int_eq(symlink("..", kit_path(&directory, "d/cycle")), 0);
    ck_assert_int_eq(symlink("/nonexistent", kit_path(&directory, "d/dangling")), 0);
    ck_assert_int_eq(mkfifo(kit_path(&directory, "d/pipe"), 0600), 0);
    list_one(kit_path(&directory, "d"));
    check_paths("d/file ");
    ck_assert_uint_eq(listing.skipped_count, 4);
}
END_TEST

START_TEST(the_lock_of_an_output_is_no_input_unless_it_is_named)
{
    make_directory("d");
    make_directory("d/out");
    put("d/file", "1");
    put("d/out/.quern-lock", "x");
    put("d/out/.quern-locks", "x");
    list_one(kit_path(&directory, "d"));
    check_paths("d/file d/out/.quern-locks ");
    qn_listing_destroy(&listing);
    list_one(kit_path(&directory, "d/out/.quern-lock"));
    check_paths("d/out/.quern-lock ");
    qn_listing_destroy(&listing);
    const char *unfinished = kit_path(&directory, "d/out");
    ck_assert_int_eq(qn_listing_create(&listing, &unfinished, 1, &error), QUERN_ERROR_INPUT);
    ck_assert(strstr(error.text, "d/out is an output that is not finished") != NULL);
}
END_TEST

START_TEST(of_an_output_only_the_parts_are_input)
{
    make_directory("d");
    put("d/part-00000", "1");
    put("d/_MANIFEST.json", "{}");
    list_one(kit_path(&directory, "d"));
    check_paths("d/_MANIFEST.json d/part-00000 "); /* somebody's file of that name */
    qn_listing_destroy(&listing);
    put("d/_SUCCESS", "");
    list_one(directory.path);
    check_paths("d/part-00000 ");
    qn_listing_destroy(&listing);
    list_one(kit_path(&directory, "d/_MANIFEST.json"));
    check_paths("d/_MANIFEST.json ");
}
END_TEST

START_TEST(a_link_that_is_named_is_followed)
{
    make_directory("d");
    put("d/file", "1");
    ck_assert_int_eq(symlink("d", kit_path(&directory, "to_directory")), 0);
    ck_assert_int_eq(symlink("d/file", kit_path(&directory, "to_file")), 0);
    list_one(kit_path(&directory, "to_directory"));
    check_paths("to_directory/file ");
    qn_listing_destroy(&listing);
    list_one(kit_path(&directory, "to_file"));
    check_paths("to_file ");
}
END_TEST

START_TEST(what_cannot_be_an_input_is_an_error_that_names_it)
{
    ck_assert_int_eq(mkfifo(kit_path(&directory, "pipe"), 0600), 0);
    ck_assert_int_eq(symlink("/nonexistent", kit_path(&directory, "dangling")), 0);
    ck_assert_int_eq(symlink("loop", kit_path(&directory, "loop")), 0);
    put("file", "1");
    static const char *const names[] = {"pipe", "dangling", "loop", "missing", "file/below"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *paths[] = {directory.path, kit_path(&directory, names[i])};
        qn_error_clear(&error);
        ck_assert_msg(qn_listing_create(&listing, paths, 2, &error) == QUERN_ERROR_INPUT, "%s", names[i]);
        ck_assert_msg(strstr(error.text, names[i]) != NULL, "%s", error.text);
        ck_assert_uint_eq(listing.file_count, 0);
    }
    qn_error_clear(&error);
    ck_assert_int_eq(qn_listing_create(&listing, (const char *const[]){""}, 1, &error), QUERN_ERROR_INPUT);
}
END_TEST

START_TEST(no_paths_are_no_files)
{
    kit_assert_ok(qn_listing_create(&listing, NULL, 0, &error), &error);
    ck_assert_uint_eq(listing.file_count, 0);
    make_directory("empty");
    list_one(kit_path(&directory, "empty"));
    ck_assert_uint_eq(listing.file_count, 0);
}
END_TEST

START_TEST(a_thousand_files_are_listed_sorted)
{
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d", i * 7919 % 1000);
        put(name, name);
    }
    list_one(directory.path);
    ck_assert_uint_eq(listing.file_count, 1000);
    for (size_t i = 1; i < listing.file_count; i++)
        ck_assert_int_lt(strcmp(listing.files[i - 1].path, listing.files[i].path), 0);
}
END_TEST

START_TEST(the_size_is_foreseen_of_so_many_files_as_the_listing_has_them)
{
    static const char *paths[QN_FORESEEN_ENTRY_COUNT_MAX + 1];
    uint64_t bytes = 99;
    put("file", "12345");
    char *file = strdup(kit_path(&directory, "file"));
    for (size_t i = 0; i <= QN_FORESEEN_ENTRY_COUNT_MAX; i++)
        paths[i] = file;
    ck_assert(qn_listing_foresee(paths, QN_FORESEEN_ENTRY_COUNT_MAX, &bytes));
    ck_assert_uint_eq(bytes, 5 * QN_FORESEEN_ENTRY_COUNT_MAX);
    ck_assert(!qn_listing_foresee(paths, QN_FORESEEN_ENTRY_COUNT_MAX + 1, &bytes));
    paths[1] = kit_path(&directory, "nothing");
    ck_assert(!qn_listing_foresee(paths, 2, &bytes));
    ck_assert_uint_eq(bytes, 5 * QN_FORESEEN_ENTRY_COUNT_MAX);
    ck_assert(qn_listing_foresee(NULL, 0, &bytes));
    ck_assert_uint_eq(bytes, 0);
    free(file);
}
END_TEST

START_TEST(the_size_of_a_directory_is_that_of_the_files_that_the_listing_finds)
{
    uint64_t bytes = 0;
    const char *paths[] = {directory.path};
    put("file", "12345");
    ck_assert_int_eq(mkdir(kit_path(&directory, "below"), 0755), 0);
    put("below/" QN_OUTPUT_LOCK_NAME, "not this");
    put("below/other", "123");
    ck_assert_int_eq(symlink(kit_path(&directory, "file"), kit_path(&directory, "link")), 0);
    ck_assert(qn_listing_foresee(paths, 1, &bytes));
    list_one(directory.path);
    ck_assert_uint_eq(bytes, 8);
    ck_assert_uint_eq(listing.bytes, 8);
    for (int i = 0; i < QN_FORESEEN_ENTRY_COUNT_MAX; i++) {
        char name[40];
        snprintf(name, sizeof name, "below/%d", i);
        put(name, "1");
    }
    ck_assert(!qn_listing_foresee(paths, 1, &bytes));
}
END_TEST

START_TEST(refused_memory_is_an_error_and_nothing_leaks)
{
    for (int i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof name, "%d", i);
        put(name, name);
    }
    const char *path = directory.path;
    int failure_count = 0;
    for (;; failure_count++) {
        qn_error_clear(&error);
        allocations_left = failure_count;
        quern_status status = qn_listing_create(&listing, &path, 1, &error);
        allocations_left = -1;
        if (status == QUERN_OK)
            break;
        ck_assert_int_eq(status, QUERN_ERROR_NO_MEMORY);
        ck_assert_ptr_null(listing.files);
    }
    ck_assert_int_ge(failure_count, 3);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_directory_is_all_regular_files_below_it_in_byte_order,
        paths_come_in_the_order_given_and_a_file_may_come_twice,
        empty_files_are_counted_and_left_out,
        links_below_a_directory_are_not_followed_and_what_is_no_file_is_skipped,
        the_lock_of_an_output_is_no_input_unless_it_is_named,
        of_an_output_only_the_parts_are_input,
        a_link_that_is_named_is_followed,
        what_cannot_be_an_input_is_an_error_that_names_it,
        no_paths_are_no_files,
        a_thousand_files_are_listed_sorted,
        the_size_is_foreseen_of_so_many_files_as_the_listing_has_them,
        the_size_of_a_directory_is_that_of_the_files_that_the_listing_finds,
        refused_memory_is_an_error_and_nothing_leaks,
    };
    return kit_run_tests("listing", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
