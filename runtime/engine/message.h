/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/message.h: what master and ranks say to each other during a stage.
 *
 * Every message begins with its kind and the number of the stage it belongs to (counted over the life of the context): one that arrives
 * after its stage is dropped. Fields follow as written by the qn_message_… calls below and read back in the same order.
 */
#ifndef QN_ENGINE_MESSAGE_H
#define QN_ENGINE_MESSAGE_H

#include "runtime/base/buffer.h"
#include "runtime/io/text_source.h"

typedef enum qn_message_kind {
    QN_MESSAGE_TASK, /* master → rank: u32 tasks that it is to tell of at once; for each task qn_task_order, span: the split */
    QN_MESSAGE_DONE, /* rank → master: for each task qn_task_outcome; span: of a part that is to be noted (part_list.h); span: the last bad
                              record as a text, empty if there was none */
    QN_MESSAGE_FAILED,     /* rank → master: qn_task_outcome, status, text */
    QN_MESSAGE_HELPER,     /* master → rank: u32 rank that helps it (loans.h) */
    QN_MESSAGE_LENT,       /* rank → rank: qn_task_order, span: the piece; its task is the number of the loan */
    QN_MESSAGE_RETURNED,   /* rank → rank: qn_loan_return; span: what it gave (loans.h) */
    QN_MESSAGE_WANT_ROUND, /* rank → master: u64 number */
    QN_MESSAGE_ROUND,      /* master → all: u64 number */
    QN_MESSAGE_IDLE,       /* rank → master: has emitted all that it ever will in this stage */
    QN_MESSAGE_PAUSE, /* master → all: leave what is in hand at the next block, and give back what is not begun */
    QN_MESSAGE_GIVEN_BACK, /* rank → master: qn_task_outcome, of which resume says where to go on */
    QN_MESSAGE_PARKED,     /* rank → master: the same, but the rank goes on with it after the rest */
    QN_MESSAGE_LEAVE, /* master → rank: qn_task_order of a task in its hand, which it is to give back at the next block */
    QN_MESSAGE_LEAVE_UNBEGUN, /* master → rank: the same, but if it has begun it, it goes on */
    QN_MESSAGE_SECOND, /* master → rank: qn_task_order, span: the split; what it gives is kept back until it takes over, or dropped */
    QN_MESSAGE_READY,     /* rank → master: qn_task_outcome of a second that has made its part, and could take over */
    QN_MESSAGE_TAKE_OVER, /* master → rank: qn_task_order of its second, which it has in hand now, from its resume on */
    QN_MESSAGE_DROP,      /* master → rank: qn_task_order of its second, which is not needed any more */
    QN_MESSAGE_SUSPEND,   /* rank → master: it was told that the job is to end soon */
    QN_MESSAGE_END,       /* master → all: every rank has; u64: qn_end */
    QN_MESSAGE_BROKEN,    /* rank → master: cannot go on; status, text */
    QN_MESSAGE_ABORT,     /* master → all: the job failed */
    QN_MESSAGE_SHOWN,     /* rank → master: qn_shown, how far some ranks are */
} qn_message_kind;

typedef enum qn_end {
    QN_END_FOR_GOOD,
    QN_END_FOR_NOW,        /* the stage rests after rounds */
    QN_END_WITHOUT_ROUNDS, /* it rests; no rank has begun a round, and none is to */
} qn_end;

typedef struct qn_message_head {
    uint32_t kind;
    uint32_t stage;
} qn_message_head;

/* Where an attempt begins. */
typedef struct qn_resume {
    qn_text_place place; /* place.started false and segment 0: at the begin */
    uint64_t skip;       /* records at the end of the chain that an earlier attempt delivered from the block there */
    uint64_t left_bytes; /* of the task from there on, about; 0: not known */
} qn_resume;

typedef struct qn_task_order {
    uint32_t task, attempt, task_count; /* tasks are numbered as they are handed out */
    uint32_t leg;                       /* of the stage, that it is of */
    uint32_t place;                     /* among the splits of that leg, in the order of the input */
    uint32_t is_local;                  /* its files are on this node only */
    qn_resume resume;
} qn_task_order;

typedef struct qn_task_outcome {
    uint32_t task, attempt;
    uint32_t retryable; /* of a failure */
    uint32_t leg;
    uint64_t busy_ns;   /* that the rank had it under way, of one that is done */
    uint64_t bad_count; /* records of the leg that were left out here since this was told last */
    qn_resume resume;
} qn_task_outcome;

static inline void qn_message_begin(qn_buffer *message, qn_message_kind kind, uint32_t stage)
{
    qn_message_head head = {kind, stage};
    message->bytes = 0;
    qn_buffer_append(message, &head, sizeof head);
}

#endif
