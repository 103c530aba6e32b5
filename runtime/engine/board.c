/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/board.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/clock.h"
#include "runtime/base/timeline.h"
#include "runtime/base/utf8.h"
#include "runtime/engine/disk_watch.h"
#include "runtime/engine/job_status.h"
#include "runtime/engine/progress.h"

#define NAME_BYTES         96
#define TEXT_BYTES         512
#define ALERTS_AT_ONCE_MAX 4
#define UNHEARD_NS         (3 * QN_NS_PER_S) /* a rank of which nothing came for longer is silent for that long */
#define SILENT_NS          (5 * QN_NS_PER_S) /* so long is notable */
#define HOT_PART           0.1               /* as in the report, of keys and of memory */
#define HOT_SAMPLES_MIN    100
#define MEMORY_NEAR        0.9
#define STRAGGLES_FROM     1.5 /* times the mean work of the ranks, while half of them have none left */
#define STRAGGLES_NS_MIN   QN_NS_PER_S
#define STRAGGLES_PART     0.05 /* of the stage's time */

typedef struct board_rank {
    qn_rank_figures figures;
    uint64_t heard_ns; /* 0: never, in this stage */
    uint32_t node;
    bool told; /* that it straggles */
} board_rank;

typedef struct board_node {
    char host[64];
    qn_shown_keys keys;
    uint64_t used_bytes, memory_bytes; /* of its ranks, while it is looked at */
    uint64_t scratch_bytes, scratch_free_bytes;
    bool told_scratch; /* that it is nearly full */
    bool told;         /* that its memory is nearly full */
} board_node;

struct qn_board {
    pthread_mutex_t lock;
    qn_board_alert_fn alert;
    void *user;
    uint32_t rank_count, node_count;
    board_rank *ranks;
    board_node *nodes;
    uint32_t stage; /* 0: none runs */
    char name[NAME_BYTES], end[NAME_BYTES];
    uint64_t begin_ns;
    uint64_t told_keys[QN_SHOWN_KEYS_MAX]; /* tags, of the stage */
    size_t told_key_count;
};

typedef struct alert_list {
    size_t count;
    const char *kinds[ALERTS_AT_ONCE_MAX];
    char texts[ALERTS_AT_ONCE_MAX][TEXT_BYTES];
} alert_list;

/* ---- from the begin to the end ---- */

static bool make_room(qn_board *board, uint32_t rank_count, uint32_t node_count)
{
    free(board->ranks);
    free(board->nodes);
    board->ranks = calloc(rank_count, sizeof *board->ranks);
    board->nodes = calloc(node_count, sizeof *board->nodes);
    bool has_room = board->ranks && board->nodes;
    board->rank_count = has_room ? rank_count : 0;
    board->node_count = has_room ? node_count : 0;
    return has_room;
}

quern_status qn_board_create(qn_board **board_out, uint32_t rank_count, uint32_t node_count, qn_board_alert_fn alert,
                             void *user, qn_error *error)
{
    qn_board *board = calloc(1, sizeof *board);
    if (board)
        pthread_mutex_init(&board->lock, NULL);
    if (!board || !make_room(board, rank_count, node_count)) {
        qn_board_destroy(board);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for figures of %u ranks", rank_count);
    }
    board->alert = alert;
    board->user = user;
    *board_out = board;
    return QUERN_OK;
}

void qn_board_destroy(qn_board *board)
{
    if (!board)
        return;
    pthread_mutex_destroy(&board->lock);
    free(board->ranks);
    free(board->nodes);
    free(board);
}

void qn_board_resize(qn_board *board, uint32_t rank_count, uint32_t node_count)
{
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    make_room(board, rank_count, node_count);
    board->stage = 0;
    pthread_mutex_unlock(&board->lock);
}

void qn_board_begin_run(qn_board *board)
{
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    for (uint32_t node = 0; node < board->node_count; node++) {
        board->nodes[node].told = board->nodes[node].told_scratch = false;
        board->nodes[node].scratch_bytes = 0;
    }
    board->stage = 0;
    pthread_mutex_unlock(&board->lock);
}

