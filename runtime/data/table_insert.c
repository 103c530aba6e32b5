/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/assert.h"
#include "runtime/data/batch.h"
#include "runtime/data/table.h"

#define GROUP_COUNT 128 /* keys whose slots are fetched before the first is looked at */

/* Without a branch on the lengths, which nobody can predict. */
static void classify_bytes(const uint32_t *key_bytes, size_t count, qn_classified *out)
{
    size_t tiny = 0, shorts = 0, longs = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bytes = key_bytes[i];
        out->index[QN_CLASS_TINY][tiny] = (uint16_t)i;
        out->index[QN_CLASS_SHORT][shorts] = (uint16_t)i;
        out->index[QN_CLASS_LONG][longs] = (uint16_t)i;
        tiny += bytes <= QN_KEY_TINY_BYTES;
        longs += bytes > QN_KEY_SHORT_BYTES;
        shorts = i + 1 - tiny - longs;
    }
    out->count[QN_CLASS_TINY] = tiny;
    out->count[QN_CLASS_SHORT] = shorts;
    out->count[QN_CLASS_LONG] = longs;
}

void qn_table_classify(const quern_block *block, quern_type key_type, size_t from, size_t count, qn_classified *out)
{
    QN_ASSERT(count <= QN_SLOTS_COMING_MAX);
    out->long_bytes = 0;
    if (!qn_type_is_word(key_type)) {
        classify_bytes(block->key_bytes + from, count, out);
    } else {
        out->count[QN_CLASS_TINY] = out->count[QN_CLASS_LONG] = 0;
        out->count[QN_CLASS_SHORT] = count;
        for (size_t i = 0; i < count; i++)
            out->index[QN_CLASS_SHORT][i] = (uint16_t)i;
    }
    for (int class = 0; class < QN_CLASS_COUNT && from > 0; class ++)
        for (size_t i = 0; i < out->count[class]; i++)
            out->index[class][i] += (uint16_t)from;
    for (size_t i = 0; i < out->count[QN_CLASS_LONG]; i++)
        out->long_bytes += block->key_bytes[out->index[QN_CLASS_LONG][i]];
}

/* Keys of one class on their way, and the slots where they are looked for. Of an array that a class or reducer has no use for
 * nothing is written nor read. */
typedef struct incoming {
    uint64_t tag[GROUP_COUNT];
    uint64_t *slot[GROUP_COUNT];
    uint64_t k0[GROUP_COUNT], k1[GROUP_COUNT]; /* not of tiny keys */
    uint64_t value[GROUP_COUNT];
} incoming;

static inline __attribute__((always_inline)) size_t stride_of(qn_key_class class, uint32_t value_words)
{
    return 8 * ((class == QN_CLASS_TINY ? 1 : 3) + (size_t)value_words);
}

static inline __attribute__((always_inline)) uint64_t *next_slot(const uint64_t *slot, size_t stride)
{
    return (uint64_t *)((uint8_t *)(uintptr_t)slot + stride);
}

/* The slot with this tag, probing from its place, or the empty one where it belongs. Nearly all keys are in the first slot or the
 * second: which of them is decided without a branch. */
static inline __attribute__((always_inline)) uint64_t *find_tag(qn_slots *slots, uint64_t *place, uint64_t tag,
                                                                size_t stride)
{
    uint64_t *slot = place;
    while (*slot != tag && *slot != 0) {
        slot += stride / 8;
        if (QN_UNLIKELY(slot == place + 8 * (stride / 8)))
            return qn_slots_probe(slots, tag);
    }
    return slot;
}

/* Whether a slot holds another key. One that find_tag() found has the tag, or nothing. */
static inline __attribute__((always_inline)) bool is_other(const uint64_t *slot, const qn_key *key, qn_key_class class)
{
    if (class == QN_CLASS_TINY)
        return false;
    if (class == QN_CLASS_SHORT)
        return (*slot != 0) & (((slot[0] ^ key->tag) | (slot[1] ^ key->k0) | (slot[2] ^ key->k1)) != 0);
    return *slot != 0 && (slot[0] != key->tag || slot[2] != key->k1 ||
                          !qn_same_long((const void *)(uintptr_t)slot[1], (const void *)(uintptr_t)key->k0, key->k1));
}

