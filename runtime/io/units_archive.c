/* SPDX-License-Identifier: BSD-3-Clause */
/* Members of tar, header by header with libarchive, and of zip, by the directory. */
#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/io/archive_view.h"
#include "runtime/io/units_internal.h"

#define SCAN_BYTES        ((size_t)16 << 10)
#define TAR_BLOCK_BYTES   512
#define GIANT_SPACINGS    2 /* a stored member of so many times the spacing is cut by bytes */
#define ZIP_END_BYTES     22
#define ZIP_COMMENT_MAX   UINT16_MAX
#define ZIP_ENTRY_BYTES   46
#define ZIP_LOCATOR_BYTES 20
#define ZIP_END64_BYTES   56
#define DIRECTORY_PIECE   ((size_t)1 << 20)

/* ---------------------------------------------------------------- tar */

/* Whether the member's bytes are stored at this place of the file: compares the first of them. */
static bool is_stored_at(qn_finder *finder, struct archive *archive, uint64_t offset, uint64_t bytes)
{
    const void *block = NULL;
    size_t got = 0;
    la_int64_t at = 0;
    uint8_t stored[TAR_BLOCK_BYTES];
    if (bytes > finder->file_bytes - offset || archive_read_data_block(archive, &block, &got, &at) != ARCHIVE_OK)
        return false;
    size_t compared = got < sizeof stored ? got : sizeof stored;
    return at == 0 && compared > 0 && qn_finder_read(finder, stored, compared, offset) &&
           memcmp(stored, block, compared) == 0;
}

/* A large member without holes becomes a part of its own, from its headers up to those of the next. */
static bool is_giant(qn_finder *finder, struct archive *archive, struct archive_entry *entry, uint64_t offset,
                     qn_border *border)
{
    uint64_t data = (uint64_t)archive_filter_bytes(archive, 0), bytes = (uint64_t)archive_entry_size(entry);
    const char *path = archive_entry_pathname(entry);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) || !path ||
        archive_entry_sparse_count(entry) > 0 || archive_entry_size(entry) <= 0 ||
        bytes / GIANT_SPACINGS < finder->spacing || data <= offset || data > finder->file_bytes ||
        !is_stored_at(finder, archive, data, bytes))
        return false;
    border->member = qn_arena_text(finder->names, path);
    border->data_begin = data;
    border->data_bytes = bytes;
    return border->member != NULL;
}

typedef struct tar_walk {
    uint64_t number, bordered;
    bool behind_giant, ended;
} tar_walk;

/* The next entry: a border where enough came before it, before and behind a giant. false: there are none left. */
static bool find_next_member(qn_finder *finder, struct archive *archive, tar_walk *walk)
{
    struct archive_entry *entry = NULL;
    int result = archive_read_next_header(archive, &entry);
    walk->ended = result == ARCHIVE_EOF && qn_archive_has_tar_end(archive);
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
        return false;
    qn_border border = {
        .offset = (uint64_t)archive_read_header_position(archive), .logical = QN_BYTES_UNKNOWN, .number = walk->number};
    bool was_giant = walk->behind_giant;
    walk->behind_giant = is_giant(finder, archive, entry, border.offset, &border);
    if (walk->number == 0 && walk->behind_giant)
        finder->units->borders[0] = border;
    bool wanted = walk->behind_giant || was_giant || walk->number - walk->bordered >= QN_ENTRIES_OF_PART_MAX;
    size_t before = finder->units->count;
    if (walk->number > 0 && !qn_finder_add(finder, &border, wanted))
        return false;
    if (finder->units->count > before)
        walk->bordered = walk->number;
    walk->number++;
    return finder->status == QUERN_OK;
}

void qn_find_tar_members(qn_finder *finder)
{
    qn_archive_view view;
    tar_walk walk = {0};
    qn_archive_view_init(&view, finder->fd, 0, finder->file_bytes, SCAN_BYTES);
    struct archive *archive = archive_read_new();
    if (archive) {
        archive_read_support_format_tar(archive);
        if (qn_archive_view_open(&view, archive) == ARCHIVE_OK)
            while (find_next_member(finder, archive, &walk))
                ;
        archive_read_free(archive);
    }
    /* What makes no sense behind a giant is for its reader to find: who reads a giant's bytes looks at nothing else. */
    if (!walk.ended)
        finder->units->borders[finder->units->count - 1].member = NULL;
    qn_archive_view_fini(&view);
}

/* ---------------------------------------------------------------- zip */

typedef struct zip_directory {
    uint64_t begin, bytes, count;
} zip_directory;

static uint32_t le16(const uint8_t *bytes)
{
    return (uint32_t)(bytes[0] | bytes[1] << 8);
}

static bool read_end64(qn_finder *finder, uint64_t end_offset, zip_directory *out)
{
    uint8_t locator[ZIP_LOCATOR_BYTES], end[ZIP_END64_BYTES];
    if (end_offset < sizeof locator || !qn_finder_read(finder, locator, sizeof locator, end_offset - sizeof locator) ||
        qn_le32(locator) != 0x07064b50 || !qn_finder_read(finder, end, sizeof end, qn_le64(locator + 8)) ||
        qn_le32(end) != 0x06064b50)
        return false;
    *out = (zip_directory){qn_le64(end + 48), qn_le64(end + 40), qn_le64(end + 32)};
    return out->bytes <= finder->file_bytes && out->begin == qn_le64(locator + 8) - out->bytes;
}

