/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/exec/apart_internal.h: the memory that a rank and its child have both (apart.h).
 *
 * Both have it at the same address, since it is mapped before the fork, so what one writes as a pointer the other may follow, once it has looked whether
 * that leads into the load or the slot.
 */
#ifndef QN_EXEC_APART_INTERNAL_H
#define QN_EXEC_APART_INTERNAL_H

#include <semaphore.h>
#include <stdatomic.h>

#include "runtime/base/child.h"
#include "runtime/exec/apart.h"
#include "runtime/exec/chain_internal.h"

#define QN_APART_SLOTS      16 /* a power of two */
#define QN_APART_SLOT_BYTES ((size_t)128 << 10)

typedef enum qn_apart_kind {
    QN_APART_RECORDS = 1,
    QN_APART_PART,   /* of a record that is longer than a slot: the next bytes of key and value */
    QN_APART_DONE,   /* the block went through, or all turns did: qn_apart_sums */
    QN_APART_TURNS,  /* some turns went through: the same */
    QN_APART_FAILED, /* it did not: qn_apart_failure */
} qn_apart_kind;

typedef struct qn_apart_slot {
    uint32_t kind, count;
    bool has_values;
    uint64_t part_bytes;                                       /* PART: in data */
    uint32_t whole_key_bytes, whole_value_bytes, whole_origin; /* PART: of the record */
    const void *key[QN_BATCH_COUNT_MAX];
    uint32_t key_bytes[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    uint32_t value_bytes[QN_BATCH_COUNT_MAX];
    uint32_t origin[QN_BATCH_COUNT_MAX];
    _Alignas(64) uint8_t data[QN_APART_SLOT_BYTES + 64]; /* and slack */
} qn_apart_slot;

/* Of one block, or of some turns: behind each other, edges of all operators, then counters. */
typedef struct qn_apart_sums {
    qn_place place;         /* of the first operator */
    uint64_t turns_through; /* of turns */
    uint64_t words[];
} qn_apart_sums;

typedef struct qn_apart_failure {
    uint32_t status, origin;
    bool callback_failed;
    char text[QN_ERROR_TEXT_BYTES_MAX];
} qn_apart_failure;

/* A block of the load; arrays and bytes are behind it. */
typedef struct qn_apart_block {
    uint32_t count;
    const void **key;
    uint32_t *key_bytes;
    const void **value; /* NULL: it has none */
    uint32_t *value_bytes;
    uint32_t *origin;   /* NULL: it had none */
    uint64_t *identity; /* NULL: the same */
} qn_apart_block;

typedef struct qn_apart_shared {
    sem_t to_child, to_rank;
    atomic_bool child_sleeps, rank_sleeps; /* or are about to, and are to be woken */
    atomic_bool stop;                      /* the child is to end */
    atomic_bool loaded;                    /* there is a load that the child has not begun */
    atomic_uint load_given, load_done;     /* numbers of the last load, and of the last that the child has done with */
    atomic_uint produced, consumed;        /* slots */
    qn_chain_shown shown;
    /* The load; written while the child has nothing to do. */
    uint32_t chain, task, attempt, block_count;
    qn_place place;
    qn_apart_block *blocks[QN_APART_BLOCKS_MAX];
    uint64_t first_turn;              /* in place of blocks, */
    volatile qn_apart_turn_view view; /* the child's */
    qn_apart_slot slots[QN_APART_SLOTS];
} qn_apart_shared;

struct qn_apart {
    qn_apart_config config; /* chains: owned */
    qn_apart_shared *shared;
    uint8_t *load; /* shared, too */
    size_t load_capacity_bytes, load_used_bytes;
    uint32_t record_counts[QN_APART_BLOCKS_MAX]; /* of its blocks */
    qn_child child;
    bool has_stopped; /* the child said that a block failed, and does no more of the load */
    uint8_t *
        whole; /* a record that comes in parts; its lengths are those that the first of them told, for which there is room */
    size_t whole_capacity_bytes, whole_used_bytes;
    uint32_t whole_key_bytes, whole_value_bytes;
    uint64_t turns_through; /* in the rank: as it was told; in the child: as it told, */
    unsigned told_produced; /* when there had been so many slots */
};

static inline bool qn_apart_is_within(const void *field, size_t bytes, const void *memory, size_t memory_bytes)
{
    size_t at = (size_t)((const uint8_t *)field - (const uint8_t *)memory);
    return at < memory_bytes && bytes <= memory_bytes - at;
}

/* Whether the rank can follow a field of a slot. */
static inline bool qn_apart_can_reach(const qn_apart *apart, const qn_apart_slot *slot, const void *field, size_t bytes)
{
    return qn_apart_is_within(field, bytes, slot->data, QN_APART_SLOT_BYTES) ||
           qn_apart_is_within(field, bytes, apart->load, apart->load_capacity_bytes);
}

static inline qn_apart_slot *qn_apart_slot_at(qn_apart_shared *shared, unsigned number)
{
    return &shared->slots[number % QN_APART_SLOTS];
}

static inline bool qn_apart_works(qn_apart_shared *shared)
{
    return atomic_load(&shared->load_done) != atomic_load(&shared->load_given);
}

/* Wakes who said that it sleeps. */
static inline void qn_apart_wake(atomic_bool *sleeps, sem_t *semaphore)
{
    if (atomic_load(sleeps) && atomic_exchange(sleeps, false))
        sem_post(semaphore);
}

/* The child's life. */
void qn_apart_serve(void *apart);

#endif
