/* SPDX-License-Identifier: BSD-3-Clause */
#include "api_kit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *directory = ".";
static char **wanted;
static const char *case_name = "start";
static int world_rank, world_size = 1;
static bool launched;
static char last_report[700];

/* ---- checks ---- */

static void end_job(void)
{
    int initialised = 0;
    fflush(stdout);
    fflush(stderr);
    MPI_Initialized(&initialised);
    if (initialised)
        MPI_Abort(MPI_COMM_WORLD, 9);
    _exit(9);
}

void kit_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "%s:%d: rank %d of %d, %s: ", file, line, world_rank, world_size, case_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    end_job();
    abort();
}

void kit_check_status(const char *file, int line, quern_status status, quern_status expected, const char *text)
{
    if (status != expected)
        kit_fail(file, line, "%s, not %s: %s", quern_status_name(status), quern_status_name(expected), text);
}

void kit_check_has(const char *file, int line, const char *text, const char *part)
{
    if (!strstr(text, part))
        kit_fail(file, line, "'%s' is not in '%s'", part, text);
}

/* ---- the job ---- */

static void too_late(int number)
{
    (void)number;
    char line[200];
    int bytes = snprintf(line, sizeof line, "rank %d of %d: no end of %s in time\n", world_rank, world_size, case_name);
    if (write(STDERR_FILENO, line, (size_t)bytes) < 0)
        _exit(8);
    _exit(8);
}

void kit_start(int *argc, char ***argv)
{
    int threads = 0;
    launched = getenv("OMPI_COMM_WORLD_SIZE") != NULL;
    if (launched) {
        int initialised = 0;
        MPI_Initialized(&initialised);
        if (!initialised)
            MPI_Init_thread(argc, argv, MPI_THREAD_MULTIPLE, &threads);
        MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
        MPI_Comm_size(MPI_COMM_WORLD, &world_size);
    }
    signal(SIGALRM, too_late);
    CHECK(*argc >= 2);
    directory = (*argv)[1];
    wanted = *argv + 2;
}

int kit_finish(void)
{
    alarm(0);
    if (launched)
        MPI_Finalize();
    return 0;
}

int kit_rank(void)
{
    return world_rank;
}

int kit_size(void)
{
    return world_size;
}

void kit_barrier(void)
{
    if (launched)
        MPI_Barrier(MPI_COMM_WORLD);
}

double kit_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

bool kit_case(const char *name, unsigned seconds_max)
{
    bool chosen = !*wanted;
    if (!chosen && strcmp(*wanted, "list") == 0) {
        puts(name);
        return false;
    }
    for (char **word = wanted; *word; word++)
        chosen |= strcmp(*word, name) == 0;
    if (!chosen)
        return false;
    case_name = name;
    const char *patience = getenv("KIT_PATIENCE");
    alarm(seconds_max * (patience ? (unsigned)atoi(patience) : 1));
    if (getenv("KIT_VERBOSE") && world_rank == 0)
        fprintf(stderr, "%.2f %s\n", kit_seconds(), name);
    return true;
}

quern_context *kit_context(const quern_options *options)
{
    quern_context *context = NULL;
    quern_status status = quern_context_create(NULL, NULL, options, &context);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(NULL));
    CHECK_SAME(quern_context_rank(context), world_rank);
    CHECK_SAME(quern_context_size(context), world_size);
    return context;
}

#define TEXT_BYTES 1024

void kit_check_alike(quern_status status, const char *text)
{
    char mine[TEXT_BYTES] = "";
    snprintf(mine, sizeof mine, "%d %s", (int)status, text);
    if (!launched)
        return;
    char *all = malloc((size_t)world_size * TEXT_BYTES);
    MPI_Allgather(mine, TEXT_BYTES, MPI_CHAR, all, TEXT_BYTES, MPI_CHAR, MPI_COMM_WORLD);
    for (int rank = 0; rank < world_size; rank++)
        if (strcmp(all + (size_t)rank * TEXT_BYTES, mine) != 0)
            kit_fail(__FILE__, __LINE__, "rank %d has '%s', here it is '%s'", rank, all + (size_t)rank * TEXT_BYTES,
                     mine);
    free(all);
}

/* For test_api.py, which checks them all. */
static void keep_report(void)
{
    static unsigned count;
    char from[600], to[700];
    snprintf(from, sizeof from, "%s/report.json", directory);
    snprintf(to, sizeof to, "%s/reports/%s.%u.json", directory, case_name, ++count);
    if (rename(from, to) == 0)
        snprintf(last_report, sizeof last_report, "%s", to);
}

uint64_t kit_reported(const char *figure)
{
    char name[64];
    uint64_t sum = 0;
    if (world_rank == 0) {
        kit_text report = kit_read(last_report);
        const char *end = strstr(report.data, "\n \"edges\""); /* behind it the ranks' sums repeat the stages */
        snprintf(name, sizeof name, "\"%s\":", figure);
        for (const char *at = report.data; (at = strstr(at, name)) && (!end || at < end); at++)
            sum += strtoull(at + strlen(name), NULL, 10);
        kit_free(&report);
    }
    return kit_max(sum);
}