static qn_table_result fail(qn_table *table, const qn_key *key)
{
    table->failed_key = QN_TAG_IS_TINY(key->tag) ? qn_key_of_tag(key->tag) : *key;
    return QN_TABLE_FAILED;
}

/* The value of record `number` into an accumulator, which is zeros if it is fresh. */
static bool accumulate(const qn_reducer *reducer, uint64_t *accumulator, bool fresh, const quern_block *block,
                       uint64_t number)
{
    quern_span value = {"", 0};
    if (block->value)
        value = (quern_span){block->value[number], block->value_bytes[number]};
    return (!fresh || !reducer->init || reducer->init(accumulator, reducer->user) == 0) &&
           reducer->accumulate(accumulator, value, reducer->user) == 0;
}

/* Adds to a narrow sum. */
static inline __attribute__((always_inline)) qn_table_result add_narrow(qn_table *table, uint64_t *slot, uint64_t low,
                                                                        uint64_t carry, qn_key_class class)
{
    int64_t *sum = (int64_t *)slot + (class == QN_CLASS_TINY ? 1 : 3);
    if (__builtin_add_overflow(*sum, (int64_t)low, sum))
        carry += (int64_t)low < 0 ? UINT64_MAX : 1;
    if (QN_LIKELY(carry == 0))
        return QN_TABLE_OK;
    return qn_table_add_carry(table, slot, class == QN_CLASS_TINY, carry) ? QN_TABLE_OK : QN_TABLE_NO_MEMORY;
}

/* Combines a key's value into its slot; an empty slot holds zeros and becomes the key's. `in`: the value, or its words' address; of an
 * aggregation of a block the number of the record. */
static inline __attribute__((always_inline)) qn_table_result put_value(qn_table *table, uint64_t *slot,
                                                                       const qn_key *key, uint64_t in,
                                                                       const quern_block *block, qn_key_class class,
                                                                       qn_reducer_kind kind)
{
    uint64_t *value = slot + (class == QN_CLASS_TINY ? 1 : 3);
    bool fresh = *slot == 0;
    uint64_t k0 = key->k0;
    if (class == QN_CLASS_LONG) {
        k0 = slot[1];
        if (fresh) {
            void *copy = qn_arena_take_packed(&table->long_keys, key->k1);
            if (QN_UNLIKELY(!copy))
                return QN_TABLE_NO_MEMORY;
            qn_copy_long(copy, (const void *)(uintptr_t)key->k0, key->k1);
            k0 = (uint64_t)(uintptr_t)copy;
        }
    }
    slot[0] = key->tag;
    if (class != QN_CLASS_TINY) {
        slot[1] = k0;
        slot[2] = key->k1;
    }
    if (kind == QN_REDUCER_COUNT) {
        *value += in;
        return QN_TABLE_OK;
    }
    if (kind == QN_REDUCER_SUM_I64) {
        const uint64_t *words = (const uint64_t *)(uintptr_t)in;
        return block ? add_narrow(table, slot, in, 0, class)
                     : add_narrow(table, slot, words[0], words[1] - (uint64_t)((int64_t)words[0] >> 63), class);
    }
    if (qn_reducer_is_wide(kind)) {
        bool added =
            block ? qn_reducer_add(kind, value, in) : qn_reducer_merge(kind, value, (const uint64_t *)(uintptr_t)in);
        return QN_LIKELY(added) ? QN_TABLE_OK : fail(table, key);
    }
    if (kind == QN_REDUCER_AGGREGATE)
        return accumulate(table->reducer, value, fresh, block, in) ? QN_TABLE_OK : fail(table, key);
    if (kind == QN_REDUCER_USER) {
        const uint64_t *words = (const uint64_t *)(uintptr_t)in;
        if (fresh)
            memcpy(value, words, 8 * (size_t)table->reducer->value_words);
        return fresh || qn_reducer_apply(table->reducer, value, words) ? QN_TABLE_OK : fail(table, key);
    }
    if (fresh)
        *value = in;
    return fresh || qn_reducer_apply_word(kind, value, in) ? QN_TABLE_OK : fail(table, key);
}

/* Combines keys of one class whose slots were fetched. block: of which they are records; NULL: what comes was combined before. ones: all
 * values are 1. */
