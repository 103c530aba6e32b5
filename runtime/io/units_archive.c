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
#define ZIP_HEADER_BYTES  30 /* of a member, without its name */
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
static bool find_next_member(qn_finder *finder, struct archive *archive, const qn_archive_input *input, tar_walk *walk)
{
    struct archive_entry *entry = NULL;
    int result = archive_read_next_header(archive, &entry);
    walk->ended = qn_archive_is_tar_end(archive, input, result);
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
    qn_archive_input input = qn_archive_view_input(&view);
    struct archive *archive = archive_read_new();
    if (archive) {
        qn_archive_support_tar(archive);
        if (qn_archive_view_open(&view, archive) == ARCHIVE_OK)
            while (find_next_member(finder, archive, &input, &walk))
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

/* Finds the end of the directory, behind which there may be a comment, and what it says; `begin` only if that is right before it. */
static bool find_directory(qn_finder *finder, uint8_t *piece, zip_directory *out, bool *is_there_out)
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
    *is_there_out = read_end64(finder, end_offset, out);
    if (*is_there_out)
        return true;
    uint64_t said = qn_le32(piece + at + 16), directory_bytes = qn_le32(piece + at + 12);
    if (directory_bytes > end_offset)
        return false;
    *out = (zip_directory){end_offset - directory_bytes, directory_bytes, le16(piece + at + 10)};
    *is_there_out = said == out->begin; /* elsewhere something was put before the archive: only libarchive knows */
    return true;
}

typedef struct zip_entry {
    uint64_t header; /* of the member, where */
    uint64_t packed_bytes;
} zip_entry;

/* Of zip64 a number that did not fit stands in a field, behind those before it. */
static bool read_wide(const uint8_t *field, size_t bytes, size_t *at, uint64_t *number)
{
    if (*number != UINT32_MAX)
        return true;
    if (*at + 8 > bytes)
        return false;
    *number = qn_le64(field + *at);
    *at += 8;
    return true;
}

static bool read_entry(const uint8_t *entry, size_t bytes, zip_entry *out)
{
    size_t at = ZIP_ENTRY_BYTES + le16(entry + 28), end = at + le16(entry + 30), wide_at = 0;
    uint64_t unpacked_bytes = qn_le32(entry + 24);
    *out = (zip_entry){.header = qn_le32(entry + 42), .packed_bytes = qn_le32(entry + 20)};
    if (out->header != UINT32_MAX && out->packed_bytes != UINT32_MAX)
        return true;
    for (; end <= bytes && at + 4 <= end; at += 4 + le16(entry + at + 2)) {
        size_t field_bytes = le16(entry + at + 2);
        const uint8_t *field = entry + at + 4;
        if (le16(entry + at) == 1)
            return field_bytes <= end - at - 4 && read_wide(field, field_bytes, &wide_at, &unpacked_bytes) &&
                   read_wide(field, field_bytes, &wide_at, &out->packed_bytes) &&
                   read_wide(field, field_bytes, &wide_at, &out->header);
    }
    return false;
}

typedef struct zip_walk {
    zip_directory directory;
    uint64_t at; /* in the file */
    uint64_t number, bordered;
    uint64_t last_end; /* of the bytes of the last member, without its name */
    bool only_sums;
    uint64_t sum_bytes; /* of all members; UINT64_MAX: more than the file */
} zip_walk;

static void add_to_sum(const qn_finder *finder, const zip_entry *entry, zip_walk *walk)
{
    bool fits = walk->sum_bytes <= finder->file_bytes && entry->packed_bytes <= finder->file_bytes;
    walk->sum_bytes = fits ? walk->sum_bytes + ZIP_HEADER_BYTES + entry->packed_bytes : UINT64_MAX;
    walk->number++;
}

/* An entry, of which all bytes are there. Members have to be in the order of the directory, which is the order in which libarchive
 * reads them, and none may have bytes of another. */
static bool add_entry(qn_finder *finder, const uint8_t *bytes_of, size_t bytes, zip_walk *walk)
{
    zip_entry entry;
    bool is_good = read_entry(bytes_of, bytes, &entry);
    if (walk->only_sums) {
        if (is_good)
            add_to_sum(finder, &entry, walk);
        return true;
    }
    if (!is_good || entry.header < walk->last_end || entry.header >= walk->directory.begin ||
        entry.packed_bytes > walk->directory.begin - entry.header)
        return false;
    qn_border border = {
        .offset = entry.header, .logical = QN_BYTES_UNKNOWN, .number = walk->number, .directory = walk->at};
    size_t before = finder->units->count;
    if (walk->number == 0)
        finder->units->borders[0].directory = walk->at;
    else if (!qn_finder_add(finder, &border, walk->number - walk->bordered >= QN_ENTRIES_OF_PART_MAX))
        return false;
    if (finder->units->count > before)
        walk->bordered = walk->number;
    walk->last_end = entry.header + ZIP_HEADER_BYTES + entry.packed_bytes;
    walk->number++;
    return walk->last_end <= walk->directory.begin;
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
    bool is_whole = false, is_there = false;
    if (piece && find_directory(finder, piece, &walk.directory, &is_there) && is_there) {
        walk.at = walk.directory.begin;
        is_whole = walk_directory(finder, piece, &walk);
    }
    if (!is_whole)
        finder->units->count = 1;
    finder->units->borders[finder->units->count] =
        (qn_border){.number = walk.number, .directory = walk.directory.begin + walk.directory.bytes};
    free(piece);
}

/* libarchive goes on while there are entries, however many there are said to be. */
static bool claims_too_much(qn_finder *finder, uint8_t *piece)
{
    zip_walk walk = {.only_sums = true};
    bool is_there;
    if (!find_directory(finder, piece, &walk.directory, &is_there))
        return false;
    walk.at = walk.directory.begin;
    walk.directory.bytes = finder->file_bytes - walk.directory.begin;
    walk.directory.count = UINT64_MAX;
    walk_directory(finder, piece, &walk);
    return walk.sum_bytes > finder->file_bytes;
}

quern_status qn_units_check_zip(int fd, const char *path, uint64_t file_bytes, qn_error *error)
{
    qn_finder finder = {.fd = fd, .path = path, .file_bytes = file_bytes, .error = error};
    uint8_t *piece = malloc(DIRECTORY_PIECE);
    if (!piece)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the directory of %s", path);
    bool is_refused = claims_too_much(&finder, piece);
    free(piece);
    if (finder.status != QUERN_OK || !is_refused)
        return finder.status;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "the members of %s are said to have more bytes than it has: they overlap, as in a bomb, or its "
                        "directory is damaged",
                        path);
}
