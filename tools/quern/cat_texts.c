/* SPDX-License-Identifier: BSD-3-Clause */
/* quern cat of what is text already: journals, and files of JSON. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/engine/journal.h"
#include "runtime/shuffle/pieces.h"
#include "tools/quern/cat.h"
#include "tools/quern/commands.h"

#define JSON_BYTES_MAX ((uint64_t)1 << 30)
#define PATH_BYTES     4096

/* Its text has no byte that is not printable ASCII. */
static void put_json(const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENSURE_ASCII | JSON_ENCODE_ANY);
    fputs(text ? text : "?", stdout);
    free(text);
}

/* ---- journals ---- */

static bool path_beside(const char *path, const char *name, char beside[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    int directory_bytes = slash ? (int)(slash - path) + 1 : 0;
    return snprintf(beside, PATH_BYTES, "%.*s%s", directory_bytes, path, name) < PATH_BYTES;
}

/* The last line that names it counts: epochs write the same file again and again. */
static bool find_file(const json_t *lines, const char *name, qn_saved_file *found_out)
{
    bool is_found = false;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        const json_t *line = json_array_get(lines, i), *files = json_object_get(line, "files");
        for (size_t k = 0; k < json_array_size(files); k++) {
            qn_saved_file file;
            uint32_t stage = (uint32_t)qn_json_get_number(line, "stage");
            if (!qn_saved_file_parse(json_array_get(files, k), stage, &file) || strcmp(file.name, name) != 0)
                continue;
            *found_out = file;
            is_found = true;
        }
    }
    return is_found;
}

bool quern_cat_find_saved(const quern_cat *how, const char *path, qn_saved_file *found_out)
{
    char journal_path[PATH_BYTES];
    qn_journal journal;
    qn_error ignored = {0};
    json_t *lines = NULL;
    uint64_t bytes;
    const char *slash = strrchr(path, '/');
    if (!path_beside(path, "journal", journal_path) || access(journal_path, R_OK) != 0 ||
        qn_journal_look(&journal, journal_path, how->cipher, &lines, &bytes, &ignored) != QUERN_OK)
        return false;
    bool is_found = find_file(lines, slash ? slash + 1 : path, found_out);
    json_decref(lines);
    qn_journal_close(&journal);
    return is_found;
}

static quern_cat_outcome verify_file(const quern_cat *how, const char *journal_path, const qn_saved_file *file)
{
    char path[PATH_BYTES];
    qn_error error = {0};
    const qn_saved *saved = &file->saved;
    if (!path_beside(journal_path, file->name, path))
        return QUERN_CAT_UNREAD;
    if (access(path, F_OK) != 0)
        return QUERN_CAT_WHOLE; /* what is not needed after a later line is removed */
    printf("    ");
    quern_cat_put_text(file->name);
    quern_status status = saved->value_words == QN_BLOCK_PACKED ? qn_pieces_verify(path, saved, how->cipher, &error)
                                                                : qn_saved_verify(path, saved, how->cipher, &error);
    printf(": rank %u of %u, %" PRIu64 " records", saved->rank, saved->size, saved->record_count);
    puts(status == QUERN_OK ? ", checksums right" : "");
    return status == QUERN_OK ? QUERN_CAT_WHOLE : quern_cat_tell_damage("%s", error.text);
}

static quern_cat_outcome show_line(const quern_cat *how, const char *path, json_t *lines, size_t number)
{
    quern_cat_outcome worst = QUERN_CAT_WHOLE;
    const json_t *line = json_array_get(lines, number), *files = json_object_get(line, "files");
    printf("  %zu ", number + 1);
    put_json(line);
    putchar('\n');
    for (size_t i = 0; i < json_array_size(files); i++) {
        qn_saved_file file;
        quern_cat_outcome outcome = QUERN_CAT_WHOLE;
        if (!qn_saved_file_parse(json_array_get(files, i), (uint32_t)qn_json_get_number(line, "stage"), &file))
            outcome = quern_cat_tell_damage("file %zu of the line is none", i + 1);
        else if (!qn_saved_file_is_named(lines, number + 1, file.name))
            outcome = verify_file(how, path, &file);
        worst = outcome > worst ? outcome : worst;
    }
    return worst;
}