static inline __attribute__((always_inline)) qn_table_result put_group(qn_table *table, incoming *group, size_t count,
                                                                       const quern_block *block, qn_key_class class,
                                                                       qn_reducer_kind kind, uint32_t value_words,
                                                                       bool ones)
{
    qn_slots *slots = class == QN_CLASS_TINY ? &table->tiny : &table->wide;
    size_t stride = stride_of(class, value_words);
    if (class == QN_CLASS_LONG)
        for (size_t i = 0; i < count; i++) {
            /* The bytes of its probable twin. An empty slot has none, and its 0 fetches nothing. */
            group->slot[i] = find_tag(slots, group->slot[i], group->tag[i], stride);
            qn_key_fetch(group->slot[i][1], group->k1[i]);
        }
    qn_table_result result = QN_TABLE_OK;
    uint64_t fresh_count = 0;
    for (size_t i = 0; i < count && QN_LIKELY(result == QN_TABLE_OK); i++) {
        qn_key key = {.tag = group->tag[i]};
        if (class != QN_CLASS_TINY) {
            key.k0 = group->k0[i];
            key.k1 = group->k1[i];
        }
        uint64_t *slot = find_tag(slots, group->slot[i], key.tag, stride);
        while (QN_UNLIKELY(is_other(slot, &key, class)))
            slot = next_slot(slot, stride); /* of the same hash */
        fresh_count += *slot == 0;
        result = put_value(table, slot, &key, ones ? 1 : group->value[i], block, class, kind);
    }
    slots->used_count += fresh_count;
    return result;
}

static inline __attribute__((always_inline)) qn_key key_of_record(const quern_block *block, size_t i, quern_type type,
                                                                  qn_key_class class)
{
    if (type != QUERN_BYTES) {
        uint64_t number = qn_load_word(block->key[i]);
        return (qn_key){(qn_hash_short(number, 0, 8) & ~UINT64_C(0xff)) | 9, number, 0};
    }
    if (class == QN_CLASS_TINY)
        return (qn_key){.tag = qn_tag_of_tiny(block->key[i], block->key_bytes[i])};
    return class == QN_CLASS_SHORT ? qn_key_of_short(block->key[i], block->key_bytes[i])
                                   : qn_key_of_long(block->key[i], block->key_bytes[i]);
}

static inline __attribute__((always_inline)) uint64_t value_of_record(const quern_block *block, size_t i,
                                                                      qn_reducer_kind kind)
{
    if (kind == QN_REDUCER_AGGREGATE)
        return i;
    return kind == QN_REDUCER_USER ? (uint64_t)(uintptr_t)block->value[i] : qn_load_word(block->value[i]);
}

/* Where a key is looked for, which is on its way into the cache. */
static inline __attribute__((always_inline)) uint64_t *fetch_slot(const qn_slots *slots, uint64_t tag, size_t stride)
{
    uint64_t *slot = (uint64_t *)(slots->memory + qn_slots_place(slots, tag) * stride);
    __builtin_prefetch(slot, 1);
    if (stride > 4 * sizeof *slot) /* most of them are in two lines */
        __builtin_prefetch((char *)slot + stride - 1, 1);
    return slot;
}

/* Records of one class: hashed in groups, whose slots are fetched meanwhile. */
static inline __attribute__((always_inline)) qn_table_result insert_records(qn_table *table, const quern_block *block,
                                                                            const uint16_t *index, size_t count,
                                                                            quern_type type, qn_key_class class,
                                                                            qn_reducer_kind kind, uint32_t value_words)
{
    qn_slots slots = class == QN_CLASS_TINY ? table->tiny : table->wide; /* a copy that no store can change */
    qn_table_result result = QN_TABLE_OK;
    for (size_t at = 0; at < count && result == QN_TABLE_OK; at += GROUP_COUNT) {
        incoming group;
        size_t group_count = count - at < GROUP_COUNT ? count - at : GROUP_COUNT;
        for (size_t n = 0; n < group_count; n++) {
            qn_key key = key_of_record(block, index[at + n], type, class);
            group.tag[n] = key.tag;
            if (class != QN_CLASS_TINY) {
                group.k0[n] = key.k0;
                group.k1[n] = key.k1;
            }
            if (kind != QN_REDUCER_COUNT)
                group.value[n] = value_of_record(block, index[at + n], kind);
            group.slot[n] = fetch_slot(&slots, key.tag, stride_of(class, value_words));
        }
        result = put_group(table, &group, group_count, block, class, kind, value_words, kind == QN_REDUCER_COUNT);
    }
    return result;
}