void qn_board_begin_stage(qn_board *board, uint32_t number, const char *name, const char *end, uint64_t now_ns)
{
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    for (uint32_t rank = 0; rank < board->rank_count; rank++)
        board->ranks[rank] = (board_rank){
            .node = board->ranks[rank].node, .figures = {.rank = rank, .task = QN_RANK_NO_TASK}, .heard_ns = now_ns};
    for (uint32_t node = 0; node < board->node_count; node++)
        board->nodes[node].keys = (qn_shown_keys){0};
    board->stage = number;
    board->begin_ns = now_ns;
    board->told_key_count = 0;
    snprintf(board->name, sizeof board->name, "%s", name);
    snprintf(board->end, sizeof board->end, "%s", end);
    pthread_mutex_unlock(&board->lock);
}

void qn_board_end_stage(qn_board *board)
{
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    board->stage = 0;
    pthread_mutex_unlock(&board->lock);
}

void qn_board_take(qn_board *board, const qn_shown *shown, uint64_t now_ns)
{
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    for (uint32_t i = 0; i < shown->count && i < QN_SHOWN_RANKS_MAX; i++) {
        const qn_rank_figures *figures = &shown->ranks[i];
        if (figures->rank >= board->rank_count || shown->node >= board->node_count)
            continue;
        board_rank *rank = &board->ranks[figures->rank];
        rank->figures = *figures;
        rank->heard_ns = now_ns;
        rank->node = shown->node;
    }
    if (shown->node < board->node_count) {
        board_node *node = &board->nodes[shown->node];
        node->keys = shown->keys;
        node->scratch_bytes = shown->scratch_bytes;
        node->scratch_free_bytes = shown->scratch_free_bytes;
        snprintf(node->host, sizeof node->host, "%.*s", (int)sizeof shown->host - 1, shown->host);
    }
    pthread_mutex_unlock(&board->lock);
}

/* ---- what it comes to; inside the lock ---- */

static uint64_t silent_ns_of(const qn_board *board, const board_rank *rank, uint64_t now_ns)
{
    uint64_t unheard_ns = board->stage > 0 && now_ns > rank->heard_ns ? now_ns - rank->heard_ns : 0;
    return rank->figures.silent_ns + (unheard_ns > UNHEARD_NS ? unheard_ns : 0);
}

static bool works(const board_rank *rank)
{
    uint32_t state = rank->figures.state;
    return state == QN_TIMELINE_MAP || state == QN_TIMELINE_REDUCE || state == QN_TIMELINE_SPILL;
}

/* Whether it is the one to name, before the one that is named so far. */
static bool is_slower(const qn_board *board, uint32_t rank, const qn_board_totals *so_far)
{
    if (!works(&board->ranks[rank]) || so_far->slowest_is_silent)
        return false;
    return so_far->slowest == QN_RANK_NO_TASK ||
           board->ranks[rank].figures.records < board->ranks[so_far->slowest].figures.records;
}

static void add_rank(const qn_board *board, uint32_t number, uint64_t now_ns, qn_board_totals *totals)
{
    const board_rank *rank = &board->ranks[number];
    qn_rank_figures *sum = &totals->sum;
    uint64_t most_rounds = sum->rounds > rank->figures.rounds ? sum->rounds : rank->figures.rounds;
    uint64_t silent_ns = silent_ns_of(board, rank, now_ns), longest_ns = sum->silent_ns;
    totals->idle_count += rank->figures.state == QN_TIMELINE_IDLE;
    totals->silent_count += silent_ns >= SILENT_NS;
    if (is_slower(board, number, totals))
        totals->slowest = number;
    if (silent_ns >= SILENT_NS && silent_ns > longest_ns) {
        totals->slowest = number;
        totals->slowest_is_silent = true;
    }
#define ADD(field, unit, name) sum->field += rank->figures.field;
    QN_RANK_FIGURES(ADD)
#undef ADD
    sum->rounds = most_rounds;
    sum->silent_ns = silent_ns > longest_ns ? silent_ns : longest_ns;
}

