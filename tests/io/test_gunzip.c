/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/test_gunzip.c: gzip by each decoder there is: what zlib packs, whole, cut off, with flipped bytes, and with things behind it. All
 * decoders say the same of the same file.
 */
#include "runtime/io/gunzip.h"

#include <unistd.h>
#include <zlib.h>

#include "runtime/io/inflate.h"
#include "tests/kit.h"

#define MEMBER_BYTES_MAX ((size_t)1 << 20)

typedef struct bytes {
    uint8_t *data;
    size_t count;
} bytes;

static kit_directory directory;
static uint64_t state;

static void set_up(void)
{
    kit_make_directory(&directory);
    state = 8;
}

static void tear_down(void)
{
    kit_remove_directory(&directory);
}

/* Words, noise, or one byte over and over. */
static bytes make_text(size_t count, int kind)
{
    bytes text = {kit_take(count + 1), count};
    for (size_t i = 0; i < count; i++)
        text.data[i] = kind == 0   ? (uint8_t)("etaoin shrdlu\n"[kit_random_below(&state, 14)])
                       : kind == 1 ? (uint8_t)kit_random_below(&state, 256)
                                   : 'x';
    return text;
}

static void append(bytes *to, const bytes *more)
{
    to->data = realloc(to->data, to->count + more->count + 1);
    ck_assert_ptr_nonnull(to->data);
    memcpy(to->data + to->count, more->data, more->count);
    to->count += more->count;
}

/* One member. rich: with all fields that a header can have. */
static bytes pack(const bytes *text, int level, int strategy, bool rich)
{
    z_stream stream = {0};
    gz_header header = {
        .name = (Bytef *)"name", .comment = (Bytef *)"comment", .extra = (Bytef *)"extra", .extra_len = 5, .hcrc = 1};
    ck_assert_int_eq(deflateInit2(&stream, level, Z_DEFLATED, MAX_WBITS + 16, 9, strategy), Z_OK);
    if (rich)
        ck_assert_int_eq(deflateSetHeader(&stream, &header), Z_OK);
    bytes packed = {kit_take(text->count + text->count / 100 + 1000), 0};
    stream.next_in = text->data;
    stream.avail_in = (uInt)text->count;
    stream.next_out = packed.data;
    stream.avail_out = (uInt)(text->count + text->count / 100 + 1000);
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed.count = stream.total_out;
    deflateEnd(&stream);
    return packed;
}

/* All that it gives; false: it fails, for a reason. */
static bool unpack(const qn_inflater *inflater, const bytes *packed, bytes *got)
{
    const char *path = kit_path(&directory, "packed"), *why = NULL;
    const void *some;
    ptrdiff_t count;
    kit_write_file(path, packed->data, packed->count);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    qn_gunzip *gunzip = qn_gunzip_create_with(fileno(file), inflater);
    ck_assert_ptr_nonnull(gunzip);
    *got = (bytes){kit_take(1), 0};
    while ((count = qn_gunzip_next(gunzip, &some, &why)) > 0)
        append(got, &(bytes){(uint8_t *)some, (size_t)count});
    ck_assert(count == 0 || (why && *why));
    qn_gunzip_destroy(gunzip);
    fclose(file);
    return count == 0;
}

static void check_unpacks(const bytes *packed, const bytes *text)
{
    for (const qn_inflater *const *one = qn_inflaters; *one; one++) {
        bytes got;
        ck_assert_msg(unpack(*one, packed, &got), "%s", (*one)->name);
        ck_assert_msg(got.count == text->count && memcmp(got.data, text->data, got.count) == 0, "%s", (*one)->name);
        free(got.data);
    }
}

START_TEST(members_of_all_sorts_one_behind_the_other)
{
    static const size_t sizes[] = {0, 1, 262143, 262144, 262145, 524288, 700000};
    for (uint64_t round = 0; round < kit_rounds(12); round++) {
        bytes text = {kit_take(1), 0}, packed = {kit_take(1), 0};
        for (int member = 0; member < 6; member++) {
            size_t count = kit_random_below(&state, 2) ? sizes[kit_random_below(&state, 7)]
                                                       : kit_random_below(&state, MEMBER_BYTES_MAX);
            bytes one = make_text(count, (int)kit_random_below(&state, 3));
            bytes small = pack(&one, (int)kit_random_below(&state, 10), (int)kit_random_below(&state, 5),
                               kit_random_below(&state, 2));
            append(&text, &one);
            append(&packed, &small);
            free(one.data);
            free(small.data);
        }
        bytes padding = {(uint8_t[1000]){0}, kit_random_below(&state, 2) ? 1000 : 0};
        append(&packed, &padding);
        check_unpacks(&packed, &text);
        free(text.data);
        free(packed.data);
    }
}
END_TEST

START_TEST(what_is_cut_off_is_an_error_wherever_that_is)
{
    bytes first = make_text(1000, 0), second = make_text(200, 1);
    bytes packed = pack(&first, 6, Z_DEFAULT_STRATEGY, true), more = pack(&second, 1, Z_DEFAULT_STRATEGY, false);
    size_t border = packed.count;
    append(&packed, &more);
    for (size_t count = 1; count < packed.count; count++) {
        bytes cut = {packed.data, count}, got;
        for (const qn_inflater *const *one = qn_inflaters; *one; one++) {
            ck_assert_msg(unpack(*one, &cut, &got) == (count == border), "%s at %zu", (*one)->name, count);
            free(got.data);
        }
    }
    free(first.data);
    free(second.data);
    free(packed.data);
    free(more.data);
}
END_TEST

START_TEST(a_flipped_bit_is_an_error_or_without_a_meaning)
{
    bytes text = make_text(500, 0);
    bytes packed = pack(&text, 6, Z_DEFAULT_STRATEGY, false);
    size_t without_meaning = 0;
    for (size_t bit = 0; bit < 8 * packed.count; bit++) {
        bool before = false;
        packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        for (const qn_inflater *const *one = qn_inflaters; *one; one++) {
            bytes got;
            bool passes = unpack(*one, &packed, &got);
            ck_assert_msg(one == qn_inflaters || passes == before, "%s: bit %zu", (*one)->name, bit);
            ck_assert(!passes || (got.count == text.count && memcmp(got.data, text.data, got.count) == 0));
            free(got.data);
            before = passes;
        }
        without_meaning += before;
        packed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    ck_assert_uint_le(without_meaning, 8 * 10); /* of the header: time, system, level */
    free(text.data);
    free(packed.data);
}
END_TEST

START_TEST(what_is_behind_the_end_is_an_error_if_it_is_not_zeros)
{
    bytes text = make_text(100, 0), packed = pack(&text, 6, Z_DEFAULT_STRATEGY, false), got;
    bytes behind = {(uint8_t *)"\0\0signature", 11};
    append(&packed, &behind);
    for (const qn_inflater *const *one = qn_inflaters; *one; one++) {
        ck_assert(!unpack(*one, &packed, &got));
        free(got.data);
    }
    free(text.data);
    free(packed.data);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        members_of_all_sorts_one_behind_the_other,
        what_is_cut_off_is_an_error_wherever_that_is,
        a_flipped_bit_is_an_error_or_without_a_meaning,
        what_is_behind_the_end_is_an_error_if_it_is_not_zeros,
    };
    return kit_run_tests("gunzip", tests, sizeof tests / sizeof *tests, set_up, tear_down);
}
