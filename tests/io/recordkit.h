/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/io/recordkit.h: contents that know their records, and tasks over them, wherever they are cut.
 *
 * A test puts a content together and says with each record what it must be given as. Every task's records, one behind the other, have
 * to be these; a block that is begun again at its place has to be the same.
 */
#ifndef TESTS_IO_RECORDKIT_H
#define TESTS_IO_RECORDKIT_H

#include "runtime/io/source.h"
#include "tests/kit.h"

#define RECORD_BYTES_MAX ((uint64_t)1 << 30)

typedef struct byte_buffer {
    char *data;
    size_t bytes, capacity;
} byte_buffer;

typedef struct expected_record {
    size_t key, key_bytes, value, value_bytes; /* in texts */
} expected_record;

typedef struct model {
    byte_buffer content, texts;
    expected_record *records;
    size_t count, capacity;
} model;

static kit_directory directory;
static qn_error error;
static qn_source source, worker, resumed;
static model made;
static const char *path;
static bool count_quotes; /* tasks are told whether they begin within quotes */

static inline void put(byte_buffer *to, const void *data, size_t count)
{
    if (to->bytes + count > to->capacity) {
        to->capacity = 2 * (to->bytes + count);
        to->data = realloc(to->data, to->capacity);
        ck_assert_ptr_nonnull(to->data);
    }
    if (count > 0)
        memcpy(to->data + to->bytes, data, count);
    to->bytes += count;
}

static inline void put_text(const char *text)
{
    put(&made.content, text, strlen(text));
}

static inline void expect(const void *key, size_t key_bytes, const void *value, size_t value_bytes)
{
    if (made.count == made.capacity) {
        made.capacity = made.capacity ? 2 * made.capacity : 256;
        made.records = realloc(made.records, made.capacity * sizeof *made.records);
        ck_assert_ptr_nonnull(made.records);
    }
    made.records[made.count] =
        (expected_record){made.texts.bytes, key_bytes, made.texts.bytes + key_bytes, value_bytes};
    put(&made.texts, key, key_bytes);
    put(&made.texts, value, value_bytes);
    made.count++;
}

static inline void expect_texts(const char *key, const char *value)
{
    expect(key, strlen(key), value, strlen(value));
}

static inline void begin_model(void)
{
    made.content.bytes = made.texts.bytes = made.count = 0;
}

static inline void open_kit(const qn_source_format *format, uint64_t record_bytes_max)
{
    qn_error_clear(&error);
    kit_assert_ok(qn_source_init(&source, format, record_bytes_max, &error), &error);
    kit_assert_ok(qn_source_init(&worker, format, record_bytes_max, &error), &error);
    kit_assert_ok(qn_source_init(&resumed, format, record_bytes_max, &error), &error);
}

static inline void close_kit(void)
{
    qn_source_fini(&source);
    qn_source_fini(&worker);
    qn_source_fini(&resumed);
}

static inline void write_content(void)
{
    kit_write_file(path, made.content.data, made.content.bytes);
}

static inline void make_packed_task(qn_buffer *task, uint64_t begin, uint64_t end, qn_packing packing)
{
    task->bytes = 0;
    qn_buffer_append_u32(task, 1);
    qn_buffer_append_u64(task, begin);
    qn_buffer_append_u64(task, end);
    qn_buffer_append_u64(task, made.content.bytes);
    qn_buffer_append_u64(task, 0);
    uint32_t quoted = 0;
    for (uint64_t i = 0; i < begin && count_quotes; i++)
        quoted ^= made.content.data[i] == '"';
    qn_buffer_append_u64(task, packing | (uint64_t)quoted << 31);
    qn_buffer_append_span(task, path, strlen(path) + 1);
}

static inline void make_task(qn_buffer *task, uint64_t begin, uint64_t end)
{
    make_packed_task(task, begin, end, QN_PACKING_NONE);
}

static inline bool is_record(const qn_batch *batch, size_t i, const expected_record *wanted)
{
    return batch->block.key_bytes[i] == wanted->key_bytes && batch->block.value_bytes[i] == wanted->value_bytes &&
           memcmp(batch->block.key[i], made.texts.data + wanted->key, wanted->key_bytes) == 0 &&
           memcmp(batch->block.value[i], made.texts.data + wanted->value, wanted->value_bytes) == 0;
}

static inline void check_resumption(const qn_source *of, const qn_buffer *task, size_t first, size_t count)
{
    qn_batch again = {0};
    qn_text_place place = *qn_source_block_place(of);
    kit_assert_ok(qn_source_open(&resumed, task->data, task->bytes, &place, &error), &error);
    kit_assert_ok(qn_source_next(&resumed, &again, &error), &error);
    bool same = again.block.count == count;
    for (size_t i = 0; i < count && same; i++)
        same = is_record(&again, i, &made.records[first + i]);
    if (!same)
        ck_abort_msg("a block of %zu records from record %zu that was begun again is another, of %zu", count, first,
                     again.block.count);
}

