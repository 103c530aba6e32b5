/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/doctor/probe_lines.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *quern_probe_host(void)
{
    static char host[PROBE_HOST_BYTES];
    if (!*host && (gethostname(host, sizeof host - 1) != 0 || !*host))
        strcpy(host, "?");
    return host;
}

/* As much of the text as there is room for; returns how much that is. */
static size_t write_line(const char *kind, const char *text)
{
    char line[PROBE_LINE_BYTES + 1];
    int begin = snprintf(line, sizeof line, PROBE_MARK "%s %ld %s ", quern_probe_host(), (long)getpid(), kind);
    size_t room = PROBE_LINE_BYTES - 2 - (size_t)begin, bytes = strlen(text) < room ? strlen(text) : room;
    memset(line + begin, ' ', sizeof line - (size_t)begin);
    memcpy(line + begin, text, bytes);
    line[(size_t)begin + bytes] = PROBE_END;
    line[PROBE_LINE_BYTES - 1] = '\n';
    ssize_t written = write(STDOUT_FILENO, line, PROBE_LINE_BYTES); /* who cannot be heard is silent, and so found */
    (void)written;
    return bytes;
}

void quern_probe_say(const char *kind, const char *format, ...)
{
    char text[PROBE_LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *byte = text; *byte; byte++)
        if (iscntrl((unsigned char)*byte))
            *byte = ' ';
    write_line(kind, text);
}

void quern_probe_say_long(const char *kind, const char *text)
{
    while (strlen(text) > PROBE_LINE_BYTES / 2) {
        char part[PROBE_LINE_BYTES / 2 + 1];
        memcpy(part, text, sizeof part - 1);
        part[sizeof part - 1] = 0;
        text += write_line(PROBE_PART, part);
    }
    write_line(kind, text);
}
