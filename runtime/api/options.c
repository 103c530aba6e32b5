/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of quern/options.h, three times: as fields, as environment, as arguments. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/api/context_internal.h"

#define PREFIX             "--quern-"
#define VARIABLE_BYTES_MAX 64
#define TIME_MS_MAX        (100.0 * 365 * 86400e3)

typedef enum option_kind {
    SIZE,
    TIME,
    COUNT,
    SWITCH,
    TEXT,
    FORM,
} option_kind;

typedef struct option_row {
    const char *name;
    option_kind kind;
    size_t offset; /* of the field */
} option_row;

#define OPTION_ROW(field, type, name, kind, standard, help) {name, kind, offsetof(quern_options, field)},
static const option_row rows[] = {QUERN_OPTION_LIST(OPTION_ROW)};
#undef OPTION_ROW
#define ROW_COUNT (sizeof rows / sizeof *rows)

#define OPTION_HELP(field, type, name, kind, standard, help)                                                           \
    "  --quern-" name "=" #kind "\t" help " (default: " standard ")\n"
const char *quern_options_help(void)
{
    return QUERN_OPTION_LIST(OPTION_HELP);
}
#undef OPTION_HELP

void quern_options_init(quern_options *options)
{
    if (!options)
        return;
    memset(options, 0, sizeof *options);
    options->struct_size = sizeof *options;
}

/* Up to the last field of version 0.1. */
#define FIRST_BYTES (offsetof(quern_options, check) + sizeof(quern_switch))

quern_status qn_options_read(quern_options *to, const quern_options *from, qn_error *error)
{
    quern_options_init(to);
    return qn_struct_read(to, sizeof *to, FIRST_BYTES, from, "options", "call quern_options_init() first", error);
}

static bool parse_number(const char *text, uint64_t *number_out, const char **end_out)
{
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *number_out = strtoull(text, &end, 10);
    *end_out = end;
    return errno == 0;
}

static bool parse_size(const char *text, uint64_t *bytes_out)
{
    static const char suffixes[] = "KMGT";
    uint64_t bytes = 0;
    const char *end = NULL;
    if (!parse_number(text, &bytes, &end))
        return false;
    const char *suffix = *end ? strchr(suffixes, toupper((unsigned char)*end)) : NULL;
    unsigned shift = 0;
    if (suffix) {
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
        if (strcasecmp(end, "iB") == 0 || strcasecmp(end, "B") == 0)
            end += strlen(end);
    }
    if (*end || bytes == 0 || bytes > UINT64_MAX >> shift)
        return false;
    *bytes_out = bytes << shift;
    return true;
}

/* A number, with a fraction if need be. */
static bool parse_time(const char *text, uint64_t *ms_out)
{
    static const struct {
        const char *suffix;
        double ms;
    } units[] = {{"", 1e3}, {"ms", 1}, {"s", 1e3}, {"m", 60e3}, {"h", 3600e3}, {"d", 86400e3}};
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    double number = strtod(text, &end);
    if (end != text + strspn(text, "0123456789."))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        double ms = number * units[i].ms;
        if (strcmp(end, units[i].suffix) != 0 || ms < 1 || ms > TIME_MS_MAX)
            continue;
        *ms_out = (uint64_t)ms;
        return true;
    }
    return false;
}

static bool parse_switch(const char *text, quern_switch *state_out)
{
    static const char *const words[] = {[QUERN_ON] = "on", [QUERN_OFF] = "off", [QUERN_DEFAULT] = "auto"};
    for (int state = QUERN_ON; state <= QUERN_DEFAULT; state++) {
        if (strcmp(text, words[state]) == 0) {
            *state_out = (quern_switch)state;
            return true;
        }
    }
    return false;
}

static bool parse_form(const char *text, quern_explain_form *form_out)
{
    static const char *const words[] = {
        [QUERN_EXPLAIN_TEXT] = "text", [QUERN_EXPLAIN_DOT] = "dot",           [QUERN_EXPLAIN_OFF] = "off",
        [QUERN_EXPLAIN_ONLY] = "only", [QUERN_EXPLAIN_ONLY_DOT] = "only-dot",
    };
    for (int form = QUERN_EXPLAIN_TEXT; form <= QUERN_EXPLAIN_ONLY_DOT; form++) {
        if (strcmp(text, words[form]) == 0) {
            *form_out = (quern_explain_form)form;
            return true;
        }
    }
    return false;
}

/* Sets the row's field from text; false if it does not parse. */
static bool set_field(quern_options *options, const option_row *row, const char *text)
{
    void *field = (char *)options + row->offset;
    const char *end = NULL;
    switch (row->kind) {
    case SIZE:
        return parse_size(text, field);
    case TIME:
        return parse_time(text, field);
    case COUNT:
        return parse_number(text, field, &end) && *end == 0 && *(uint64_t *)field > 0;
    case SWITCH:
        return parse_switch(text, field);
    case TEXT:
        *(const char **)field = text;
        return *text != 0;
    case FORM:
        return parse_form(text, field);
    }
    return false;
}

