/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/archive_end.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES ((uint64_t)512)
#define PIECE_BYTES ((size_t)16 << 10)

static size_t zeros_at_end(const uint8_t *bytes, size_t count)
{
    size_t zeros = 0;
    while (zeros < count && bytes[count - 1 - zeros] == 0)
        zeros++;
    return zeros;
}

void qn_archive_input_note(qn_archive_input *input, const uint8_t *piece, size_t bytes)
{
    size_t zeros = zeros_at_end(piece, bytes);
    input->zero_bytes = zeros == bytes ? input->zero_bytes + bytes : zeros;
    input->end += bytes;
    input->is_over = bytes == 0;
}

void qn_archive_support_tar(struct archive *archive)
{
    archive_read_support_format_tar(archive);
    archive_read_set_format_option(archive, "tar", "read_concatenated_archives", "1");
}

static bool has_zeros_only(int fd, uint64_t begin, uint64_t end)
{
    uint8_t piece[PIECE_BYTES];
    while (begin < end) {
        ssize_t got = pread(fd, piece, end - begin < sizeof piece ? (size_t)(end - begin) : sizeof piece, (off_t)begin);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0 || zeros_at_end(piece, (size_t)got) < (size_t)got)
            return false;
        begin += (uint64_t)got;
    }
    return true;
}

static bool ends_in_zeros(const qn_archive_input *input, uint64_t bytes)
{
    if (bytes > input->end - input->begin)
        return false;
    return input->fd < 0 ? input->zero_bytes >= bytes : has_zeros_only(input->fd, input->end - bytes, input->end);
}

/* Whether libarchive's places are those of the input, and its end is known. */
static bool knows_places(struct archive *archive, const qn_archive_input *input)
{
    return archive_filter_count(archive) == 1 && (input->fd >= 0 || input->is_over);
}

static uint64_t place_of(struct archive *archive)
{
    return (uint64_t)archive_filter_bytes(archive, 0);
}

static uint64_t bytes_left(struct archive *archive, const qn_archive_input *input)
{
    uint64_t bytes = input->end - input->begin, at = place_of(archive);
    return at < bytes ? bytes - at : 0;
}

static bool is_tar(struct archive *archive)
{
    return (archive_format(archive) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_TAR;
}

/* Less than a block is left, which libarchive fails at. */
static bool is_cut(struct archive *archive, const qn_archive_input *input, int result)
{
    uint64_t left = bytes_left(archive, input);
    return result == ARCHIVE_FATAL && knows_places(archive, input) && left > 0 && left < BLOCK_BYTES;
}

/* Members may end in zeros, too, and headers that go before another be the last: zeros have to be both behind the last member and last. */
bool qn_archive_is_tar_end(struct archive *archive, const qn_archive_input *input, int result)
{
    if (!is_tar(archive))
        return false;
    if (is_cut(archive, input, result)) /* no header begins with a zero */
        return ends_in_zeros(input, bytes_left(archive, input) + BLOCK_BYTES);
    return result == ARCHIVE_EOF && place_of(archive) > (uint64_t)archive_read_header_position(archive) &&
           (!knows_places(archive, input) || ends_in_zeros(input, bytes_left(archive, input) + BLOCK_BYTES));
}

bool qn_archive_is_used_up(struct archive *archive, const qn_archive_input *input, int result)
{
    return is_tar(archive) && result == ARCHIVE_FATAL && knows_places(archive, input) &&
           bytes_left(archive, input) == 0;
}

bool qn_archive_is_no_header(struct archive *archive, const qn_archive_input *input, int result, uint64_t *offset_out)
{
    uint64_t taken = result == ARCHIVE_RETRY ? BLOCK_BYTES : 0; /* before it looks */
    *offset_out = place_of(archive) - taken;
    return is_tar(archive) && (result == ARCHIVE_RETRY || is_cut(archive, input, result));
}

bool qn_archive_has_only_zeros_left(struct archive *archive, const qn_archive_input *input)
{
    return !knows_places(archive, input) || ends_in_zeros(input, bytes_left(archive, input));
}
