/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/plain_text.h"

#include <stdbool.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

/* The bytes of the character there; 0: none that is to be shown. *skip_out: how many to go on by. */
static size_t shown_bytes(const char *text, size_t *skip_out)
{
    wchar_t wide;
    mbstate_t state = {0};
    size_t bytes = mbrtowc(&wide, text, strlen(text), &state);
    bool is_one = bytes > 0 && bytes != (size_t)-1 && bytes != (size_t)-2;
    *skip_out = is_one ? bytes : 1;
    return is_one && iswprint((wint_t)wide) && wcwidth(wide) == 1 ? bytes : 0;
}

size_t quern_plain_text(const char *text, size_t columns, char *to, size_t bytes)
{
    size_t column = 0, used = 0, skip;
    for (; *text && column < columns; text += skip, column++) {
        size_t shown = shown_bytes(text, &skip);
        if (used + (shown > 0 ? shown : 1) >= bytes)
            break;
        if (shown > 0)
            memcpy(to + used, text, shown);
        else
            to[used] = '?';
        used += shown > 0 ? shown : 1;
    }
    to[used] = 0;
    return column;
}