static bool is_set(const quern_options *options, const option_row *row)
{
    const void *field = (const char *)options + row->offset;
    switch (row->kind) {
    case SIZE:
    case TIME:
    case COUNT:
        return *(const uint64_t *)field != 0;
    case SWITCH:
        return *(const quern_switch *)field != QUERN_AUTO;
    case TEXT:
        return *(const char *const *)field != NULL;
    case FORM:
        return *(const quern_explain_form *)field != QUERN_EXPLAIN_NOT_SET;
    }
    return false;
}

/* Numbers and texts are looked at by those who use them. */
static bool is_valid(const quern_options *options, const option_row *row)
{
    const void *field = (const char *)options + row->offset;
    if (row->kind == FORM)
        return *(const unsigned *)field <= QUERN_EXPLAIN_ONLY_DOT;
    return row->kind != SWITCH || *(const unsigned *)field <= QUERN_DEFAULT;
}

/* What kept a weaker source away has done its work. */
static void forget_default(quern_options *options, const option_row *row)
{
    quern_switch *field = (quern_switch *)(void *)((char *)options + row->offset);
    if (row->kind == SWITCH && *field == QUERN_DEFAULT)
        *field = QUERN_AUTO;
}

static quern_status bad_value(const char *source, const char *name, const char *text, qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "%s%s: the value '%s' cannot be used", source, name,
                        text);
}

/* The row whose name argument begins with, up to '=' or its end. */
static const option_row *find_row(const char *argument, const char **value_out)
{
    const char *equals = strchr(argument, '=');
    size_t length = equals ? (size_t)(equals - argument) : strlen(argument);
    *value_out = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (strlen(rows[i].name) == length && memcmp(rows[i].name, argument, length) == 0)
            return &rows[i];
    return NULL;
}

quern_status qn_options_take(quern_options *options, int *argc, char **argv, qn_error *error)
{
    quern_options taken = *options;
    int kept = 1;
    if (*argc < 1)
        return QUERN_OK; /* a program may be started without even a name */
    char **rest = calloc((size_t)*argc + 1, sizeof *rest);
    if (!rest)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to read arguments");
    quern_status status = QUERN_OK;
    bool open = true; /* no "--" yet */
    rest[0] = argv[0];
    for (int i = 1; i < *argc && status == QUERN_OK; i++) {
        open = open && strcmp(argv[i], "--") != 0;
        if (!open || strncmp(argv[i], PREFIX, strlen(PREFIX)) != 0) {
            rest[kept++] = argv[i];
            continue;
        }
        const char *value = NULL;
        const char *argument = argv[i];
        const option_row *row = find_row(argument + strlen(PREFIX), &value);
        if (row && !value && i + 1 < *argc)
            value = argv[++i];
        if (!row)
            status = qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "unknown option %s", argument);
        else if (!value || !set_field(&taken, row, value))
            status = bad_value(PREFIX, row->name, value ? value : "", error);
    }
    if (status == QUERN_OK) {
        memcpy(argv, rest, (size_t)kept * sizeof *argv);
        if (kept < *argc)
            argv[kept] = NULL;
        *argc = kept;
        *options = taken;
    }
    free(rest);
    return status;
}

quern_status quern_options_read_argv(quern_options *options, int *argc, char **argv)
{
    qn_orphan *orphan = qn_orphan_get();
    qn_error_clear(&orphan->error);
    if (!options || !argc || !argv)
        return qn_error_set(&orphan->error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                            "options read argv: options, argc or argv are NULL");
    quern_options taken;
    size_t caller_bytes = options->struct_size;
    quern_status status = qn_options_read(&taken, options, &orphan->error);
    if (status == QUERN_OK)
        status = qn_options_take(&taken, argc, argv, &orphan->error);
    if (status != QUERN_OK)
        return status;
    memcpy(options, &taken, caller_bytes < sizeof taken ? caller_bytes : sizeof taken);
    options->struct_size = caller_bytes;
    return QUERN_OK;
}

/* QUERN_SPLIT_BYTES for split-bytes. */
static void name_variable(const char *name, char variable[VARIABLE_BYTES_MAX])
{
    strcpy(variable, "QUERN_");
    size_t at = strlen(variable);
    for (; *name && at < VARIABLE_BYTES_MAX - 1; name++)
        variable[at++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    variable[at] = 0;
}

quern_status qn_options_merge(quern_options *merged_out, const quern_options *given, qn_error *error)
{
    quern_options merged = *given;
    for (size_t i = 0; i < ROW_COUNT; i++) {
        char variable[VARIABLE_BYTES_MAX];
        name_variable(rows[i].name, variable);
        const char *text = getenv(variable);
        if (!is_valid(&merged, &rows[i]))
            return qn_error_set(error, QUERN_ERROR_INVALID_OPTION, 0, "the field of %s: the value cannot be used",
                                rows[i].name);
        if (text && *text && !is_set(&merged, &rows[i]) && !set_field(&merged, &rows[i], text))
            return bad_value("", variable, text, error);
        forget_default(&merged, &rows[i]);
    }
    *merged_out = merged;
    return QUERN_OK;
}
