/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/output_names.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/io/output_lock.h"

#define TOKEN_BYTES      (QN_BEAT_TOKEN_BYTES - 1)
#define TEMPORARY_PREFIX ".part-"
#define TEMPORARY_SUFFIX ".tmp"
#define SECOND_SUFFIX    ".second" TEMPORARY_SUFFIX
#define PART_PREFIX      "part-"
#define SUCCESS_PREFIX   ".success"
#define MANIFEST_PREFIX  ".manifest"

/* What stands behind a prefix, or NULL: the name does not begin with it. */
static const char *behind(const char *name, const char *prefix)
{
    size_t bytes = strlen(prefix);
    return strncmp(name, prefix, bytes) == 0 ? name + bytes : NULL;
}

/* What stands behind a part's number, or NULL: it is no part's name. */
static const char *behind_number(const char *name, const char *prefix, uint64_t *number_out)
{
    const char *digits = behind(name, prefix);
    if (!digits || strspn(digits, "0123456789") < QN_OUTPUT_DIGITS_MIN)
        return NULL;
    char *end = NULL;
    *number_out = strtoull(digits, &end, 10);
    return end;
}

/* What stands behind a dot and a token, if there is one; else `text`. */
static const char *behind_token(const char *text, const char *token, bool *is_own_out)
{
    bool has_token = *text == '.' && strspn(text + 1, "0123456789abcdef") == TOKEN_BYTES;
    *is_own_out = has_token && token && strncmp(text + 1, token, TOKEN_BYTES) == 0;
    return has_token ? text + 1 + TOKEN_BYTES : text;
}

static qn_output_kind kind_of_temporary(const char *suffix)
{
    if (strcmp(suffix, TEMPORARY_SUFFIX) == 0)
        return QN_OUTPUT_PART;
    return strcmp(suffix, SECOND_SUFFIX) == 0 ? QN_OUTPUT_SECOND : QN_OUTPUT_OTHER;
}

/* Of what becomes success or the manifest; it always has a token. */
static qn_output_kind kind_of_commit(const char *name, const char *token, bool *is_own_out)
{
    bool is_success = behind(name, SUCCESS_PREFIX) != NULL;
    const char *rest = is_success ? behind(name, SUCCESS_PREFIX) : behind(name, MANIFEST_PREFIX);
    if (!rest)
        return QN_OUTPUT_OTHER;
    const char *suffix = behind_token(rest, token, is_own_out);
    if (suffix == rest || strcmp(suffix, TEMPORARY_SUFFIX) != 0)
        return QN_OUTPUT_OTHER;
    return is_success ? QN_OUTPUT_COMMIT : QN_OUTPUT_TEMPORARY;
}

qn_output_kind qn_output_kind_of(const char *name, const char *token, uint64_t *number_out, bool *is_own_out)
{
    *number_out = UINT64_MAX;
    *is_own_out = false;
    const char *rest = behind(name, QN_OUTPUT_LOCK_NAME);
    if (rest) {
        const char *end = behind_token(rest, token, is_own_out);
        return *rest == 0 ? QN_OUTPUT_LOCK : *end == 0 ? QN_OUTPUT_TEMPORARY : QN_OUTPUT_OTHER;
    }
    if ((rest = behind_number(name, TEMPORARY_PREFIX, number_out)))
        return kind_of_temporary(behind_token(rest, token, is_own_out));
    if ((rest = behind_number(name, PART_PREFIX, number_out)))
        return *rest == 0 || *rest == '.' ? QN_OUTPUT_NAMED : QN_OUTPUT_OTHER;
    if (strcmp(name, QN_OUTPUT_MANIFEST_NAME) == 0)
        return QN_OUTPUT_NAMED;
    return kind_of_commit(name, token, is_own_out);
}

int qn_output_digits(uint64_t part_count)
{
    int digits = 1;
    for (uint64_t largest = part_count > 0 ? part_count - 1 : 0; largest >= 10; largest /= 10)
        digits++;
    return digits > QN_OUTPUT_DIGITS_MIN ? digits : QN_OUTPUT_DIGITS_MIN;
}

char *qn_output_part_path(const char *directory, int digits, uint64_t number, const char *suffix)
{
    char *path = NULL;
    if (asprintf(&path, "%s/" PART_PREFIX "%0*" PRIu64 "%s", directory, digits, number, suffix) < 0)
        return NULL;
    return path;
}

char *qn_output_temporary_path(const char *directory, int digits, uint64_t number, const char *token, bool is_second)
{
    char *path = NULL;
    bool has_token = token && *token;
    if (asprintf(&path, "%s/" TEMPORARY_PREFIX "%0*" PRIu64 "%s%s%s", directory, digits, number, has_token ? "." : "",
                 has_token ? token : "", is_second ? SECOND_SUFFIX : TEMPORARY_SUFFIX) < 0)
        return NULL;
    return path;
}

char *qn_output_commit_path(const char *directory, bool is_success, const char *token)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s.%s" TEMPORARY_SUFFIX, directory, is_success ? SUCCESS_PREFIX : MANIFEST_PREFIX, token) <
        0)
        return NULL;
    return path;
}
