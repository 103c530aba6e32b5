/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/io/output_lock.h"

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to list the input");
}

static quern_status add_file(qn_listing *listing, const char *path, uint64_t bytes, qn_error *error)
{
    if (bytes == 0) {
        listing->empty_count++;
        return QUERN_OK;
    }
    if (listing->file_count == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
        qn_input_file *files = realloc(listing->files, capacity * sizeof *files);
        if (!files)
            return no_memory(error);
        listing->files = files;
        listing->capacity = capacity;
    }
    const char *copy = qn_arena_text(&listing->texts, path);
    if (!copy)
        return no_memory(error);
    listing->files[listing->file_count++] =
        (qn_input_file){.path = copy, .bytes = bytes, .packing = QN_PACKING_UNKNOWN};
    listing->bytes += bytes;
    return QUERN_OK;
}

/* Whether a file of that name is in a directory of the walk. */
static bool is_in(const char *directory, size_t directory_bytes, const char *name)
{
    char *path = NULL;
    struct stat about;
    if (asprintf(&path, "%.*s/%s", (int)directory_bytes, directory, name) < 0)
        return false;
    bool is_there = lstat(path, &about) == 0;
    free(path);
    return is_there;
}

/* Whether a file is of an output, but no part of it. */
static bool is_about_output(const FTSENT *entry)
{
    if (strcmp(entry->fts_name, QN_OUTPUT_LOCK_NAME) == 0)
        return true;
    return strcmp(entry->fts_name, "_MANIFEST.json") == 0 &&
           is_in(entry->fts_path, entry->fts_pathlen - entry->fts_namelen, "_SUCCESS");
}

static quern_status refuse_unfinished(const FTSENT *directory, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "%s is an output that is not finished: a job is writing it, or was killed; wait, or remove "
                        "its " QN_OUTPUT_LOCK_NAME " to read what there is",
                        directory->fts_path);
}

static quern_status add_entry(qn_listing *listing, FTS *walk, FTSENT *entry, qn_error *error)
{
    bool is_named = entry->fts_level == FTS_ROOTLEVEL;
    switch (entry->fts_info) {
    case FTS_F:
        if (!is_named && is_about_output(entry))
            break;
        if (S_ISREG(entry->fts_statp->st_mode))
            return add_file(listing, entry->fts_path, (uint64_t)entry->fts_statp->st_size, error);
        break;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return qn_error_set(error, QUERN_ERROR_INPUT, entry->fts_errno, "cannot read %s", entry->fts_path);
    case FTS_DC:
        fts_set(walk, entry, FTS_SKIP);
        return QUERN_OK;
    case FTS_D:
        if (is_named && is_in(entry->fts_path, entry->fts_pathlen, QN_OUTPUT_LOCK_NAME) &&
            !is_in(entry->fts_path, entry->fts_pathlen,
                   "_SUCCESS")) /* of a job that was killed just when it was whole */
            return refuse_unfinished(entry, error);
        return QUERN_OK;
    case FTS_DP:
        return QUERN_OK;
    default:
        break;
    }
    if (is_named)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s is neither a regular file nor a directory",
                            entry->fts_path);
    listing->skipped_count++;
    return QUERN_OK;
}

/* What comes behind a name in paths. */
static unsigned behind_name(const FTSENT *entry, char at)
{
    bool is_directory = entry->fts_info == FTS_D || entry->fts_info == FTS_DC;
    return at == '\0' && is_directory ? '/' : (unsigned char)at;
}

/* Of entries of a directory, so that the walk goes by the paths of files: sorting names there is much less work than sorting all paths. */
static int compare_entries(const FTSENT **a, const FTSENT **b)
{
    const char *first = (*a)->fts_name, *second = (*b)->fts_name;
    while (*first != '\0' && *first == *second)
        first++, second++;
    unsigned x = behind_name(*a, *first), y = behind_name(*b, *second);
    return x < y ? -1 : x > y;
}

static quern_status walk_path(qn_listing *listing, const char *path, qn_error *error)
{
    char *argument = strdup(path);
    if (!argument)
        return no_memory(error);
    char *roots[] = {argument, NULL};
    FTS *walk = fts_open(roots, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, compare_entries);
    quern_status status = walk ? QUERN_OK : qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot read %s", path);
    while (status == QUERN_OK) {
        errno = 0;
        FTSENT *entry = fts_read(walk);
        if (!entry && errno != 0)
            status = qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot list %s", path);
        if (!entry)
            break;
        status = add_entry(listing, walk, entry, error);
    }
    if (walk)
        fts_close(walk);
    free(argument);
    return status;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const qn_input_file *)a)->path, ((const qn_input_file *)b)->path);
}

/* They are, unless the file system changed meanwhile. */
static bool are_sorted(const qn_input_file *files, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (compare_paths(&files[i - 1], &files[i]) > 0)
            return false;
    return true;
}

static void sort_files(qn_input_file *files, size_t count)
{
    if (!are_sorted(files, count))
        qsort(files, count, sizeof *files, compare_paths);
}

quern_status qn_listing_create(qn_listing *listing, const char *const *paths, size_t path_count, qn_error *error)
{
    *listing = (qn_listing){0};
    qn_arena_init(&listing->texts, 0);
    for (size_t i = 0; i < path_count; i++) {
        size_t first = listing->file_count;
        quern_status status = walk_path(listing, paths[i], error);
        if (status != QUERN_OK) {
            qn_listing_destroy(listing);
            return status;
        }
        if (listing->file_count > first)
            sort_files(listing->files + first, listing->file_count - first);
    }
    return QUERN_OK;
}

