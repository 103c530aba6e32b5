/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_listing.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/io/hdf5_file.h"
#include "runtime/io/listing.h"

#define PATH_BYTES_MAX ((size_t)4096) /* of a dataset */

static const uint8_t signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to list the datasets");
}

static bool is_pattern(const char *text)
{
    return strpbrk(text, "*?[") != NULL;
}

/* ---- one dataset ---- */

static quern_status too_large(const qn_hdf5_input *input, const char *what, uint64_t bytes, uint64_t bytes_max,
                              qn_error *error)
{
    return qn_error_set(
        error, QUERN_ERROR_RECORD_TOO_LARGE, 0,
        "%s: %s of dataset %s has %llu bytes, more than record-bytes, %llu: raise memory or record-bytes", input->file,
        what, input->path, (unsigned long long)bytes, (unsigned long long)bytes_max);
}

static quern_status check_sizes(const qn_hdf5_input *input, const qn_hdf5_grid *grid, const qn_hdf5_dataset *dataset,
                                uint64_t record_bytes_max, qn_error *error)
{
    bool is_of_chunks = grid->record == QUERN_HDF5_CHUNKS;
    uint64_t record_bytes = is_of_chunks ? input->box_bytes : grid->unit_bytes;
    const char *what = is_of_chunks ? "a chunk" : grid->record == QUERN_HDF5_ROWS ? "a row" : "an element";
    if (record_bytes > record_bytes_max)
        return too_large(input, what, record_bytes, record_bytes_max, error);
    if (dataset->chunk_bytes > record_bytes_max && dataset->chunk_bytes > QN_HDF5_PIECE_BYTES_MIN)
        return too_large(input, "a compressed chunk", dataset->chunk_bytes, record_bytes_max, error);
    return QUERN_OK;
}

static quern_status add_item(qn_hdf5_listing *listing, const qn_hdf5_input *input, qn_error *error)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity ? 2 * listing->capacity : 64;
        qn_hdf5_input *items = realloc(listing->items, capacity * sizeof *items);
        if (!items)
            return no_memory(error);
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = *input;
    listing->bytes += input->bytes;
    return QUERN_OK;
}

/* Everything that is looked through. */
typedef struct walk {
    qn_hdf5_listing *listing;
    const qn_array_form *form;
    uint64_t record_bytes_max;
    const char *file_path;
    hid_t file;
    size_t match_count; /* of this file */
} walk;

static quern_status keep_dataset(walk *at, const char *path, const qn_hdf5_dataset *dataset, qn_error *error)
{
    qn_hdf5_listing *listing = at->listing;
    qn_hdf5_grid grid;
    if (!qn_hdf5_grid_init(&grid, listing->record, dataset->rank, dataset->dims,
                           dataset->is_chunked ? dataset->chunk : NULL, dataset->element_bytes))
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: dataset %s is said to have more than 2^63 bytes",
                            at->file_path, path);
    at->match_count++;
    if (grid.box_count == 0)
        return QUERN_OK;
    qn_hdf5_input input = {
        .file = at->file_path,
        .path = qn_arena_text(&listing->texts, path),
        .dims = qn_arena_copy(&listing->texts, grid.dims, grid.rank * sizeof *grid.dims),
        .box = qn_arena_copy(&listing->texts, grid.box, grid.rank * sizeof *grid.box),
        .rank = grid.rank,
        .element_bytes = dataset->element_bytes,
        .box_count = grid.box_count,
        .box_bytes = qn_hdf5_grid_box_bytes(&grid),
        .bytes = qn_hdf5_grid_elements(&grid) * dataset->element_bytes,
    };
    if (!input.path || !input.dims || !input.box)
        return no_memory(error);
    quern_status status = check_sizes(&input, &grid, dataset, at->record_bytes_max, error);
    return status == QUERN_OK ? add_item(listing, &input, error) : status;
}

static quern_status add_dataset(walk *at, const char *path, qn_error *error)
{
    qn_hdf5_dataset dataset;
    quern_status status = qn_hdf5_dataset_open(&dataset, at->file, at->file_path, path, at->form, error);
    if (status != QUERN_OK)
        return status;
    status = keep_dataset(at, path, &dataset, error);
    qn_hdf5_dataset_close(&dataset);
    return status;
}

/* ---- datasets by pattern ---- */

typedef struct names {
    const char *pattern;
    char **items;
    size_t count, capacity;
    bool failed;
} names;

