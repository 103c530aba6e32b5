/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/quern/commands.h"

#define AGENT_WORDS_MAX 32
#define LOOK_NS         20000000L
#define STATUS_NO_AGENT 127
#define STATUS_HERE     93 /* of a question: the host is this machine */
#define SLOTS_MAX       (1L << 24)

typedef struct question {
    size_t host;
    pid_t pid; /* 0: free */
    double began;
} question;

typedef struct round {
    quern_hosts *hosts;
    question questions[HOSTS_ASKED_MAX];
    size_t asked_count, open_count;
    const sigset_t *mask;
} round;

/* ---- the list ---- */

static void read_host(quern_host *host)
{
    const char *colon = strrchr(host->words, ':');
    long slots = colon ? strtol(colon + 1, NULL, 10) : 1;
    host->name = strndup(host->words, colon ? (size_t)(colon - host->words) : strlen(host->words));
    host->slot_count = slots < 1 ? 1 : slots > SLOTS_MAX ? SLOTS_MAX : slots;
    host->answers = true;
}

int quern_hosts_init(quern_hosts *hosts, const char *list)
{
    size_t commas = 0;
    for (const char *byte = list; *byte; byte++)
        commas += *byte == ',';
    *hosts = (quern_hosts){.text = strdup(list), .each = calloc(commas + 1, sizeof *hosts->each)};
    char *rest = hosts->text;
    while (rest && hosts->each) {
        quern_host *host = &hosts->each[hosts->count];
        host->words = strsep(&rest, ",");
        if (*host->words == 0)
            continue;
        hosts->count++;
        read_host(host);
        if (!host->name)
            rest = NULL;
    }
    bool is_whole = hosts->text && hosts->each && (hosts->count == 0 || hosts->each[hosts->count - 1].name);
    if (is_whole)
        return 0;
    quern_hosts_fini(hosts);
    return quern_command_fail(ENOMEM, "cannot run a job");
}

void quern_hosts_fini(quern_hosts *hosts)
{
    for (size_t i = 0; i < hosts->count; i++)
        free(hosts->each[i].name);
    free(hosts->each);
    free(hosts->text);
    *hosts = (quern_hosts){0};
}

char *quern_hosts_list(const quern_hosts *hosts)
{
    char *list = NULL;
    size_t bytes = 0;
    FILE *text = open_memstream(&list, &bytes);
    if (!text)
        return NULL;
    const char *between = "";
    for (size_t i = 0; i < hosts->count; i++) {
        if (!hosts->each[i].answers)
            continue;
        fprintf(text, "%s%s", between, hosts->each[i].words);
        between = ",";
    }
    if (fclose(text) == 0)
        return list;
    free(list);
    return NULL;
}

long quern_hosts_share(const quern_hosts *hosts, long rank_count)
{
    long all = 0, left = 0;
    for (size_t i = 0; i < hosts->count; i++) {
        all += hosts->each[i].slot_count;
        left += hosts->each[i].answers ? hosts->each[i].slot_count : 0;
    }
    if (left == all || rank_count == 0)
        return rank_count;
    if (rank_count <= all)
        return rank_count < left ? rank_count : left;
    return (long)((double)rank_count * (double)left / (double)all);
}

/* ---- asking ---- */

