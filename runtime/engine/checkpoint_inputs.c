/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What runs read and were given, by digests; and lines that say what is behind a digest, each once, so that it can be said what changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/hash.h"
#include "runtime/base/utf8.h"
#include "runtime/engine/checkpoint_internal.h"
#include "runtime/io/listing.h"

#define NAMED_FILES_MAX 512 /* of an input: so many are in a line */
#define TOLD_LINES_MAX  512 /* a program may run for ever; of what has none, only that it changed can be said */
#define KEY_BYTES       32

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for a checkpoint");
}

/* ---- lines about digests */

static void print_key(char key[KEY_BYTES], const char *event, uint64_t digest)
{
    snprintf(key, KEY_BYTES, "%.8s %016llx", event, (unsigned long long)digest);
}

static const json_t *find_told(const qn_checkpoint *checkpoint, const char *event, uint64_t digest)
{
    char key[KEY_BYTES];
    print_key(key, event, digest);
    return json_object_get(checkpoint->told, key);
}

quern_status qn_checkpoint_take_told(qn_checkpoint *checkpoint, const char *event, json_t *line, qn_error *error)
{
    char key[KEY_BYTES];
    print_key(key, event, qn_json_get_number(line, "digest"));
    return json_object_set(checkpoint->told, key, line) == 0 ? QUERN_OK : no_memory(error);
}

/* Whether nothing is said about a digest yet, and something may be: lines are not encrypted, and who has a key shows no names. */
static bool is_untold(const qn_checkpoint *checkpoint, const char *event, uint64_t digest)
{
    return !checkpoint->settings->cipher && json_object_size(checkpoint->told) < TOLD_LINES_MAX &&
           !find_told(checkpoint, event, digest);
}

/* It is written with the next line that is. Takes the reference. */
static quern_status tell(qn_checkpoint *checkpoint, const char *event, json_t *line, qn_error *error)
{
    quern_status status = line ? qn_checkpoint_take_told(checkpoint, event, line, error) : no_memory(error);
    if (status == QUERN_OK && json_array_append(checkpoint->unwritten, line) != 0)
        status = no_memory(error);
    json_decref(line);
    return status;
}

/* ---- what was given */

quern_status qn_checkpoint_tell_givens(qn_checkpoint *checkpoint, qn_error *error)
{
    json_t *names = checkpoint->givens->names;
    checkpoint->given = qn_givens_digest(names);
    if (!is_untold(checkpoint, "given", checkpoint->given))
        return QUERN_OK;
    return tell(checkpoint, "given",
                json_pack("{s:s, s:I, s:I, s:o}", "event", "given", "attempt", (json_int_t)checkpoint->attempt,
                          "digest", (json_int_t)checkpoint->given, "names", json_copy(names)),
                error);
}

const char *qn_checkpoint_why_not_given(qn_checkpoint *checkpoint, const json_t *line)
{
    const json_t *told = find_told(checkpoint, "given", qn_json_get_number(line, "given"));
    if (qn_json_get_number(line, "given") == checkpoint->given)
        return NULL;
    if (told && qn_givens_compare(json_object_get(told, "names"), checkpoint->givens->names, checkpoint->reason,
                                  sizeof checkpoint->reason))
        return checkpoint->reason;
    return "what the job was given, or broadcast, is something else";
}

/* ---- files */

/* Of one that went away meanwhile: zeros, which are those of no other. NULL: no memory. */
static json_t *describe_file(const char *path)
{
    struct stat about = {0};
    char *name = qn_utf8_repair(path);
    if (stat(path, &about) != 0)
        about = (struct stat){0};
    json_t *file = name ? json_pack("[s, I, I, I]", name, (json_int_t)about.st_size, (json_int_t)about.st_mtim.tv_sec,
                                    (json_int_t)about.st_mtim.tv_nsec)
                        : NULL;
    free(name);
    return file;
}