static inline __attribute__((always_inline)) qn_table_result insert_classes(qn_table *table, const quern_block *block,
                                                                            const qn_classified *classified,
                                                                            quern_type type, qn_reducer_kind kind,
                                                                            uint32_t value_words)
{
    const size_t *count = classified->count;
    qn_table_result result = insert_records(table, block, classified->index[QN_CLASS_SHORT], count[QN_CLASS_SHORT],
                                            type, QN_CLASS_SHORT, kind, value_words);
    if (result == QN_TABLE_OK && type == QUERN_BYTES)
        result = insert_records(table, block, classified->index[QN_CLASS_LONG], count[QN_CLASS_LONG], QUERN_BYTES,
                                QN_CLASS_LONG, kind, value_words);
    if (result == QN_TABLE_OK && type == QUERN_BYTES)
        result = insert_records(table, block, classified->index[QN_CLASS_TINY], count[QN_CLASS_TINY], QUERN_BYTES,
                                QN_CLASS_TINY, kind, value_words);
    return result;
}

/* The usual reducers have loops of their own. */
static qn_table_result insert_counted(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, QN_REDUCER_COUNT, 1);
}

static qn_table_result insert_words(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, table->reducer->kind, 1);
}

static qn_table_result insert_numbers(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    if (table->reducer->kind == QN_REDUCER_SUM_I64)
        return insert_classes(table, block, classified, QUERN_U64, QN_REDUCER_SUM_I64, 1);
    return insert_classes(table, block, classified, QUERN_U64, table->reducer->kind, table->reducer->value_words);
}

static qn_table_result insert_user(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, QN_REDUCER_USER, table->reducer->value_words);
}

static qn_table_result insert_signed(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, QN_REDUCER_SUM_I64, 1);
}

static qn_table_result insert_means(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, table->reducer->kind, 3);
}

static qn_table_result insert_binned(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, QN_REDUCER_BINNED, QN_BINNED_SUM_WORDS);
}

static qn_table_result insert_accumulated(qn_table *table, const quern_block *block, const qn_classified *classified)
{
    return insert_classes(table, block, classified, QUERN_BYTES, QN_REDUCER_AGGREGATE, table->reducer->value_words);
}

static qn_table_result insert_chosen(qn_table *table, const quern_block *block, quern_type key_type,
                                     const qn_classified *classified)
{
    if (qn_type_is_word(key_type))
        return insert_numbers(table, block, classified);
    switch (table->reducer->kind) {
    case QN_REDUCER_COUNT:
        return insert_counted(table, block, classified);
    case QN_REDUCER_SUM_I64:
        return insert_signed(table, block, classified);
    case QN_REDUCER_MEAN_I64:
    case QN_REDUCER_MEAN_U64:
        return insert_means(table, block, classified);
    case QN_REDUCER_BINNED:
        return insert_binned(table, block, classified);
    case QN_REDUCER_USER:
        return insert_user(table, block, classified);
    case QN_REDUCER_AGGREGATE:
        return insert_accumulated(table, block, classified);
    default:
        return insert_words(table, block, classified);
    }
}

/* Values that have to be loaded are, all of them first: the loops above know words only. */
static qn_table_result insert_loaded(qn_table *table, const quern_block *block, quern_type key_type,
                                     const qn_classified *classified)
{
    uint64_t words[QN_BATCH_COUNT_MAX];
    const void *value[QN_BATCH_COUNT_MAX];
    quern_block loaded = *block;
    QN_ASSERT(block->count <= QN_BATCH_COUNT_MAX);
    for (int class = 0; class < QN_CLASS_COUNT; class ++) {
        for (size_t n = 0; n < classified->count[class]; n++) {
            size_t i = classified->index[class][n];
            words[i] = qn_reducer_load(table->reducer, block->value[i]);
            value[i] = &words[i];
        }
    }
    loaded.value = value;
    return insert_chosen(table, &loaded, key_type, classified);
}