/* Only addresses of this machine can be bound. */
static bool is_here(const char *name)
{
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    const char *user_ends = strchr(name, '@');
    bool is_ours = false;
    if (getaddrinfo(user_ends ? user_ends + 1 : name, NULL, &hints, &found) != 0)
        return false;
    for (const struct addrinfo *each = found; each && !is_ours; each = each->ai_next) {
        int fd = socket(each->ai_family, each->ai_socktype | SOCK_CLOEXEC, 0);
        is_ours = fd >= 0 && bind(fd, each->ai_addr, each->ai_addrlen) == 0;
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    return is_ours;
}

/* As Open MPI finds it: of several that are divided by colons the first. */
static const char *agent(void)
{
    static const char *const variables[] = {"OMPI_MCA_plm_rsh_agent", "PRTE_MCA_plm_ssh_agent",
                                            "OMPI_MCA_orte_rsh_agent"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *set = getenv(variables[i]);
        if (set && set[strspn(set, " \t:")])
            return set;
    }
    return "ssh -o BatchMode=yes -o ConnectTimeout=5";
}

static _Noreturn void be_agent(const char *name, const sigset_t *mask)
{
    char *words[AGENT_WORDS_MAX + 3], *rest = strdup(agent());
    size_t count = 0;
    setpgid(0, 0);
    if (is_here(name))
        _exit(STATUS_HERE);
    if (rest)
        rest[strcspn(rest, ":")] = 0;
    for (char *word; rest && count < AGENT_WORDS_MAX && (word = strsep(&rest, " \t"));)
        if (*word)
            words[count++] = word;
    words[count++] = (char *)name;
    words[count++] = (char *)"true";
    words[count] = NULL;
    int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        dup2(nowhere, fd);
    sigprocmask(SIG_SETMASK, mask, NULL);
    execvp(words[0], words);
    _exit(STATUS_NO_AGENT);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A word of the launcher's own, or what an agent would take for an option. */
static bool is_no_name(const char *name)
{
    return *name == '+' || *name == '-';
}

/* True: the slot is taken now. A host that cannot be asked is taken to answer. */
static bool ask_next(round *all, question *slot)
{
    while (all->asked_count < all->hosts->count) {
        size_t host = all->asked_count++;
        if (is_no_name(all->hosts->each[host].name))
            continue;
        pid_t pid = fork();
        if (pid == 0)
            be_agent(all->hosts->each[host].name, all->mask);
        if (pid < 0)
            continue;
        *slot = (question){.host = host, .pid = pid, .began = now()};
        all->open_count++;
        return true;
    }
    return false;
}

static void close_question(round *all, question *slot, bool answers)
{
    all->hosts->each[slot->host].answers = answers;
    all->open_count--;
    slot->pid = 0;
}

static void end_question(const question *slot)
{
    kill(-slot->pid, SIGKILL);
    kill(slot->pid, SIGKILL);
    waitpid(slot->pid, NULL, 0);
}

static void look(round *all, question *slot)
{
    int outcome = 0;
    pid_t ended = waitpid(slot->pid, &outcome, WNOHANG);
    if (ended == slot->pid) {
        int status = WIFEXITED(outcome) ? WEXITSTATUS(outcome) : STATUS_NO_AGENT;
        all->hosts->is_way_known |= status == 0;
        close_question(all, slot, status == 0 || status == STATUS_HERE);
    } else if (now() - slot->began > HOSTS_ANSWER_SECONDS) {
        end_question(slot);
        close_question(all, slot, false);
    }
}

static bool is_signalled(const sigset_t *awaited)
{
    sigset_t pending;
    sigpending(&pending);
    for (int number = 1; number < NSIG; number++)
        if (number != SIGCHLD && sigismember(awaited, number) == 1 && sigismember(&pending, number) == 1)
            return true;
    return false;
}

static void give_up(round *all)
{
    for (size_t i = 0; i < HOSTS_ASKED_MAX; i++) {
        if (all->questions[i].pid == 0)
            continue;
        end_question(&all->questions[i]);
        close_question(all, &all->questions[i], true);
    }
}

void quern_hosts_ask(quern_hosts *hosts, const sigset_t *mask, const sigset_t *awaited)
{
    round all = {.hosts = hosts, .mask = mask};
    for (size_t i = 0; i < hosts->count; i++)
        hosts->each[i].answers = true;
    do {
        for (size_t i = 0; i < HOSTS_ASKED_MAX; i++) {
            question *slot = &all.questions[i];
            if (slot->pid != 0)
                look(&all, slot);
            if (slot->pid == 0 && !ask_next(&all, slot) && all.open_count == 0)
                break;
        }
        if (is_signalled(awaited))
            give_up(&all);
        else if (all.open_count > 0)
            nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    } while (all.open_count > 0);
    size_t answer_count = 0;
    for (size_t i = 0; i < hosts->count; i++)
        answer_count += hosts->each[i].answers;
    for (size_t i = 0; i < hosts->count && (!hosts->is_way_known || answer_count == 0); i++)
        hosts->each[i].answers = true;
}
