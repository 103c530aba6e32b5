/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/cgroup.c: the directories of the cgroups that this process is in.
 *
 * A cgroup's path (/proc/self/cgroup) counts from the root of the hierarchy, but a container may mount only a part of
 * it; /proc/self/mountinfo says which part is mounted where. Every directory from our cgroup up to the mount
 * is visited, because a limit binds all that is below it.
 */
#include "runtime/topology/cgroup.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* One way in which the kernel keeps cgroups, and how to recognise it. */
typedef struct hierarchy {
    const char *root;
    const char *controller;      /* among those of the hierarchy; "" for v2, which has one for all */
    const char *usual_mounts[2]; /* where mountinfo cannot be read */
    qn_cgroup_fn fn;
    void *user;
} hierarchy;

FILE *qn_cgroup_open_below(const char *root, const char *path)
{
    char full[PATH_MAX];
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof full) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    return fopen(full, "re");
}

bool qn_cgroup_read_text(const char *directory, const char *name, char text_out[QN_CGROUP_TEXT_BYTES_MAX])
{
    FILE *file = qn_cgroup_open_below(directory, name);
    if (!file)
        return false;
    size_t length = fread(text_out, 1, QN_CGROUP_TEXT_BYTES_MAX - 1, file);
    bool whole = feof(file) && !ferror(file);
    fclose(file);
    text_out[length] = 0;
    return whole && strlen(text_out) == length;
}

/* Whether the word is among those of a list with commas. */
static bool list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *item = list; item; item = strchr(item, ',')) {
        item += *item == ',';
        if (strncmp(item, word, length) == 0 && (item[length] == 0 || item[length] == ','))
            return true;
    }
    return false;
}

/* Lines are "number:controllers:path"; v2's is "0::path". */
static bool parse_cgroup_line(char *line, const hierarchy *of, char path_out[PATH_MAX])
{
    line[strcspn(line, "\n")] = 0;
    char *controllers = strchr(line, ':');
    char *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path)
        return false;
    *path++ = 0;
    controllers++;
    bool ours = *of->controller ? list_has(controllers, of->controller) : *controllers == 0;
    if (!ours || *path != '/' || strlen(path) >= PATH_MAX)
        return false;
    strcpy(path_out, path);
    return true;
}

static bool find_cgroup_path(const hierarchy *of, char path_out[PATH_MAX])
{
    FILE *file = qn_cgroup_open_below(of->root, "/proc/self/cgroup");
    if (!file)
        return false;
    char *line = NULL;
    size_t line_bytes = 0;
    bool found = false;
    while (!found && getline(&line, &line_bytes, file) > 0)
        found = parse_cgroup_line(line, of, path_out);
    free(line);
    fclose(file);
    return found;
}

/* The cgroup and all above it, up to the mount. `path` is cut on the way. */
static void visit_up(const hierarchy *of, const char *mount, char *path)
{
    for (;;) {
        char full[2 * PATH_MAX];
        int length = snprintf(full, sizeof full, "%s%s%s", of->root, mount, path);
        if (length > 0 && (size_t)length < sizeof full)
            of->fn(of->user, full, *of->controller == 0);
        char *slash = strrchr(path, '/');
        if (!slash)
            return;
        *slash = 0;
    }
}

/* The part of the cgroup's path below the mount, or NULL if the mount shows another part of the hierarchy. */
static const char *path_below_mount(const char *path, const char *mount_root)
{
    size_t length = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
    if (strstr(path, "/..") || strcmp(path, "/") == 0)
        return ""; /* a cgroup namespace hides where we are: only the top is surely above us */
    if (strncmp(path, mount_root, length) != 0 || (path[length] != '/' && path[length] != 0))
        return NULL;
    return path + length;
}

typedef struct mount_line {
    char *root;
    char *point;
    char *file_system;
    char *options; /* of the file system */
} mount_line;

/* "31 24 0:26 ROOT POINT rw,relatime shared:9 - FILESYSTEM SOURCE OPTIONS"; the number of fields before
 * the dash varies. Escaped blanks (\040) stay escaped: such a mount is not found, hence passed over. */
static bool parse_mount_line(char *line, mount_line *mount_out)
{
    char *rest = NULL;
    char *fields[5];
    for (size_t i = 0; i < 5; i++)
        if (!(fields[i] = strtok_r(i == 0 ? line : NULL, " \n", &rest)))
            return false;
    char *field;
    while ((field = strtok_r(NULL, " \n", &rest)) && strcmp(field, "-") != 0)
        ;
    char *file_system = strtok_r(NULL, " \n", &rest);
    char *device = strtok_r(NULL, " \n", &rest);
    char *options = strtok_r(NULL, " \n", &rest);
    if (!field || !file_system || !device || !options)
        return false;
    *mount_out = (mount_line){fields[3], fields[4], file_system, options};
    return true;
}

static bool is_mount_of(const mount_line *mount, const hierarchy *of)
{
    if (strcmp(mount->file_system, *of->controller ? "cgroup" : "cgroup2") != 0)
        return false;
    return *of->controller == 0 || list_has(mount->options, of->controller);
}

static bool visit_mounted(const hierarchy *of, const char *path)
{
    FILE *file = qn_cgroup_open_below(of->root, "/proc/self/mountinfo");
    if (!file)
        return false;
    char *line = NULL;
    size_t line_bytes = 0;
    mount_line mount;
    bool found = false;
    while (getline(&line, &line_bytes, file) > 0) {
        if (!parse_mount_line(line, &mount) || !is_mount_of(&mount, of))
            continue;
        const char *below = path_below_mount(path, mount.root);
        if (!below)
            continue;
        char cut[PATH_MAX];
        strcpy(cut, below);
        visit_up(of, mount.point, cut);
        found = true;
    }
    free(line);
    fclose(file);
    return found;
}

static void visit_hierarchy(const hierarchy *of)
{
    char path[PATH_MAX];
    if (!find_cgroup_path(of, path) || visit_mounted(of, path))
        return;
    for (size_t i = 0; i < 2 && of->usual_mounts[i]; i++) {
        char cut[PATH_MAX];
        strcpy(cut, path_below_mount(path, "/"));
        visit_up(of, of->usual_mounts[i], cut);
    }
}

void qn_cgroup_visit(const char *root, const char *controller, qn_cgroup_fn fn, void *user)
{
    char mount[NAME_MAX];
    const hierarchy v2 = {root, "", {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}, fn, user};
    const hierarchy v1 = {root, controller, {mount, NULL}, fn, user};
    snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controller);
    visit_hierarchy(&v2);
    visit_hierarchy(&v1);
}
