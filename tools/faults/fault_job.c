/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_job.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scheduler/sim/sim_random.h"
#include "tools/faults/fault_disk.h"
#include "tools/quern/litter.h"

#define MIB             ((uint64_t)1 << 20)
#define LINE_BYTES_MAX  64
#define WORDS_MAX       8192
#define STALL_PER_MILLE 1
#define STALL_NS        UINT64_C(30000000)
#define CALLS_A_MOMENT  64 /* a death for each call would hardly ever be elsewhere */

static const qn_fault_job *played;
static uint32_t calls, failing_left;
static uint64_t failing_random;
static quern_status worst;

/* ---- the input and its answer */

qn_fault_job qn_fault_job_draw(uint64_t seed)
{
    uint64_t random = qn_sim_mix(seed ^ 0x6a6f6273);
    qn_fault_job job = {
        .seed = seed,
        .line_count = 200 + (uint32_t)qn_sim_below(&random, qn_sim_chance(&random, 200) ? 30000 : 8000),
        .split_bytes = UINT64_C(4096) << qn_sim_below(&random, 3),
        .every_ms = 1 + qn_sim_below(&random, 12),
        .callback_ns = 200 + qn_sim_below(&random, 20000),
        .has_two_stages = qn_sim_chance(&random, 400),
        .saves = true,
    };
    job.word_count = 1 + (uint32_t)qn_sim_below(&random, qn_sim_chance(&random, 300) ? 20 : WORDS_MAX);
    job.copy_count = qn_sim_chance(&random, 500) ? 1 + (uint32_t)qn_sim_below(&random, 5) : 0;
    job.reads_both = qn_sim_mix(seed ^ 0x626f7468) % 4 == 0;
    job.writes_lines = qn_sim_mix(seed ^ 0x6c696e6573) % 4 == 0;
    job.task_batch = qn_sim_mix(seed ^ 0x6261746368) % 9; /* 0: by the load, which is low */
    job.memory_bytes = (qn_sim_chance(&random, 500) ? 16 : 64) * MIB;
    return job;
}

/* Some lines are long, most are not. */
static int print_word(char line[LINE_BYTES_MAX], uint32_t word)
{
    return snprintf(line, LINE_BYTES_MAX, word % 50 == 7 ? "word-%u-of-quite-some-length" : "w%u", word);
}

static uint32_t draw_word(const qn_fault_job *job, uint64_t *random)
{
    uint32_t bound = qn_sim_chance(random, 300) ? 1 + job->word_count / 20 : job->word_count;
    return (uint32_t)qn_sim_below(random, bound);
}

bool qn_fault_job_prepare(const qn_fault_job *job)
{
    char line[LINE_BYTES_MAX];
    uint64_t random = qn_sim_mix(job->seed);
    FILE *file = fopen("input", "w");
    for (uint32_t i = 0; file && i < job->line_count; i++) {
        print_word(line, draw_word(job, &random));
        fprintf(file, "%s\n", line);
    }
    bool is_written = file && fclose(file) == 0;
    FILE *keep = is_written && mkdir("saved", 0700) == 0 ? fopen("saved/keep", "w") : NULL;
    return keep && fclose(keep) == 0;
}

/* Of a line of an output; the sum over all lines does not depend on their order. */
static uint64_t digest_line(const char *line, size_t bytes)
{
    uint64_t digest = bytes;
    for (size_t i = 0; i < bytes; i++)
        digest = qn_sim_mix(digest * 31 + (uint8_t)line[i]);
    return qn_sim_mix(digest);
}

typedef struct answer {
    uint64_t sum, line_count;
} answer;

typedef enum output_kind {
    OUTPUT_COUNTS,
    OUTPUT_ONES, /* words that occur, each once */
    OUTPUT_LINES,
    OUTPUT_MORE, /* counts, and one for each word */
} output_kind;

static answer expect(const qn_fault_job *job, output_kind kind)
{
    char line[LINE_BYTES_MAX], counted[2 * LINE_BYTES_MAX];
    static uint32_t counts[WORDS_MAX + 1];
    answer expected = {0};
    uint64_t random = qn_sim_mix(job->seed);
    memset(counts, 0, sizeof counts);
    for (uint32_t i = 0; i < job->line_count; i++)
        counts[draw_word(job, &random)] += job->copy_count > 0 ? job->copy_count : 1;
    for (uint32_t word = 0; word < job->word_count; word++) {
        if (counts[word] == 0)
            continue;
        print_word(line, word);
        uint32_t count = kind == OUTPUT_ONES ? 1 : counts[word] + (kind == OUTPUT_MORE);
        int bytes = kind == OUTPUT_LINES ? snprintf(counted, sizeof counted, "%s", line)
                                         : snprintf(counted, sizeof counted, "%s\t%u", line, count);
        uint64_t times = kind == OUTPUT_LINES ? counts[word] : 1;
        expected.sum += times * digest_line(counted, (size_t)bytes);
        expected.line_count += times;
    }
    return expected;
}

static bool read_part(const char *path, answer *found)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    for (ssize_t bytes; (bytes = getline(&line, &room, file)) > 0; found->line_count++)
        found->sum += digest_line(line, (size_t)bytes - 1);
    free(line);
    return fclose(file) == 0;
}

