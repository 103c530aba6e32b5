/* SPDX-License-Identifier: BSD-3-Clause */
/* What the processes of a probe said (tools/doctor/probe_lines.h), by process. Whatever else was written is passed over. */
#include <stdlib.h>
#include <string.h>

#include "tools/quern/doctor.h"

#define CAPACITY_FIRST 64
#define KIND_BYTES     16

typedef struct line {
    char host[PROBE_HOST_BYTES];
    long pid;
    char kind[KIND_BYTES];
    const char *text; /* [bytes], not NUL at the end */
    size_t bytes;
} line;

/* The next line from `words` on; NULL: there is none. What stands between lines does not count, ends of lines neither; one into which another came is
 * none. */
static const char *find_line(const char *words, const char *end)
{
    const char *mark = memmem(words, (size_t)(end - words), PROBE_MARK, strlen(PROBE_MARK)), *next = mark;
    while (next) {
        const char *behind = next + strlen(PROBE_MARK), *stop = memchr(next, PROBE_END, (size_t)(end - next));
        mark = next;
        next = stop ? memmem(behind, (size_t)(stop - behind), PROBE_MARK, strlen(PROBE_MARK)) : NULL;
        if (!stop)
            mark = NULL;
    }
    return mark;
}

/* False: it is odd. */
static bool read_line(const char *mark, size_t bytes, line *to)
{
    char copy[PROBE_LINE_BYTES];
    int kind_end = 0;
    if (bytes >= sizeof copy)
        return false;
    memcpy(copy, mark, bytes);
    copy[bytes] = 0;
    if (sscanf(copy, PROBE_MARK "%64s %ld %15s%n", to->host, &to->pid, to->kind, &kind_end) < 3 ||
        (size_t)kind_end >= bytes)
        return false;
    to->text = mark + kind_end + 1; /* blanks at its begin are part of it */
    to->bytes = bytes - (size_t)kind_end - 1;
    return true;
}

static void copy_text(char *to, size_t to_bytes, const line *from)
{
    size_t bytes = from->bytes < to_bytes ? from->bytes : to_bytes - 1;
    memcpy(to, from->text, bytes);
    to[bytes] = 0;
}

/* The process of a line, `last` or another one, or a new one; NULL: no memory. */
static quern_heard_process *find(quern_heard *heard, const line *from, size_t last)
{
    for (size_t i = 0; i < heard->count; i++) {
        quern_heard_process *one = &heard->each[(last + i) % heard->count];
        if (one->pid == from->pid && strcmp(one->host, from->host) == 0)
            return one;
    }
    if (heard->count == heard->capacity) {
        size_t capacity = heard->capacity > 0 ? 2 * heard->capacity : CAPACITY_FIRST;
        quern_heard_process *grown = realloc(heard->each, capacity * sizeof *grown);
        if (!grown)
            return NULL;
        heard->each = grown;
        heard->capacity = capacity;
    }
    quern_heard_process *one = &heard->each[heard->count++];
    *one = (quern_heard_process){.pid = from->pid, .number = "-", .rank = -1, .size = -1};
    strcpy(one->host, from->host);
    return one;
}

static bool add_part(quern_heard_process *one, const line *from)
{
    char *grown = realloc(one->text, one->text_bytes + from->bytes + 1);
    if (!grown)
        return false;
    memcpy(grown + one->text_bytes, from->text, from->bytes);
    one->text = grown;
    one->text_bytes += from->bytes;
    grown[one->text_bytes] = 0;
    return true;
}

/* The last part of a text is there. */
static bool close_text(quern_heard *heard, quern_heard_process *one, const line *from, json_t *list)
{
    if (!add_part(one, from))
        return false;
    json_t *object = json_loads(one->text, 0, NULL);
    heard->is_damaged |= !json_is_object(object);
    if (json_is_object(object))
        json_array_append(list, object);
    json_decref(object);
    free(one->text);
    one->text = NULL;
    one->text_bytes = 0;
    return true;
}

static bool take(quern_heard *heard, quern_heard_process *one, const line *from)
{
    char text[PROBE_LINE_BYTES];
    copy_text(text, sizeof text, from);
    if (strcmp(from->kind, PROBE_BEGUN) == 0)
        sscanf(text, "%15s %ld", one->number, &one->promised);
    else if (strcmp(from->kind, PROBE_UP) == 0)
        sscanf(text, "%ld %ld", &one->rank, &one->size);
    else if (strcmp(from->kind, PROBE_STEP) == 0)
        strcpy(one->step, text);
    else if (strcmp(from->kind, PROBE_FAILED) == 0)
        strcpy(one->failed, text);
    else if (strcmp(from->kind, PROBE_DONE) == 0)
        one->is_done = true;
    else if (strcmp(from->kind, PROBE_PART) == 0)
        return add_part(one, from);
    else if (strcmp(from->kind, PROBE_RANK) == 0)
        return close_text(heard, one, from, heard->ranks);
    else if (strcmp(from->kind, PROBE_WORLD) == 0)
        return close_text(heard, one, from, heard->worlds);
    return true;
}

void quern_heard_read(quern_heard *heard, const char *words, size_t bytes)
{
    const char *end = words + bytes;
    size_t last = 0;
    heard->ranks = json_array();
    heard->worlds = json_array();
    heard->is_short = !heard->ranks || !heard->worlds;
    for (const char *mark = find_line(words, end), *stop; mark && !heard->is_short; mark = find_line(stop, end)) {
        line from;
        stop = memchr(mark, PROBE_END, (size_t)(end - mark));
        if (!read_line(mark, (size_t)(stop - mark), &from))
            continue;
        quern_heard_process *one = find(heard, &from, last);
        heard->is_short = !one || !take(heard, one, &from);
        last = one ? (size_t)(one - heard->each) : 0;
    }
}

void quern_heard_fini(quern_heard *heard)
{
    for (size_t i = 0; i < heard->count; i++)
        free(heard->each[i].text);
    free(heard->each);
    json_decref(heard->ranks);
    json_decref(heard->worlds);
    *heard = (quern_heard){0};
}
