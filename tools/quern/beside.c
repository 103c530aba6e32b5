/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/beside.h"

#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

bool quern_beside_find(const char *name, const char *room, char path_out[BESIDE_BYTES])
{
    char self[PATH_MAX], place[PATH_MAX];
    ssize_t bytes = readlink("/proc/self/exe", self, sizeof self - 1);
    self[bytes > 0 ? bytes : 0] = 0;
    const char *directory = dirname(self), *const places[] = {"", place, "../libexec/quern/"};
    snprintf(place, sizeof place, "../%s/", room);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path_out, BESIDE_BYTES, "%s/%s%s", directory, places[i], name);
        if (access(path_out, X_OK) == 0)
            return true;
    }
    return false;
}
