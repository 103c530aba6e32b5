/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/base/utf8.h: texts of any bytes (file names, names of the user's) as valid UTF-8. */
#ifndef QN_BASE_UTF8_H
#define QN_BASE_UTF8_H

#include <stddef.h>

/* Bytes of the character at `text`, which ends with NUL: 1 to 4; 0 if it is not valid UTF-8 (overlong forms, surrogates and
 * what is beyond U+10FFFF are not). */
size_t qn_utf8_character_bytes(const char *text);

/* A copy in which each invalid byte is U+FFFD, the replacement character. The caller frees it; NULL: no memory. */
char *qn_utf8_repair(const char *text);

/* Leaves at most so many bytes of it, and cuts no character. */
void qn_utf8_cut(char *text, size_t bytes_max);

/* '?' in the place of each byte of a control character: those of C0, DEL, and of C1 in UTF-8. */
void qn_utf8_replace_controls(char *text);

#endif
