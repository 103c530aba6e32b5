/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/io/test_packer.c: what the packer gives out, read by libarchive; ended and given up, with and without content. */
#include "runtime/io/packer.h"
#include "tests/kit.h"

#include <archive.h>
#include <archive_entry.h>

#define OUT_BYTES     ((size_t)4 << 20)
#define CONTENT_BYTES ((size_t)1 << 20)

typedef struct sink {
    uint8_t *data;
    size_t bytes;
    bool fails;
} sink;

static sink out;
static uint8_t *content;
static qn_error error;

static void set_up(void)
{
    uint64_t state = 5;
    out = (sink){.data = malloc(OUT_BYTES)};
    content = malloc(CONTENT_BYTES);
    for (size_t i = 0; i < CONTENT_BYTES; i++)
        content[i] = (uint8_t)kit_random_below(&state, 40);
    qn_error_clear(&error);
}

static void tear_down(void)
{
    free(out.data);
    free(content);
}

static quern_status take(void *user, const void *data, size_t bytes, qn_error *failure)
{
    sink *to = user;
    if (to->fails)
        return qn_error_set(failure, QUERN_ERROR_OUTPUT, 0, "the disk is full");
    ck_assert_uint_le(to->bytes + bytes, OUT_BYTES);
    memcpy(to->data + to->bytes, data, bytes);
    to->bytes += bytes;
    return QUERN_OK;
}

static qn_packer *begin(int compression, size_t bytes)
{
    qn_packer *packer;
    out.bytes = 0;
    kit_assert_ok(qn_packer_create(&packer, (quern_compression)compression, 0, take, &out, &error), &error);
    kit_assert_ok(qn_packer_write(packer, content, bytes, &error), &error);
    return packer;
}

/* What libarchive unpacks of what was given out is the content. */
static void check_unpacked(size_t bytes)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    uint8_t *got = malloc(bytes + 1);
    archive_read_support_filter_all(archive);
    archive_read_support_format_raw(archive);
    archive_read_support_format_empty(archive);
    ck_assert_msg(archive_read_open_memory(archive, out.data, out.bytes) == ARCHIVE_OK, "%s",
                  archive_error_string(archive));
    int result = archive_read_next_header(archive, &entry);
    ck_assert_msg(result == ARCHIVE_OK || (bytes == 0 && result == ARCHIVE_EOF), "%s", archive_error_string(archive));
    if (result == ARCHIVE_OK)
        ck_assert_int_eq(archive_read_data(archive, got, bytes + 1), (la_ssize_t)bytes);
    ck_assert(bytes == 0 || memcmp(got, content, bytes) == 0);
    archive_read_free(archive);
    free(got);
}

static const size_t sizes[] = {0, 1, 5000, CONTENT_BYTES};

START_TEST(what_is_ended_is_a_whole_file)
{
    for (int compression = QUERN_GZIP; compression <= QUERN_LZ4; compression++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            qn_packer *packer = begin(compression, sizes[i]);
            kit_assert_ok(qn_packer_end(packer, &error), &error);
            size_t bytes = out.bytes;
            ck_assert_uint_gt(bytes, 0);
            qn_packer_destroy(packer);
            ck_assert_uint_eq(out.bytes, bytes);
            check_unpacked(sizes[i]);
        }
}
END_TEST

START_TEST(what_is_given_up_gives_out_nothing_more)
{
    for (int compression = QUERN_GZIP; compression <= QUERN_LZ4; compression++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            qn_packer *packer = begin(compression, sizes[i]);
            size_t bytes = out.bytes;
            qn_packer_destroy(packer);
            ck_assert_uint_eq(out.bytes, bytes);
        }
}
END_TEST

START_TEST(a_failure_to_take_it_is_told_in_its_own_words)
{
    for (int compression = QUERN_GZIP; compression <= QUERN_LZ4; compression++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            qn_packer *packer = begin(compression, sizes[i]);
            out.fails = true;
            ck_assert_int_eq(qn_packer_end(packer, &error), QUERN_ERROR_OUTPUT);
            ck_assert_str_eq(error.text, "the disk is full");
            qn_error_clear(&error);
            qn_packer_destroy(packer);
            out.fails = false;
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_is_ended_is_a_whole_file,
        what_is_given_up_gives_out_nothing_more,
        a_failure_to_take_it_is_told_in_its_own_words,
    };
    return kit_run_tests("packer", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
