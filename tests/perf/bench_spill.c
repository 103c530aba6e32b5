/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What spilling costs, on this disk: bench_spill [rows|text|noise] [TEXT] [MIB] [DIRECTORY].
 *
 * The data are rows of the words of a text with their counts, in order; the text's lines as packed records; or packed records of 100
 * random bytes. First the codecs alone, on blocks of the size that is spilled. Then the whole: MIB of it written as 8
 * runs and read back block by block in turn, as a merge does, in 256 KiB a block and 64 of them in all. The rates are of what it
 * was before it was compressed, each way and both ways one after the other.
 */
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "runtime/base/clock.h"
#include "runtime/base/pages.h"
#include "runtime/data/spill.h"

#define MIB               ((size_t)1 << 20)
#define TEXT_BYTES_MAX    (128 * MIB)
#define BLOCK_BYTES       (256 * (size_t)1024)
#define RUN_COUNT         8
#define READER_BYTES      (48 * BLOCK_BYTES / RUN_COUNT)
#define NOISE_RECORD      100
#define CODEC_BYTES_MAX   (64 * MIB)
#define CODEC_BLOCK_BYTES (124 * (size_t)1024)

typedef struct sample {
    uint8_t *data;
    size_t bytes;
    size_t *ends; /* of the records */
    size_t count;
    uint32_t value_words;
} sample;

static void fail(const char *what)
{
    fprintf(stderr, "bench_spill: %s\n", what);
    exit(1);
}

static void *take(size_t bytes)
{
    void *memory = qn_pages_reserve(bytes, true);
    if (!memory)
        fail("no memory");
    return memory;
}

static char *read_text(const char *path, size_t *bytes_out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail("cannot read the text");
    char *text = take(TEXT_BYTES_MAX + 4096);
    *bytes_out = fread(text, 1, TEXT_BYTES_MAX, file);
    fclose(file);
    return text;
}

static void end_record(sample *into, size_t bytes)
{
    into->bytes += bytes;
    into->ends[into->count++] = into->bytes;
}

static sample make_lines(const char *path)
{
    size_t text_bytes = 0;
    char *text = read_text(path, &text_bytes);
    sample lines = {take(6 * TEXT_BYTES_MAX), 0, take(TEXT_BYTES_MAX * sizeof(size_t)), 0, QN_BLOCK_PACKED};
    for (size_t at = 0; at < text_bytes;) {
        char *end = memchr(text + at, '\n', text_bytes - at);
        uint32_t length = (uint32_t)(end ? (size_t)(end - text) - at : text_bytes - at);
        memcpy(lines.data + lines.bytes, &length, sizeof length);
        memcpy(lines.data + lines.bytes + sizeof length, text + at, length);
        end_record(&lines, sizeof length + length);
        at += length + 1;
    }
    return lines;
}

static sample make_noise(void)
{
    sample noise = {take(TEXT_BYTES_MAX), 0, take(TEXT_BYTES_MAX), 0, QN_BLOCK_PACKED};
    uint64_t state = 1;
    for (size_t at = 0; at < TEXT_BYTES_MAX / 8; at++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t word = state ^ state >> 29;
        memcpy(noise.data + 8 * at, &word, sizeof word);
    }
    while (noise.bytes + NOISE_RECORD <= TEXT_BYTES_MAX)
        end_record(&noise, NOISE_RECORD);
    return noise;
}

static int compare_keys(const void *a, const void *b)
{
    return qn_key_compare(a, b);
}

