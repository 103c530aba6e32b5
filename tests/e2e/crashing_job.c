/* SPDX-License-Identifier: BSD-3-Clause. Counts lines, and crashes at the line "crash": crashing_job HOW DIR PATH */
#include <quern/quern.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *how;
static const quern_schema texts = {.key = QUERN_BYTES, .value = QUERN_BYTES};

static int fill_stack(const volatile char *outer, int depth)
{
    volatile char inner[4096];
    inner[0] = (char)(outer[0] + depth);
    return depth < 0 ? 0 : fill_stack(inner, depth + 1) + inner[0]; /* long before that the stack is full */
}

static void crash(void)
{
    static int *volatile nowhere = (int *)8;
    if (strcmp(how, "segv") == 0 || strcmp(how, "block") == 0 || strcmp(how, "group") == 0)
        *nowhere = 1;
    if (strcmp(how, "abort") == 0)
        abort();
    if (strcmp(how, "stack") == 0)
        fill_stack("", 0);
}

static int is_crash(const void *key, size_t bytes)
{
    return bytes == 5 && memcmp(key, "crash", 5) == 0;
}

static int look(const quern_record *line, int *keep_out, void *user)
{
    (void)user;
    if (is_crash(line->key.data, line->key.bytes))
        crash();
    *keep_out = 1;
    return 0;
}

static int look_at_block(const quern_block *lines, uint8_t *keep_out, void *user)
{
    (void)user;
    for (size_t i = 0; i < lines->count; i++)
        if (is_crash(lines->key[i], lines->key_bytes[i]))
            crash();
    memset(keep_out, 1, lines->count);
    return 0;
}

static int look_at_group(quern_span key, quern_values *lines, quern_emitter *out, void *user)
{
    (void)lines;
    (void)user;
    if (is_crash(key.data, key.bytes))
        crash();
    return quern_emit(out, key, quern_bytes("", 0));
}

static quern_dataset *look_at_lines(quern_dataset *lines)
{
    return strcmp(how, "block") == 0 ? quern_filter_block(lines, look_at_block, NULL) : quern_filter(lines, look, NULL);
}

static void say_mine(int number)
{
    static const char text[] = "my own handler\n";
    (void)number;
    (void)!fwrite(text, 1, sizeof text - 1, stderr);
    _Exit(42);
}

int main(int argc, char **argv)
{
    quern_context *context = NULL;
    if (argc > 1 && strcmp(argv[1], "mine") == 0)
        signal(SIGSEGV, say_mine);
    quern_context_create(&argc, argv, NULL, &context);
    how = argc == 4 ? argv[1] : "";
    if (strcmp(how, "mine") == 0)
        how = "segv";
    const char *path = argc == 4 ? argv[3] : "";
    quern_dataset *lines = quern_read_text(context, &path, 1, NULL);
    if (strcmp(how, "group") == 0)
        quern_write_text(quern_name(quern_group_by_key(lines, texts, look_at_group, NULL, NULL), "look closely"),
                         argv[2]);
    else
        quern_write_text(quern_count_by_key(quern_name(look_at_lines(lines), "look closely")),
                         argc == 4 ? argv[2] : "");
    quern_status status = quern_run(context);
    if (status != QUERN_OK)
        fprintf(stderr, "%s\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return quern_exit_status(status);
}
