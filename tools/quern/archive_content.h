/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/archive_content.h: what is in a member of an archive. */
#ifndef QUERN_TOOLS_ARCHIVE_CONTENT_H
#define QUERN_TOOLS_ARCHIVE_CONTENT_H

#include <archive.h>
#include <stdint.h>

/* Reads what is left of the present entry, which compares its checksum where it has one, and counts its bytes; -1: it cannot be read. */
int64_t quern_archive_count(struct archive *archive);

#endif
