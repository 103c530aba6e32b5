/* SPDX-License-Identifier: BSD-3-Clause */
/* Findings for people, those of many machines together; and all of them for programs. */
#include <stdlib.h>
#include <string.h>

#include "tools/quern/doctor.h"
#include "tools/quern/plain_text.h"

#define COLUMNS       4096 /* of a line: it is the terminal's to break it */
#define LINE_BYTES    (4 * COLUMNS)
#define HOSTS_MAX     6 /* named in a line */
#define LINES_MAX     8 /* of a check of other machines, at one level */
#define REMEDY_INDENT "                       "

size_t quern_doctor_count(const quern_findings *all, quern_level level)
{
    size_t count = 0;
    for (size_t i = 0; i < all->count; i++)
        count += all->each[i].level == level;
    return count;
}

/* ---- for people ---- */

static bool is_same_text(const char *one, const char *other)
{
    return one == other || (one && other && strcmp(one, other) == 0);
}

/* Whether two findings are one line: of machines that are all well the figures of the first one are enough. */
static bool is_alike(const quern_finding *one, const quern_finding *other)
{
    return one->host && other->host && one->level == other->level && strcmp(one->check, other->check) == 0 &&
           (one->level == QUERN_LEVEL_OK ||
            (is_same_text(one->found, other->found) && is_same_text(one->remedy, other->remedy)));
}

static bool is_said(const quern_findings *all, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (is_alike(&all->each[i], &all->each[index]))
            return true;
    return false;
}

/* Lines before it about the same check, at the same level, of other machines. */
static size_t count_lines(const quern_findings *all, size_t index)
{
    size_t count = 0;
    for (size_t i = 0; i < index; i++)
        count += all->each[i].host && all->each[i].level == all->each[index].level &&
                 strcmp(all->each[i].check, all->each[index].check) == 0;
    return count;
}

static void print_plain(FILE *to, const char *text)
{
    static char line[LINE_BYTES];
    quern_plain_text(text ? text : "", COLUMNS, line, sizeof line);
    fputs(line, to);
}

/* "n1: " or "n1, n2, n3 and 97 others: " */
static void print_hosts(const quern_findings *all, size_t index, FILE *to)
{
    size_t count = 0;
    for (size_t i = index; i < all->count; i++) {
        if (i != index && !is_alike(&all->each[index], &all->each[i]))
            continue;
        if (count > 0 && count < HOSTS_MAX)
            fputs(", ", to);
        if (count++ < HOSTS_MAX)
            print_plain(to, all->each[i].host);
    }
    if (count > HOSTS_MAX)
        fprintf(to, " and %zu others", count - HOSTS_MAX);
    fputs(count > 1 && all->each[index].level == QUERN_LEVEL_OK ? ", of which the first: " : ": ", to);
}

static void print_one(const quern_findings *all, size_t index, FILE *to)
{
    const quern_finding *one = &all->each[index];
    if (one->host && (is_said(all, index) || count_lines(all, index) >= LINES_MAX))
        return;
    fprintf(to, "%-8s %-13s ", quern_level_name(one->level), one->check);
    if (one->host)
        print_hosts(all, index, to);
    print_plain(to, one->found);
    fputc('\n', to);
    if (!one->remedy)
        return;
    fputs(REMEDY_INDENT, to);
    print_plain(to, one->remedy);
    fputc('\n', to);
}

static void print_count(FILE *to, size_t count, const char *word, const char *behind)
{
    fprintf(to, "%zu %s%s%s", count, word, count == 1 ? "" : "s", behind);
}

void quern_doctor_print(const quern_findings *all, FILE *to)
{
    for (size_t i = 0; i < all->count; i++)
        print_one(all, i, to);
    fprintf(to, "\n%zu ok, ", quern_doctor_count(all, QUERN_LEVEL_OK));
    print_count(to, quern_doctor_count(all, QUERN_LEVEL_NOTE), "note", ", ");
    print_count(to, quern_doctor_count(all, QUERN_LEVEL_WARNING), "warning", ", ");
    print_count(to, quern_doctor_count(all, QUERN_LEVEL_ERROR), "error", "\n");
}

/* ---- for programs ---- */

bool quern_doctor_print_json(const quern_doctor *all, const quern_heard *heard, FILE *to)
{
    json_t *counts = json_object(), *findings = quern_findings_to_json(&all->findings);
    for (int level = 0; level < QUERN_LEVEL_COUNT; level++)
        json_object_set_new(counts, quern_level_name((quern_level)level),
                            json_integer((json_int_t)quern_doctor_count(&all->findings, (quern_level)level)));
    json_t *page = json_pack("{si so so sO* sO* sO*}", "version", 1, "counts", counts, "findings", findings, "library",
                             all->about, "world", json_array_get(heard->worlds, 0), "ranks", heard->ranks);
    bool is_written = page && json_dumpf(page, to, JSON_INDENT(2)) == 0 && fputc('\n', to) != EOF;
    json_decref(page);
    return is_written;
}