static const char *judge_output(const qn_fault_job *job, const char *name, output_kind kind)
{
    char path[PATH_MAX];
    answer expected = expect(job, kind), found = {0};
    bool is_whole = false, is_other = false;
    DIR *open = opendir(name);
    if (!open)
        return "the job succeeded, and there is no output";
    for (struct dirent *entry; (entry = readdir(open));) {
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        is_whole |= strcmp(entry->d_name, "_SUCCESS") == 0;
        is_other |= strstr(entry->d_name, ".tmp") || strcmp(entry->d_name, ".quern-lock") == 0;
        if (strncmp(entry->d_name, "part-", 5) == 0 && !read_part(path, &found))
            is_other = true;
    }
    closedir(open);
    if (!is_whole || is_other)
        return "the output is not whole, or has more than belongs there";
    if (found.line_count != expected.line_count)
        return "the answer has another number of lines";
    return found.sum == expected.sum ? NULL : "the answer is another one";
}

const char *qn_fault_job_judge(const qn_fault_job *job)
{
    const char *wrong = judge_output(job, "first", OUTPUT_COUNTS);
    if (!wrong && job->has_two_stages)
        wrong = judge_output(job, "second", OUTPUT_ONES);
    if (!wrong && job->reads_both)
        wrong = judge_output(job, "both", OUTPUT_MORE);
    if (!wrong && job->writes_lines)
        wrong = judge_output(job, "lines", OUTPUT_LINES);
    return wrong; /* the checkpoint is what `quern run` would remove now */
}

void qn_fault_job_clear(const qn_fault_job *job)
{
    (void)!quern_litter_remove("first");
    (void)!(job->has_two_stages && quern_litter_remove("second"));
    (void)!(job->reads_both && quern_litter_remove("both"));
    (void)!(job->writes_lines && quern_litter_remove("lines"));
}

/* ---- an attempt */

/* What a callback does besides: takes time, and fails now and then. */
static int work(void)
{
    if (++calls % CALLS_A_MOMENT == 0)
        qn_fault_at(QN_FAULT_CALLBACK);
    bool stalls = calls % 16 == 0 && qn_fault_below(1000) < STALL_PER_MILLE;
    qn_fault_pass(1 + qn_fault_below(stalls ? STALL_NS : played->callback_ns));
    if (failing_left == 0 || qn_sim_below(&failing_random, played->line_count) > 2)
        return 0;
    failing_left--;
    qn_fault_trace("a callback fails");
    return 1;
}

static int look(const quern_record *record, int *keep_out, void *user)
{
    (void)record, (void)user;
    *keep_out = 1;
    return work();
}

/* Records that are more than a block holds are on their way before the block is through. */
static int copy(const quern_record *record, quern_emitter *out, void *user)
{
    int failed = 0;
    (void)user;
    for (uint32_t i = 0; i < played->copy_count && !failed; i++)
        failed = quern_emit(out, record->key, record->value);
    return failed ? failed : work();
}

static int drop_count(const quern_record *record, quern_emitter *out, void *user)
{
    (void)user;
    int failed = quern_emit(out, record->key, quern_bytes(NULL, 0));
    return failed ? failed : work();
}

static void build(quern_context *context)
{
    const char *input = "input";
    quern_dataset *read = quern_read_text(context, &input, 1, NULL);
    quern_schema words = {QUERN_BYTES, QUERN_NONE, 0, 0};
    quern_dataset *lines =
        played->copy_count > 0 ? quern_flat_map(read, words, copy, NULL) : quern_filter(read, look, NULL);
    quern_dataset *counts = quern_count_by_key(lines);
    quern_write_text(counts, "first");
    if (played->writes_lines)
        quern_write_text(lines, "lines");
    if (played->has_two_stages)
        quern_write_text(quern_count_by_key(quern_filter(counts, look, NULL)), "second");
    if (played->reads_both)
        quern_write_text(quern_count_by_key(quern_union(quern_flat_map(counts, words, drop_count, NULL), lines)),
                         "both");
}

static void set_options(quern_options *options)
{
    quern_options_init(options);
    options->memory_bytes = played->memory_bytes * qn_fault_get_weather()->rank_count;
    options->scratch_dir = ".";
    options->pin = options->crash_report = options->progress = QUERN_OFF;
    options->split_bytes = played->split_bytes;
    options->task_batch = played->task_batch;
    options->round_bytes = 64 << 10;
    if (!played->saves)
        return;
    options->checkpoint_dir = "saved";
    options->resume = QUERN_ON;
    options->checkpoint_every_ms = played->every_ms;
}

static void keep_outcome(quern_context *context, quern_status status, uint32_t rank)
{
    qn_fault_report *report = qn_fault_get_report();
    if (status == QUERN_OK)
        return;
    worst = status;
    if (report->text[0] == 0 && rank == 0)
        snprintf(report->text, sizeof report->text, "%s: %s", quern_status_name(status),
                 quern_context_error_text(context));
}

static void run_rank(uint32_t rank)
{
    quern_options options;
    quern_context *context = NULL;
    set_options(&options);
    quern_status status = quern_context_create(NULL, NULL, &options, &context);
    if (status == QUERN_OK) {
        build(context);
        status = quern_run(context);
    }
    keep_outcome(context, status, rank);
    quern_context_destroy(context);
}

void qn_fault_job_play(const qn_fault_job *job, const qn_fault_weather *weather, qn_fault_report *report)
{
    played = job;
    calls = 0;
    failing_left = weather->failing_callbacks;
    failing_random = qn_sim_mix(weather->seed ^ 0x6661696c);
    worst = QUERN_OK;
    qn_fault_disk_watch();
    qn_fault_world_run(weather, report, run_rank);
    _exit(quern_exit_status(worst));
}