/* Finds the end of the directory, behind which there may be a comment. */
static bool find_directory(qn_finder *finder, uint8_t *piece, zip_directory *out)
{
    uint64_t bytes = ZIP_END_BYTES + ZIP_COMMENT_MAX;
    bytes = bytes < finder->file_bytes ? bytes : finder->file_bytes;
    uint64_t from = finder->file_bytes - bytes;
    if (bytes < ZIP_END_BYTES || !qn_finder_read(finder, piece, (size_t)bytes, from))
        return false;
    size_t at = (size_t)bytes - ZIP_END_BYTES;
    while (at > 0 && qn_le32(piece + at) != 0x06054b50)
        at--;
    if (qn_le32(piece + at) != 0x06054b50 || le16(piece + at + 4) != 0)
        return false;
    uint64_t end_offset = from + at;
    if (read_end64(finder, end_offset, out))
        return true;
    *out = (zip_directory){qn_le32(piece + at + 16), qn_le32(piece + at + 12), le16(piece + at + 10)};
    return out->begin + out->bytes ==
           end_offset; /* elsewhere something was put before the archive: only libarchive knows */
}

/* Where the member's header is. */
static bool read_entry(const uint8_t *entry, size_t bytes, uint64_t *header_out)
{
    size_t name_bytes = le16(entry + 28), extra_bytes = le16(entry + 30);
    *header_out = qn_le32(entry + 42);
    if (*header_out != UINT32_MAX)
        return true;
    /* zip64: of these, those that do not fit, in this order. */
    size_t at = ZIP_ENTRY_BYTES + name_bytes, end = at + extra_bytes;
    size_t before = 8 * (size_t)(qn_le32(entry + 24) == UINT32_MAX) + 8 * (size_t)(qn_le32(entry + 20) == UINT32_MAX);
    for (; end <= bytes && at + 4 <= end; at += 4 + le16(entry + at + 2)) {
        if (le16(entry + at) != 1)
            continue;
        if (le16(entry + at + 2) < before + 8 || at + 4 + before + 8 > end)
            return false;
        *header_out = qn_le64(entry + at + 4 + before);
        return true;
    }
    return false;
}

typedef struct zip_walk {
    zip_directory directory;
    uint64_t at; /* in the file */
    uint64_t number, bordered;
    uint64_t last_header;
} zip_walk;

/* An entry, of which all bytes are there. Headers of members have to be in the order of the directory, which is the order in which libarchive
 * reads them. */
static bool add_entry(qn_finder *finder, const uint8_t *entry, size_t bytes, zip_walk *walk)
{
    uint64_t header = 0;
    if (!read_entry(entry, bytes, &header) || header >= walk->directory.begin ||
        (walk->number > 0 && header <= walk->last_header))
        return false;
    qn_border border = {.offset = header, .logical = QN_BYTES_UNKNOWN, .number = walk->number, .directory = walk->at};
    size_t before = finder->units->count;
    if (walk->number == 0)
        finder->units->borders[0].directory = walk->at;
    else if (!qn_finder_add(finder, &border, walk->number - walk->bordered >= QN_ENTRIES_OF_PART_MAX))
        return false;
    if (finder->units->count > before)
        walk->bordered = walk->number;
    walk->last_header = header;
    walk->number++;
    return true;
}

/* The entries that are whole in the piece. Returns their bytes; 0: there is something else. */
static size_t add_entries(qn_finder *finder, const uint8_t *piece, size_t bytes, zip_walk *walk)
{
    size_t at = 0;
    while (bytes - at >= ZIP_ENTRY_BYTES && walk->number < walk->directory.count) {
        const uint8_t *entry = piece + at;
        size_t entry_bytes = ZIP_ENTRY_BYTES + le16(entry + 28) + le16(entry + 30) + le16(entry + 32);
        if (entry_bytes > bytes - at)
            break;
        if (qn_le32(entry) != 0x02014b50 || !add_entry(finder, entry, entry_bytes, walk))
            return 0;
        at += entry_bytes;
        walk->at += entry_bytes;
    }
    return at;
}

static bool walk_directory(qn_finder *finder, uint8_t *piece, zip_walk *walk)
{
    uint64_t end = walk->directory.begin + walk->directory.bytes;
    while (walk->number < walk->directory.count) {
        uint64_t left = end - walk->at;
        size_t bytes = left < DIRECTORY_PIECE ? (size_t)left : DIRECTORY_PIECE;
        if (bytes == 0 || !qn_finder_read(finder, piece, bytes, walk->at) ||
            add_entries(finder, piece, bytes, walk) == 0)
            return false;
    }
    return walk->at == end;
}

void qn_find_zip_members(qn_finder *finder)
{
    zip_walk walk = {0};
    uint8_t *piece = malloc(DIRECTORY_PIECE);
    bool is_whole = false;
    if (piece && find_directory(finder, piece, &walk.directory)) {
        walk.at = walk.directory.begin;
        is_whole = walk_directory(finder, piece, &walk);
    }
    if (!is_whole)
        finder->units->count = 1;
    finder->units->borders[finder->units->count] =
        (qn_border){.number = walk.number, .directory = walk.directory.begin + walk.directory.bytes};
    free(piece);
}