static void sum_up(const qn_board *board, uint64_t now_ns, qn_board_totals *totals)
{
    *totals = (qn_board_totals){.rank_count = board->rank_count, .slowest = QN_RANK_NO_TASK};
    for (uint32_t rank = 0; rank < board->rank_count; rank++)
        add_rank(board, rank, now_ns, totals);
    if (totals->slowest != QN_RANK_NO_TASK)
        snprintf(totals->slowest_host, sizeof totals->slowest_host, "%s",
                 board->nodes[board->ranks[totals->slowest].node].host);
}

void qn_board_sum(qn_board *board, uint64_t now_ns, qn_board_totals *totals_out)
{
    *totals_out = (qn_board_totals){.slowest = QN_RANK_NO_TASK};
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    sum_up(board, now_ns, totals_out);
    pthread_mutex_unlock(&board->lock);
}

static void merge_keys(const qn_board *board, qn_hot_keys *all)
{
    memset(all, 0, sizeof *all);
    for (uint32_t node = 0; node < board->node_count; node++) {
        const qn_shown_keys *keys = &board->nodes[node].keys;
        qn_hot_keys one = {.sample_count = keys->sample_count};
        memcpy(one.keys, keys->keys, sizeof keys->keys);
        for (size_t i = 0; i < QN_SHOWN_KEYS_MAX; i++)
            one.keys[i].text[sizeof one.keys[i].text - 1] = 0;
        qn_hot_keys_merge(all, &one);
    }
}

/* ---- what somebody should look at ---- */

