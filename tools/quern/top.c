/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern top: what the ranks of a job do, as a page that is drawn anew.
 *
 * Everything comes from files that the job renames into its directory, so it works on any machine that sees that. Clocks of two machines are never
 * compared where it can be helped: that a job lives is seen by its file being renewed while one looks. Plain escape sequences do, which
 * every terminal of today knows: a library would bring colours and windows, and a dependency, for one page.
 */
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "tools/quern/batch_job.h"
#include "tools/quern/commands.h"
#include "tools/quern/top_page.h"

#define INTERVAL_SECONDS     2
#define INTERVAL_SECONDS_MAX 3600
#define QUIET_SECONDS        5  /* without a new file, before that is said */
#define SILENT_SECONDS       30 /* as quern status has it */
#define LOOK_SECONDS         4  /* for a sign of life, where clocks seem to say that there is none */
#define LOOKS_A_SECOND       4
#define COLUMNS              132 /* where there is no terminal */
#define KEYS                 "q quit  l load  m memory  s silence  r rank  j k more ranks"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

typedef struct quern_top {
    quern_batch_job job;
    const char *name;
    json_t *status, *ranks;
    double updated; /* of the last status */
    double renewed; /* when it was seen to change, by our clock */
    double behind;  /* how old it was when it was seen first; 0: it has changed since */
    double interval;
    bool is_once;
    quern_top_order order;
    size_t first, rank_count;
} quern_top;

/* ---- the files ---- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double updated_of(const json_t *status)
{
    return json_number_value(json_object_get(status, "updated"));
}

static bool runs(const json_t *status)
{
    const char *state = json_string_value(json_object_get(status, "state"));
    return state && (strcmp(state, "running") == 0 || strcmp(state, "starting") == 0);
}

/* What cannot be read stays as it was. True: there is something new. */
static bool read_files(quern_top *top)
{
    json_t *status = quern_batch_read_status(&top->job), *ranks = quern_batch_read_json(&top->job, "ranks.json");
    bool is_first = !top->status, is_new = status && (is_first || updated_of(status) != top->updated);
    if (status) {
        json_decref(top->status);
        top->status = status;
    }
    if (ranks) {
        json_decref(top->ranks);
        top->ranks = ranks;
    }
    if (!is_new)
        return false;
    top->updated = updated_of(status);
    top->renewed = now();
    top->behind = is_first ? fmax(0, (double)time(NULL) - top->updated) : 0;
    return true;
}

/* For how long nothing new came; 0: not for long, or nothing is to come. */
static double silent_seconds(const quern_top *top)
{
    double seconds = now() - top->renewed + top->behind;
    return runs(top->status) && seconds >= QUIET_SECONDS ? seconds : 0;
}

/* A clock that is ahead of ours, or behind, says nothing: whether the file is renewed does. */
static void look_for_life(quern_top *top)
{
    for (int look = 0; look < LOOK_SECONDS * LOOKS_A_SECOND && silent_seconds(top) > 0; look++) {
        struct timespec pause = {0, 1000000000 / LOOKS_A_SECOND};
        nanosleep(&pause, NULL);
        read_files(top);
    }
}

/* ---- the page ---- */

static quern_top_view view_of(const quern_top *top)
{
    return (quern_top_view){.name = top->name,
                            .status = top->status,
                            .ranks = top->ranks,
                            .silent_seconds = top->status ? silent_seconds(top) : 0,
                            .order = top->order,
                            .first = top->first,
                            .columns = COLUMNS};
}

static void print_line(void *user, const char *line, quern_top_style style)
{
    (void)user, (void)style;
    puts(line);
}

static int print_once(quern_top *top)
{
    read_files(top);
    if (top->status)
        look_for_life(top);
    quern_top_view view = view_of(top);
    quern_top_page(&view, print_line, NULL);
    if (fflush(stdout) != 0)
        return quern_command_fail(errno, "cannot write the page");
    return top->status && view.silent_seconds < SILENT_SECONDS ? 0 : 1;
}

