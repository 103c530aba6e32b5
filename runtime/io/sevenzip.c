/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/sevenzip.h"

#include <errno.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/io/units.h"

#define START_BYTES      32 /* of the file: magic, version, and where the header is */
#define PIECE_BYTES      ((size_t)16 << 10)
#define PROPERTIES_MAX   16 /* bytes of them that are looked at */
#define CODERS_MAX       4  /* of a folder; libarchive knows none with more */
#define STREAMS_MAX      32 /* into and out of a folder */
#define MEMORY_PER_MIB   ((uint64_t)1 << 20)
#define LZMA2_NUMBER_MAX 40

/* What libarchive keeps of each, allocations included, at most. */
#define FOLDER_BYTES 640
#define PACKED_BYTES 32
#define STREAM_BYTES 32
#define MEMBER_BYTES 160

enum {
    ID_END = 0,
    ID_HEADER = 1,
    ID_MAIN_STREAMS = 4,
    ID_FILES = 5,
    ID_PACKED = 6,
    ID_FOLDERS = 7,
    ID_SUBSTREAMS = 8,
    ID_SIZE = 9,
    ID_SUMS = 10,
    ID_FOLDER = 11,
    ID_FOLDER_SIZES = 12,
    ID_SUBSTREAM_COUNT = 13,
    ID_ENCODED_HEADER = 0x17,
};

enum {
    CODEC_COPY = 0,
    CODEC_LZMA2 = 0x21,
    CODEC_LZMA = 0x030101,
    CODEC_PPMD = 0x030401,
    CODEC_BCJ2 = 0x0303011b,
    CODECS_CRYPTO = 0x06f1, /* the first two bytes */
};

/* The header's bytes, one behind the other. */
typedef struct reader {
    int fd;
    uint64_t offset;     /* of the next byte of the file */
    uint64_t file_bytes; /* that are left there */
    uint64_t left;       /* of the header, unpacked */
    lzma_stream *lzma;   /* NULL: it is not packed */
    uint8_t packed[PIECE_BYTES], piece[PIECE_BYTES];
    size_t at, count;  /* in the piece */
    uint64_t memory;   /* of the table, so far */
    uint64_t decoders; /* the most of a folder */
    bool makes_nonsense;
    bool is_encrypted;
    bool is_refused;
    int error_number;
} reader;

typedef struct coder {
    uint64_t codec;
    uint64_t out_count;
    uint8_t properties[PROPERTIES_MAX];
    uint64_t property_bytes;
} coder;

typedef struct folder {
    coder coders[CODERS_MAX];
    uint64_t coder_count, in_count, out_count;
    uint64_t memory; /* without what BCJ2 keeps */
    bool has_bcj2;
} folder;

/* Of one header, which may be that of a header. */
typedef struct table {
    uint64_t packed_offset;
    uint64_t *packed_bytes; /* [packed_count] */
    uint64_t packed_count;
    uint8_t *has_sum;                           /* [folder_count] */
    uint8_t *out_counts, *packed_counts, *bcj2; /* the same, of each folder */
    uint64_t folder_count;
    coder first;          /* of the first folder, whose only one it is */
    uint64_t first_bytes; /* that it unpacks to */
    bool has_one_coder;
} table;

static bool nonsense(reader *from)
{
    from->makes_nonsense = true;
    return false;
}

/* ---------------------------------------------------------------- bytes */

