/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static quern_status add_entry(qn_listing *listing, FTS *walk, FTSENT *entry, qn_error *error)
{
    bool is_named = entry->fts_level == FTS_ROOTLEVEL;
    switch (entry->fts_info) {
    case FTS_F:
        if (!is_named && strcmp(entry->fts_name, QN_OUTPUT_LOCK_NAME) == 0)
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

static quern_status walk_path(qn_listing *listing, const char *path, qn_error *error)
{
    char *argument = strdup(path);
    if (!argument)
        return no_memory(error);
    char *roots[] = {argument, NULL};
    FTS *walk = fts_open(roots, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, NULL);
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
            qsort(listing->files + first, listing->file_count - first, sizeof *listing->files, compare_paths);
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

quern_status qn_listing_find_units(qn_listing *listing, uint64_t spacing, bool logical_only, qn_error *error)
{
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < listing->file_count && status == QUERN_OK; i++) {
        qn_input_file *file = &listing->files[i];
        if (file->packing == QN_PACKING_STREAM && file->kind != QN_UNITS_NONE && file->bytes > spacing)
            status = find_units(listing, file, spacing, logical_only, error);
    }
    return status;
}

const char *qn_listing_why_stream(const qn_input_file *file)
{
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

bool qn_listing_foresee(const char *const *paths, size_t path_count, uint64_t *bytes_out)
{
    uint64_t bytes = 0;
    if (path_count > QN_FORESEEN_PATH_COUNT_MAX)
        return false;
    for (size_t i = 0; i < path_count; i++) {
        struct stat about;
        if (stat(paths[i], &about) != 0 || !S_ISREG(about.st_mode))
            return false;
        bytes += (uint64_t)about.st_size;
    }
    *bytes_out = bytes;
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