/* ---- the terminal ---- */

static volatile sig_atomic_t is_ended, is_stopped, is_changed;

static void note_signal(int number)
{
    is_ended |= number != SIGWINCH && number != SIGTSTP;
    is_stopped |= number == SIGTSTP;
    is_changed = 1;
}

/* Text goes out whole, or the terminal is gone. */
static bool write_whole(const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t written = write(STDOUT_FILENO, text, bytes);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        text += written;
        bytes -= (size_t)written;
    }
    return true;
}

typedef struct drawing {
    char *text;
    size_t bytes;
    FILE *to;
} drawing;

static void draw_line(void *user, const char *line, quern_top_style style)
{
    static const char *const begin[] = {"", "\033[1m", "\033[1;31m"};
    drawing *frame = user;
    fprintf(frame->to, "%s%s%s\033[K\r\n", begin[style], line, style == QUERN_TOP_PLAIN ? "" : "\033[0m");
}

/* Line by line over what is there, so that nothing flickers; the last line has no end, which would move all others up. */
static bool draw(quern_top *top)
{
    drawing frame = {0};
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    frame.to = open_memstream(&frame.text, &frame.bytes);
    if (!frame.to)
        return false;
    quern_top_view view = view_of(top);
    view.columns = size.ws_col > 0 ? size.ws_col : 80;
    view.rows = size.ws_row > 1 ? size.ws_row : 24;
    view.keys = KEYS;
    fputs("\033[H", frame.to);
    top->rank_count = quern_top_page(&view, draw_line, &frame);
    bool is_made = fclose(frame.to) == 0;
    if (is_made && frame.bytes >= 2 && memcmp(frame.text + frame.bytes - 2, "\r\n", 2) == 0)
        frame.bytes -= 2;
    is_made = is_made && write_whole(frame.text, frame.bytes) && write_whole("\033[J", 3);
    free(frame.text);
    return is_made;
}

static void page_by(quern_top *top, bool is_forth)
{
    struct winsize size = {.ws_row = 24};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    size_t step = size.ws_row > 8 ? size.ws_row / 2U : 4;
    if (is_forth && top->first + step < top->rank_count)
        top->first += step;
    if (!is_forth)
        top->first = top->first > step ? top->first - step : 0;
}

/* False: it is to end. */
static bool take_key(quern_top *top, char key)
{
    static const struct {
        char key;
        quern_top_order order;
    } orders[] = {
        {'r', QUERN_TOP_BY_RANK}, {'l', QUERN_TOP_BY_LOAD}, {'m', QUERN_TOP_BY_MEMORY}, {'s', QUERN_TOP_BY_SILENCE}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
        if (orders[i].key == key) {
            top->order = orders[i].order;
            top->first = 0;
        }
    if (key == 'j' || key == 'k')
        page_by(top, key == 'j');
    return key != 'q' && key != 'Q';
}

/* Until something is to be drawn. False: it is to end. */
static bool wait_for_key(quern_top *top, double until, const sigset_t *unblocked)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    double left = fmax(0, until - now());
    struct timespec pause = {(time_t)left, (long)((left - floor(left)) * 1e9)};
    char key;
    if (is_changed)
        return !is_ended;
    if (ppoll(&input, 1, &pause, unblocked) <= 0)
        return !is_ended;
    return read(STDIN_FILENO, &key, 1) == 1 && take_key(top, key);
}

static bool enter_terminal(struct termios *before)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, before) != 0)
        return false;
    raw = *before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_oflag &= ~(tcflag_t)OPOST;
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0 && write_whole(ENTER, strlen(ENTER));
}

static void leave_terminal(const struct termios *before)
{
    write_whole(LEAVE, strlen(LEAVE));
    tcsetattr(STDIN_FILENO, TCSANOW, before);
}