static size_t read_file(reader *from, uint8_t *to)
{
    ssize_t got;
    size_t wanted = from->file_bytes < PIECE_BYTES ? (size_t)from->file_bytes : PIECE_BYTES;
    do {
        got = pread(from->fd, to, wanted, (off_t)from->offset);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        from->error_number = errno;
    from->offset += got > 0 ? (uint64_t)got : 0;
    from->file_bytes -= got > 0 ? (uint64_t)got : 0;
    return got > 0 ? (size_t)got : 0;
}

static size_t unpack(reader *from)
{
    lzma_stream *lzma = from->lzma;
    bool goes_on = true;
    lzma->next_out = from->piece;
    lzma->avail_out = PIECE_BYTES;
    while (goes_on && lzma->avail_out > 0) {
        size_t room = lzma->avail_out;
        if (lzma->avail_in == 0) {
            lzma->next_in = from->packed;
            lzma->avail_in = read_file(from, from->packed);
        }
        goes_on = lzma_code(lzma, LZMA_RUN) == LZMA_OK && (lzma->avail_in > 0 || lzma->avail_out < room);
    }
    return PIECE_BYTES - lzma->avail_out;
}

static bool refill(reader *from)
{
    from->at = 0;
    from->count = from->lzma ? unpack(from) : read_file(from, from->piece);
    return from->count > 0 || nonsense(from);
}

static uint8_t next_byte(reader *from)
{
    if (from->makes_nonsense || from->left == 0 || (from->at == from->count && !refill(from))) {
        nonsense(from);
        return 0;
    }
    from->left--;
    return from->piece[from->at++];
}

static bool skip(reader *from, uint64_t bytes)
{
    if (bytes > from->left)
        return nonsense(from);
    while (bytes > 0 && !from->makes_nonsense) {
        if (from->at == from->count && !refill(from))
            return false;
        size_t some = from->count - from->at;
        some = bytes < some ? (size_t)bytes : some;
        from->at += some;
        from->left -= some;
        bytes -= some;
    }
    return !from->makes_nonsense;
}

/* As many bytes follow the first as it has ones at its front. */
static uint64_t next_number(reader *from)
{
    uint8_t first = next_byte(from), mask = 0x80;
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++, mask >>= 1) {
        if (!(first & mask))
            return number | (uint64_t)(first & (mask - 1u)) << 8 * i;
        number |= (uint64_t)next_byte(from) << 8 * i;
    }
    return number;
}

static bool skip_numbers(reader *from, uint64_t count)
{
    while (count-- > 0 && !from->makes_nonsense)
        next_number(from);
    return !from->makes_nonsense;
}

static bool expect(reader *from, uint8_t id)
{
    return next_byte(from) == id || nonsense(from);
}

/* Counts what libarchive will keep of them. */
static bool charge(reader *from, uint64_t count, uint64_t bytes)
{
    uint64_t more = count > QN_SEVENZIP_MEMORY_MAX ? QN_SEVENZIP_MEMORY_MAX : count;
    from->memory += more * bytes;
    from->is_refused |= from->memory > QN_SEVENZIP_MEMORY_MAX;
    return !from->is_refused && !from->makes_nonsense;
}

/* ---------------------------------------------------------------- the parts of a header */

/* Checksums, each if a bit says so; has_out: the bits, as bytes. */
static bool skip_sums(reader *from, uint64_t count, uint8_t *has_out)
{
    bool are_all = next_byte(from) != 0;
    uint64_t sums = are_all ? count : 0;
    uint8_t bits = 0;
    if (are_all && has_out)
        memset(has_out, 1, count);
    for (uint64_t i = 0; i < count && !are_all && !from->makes_nonsense; i++) {
        bits = i % 8 == 0 ? next_byte(from) : (uint8_t)(bits << 1);
        sums += bits >> 7;
        if (has_out)
            has_out[i] = bits >> 7;
    }
    return sums <= from->left / 4 ? skip(from, 4 * sums) : nonsense(from);
}

/* Where packed streams are, and how long. */
static bool read_packed(reader *from, table *of)
{
    of->packed_offset = next_number(from);
    of->packed_count = next_number(from);
    if (!charge(from, of->packed_count, PACKED_BYTES) || !expect(from, ID_SIZE))
        return false;
    of->packed_bytes = calloc(of->packed_count + 1, sizeof *of->packed_bytes);
    if (!of->packed_bytes) {
        from->error_number = ENOMEM;
        return false;
    }
    for (uint64_t i = 0; i < of->packed_count && !from->makes_nonsense; i++)
        of->packed_bytes[i] = next_number(from);
    uint8_t id = next_byte(from);
    if (id == ID_SUMS && skip_sums(from, of->packed_count, NULL))
        id = next_byte(from);
    return !from->makes_nonsense && (id == ID_END || nonsense(from));
}

/* The dictionary or the model that it asks for. */
static uint64_t memory_of(const coder *of)
{
    unsigned number = of->properties[0];
    if (of->codec == CODEC_LZMA2 && of->property_bytes == 1 && number <= LZMA2_NUMBER_MAX)
        return number == LZMA2_NUMBER_MAX ? UINT32_MAX : (uint64_t)(2 | (number & 1)) << (number / 2 + 11);
    if ((of->codec == CODEC_LZMA || of->codec == CODEC_PPMD) && of->property_bytes >= 5)
        return qn_le32(of->properties + 1);
    return 0;
}

