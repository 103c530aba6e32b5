/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/archive_content.h"

#include <stddef.h>

#define PIECE_BYTES ((size_t)1 << 20)

int64_t quern_archive_count(struct archive *archive)
{
    static char room[PIECE_BYTES];
    int64_t bytes = 0;
    la_ssize_t got;
    while ((got = archive_read_data(archive, room, sizeof room)) > 0)
        bytes += got;
    return got < 0 ? -1 : bytes;
}
