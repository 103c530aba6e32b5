/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define REPLACEMENT "\xEF\xBF\xBD"

/* What the first byte promises; 0 if no character begins so. */
static size_t promised_bytes(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF)
        return 2;
    if (first >= 0xE0 && first <= 0xEF)
        return 3;
    return first >= 0xF0 && first <= 0xF4 ? 4 : 0;
}

size_t qn_utf8_character_bytes(const char *text)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t bytes = promised_bytes(at[0]);
    for (size_t i = 1; i < bytes; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0; /* the NUL at the end too */
    bool overlong = (at[0] == 0xE0 && at[1] < 0xA0) || (at[0] == 0xF0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xED && at[1] > 0x9F;
    bool beyond = at[0] == 0xF4 && at[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : bytes;
}

char *qn_utf8_repair(const char *text)
{
    char *repaired = malloc(strlen(text) * strlen(REPLACEMENT) + 1);
    if (!repaired)
        return NULL;
    char *to = repaired;
    while (*text) {
        size_t bytes = qn_utf8_character_bytes(text);
        size_t put_bytes = bytes > 0 ? bytes : strlen(REPLACEMENT);
        memcpy(to, bytes > 0 ? text : REPLACEMENT, put_bytes);
        text += bytes > 0 ? bytes : 1;
        to += put_bytes;
    }
    *to = 0;
    return repaired;
}

void qn_utf8_cut(char *text, size_t bytes_max)
{
    if (strlen(text) <= bytes_max)
        return;
    while (bytes_max > 0 && ((unsigned char)text[bytes_max] & 0xc0) == 0x80)
        bytes_max--;
    text[bytes_max] = 0;
}

void qn_utf8_replace_controls(char *text)
{
    unsigned char before = 0;
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        unsigned char here = *at;
        if (here < 0x20 || here == 0x7f)
            *at = '?';
        else if (before == 0xc2 && here >= 0x80 && here < 0xa0)
            at[-1] = *at = '?';
        before = here;
    }
}
