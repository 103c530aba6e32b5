/* SPDX-License-Identifier: BSD-3-Clause */
/* What has to come of each kind of job, and what came. */
#include "tools/faults/fault_answer.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scheduler/sim/sim_random.h"
#include "tools/faults/fault_records.h"
#include "tools/faults/fault_text.h"
#include "tools/quern/litter.h"

#define TEXT_BYTES_MAX 128
#define OUTPUTS_MAX    (QN_FAULT_TURNS_MAX + 4)

uint64_t qn_fault_answer_fold(uint64_t digest, uint64_t value)
{
    return qn_sim_mix(digest * 31 + value + 1);
}

/* The sum over all lines does not depend on their order. */
void qn_fault_answer_add(qn_fault_answer *answer, const char *line, size_t bytes)
{
    uint64_t digest = bytes;
    for (size_t i = 0; i < bytes; i++)
        digest = qn_sim_mix(digest * 31 + (uint8_t)line[i]);
    digest = qn_sim_mix(digest);
    answer->sum += digest;
    answer->ordered = qn_fault_answer_fold(answer->ordered, digest);
    answer->line_count++;
}

/* ---- what is expected */

/* Lines of words, which are counted. */
typedef struct told {
    qn_fault_answer answer;
    uint64_t counts[QN_FAULT_WORDS_MAX];
} told;

static void tell(told *all, uint32_t word, const char *value)
{
    char line[QN_FAULT_LINE_BYTES_MAX + TEXT_BYTES_MAX];
    size_t bytes, value_bytes = value ? strlen(value) : 0;
    const char *text = qn_fault_text_of(word, &bytes);
    memcpy(line, text, bytes);
    if (value) {
        line[bytes++] = '\t';
        memcpy(line + bytes, value, value_bytes);
    }
    qn_fault_answer_add(&all->answer, line, bytes + value_bytes);
    all->counts[word]++;
}

static void tell_number(told *all, uint32_t word, uint64_t number)
{
    char text[TEXT_BYTES_MAX];
    *qn_fault_text_put(text, number) = 0;
    tell(all, word, text);
}

static qn_fault_answer tell_counts(const uint64_t counts[QN_FAULT_WORDS_MAX])
{
    told all = {0};
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++)
        if (counts[word] > 0)
            tell_number(&all, word, counts[word]);
    return all.answer;
}

static void tell_records(told *all, const qn_fault_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        tell_number(all, records->items[i].word, records->items[i].value);
}

static void tell_group(told *all, const qn_fault_job *job, const qn_fault_record *first, size_t count)
{
    char text[TEXT_BYTES_MAX];
    uint64_t digest = 0;
    for (size_t i = 0; i < count; i++) {
        bool is_some = i < job->some_count;
        if (job->group_way == QN_FAULT_GROUP_TOP && is_some)
            tell_number(all, first->word, first[i].value);
        if (job->group_way == QN_FAULT_GROUP_WHOLE || (job->group_way == QN_FAULT_GROUP_BEGIN && is_some))
            digest = qn_fault_answer_fold(digest, first[i].value);
        if (job->group_way == QN_FAULT_GROUP_EACH) {
            char *at = qn_fault_text_put(text, i);
            *at++ = ',';
            *qn_fault_text_put(at, first[i].value) = 0;
            tell(all, first->word, text);
        }
    }
    if (job->group_way == QN_FAULT_GROUP_WHOLE || job->group_way == QN_FAULT_GROUP_BEGIN) {
        snprintf(text, sizeof text, "%" PRIx64, digest);
        tell(all, first->word, text);
    }
}

static void tell_groups(told *all, const qn_fault_job *job)
{
    qn_fault_records records = qn_fault_records_source(job);
    qn_fault_records_sort(&records, false, false, job->group_way == QN_FAULT_GROUP_TOP || job->descends);
    for (size_t i = 0, end; i < records.count; i = end) {
        end = qn_fault_records_same(&records, i);
        tell_group(all, job, &records.items[i], end - i);
    }
    qn_fault_records_free(&records);
}