static bool read_coder(reader *from, coder *to, uint64_t *in_count)
{
    uint8_t how = next_byte(from);
    *to = (coder){.out_count = 1};
    for (unsigned i = 0; i < (how & 15u); i++)
        to->codec = to->codec << 8 | next_byte(from);
    *in_count = 1;
    if (how & 0x10) {
        *in_count = next_number(from);
        to->out_count = next_number(from);
    }
    if (how & 0x20)
        to->property_bytes = next_number(from);
    for (uint64_t i = 0; i < to->property_bytes && i < PROPERTIES_MAX; i++)
        to->properties[i] = next_byte(from);
    if (to->property_bytes > PROPERTIES_MAX)
        skip(from, to->property_bytes - PROPERTIES_MAX);
    bool is_sane = (how & 0xc0) == 0 && (how & 15) <= 8 && *in_count <= STREAMS_MAX && to->out_count <= STREAMS_MAX;
    return !from->makes_nonsense && (is_sane || nonsense(from));
}

/* Coders, how they are bound to each other, and which of their streams are packed ones. */
static bool read_folder(reader *from, folder *to)
{
    *to = (folder){.coder_count = next_number(from)};
    if (to->coder_count == 0 || to->coder_count > CODERS_MAX)
        return nonsense(from);
    for (uint64_t i = 0; i < to->coder_count; i++) {
        uint64_t in_count, memory;
        if (!read_coder(from, &to->coders[i], &in_count))
            return false;
        memory = memory_of(&to->coders[i]);
        to->memory = memory > to->memory ? memory : to->memory;
        to->has_bcj2 |= to->coders[i].codec == CODEC_BCJ2;
        to->in_count += in_count;
        to->out_count += to->coders[i].out_count;
    }
    if (to->out_count == 0 || to->in_count < to->out_count - 1)
        return nonsense(from);
    uint64_t packed = to->in_count - (to->out_count - 1);
    return skip_numbers(from, 2 * (to->out_count - 1) + (packed == 1 ? 0 : packed));
}

/* What BCJ2 keeps besides: of its four packed streams three, packed or unpacked. */
static uint64_t bcj2_memory(const table *of, uint64_t packed_at, uint64_t packed_count, uint64_t unpacked_bytes)
{
    uint64_t memory = unpacked_bytes;
    for (uint64_t i = 1; i < packed_count; i++) {
        uint64_t bytes = packed_at + i < of->packed_count ? of->packed_bytes[packed_at + i] : 0;
        memory = bytes > UINT64_MAX - memory ? UINT64_MAX : memory + bytes;
    }
    return memory;
}

/* The first two sizes are those of streams that are kept. */
static bool read_folder_sizes(reader *from, table *of, uint64_t number, uint64_t packed_at, uint64_t *memory_out)
{
    uint64_t kept = 0;
    for (unsigned i = 0; i < of->out_counts[number] && !from->makes_nonsense; i++) {
        uint64_t bytes = next_number(from);
        if (number == 0 && i == 0)
            of->first_bytes = bytes;
        if (i < 2 && of->out_counts[number] == CODERS_MAX)
            kept = bytes > UINT64_MAX - kept ? UINT64_MAX : kept + bytes;
    }
    *memory_out = of->bcj2[number] ? bcj2_memory(of, packed_at, of->packed_counts[number], kept) : 0;
    return !from->makes_nonsense;
}

static bool read_all_sizes(reader *from, table *of)
{
    uint64_t packed_at = 0, memory;
    for (uint64_t i = 0; i < of->folder_count; i++) {
        if (!read_folder_sizes(from, of, i, packed_at, &memory))
            return false;
        packed_at += of->packed_counts[i];
        from->decoders = memory > from->decoders ? memory : from->decoders;
    }
    return true;
}

static bool reserve_folders(reader *from, table *of)
{
    of->has_sum = calloc(of->folder_count + 1, 4);
    if (!of->has_sum) {
        from->error_number = ENOMEM;
        return false;
    }
    of->out_counts = of->has_sum + of->folder_count;
    of->packed_counts = of->out_counts + of->folder_count;
    of->bcj2 = of->packed_counts + of->folder_count;
    return true;
}