static herr_t take_name(hid_t group, const char *name, const H5L_info_t *about, void *user)
{
    names *to = user;
    (void)group, (void)about;
    if (fnmatch(to->pattern, name, 0) != 0)
        return 0;
    if (to->count == to->capacity) {
        size_t capacity = to->capacity ? 2 * to->capacity : 64;
        char **items = realloc(to->items, capacity * sizeof *items);
        to->failed |= !items;
        if (!items)
            return -1;
        to->items = items;
        to->capacity = capacity;
    }
    to->items[to->count] = strdup(name);
    to->failed |= !to->items[to->count];
    return to->items[to->count++] ? 0 : -1;
}

/* *type_out H5I_BADID: there is nothing, or a link that leads nowhere. */
static quern_status look_at(const walk *at, const char *path, H5I_type_t *type_out, hid_t *id_out, qn_error *error)
{
    qn_hdf5_links links;
    quern_status status = qn_hdf5_links_open(&links, at->form->options.external, error);
    hid_t id = status == QUERN_OK ? H5Oopen(at->file, path, links.list) : QN_HDF5_NONE;
    if (status == QUERN_OK && id < 0 && links.refused)
        status = qn_hdf5_links_failed(&links, at->file_path, path, error);
    qn_hdf5_links_close(&links);
    *type_out = id < 0 ? H5I_BADID : H5Iget_type(id);
    *id_out = id;
    return status;
}

static quern_status match(walk *at, char *path, size_t path_bytes, const char *pattern, qn_error *error);

/* What lies at the path so far, and what of the pattern comes then. */
static quern_status match_on(walk *at, char *path, size_t path_bytes, const char *pattern, qn_error *error)
{
    H5I_type_t type;
    hid_t id;
    quern_status status = look_at(at, path, &type, &id, error);
    if (id >= 0)
        H5Oclose(id);
    if (status != QUERN_OK)
        return status;
    if (*pattern)
        return type == H5I_GROUP ? match(at, path, path_bytes, pattern, error) : QUERN_OK;
    return type == H5I_DATASET ? add_dataset(at, path, error) : QUERN_OK;
}

static quern_status append_name(const walk *at, char *path, size_t path_bytes, const char *name, size_t name_bytes,
                                qn_error *error)
{
    if (path_bytes + name_bytes + 2 > PATH_BYTES_MAX)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: a path in it is longer than %zu bytes", at->file_path,
                            PATH_BYTES_MAX);
    path[path_bytes] = '/';
    memcpy(path + path_bytes + 1, name, name_bytes);
    path[path_bytes + 1 + name_bytes] = 0;
    return QUERN_OK;
}

static quern_status list_names(const walk *at, const char *path, names *found, qn_error *error)
{
    H5I_type_t type;
    hid_t id;
    quern_status status = look_at(at, *path ? path : "/", &type, &id, error);
    if (status == QUERN_OK && id >= 0 && H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, take_name, found) < 0)
        status = found->failed ? no_memory(error)
                               : qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: cannot list %s", at->file_path, path);
    if (id >= 0)
        H5Oclose(id);
    return status;
}

static quern_status match_all(walk *at, char *path, size_t path_bytes, const char *pattern, const char *rest,
                              qn_error *error)
{
    names found = {.pattern = pattern};
    path[path_bytes] = 0;
    quern_status status = list_names(at, path, &found, error);
    for (size_t i = 0; i < found.count && status == QUERN_OK; i++) {
        size_t name_bytes = strlen(found.items[i]);
        status = append_name(at, path, path_bytes, found.items[i], name_bytes, error);
        if (status == QUERN_OK)
            status = match_on(at, path, path_bytes + 1 + name_bytes, rest, error);
    }
    for (size_t i = 0; i < found.count; i++)
        free(found.items[i]);
    free(found.items);
    return status;
}

/* pattern begins behind a slash. */
static quern_status match(walk *at, char *path, size_t path_bytes, const char *pattern, qn_error *error)
{
    size_t bytes = strcspn(pattern, "/");
    const char *rest = pattern + bytes + strspn(pattern + bytes, "/");
    char *name = strndup(pattern, bytes);
    if (!name)
        return no_memory(error);
    quern_status status = QUERN_OK;
    if (is_pattern(name))
        status = match_all(at, path, path_bytes, name, rest, error);
    else if ((status = append_name(at, path, path_bytes, name, bytes, error)) == QUERN_OK)
        status = match_on(at, path, path_bytes + 1 + bytes, rest, error);
    free(name);
    return status;
}

static int compare_inputs(const void *a, const void *b)
{
    return strcmp(((const qn_hdf5_input *)a)->path, ((const qn_hdf5_input *)b)->path);
}