quern_cat_outcome quern_cat_journal(const quern_cat *how, const char *path)
{
    qn_journal journal;
    qn_error error = {0};
    json_t *lines = NULL;
    uint64_t bytes = 0;
    quern_cat_outcome worst = QUERN_CAT_WHOLE;
    if (qn_journal_look(&journal, path, how->cipher, &lines, &bytes, &error) != QUERN_OK) {
        quern_command_fail(0, "%s", error.text);
        return QUERN_CAT_UNREAD;
    }
    quern_cat_put_text(path);
    printf(": journal of a checkpoint, %zu lines of %" PRIu64 " bytes, %s right\n", json_array_size(lines),
           journal.bytes, how->cipher ? "signatures" : "checksums");
    for (size_t i = 0; i < json_array_size(lines); i++) {
        quern_cat_outcome outcome = show_line(how, path, lines, i);
        worst = outcome > worst ? outcome : worst;
    }
    if (journal.bytes < bytes) {
        quern_cat_tell_damage("%" PRIu64 " bytes from byte %" PRIu64
                              " on are no line: cut short, or changed; jobs leave them out",
                              bytes - journal.bytes, journal.bytes);
        worst = QUERN_CAT_DAMAGED;
    }
    json_decref(lines);
    qn_journal_close(&journal);
    return worst;
}

/* ---- JSON ---- */

typedef struct json_kind {
    const char *mark; /* a member by which it is known, */
    const char *also; /* and another one, or NULL */
    const char *name;
    bool has_version; /* the mark is its version */
} json_kind;

static const json_kind *kind_of(const json_t *all)
{
    static const json_kind kinds[] = {
        {"quern_status", NULL, "status of a job", true},         {"quern_ranks", NULL, "ranks of a job", true},
        {"quern_manifest", NULL, "manifest of an output", true}, {"stages", "ranks", "report of a job", false},
        {"traceEvents", NULL, "trace of a job", false},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (json_object_get(all, kinds[i].mark) && (!kinds[i].also || json_object_get(all, kinds[i].also)))
            return &kinds[i];
    return NULL;
}

/* NULL: it cannot be read, which was said; *is_bad_out: it is no JSON, of which nothing was said. */
static char *read_text(const char *path, size_t *bytes_out)
{
    struct stat about;
    FILE *file = fopen(path, "re");
    if (!file || fstat(fileno(file), &about) != 0 || (uint64_t)about.st_size > JSON_BYTES_MAX) {
        quern_command_fail(file ? EFBIG : errno, "cannot read %s", path);
        if (file)
            fclose(file);
        return NULL;
    }
    char *text = malloc((size_t)about.st_size + 1);
    *bytes_out = text ? fread(text, 1, (size_t)about.st_size, file) : 0;
    if (!text || ferror(file)) {
        quern_command_fail(text ? errno : ENOMEM, "cannot read %s", path);
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

/* Lists as lines of their items, as many as are wanted; all else as it is. */
static void put_member(const quern_cat *how, const char *name, const json_t *value)
{
    fputs("  ", stdout);
    quern_cat_put_text(name);
    fputs(": ", stdout);
    if (!json_is_array(value) || json_array_size(value) == 0) {
        put_json(value);
        putchar('\n');
        return;
    }
    printf("%zu\n", json_array_size(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i == how->record_count_max) {
            printf("    and %zu more\n", json_array_size(value) - i);
            break;
        }
        fputs("    ", stdout);
        put_json(json_array_get(value, i));
        putchar('\n');
    }
}

quern_cat_outcome quern_cat_json(const quern_cat *how, const char *path)
{
    size_t bytes = 0;
    json_error_t problem;
    const char *name;
    json_t *value;
    char *text = read_text(path, &bytes);
    if (!text)
        return QUERN_CAT_UNREAD;
    json_t *all = json_loadb(text, bytes, JSON_ALLOW_NUL, &problem);
    free(text);
    const json_kind *kind = kind_of(all);
    if (all && !kind) {
        json_decref(all);
        quern_command_fail(0, "%s is of no kind that Quern writes", path);
        return QUERN_CAT_UNREAD;
    }
    quern_cat_put_text(path);
    if (!all) {
        printf(": JSON, %zu bytes\n", bytes);
        return quern_cat_tell_damage("at byte %d: %s", problem.position, problem.text);
    }
    printf(": %s, ", kind->name);
    if (kind->has_version)
        printf("version %lld, ", (long long)json_integer_value(json_object_get(all, kind->mark)));
    printf("%zu bytes\n", bytes);
    json_object_foreach(all, name, value) put_member(how, name, value);
    json_decref(all);
    return QUERN_CAT_WHOLE;
}