void kit_run(quern_context *context)
{
    quern_status status = quern_run(context);
    CHECK_STATUS(status, QUERN_OK, quern_context_error_text(context));
    CHECK(quern_context_error_text(context)[0] == 0);
    if (world_rank == 0)
        keep_report();
    kit_barrier();
}

const char *kit_run_fails(quern_context *context, quern_status expected)
{
    quern_status status = quern_run(context);
    CHECK_STATUS(status, expected, quern_context_error_text(context));
    kit_check_alike(status, quern_context_error_text(context));
    CHECK(quern_context_error_text(context)[0] != 0);
    return quern_context_error_text(context);
}

uint64_t kit_sum(uint64_t mine)
{
    if (launched)
        MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    return mine;
}

uint64_t kit_max(uint64_t mine)
{
    if (launched)
        MPI_Allreduce(MPI_IN_PLACE, &mine, 1, MPI_UINT64_T, MPI_MAX, MPI_COMM_WORLD);
    return mine;
}

/* ---- files ---- */

const char *kit_path(const char *format, ...)
{
    static char paths[16][512];
    static unsigned next;
    char *path = paths[next++ % 16];
    int used = snprintf(path, sizeof paths[0], "%s/", directory);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + used, sizeof paths[0] - (size_t)used, format, arguments);
    va_end(arguments);
    return path;
}

/* Callbacks call these: they leave the texts of kit_path() alone. */
bool kit_first_time(const char *format, ...)
{
    char name[200], path[600];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof path, "%s/first.%s", directory, name);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0666);
    CHECK(fd >= 0 || errno == EEXIST);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

void kit_note(const char *name)
{
    char path[600];
    snprintf(path, sizeof path, "%s/note.%s", directory, name);
    int fd = open(path, O_CREAT | O_APPEND | O_WRONLY, 0666);
    CHECK(fd >= 0);
    CHECK(write(fd, ".", 1) == 1);
    close(fd);
}

uint64_t kit_noted(const char *name)
{
    struct stat about;
    return stat(kit_path("note.%s", name), &about) == 0 ? (uint64_t)about.st_size : 0;
}

bool kit_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

void kit_put_bytes(kit_text *text, const void *data, size_t bytes)
{
    if (text->bytes + bytes + 1 > text->capacity) {
        text->capacity = 2 * (text->bytes + bytes) + 4096;
        text->data = realloc(text->data, text->capacity);
        CHECK(text->data != NULL);
    }
    if (bytes > 0)
        memcpy(text->data + text->bytes, data, bytes);
    text->bytes += bytes;
    text->data[text->bytes] = 0;
}

void kit_put(kit_text *text, const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int bytes = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    CHECK(bytes >= 0 && (size_t)bytes < sizeof line);
    kit_put_bytes(text, line, (size_t)bytes);
}

void kit_write(const char *path, const kit_text *text)
{
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(text->bytes == 0 || fwrite(text->data, 1, text->bytes, file) == text->bytes);
    CHECK(fclose(file) == 0);
}

void kit_write_for_all(const char *path, const kit_text *text)
{
    if (world_rank == 0)
        kit_write(path, text);
    kit_barrier();
}

const char *kit_write_numbers(const char *name, uint64_t count)
{
    kit_text lines = {0};
    const char *path = strdup(kit_path("%s", name));
    for (uint64_t i = 0; i < count; i++)
        kit_put(&lines, "%" PRIu64 "\n", i);
    kit_write_for_all(path, &lines);
    kit_free(&lines);
    return path;
}

static void append_file(kit_text *text, const char *path)
{
    FILE *file = fopen(path, "r");
    char piece[65536];
    if (!file)
        kit_fail(__FILE__, __LINE__, "%s is not there", path);
    for (size_t got; (got = fread(piece, 1, sizeof piece, file)) > 0;)
        kit_put_bytes(text, piece, got);
    fclose(file);
}

kit_text kit_read(const char *path)
{
    kit_text text = {0};
    kit_put_bytes(&text, "", 0);
    append_file(&text, path);
    return text;
}

void kit_free(kit_text *text)
{
    free(text->data);
    *text = (kit_text){0};
}

uint64_t kit_number(quern_span field)
{
    char digits[24] = "";
    memcpy(digits, field.data, field.bytes < sizeof digits ? field.bytes : sizeof digits - 1);
    return strtoull(digits, NULL, 10);
}

typedef struct line {
    const char *data;
    size_t bytes;
} line;

static int compare_lines(const void *a, const void *b)
{
    const line *left = a, *right = b;
    size_t bytes = left->bytes < right->bytes ? left->bytes : right->bytes;
    int order = memcmp(left->data, right->data, bytes);
    return order != 0 ? order : (left->bytes > right->bytes) - (left->bytes < right->bytes);
}

