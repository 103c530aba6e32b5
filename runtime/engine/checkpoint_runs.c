/* SPDX-License-Identifier: BSD-3-Clause */
/* Runs: whether an earlier attempt did all of one, and what came of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/hash.h"
#include "runtime/engine/checkpoint_internal.h"
#include "runtime/io/output.h"

/* Whether files are all that came of the run. The same on all ranks. */
static bool gives_only_files(const qn_graph *graph)
{
    for (const qn_sink *sink = graph->sinks; sink; sink = sink->next)
        if (!qn_sink_is_of_files(sink))
            return false;
    return graph->sinks && !graph->cached && !graph->wanted;
}

/* Why a line of a run is not of this one's work, whatever it read; or NULL. */
static const char *why_other(qn_checkpoint *checkpoint, const json_t *line, const struct quern_counter *counters)
{
    if (qn_json_get_number(line, "program") != checkpoint->program)
        return "the program is another one";
    const char *reason = qn_checkpoint_why_not_given(checkpoint, line);
    if (reason)
        return reason;
    if (!qn_checkpoint_has_digest(line, checkpoint->history))
        return "the graph is another one";
    return json_array_size(json_object_get(line, "counted")) == qn_counter_count(counters) ? NULL
                                                                                           : "there are other counters";
}

/* The last line that a commit of this run left about a directory, or (NULL) about itself. */
static const json_t *find_output(const qn_checkpoint *checkpoint, const char *directory)
{
    for (size_t i = json_array_size(checkpoint->outputs); i > 0; i--) {
        const json_t *line = json_array_get(checkpoint->outputs, i - 1);
        const char *other = json_string_value(json_object_get(line, "directory"));
        if (qn_json_get_number(line, "run") == checkpoint->run &&
            (directory ? other && strcmp(directory, other) == 0 : !other))
            return line;
    }
    return NULL;
}

static bool digest_manifest(const char *directory, uint64_t *digest_out)
{
    char *path = NULL;
    qn_error ignored = {0};
    if (asprintf(&path, "%s/_MANIFEST.json", directory) < 0)
        return false;
    *digest_out = 0;
    bool is_read = qn_checkpoint_digest_file(path, digest_out, &ignored) == QUERN_OK;
    free(path);
    return is_read;
}

/* It has the manifest that the line says, so it is of this run, whether or not it came to _SUCCESS. */
static bool is_ours(const qn_checkpoint *checkpoint, const qn_sink *sink)
{
    const json_t *line = find_output(checkpoint, sink->directory);
    uint64_t digest = 0;
    return !sink->path && line && digest_manifest(sink->directory, &digest) && qn_checkpoint_has_digest(line, digest);
}

/* Whether all files of which a directory's manifest tells are there, of these sizes. */
static bool has_parts(const char *directory)
{
    char *path = NULL;
    if (asprintf(&path, "%s/_MANIFEST.json", directory) < 0)
        return false;
    json_t *manifest = json_load_file(path, 0, NULL);
    const json_t *parts = json_object_get(manifest, "parts");
    bool is_whole = json_is_array(parts);
    free(path);
    for (size_t i = 0; i < json_array_size(parts) && is_whole; i++) {
        const json_t *part = json_array_get(parts, i);
        const char *name = json_string_value(json_object_get(part, "name"));
        struct stat about;
        is_whole = name && asprintf(&path, "%s/%s", directory, name) >= 0;
        if (!is_whole)
            break;
        is_whole = stat(path, &about) == 0 && (uint64_t)about.st_size == qn_json_get_number(part, "bytes");
        free(path);
    }
    json_decref(manifest);
    return is_whole;
}

static bool is_whole(const qn_checkpoint *checkpoint, const qn_sink *sink)
{
    char *path = NULL;
    if (!is_ours(checkpoint, sink) || asprintf(&path, "%s/_SUCCESS", sink->directory) < 0)
        return false;
    bool has_success = access(path, F_OK) == 0;
    free(path);
    return has_success && has_parts(sink->directory);
}