static json_t *describe_listing(const qn_checkpoint *checkpoint, const qn_listing *listing, uint64_t digest)
{
    json_t *first = json_array();
    bool is_whole = first != NULL;
    for (size_t i = 0; i < listing->file_count && i < NAMED_FILES_MAX && is_whole; i++)
        is_whole = json_array_append_new(first, describe_file(listing->files[i].path)) == 0;
    if (is_whole)
        return json_pack("{s:s, s:I, s:I, s:I, s:o}", "event", "inputs", "attempt", (json_int_t)checkpoint->attempt,
                         "digest", (json_int_t)digest, "count", (json_int_t)listing->file_count, "first", first);
    json_decref(first);
    return NULL;
}

/* *digest_out stays 0: they cannot be listed, of which the stage will say more. */
static quern_status look_at_files(qn_checkpoint *checkpoint, const qn_node *source, uint64_t *digest_out,
                                  qn_error *error)
{
    qn_listing listing;
    qn_error ignored = {0};
    uint64_t digest = 0;
    quern_status status = QUERN_OK;
    if (qn_listing_create(&listing, source->text.paths, source->text.path_count, &ignored) == QUERN_OK &&
        qn_listing_digest(&listing, &digest)) {
        *digest_out = (digest & INT64_MAX) | 1; /* JSON's integers */
        if (is_untold(checkpoint, "inputs", *digest_out))
            status = tell(checkpoint, "inputs", describe_listing(checkpoint, &listing, *digest_out), error);
    }
    qn_listing_destroy(&listing);
    return status;
}

/* In order, each once. */
static bool add_number(json_t *list, uint64_t number)
{
    size_t at = 0;
    while (at < json_array_size(list) && (uint64_t)json_integer_value(json_array_get(list, at)) < number)
        at++;
    return (at < json_array_size(list) && (uint64_t)json_integer_value(json_array_get(list, at)) == number) ||
           json_array_insert_new(list, at, json_integer((json_int_t)number)) == 0;
}

static bool add_all(json_t *list, const json_t *others)
{
    bool is_whole = true;
    for (size_t i = 0; i < json_array_size(others); i++)
        is_whole &= add_number(list, (uint64_t)json_integer_value(json_array_get(others, i)));
    return is_whole;
}

/* Those that only their nodes see were looked at there. */
static quern_status look_at_leg(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index, uint32_t leg,
                                json_t *list, qn_error *error)
{
    const qn_stage *stage = &stages->items[index];
    uint64_t *digest = &checkpoint->inputs[index][leg];
    quern_status status = QUERN_OK;
    *digest = 0;
    if (stage->legs[leg].parent != QN_STAGE_NONE)
        return add_all(list, json_array_get(checkpoint->stage_inputs, stage->legs[leg].parent)) ? QUERN_OK
                                                                                                : no_memory(error);
    if (qn_leg_has_tasks(stage, leg) && qn_leg_source(stage, leg)->text.is_on_nodes)
        *digest = checkpoint->node_files[index] & INT64_MAX;
    else if (qn_leg_has_tasks(stage, leg))
        status = look_at_files(checkpoint, qn_leg_source(stage, leg), digest, error);
    checkpoint->run_is_seen &= *digest != 0;
    if (status == QUERN_OK && *digest != 0 && !add_number(list, *digest))
        status = no_memory(error);
    return status;
}

static quern_status look_at_stage(qn_checkpoint *checkpoint, const qn_stages *stages, uint32_t index, qn_error *error)
{
    const qn_stage *stage = &stages->items[index];
    json_t *list = json_array();
    quern_status status =
        list && json_array_append_new(checkpoint->stage_inputs, list) == 0 ? QUERN_OK : no_memory(error);
    for (uint32_t leg = 0; leg < stage->leg_count && status == QUERN_OK; leg++)
        status = look_at_leg(checkpoint, stages, index, leg, list, error);
    if (status == QUERN_OK && !add_all(checkpoint->run_inputs, list))
        status = no_memory(error);
    return status;
}

static bool reads_earlier_runs(const qn_stages *stages)
{
    for (uint32_t i = 0; i < stages->count; i++)
        if (stages->items[i].is_made || stages->items[i].kept != QN_STAGE_NONE)
            return true;
    return false;
}