/* They come while we wait, and at no other time. */
static void heed_signals(sigset_t *unblocked_out)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
    sigset_t blocked;
    struct sigaction action = {.sa_handler = note_signal};
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        sigaction(numbers[i], &action, NULL);
        sigaddset(&blocked, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &blocked, unblocked_out);
}

static int show_live(quern_top *top)
{
    struct termios before;
    sigset_t unblocked;
    heed_signals(&unblocked);
    if (!enter_terminal(&before))
        return quern_command_fail(errno, "cannot use the terminal");
    bool goes_on = true;
    for (double next = 0; goes_on && !is_ended;) {
        if (is_stopped) {
            is_stopped = 0;
            leave_terminal(&before);
            raise(SIGSTOP);
            enter_terminal(&before);
        }
        if (now() >= next) {
            read_files(top);
            next = now() + top->interval;
        }
        is_changed = 0;
        goes_on = draw(top) && wait_for_key(top, next, &unblocked);
    }
    leave_terminal(&before);
    return 0;
}

/* ---- the command ---- */

enum { ONCE = QUERN_COMMAND_KEY, INTERVAL, SORT };

static const struct argp_option options[] = {
    {"once", ONCE, NULL, 0,
     "Prints one page, of all ranks, and ends; so it does where it does not write to a terminal"},
    {"interval", INTERVAL, "SECONDS", 0, "How often to look (2)"},
    {"sort", SORT, "rank|load|memory|silence", 0, "Which ranks come first (rank)"},
    {0},
};

static bool take_order(quern_top *top, const char *word)
{
    static const char *const words[] = {[QUERN_TOP_BY_RANK] = "rank",
                                        [QUERN_TOP_BY_LOAD] = "load",
                                        [QUERN_TOP_BY_MEMORY] = "memory",
                                        [QUERN_TOP_BY_SILENCE] = "silence"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i]) == 0) {
            top->order = (quern_top_order)i;
            return true;
        }
    return false;
}

static bool take(void *all, int key, const char *word)
{
    quern_top *top = all;
    if (key == SORT)
        return take_order(top, word);
    if (key == ONCE)
        top->is_once = true;
    else
        top->interval = (double)quern_command_read_number(word, 1, INTERVAL_SECONDS_MAX);
    return top->interval > 0;
}

static int run(int argc, char **argv)
{
    quern_top top = {.interval = INTERVAL_SECONDS};
    int operand = quern_command_parse(&quern_command_top, argc, argv, take, &top);
    const char *terminal = getenv("TERM");
    top.name = operand < argc ? argv[operand] : ".";
    if (quern_batch_find(top.name, &top.job) != 0)
        return 1;
    setlocale(LC_CTYPE, "");
    bool is_drawn = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    int status = top.is_once || !is_drawn ? print_once(&top) : show_live(&top);
    json_decref(top.status);
    json_decref(top.ranks);
    return status;
}

const quern_command quern_command_top = {
    .name = "top",
    .operands = "[JOB]",
    .what = "shows what the ranks of a job do",
    .about = "JOB is a job directory, that one stands in if none is named, or the number of a job of SLURM. The page "
             "shows the "
             "stage that runs, how far it is, what all ranks did in it together, its hottest keys, alerts, and of each "
             "rank its host, what it does (map, reduce, shuffle, spill, wait, idle ...), the task that it has in hand, "
             "the tasks that it has done, records and bytes that it read, bytes that it sent, rounds, bytes that it "
             "spilled, memory "
             "and which part of its budget that is, how long it worked, and for how long it has been silent.\n\n"
             "It reads what the job writes into its directory, so it works on any machine that sees that. Keys: q ends "
             "it; l, m, s and r order ranks by load, memory, silence and number; j and k go on in the list and back. "
             "The exit status of --once is 1, too, if there is no status, or the job should run and has said "
             "nothing for 30 seconds.",
    .options = options,
    .examples = "  quern top quern-1234\n"
                "  quern top --once --sort=memory 1234 | head -20\n",
    .see = "quern-status(1), quern-report(1), squeue(1)",
    .run = run,
};
