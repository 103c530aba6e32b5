/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/litter.h"

#include <errno.h>
#include <fts.h>
#include <stddef.h>
#include <unistd.h>

static bool remove_entry(const FTSENT *entry)
{
    switch (entry->fts_info) {
    case FTS_D:
        return true;
    case FTS_DNR:
    case FTS_DP:
        return rmdir(entry->fts_accpath) == 0 || errno == ENOENT;
    case FTS_NS:
        return entry->fts_errno == ENOENT;
    default:
        return unlink(entry->fts_accpath) == 0 || errno == ENOENT;
    }
}

static bool remove_tree(const char *path, bool keeps_root)
{
    char *paths[] = {(char *)path, NULL};
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_XDEV, NULL);
    bool is_gone = tree != NULL;
    int reason = errno;
    for (FTSENT *entry; tree && (entry = fts_read(tree));) {
        bool is_kept = keeps_root && entry->fts_level == FTS_ROOTLEVEL && entry->fts_info != FTS_DNR;
        if (is_kept || remove_entry(entry))
            continue;
        is_gone = false;
        reason = errno;
    }
    if (tree)
        fts_close(tree);
    errno = reason;
    return is_gone;
}

bool quern_litter_remove(const char *path)
{
    return remove_tree(path, false);
}

bool quern_litter_empty(const char *path)
{
    return remove_tree(path, true);
}