quern_status qn_checkpoint_look(qn_checkpoint *checkpoint, const qn_stages *stages, qn_error *error)
{
    quern_status status = QUERN_OK;
    bool is_seen = true;
    if (!checkpoint->inputs && !(checkpoint->inputs = calloc(QN_STAGE_COUNT_MAX, sizeof *checkpoint->inputs)))
        return no_memory(error);
    json_array_clear(checkpoint->stage_inputs);
    json_array_clear(checkpoint->run_inputs);
    checkpoint->run_is_seen = true;
    for (uint32_t i = 0; i < stages->count && status == QUERN_OK; i++)
        status = look_at_stage(checkpoint, stages, i, error);
    is_seen = checkpoint->run_is_seen;
    if (reads_earlier_runs(stages)) {
        checkpoint->run_is_seen &= !checkpoint->past_is_unseen;
        if (status == QUERN_OK && !add_number(checkpoint->run_inputs, checkpoint->past & INT64_MAX))
            status = no_memory(error);
    }
    for (size_t i = 0; i < json_array_size(checkpoint->run_inputs); i++) {
        uint64_t number = (uint64_t)json_integer_value(json_array_get(checkpoint->run_inputs, i));
        checkpoint->past = qn_checksum(&number, sizeof number, checkpoint->past);
    }
    checkpoint->past_is_unseen |= !is_seen;
    return status;
}

/* ---- what changed of them */

static const char *path_of(const json_t *file)
{
    const char *path = json_string_value(json_array_get(file, 0));
    return path ? path : "?";
}

static bool holds_path(const json_t *files, const char *path)
{
    for (size_t i = 0; i < json_array_size(files); i++)
        if (strcmp(path_of(json_array_get(files, i)), path) == 0)
            return true;
    return false;
}

/* Of two files at the same place that are not the same. */
static void name_change(const json_t *before, const json_t *after, const json_t *files, char *text, size_t bytes)
{
    json_int_t then = json_integer_value(json_array_get(before, 1)), now = json_integer_value(json_array_get(after, 1));
    if (before && !holds_path(files, path_of(before)))
        snprintf(text, bytes, "an input changed: %s is not there any more, or is empty", path_of(before));
    else if (!before || strcmp(path_of(before), path_of(after)) != 0)
        snprintf(text, bytes, "an input changed: %s is new", path_of(after));
    else if (then != now)
        snprintf(text, bytes, "an input changed: %s has %lld bytes, and had %lld", path_of(after), (long long)now,
                 (long long)then);
    else
        snprintf(text, bytes, "an input changed: %s has another time of change", path_of(after));
}

static void name_difference(const json_t *before, const json_t *after, char *text, size_t bytes)
{
    const json_t *olds = json_object_get(before, "first"), *news = json_object_get(after, "first");
    size_t old_count = json_array_size(olds), new_count = json_array_size(news);
    for (size_t i = 0; i < old_count || i < new_count; i++) {
        const json_t *old = json_array_get(olds, i), *new = json_array_get(news, i);
        if (old && new &&json_equal(old, new))
            continue;
        name_change(old, new, news, text, bytes);
        return;
    }
    snprintf(text, bytes, "an input changed: one of the files behind %s",
             path_of(json_array_get(olds, old_count > 0 ? old_count - 1 : 0)));
}

/* The first of the one list that is not in the other; 0: none. */
static uint64_t find_other(const json_t *list, const json_t *others)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        bool is_there = false;
        for (size_t j = 0; j < json_array_size(others) && !is_there; j++)
            is_there = json_equal(json_array_get(list, i), json_array_get(others, j));
        if (!is_there)
            return (uint64_t)json_integer_value(json_array_get(list, i));
    }
    return 0;
}

const char *qn_checkpoint_why_not_inputs(qn_checkpoint *checkpoint, const json_t *line, const json_t *inputs)
{
    const json_t *noted = json_object_get(line, "inputs");
    if (json_is_array(noted) && json_equal(noted, inputs))
        return NULL;
    const json_t *before = find_told(checkpoint, "inputs", find_other(noted, inputs));
    const json_t *after = find_told(checkpoint, "inputs", find_other(inputs, noted));
    if (!before || !after)
        return "an input changed: a path, a size or a time";
    name_difference(before, after, checkpoint->reason, sizeof checkpoint->reason);
    return checkpoint->reason;
}