static bool read_folders(reader *from, table *of)
{
    if (!expect(from, ID_FOLDER))
        return false;
    of->folder_count = next_number(from);
    if (!charge(from, of->folder_count, FOLDER_BYTES) || !expect(from, ID_END) || !reserve_folders(from, of))
        return false;
    for (uint64_t i = 0; i < of->folder_count; i++) {
        folder each;
        if (!read_folder(from, &each))
            return false;
        of->out_counts[i] = (uint8_t)each.out_count;
        of->packed_counts[i] = (uint8_t)(each.in_count - (each.out_count - 1));
        of->bcj2[i] = each.has_bcj2;
        from->decoders = each.memory > from->decoders ? each.memory : from->decoders;
        if (i == 0) {
            of->first = each.coders[0];
            of->has_one_coder = each.coder_count == 1;
        }
    }
    if (!expect(from, ID_FOLDER_SIZES) || !read_all_sizes(from, of))
        return false;
    uint8_t id = next_byte(from);
    if (id == ID_SUMS && skip_sums(from, of->folder_count, of->has_sum))
        id = next_byte(from);
    return !from->makes_nonsense && (id == ID_END || nonsense(from));
}

typedef struct substreams {
    uint64_t count, sizes, sums;
} substreams;

static bool count_substreams(reader *from, const table *of, bool are_told, substreams *out)
{
    *out = (substreams){0};
    for (uint64_t i = 0; i < of->folder_count; i++) {
        uint64_t count = are_told ? next_number(from) : 1;
        if (from->makes_nonsense || !charge(from, count, STREAM_BYTES))
            return false;
        out->count += count;
        out->sizes += count > 0 ? count - 1 : 0;
        out->sums += count == 1 && of->has_sum[i] ? 0 : count;
    }
    return true;
}

/* The members in each folder. */
static bool read_substreams(reader *from, const table *of)
{
    substreams of_all;
    uint8_t id = next_byte(from);
    bool are_told = id == ID_SUBSTREAM_COUNT;
    if (!count_substreams(from, of, are_told, &of_all))
        return false;
    if (are_told)
        id = next_byte(from);
    if (id == ID_SIZE) {
        if (!skip_numbers(from, of_all.sizes))
            return false;
        id = next_byte(from);
    } else if (of_all.sizes > 0) {
        return nonsense(from);
    }
    if (id == ID_SUMS && skip_sums(from, of_all.sums, NULL))
        id = next_byte(from);
    return !from->makes_nonsense && (id == ID_END || nonsense(from));
}

static bool read_streams(reader *from, table *of)
{
    uint8_t id = next_byte(from);
    if (id == ID_PACKED) {
        if (!read_packed(from, of))
            return false;
        id = next_byte(from);
    }
    if (id == ID_FOLDERS) {
        if (!read_folders(from, of))
            return false;
        id = next_byte(from);
    }
    if (id == ID_SUBSTREAMS && of->has_sum) {
        if (!read_substreams(from, of))
            return false;
        id = next_byte(from);
    }
    return !from->makes_nonsense && (id == ID_END || nonsense(from));
}

/* All but the names and times of members. */
static bool read_header(reader *from, table *of)
{
    uint8_t id = next_byte(from);
    if (id == ID_MAIN_STREAMS) {
        if (!read_streams(from, of))
            return false;
        id = next_byte(from);
    }
    if (id == ID_FILES)
        return charge(from, next_number(from), MEMBER_BYTES);
    return !from->makes_nonsense && (id == ID_END || nonsense(from));
}

/* ---------------------------------------------------------------- all of it */

static void table_fini(table *of)
{
    free(of->packed_bytes);
    free(of->has_sum);
}

static bool is_within(const reader *from)
{
    return !from->makes_nonsense && !from->is_refused && from->error_number == 0 &&
           from->decoders <= QN_SEVENZIP_MEMORY_MAX;
}

/* What a header is packed by, by 7-Zip and all others: LZMA, if anything. */
static bool begin_unpacking(reader *from, const table *of, lzma_stream *lzma)
{
    from->is_encrypted = of->first.codec >> 16 == CODECS_CRYPTO;
    bool is_lzma = of->first.codec == CODEC_LZMA || of->first.codec == CODEC_LZMA2;
    if (!of->has_one_coder || (!is_lzma && of->first.codec != CODEC_COPY) || of->first.property_bytes > PROPERTIES_MAX)
        return nonsense(from);
    if (!is_lzma)
        return true;
    lzma_filter filters[] = {{.id = of->first.codec == CODEC_LZMA ? LZMA_FILTER_LZMA1 : LZMA_FILTER_LZMA2},
                             {.id = LZMA_VLI_UNKNOWN}};
    if (lzma_properties_decode(&filters[0], NULL, of->first.properties, (size_t)of->first.property_bytes) != LZMA_OK)
        return nonsense(from);
    lzma_options_lzma *options = filters[0].options;
    if (options->dict_size > of->first_bytes) /* nothing is farther back than that */
        options->dict_size = (uint32_t)of->first_bytes;
    lzma_ret result = lzma_raw_decoder(lzma, filters);
    free(options);
    if (result == LZMA_MEM_ERROR)
        from->error_number = ENOMEM;
    from->lzma = lzma;
    return result == LZMA_OK || result == LZMA_MEM_ERROR || nonsense(from);
}