void kit_sort_lines(kit_text *text)
{
    size_t count = 0, next = 0;
    for (size_t i = 0; i < text->bytes; i++)
        count += text->data[i] == '\n';
    line *lines = calloc(count + 1, sizeof *lines);
    kit_text sorted = {0};
    for (const char *at = text->data; next < count; next++) {
        const char *end = memchr(at, '\n', text->bytes - (size_t)(at - text->data));
        lines[next] = (line){at, (size_t)(end - at) + 1};
        at = end + 1;
    }
    qsort(lines, count, sizeof *lines, compare_lines);
    for (size_t i = 0; i < count; i++)
        kit_put_bytes(&sorted, lines[i].data, lines[i].bytes);
    free(lines);
    kit_free(text);
    *text = sorted;
}

kit_text kit_read_output(const char *output)
{
    kit_text all = {0};
    char path[600];
    kit_put_bytes(&all, "", 0);
    snprintf(path, sizeof path, "%s/_SUCCESS", output);
    if (!kit_exists(path))
        kit_fail(__FILE__, __LINE__, "%s is not there", path);
    for (int part = 0;; part++) {
        snprintf(path, sizeof path, "%s/part-%05d", output, part);
        if (!kit_exists(path))
            return all;
        append_file(&all, path);
    }
}

static void explain_difference(const char *output, const kit_text *got, const kit_text *expected)
{
    size_t at = 0, begin = 0;
    while (at < got->bytes && at < expected->bytes && got->data[at] == expected->data[at]) {
        if (got->data[at] == '\n')
            begin = at + 1;
        at++;
    }
    kit_fail(__FILE__, __LINE__, "%s has %zu bytes, not %zu; first difference at %zu: '%.60s', not '%.60s'", output,
             got->bytes, expected->bytes, at, got->data + begin, expected->data + begin);
}

void kit_check_output(const char *output, kit_text *expected, bool ordered)
{
    if (world_rank == 0) {
        kit_text got = kit_read_output(output);
        uint64_t digest = UINT64_C(14695981039346656037);
        for (size_t i = 0; i < got.bytes; i++)
            digest = (digest ^ (uint8_t)got.data[i]) * UINT64_C(1099511628211);
        kit_put_bytes(expected, "", 0);
        if (!ordered) {
            kit_sort_lines(&got);
            kit_sort_lines(expected);
        }
        if (got.bytes != expected->bytes || (got.bytes && memcmp(got.data, expected->data, got.bytes) != 0))
            explain_difference(output, &got, expected);
        const char *name = strrchr(output, '/');
        printf("%s %s %016llx\n", case_name, name ? name + 1 : output, (unsigned long long)digest);
        fflush(stdout);
        kit_free(&got);
    }
    kit_barrier();
}

void kit_check_same_output(const char *one, const char *other)
{
    if (kit_rank() == 0) {
        kit_text first = kit_read_output(one), second = kit_read_output(other);
        CHECK(first.bytes == second.bytes && memcmp(first.data, second.data, first.bytes) == 0);
        kit_free(&first);
        kit_free(&second);
    }
    kit_barrier();
}

void kit_check_no_output(const char *output)
{
    kit_barrier();
    if (kit_exists(output))
        kit_fail(__FILE__, __LINE__, "%s is still there", output);
    kit_barrier();
}

/* ---- a naive model ---- */

static int compare_entries(const void *a, const void *b)
{
    const kit_entry *left = a, *right = b;
    if (left->key_bytes != right->key_bytes)
        return left->key_bytes < right->key_bytes ? -1 : 1;
    return memcmp(left->key, right->key, left->key_bytes);
}

kit_entry *kit_at(kit_model *model, const void *key, size_t key_bytes)
{
    kit_entry *entry = calloc(1, sizeof *entry + key_bytes + 1);
    CHECK(entry != NULL);
    entry->key_bytes = key_bytes;
    if (key_bytes > 0)
        memcpy(entry->key, key, key_bytes);
    kit_entry **found = tsearch(entry, &model->tree, compare_entries);
    CHECK(found != NULL);
    bool is_new = *found == entry;
    if (!is_new)
        free(entry);
    model->count += is_new;
    (*found)->is_new = is_new;
    return *found;
}

typedef struct walk {
    void (*fn)(const kit_entry *entry, void *user);
    void *user;
} walk;

static void visit(const void *node, VISIT which, void *closure)
{
    const walk *going = closure;
    if (which == postorder || which == leaf)
        going->fn(*(const kit_entry *const *)node, going->user);
}

void kit_each(kit_model *model, void (*fn)(const kit_entry *entry, void *user), void *user)
{
    walk going = {fn, user};
    twalk_r(model->tree, visit, &going);
}

void kit_forget(kit_model *model)
{
    tdestroy(model->tree, free);
    *model = (kit_model){0};
}