qn_table_result qn_table_insert_block(qn_table *table, const quern_block *block, quern_type key_type,
                                      const qn_classified *classified)
{
    if (QN_UNLIKELY(table->reducer->load != QUERN_NONE))
        return insert_loaded(table, block, key_type, classified);
    return insert_chosen(table, block, key_type, classified);
}

static inline __attribute__((always_inline)) qn_key_class class_of(uint64_t tag)
{
    if (QN_TAG_IS_TINY(tag))
        return QN_CLASS_TINY;
    return QN_TAG_CODE(tag) == QN_TAG_LONG ? QN_CLASS_LONG : QN_CLASS_SHORT;
}

/* Entries of any class, up to GROUP_COUNT, for which room was made. */
static inline __attribute__((always_inline)) qn_table_result
insert_group(qn_table *table, const qn_entry *entries, size_t count, qn_reducer_kind kind, uint32_t value_words)
{
    incoming groups[QN_CLASS_COUNT];
    size_t counts[QN_CLASS_COUNT] = {0};
    for (size_t i = 0; i < count; i++) {
        const qn_key *key = &entries[i].key;
        qn_key_class class = class_of(key->tag);
        const qn_slots *slots = class == QN_CLASS_TINY ? &table->tiny : &table->wide;
        incoming *group = &groups[class];
        size_t n = counts[class]++;
        group->tag[n] = key->tag;
        group->k0[n] = key->k0;
        group->k1[n] = key->k1;
        group->value[n] = entries[i].value;
        group->slot[n] = fetch_slot(slots, key->tag, slots->stride);
    }
    qn_table_result result =
        put_group(table, &groups[QN_CLASS_TINY], counts[QN_CLASS_TINY], NULL, QN_CLASS_TINY, kind, value_words, false);
    if (result == QN_TABLE_OK)
        result = put_group(table, &groups[QN_CLASS_SHORT], counts[QN_CLASS_SHORT], NULL, QN_CLASS_SHORT, kind,
                           value_words, false);
    if (result == QN_TABLE_OK)
        result = put_group(table, &groups[QN_CLASS_LONG], counts[QN_CLASS_LONG], NULL, QN_CLASS_LONG, kind, value_words,
                           false);
    return result;
}

static uint64_t long_bytes_of(const qn_entry *entries, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += QN_TAG_CODE(entries[i].key.tag) == QN_TAG_LONG ? entries[i].key.k1 : 0;
    return bytes;
}

/* How many of the next entries surely have room: a group, or one, or none. */
static size_t admit(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                    qn_table_result *result_out)
{
    size_t group = count < GROUP_COUNT ? count : GROUP_COUNT;
    if (qn_table_get_count(table) == 0 && !qn_table_fits(table, long_bytes_of(entries, group), bytes_max))
        group = 1;
    *result_out = qn_table_make_room(table, group, group, long_bytes_of(entries, group), bytes_max);
    if (QN_LIKELY(*result_out == QN_TABLE_OK))
        return group;
    if (*result_out == QN_TABLE_FULL && group > 1)
        return admit(table, entries, 1, bytes_max, result_out);
    return 0;
}

qn_table_result qn_table_insert(qn_table *table, const qn_entry *entries, size_t count, size_t bytes_max,
                                size_t *done_out)
{
    qn_table_result result = QN_TABLE_OK;
    size_t done = 0;
    while (done < count) {
        size_t group = admit(table, entries + done, count - done, bytes_max, &result);
        if (group == 0)
            break;
        if (table->reducer->kind == QN_REDUCER_COUNT)
            result = insert_group(table, entries + done, group, QN_REDUCER_COUNT, 1);
        else if (table->reducer->kind == QN_REDUCER_SUM_I64)
            result = insert_group(table, entries + done, group, QN_REDUCER_SUM_I64, 1);
        else if (qn_reducer_by_address(table->reducer))
            result = insert_group(table, entries + done, group, QN_REDUCER_USER, table->reducer->value_words);
        else
            result = insert_group(table, entries + done, group, table->reducer->kind, 1);
        if (result != QN_TABLE_OK)
            break;
        done += group;
    }
    *done_out = done;
    return result;
}
