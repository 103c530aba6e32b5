/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/faults/fault_text.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "scheduler/sim/sim_random.h"

#define OTHER_SALT 0x6f74686572

static uint32_t draw_word(const qn_fault_job *job, uint64_t *random)
{
    uint32_t bound = qn_sim_chance(random, 300) ? 1 + job->word_count / 20 : job->word_count;
    return (uint32_t)qn_sim_below(random, bound);
}

qn_fault_text qn_fault_text_begin(const qn_fault_job *job, bool is_other)
{
    return (qn_fault_text){.job = job,
                           .random = qn_sim_mix(is_other ? job->seed ^ OTHER_SALT : job->seed),
                           .left_count = is_other ? job->other_count : job->line_count};
}

bool qn_fault_text_next(qn_fault_text *text)
{
    if (text->left_count == 0)
        return false;
    text->left_count--;
    text->at += text->bytes > 0 ? text->bytes + 1 : 0;
    text->word = draw_word(text->job, &text->random);
    text->line = qn_fault_text_of(text->word, &text->bytes);
    return true;
}

/* Some lines are long, most are not. */
const char *qn_fault_text_of(uint32_t word, size_t *bytes_out)
{
    static char lines[QN_FAULT_WORDS_MAX][QN_FAULT_LINE_BYTES_MAX];
    static uint8_t bytes[QN_FAULT_WORDS_MAX]; /* 0: it was not asked for yet */
    char *line = lines[word];
    if (bytes[word] == 0)
        bytes[word] = (uint8_t)snprintf(line, QN_FAULT_LINE_BYTES_MAX,
                                        word % 50 == 7 ? "word-%u-of-quite-some-length" : "w%u", word);
    *bytes_out = bytes[word];
    return line;
}

char *qn_fault_text_put(char *at, uint64_t number)
{
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (count > 0)
        *at++ = digits[--count];
    return at;
}

uint32_t qn_fault_text_parse(const void *line, size_t bytes)
{
    uint32_t word = 0;
    const char *text = line;
    for (size_t i = 0; i < bytes; i++)
        if (text[i] >= '0' && text[i] <= '9')
            word = 10 * word + (uint32_t)(text[i] - '0');
    return word;
}

int qn_fault_text_compare(const void *left, size_t left_bytes, const void *right, size_t right_bytes)
{
    if (left_bytes != right_bytes)
        return left_bytes < right_bytes ? -1 : 1;
    return memcmp(left, right, left_bytes);
}

static bool write_input(const qn_fault_job *job, const char *path, bool is_other)
{
    qn_fault_text text = qn_fault_text_begin(job, is_other);
    FILE *file = fopen(path, "w");
    while (file && qn_fault_text_next(&text))
        fwrite(text.line, 1, text.bytes, file), putc('\n', file);
    return file && fclose(file) == 0;
}

bool qn_fault_text_prepare(const qn_fault_job *job)
{
    bool is_written = write_input(job, "input", false) && (job->other_count == 0 || write_input(job, "other", true));
    FILE *keep = is_written && mkdir("saved", 0700) == 0 ? fopen("saved/keep", "w") : NULL;
    return keep && fclose(keep) == 0;
}