static void add_alert(alert_list *list, const char *kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void add_alert(alert_list *list, const char *kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    list->kinds[list->count] = kind;
    vsnprintf(list->texts[list->count++], TEXT_BYTES, format, arguments);
    va_end(arguments);
}

static void look_for_stragglers(qn_board *board, uint64_t now_ns, alert_list *list)
{
    qn_board_totals totals;
    sum_up(board, now_ns, &totals);
    uint64_t elapsed_ns = now_ns - board->begin_ns;
    double mean_ns = (double)totals.sum.work_ns / board->rank_count;
    double least_ns = STRAGGLES_PART * (double)elapsed_ns;
    least_ns = least_ns > STRAGGLES_NS_MIN ? least_ns : (double)STRAGGLES_NS_MIN;
    if (board->rank_count < 2 || 2 * totals.idle_count < board->rank_count)
        return;
    for (uint32_t number = 0; number < board->rank_count && list->count < ALERTS_AT_ONCE_MAX; number++) {
        board_rank *rank = &board->ranks[number];
        double work_ns = (double)rank->figures.work_ns;
        if (rank->told || !works(rank) || work_ns < STRAGGLES_FROM * mean_ns || work_ns - mean_ns < least_ns)
            continue;
        rank->told = true;
        add_alert(
            list, "straggler",
            "rank %u on %s still works in stage %u '%s', for %.1f s by now, where the mean is %.1f s and %u of %u "
            "ranks have nothing left to do",
            number, board->nodes[rank->node].host, board->stage, board->name, work_ns / 1e9, mean_ns / 1e9,
            totals.idle_count, board->rank_count);
    }
}

static bool is_told(const qn_board *board, uint64_t tag)
{
    for (size_t i = 0; i < board->told_key_count; i++)
        if (board->told_keys[i] == tag)
            return true;
    return board->told_key_count == QN_SHOWN_KEYS_MAX;
}

static void look_for_hot_keys(qn_board *board, alert_list *list)
{
    qn_hot_keys all;
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    merge_keys(board, &all);
    size_t count = all.sample_count >= HOT_SAMPLES_MIN ? qn_hot_keys_rank(&all, 1, hottest) : 0;
    for (size_t i = 0; i < count && list->count < ALERTS_AT_ONCE_MAX; i++) {
        double share = (double)(hottest[i]->count - hottest[i]->error) / (double)all.sample_count;
        if (share < HOT_PART || is_told(board, hottest[i]->tag))
            continue;
        board->told_keys[board->told_key_count++] = hottest[i]->tag;
        add_alert(list, "hot key", "key '%s' holds about %.0f %% of the records that arrive at '%s' in stage %u so far",
                  hottest[i]->text, 100 * share, board->end, board->stage);
    }
}

/* Ranks of a node need not follow each other. */
static void sum_memory(qn_board *board)
{
    for (uint32_t node = 0; node < board->node_count; node++)
        board->nodes[node].used_bytes = board->nodes[node].memory_bytes = 0;
    for (uint32_t number = 0; number < board->rank_count; number++) {
        const board_rank *rank = &board->ranks[number];
        board->nodes[rank->node].used_bytes += rank->figures.used_bytes;
        board->nodes[rank->node].memory_bytes += rank->figures.memory_bytes;
    }
}

static void look_at_memory(qn_board *board, alert_list *list)
{
    sum_memory(board);
    for (uint32_t number = 0; number < board->node_count && list->count < ALERTS_AT_ONCE_MAX; number++) {
        board_node *node = &board->nodes[number];
        double used_bytes = (double)node->used_bytes, memory_bytes = (double)node->memory_bytes;
        if (node->told || memory_bytes == 0 || used_bytes < MEMORY_NEAR * memory_bytes)
            continue;
        node->told = true;
        add_alert(list, "memory", "the ranks on %s use %.0f MB of memory, and the budget of the node is %.0f MB",
                  node->host, used_bytes / 1e6, memory_bytes / 1e6);
    }
}

static void look_at_scratch(qn_board *board, alert_list *list)
{
    for (uint32_t number = 0; number < board->node_count && list->count < ALERTS_AT_ONCE_MAX; number++) {
        board_node *node = &board->nodes[number];
        double all = (double)node->scratch_bytes, left = (double)node->scratch_free_bytes;
        if (node->told_scratch || all == 0 || left >= (1 - QN_DISK_NEAR) * all)
            continue;
        node->told_scratch = true;
        add_alert(list, QN_ALERT_DISK, QN_DISK_OF "%s came to be %.0f %% full, %s were left", node->host,
                  100 - 100 * left / all, qn_progress_bytes(node->scratch_free_bytes));
    }
}

void qn_board_judge(qn_board *board, uint64_t now_ns)
{
    alert_list list = {0};
    if (!board)
        return;
    pthread_mutex_lock(&board->lock);
    if (board->stage > 0 && board->rank_count > 0) {
        look_for_stragglers(board, now_ns, &list);
        look_for_hot_keys(board, &list);
        look_at_memory(board, &list);
        look_at_scratch(board, &list);
    }
    pthread_mutex_unlock(&board->lock);
    for (size_t i = 0; i < list.count; i++)
        board->alert(board->user, list.kinds[i], list.texts[i]);
}

/* ---- as JSON ---- */

static json_t *text_json(const char *text)
{
    char *repaired = qn_utf8_repair(text);
    json_t *made = repaired ? json_string(repaired) : NULL;
    free(repaired);
    return made;
}

static json_t *describe_keys(const qn_board *board)
{
    qn_hot_keys all;
    const qn_hot_key *hottest[QN_HOT_KEYS_SHOWN];
    json_t *list = json_array();
    merge_keys(board, &all);
    size_t count = qn_hot_keys_rank(&all, 2, hottest); /* seen once is seen by chance */
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_pack("{s:o, s:f}", "key", text_json(hottest[i]->text), "share",
                                              (double)hottest[i]->count / (double)all.sample_count));
    return list;
}

static void set_slowest(json_t *object, const qn_board_totals *totals)
{
    bool is_there = totals->slowest != QN_RANK_NO_TASK;
    json_object_set_new(object, "slowest_rank", is_there ? json_integer(totals->slowest) : json_null());
    json_object_set_new(object, "slowest_host", is_there ? text_json(totals->slowest_host) : json_null());
}

