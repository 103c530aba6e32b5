/* SPDX-License-Identifier: BSD-3-Clause */
/* What a file is, by its first bytes, and where those could be text after all, by what libarchive makes of them. */
#include <stdlib.h>
#include <string.h>

#include "runtime/base/file.h"
#include "runtime/io/decoder.h"
#include "runtime/io/unpack.h"

#define HEAD_BYTES      512   /* of a file, in which most formats show themselves: a header of tar */
#define ISO_OFFSET      32769 /* where an image of ISO 9660 has its name */
#define ISO_NAME        "CD001"
#define SUM_AT          148 /* the checksum in a header of tar, in octal digits */
#define SUM_BYTES       8
#define MAGIC_BYTES_MAX 10
#define INNER_BYTES     (ISO_OFFSET + sizeof ISO_NAME - 1)
#define SKIPPED_MAX     16 /* frames that are left out before the first that is not */

/* What a file may begin with. With text, these bytes may be text after all. */
typedef struct magic {
    uint8_t bytes[MAGIC_BYTES_MAX];
    uint8_t count;
    bool is_text;
    qn_unit_kind kind;
} magic;

static const magic magics[] = {
    {{0x1f, 0x8b, 8}, 3, false},                            /* gzip, BGZF */
    {{'B', 'Z', 'h'}, 3, true},                             /* bzip2, if what follows makes sense */
    {{0xfd, '7', 'z', 'X', 'Z', 0}, 6, false, QN_UNITS_XZ}, /* xz */
    {{0x28, 0xb5, 0x2f, 0xfd}, 4, false, QN_UNITS_ZSTD},    /* zstd */
    {{0x04, 0x22, 0x4d, 0x18}, 4, false, QN_UNITS_LZ4},     /* lz4 */
    {{0x02, 0x21, 0x4c, 0x18}, 4, false},                   /* lz4, the old frame */
    {{'P', 'K', 3, 4}, 4, false, QN_UNITS_ZIP},             /* zip */
    {{'P', 'K', 5, 6}, 4, false},                           /* zip without members */
    {{'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}, 6, false},         /* 7-Zip */
    {{'0', '7', '0', '7', '0', '1'}, 6, true},              /* cpio */
    {{'0', '7', '0', '7', '0', '2'}, 6, true},
    {{'0', '7', '0', '7', '0', '7'}, 6, true},
};

/* Whether the checksum of a header of tar is right. Its own bytes count as spaces, and are digits, spaces and zeros only. */
static bool is_tar_header(const uint8_t *head)
{
    uint32_t sum = SUM_BYTES * ' ', said = 0;
    for (size_t i = SUM_AT; i < SUM_AT + SUM_BYTES; i++) {
        bool is_digit = head[i] >= '0' && head[i] <= '7';
        if (!is_digit && head[i] != ' ' && head[i] != 0) /* most files of text are known by that */
            return false;
        if (is_digit)
            said = 8 * said + (head[i] - (uint32_t)'0');
    }
    for (size_t i = 0; i < HEAD_BYTES; i++)
        if (i < SUM_AT || i >= SUM_AT + SUM_BYTES)
            sum += head[i];
    return said == sum && head[0] != 0;
}

typedef enum appearance {
    LOOKS_PLAIN,
    LOOKS_PACKED,
    LOOKS_LIKE_EITHER,
} appearance;

typedef struct first_look {
    appearance looks;
    qn_unit_kind kind; /* that it may be */
} first_look;

static bool is_bzip2(const uint8_t *head, size_t bytes)
{
    return bytes >= 10 && memcmp(head, "BZh", 3) == 0 && head[3] >= '1' && head[3] <= '9' &&
           memcmp(head + 4, "1AY&SY", 6) == 0;
}

static first_look look_at(const uint8_t *head, size_t bytes)
{
    if (bytes >= QN_BGZF_HEAD_BYTES && qn_bgzf_block_bytes(head) > 0)
        return (first_look){LOOKS_PACKED, QN_UNITS_BGZF};
    if (is_bzip2(head, bytes))
        return (first_look){LOOKS_PACKED, QN_UNITS_BZIP2};
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (bytes >= magics[i].count && memcmp(head, magics[i].bytes, magics[i].count) == 0)
            return (first_look){magics[i].is_text ? LOOKS_LIKE_EITHER : LOOKS_PACKED, magics[i].kind};
    if (bytes >= 4 && qn_is_skippable_frame(head))
        return (first_look){LOOKS_PACKED, QN_UNITS_NONE};
    if (bytes == HEAD_BYTES && is_tar_header(head))
        return (first_look){LOOKS_LIKE_EITHER, QN_UNITS_TAR};
    return (first_look){LOOKS_PLAIN, QN_UNITS_NONE};
}

qn_unit_kind qn_unpack_kind_of(const uint8_t *head, size_t bytes)
{
    qn_unit_kind kind = look_at(head, bytes).kind;
    return qn_units_are_members(kind) ? QN_UNITS_NONE : kind;
}

/* Frames that are left out, as pzstd has them at the begin: what comes behind them counts. */
static quern_status look_behind_skippable(int fd, const char *path, first_look *look, qn_error *error)
{
    uint8_t head[8];
    uint64_t offset = 0;
    size_t bytes = sizeof head;
    for (int i = 0; i < SKIPPED_MAX; i++) {
        quern_status status = qn_file_read_at(fd, head, sizeof head, offset, path, QUERN_ERROR_INPUT, &bytes, error);
        if (status != QUERN_OK || bytes < sizeof head)
            return status;
        if (!qn_is_skippable_frame(head)) {
            look->kind = look_at(head, bytes).kind;
            return QUERN_OK;
        }
        offset += sizeof head + qn_le32(head + 4);
    }
    return QUERN_OK;
}

static quern_status look_at_file(int fd, const char *path, uint64_t file_bytes, first_look *look_out, qn_error *error)
{
    uint8_t head[HEAD_BYTES];
    size_t bytes = 0;
    quern_status status = qn_file_read_at(fd, head, sizeof head, 0, path, QUERN_ERROR_INPUT, &bytes, error);
    if (status != QUERN_OK)
        return status;
    *look_out = look_at(head, bytes);
    if (bytes >= 4 && qn_is_skippable_frame(head))
        return look_behind_skippable(fd, path, look_out, error);
    if (look_out->looks != LOOKS_PLAIN || file_bytes < ISO_OFFSET + sizeof ISO_NAME)
        return QUERN_OK;
    status = qn_file_read_at(fd, head, sizeof ISO_NAME - 1, ISO_OFFSET, path, QUERN_ERROR_INPUT, &bytes, error);
    if (status == QUERN_OK && bytes == sizeof ISO_NAME - 1 && memcmp(head, ISO_NAME, bytes) == 0)
        look_out->looks = LOOKS_LIKE_EITHER;
    return status;
}

/* What libarchive takes a file for that may be text. One that it cannot make sense of is text. */
static quern_status ask_libarchive(int fd, const char *path, uint64_t file_bytes, qn_packing *packing_out,
                                   qn_unit_kind *kind, qn_error *error)
{
    qn_unpacker *unpacker = NULL;
    qn_unit_part part = {.behind.offset = file_bytes};
    bool found = false;
    quern_status status = qn_unpacker_create(&unpacker, fd, path, file_bytes, &part, error);
    if (status != QUERN_OK)
        return status;
    qn_error unread = {0};
    bool made_sense = qn_unpacker_enter(unpacker, 0, &found, &unread) == QUERN_OK || qn_unpacker_is_at_end(unpacker) ||
                      (qn_unpacker_is_bare_tar(unpacker) && qn_unpacker_has_entries(unpacker));
    *packing_out = made_sense && !qn_unpacker_changes_nothing(unpacker) ? QN_PACKING_STREAM : QN_PACKING_NONE;
    if (*packing_out == QN_PACKING_NONE || !qn_unpacker_is_bare_tar(unpacker))
        *kind = QN_UNITS_NONE;
    qn_unpacker_destroy(unpacker);
    return QUERN_OK;
}

/* Units whose bytes are an archive, or packed again, are libarchive's. Damage is left to those who read. */
static quern_status look_inside(int fd, const char *path, uint64_t file_bytes, qn_unit_kind *kind, qn_error *error)
{
    qn_decoder *decoder = qn_decoder_create(*kind, fd, &(qn_border){0}, file_bytes, file_bytes);
    uint8_t *inner = malloc(INNER_BYTES);
    const char *text = NULL;
    if (decoder && inner) {
        qn_decoder_read(decoder, inner, INNER_BYTES, &text);
        size_t got = qn_decoder_get_given(decoder); /* also of what is damaged behind them */
        bool is_iso = got == INNER_BYTES && memcmp(inner + ISO_OFFSET, ISO_NAME, sizeof ISO_NAME - 1) == 0;
        if (is_iso || (got > 0 && look_at(inner, got < HEAD_BYTES ? got : HEAD_BYTES).looks != LOOKS_PLAIN))
            *kind = QN_UNITS_NONE;
    }
    bool is_good = decoder && inner;
    qn_decoder_destroy(decoder);
    free(inner);
    return is_good ? QUERN_OK : qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to look into %s", path);
}

quern_status qn_unpack_examine(int fd, const char *path, uint64_t file_bytes, qn_packing *packing_out,
                               qn_unit_kind *kind_out, qn_error *error)
{
    first_look look = {LOOKS_PLAIN, QN_UNITS_NONE};
    quern_status status = look_at_file(fd, path, file_bytes, &look, error);
    *packing_out = look.looks == LOOKS_PLAIN ? QN_PACKING_NONE : QN_PACKING_STREAM;
    if (status == QUERN_OK && look.looks == LOOKS_LIKE_EITHER)
        status = ask_libarchive(fd, path, file_bytes, packing_out, &look.kind, error);
    if (status == QUERN_OK && look.kind != QN_UNITS_NONE && !qn_units_are_members(look.kind))
        status = look_inside(fd, path, file_bytes, &look.kind, error);
    *kind_out = look.kind;
    return status;
}