/* The records of [begin, end) are expected from *at on. */
static inline quern_status run_stretch(uint64_t begin, uint64_t end, size_t *at, bool resume)
{
    qn_batch batch;
    qn_buffer task = {0};
    make_task(&task, begin, end);
    quern_status status = qn_source_open(&source, task.data, task.bytes, NULL, &error);
    while (status == QUERN_OK) {
        status = qn_source_next(&source, &batch, &error);
        if (status != QUERN_OK || batch.block.count == 0)
            break;
        ck_assert_uint_le(batch.block.count, QN_BATCH_COUNT_MAX);
        for (size_t i = 0; i < batch.block.count; i++)
            if (*at + i >= made.count || !is_record(&batch, i, &made.records[*at + i]))
                ck_abort_msg("record %zu, in the stretch [%llu, %llu) of %zu bytes, is another: %.*s, %.*s", *at + i,
                             (unsigned long long)begin, (unsigned long long)end, made.content.bytes,
                             (int)batch.block.key_bytes[i], (const char *)batch.block.key[i],
                             (int)batch.block.value_bytes[i] % 200, (const char *)batch.block.value[i]);
        if (resume)
            check_resumption(&source, &task, *at, batch.block.count);
        *at += batch.block.count;
    }
    qn_buffer_fini(&task);
    return status;
}

/* Stretches of so many bytes, the first one shorter by `less`. */
static inline void check_stretches(uint64_t stretch, uint64_t less, bool resume)
{
    size_t at = 0;
    for (uint64_t begin = 0, end = stretch - less; begin < made.content.bytes; begin = end, end += stretch) {
        end = end < made.content.bytes ? end : made.content.bytes;
        kit_assert_ok(run_stretch(begin, end, &at, resume), &error);
    }
    ck_assert_msg(at == made.count, "%zu records of %zu, in stretches of %llu", at, made.count,
                  (unsigned long long)stretch);
}

/* The next piece of so many bytes of the content, as a task of its own for `worker`. False: there is none left, or *status says why. */
static inline bool open_piece(size_t bytes_min, qn_buffer *lent, quern_status *status)
{
    qn_piece piece = {0};
    *status = qn_source_next_piece(&source, bytes_min, &piece, &error);
    if (*status != QUERN_OK || piece.bytes == 0)
        return false;
    qn_text_place place = qn_piece_place(&piece);
    lent->bytes = 0;
    qn_piece_encode(&piece, lent);
    *status = qn_source_open(&worker, lent->data, lent->bytes, &place, &error);
    return *status == QUERN_OK;
}

/* The records of a content that one reader cuts into pieces and others read. */
static inline void check_pieces(size_t bytes_min)
{
    size_t at = 0;
    quern_status status;
    qn_buffer task = {0}, lent = {0};
    make_packed_task(&task, 0, made.content.bytes, QN_PACKING_STREAM);
    kit_assert_ok(qn_source_open(&source, task.data, task.bytes, NULL, &error), &error);
    while (open_piece(bytes_min, &lent, &status)) {
        qn_batch batch;
        while ((status = qn_source_next(&worker, &batch, &error)) == QUERN_OK && batch.block.count > 0) {
            ck_assert_uint_le(batch.block.count, QN_BATCH_COUNT_MAX);
            for (size_t i = 0; i < batch.block.count; i++)
                ck_assert_msg(at + i < made.count && is_record(&batch, i, &made.records[at + i]),
                              "record %zu of pieces of %zu is another", at + i, bytes_min);
            check_resumption(&worker, &lent, at, batch.block.count);
            at += batch.block.count;
        }
        kit_assert_ok(status, &error);
    }
    kit_assert_ok(status, &error);
    ck_assert_msg(at == made.count, "%zu records of %zu, in pieces of %zu", at, made.count, bytes_min);
    qn_buffer_fini(&task);
    qn_buffer_fini(&lent);
}

/* Cut in two at every byte, and in small pieces. */
static inline void check_every_cut(void)
{
    write_content();
    for (uint64_t cut = 1; cut < made.content.bytes; cut++) {
        size_t at = 0;
        kit_assert_ok(run_stretch(0, cut, &at, true), &error);
        kit_assert_ok(run_stretch(cut, made.content.bytes, &at, true), &error);
        ck_assert_msg(at == made.count, "%zu records of %zu, cut at %llu", at, made.count, (unsigned long long)cut);
    }
    for (uint64_t stretch = 1; stretch < 30; stretch++)
        check_stretches(stretch, stretch / 2, true);
    check_stretches(made.content.bytes, 0, true);
    for (size_t bytes_min = 1; bytes_min < 2 * made.content.bytes; bytes_min = bytes_min * 3 / 2 + 1)
        check_pieces(bytes_min);
}

