/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/doctor/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/utf8.h"

#define CAPACITY_FIRST  32
#define TEXT_BYTES      32
#define TEXTS_IN_A_CALL 8

static const char *const level_names[QUERN_LEVEL_COUNT] = {
    [QUERN_LEVEL_OK] = "ok",
    [QUERN_LEVEL_NOTE] = "note",
    [QUERN_LEVEL_WARNING] = "warning",
    [QUERN_LEVEL_ERROR] = "error",
};

const char *quern_level_name(quern_level level)
{
    return level_names[level];
}

static quern_finding *add_empty(quern_findings *all)
{
    if (all->count == all->capacity) {
        size_t capacity = all->capacity > 0 ? 2 * all->capacity : CAPACITY_FIRST;
        quern_finding *grown = realloc(all->each, capacity * sizeof *grown);
        if (!grown) {
            all->is_short = true;
            return NULL;
        }
        all->each = grown;
        all->capacity = capacity;
    }
    quern_finding *one = &all->each[all->count++];
    *one = (quern_finding){.check = ""};
    return one;
}

/* Names of files may be any bytes; JSON takes none but UTF-8. */
static char *write_text(quern_findings *all, const char *format, va_list arguments)
{
    char *text = NULL;
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    char *repaired = text ? qn_utf8_repair(text) : NULL;
    free(text);
    all->is_short |= !repaired;
    return repaired;
}

void quern_findings_add(quern_findings *all, quern_level level, const char *check, const char *format, ...)
{
    quern_finding *one = add_empty(all);
    va_list arguments;
    if (!one)
        return;
    va_start(arguments, format);
    *one = (quern_finding){.level = level, .check = check, .found = write_text(all, format, arguments)};
    va_end(arguments);
}

void quern_findings_remedy(quern_findings *all, const char *format, ...)
{
    va_list arguments;
    if (all->count == 0)
        return; /* there was no memory for what it is about */
    quern_finding *last = &all->each[all->count - 1];
    free(last->remedy);
    va_start(arguments, format);
    last->remedy = write_text(all, format, arguments);
    va_end(arguments);
}

void quern_findings_fini(quern_findings *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->each[i].found);
        free(all->each[i].remedy);
        free(all->each[i].host);
    }
    for (size_t i = 0; i < all->kept_count; i++)
        json_decref(all->kept[i]);
    free(all->kept);
    free(all->each);
    *all = (quern_findings){0};
}

json_t *quern_findings_to_json(const quern_findings *all)
{
    json_t *list = all->is_short ? NULL : json_array();
    for (size_t i = 0; list && i < all->count; i++) {
        const quern_finding *one = &all->each[i];
        json_t *object = json_pack("{ss ss ss ss* ss*}", "check", one->check, "level", quern_level_name(one->level),
                                   "found", one->found, "remedy", one->remedy, "host", one->host);
        if (object && json_array_append_new(list, object) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

static quern_level read_level(const char *name)
{
    for (int level = 0; level < QUERN_LEVEL_COUNT; level++)
        if (strcmp(level_names[level], name) == 0)
            return (quern_level)level;
    return QUERN_LEVEL_NOTE;
}

/* Names of checks are borrowed from it. */
static bool keep(quern_findings *all, const json_t *list)
{
    json_t **grown = realloc(all->kept, (all->kept_count + 1) * sizeof *grown);
    if (!grown) {
        all->is_short = true;
        return false;
    }
    all->kept = grown;
    grown[all->kept_count++] = json_incref((json_t *)list);
    return true;
}

void quern_findings_add_json(quern_findings *all, const json_t *list, const char *host)
{
    size_t index;
    json_t *each;
    if (!json_is_array(list) || !keep(all, list))
        return;
    json_array_foreach(list, index, each)
    {
        const char *check = NULL, *level = NULL, *found = NULL, *remedy = NULL;
        if (json_unpack(each, "{ss ss ss s?s}", "check", &check, "level", &level, "found", &found, "remedy", &remedy) !=
            0)
            continue;
        quern_findings_add(all, read_level(level), check, "%s", found);
        if (remedy)
            quern_findings_remedy(all, "%s", remedy);
        quern_finding *last = &all->each[all->count - 1];
        if (host && all->count > 0 && !(last->host = strdup(host)))
            all->is_short = true;
    }
}

const char *quern_bytes_text(double bytes)
{
    static char texts[TEXTS_IN_A_CALL][TEXT_BYTES];
    static unsigned next;
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t unit = 0;
    char *text = texts[next++ % TEXTS_IN_A_CALL];
    while (bytes >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, TEXT_BYTES, bytes < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return text;
}