json_t *qn_board_describe_totals(qn_board *board, uint64_t now_ns)
{
    qn_board_totals totals;
    if (!board)
        return NULL;
    json_t *object = json_object();
    pthread_mutex_lock(&board->lock);
    sum_up(board, now_ns, &totals);
    json_object_set_new(object, "idle_ranks", json_integer(totals.idle_count));
    json_object_set_new(object, "silent_ranks", json_integer(totals.silent_count));
    set_slowest(object, &totals);
#define SET(field, unit, name) json_object_set_new(object, name, json_integer((json_int_t)(totals.sum.field / (unit))));
    QN_RANK_FIGURES(SET)
#undef SET
    json_object_set_new(object, "hot_keys", describe_keys(board));
    pthread_mutex_unlock(&board->lock);
    return object;
}

static const char *state_name(uint32_t state)
{
    static const char *const names[] = {
#define NAME(state, name, letter) name,
        QN_TIMELINE_STATES(NAME)
#undef NAME
    };
    return state < QN_TIMELINE_STATE_COUNT ? names[state] : "other";
}

static json_t *describe_columns(void)
{
    return json_pack("[s, s, s, s"
#define MARK(field, unit, name) ", s"
                     QN_RANK_FIGURES(MARK)
#undef MARK
                         "]",
                     "node", "state", "task",
                     "attempt"
#define NAME(field, unit, name) , name
                     QN_RANK_FIGURES(NAME)
#undef NAME
    );
}

static json_t *describe_rank(const qn_board *board, const board_rank *rank, uint64_t now_ns)
{
    qn_rank_figures figures = rank->figures;
    json_t *row = json_array();
    bool has_task = figures.task != QN_RANK_NO_TASK;
    figures.silent_ns = silent_ns_of(board, rank, now_ns);
    json_array_append_new(row, json_integer(rank->node));
    json_array_append_new(row, json_string(state_name(figures.state)));
    json_array_append_new(row, has_task ? json_integer(figures.task) : json_null());
    json_array_append_new(row, has_task ? json_integer(figures.attempt) : json_null());
#define APPEND(field, unit, name) json_array_append_new(row, json_integer((json_int_t)(figures.field / (unit))));
    QN_RANK_FIGURES(APPEND)
#undef APPEND
    return row;
}

/* Of many ranks a text takes long to make, and rank 0 waits for the lock: it is made of a copy. The caller destroys that; NULL: no memory. */
static qn_board *copy(qn_board *board)
{
    qn_board *made = NULL;
    qn_error ignored = {0};
    pthread_mutex_lock(&board->lock);
    if (qn_board_create(&made, board->rank_count, board->node_count, NULL, NULL, &ignored) == QUERN_OK) {
        memcpy(made->ranks, board->ranks, board->rank_count * sizeof *made->ranks);
        memcpy(made->nodes, board->nodes, board->node_count * sizeof *made->nodes);
        made->stage = board->stage;
    }
    pthread_mutex_unlock(&board->lock);
    return made;
}

json_t *qn_board_describe_ranks(qn_board *board, uint64_t now_ns)
{
    qn_board *shown = board ? copy(board) : NULL;
    if (!shown)
        return NULL;
    json_t *object = json_object(), *hosts = json_array(), *rows = json_array();
    for (uint32_t node = 0; node < shown->node_count; node++)
        json_array_append_new(hosts, text_json(shown->nodes[node].host));
    for (uint32_t rank = 0; rank < shown->rank_count; rank++)
        json_array_append_new(rows, describe_rank(shown, &shown->ranks[rank], now_ns));
    json_object_set_new(object, "hosts", hosts);
    json_object_set_new(object, "columns", describe_columns());
    json_object_set_new(object, "ranks", rows);
    qn_board_destroy(shown);
    return object;
}
