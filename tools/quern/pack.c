/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern pack: the regular files of trees as members of a zip, zip64 where needed. Its directory at the end says where
 * each is, so that many ranks read it at once, and nobody opens a million files.
 *
 * The archive gets its name when it is whole and on disk. What is named is read through a link, as jobs do; in trees links, devices and pipes are left out. Paths are kept as they are given, without what
 * leads up or to the root.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/quern/commands.h"

#define PIECE_BYTES ((size_t)1 << 20)

typedef struct packing {
    const char *path; /* of the archive */
    char *temporary_path;
    int fd;
    struct stat about; /* of the archive, which is not put into itself */
    struct archive *archive;
    struct archive_entry *entry;
    char *piece; /* [PIECE_BYTES] */
} packing;

static int fail_archive(const packing *to)
{
    return quern_command_fail(0, "cannot write %s: %s", to->path, archive_error_string(to->archive));
}

static const char *member_path(const char *path)
{
    for (;;) {
        if (path[0] == '/')
            path++;
        else if (strncmp(path, "./", 2) == 0)
            path += 2;
        else if (strncmp(path, "../", 3) == 0)
            path += 3;
        else
            return path;
    }
}

/* So many bytes, as the header says; what was appended meanwhile is left out. */
static int copy_bytes(packing *to, int fd, const char *path, size_t bytes)
{
    while (bytes > 0) {
        ssize_t got = read(fd, to->piece, bytes < PIECE_BYTES ? bytes : PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return quern_command_fail(got < 0 ? errno : 0, got < 0 ? "cannot read %s" : "%s became shorter", path);
        if (archive_write_data(to->archive, to->piece, (size_t)got) != got)
            return fail_archive(to);
        bytes -= (size_t)got;
    }
    return 0;
}

static int add_file(packing *to, const char *access_path, const char *path, bool is_named)
{
    struct stat about;
    int fd = open(access_path, O_RDONLY | O_CLOEXEC | (is_named ? 0 : O_NOFOLLOW));
    if (fd < 0 || fstat(fd, &about) != 0) {
        int number = errno;
        if (fd >= 0)
            close(fd);
        return quern_command_fail(number, "cannot read %s", path);
    }
    int status = 0;
    if (about.st_dev != to->about.st_dev || about.st_ino != to->about.st_ino) {
        archive_entry_clear(to->entry);
        archive_entry_set_pathname(to->entry, member_path(path));
        archive_entry_set_filetype(to->entry, AE_IFREG);
        archive_entry_set_perm(to->entry, about.st_mode & 0777);
        archive_entry_set_mtime(to->entry, about.st_mtime, 0);
        archive_entry_set_size(to->entry, about.st_size);
        status = archive_write_header(to->archive, to->entry) < ARCHIVE_WARN
                     ? fail_archive(to)
                     : copy_bytes(to, fd, path, (size_t)about.st_size);
    }
    close(fd);
    return status;
}

static int compare_names(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int add_entry(packing *to, const FTSENT *entry)
{
    bool is_named = entry->fts_level == FTS_ROOTLEVEL;
    switch (entry->fts_info) {
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return quern_command_fail(entry->fts_errno, "cannot read %s", entry->fts_path);
    case FTS_D:
    case FTS_DC:
    case FTS_DP:
        return 0;
    case FTS_F:
        if (S_ISREG(entry->fts_statp->st_mode))
            return add_file(to, entry->fts_accpath, entry->fts_path, is_named);
        break;
    default:
        break;
    }
    return is_named ? quern_command_fail(0, "%s is neither a regular file nor a directory", entry->fts_path) : 0;
}

static int add_trees(packing *to, char **paths)
{
    int status = 0;
    FTS *walk = fts_open(paths, FTS_COMFOLLOW | FTS_PHYSICAL | FTS_NOCHDIR, compare_names);
    if (!walk)
        return quern_command_fail(errno, "cannot read %s", paths[0]);
    while (status == 0) {
        errno = 0;
        FTSENT *entry = fts_read(walk);
        if (!entry && errno != 0)
            status = quern_command_fail(errno, "cannot list the files");
        if (!entry)
            break;
        status = add_entry(to, entry);
    }
    fts_close(walk);
    return status;
}

static int open_archive(packing *to, bool is_stored)
{
    to->fd = open(to->temporary_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (to->fd < 0 || fstat(to->fd, &to->about) != 0)
        return quern_command_fail(errno, "cannot create %s", to->temporary_path);
    if (!to->archive || !to->entry || !to->piece)
        return quern_command_fail(0, "no memory");
    bool is_open = archive_write_set_format_zip(to->archive) == ARCHIVE_OK &&
                   archive_write_set_options(to->archive, is_stored ? "zip:compression=store"
                                                                    : "zip:compression=deflate") == ARCHIVE_OK &&
                   archive_write_set_bytes_in_last_block(to->archive, 1) == ARCHIVE_OK &&
                   archive_write_open_fd(to->archive, to->fd) == ARCHIVE_OK;
    return is_open ? 0 : fail_archive(to);
}

/* To disk, and to its name. */
static int commit(packing *to)
{
    if (archive_write_close(to->archive) != ARCHIVE_OK)
        return fail_archive(to);
    if (fsync(to->fd) != 0 || rename(to->temporary_path, to->path) != 0)
        return quern_command_fail(errno, "cannot write %s", to->path);
    char *slash = strrchr(to->temporary_path, '/');
    if (slash)
        slash[slash == to->temporary_path] = 0;
    int directory = open(slash ? to->temporary_path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory >= 0) {
        fsync(directory);
        close(directory);
    }
    return 0;
}

static int pack(const char *path, bool is_stored, char **paths)
{
    packing to = {.path = path, .fd = -1, .archive = archive_write_new(), .entry = archive_entry_new()};
    to.piece = malloc(PIECE_BYTES);
    if (asprintf(&to.temporary_path, "%s.%ld.tmp", path, (long)getpid()) < 0)
        to.temporary_path = NULL;
    int status = to.temporary_path ? open_archive(&to, is_stored) : quern_command_fail(0, "no memory");
    if (status == 0)
        status = add_trees(&to, paths);
    if (status == 0)
        status = commit(&to);
    archive_write_free(to.archive);
    archive_entry_free(to.entry);
    free(to.piece);
    if (to.fd >= 0) {
        close(to.fd);
        if (status != 0)
            unlink(to.temporary_path);
    }
    free(to.temporary_path);
    return status;
}

enum { OUTPUT = 'o', STORE = QUERN_COMMAND_KEY };

typedef struct arguments {
    const char *path;
    bool is_stored;
} arguments;

static const struct argp_option options[] = {
    {"output", OUTPUT, "FILE", 0, "The archive, which is there when it is whole; must be given"},
    {"store", STORE, NULL, 0, "Does not compress"},
    {0},
};

static bool take(void *all, int key, const char *word)
{
    arguments *given = all;
    if (key == STORE)
        given->is_stored = true;
    else
        given->path = word;
    return true;
}

static int run(int argc, char **argv)
{
    arguments given = {0};
    int first = quern_command_parse(&quern_command_pack, argc, argv, take, &given);
    if (!given.path) {
        quern_command_fail(0, "pack: -o FILE.zip is missing");
        return QUERN_COMMAND_MISUSED;
    }
    return pack(given.path, given.is_stored, argv + first);
}

const quern_command quern_command_pack = {
    .name = "pack",
    .operands = "PATH...",
    .what = "makes one archive of many small files, which is read at full speed",
    .about = "The archive is a zip, with 64-bit sizes where needed, in which any program finds each file. As input of "
             "a job its members are "
             "files, and all ranks read it at once. Regular files in trees are packed by their paths as given, without "
             "what leads up or to "
             "the root; in trees links, devices and pipes are left out, and a PATH that is a link is followed.",
    .options = options,
    .examples = "  quern pack -o pages.zip pages/\n"
                "  mpirun -n 4 ./wordcount -o counts pages.zip\n",
    .see = "quern-verify(1), unzip(1)",
    .run = run,
};
