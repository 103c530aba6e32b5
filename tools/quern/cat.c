/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern cat: files that Quern wrote, as text. Which kind one is says its content, not its name.
 */
#include "tools/quern/cat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/data/spill.h"
#include "tools/quern/commands.h"

#define PATH_BYTES       4096
#define HEAD_BYTES       512
#define RECORDS_SHOWN    10
#define TAR_MAGIC_OFFSET 257

/* ---- what is shown ---- */

void quern_cat_put(const void *data, uint64_t bytes)
{
    const uint8_t *from = data;
    for (uint64_t i = 0; i < bytes; i++) {
        if (from[i] == '\\')
            fputs("\\\\", stdout);
        else if (from[i] >= ' ' && from[i] <= '~')
            putchar(from[i]);
        else
            printf("\\x%02x", from[i]);
    }
}

void quern_cat_put_text(const char *text)
{
    quern_cat_put(text, strlen(text));
}

quern_cat_outcome quern_cat_tell_damage(const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fputs("  DAMAGED: ", stdout);
    quern_cat_put_text(text);
    putchar('\n');
    return QUERN_CAT_DAMAGED;
}

/* ---- kinds ---- */

typedef struct file_head {
    uint8_t bytes[HEAD_BYTES];
    size_t count;
} file_head;

static int read_head(const char *path, file_head *head)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return quern_command_fail(errno, "cannot read %s", path);
    ssize_t got = fstat(fd, &about) == 0 ? pread(fd, head->bytes, sizeof head->bytes, 0) : -1;
    int number = errno;
    close(fd);
    if (got < 0)
        return quern_command_fail(number, "cannot read %s", path);
    if (!S_ISREG(about.st_mode))
        return quern_command_fail(0, "%s is no regular file", path);
    head->count = (size_t)got;
    return 0;
}

static bool begins_with(const file_head *head, size_t at, const void *bytes, size_t count)
{
    return head->count >= at + count && memcmp(head->bytes + at, bytes, count) == 0;
}

static bool is_blocks(const file_head *head)
{
    uint32_t block = QN_BLOCK_MAGIC, envelope = QN_ENVELOPE_MAGIC;
    return begins_with(head, 0, &block, sizeof block) || begins_with(head, 0, &envelope, sizeof envelope);
}

/* A checksum or a signature, and an object behind it. */
static bool is_journal(const file_head *head)
{
    size_t digits = 0;
    while (digits < head->count && head->bytes[digits] != 0 && strchr("0123456789abcdef", head->bytes[digits]))
        digits++;
    return (digits == 16 || digits == 2 * QN_STAMP_BYTES) && begins_with(head, digits, " {", 2);
}

static bool is_json(const file_head *head)
{
    size_t at = 0;
    while (at < head->count && head->bytes[at] != 0 && strchr(" \t\r\n", head->bytes[at]))
        at++;
    return at < head->count && head->bytes[at] == '{';
}

/* Those that quern pack and outputs make, and what begins as tars that are packed do. */
static bool is_archive(const file_head *head)
{
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd}, lz4[] = {0x04, 0x22, 0x4d, 0x18}, gzip[] = {0x1f, 0x8b, 8};
    return begins_with(head, 0, "PK\3\4", 4) || begins_with(head, 0, "PK\5\6", 4) ||
           begins_with(head, TAR_MAGIC_OFFSET, "ustar", 5) || begins_with(head, 0, zstd, sizeof zstd) ||
           begins_with(head, 0, lz4, sizeof lz4) || begins_with(head, 0, gzip, sizeof gzip);
}

static bool is_named(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    return strcmp(slash ? slash + 1 : path, name) == 0;
}

static quern_cat_outcome show_file(const quern_cat *how, const char *path)
{
    file_head head = {0};
    qn_saved_file found;
    if (read_head(path, &head) != 0)
        return QUERN_CAT_UNREAD;
    if (is_journal(&head) || is_named(path, "journal"))
        return quern_cat_journal(how, path);
    if (quern_cat_find_saved(how, path, &found))
        return quern_cat_saved(how, path, &found.saved);
    if (is_blocks(&head))
        return quern_cat_blocks(how, path);
    if (is_json(&head))
        return quern_cat_json(how, path);
    if (is_archive(&head))
        return quern_cat_archive(how, path);
    quern_command_fail(0, "%s is of no kind that Quern writes", path);
    return QUERN_CAT_UNREAD;
}

