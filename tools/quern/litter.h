/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/litter.h: directories of work of which nothing is to be left. */
#ifndef QUERN_TOOLS_LITTER_H
#define QUERN_TOOLS_LITTER_H

#include <stdbool.h>

#define LITTER_PREFIX "quern-run." /* of what `quern run` makes; whoever makes one holds flock() on it */

/* Removes what is in a directory, and it itself. Follows no links, does not leave the file system. Takes what is not there. False: something
 * is left; errno says why. */
bool quern_litter_remove(const char *path);
/* The same, but the directory itself stays. */
bool quern_litter_empty(const char *path);

#endif
