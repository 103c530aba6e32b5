/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/boot_id.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/file.h"

#define PATH "/proc/sys/kernel/random/boot_id"

bool qn_boot_id_read(char boot[QN_BOOT_ID_BYTES + 1])
{
    size_t bytes = 0;
    int fd = open(PATH, O_RDONLY | O_CLOEXEC);
    boot[0] = 0;
    if (fd < 0)
        return false;
    bool is_read = qn_file_read_at(fd, boot, QN_BOOT_ID_BYTES, 0, PATH, QUERN_ERROR_SYSTEM, &bytes, NULL) == QUERN_OK &&
                   bytes == QN_BOOT_ID_BYTES;
    close(fd);
    boot[is_read ? QN_BOOT_ID_BYTES : 0] = 0;
    return is_read;
}
