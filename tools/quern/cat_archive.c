/* SPDX-License-Identifier: BSD-3-Clause */
/* quern cat of archives: their members, as any program reads them, so that a zip's checksums are compared. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/io/archive_end.h"
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

static quern_cat_outcome show_end(struct archive *archive, const qn_archive_input *input, int result, const totals *all)
{
    uint64_t at;
    bool is_tar = (archive_format(archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
    if (qn_archive_is_tar_end(archive, input, result) || (result == ARCHIVE_EOF && !is_tar))
        return QUERN_CAT_WHOLE;
    if (result == ARCHIVE_EOF || qn_archive_is_used_up(archive, input, result))
        return quern_cat_tell_damage("behind member %" PRIu64 ": the zeros that end a tar are not there", all->count);
    if (qn_archive_is_no_header(archive, input, result, &at))
        return quern_cat_tell_damage("behind member %" PRIu64 ", at byte %" PRIu64 "%s: neither a header of a tar nor "
                                     "the zeros that end one",
                                     all->count, at, archive_filter_count(archive) > 1 ? " of what is unpacked" : "");
    return quern_cat_tell_damage("behind member %" PRIu64 ": %s", all->count, archive_error_string(archive));
}

static quern_cat_outcome show_members(const quern_cat *how, struct archive *archive, const qn_archive_input *input,
                                      totals *all)
{
    struct archive_entry *entry;
    int result;
    while ((result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK || result == ARCHIVE_WARN)
        if (show_member(how, archive, entry, all) != QUERN_CAT_WHOLE)
            return QUERN_CAT_DAMAGED;
    return show_end(archive, input, result, all);
}

static quern_cat_outcome show_archive(const quern_cat *how, struct archive *archive, const qn_archive_input *input,
                                      const char *path)
{
    totals all = {0};
    archive_read_support_filter_all(archive);
    qn_archive_support_tar(archive);
    archive_read_support_format_zip(archive);
    quern_cat_put_text(path);
    puts(": archive; bytes and names of its members");
    quern_cat_outcome outcome = archive_read_open_fd(archive, input->fd, PIECE_BYTES) == ARCHIVE_OK
                                    ? show_members(how, archive, input, &all)
                                    : quern_cat_tell_damage("%s", archive_error_string(archive));
    printf("  %" PRIu64 " members of %" PRIu64 " bytes%s\n", all.count, all.bytes,
           outcome == QUERN_CAT_WHOLE ? "" : " before that");
    return outcome;
}

quern_cat_outcome quern_cat_archive(const quern_cat *how, const char *path)
{
    struct stat file;
    quern_cat_outcome outcome = QUERN_CAT_UNREAD;
    struct archive *archive = archive_read_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (!archive || fd < 0 || fstat(fd, &file) != 0)
        quern_command_fail(archive ? errno : ENOMEM, "cannot read %s", path);
    else
        outcome = show_archive(how, archive, &(qn_archive_input){.fd = fd, .end = (uint64_t)file.st_size}, path);
    if (fd >= 0)
        close(fd);
    archive_read_free(archive);
    return outcome;
}
