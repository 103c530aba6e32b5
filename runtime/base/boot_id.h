/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/base/boot_id.h: which machine this is, since it was started: alike in all its processes and containers, and nowhere else. */
#ifndef QN_BASE_BOOT_ID_H
#define QN_BASE_BOOT_ID_H

#include <stdbool.h>

#define QN_BOOT_ID_BYTES 36

/* Text, NUL at the end. False, and "": the kernel does not say. */
bool qn_boot_id_read(char boot[QN_BOOT_ID_BYTES + 1]);

#endif