/* Names, and what libarchive reads of it at once. */
static bool charge_header(reader *from)
{
    return charge(from, from->left, 2);
}

/* Goes on with the header that the first one is of. */
static void read_encoded(reader *from, uint64_t file_bytes)
{
    lzma_stream lzma = LZMA_STREAM_INIT;
    table outer = {0}, inner = {0};
    uint64_t bytes = 0, begin = 0;
    if (read_streams(from, &outer) && is_within(from) && outer.packed_count > 0) {
        begin = START_BYTES + outer.packed_offset;
        bytes = outer.packed_bytes[0];
    }
    bool is_there = bytes > 0 && begin >= START_BYTES && begin <= file_bytes && bytes <= file_bytes - begin;
    if (is_within(from) && !is_there)
        nonsense(from);
    if (is_within(from) && begin_unpacking(from, &outer, &lzma)) {
        from->offset = begin;
        from->file_bytes = bytes;
        from->left = outer.first_bytes;
        from->at = from->count = 0;
        if (charge_header(from) && expect(from, ID_HEADER))
            read_header(from, &inner);
    }
    lzma_end(&lzma);
    table_fini(&outer);
    table_fini(&inner);
}

static void read_any_header(reader *from, uint64_t file_bytes)
{
    table of = {0};
    uint8_t id = charge_header(from) ? next_byte(from) : ID_END;
    if (id == ID_ENCODED_HEADER)
        read_encoded(from, file_bytes);
    else if (id == ID_HEADER)
        read_header(from, &of);
    else if (!from->is_refused)
        nonsense(from);
    table_fini(&of);
}

static quern_status say(const reader *from, const char *path, qn_error *error)
{
    unsigned long long most = QN_SEVENZIP_MEMORY_MAX / MEMORY_PER_MIB;
    if (from->error_number == ENOMEM)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the header of %s", path);
    if (from->error_number != 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, from->error_number, "cannot read the header of %s", path);
    if (from->decoders > QN_SEVENZIP_MEMORY_MAX)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                            "%s asks for %llu MiB of memory to be unpacked; 7-Zip archives may have %llu MiB: unpack "
                            "it yourself, or pack it with a smaller dictionary (7z -m0=lzma2 -md=%llum)",
                            path, (unsigned long long)(from->decoders / MEMORY_PER_MIB), most, most);
    if (from->is_refused)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                            "the table of members of %s asks for more than %llu MiB of memory: unpack it yourself, or "
                            "pack fewer files into one archive",
                            path, most);
    if (from->is_encrypted)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s is encrypted, names and all: unpack it yourself", path);
    return qn_error_set(error, QUERN_ERROR_INPUT, 0,
                        "the header of the 7-Zip archive %s makes no sense: it is damaged or truncated, or of a kind "
                        "that is not known",
                        path);
}

bool qn_sevenzip_is_archive(const uint8_t *head, size_t bytes)
{
    static const uint8_t magic[] = {'7', 'z', 0xbc, 0xaf, 0x27, 0x1c};
    return bytes >= sizeof magic && memcmp(head, magic, sizeof magic) == 0;
}

quern_status qn_sevenzip_check(int fd, const char *path, uint64_t file_bytes, qn_error *error)
{
    reader *from = calloc(1, sizeof *from);
    if (!from)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the header of %s", path);
    *from = (reader){.fd = fd, .file_bytes = START_BYTES};
    if (read_file(from, from->packed) != START_BYTES) {
        nonsense(from);
    } else {
        uint64_t offset = qn_le64(from->packed + 12), bytes = qn_le64(from->packed + 20);
        bool is_there = offset <= file_bytes - START_BYTES && bytes <= file_bytes - START_BYTES - offset;
        from->offset = START_BYTES + offset;
        from->file_bytes = from->left = bytes;
        if (!is_there)
            nonsense(from);
        else if (bytes > 0)
            read_any_header(from, file_bytes);
    }
    quern_status status = is_within(from) ? QUERN_OK : say(from, path, error);
    free(from);
    return status;
}
