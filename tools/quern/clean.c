/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern clean: what jobs left that were killed. In each directory, one level deep, and never behind a link:
 *
 *   quern-run.XXXXXX     of `quern run`, which holds flock() on it while it lives
 *   quern-spill-XXXXXX   where files without names cannot be: a process removes it as soon as it has made a file in it. One that is older than
 *                        an hour is nobody's; but on NFS a file that is open keeps a name, .nfs…, by which it is left alone
 *   a directory with a .quern-lock   an output; by the rules by which a job takes it over (docs/output.md): the lock is of this machine since
 *                        it was started, nobody holds it, and there is nothing else but parts and a manifest. Or a quarantine of bad records,
 *                        if no file in it has its last name
 *
 * Only what is ours is touched, and what is just being made is left.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/engine/scratch_choice.h"
#include "tools/quern/commands.h"
#include "tools/quern/litter.h"

#define SPILL_PREFIX      "quern-spill-"
#define SPILL_FILE        "runs"
#define LOCK_NAME         ".quern-lock"
#define BOOT_ID_PATH      "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_BYTES     36
#define SPILL_AGE_SECONDS 3600
#define RUN_AGE_SECONDS   60
#define DIGITS_MIN        5  /* of a part's number, and of a rank's */
#define TOKEN_DIGITS      16 /* of the lock, in the names of temporary files */

typedef struct cleaning {
    bool is_dry;
    int status;
} cleaning;

/* A directory that may be removed. */
typedef struct candidate {
    const char *path, *name;
    int fd;
    time_t age_seconds;
} candidate;

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void tell_left(const candidate *one, const char *reason)
{
    printf("left %s: %s\n", one->path, reason);
}

static void tell_removed(cleaning *how, const candidate *one, bool is_gone)
{
    if (is_gone)
        printf("%s %s\n", how->is_dry ? "would remove" : "removed", one->path);
    else
        how->status = quern_command_fail(errno, "cannot remove %s", one->path);
}

/* Whether all names in a directory are of a kind. */
static bool holds_only(int fd, bool (*is_known)(const char *name))
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *open = copy >= 0 ? fdopendir(copy) : NULL;
    bool is_so = open != NULL;
    for (struct dirent *entry; is_so && (entry = readdir(open));)
        is_so = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || is_known(entry->d_name);
    if (open)
        closedir(open);
    else if (copy >= 0)
        close(copy);
    return is_so;
}

/* ---- what `quern run` and spills leave ---- */

static void clean_run(cleaning *how, const candidate *one)
{
    if (one->age_seconds < RUN_AGE_SECONDS)
        return tell_left(one, "it was made just now");
    if (flock(one->fd, LOCK_EX | LOCK_NB) != 0)
        return tell_left(one, "its job lives");
    tell_removed(how, one, how->is_dry || quern_litter_remove(one->path));
}

static bool is_spill(const char *name)
{
    return strcmp(name, SPILL_FILE) == 0;
}

static void clean_spill(cleaning *how, const candidate *one)
{
    if (one->age_seconds < SPILL_AGE_SECONDS)
        return tell_left(one, "it was made within the hour");
    if (!holds_only(one->fd, is_spill))
        return tell_left(one, "there are other files in it, which a process elsewhere may have open");
    tell_removed(how, one, how->is_dry || quern_litter_remove(one->path));
}

/* ---- outputs ---- */

/* What stands behind a dot and a token, if there is one; else the same. */
static const char *pass_token(const char *text)
{
    bool has_token = *text == '.' && strspn(text + 1, "0123456789abcdef") == TOKEN_DIGITS;
    return has_token ? text + 1 + TOKEN_DIGITS : text;
}

static bool is_temporary(const char *suffix)
{
    return strcmp(suffix, ".tmp") == 0 || strcmp(suffix, ".second.tmp") == 0;
}

/* "-00012": past it; NULL: something else. */
static const char *pass_number(const char *text)
{
    size_t count = *text == '-' ? strspn(text + 1, "0123456789") : 0;
    return count >= DIGITS_MIN ? text + 1 + count : NULL;
}

/* Of bad records, while a job finds them: runtime/engine/quarantine.c. */
static bool is_of_quarantine(const char *name)
{
    const char *rest = has_prefix(name, ".bad-") ? pass_number(name + 4) : NULL;
    rest = rest ? pass_number(rest) : NULL;
    return rest && strcmp(pass_token(rest), ".jsonl.tmp") == 0;
}

/* As runtime/io/output_names.h says. */
static bool is_of_output(const char *name)
{
    if (is_of_quarantine(name))
        return true;
    if (strcmp(name, "_MANIFEST.json") == 0)
        return true;
    if (has_prefix(name, LOCK_NAME))
        return *pass_token(name + strlen(LOCK_NAME)) == 0;
    if (has_prefix(name, ".success.") || has_prefix(name, ".manifest."))
        return strcmp(pass_token(strchr(name + 1, '.')), ".tmp") == 0;
    const char *digits = name + (*name == '.');
    if (!has_prefix(digits, "part-"))
        return false;
    size_t count = strspn(digits + 5, "0123456789");
    const char *suffix = digits + 5 + count;
    return count >= DIGITS_MIN && (*name == '.' ? is_temporary(pass_token(suffix)) : *suffix == 0 || *suffix == '.');
}

/* What the machine is called since it was started; false: nobody knows. */
static bool read_boot_id(char boot[BOOT_ID_BYTES + 1])
{
    FILE *file = fopen(BOOT_ID_PATH, "re");
    size_t bytes = file ? fread(boot, 1, BOOT_ID_BYTES, file) : 0;
    if (file)
        fclose(file);
    boot[bytes] = 0;
    return bytes == BOOT_ID_BYTES;
}