/* Of a file that stands alone: its path, size and time of change. 0: it is not there. */
static uint64_t digest_alone(const char *path)
{
    struct stat about;
    if (lstat(path, &about) != 0)
        return 0;
    const uint64_t numbers[] = {(uint64_t)about.st_size, (uint64_t)about.st_mtim.tv_sec,
                                (uint64_t)about.st_mtim.tv_nsec};
    return (qn_checksum(numbers, sizeof numbers, qn_checksum(path, strlen(path), 0)) & INT64_MAX) | 1;
}

/* The line of a run says what each of them was when it was over. NULL: no memory. */
static json_t *describe_alone(const qn_graph *graph)
{
    json_t *list = json_array();
    bool is_whole = list != NULL;
    for (const qn_sink *sink = graph->sinks; sink && is_whole; sink = sink->next)
        is_whole = !sink->path || json_array_append_new(list, json_integer((json_int_t)digest_alone(sink->path))) == 0;
    if (is_whole)
        return list;
    json_decref(list);
    return NULL;
}

static bool is_as_noted(const json_t *line, const qn_sink *sink)
{
    const json_t *noted = json_object_get(line, "alone");
    uint64_t digest = digest_alone(sink->path);
    for (size_t i = 0; i < json_array_size(noted) && digest != 0; i++)
        if ((uint64_t)json_integer_value(json_array_get(noted, i)) == digest)
            return true;
    return false;
}

/* Why what the line says is over is not, or NULL. */
static const char *why_not_over(qn_checkpoint *checkpoint, const json_t *line, const qn_graph *graph,
                                const struct quern_counter *counters)
{
    const char *reason = why_other(checkpoint, line, counters);
    if (reason)
        return reason;
    if (!checkpoint->run_is_seen)
        return "not all that it read is files that can be looked at";
    reason = qn_checkpoint_why_not_inputs(checkpoint, line, checkpoint->run_inputs);
    for (const qn_sink *sink = graph->sinks; sink && !reason; sink = sink->next) {
        if (sink->path ? is_as_noted(line, sink) : is_whole(checkpoint, sink))
            continue;
        snprintf(checkpoint->reason, sizeof checkpoint->reason, "its output %s is not there, or not as it was",
                 sink->path ? sink->path : sink->directory);
        reason = checkpoint->reason;
    }
    return reason;
}

/* Of outputs that an attempt before this one at the same run gave, when the run is not done: it will give them again. What it read may be
 * something else by now, but not what it did. */
static void forget_outputs(qn_checkpoint *checkpoint, const qn_graph *graph, const struct quern_counter *counters)
{
    qn_error ignored = {0}; /* whoever prepares the directory will say what is wrong with it */
    const json_t *commit = find_output(checkpoint, NULL);
    const json_t *end = qn_checkpoint_find_line(checkpoint->runs, checkpoint->run, 0);
    bool is_same = commit && !why_other(checkpoint, commit, counters);
    for (const qn_sink *sink = graph->sinks; sink && is_same; sink = sink->next) {
        const char *name = sink->path ? sink->path : sink->directory;
        if (!qn_sink_is_of_files(sink) || !(sink->path ? end && is_as_noted(end, sink) : is_ours(checkpoint, sink)))
            continue;
        qn_checkpoint_say(checkpoint, "the output %s of run %u is given again", name, checkpoint->run);
        if (sink->path)
            unlink(sink->path);
        else
            qn_output_forget(sink->directory, &ignored);
    }
}

/* The line that says that the run is done, or that all its outputs were about to be, which they are. Rank 0. */
static const json_t *find_end(qn_checkpoint *checkpoint, const qn_graph *graph, const struct quern_counter *counters)
{
    const json_t *line = qn_checkpoint_find_line(checkpoint->runs, checkpoint->run, 0);
    if (!line)
        line = find_output(checkpoint, NULL);
    if (!line || !gives_only_files(graph))
        return NULL;
    const char *reason = why_not_over(checkpoint, line, graph, counters);
    if (reason) {
        qn_checkpoint_say(checkpoint, "run %u is run again: %s", checkpoint->run, reason);
        return NULL;
    }
    for (const qn_sink *sink = graph->sinks; sink; sink = sink->next)
        if (!sink->path)
            qn_output_settle(sink->directory);
    return line;
}

