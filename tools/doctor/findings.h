/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/doctor/findings.h: what was looked at, how it is, and what to do about it.
 *
 * A finding is one line: a check by its name, a level, and what was found, in figures. What is no `ok` has a remedy. Findings of other machines come
 * as JSON, and have the machine's name.
 */
#ifndef QUERN_DOCTOR_FINDINGS_H
#define QUERN_DOCTOR_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum quern_level {
    QUERN_LEVEL_OK,
    QUERN_LEVEL_NOTE,    /* good to know */
    QUERN_LEVEL_WARNING, /* jobs run, but slower or with less than they could have, or they may fail */
    QUERN_LEVEL_ERROR,   /* jobs do not run */
    QUERN_LEVEL_COUNT,
} quern_level;

typedef struct quern_finding {
    quern_level level;
    const char *check; /* static, or of a text that the list owns */
    char *found;       /* owned; and this */
    char *remedy;      /* NULL: nothing is to be done */
    char *host;        /* NULL: this machine, or all of them */
} quern_finding;

/* Begins as zeros. */
typedef struct quern_findings {
    quern_finding *each;
    size_t count, capacity;
    bool is_short; /* there was no memory for some */
    json_t **kept; /* from which texts are borrowed */
    size_t kept_count;
} quern_findings;

/* `check` is borrowed. Where there is no memory the list is_short; nothing else has to be looked at. */
void quern_findings_add(quern_findings *all, quern_level level, const char *check, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What to do about the last one. */
void quern_findings_remedy(quern_findings *all, const char *format, ...) __attribute__((format(printf, 2, 3)));
void quern_findings_fini(quern_findings *all);

/* "ok", "note", "warning", "error". */
const char *quern_level_name(quern_level level);

/* A list of objects with check, level, found, and where there are such remedy and host. NULL: no memory, or a list that is_short. */
json_t *quern_findings_to_json(const quern_findings *all);
/* Adds those of a list, of another machine if `host` is not NULL; what is none is passed over. */
void quern_findings_add_json(quern_findings *all, const json_t *list, const char *host);

/* "1.5 GiB": bytes for people, in one of a few static buffers, which are used in turn. */
const char *quern_bytes_text(double bytes);

#endif