static uint64_t digest_values(const qn_fault_record *first, size_t count)
{
    uint64_t digest = 0;
    for (size_t i = 0; i < count; i++)
        digest = qn_fault_answer_fold(digest, first[i].value);
    return digest;
}

static char *put_side(char *at, const qn_fault_record *side)
{
    if (side)
        return qn_fault_text_put(at, side->value);
    *at++ = '-';
    return at;
}

static void tell_pair(told *all, uint32_t word, const qn_fault_record *left, const qn_fault_record *right)
{
    char text[TEXT_BYTES_MAX], *at = put_side(text, left);
    *at++ = ',';
    *put_side(at, right) = 0;
    tell(all, word, text);
}

/* Of one word; counts may be 0. The numbers of types are those of quern/operators.h. */
static void tell_join(told *all, int type, uint32_t word, const qn_fault_record *left, size_t left_count,
                      const qn_fault_record *right, size_t right_count)
{
    enum { INNER = 1, LEFT, RIGHT, FULL, SEMI, ANTI };
    bool pairs = type <= FULL;
    bool has_left = type == LEFT || type == FULL || type == ANTI, has_right = type == RIGHT || type == FULL;
    for (size_t i = 0; i < left_count; i++) {
        for (size_t j = 0; j < right_count && pairs; j++)
            tell_pair(all, word, &left[i], &right[j]);
        if ((right_count == 0 && has_left) || (right_count > 0 && type == SEMI))
            tell_pair(all, word, &left[i], NULL);
    }
    for (size_t j = 0; j < right_count && left_count == 0 && has_right; j++)
        tell_pair(all, word, NULL, &right[j]);
}

static void tell_joins(told *all, const qn_fault_job *job)
{
    qn_fault_records left = qn_fault_records_source(job), right = qn_fault_records_read(job, true);
    if (job->is_other_reduced)
        qn_fault_records_reduce(&right, true);
    qn_fault_records_sort(&left, false, false, false);
    qn_fault_records_sort(&right, false, false, false);
    size_t i = 0, j = 0;
    while (i < left.count || j < right.count) {
        uint32_t word = qn_fault_records_first(&left, i, &right, j);
        size_t left_end = qn_fault_records_same_as(&left, i, word),
               right_end = qn_fault_records_same_as(&right, j, word);
        if (job->cogroups) {
            char text[TEXT_BYTES_MAX];
            snprintf(text, sizeof text, "%zu,%" PRIx64 ",%zu,%" PRIx64, left_end - i,
                     digest_values(left.items + i, left_end - i), right_end - j,
                     digest_values(right.items + j, right_end - j));
            tell(all, word, text);
        } else {
            tell_join(all, job->join_type, word, left.items + i, left_end - i, right.items + j, right_end - j);
        }
        i = left_end;
        j = right_end;
    }
    qn_fault_records_free(&left);
    qn_fault_records_free(&right);
}

static void tell_sorted(told *all, const qn_fault_job *job)
{
    qn_fault_records records = qn_fault_records_source(job);
    qn_fault_records_sort(&records, job->compares, job->descends, false);
    tell_records(all, &records);
    qn_fault_records_free(&records);
}

static void tell_stored(told *all, const qn_fault_job *job)
{
    qn_fault_records records = qn_fault_records_source(job);
    if (job->store_way == QN_FAULT_STORE_DISTINCT)
        qn_fault_records_reduce(&records, true);
    uint64_t sum = 0;
    for (size_t i = 0; i < records.count; i++) {
        const qn_fault_record *record = &records.items[i];
        sum += record->value;
        if (job->store_way == QN_FAULT_STORE_DISTINCT)
            tell(all, record->word, NULL);
        else
            tell_number(all, record->word, job->store_way == QN_FAULT_STORE_INDEX ? i : sum);
    }
    qn_fault_records_free(&records);
}