static quern_status add_matches(walk *at, qn_error *error)
{
    char path[PATH_BYTES_MAX];
    const char *pattern = at->form->options.dataset;
    size_t first = at->listing->count;
    if (!is_pattern(pattern))
        return add_dataset(at, pattern, error);
    quern_status status = match(at, path, 0, pattern + strspn(pattern, "/"), error);
    if (status == QUERN_OK && at->match_count == 0)
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: no dataset is called %s", at->file_path, pattern);
    if (at->listing->count > first)
        qsort(at->listing->items + first, at->listing->count - first, sizeof *at->listing->items, compare_inputs);
    return status;
}

/* ---- files ---- */

static quern_status add_file(walk *at, const char *path, qn_error *error)
{
    at->match_count = 0;
    at->listing->file_count++;
    at->file_path = qn_arena_text(&at->listing->texts, path);
    if (!at->file_path)
        return no_memory(error);
    quern_status status = qn_hdf5_file_open(path, &at->file, error);
    if (status != QUERN_OK)
        return status;
    status = add_matches(at, error);
    H5Fclose(at->file);
    return status;
}

/* The signature is at 0, 512, 1024, and so on: users may have put something before it. */
static quern_status is_hdf5(const char *path, bool *is_out, qn_error *error)
{
    uint8_t head[sizeof signature];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", path);
    *is_out = false;
    for (off_t at = 0; !*is_out && pread(fd, head, sizeof head, at) == (ssize_t)sizeof head; at = at ? 2 * at : 512)
        *is_out = memcmp(head, signature, sizeof head) == 0;
    close(fd);
    return QUERN_OK;
}

static quern_status add_directory(walk *at, const char *path, qn_error *error)
{
    qn_listing files;
    quern_status status = qn_listing_create(&files, &path, 1, error);
    if (status != QUERN_OK)
        return status;
    for (size_t i = 0; i < files.file_count && status == QUERN_OK; i++) {
        bool is = false;
        status = is_hdf5(files.files[i].path, &is, error);
        if (status == QUERN_OK && is)
            status = add_file(at, files.files[i].path, error);
    }
    qn_listing_destroy(&files);
    return status;
}

static quern_status add_path(walk *at, const char *path, qn_error *error)
{
    struct stat about;
    bool is = false;
    if (stat(path, &about) != 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot read %s", path);
    if (S_ISDIR(about.st_mode))
        return add_directory(at, path, error);
    if (!S_ISREG(about.st_mode))
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s is neither a regular file nor a directory", path);
    quern_status status = is_hdf5(path, &is, error);
    if (status == QUERN_OK && !is)
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s is no HDF5 file%s", path,
                              about.st_size == 0 ? ": it is empty" : "");
    return status == QUERN_OK ? add_file(at, path, error) : status;
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static quern_status add_paths_like(walk *at, const char *pattern, qn_error *error)
{
    glob_t found = {0};
    int code = glob(pattern, GLOB_NOSORT, NULL, &found);
    quern_status status = QUERN_OK;
    if (code == GLOB_NOMATCH)
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0, "no file is called %s", pattern);
    else if (code != 0)
        status = qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot look for files called %s", pattern);
    else
        qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, compare_texts);
    for (size_t i = 0; i < found.gl_pathc && status == QUERN_OK; i++)
        status = add_path(at, found.gl_pathv[i], error);
    globfree(&found);
    return status;
}

quern_status qn_hdf5_listing_create(qn_hdf5_listing *listing, const char *const *paths, size_t path_count,
                                    const qn_array_form *form, uint64_t record_bytes_max, qn_error *error)
{
    qn_hdf5_quiet quiet;
    struct stat about;
    uint64_t piece_bytes_max = record_bytes_max < QN_HDF5_PIECE_BYTES_MAX ? record_bytes_max : QN_HDF5_PIECE_BYTES_MAX;
    *listing = (qn_hdf5_listing){
        .record = form->options.record,
        .piece_bytes_max = piece_bytes_max > QN_HDF5_PIECE_BYTES_MIN ? piece_bytes_max : QN_HDF5_PIECE_BYTES_MIN};
    walk at = {.listing = listing, .form = form, .record_bytes_max = record_bytes_max};
    qn_arena_init(&listing->texts, 0);
    quern_status status = qn_hdf5_start(error);
    qn_hdf5_quiet_begin(&quiet);
    for (size_t i = 0; i < path_count && status == QUERN_OK; i++)
        status = lstat(paths[i], &about) != 0 && is_pattern(paths[i]) ? add_paths_like(&at, paths[i], error)
                                                                      : add_path(&at, paths[i], error);
    qn_hdf5_quiet_end(&quiet);
    if (status != QUERN_OK)
        qn_hdf5_listing_destroy(listing);
    return status;
}

void qn_hdf5_listing_destroy(qn_hdf5_listing *listing)
{
    free(listing->items);
    qn_arena_reset(&listing->texts);
    *listing = (qn_hdf5_listing){0};
}