static quern_status examine(qn_input_file *file, qn_error *error)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", file->path);
    quern_status status = qn_unpack_examine(fd, file->path, file->bytes, &file->packing, &file->kind, error);
    close(fd);
    return status;
}

quern_status qn_listing_examine(qn_listing *listing, uint64_t bytes_min, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < listing->file_count && status == QUERN_OK; i++)
        if (listing->files[i].bytes > bytes_min && listing->files[i].packing == QN_PACKING_UNKNOWN)
            status = examine(&listing->files[i], error);
    return status;
}

static quern_status find_units(qn_listing *listing, qn_input_file *file, uint64_t spacing, bool logical_only,
                               qn_error *error)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", file->path);
    quern_status status = qn_units_find(&file->units, file->kind, fd, file->path, file->bytes, spacing, logical_only,
                                        &listing->texts, error);
    close(fd);
    if (status != QUERN_OK)
        return status;
    if (file->units.count > 1 || file->units.borders[0].member)
        file->packing = qn_units_are_members(file->kind) ? QN_PACKING_MEMBERS : QN_PACKING_UNITS;
    else
        qn_units_destroy(&file->units);
    return QUERN_OK;
}

quern_status qn_listing_find_units(qn_listing *listing, uint64_t spacing, bool logical_only, bool streams_only,
                                   qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < listing->file_count && status == QUERN_OK; i++) {
        qn_input_file *file = &listing->files[i];
        bool is_left = streams_only && qn_units_are_members(file->kind);
        if (file->packing == QN_PACKING_STREAM && file->kind != QN_UNITS_NONE && file->bytes > spacing && !is_left)
            status = find_units(listing, file, spacing, logical_only, error);
    }
    return status;
}

const char *qn_listing_why_stream(const qn_input_file *file)
{
    if (file->is_whole)
        return "its records cannot be found from its middle";
    switch (file->kind) {
    case QN_UNITS_NONE:
        return "nothing in its format says where it could be cut";
    case QN_UNITS_BZIP2:
        return "it is one stream of bzip2, or bytes of what is in it are asked for (pbzip2 makes many streams)";
    case QN_UNITS_ZSTD:
        return "it is one frame of zstd, or bytes of what is in it are asked for and it does not tell sizes (pzstd "
               "makes many frames)";
    case QN_UNITS_LZ4:
        return "it is one frame of lz4, or bytes of what is in it are asked for and it does not tell sizes";
    case QN_UNITS_BGZF:
    case QN_UNITS_XZ:
        return "it is one block (xz -T0 makes many)";
    case QN_UNITS_TAR:
    case QN_UNITS_ZIP:
        return "its members are few, or their directory does not say where they are";
    }
    return "";
}

void qn_listing_take_as_stored(qn_listing *listing)
{
    for (size_t i = 0; i < listing->file_count; i++)
        listing->files[i].packing = QN_PACKING_NONE;
}

/* Adds the bytes of an entry that the listing would have, as add_entry() does. False: it would fail. */
static bool foresee_entry(const FTSENT *entry, uint64_t *bytes)
{
    bool is_named = entry->fts_level == FTS_ROOTLEVEL;
    if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR || entry->fts_info == FTS_NS)
        return false;
    if (entry->fts_info == FTS_D || entry->fts_info == FTS_DP || entry->fts_info == FTS_DC)
        return true;
    if (entry->fts_info != FTS_F || !S_ISREG(entry->fts_statp->st_mode))
        return !is_named;
    if (is_named || !is_about_output(entry))
        *bytes += (uint64_t)entry->fts_statp->st_size;
    return true;
}

static bool foresee_path(const char *path, uint32_t *left_count, uint64_t *bytes)
{
    char *argument = strdup(path);
    char *roots[] = {argument, NULL};
    FTS *walk = argument ? fts_open(roots, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    bool known = walk != NULL;
    while (known) {
        errno = 0;
        FTSENT *entry = fts_read(walk);
        known = entry || errno == 0;
        if (!entry)
            break;
        known = (*left_count)-- > 0 && foresee_entry(entry, bytes);
        if (entry->fts_info == FTS_DC)
            fts_set(walk, entry, FTS_SKIP);
    }
    if (walk)
        fts_close(walk);
    free(argument);
    return known;
}

bool qn_listing_foresee(const char *const *paths, size_t path_count, uint64_t *bytes_out)
{
    uint64_t bytes = 0;
    uint32_t left_count = QN_FORESEEN_ENTRY_COUNT_MAX;
    for (size_t i = 0; i < path_count; i++)
        if (!foresee_path(paths[i], &left_count, &bytes))
            return false;
    *bytes_out = bytes;
    return true;
}

bool qn_listing_digest(const qn_listing *listing, uint64_t *digest)
{
    struct stat about;
    for (size_t i = 0; i < listing->file_count; i++) {
        const char *path = listing->files[i].path;
        if (stat(path, &about) != 0)
            return false;
        const uint64_t numbers[] = {(uint64_t)about.st_size, (uint64_t)about.st_mtim.tv_sec,
                                    (uint64_t)about.st_mtim.tv_nsec};
        *digest = qn_checksum(numbers, sizeof numbers, qn_checksum(path, strlen(path) + 1, *digest));
    }
    return true;
}

void qn_listing_destroy(qn_listing *listing)
{
    for (size_t i = 0; i < listing->file_count; i++)
        qn_units_destroy(&listing->files[i].units);
    free(listing->files);
    qn_arena_reset(&listing->texts);
    *listing = (qn_listing){0};
}