/* What all have to know of what rank 0 knows, since each may have to take its place. */
typedef struct shared {
    uint64_t is_done, given, name_bytes, past, past_is_unseen;
} shared;

static quern_status share_names(qn_checkpoint *checkpoint, char *text, uint64_t bytes, qn_error *error)
{
    qn_comm *comm = checkpoint->comm;
    if (comm->rank != 0 && !(text = malloc(bytes)))
        qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for what the job was given");
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK)
        status = qn_comm_broadcast(comm, text, bytes, 0, error);
    json_t *names = status == QUERN_OK && comm->rank != 0 ? json_loadb(text, bytes, 0, NULL) : NULL;
    if (names) {
        json_decref(checkpoint->givens->names);
        checkpoint->givens->names = names;
    }
    if (comm->rank != 0)
        free(text);
    return status;
}

static quern_status share(qn_checkpoint *checkpoint, bool *is_done, qn_error *error)
{
    bool is_root = checkpoint->comm->rank == 0;
    char *text = NULL;
    if (is_root && checkpoint->given != checkpoint->shared_given)
        text = json_dumps(checkpoint->givens->names, JSON_COMPACT);
    shared all = {*is_done, checkpoint->given, text ? strlen(text) : 0, checkpoint->past, checkpoint->past_is_unseen};
    quern_status status = qn_comm_broadcast(checkpoint->comm, &all, sizeof all, 0, error);
    if (status == QUERN_OK && all.name_bytes > 0)
        status = share_names(checkpoint, text, all.name_bytes, error);
    free(text);
    *is_done = all.is_done;
    checkpoint->given = checkpoint->shared_given = all.given;
    checkpoint->past = all.past;
    checkpoint->past_is_unseen = all.past_is_unseen;
    return status;
}

static void enter_run(qn_checkpoint *checkpoint, const qn_graph *graph, const uint64_t *node_files)
{
    checkpoint->run++;
    checkpoint->node_files = node_files;
    checkpoint->history = qn_checksum(&graph->digest, sizeof graph->digest, checkpoint->history) & INT64_MAX;
    checkpoint->reusable = checkpoint->begun = checkpoint->noted = 0;
    free(checkpoint->files);
    checkpoint->files = NULL;
    checkpoint->file_count = 0;
    json_decref(checkpoint->carried);
    checkpoint->carried = NULL;
}

quern_status qn_checkpoint_begin_run(qn_checkpoint *checkpoint, const qn_graph *graph, const qn_stages *stages,
                                     const uint64_t *node_files, struct quern_counter *counters, bool *is_done_out,
                                     qn_error *error)
{
    const json_t *end = NULL;
    *is_done_out = false;
    if (!checkpoint->directory)
        return QUERN_OK;
    enter_run(checkpoint, graph, node_files);
    if (checkpoint->comm->rank == 0 && qn_checkpoint_tell_givens(checkpoint, error) == QUERN_OK &&
        qn_checkpoint_look(checkpoint, stages, error) == QUERN_OK)
        end = find_end(checkpoint, graph, counters);
    bool is_done = end != NULL;
    quern_status status = qn_comm_agree(checkpoint->comm, error);
    if (status == QUERN_OK)
        status = share(checkpoint, &is_done, error);
    if (status == QUERN_OK && end) {
        qn_checkpoint_count_again(end, counters);
        qn_checkpoint_say(checkpoint, "run %u was done", checkpoint->run);
    }
    *is_done_out = status == QUERN_OK && is_done;
    if (status != QUERN_OK || is_done)
        return status;
    if (checkpoint->comm->rank == 0)
        forget_outputs(checkpoint, graph, counters);
    return qn_checkpoint_choose(checkpoint, stages, gives_only_files(graph), counters, error);
}

