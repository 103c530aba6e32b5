/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `quern cat` of any files: it ends with one of its statuses. First byte: 0 a file of any bytes; 1 a journal whose line has its checksum, whatever it
 * says; 2 a saved file of which bytes were changed, place (2) and byte, with the journal and without.
 */
#include <fcntl.h>
#include <jansson.h>

#include "runtime/engine/journal.h"
#include "runtime/engine/saved_lines.h"
#include "tests/fuzz/fuzz.h"
#include "tools/quern/commands.h"

#define BLOCK_BYTES ((size_t)4 << 10)
#define ROW_COUNT   400
#define PATH_BYTES  100

static char directory[PATH_BYTES - 20], journal_path[PATH_BYTES], saved_path[PATH_BYTES], file_path[PATH_BYTES];
static qn_saved_file right = {.name = "saved", .saved = {.size = 1, .value_words = 1}};
static uint8_t *saved_bytes;
static size_t saved_count;

/* What the command says is not looked at. */
int quern_command_fail(int number, const char *format, ...)
{
    (void)number;
    (void)format;
    return 1;
}

long quern_command_read_number(const char *text, long least, long most)
{
    long number = atol(text);
    return number >= least && number <= most ? number : -1;
}

static void put(const char *path, const void *data, size_t bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(fd >= 0 && write(fd, data, bytes) == (ssize_t)bytes, "cannot write %s", path);
    close(fd);
}

static void remove_all(void)
{
    unlink(journal_path);
    unlink(saved_path);
    unlink(file_path);
    rmdir(directory);
    free(saved_bytes);
}

static void keep_saved(void)
{
    int fd = open(saved_path, O_RDONLY | O_CLOEXEC);
    saved_count = (size_t)lseek(fd, 0, SEEK_END);
    saved_bytes = malloc(saved_count);
    FUZZ_CHECK(saved_bytes && pread(fd, saved_bytes, saved_count, 0) == (ssize_t)saved_count, "cannot read it again");
    close(fd);
}

static void write_saved(void)
{
    qn_spill spill;
    qn_run_writer writer;
    qn_error error = {0};
    qn_saved_open(&spill, (qn_scratch){saved_path, NULL}, O_RDWR | O_CREAT | O_EXCL, 1, BLOCK_BYTES, &error);
    spill.compressor.compression = QN_COMPRESS_ALL;
    qn_run_writer_open(&writer, &spill, &error);
    for (uint64_t row = 0; row < ROW_COUNT && error.status == QUERN_OK; row++) {
        qn_key key = qn_key_of_tag((row << 8) | 2); /* of a byte or two: what it says is of no interest */
        qn_run_writer_put(&writer, &key, &row, &error);
    }
    qn_run_writer_close(&writer, &right.saved.run, &error);
    FUZZ_CHECK(error.status == QUERN_OK, "%s", error.text);
    right.saved.record_count = ROW_COUNT;
    qn_spill_fini(&spill);
    keep_saved();
}

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "%s/fuzz-files-XXXXXX", fuzz_directory());
    FUZZ_CHECK(mkdtemp(directory), "no directory");
    snprintf(journal_path, sizeof journal_path, "%s/journal", directory);
    snprintf(saved_path, sizeof saved_path, "%s/saved", directory);
    snprintf(file_path, sizeof file_path, "%s/file", directory);
    atexit(remove_all);
    write_saved();
}

/* One that says this, whatever it is. */
static void write_journal(json_t *line)
{
    qn_journal journal;
    qn_error error = {0};
    json_t *lines = NULL;
    unlink(journal_path);
    FUZZ_CHECK(qn_journal_open(&journal, journal_path, NULL, &lines, &error) == QUERN_OK, "%s", error.text);
    FUZZ_CHECK(qn_journal_append(&journal, line, &error) == QUERN_OK, "%s", error.text);
    json_decref(lines);
    qn_journal_close(&journal);
}

static int show(char *path)
{
    char name[] = "cat", all[] = "--all";
    char *argv[] = {name, all, path, NULL};
    int out = dup(STDOUT_FILENO), nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    FUZZ_CHECK(out >= 0 && nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0, "no way out");
    int status = quern_command_cat.run(3, argv);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    close(nowhere);
    FUZZ_CHECK(status == 0 || status == 1 || status == 3, "status %d", status);
    return status;
}

static void show_changed(fuzz_input *changes)
{
    const qn_run *run = &right.saved.run; /* behind it there are zeros that nobody reads */
    uint8_t *changed = malloc(saved_count);
    FUZZ_CHECK(changed, "no memory");
    memcpy(changed, saved_bytes, saved_count);
    while (changes->bytes >= 3) {
        size_t at = (size_t)fuzz_take(changes) << 8;
        at = (at | fuzz_take(changes)) % (size_t)(run->offset + run->bytes);
        changed[at] = fuzz_take(changes);
    }
    bool is_changed = memcmp(changed, saved_bytes, saved_count) != 0; /* it may be as it was */
    put(saved_path, changed, saved_count);
    free(changed);
    write_journal(
        json_pack("{s:s, s:i, s:[o]}", "event", "stage", "stage", 0, "files", qn_saved_file_describe(&right)));
    int status = show(saved_path);
    FUZZ_CHECK((status == 0) == !is_changed, "status %d where %s changed", status,
               is_changed ? "bytes were" : "nothing was");
    unlink(journal_path);
    show(saved_path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    fuzz_input input = {data, bytes};
    uint8_t kind = fuzz_take(&input);
    if (!saved_bytes)
        make_directory();
    if (kind % 3 == 0) {
        unlink(journal_path);
        put(file_path, input.data, input.bytes);
        show(file_path);
    } else if (kind % 3 == 1) {
        json_t *line = json_loadb((const char *)input.data, input.bytes, 0, NULL);
        put(saved_path, saved_bytes, saved_count);
        if (!json_is_object(line))
            json_decref(line);
        else
            write_journal(line);
        show(directory);
        show(saved_path);
    } else {
        show_changed(&input);
    }
    return 0;
}
