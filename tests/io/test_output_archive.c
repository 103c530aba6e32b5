/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_output_archive.c: what stands around the members of archives, where numbers are too large for their places. libarchive reads
 * it; the members are holes.
 */
#include "runtime/io/output_archive.h"
#include "tests/kit.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#define GIB ((uint64_t)1 << 30)

static kit_directory directory;
static char path[128];
static qn_error error;

static void set_up(void)
{
    kit_make_directory(&directory);
    snprintf(path, sizeof path, "%s/archive", directory.path);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

static void write_frame(quern_archive kind, quern_compression compression, qn_part_summary *summaries, uint64_t count)
{
    const qn_part_style style = {.archive = kind, .compression = compression};
    uint64_t *offsets = calloc(count + 1, sizeof *offsets), bytes = 0, end = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    for (uint64_t i = 0; i < count; i++)
        summaries[i].bytes += qn_archive_padding(&style, summaries[i].bytes);
    kit_assert_ok(qn_archive_write_frame(fd, path, &style, 5, summaries, count, offsets, &bytes, &error), &error);
    ck_assert_uint_eq((uint64_t)lseek(fd, 0, SEEK_END), bytes);
    for (uint64_t i = 0; i < count; i++) {
        ck_assert_uint_ge(offsets[i], end);
        end = offsets[i] + summaries[i].bytes;
    }
    ck_assert_uint_le(end, bytes);
    close(fd);
    free(offsets);
}

/* Names and sizes are those of the summaries. */
static void check_entries(const qn_part_summary *summaries, uint64_t count)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    uint64_t seen = 0;
    int result;
    archive_read_support_filter_all(archive);
    archive_read_support_format_all(archive);
    ck_assert_int_eq(archive_read_open_filename(archive, path, 10240), ARCHIVE_OK);
    while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK) {
        char name[32];
        snprintf(name, sizeof name, "part-%05u", (unsigned)seen);
        ck_assert_uint_lt(seen, count);
        ck_assert_str_eq(archive_entry_pathname(entry), name);
        ck_assert_uint_eq((uint64_t)archive_entry_size(entry), summaries[seen].content_bytes);
        ck_assert_int_eq(archive_entry_perm(entry), 0644);
        seen++;
    }
    ck_assert_msg(result == ARCHIVE_EOF, "%s", archive_error_string(archive));
    ck_assert_uint_eq(seen, count);
    archive_read_free(archive);
}

START_TEST(members_have_any_size)
{
    static const uint64_t sizes[] = {5 * GIB, 3, 9 * GIB, 0, UINT32_MAX, UINT32_MAX - 1, 1};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    for (int kind = QUERN_TAR; kind <= QUERN_ZIP; kind++) {
        qn_part_summary summaries[COUNT] = {0};
        for (uint64_t i = 0; i < COUNT; i++)
            summaries[i] = (qn_part_summary){.number = i, .bytes = sizes[i], .content_bytes = sizes[i]};
        write_frame((quern_archive)kind, QUERN_NOT_COMPRESSED, summaries, COUNT);
        check_entries(summaries, COUNT);
    }
}
END_TEST

START_TEST(there_may_be_any_number_of_members_or_none)
{
    static qn_part_summary summaries[70000];
    for (uint64_t i = 0; i < 70000; i++)
        summaries[i].number = i;
    static const uint64_t counts[] = {0, 1, 65535, 70000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        for (int kind = QUERN_TAR; kind <= QUERN_ZIP; kind++) {
            if (kind == QUERN_TAR && counts[i] == 65535)
                continue; /* of no meaning there */
            write_frame((quern_archive)kind, QUERN_NOT_COMPRESSED, summaries, counts[i]);
            check_entries(summaries, counts[i]);
        }
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        members_have_any_size,
        there_may_be_any_number_of_members_or_none,
    };
    return kit_run_tests("output_archive", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