/* Takes `counted` and `alone`; alone: NULL: nothing is. */
static json_t *describe_run(const qn_checkpoint *checkpoint, const char *event, json_t *counted, json_t *alone)
{
    char digest[QN_DIGEST_TEXT_BYTES];
    qn_checkpoint_print_digest(checkpoint->history, digest);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:o, s:o*, s:o*}", "event", event, "attempt",
                     (json_int_t)checkpoint->attempt, "run", (json_int_t)checkpoint->run, "program",
                     (json_int_t)checkpoint->program, "given", (json_int_t)checkpoint->given, "digest", digest,
                     "inputs", json_copy(checkpoint->run_inputs), "counted", counted, "alone", alone);
}

static void forget_lines(json_t *lines, uint32_t run)
{
    for (size_t i = json_array_size(lines); i > 0; i--)
        if (qn_json_get_number(json_array_get(lines, i - 1), "run") == run)
            json_array_remove(lines, i - 1);
}

static void forget_run(qn_checkpoint *checkpoint)
{
    forget_lines(checkpoint->stages, checkpoint->run);
    forget_lines(checkpoint->epochs, checkpoint->run);
    forget_lines(checkpoint->parts, checkpoint->run);
    qn_checkpoint_sweep(checkpoint);
}

/* Notes what all ranks counted in the run. graph: of a run that is over, with its outputs; else NULL. Collective. */
static quern_status note_run(qn_checkpoint *checkpoint, const char *event, struct quern_counter *counters,
                             const qn_graph *graph, qn_error *failure)
{
    json_t *sums = qn_checkpoint_sum_counted(checkpoint, counters, NULL, failure);
    if (checkpoint->comm->rank == 0)
        qn_checkpoint_append(checkpoint, describe_run(checkpoint, event, sums, graph ? describe_alone(graph) : NULL),
                             failure);
    else
        json_decref(sums);
    return qn_comm_agree(checkpoint->comm, failure);
}

quern_status qn_checkpoint_begin_commit(qn_checkpoint *checkpoint, const qn_graph *graph,
                                        struct quern_counter *counters, qn_error *error)
{
    qn_error failure = {0};
    bool has_files = false;
    for (const qn_sink *sink = graph->sinks; sink; sink = sink->next)
        has_files |= qn_sink_is_of_files(sink);
    if (!checkpoint->directory || checkpoint->save_failed || !has_files ||
        note_run(checkpoint, "commit", counters, NULL, &failure) == QUERN_OK)
        return QUERN_OK;
    return qn_checkpoint_go_on_without(checkpoint, &failure, error);
}

void qn_checkpoint_announce(const char *directory, void *user)
{
    qn_checkpoint *checkpoint = user;
    qn_error failure = {0};
    char text[QN_DIGEST_TEXT_BYTES];
    uint64_t digest = 0;
    if (!checkpoint->directory || checkpoint->save_failed || !find_output(checkpoint, NULL) ||
        !digest_manifest(directory, &digest))
        return;
    qn_checkpoint_print_digest(digest, text);
    qn_checkpoint_append(checkpoint,
                         json_pack("{s:s, s:I, s:I, s:s, s:s}", "event", "output", "attempt",
                                   (json_int_t)checkpoint->attempt, "run", (json_int_t)checkpoint->run, "directory",
                                   directory, "digest", text),
                         &failure); /* without it the run would be done again */
}

quern_status qn_checkpoint_end_run(qn_checkpoint *checkpoint, const qn_graph *graph, struct quern_counter *counters,
                                   qn_error *error)
{
    qn_error failure = {0};
    if (!checkpoint->directory || checkpoint->save_failed || !gives_only_files(graph))
        return QUERN_OK;
    if (checkpoint->comm->rank == 0)
        forget_lines(checkpoint->unwritten, checkpoint->run); /* the run's line says it all */
    if (note_run(checkpoint, "run", counters, graph, &failure) != QUERN_OK)
        return qn_checkpoint_go_on_without(checkpoint, &failure, error);
    if (checkpoint->comm->rank == 0)
        forget_run(checkpoint);
    return QUERN_OK;
}
