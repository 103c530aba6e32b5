/* SPDX-License-Identifier: BSD-3-Clause */
/* A run on disk, encrypted or not, of which bytes were changed: refused, or read as it was written. First byte: the kind; then place (2) and byte. */
#include <fcntl.h>

#include "runtime/data/spill.h"
#include "tests/fuzz/fuzz.h"

#define BLOCK_BYTES ((size_t)4 << 10)
#define ROW_COUNT   300
#define TEXT_BYTES  60

static char texts[ROW_COUNT][TEXT_BYTES + QN_SLACK_BYTES];
static qn_cipher *cipher;
static qn_key keys[ROW_COUNT]; /* in their order; of all lengths */

static int compare(const void *a, const void *b)
{
    return qn_key_compare(a, b);
}

static void make_keys(void)
{
    for (uint32_t row = 0; row < ROW_COUNT; row++) {
        uint32_t bytes = row % TEXT_BYTES;
        memset(texts[row], 'x', bytes);
        memcpy(texts[row], &row, bytes < sizeof row ? bytes : sizeof row);
        keys[row] = qn_key_of(texts[row], bytes);
    }
    qsort(keys, ROW_COUNT, sizeof *keys, compare);
}

static uint64_t value_of(uint64_t row)
{
    return row * 7919;
}

static void write_run(qn_spill *spill, qn_run *run)
{
    qn_run_writer writer;
    qn_error error = {0};
    FUZZ_CHECK(qn_run_writer_open(&writer, spill, &error) == QUERN_OK, "%s", error.text);
    for (uint64_t row = 0; row < ROW_COUNT; row++) {
        uint64_t value = value_of(row);
        FUZZ_CHECK(qn_run_writer_put(&writer, &keys[row], &value, &error) == QUERN_OK, "%s", error.text);
    }
    FUZZ_CHECK(qn_run_writer_close(&writer, run, &error) == QUERN_OK, "%s", error.text);
}

/* Through the page cache, which the file's own descriptor may pass by. */
static void change(const qn_spill *spill, const qn_run *run, fuzz_input *changes)
{
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", spill->fd);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    FUZZ_CHECK(fd >= 0, "cannot open %s", path);
    while (changes->bytes >= 3) {
        uint64_t at = (uint64_t)fuzz_take(changes) << 8;
        at = (at | fuzz_take(changes)) % run->bytes;
        uint8_t byte = fuzz_take(changes);
        FUZZ_CHECK(pwrite(fd, &byte, 1, (off_t)(run->offset + at)) == 1, "cannot write");
    }
    close(fd);
}

static void read_run(qn_spill *spill, const qn_run *run)
{
    qn_run_reader reader;
    qn_error error = {0};
    bool more = true;
    uint64_t row = 0;
    FUZZ_CHECK(qn_run_reader_open(&reader, spill, run, &error) == QUERN_OK, "%s", error.text);
    quern_status status = qn_run_reader_next(&reader, &more, &error);
    for (; status == QUERN_OK && more; row++) {
        FUZZ_CHECK(row < ROW_COUNT && *reader.value == value_of(row) && qn_key_compare(&reader.key, &keys[row]) == 0,
                   "row %llu is another", (unsigned long long)row);
        status = qn_run_reader_next(&reader, &more, &error);
    }
    FUZZ_CHECK(status == QUERN_ERROR_CORRUPT || (status == QUERN_OK && row == ROW_COUNT), "status %d behind row %llu",
               status, (unsigned long long)row);
    qn_run_reader_close(&reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input input = {data, bytes};
    uint8_t kind = fuzz_take(&input);
    qn_spill spill;
    qn_run run;
    if (keys[0].tag == 0)
        make_keys();
    if (!cipher)
        FUZZ_CHECK(qn_cipher_create((const uint8_t[QN_KEY_FILE_BYTES]){1}, &cipher, NULL) == QUERN_OK, "no cipher");
    qn_spill_init(&spill, (qn_scratch){fuzz_directory(), kind / 3 % 2 ? cipher : NULL}, 1, BLOCK_BYTES);
    spill.compressor.compression = (qn_compression)(kind % 3);
    write_run(&spill, &run);
    change(&spill, &run, &input);
    read_run(&spill, &run);
    qn_spill_fini(&spill);
    return 0;
}