/* Why the job may live, or NULL; the lock is then ours. */
static const char *why_alive(int directory, int lock)
{
    char boot[BOOT_ID_BYTES + 1], owner[BOOT_ID_BYTES + 1] = "";
    struct stat opened, named;
    if (lock < 0 || fstat(lock, &opened) != 0 || !S_ISREG(opened.st_mode))
        return "its lock cannot be read";
    ssize_t bytes = pread(lock, owner, BOOT_ID_BYTES, 0);
    owner[bytes > 0 ? bytes : 0] = 0;
    if (!read_boot_id(boot) || strcmp(boot, owner) != 0)
        return "its job ran on another machine, or before this one was started again: see that it has ended, and "
               "remove it";
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return "its job lives";
    if (fstatat(directory, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) != 0 || named.st_ino != opened.st_ino ||
        named.st_dev != opened.st_dev)
        return "its job has just ended";
    return NULL;
}

/* The lock last: until then nobody else begins there. */
static bool remove_output(const candidate *one)
{
    int copy = openat(one->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *open = copy >= 0 ? fdopendir(copy) : NULL;
    if (!open)
        return false;
    bool is_gone = true;
    for (struct dirent *entry; (entry = readdir(open));)
        if (is_of_output(entry->d_name) && strcmp(entry->d_name, LOCK_NAME) != 0)
            is_gone &= unlinkat(one->fd, entry->d_name, 0) == 0;
    closedir(open);
    return is_gone && unlinkat(one->fd, LOCK_NAME, 0) == 0 && rmdir(one->path) == 0;
}

static void clean_output(cleaning *how, const candidate *one)
{
    int lock = openat(one->fd, LOCK_NAME, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const char *reason = why_alive(one->fd, lock);
    if (!reason && !holds_only(one->fd, is_of_output))
        reason = "there is more in it than a job leaves that was killed";
    if (reason)
        tell_left(one, reason);
    else
        tell_removed(how, one, how->is_dry || remove_output(one));
    if (lock >= 0)
        close(lock);
}

/* ---- directories ---- */

static bool has_lock(int directory)
{
    struct stat about;
    return fstatat(directory, LOCK_NAME, &about, AT_SYMLINK_NOFOLLOW) == 0;
}

/* By name, or by what is in it; anything else is left without a word. */
static void clean_candidate(cleaning *how, const candidate *one)
{
    if (has_prefix(one->name, LITTER_PREFIX))
        clean_run(how, one);
    else if (has_prefix(one->name, SPILL_PREFIX))
        clean_spill(how, one);
    else if (has_lock(one->fd))
        clean_output(how, one);
}

static void clean_entry(cleaning *how, int parent, const char *directory, const char *name)
{
    char path[PATH_MAX];
    struct stat about;
    candidate one = {.path = path, .name = name};
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return;
    one.fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (one.fd < 0)
        return;
    if (fstat(one.fd, &about) == 0 && about.st_uid == geteuid()) {
        one.age_seconds = time(NULL) - about.st_mtime;
        clean_candidate(how, &one);
    }
    close(one.fd);
}

/* The directory itself may be an output; else what is in it is looked at. */
static void clean_directory(cleaning *how, const char *path)
{
    DIR *open = opendir(path);
    if (!open) {
        how->status = quern_command_fail(errno, "cannot look into %s", path);
        return;
    }
    candidate self = {.path = path, .name = "", .fd = dirfd(open)};
    struct stat about;
    if (has_lock(self.fd)) {
        if (fstat(self.fd, &about) == 0 && about.st_uid == geteuid())
            clean_output(how, &self);
    } else
        for (struct dirent *entry; (entry = readdir(open));)
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                clean_entry(how, self.fd, path, entry->d_name);
    closedir(open);
}

/* Where the library and `quern run` leave things if nobody says otherwise. */
static void clean_defaults(cleaning *how)
{
    const char *temporary = getenv("TMPDIR"), *spills = qn_scratch_choose(NULL);
    if (temporary && *temporary) {
        clean_directory(how, temporary);
        if (strcmp(spills, temporary) != 0)
            clean_directory(how, spills);
    } else {
        clean_directory(how, "/var/tmp");
        clean_directory(how, "/tmp");
    }
    if (access("/dev/shm", R_OK | X_OK) == 0)
        clean_directory(how, "/dev/shm");
}

static const struct argp_option options[] = {
    {"dry-run", QUERN_COMMAND_KEY, NULL, 0, "Says what it would do, and does nothing"},
    {0},
};

static bool take(void *how, int key, const char *word)
{
    (void)key, (void)word;
    ((cleaning *)how)->is_dry = true;
    return true;
}

static int run(int argc, char **argv)
{
    cleaning how = {0};
    int first = quern_command_parse(&quern_command_clean, argc, argv, take, &how);
    if (first == argc)
        clean_defaults(&how);
    for (int i = first; i < argc; i++)
        clean_directory(&how, argv[i]);
    return how.status;
}

const quern_command quern_command_clean = {
    .name = "clean",
    .operands = "[DIR...]",
    .what = "removes what killed jobs left, and nothing of one that lives",
    .about = "It looks in each DIR, or in $TMPDIR (else /var/tmp and /tmp), where jobs spill, and /dev/shm, one level "
             "deep, and follows "
             "no links. It removes "
             "directories quern-run.XXXXXX that nobody holds, quern-spill-XXXXXX after an hour, and output directories "
             "and quarantines of jobs of this "
             "machine that are dead; DIR may be one of these itself. Of what it leaves it says why. Checkpoints are "
             "never removed.",
    .options = options,
    .examples = "  quern clean --dry-run\n"
                "  quern clean results/\n",
    .see = "quern-run(1)",
    .run = run,
};
