/* SPDX-License-Identifier: BSD-3-Clause */
/* quern cat of archives: their members, as any program reads them, so that a zip's checksums are compared. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "tools/quern/archive_content.h"
#include "tools/quern/cat.h"
#include "tools/quern/commands.h"

#define PIECE_BYTES ((size_t)1 << 20)

typedef struct totals {
    uint64_t count, bytes;
} totals;

static quern_cat_outcome show_member(const quern_cat *how, struct archive *archive, struct archive_entry *entry,
                                     totals *all)
{
    const char *name = archive_entry_pathname(entry);
    int64_t bytes = quern_archive_count(archive);
    if (bytes < 0)
        return quern_cat_tell_damage("member %" PRIu64 ", %s: %s", all->count + 1, name ? name : "?",
                                     archive_error_string(archive));
    if (all->count++ < how->record_count_max) {
        printf("  %" PRId64 "\t", bytes);
        quern_cat_put_text(name ? name : "?");
        putchar('\n');
    }
    all->bytes += (uint64_t)bytes;
    return QUERN_CAT_WHOLE;
}

static quern_cat_outcome show_members(const quern_cat *how, struct archive *archive, totals *all)
{
    struct archive_entry *entry;
    int result;
    while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN)
        if (show_member(how, archive, entry, all) != QUERN_CAT_WHOLE)
            return QUERN_CAT_DAMAGED;
    if (result == ARCHIVE_EOF)
        return QUERN_CAT_WHOLE;
    return quern_cat_tell_damage("behind member %" PRIu64 ": %s", all->count, archive_error_string(archive));
}

quern_cat_outcome quern_cat_archive(const quern_cat *how, const char *path)
{
    totals all = {0};
    struct archive *archive = archive_read_new();
    if (!archive) {
        quern_command_fail(ENOMEM, "cannot read %s", path);
        return QUERN_CAT_UNREAD;
    }
    archive_read_support_filter_all(archive);
    archive_read_support_format_tar(archive);
    archive_read_support_format_zip(archive);
    quern_cat_put_text(path);
    puts(": archive; bytes and names of its members");
    quern_cat_outcome outcome = archive_read_open_filename(archive, path, PIECE_BYTES) == ARCHIVE_OK
                                    ? show_members(how, archive, &all)
                                    : quern_cat_tell_damage("%s", archive_error_string(archive));
    printf("  %" PRIu64 " members of %" PRIu64 " bytes%s\n", all.count, all.bytes,
           outcome == QUERN_CAT_WHOLE ? "" : " before that");
    archive_read_free(archive);
    return outcome;
}
