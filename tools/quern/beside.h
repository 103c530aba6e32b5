/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/beside.h: programs that come with this one, which links no MPI. */
#ifndef QUERN_TOOLS_BESIDE_H
#define QUERN_TOOLS_BESIDE_H

#include <limits.h>
#include <stdbool.h>

#define BESIDE_BYTES (2 * PATH_MAX)

/* `name` beside this program, in `room` beside its directory (as it is built), or where installing puts it. False: nowhere; path_out is then the last
 * of these. */
bool quern_beside_find(const char *name, const char *room, char path_out[BESIDE_BYTES]);

#endif