static int compare_numbers(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The least value that so many quarters of all are not above. */
static qn_fault_answer expect_quantiles(const qn_fault_job *job)
{
    qn_fault_answer answer = {0};
    qn_fault_records records = qn_fault_records_source(job);
    uint64_t *values = calloc(records.count + 1, sizeof *values);
    if (!values)
        abort();
    for (size_t i = 0; i < records.count; i++)
        values[i] = records.items[i].value;
    qsort(values, records.count, sizeof *values, compare_numbers);
    for (size_t quarter = 0; quarter <= 4 && records.count > 0; quarter++) {
        char line[TEXT_BYTES_MAX];
        size_t place = (quarter * records.count + 3) / 4;
        int bytes = snprintf(line, sizeof line, "%" PRIu64 "\t%zu", values[place > 0 ? place - 1 : 0], quarter);
        qn_fault_answer_add(&answer, line, (size_t)bytes);
    }
    free(values);
    qn_fault_records_free(&records);
    return answer;
}

static qn_fault_answer expect_top(const qn_fault_job *job)
{
    told all = {0};
    qn_fault_records records = qn_fault_records_source(job);
    qn_fault_records_top(&records, job->some_count);
    tell_records(&all, &records);
    qn_fault_records_free(&records);
    return all.answer;
}

/* ---- the outputs of a job */

typedef struct output {
    char name[16];
    bool is_ordered;
    qn_fault_answer expected;
} output;

static struct {
    output outputs[OUTPUTS_MAX];
    uint32_t output_count;
    qn_fault_answer turns[QN_FAULT_TURNS_MAX];
    qn_fault_answer top;
} known;

static output *add_output(const char *name, qn_fault_answer expected)
{
    output *added = &known.outputs[known.output_count++];
    snprintf(added->name, sizeof added->name, "%s", name);
    added->expected = expected;
    return added;
}

/* Each word as often as it occurs, with its count, or with 1. */
static void know_counts(const qn_fault_job *job)
{
    told lines = {0}, once = {0};
    for (qn_fault_text text = qn_fault_text_begin(job, false); qn_fault_text_next(&text);)
        for (uint32_t i = 0; i == 0 || i < job->copy_count; i++)
            tell(&lines, text.word, NULL);
    add_output("first", tell_counts(lines.counts));
    for (uint32_t word = 0; word < QN_FAULT_WORDS_MAX; word++) {
        once.counts[word] = lines.counts[word] > 0;
        lines.counts[word] += once.counts[word];
    }
    if (job->has_two_stages)
        add_output("second", tell_counts(once.counts));
    if (job->reads_both)
        add_output("both", tell_counts(lines.counts));
    if (job->writes_lines)
        add_output("lines", lines.answer);
}

static void know_end(const qn_fault_job *job, qn_fault_records *state)
{
    told last = {0};
    qn_fault_records input = qn_fault_records_read(job, false);
    qn_fault_records_end(state, job, &input);
    tell_records(&last, state);
    add_output("first", last.answer)->is_ordered = job->end_way == QN_FAULT_END_SORTED;
    qn_fault_records_free(&input);
}

static void know_loop(const qn_fault_job *job)
{
    told begin = {0};
    qn_fault_records base = qn_fault_records_read(job, false), state = qn_fault_records_source(job);
    qn_fault_records_reduce(&base, true);
    tell_records(&begin, &state);
    if (job->has_two_stages)
        add_output("second", tell_counts(begin.counts));
    for (uint32_t turn = 0; turn < job->turn_count; turn++) {
        char name[16];
        told after = {0};
        qn_fault_records_turn(&state, job, turn, &base);
        tell_records(&after, &state);
        known.turns[turn] = after.answer;
        snprintf(name, sizeof name, "turn-%u", turn);
        if (job->gives[turn] & QN_FAULT_GIVES_FILES)
            add_output(name, after.answer);
    }
    know_end(job, &state);
    qn_fault_records_free(&base);
    qn_fault_records_free(&state);
}

const qn_fault_answer *qn_fault_answer_of_turn(uint32_t turn)
{
    return &known.turns[turn];
}

const qn_fault_answer *qn_fault_answer_of_top(void)
{
    return &known.top;
}

static bool is_ordered(const qn_fault_job *job)
{
    return job->kind == QN_FAULT_SORT || (job->kind == QN_FAULT_STORE && job->store_way != QN_FAULT_STORE_DISTINCT);
}

static void know_flow(const qn_fault_job *job)
{
    told all = {0};
    qn_fault_records records = qn_fault_records_flow(job);
    tell_records(&all, &records);
    add_output("first", all.answer);
    qn_fault_records_free(&records);
}

static void know_others(const qn_fault_job *job)
{
    told all = {0};
    if (job->kind == QN_FAULT_SORT || job->store_way == QN_FAULT_STORE_TOP)
        tell_sorted(&all, job);
    else if (job->kind == QN_FAULT_GROUP)
        tell_groups(&all, job);
    else if (job->kind == QN_FAULT_JOIN)
        tell_joins(&all, job);
    else
        tell_stored(&all, job);
    add_output("first", all.answer)->is_ordered = is_ordered(job);
    if (job->has_two_stages)
        add_output("second", tell_counts(all.counts));
}

void qn_fault_answer_prepare(const qn_fault_job *job)
{
    memset(&known, 0, sizeof known);
    if (job->kind == QN_FAULT_COUNTS)
        know_counts(job);
    else if (job->kind == QN_FAULT_LOOP && job->flows)
        know_flow(job);
    else if (job->kind == QN_FAULT_LOOP)
        know_loop(job);
    else if (job->kind == QN_FAULT_STORE && job->store_way == QN_FAULT_STORE_QUANTILES)
        add_output("first", expect_quantiles(job))->is_ordered = true;
    else
        know_others(job);
    if (job->kind == QN_FAULT_STORE)
        known.top = expect_top(job);
}

/* ---- what came */

static bool read_part(const char *path, qn_fault_answer *found)
{
    char *line = NULL;
    size_t room = 0;
    FILE *file = fopen(path, "r");
    if (!file)
        return false;
    for (ssize_t bytes; (bytes = getline(&line, &room, file)) > 0;)
        qn_fault_answer_add(found, line, (size_t)bytes - 1);
    free(line);
    return fclose(file) == 0;
}

static const char *judge_output(const output *one)
{
    char path[PATH_MAX];
    qn_fault_answer found = {0};
    bool is_whole = false, is_other = false;
    struct dirent **entries = NULL;
    int count = scandir(one->name, &entries, NULL, alphasort);
    if (count < 0)
        return "the job succeeded, and there is no output";
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        snprintf(path, sizeof path, "%s/%s", one->name, name);
        is_whole |= strcmp(name, "_SUCCESS") == 0;
        is_other |= strstr(name, ".tmp") || strcmp(name, ".quern-lock") == 0;
        if (strncmp(name, "part-", 5) == 0 && !read_part(path, &found))
            is_other = true;
        free(entries[i]);
    }
    free(entries);
    if (!is_whole || is_other)
        return "the output is not whole, or has more than belongs there";
    if (found.line_count != one->expected.line_count)
        return "the answer has another number of lines";
    if (found.sum != one->expected.sum)
        return "the answer is another one";
    return !one->is_ordered || found.ordered == one->expected.ordered ? NULL : "the answer has another order";
}

/* The checkpoint is what `quern run` would remove now. */
const char *qn_fault_answer_judge(void)
{
    const char *wrong = NULL;
    for (uint32_t i = 0; i < known.output_count && !wrong; i++)
        wrong = judge_output(&known.outputs[i]);
    return wrong;
}

void qn_fault_answer_clear(void)
{
    for (uint32_t i = 0; i < known.output_count; i++)
        (void)!quern_litter_remove(known.outputs[i].name);
}
