/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A journal of any bytes, with a key or without: refused, or its whole lines are read, and one more can be appended. Nobody but who has the key makes
 * a line that counts. First byte: 1 with a key; 2 behind a line that is right.
 */
#include <fcntl.h>

#include "runtime/engine/journal.h"
#include "tests/fuzz/fuzz.h"

static qn_cipher *cipher;

/* How many lines it has and, if it was not refused, that it has one more in the end. */
static size_t append_one(const char *path, const qn_cipher *with, bool *is_refused_out)
{
    qn_journal journal;
    qn_error error = {0};
    json_t *lines = NULL;
    quern_status status = qn_journal_open(&journal, path, with, &lines, &error);
    *is_refused_out = status != QUERN_OK;
    if (*is_refused_out) {
        FUZZ_CHECK(status == QUERN_ERROR_CHECKPOINT, "status %d", status);
        return 0;
    }
    size_t count = json_array_size(lines);
    json_decref(lines);
    status = qn_journal_append(&journal, json_pack("{s:i}", "number", 1), &error);
    FUZZ_CHECK(status == QUERN_OK, "%s", error.text);
    qn_journal_close(&journal);
    return count;
}

static void put(const char *path, const fuzz_input *input)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, input->data, input->bytes) == (ssize_t)input->bytes, "cannot write %s", path);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input input = {data, bytes};
    uint8_t kind = fuzz_take(&input);
    char path[100];
    bool is_refused = false;
    if (!cipher)
        FUZZ_CHECK(qn_cipher_create((const uint8_t[QN_KEY_FILE_BYTES]){1}, &cipher, NULL) == QUERN_OK, "no cipher");
    const qn_cipher *with = kind & 1 ? cipher : NULL;
    snprintf(path, sizeof path, "%s/fuzz-journal-%d", fuzz_directory(), (int)getpid());
    unlink(path);
    size_t before = kind & 2 ? append_one(path, with, &is_refused) + 1 : 0;
    put(path, &input);
    size_t count = append_one(path, with, &is_refused);
    FUZZ_CHECK(is_refused || count >= before, "%zu lines", count);
    FUZZ_CHECK(!with || count == before, "%zu lines without the key", count);
    FUZZ_CHECK(is_refused || append_one(path, with, &is_refused) == count + 1, "the line behind %zu is lost", count);
    unlink(path);
    return 0;
}