/* Of a checkpoint the journal; of an output the manifest; of a job the status. */
static quern_cat_outcome show_directory(const quern_cat *how, const char *directory)
{
    static const char *const names[] = {"journal", "_MANIFEST.json", "status.json"};
    char path[PATH_BYTES];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (snprintf(path, sizeof path, "%s/%s", directory, names[i]) < (int)sizeof path && access(path, F_OK) == 0)
            return show_file(how, path);
    quern_command_fail(0, "%s is no checkpoint, no output and no job directory", directory);
    return QUERN_CAT_UNREAD;
}

/* ---- the command ---- */

enum { RECORDS = QUERN_COMMAND_KEY, ALL, ENCRYPT };

static const struct argp_option options[] = {
    {"records", RECORDS, "N", 0, "How many records of each file to show (10)"},
    {"all", ALL, NULL, 0, "All records"},
    {"quern-encrypt", ENCRYPT, "FILE", 0, "The key of files that are encrypted, as jobs take it"},
    {0},
};

typedef struct wishes {
    uint64_t record_count_max;
    const char *key_path;
} wishes;

static bool take(void *all, int key, const char *word)
{
    wishes *wanted = all;
    long number = key == RECORDS ? quern_command_read_number(word, 0, INT32_MAX) : 0;
    if (key == RECORDS)
        wanted->record_count_max = (uint64_t)number;
    else if (key == ALL)
        wanted->record_count_max = UINT64_MAX;
    else
        wanted->key_path = word;
    return number >= 0;
}

static quern_cat_outcome show_all(const quern_cat *how, char **paths, int count)
{
    quern_cat_outcome worst = QUERN_CAT_WHOLE;
    struct stat about;
    for (int i = 0; i < count; i++) {
        bool is_directory = stat(paths[i], &about) == 0 && S_ISDIR(about.st_mode);
        quern_cat_outcome outcome = is_directory ? show_directory(how, paths[i]) : show_file(how, paths[i]);
        worst = outcome > worst ? outcome : worst;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        quern_command_fail(errno, "cannot write");
        return QUERN_CAT_UNREAD;
    }
    return worst;
}

static int run(int argc, char **argv)
{
    wishes wanted = {.record_count_max = RECORDS_SHOWN};
    qn_error error = {0};
    qn_cipher *cipher = NULL;
    int operand = quern_command_parse(&quern_command_cat, argc, argv, take, &wanted);
    if (wanted.key_path && qn_cipher_load(wanted.key_path, &cipher, &error) != QUERN_OK)
        return quern_command_fail(0, "%s", error.text);
    quern_cat how = {wanted.record_count_max, cipher};
    quern_cat_outcome outcome = show_all(&how, argv + operand, argc - operand);
    qn_cipher_destroy(cipher);
    return (int)outcome;
}

static const quern_command_exit exits[] = {
    {"3", "A file is damaged; what is right of it was shown, and where it is damaged"},
    {NULL, NULL},
};

const quern_command quern_command_cat = {
    .name = "cat",
    .operands = "FILE...",
    .what = "shows files that jobs wrote, as text",
    .about =
        "Journals and saved files of checkpoints, spilled runs, status.json, ranks.json, report.json, manifests, and "
        "archives, each known by "
        "its content. Of each it says the kind, versions and sizes, whether its checksums are right, and shows "
        "records, one a line: key, tab, "
        "value. Of a directory it takes the journal, the manifest or the status.\n\n"
        "Bytes that are not printable ASCII, tabs and backslashes in records are escaped as in C. A saved file is read "
        "as the "
        "journal beside it says; without that, or where it does not name the file, its blocks are read as they lie, if "
        "they are not encrypted, "
        "and packed records are not told apart. Spills have no names: those of a running job are in /proc/PROCESS/fd.",
    .options = options,
    .exits = exits,
    .examples = "  quern cat checkpoint\n"
                "  quern cat --records=100 checkpoint/run-1.stage-0.rank-0.attempt-1.1\n"
                "  quern cat --quern-encrypt=key checkpoint/journal\n",
    .see = "quern-verify(1), quern-status(1), quern-report(1)",
    .run = run,
};