/* One task fails, with these words. */
static inline void check_failure(uint64_t begin, uint64_t end, quern_status expected, const char *words)
{
    qn_batch batch = {0};
    qn_buffer task = {0};
    qn_error_clear(&error);
    make_task(&task, begin, end);
    quern_status status = qn_source_open(&source, task.data, task.bytes, NULL, &error);
    do
        status = status == QUERN_OK ? qn_source_next(&source, &batch, &error) : status;
    while (status == QUERN_OK && batch.block.count > 0);
    ck_assert_int_eq(status, expected);
    ck_assert_msg(strstr(error.text, words) != NULL, "%s: no %s", error.text, words);
    ck_assert_msg(strstr(error.text, path) != NULL, "%s: no %s", error.text, path);
    qn_error_clear(&error);
    qn_buffer_fini(&task);
}

/* Appends what `from` reads to `to`. */
static inline quern_status read_all_into(byte_buffer *to, qn_source *from)
{
    qn_batch batch = {0};
    quern_status status = QUERN_OK;
    do {
        status = qn_source_next(from, &batch, &error);
        for (size_t i = 0; i < batch.block.count && status == QUERN_OK; i++) {
            put(to, batch.block.key[i], batch.block.key_bytes[i]);
            put(to, "", 1);
            put(to, batch.block.value[i], batch.block.value_bytes[i]);
            put(to, "", 1);
        }
    } while (status == QUERN_OK && batch.block.count > 0);
    return status;
}

/* Appends the records of a stretch to `to`. False: it failed. */
static inline bool read_into(byte_buffer *to, uint64_t begin, uint64_t end)
{
    qn_buffer task = {0};
    qn_error_clear(&error);
    make_task(&task, begin, end);
    quern_status status = qn_source_open(&source, task.data, task.bytes, NULL, &error);
    if (status == QUERN_OK)
        status = read_all_into(to, &source);
    qn_error_clear(&error);
    qn_buffer_fini(&task);
    return status == QUERN_OK;
}

/* The same of all of the content, in pieces. */
static inline bool read_pieces_into(byte_buffer *to, size_t bytes_min)
{
    quern_status status;
    qn_buffer task = {0}, lent = {0};
    qn_error_clear(&error);
    make_packed_task(&task, 0, made.content.bytes, QN_PACKING_STREAM);
    kit_assert_ok(qn_source_open(&source, task.data, task.bytes, NULL, &error), &error);
    while (open_piece(bytes_min, &lent, &status) && (status = read_all_into(to, &worker)) == QUERN_OK)
        ;
    qn_error_clear(&error);
    qn_buffer_fini(&task);
    qn_buffer_fini(&lent);
    return status == QUERN_OK;
}

/* Contents of such letters by lot: cut in two anywhere they are what they are as a whole, records or a failure. */
static inline void check_any_text(const char *letters, size_t bytes_max, uint64_t seed_count, uint64_t good_count_min)
{
    static byte_buffer whole, parts;
    uint64_t good_count = 0;
    for (uint64_t seed = 1; seed <= seed_count; seed++) {
        uint64_t state = seed;
        begin_model();
        for (size_t bytes = 1 + kit_random_below(&state, bytes_max); bytes > 0; bytes--)
            put(&made.content, letters + kit_random_below(&state, strlen(letters)), 1);
        write_content();
        whole.bytes = 0;
        bool good = read_into(&whole, 0, made.content.bytes);
        good_count += good && whole.bytes > 0;
        parts.bytes = 0;
        bool is_tried = seed % 4 == 0, is_same = !is_tried || read_pieces_into(&parts, 1 + seed % 20) == good;
        if (is_tried && is_same && good && whole.bytes > 0)
            is_same = parts.bytes == whole.bytes && memcmp(parts.data, whole.data, whole.bytes) == 0;
        if (!is_same)
            ck_abort_msg("seed %llu, in pieces: %.*s", (unsigned long long)seed, (int)made.content.bytes,
                         made.content.data);
        for (uint64_t cut = 1; cut < made.content.bytes; cut++) {
            parts.bytes = 0;
            bool same = (read_into(&parts, 0, cut) && read_into(&parts, cut, made.content.bytes)) == good;
            if (same && good && whole.bytes + parts.bytes > 0)
                same = parts.bytes == whole.bytes && memcmp(parts.data, whole.data, whole.bytes) == 0;
            if (!same)
                ck_abort_msg("seed %llu, cut at %llu: %.*s", (unsigned long long)seed, (unsigned long long)cut,
                             (int)made.content.bytes, made.content.data);
        }
    }
    ck_assert_uint_ge(good_count, good_count_min);
}

static inline void set_up(void)
{
    static char text[300];
    kit_make_directory(&directory);
    snprintf(text, sizeof text, "%s", kit_path(&directory, "input"));
    path = text;
}

static inline void tear_down(void)
{
    kit_remove_directory(&directory);
}

#endif