static sample make_rows(const char *path)
{
    size_t text_bytes = 0, word_count = 0;
    char *text = read_text(path, &text_bytes);
    qn_key *keys = take((text_bytes / 2 + 1) * sizeof *keys);
    for (size_t at = 0, end = 0; at < text_bytes; at = end + 1) {
        for (end = at; end < text_bytes && (uint8_t)text[end] > ' ';)
            end++;
        if (end > at)
            keys[word_count++] = qn_key_of((uint8_t *)text + at, (uint32_t)(end - at));
    }
    qsort(keys, word_count, sizeof *keys, compare_keys);
    sample rows = {take(8 * TEXT_BYTES_MAX), 0, take(word_count * sizeof(size_t)), 0, 1};
    for (size_t i = 0; i < word_count;) {
        size_t first = i;
        while (i < word_count && qn_key_compare(&keys[first], &keys[i]) == 0)
            i++;
        uint64_t count = i - first;
        qn_row_encode(&keys[first], &count, 1, (uint64_t *)(rows.data + rows.bytes));
        end_record(&rows, qn_row_bytes(&keys[first], 1));
    }
    return rows;
}

static double mb_per_s(uint64_t bytes, uint64_t ns)
{
    return (double)bytes * 1e3 / (double)(ns + 1);
}

static size_t pack(int level, const void *from, size_t bytes, void *to, size_t bytes_max)
{
#ifdef HAVE_ZSTD
    if (level != 0)
        return ZSTD_compress(to, bytes_max, from, bytes, level);
#endif
    (void)level;
    return (size_t)LZ4_compress_default(from, to, (int)bytes, (int)bytes_max);
}

static void unpack(int level, const void *from, size_t bytes, void *to, size_t bytes_max)
{
#ifdef HAVE_ZSTD
    if (level != 0) {
        ZSTD_decompress(to, bytes_max, from, bytes);
        return;
    }
#endif
    (void)level;
    LZ4_decompress_safe(from, to, (int)bytes, (int)bytes_max);
}

static void bench_codec(const sample *data, int level)
{
    uint8_t *packed = take(2 * CODEC_BLOCK_BYTES), *back = take(CODEC_BLOCK_BYTES);
    uint64_t pack_ns = 0, unpack_ns = 0;
    size_t bytes = 0, packed_bytes = 0;
    for (; bytes + CODEC_BLOCK_BYTES <= data->bytes && bytes < CODEC_BYTES_MAX; bytes += CODEC_BLOCK_BYTES) {
        uint64_t begin_ns = qn_clock_ns();
        size_t got = pack(level, data->data + bytes, CODEC_BLOCK_BYTES, packed, 2 * CODEC_BLOCK_BYTES);
        uint64_t middle_ns = qn_clock_ns();
        unpack(level, packed, got, back, CODEC_BLOCK_BYTES);
        unpack_ns += qn_clock_ns() - middle_ns;
        pack_ns += middle_ns - begin_ns;
        packed_bytes += got;
    }
    printf("  codec %s %2d: ratio %.2f, %5.0f MB/s out, %5.0f MB/s in\n", level == 0 ? "lz4 " : "zstd", level,
           (double)bytes / (double)packed_bytes, mb_per_s(bytes, pack_ns), mb_per_s(bytes, unpack_ns));
}

static void must(quern_status status, const qn_error *error)
{
    if (status != QUERN_OK)
        fail(error->text);
}

static void put(qn_run_writer *writer, const sample *data, size_t i, qn_error *error)
{
    size_t begin = i > 0 ? data->ends[i - 1] : 0;
    if (data->value_words == QN_BLOCK_PACKED) {
        must(qn_run_writer_put_packed(writer, data->data + begin, data->ends[i] - begin, error), error);
        return;
    }
    qn_key key = {0};
    const uint64_t *value = NULL;
    if (qn_row_decode((const uint64_t *)(data->data + begin), data->ends[i] - begin, data->value_words, &key, &value) ==
        0)
        fail("a row is not one");
    must(qn_run_writer_put(writer, &key, value, error), error);
}

static void write_runs(qn_spill *spill, const sample *data, uint64_t bytes, qn_run *runs, qn_error *error)
{
    for (size_t n = 0; n < RUN_COUNT; n++) {
        qn_run_writer writer;
        must(qn_run_writer_open(&writer, spill, error), error);
        for (uint64_t left = bytes / RUN_COUNT, i = 0; left > NOISE_RECORD * RUN_COUNT; i = (i + 1) % data->count) {
            uint64_t record_bytes = data->ends[i] - (i > 0 ? data->ends[i - 1] : 0);
            put(&writer, data, i, error);
            left -= left < record_bytes ? left : record_bytes;
        }
        must(qn_run_writer_close(&writer, &runs[n], error), error);
    }
}

static void read_runs(qn_spill *spill, const qn_run *runs, qn_error *error)
{
    static qn_run_reader readers[RUN_COUNT];
    uint8_t *memory = take(READER_BYTES * RUN_COUNT);
    uint64_t got = 1, sum = 0;
    for (size_t n = 0; n < RUN_COUNT; n++)
        must(qn_run_reader_open_in(&readers[n], spill, &runs[n], memory + n * READER_BYTES, READER_BYTES, error),
             error);
    while (got > 0) {
        got = 0;
        for (size_t n = 0; n < RUN_COUNT; n++) {
            const uint8_t *records = NULL;
            uint64_t bytes = 0;
            must(qn_run_reader_next_block(&readers[n], &records, &bytes, error), error);
            sum += bytes > 0 ? records[bytes / 2] : 0;
            got += bytes;
        }
    }
    for (size_t n = 0; n < RUN_COUNT; n++)
        qn_run_reader_close(&readers[n]);
    qn_pages_unreserve(memory, READER_BYTES * RUN_COUNT);
    if (sum == UINT64_MAX)
        puts("");
}

static void bench_whole(const sample *data, const char *name, qn_compression compression, uint64_t cached_bytes_max,
                        uint64_t bytes, const char *directory)
{
    qn_spill spill;
    qn_run runs[RUN_COUNT];
    qn_error error = {0};
    qn_spill_init(&spill, (qn_scratch){.directory = directory}, data->value_words, BLOCK_BYTES);
    spill.compressor.compression = compression;
    spill.cached_bytes_max = cached_bytes_max;
    uint64_t begin_ns = qn_clock_ns();
    write_runs(&spill, data, bytes, runs, &error);
    uint64_t middle_ns = qn_clock_ns();
    read_runs(&spill, runs, &error);
    uint64_t end_ns = qn_clock_ns();
    printf("  whole %s: ratio %.2f, %5.0f MB/s out, %5.0f MB/s in, %5.0f MB/s both\n", name,
           (double)spill.raw_bytes / (double)spill.written_bytes, mb_per_s(spill.raw_bytes, middle_ns - begin_ns),
           mb_per_s(spill.raw_bytes, end_ns - middle_ns), mb_per_s(spill.raw_bytes, end_ns - begin_ns));
    fflush(stdout);
    qn_spill_fini(&spill);
}

int main(int argument_count, char **arguments)
{
    const char *kind = argument_count > 1 ? arguments[1] : "noise";
    const char *path = argument_count > 2 ? arguments[2] : "/dev/null";
    uint64_t bytes = (argument_count > 3 ? strtoull(arguments[3], NULL, 10) : 1024) * MIB;
    const char *directory = argument_count > 4 ? arguments[4] : "/var/tmp";
    sample data = kind[0] == 'r' ? make_rows(path) : kind[0] == 't' ? make_lines(path) : make_noise();
    static const int levels[] = {0, 1, -1, -5};
    if (data.count == 0)
        fail("no records");
    printf("%s: %zu records, %zu bytes each\n", kind, data.count, data.bytes / data.count);
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        bench_codec(&data, levels[i]);
    bench_whole(&data, "none, direct    ", QN_COMPRESS_NONE, 0, bytes, directory);
    bench_whole(&data, "none, cached    ", QN_COMPRESS_NONE, UINT64_MAX, bytes, directory);
    bench_whole(&data, "lz4 all, direct ", QN_COMPRESS_ALL, 0, bytes, directory);
    bench_whole(&data, "as it is in jobs", QN_COMPRESS_WHERE_IT_PAYS, QN_SPILL_CACHED_BYTES_MAX, bytes, directory);
    return 0;
}
