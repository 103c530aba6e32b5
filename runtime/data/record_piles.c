/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/record_piles.h"

#include <stdlib.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"
#include "runtime/base/stream.h"
#include "runtime/data/merge.h"

#define BLOCK_BYTES_MIN   512
#define BLOCK_BYTES_MAX   (16 << 10)
#define PILE_COUNT_MIN    128
#define PILE_COUNT_MAX    2048
#define PAIR_BYTES        16
#define POOL_BYTES_A_PILE ((uint64_t)64 << 10) /* the pool is at least as many times this as there are piles */
#define BLOCKS_A_PILE     16 /* and has room for so many blocks of each: what half-filled ones waste is a small part */
#define HUGE_BYTES_MIN    ((uint64_t)64 << 20)
#define MOVED_AT_ONCE     128
#define NO_BLOCK          UINT32_MAX

qn_layout qn_piles_layout(const qn_reducer *reducer, const quern_schema *schema)
{
    quern_schema packed = *schema;
    if (reducer->kind == QN_REDUCER_COUNT)
        packed.value = QUERN_NONE;
    return qn_layout_of(&packed, NULL, false);
}

static uint32_t floor_power(uint64_t number, uint32_t least, uint32_t most)
{
    uint32_t power = least;
    while (power < most && (uint64_t)power * 2 <= number)
        power *= 2;
    return power;
}

static void set_range(qn_piles *piles, uint64_t tag_first, uint64_t tag_last)
{
    uint64_t last = tag_last - tag_first;
    unsigned __int128 scaled = (unsigned __int128)piles->count << 64;
    piles->tag_first = tag_first;
    piles->tag_last = tag_last;
    piles->scale = last == UINT64_MAX ? piles->count : (uint64_t)(scaled / ((unsigned __int128)last + 1));
}

quern_status qn_piles_init(qn_piles *piles, const qn_reducer *reducer, const quern_schema *schema, uint64_t tag_first,
                           uint64_t tag_last, uint64_t pool_bytes, qn_error *error)
{
    *piles = (qn_piles){.reducer = reducer, .layout = qn_piles_layout(reducer, schema)};
    piles->is_pair = qn_type_is_word(schema->key) && piles->layout.value_bytes == 8 && !piles->layout.value_varies;
    piles->line_size = piles->is_pair ? QN_STREAM_LINE_BYTES : QN_PILES_RECORD_BYTES_MAX;
    uint32_t count = floor_power(pool_bytes / POOL_BYTES_A_PILE, PILE_COUNT_MIN, PILE_COUNT_MAX);
    piles->count = count;
    piles->block_bytes = floor_power(pool_bytes / count / BLOCKS_A_PILE, BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
    set_range(piles, tag_first, tag_last);
    uint64_t block_count_max = pool_bytes / piles->block_bytes + count;
    QN_ASSERT(block_count_max < NO_BLOCK);
    piles->block_count_max = (uint32_t)block_count_max;
    piles->free_block = NO_BLOCK;
    piles->piles = calloc(count, sizeof *piles->piles);
    piles->line_bytes = calloc(count, 1);
    piles->lines = qn_pages_reserve((size_t)count * piles->line_size, false);
    piles->memory = qn_pages_reserve(block_count_max * piles->block_bytes, pool_bytes >= HUGE_BYTES_MIN);
    piles->previous = qn_pages_reserve(block_count_max * sizeof *piles->previous, false);
    piles->block_used = qn_pages_reserve(block_count_max * sizeof *piles->block_used, false);
    if (reducer->kind == QN_REDUCER_USER)
        piles->aligned = malloc(QN_SLOTS_COMING_MAX * 8 * (size_t)reducer->value_words);
    bool complete = piles->piles && piles->line_bytes && piles->lines && piles->memory && piles->previous &&
                    piles->block_used && (reducer->kind != QN_REDUCER_USER || piles->aligned);
    if (!complete) {
        qn_piles_fini(piles);
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the records of a reduction");
    }
    for (uint32_t pile = 0; pile < count; pile++)
        piles->piles[pile].last_block = NO_BLOCK;
    return QUERN_OK;
}

void qn_piles_fini(qn_piles *piles)
{
    free(piles->piles);
    free(piles->line_bytes);
    free(piles->aligned);
    qn_pages_unreserve(piles->lines, (size_t)piles->count * piles->line_size);
    qn_pages_unreserve(piles->memory, (size_t)piles->block_count_max * piles->block_bytes);
    qn_pages_unreserve(piles->previous, piles->block_count_max * sizeof *piles->previous);
    qn_pages_unreserve(piles->block_used, piles->block_count_max * sizeof *piles->block_used);
    *piles = (qn_piles){0};
}

uint64_t qn_piles_get_bytes(const qn_piles *piles)
{
    return piles->used_block_count * (piles->block_bytes + sizeof *piles->previous + sizeof *piles->block_used) +
           (uint64_t)piles->count * (piles->line_size + 1 + sizeof *piles->piles);
}

/* ---- adding ---- */

static uint8_t *block_at(const qn_piles *piles, uint32_t block)
{
    return piles->memory + (size_t)block * piles->block_bytes;
}

/* A block for the end of a pile's chain. False: there are as many as there may be. */
static bool take_block(qn_piles *piles, qn_pile *pile)
{
    uint32_t block = piles->free_block;
    if (block != NO_BLOCK)
        piles->free_block = piles->previous[block];
    else if (piles->block_count < piles->block_count_max)
        block = piles->block_count++;
    else
        return false;
    if (pile->last_block != NO_BLOCK)
        piles->block_used[pile->last_block] = pile->used_bytes;
    piles->previous[block] = pile->last_block;
    piles->used_block_count++;
    pile->last_block = block;
    pile->used_bytes = 0;
    return true;
}

/* Writes what waits in the line of a pile to its last block, or the next. */
static bool write_line(qn_piles *piles, uint32_t number)
{
    qn_pile *pile = &piles->piles[number];
    uint32_t bytes = piles->line_bytes[number];
    if (QN_UNLIKELY(pile->last_block == NO_BLOCK || pile->used_bytes + bytes > piles->block_bytes))
        if (!take_block(piles, pile))
            return false;
    uint8_t *to = block_at(piles, pile->last_block) + pile->used_bytes;
    const uint8_t *line = piles->lines + (size_t)number * piles->line_size;
    if (piles->is_pair && QN_LIKELY(bytes == QN_STREAM_LINE_BYTES))
        qn_stream_line(to, line);
    else if (QN_LIKELY(bytes == QN_PILES_RECORD_BYTES_MAX))
        memcpy(to, line, QN_PILES_RECORD_BYTES_MAX);
    else
        memcpy(to, line, bytes);
    pile->used_bytes += bytes;
    pile->bytes += bytes;
    piles->line_bytes[number] = 0;
    return true;
}

/* Room for a record of a tag in the line of its pile. NULL: no memory. */
static inline __attribute__((always_inline)) uint8_t *take_line(qn_piles *piles, uint64_t tag, uint64_t bytes)
{
    uint32_t number = qn_pile_of(piles, tag);
    if (QN_UNLIKELY(piles->line_bytes[number] + bytes > QN_PILES_RECORD_BYTES_MAX) && !write_line(piles, number))
        return NULL;
    uint8_t *to = piles->lines + (size_t)number * QN_PILES_RECORD_BYTES_MAX + piles->line_bytes[number];
    piles->line_bytes[number] = (uint8_t)(piles->line_bytes[number] + bytes);
    return to;
}

static inline __attribute__((always_inline)) uint64_t tag_of_word(const void *key)
{
    return (qn_hash_short(qn_load_word(key), 0, 8) & ~UINT64_C(0xff)) | 9;
}

static uint64_t tag_of(quern_type key_type, const void *key, uint32_t bytes)
{
    return qn_type_is_word(key_type) ? tag_of_word(key) : qn_key_of(key, bytes).tag;
}

void qn_piles_hash(quern_type key_type, const quern_block *block, const qn_classified *classified, size_t from,
                   uint64_t *tags)
{
    const uint16_t *index = classified->index[QN_CLASS_SHORT];
    size_t count = classified->count[QN_CLASS_SHORT];
    if (qn_type_is_word(key_type)) {
        for (size_t n = 0; n < count; n++)
            tags[n] = tag_of_word(block->key[from + n]);
        return;
    }
    for (size_t n = 0; n < count; n++)
        tags[index[n] - from] = qn_key_of_short(block->key[index[n]], block->key_bytes[index[n]]).tag;
    index = classified->index[QN_CLASS_TINY];
    for (size_t n = 0; n < classified->count[QN_CLASS_TINY]; n++)
        tags[index[n] - from] = qn_tag_of_tiny(block->key[index[n]], block->key_bytes[index[n]]);
    index = classified->index[QN_CLASS_LONG];
    for (size_t n = 0; n < classified->count[QN_CLASS_LONG]; n++)
        tags[index[n] - from] = qn_key_of_long(block->key[index[n]], block->key_bytes[index[n]]).tag;
}

/* Lines of pairs: what stores of bytes cannot change. */
typedef struct pair_lines {
    uint64_t tag_first, scale;
    uint8_t *lines, *line_bytes;
} pair_lines;

static inline pair_lines pair_lines_of(const qn_piles *piles)
{
    QN_ASSERT(piles->is_pair);
    return (pair_lines){piles->tag_first, piles->scale, piles->lines, piles->line_bytes};
}

/* False: no memory. */
static inline __attribute__((always_inline)) bool add_pair(qn_piles *piles, pair_lines to, uint64_t tag,
                                                           const void *key, const void *value)
{
    uint32_t number = (uint32_t)(((unsigned __int128)(tag - to.tag_first) * to.scale) >> 64);
    uint32_t bytes = to.line_bytes[number];
    uint8_t *pair = to.lines + (size_t)number * QN_STREAM_LINE_BYTES + bytes;
    qn_stream_put(pair, qn_load_word(key), qn_load_word(value));
    to.line_bytes[number] = (uint8_t)(bytes + PAIR_BYTES);
    return QN_LIKELY(bytes + PAIR_BYTES < QN_STREAM_LINE_BYTES) || write_line(piles, number);
}

static bool add_pairs(qn_piles *piles, const quern_block *block, const uint16_t *index, size_t count,
                      const uint64_t *tags, size_t from)
{
    pair_lines lines = pair_lines_of(piles);
    for (size_t n = 0; n < count; n++)
        if (!add_pair(piles, lines, tags[index[n] - from], block->key[index[n]], block->value[index[n]]))
            return false;
    qn_stream_end();
    return true;
}

static bool add_records(qn_piles *piles, const quern_block *block, const uint16_t *index, size_t count,
                        const uint64_t *tags, size_t from)
{
    for (size_t n = 0; n < count; n++) {
        qn_packed record = qn_packed_of(&piles->layout, block, index[n]);
        uint64_t bytes = qn_packed_bytes(&piles->layout, record.key_bytes, record.value_bytes);
        uint8_t *to = take_line(piles, tags[index[n] - from], bytes);
        if (QN_UNLIKELY(!to))
            return false;
        qn_packed_encode(&piles->layout, &record, to);
    }
    return true;
}

bool qn_piles_add(qn_piles *piles, const quern_block *block, const uint16_t *index, size_t count, const uint64_t *tags,
                  size_t from)
{
    piles->record_count += count;
    if (piles->is_pair)
        return add_pairs(piles, block, index, count, tags, from);
    return add_records(piles, block, index, count, tags, from);
}

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the records of a reduction");
}

static quern_status no_records(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a shuffled record does not fit its block");
}

static quern_status not_ours(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a shuffled record is another rank's");
}

static quern_status add_packed_pairs(qn_piles *piles, const uint8_t *records, uint64_t record_count, qn_error *error)
{
    uint64_t tag_span = piles->tag_last - piles->tag_first;
    pair_lines lines = pair_lines_of(piles);
    const uint8_t *end = records + PAIR_BYTES * record_count;
    for (const uint8_t *record = records; record < end; record += PAIR_BYTES) {
        uint64_t tag = tag_of_word(record);
        if (QN_UNLIKELY(tag - lines.tag_first > tag_span))
            return not_ours(error);
        if (!add_pair(piles, lines, tag, record, record + 8))
            return no_memory(error);
    }
    qn_stream_end();
    return QUERN_OK;
}

quern_status qn_piles_add_packed(qn_piles *piles, const uint8_t *records, uint64_t bytes, uint64_t record_count,
                                 qn_error *error)
{
    piles->record_count += record_count;
    if (piles->is_pair && bytes != PAIR_BYTES * record_count)
        return no_records(error);
    if (piles->is_pair)
        return add_packed_pairs(piles, records, record_count, error);
    for (uint64_t at = 0, left = record_count; left > 0; left--) {
        qn_packed record;
        uint64_t record_bytes = qn_packed_decode(&piles->layout, records + at, bytes - at, &record);
        if (record_bytes == 0 || record_bytes > QN_PILES_RECORD_BYTES_MAX)
            return no_records(error);
        uint64_t tag = tag_of(piles->layout.key_type, record.key, record.key_bytes);
        if (tag < piles->tag_first || tag > piles->tag_last)
            return not_ours(error);
        uint8_t *to = take_line(piles, tag, record_bytes);
        if (!to)
            return no_memory(error);
        memcpy(to, records + at, record_bytes);
        at += record_bytes;
    }
    return QUERN_OK;
}

/* ---- going through a pile ---- */

static void enter_block(qn_piles_scan *scan, uint32_t block)
{
    bool is_last = block == scan->pile->last_block;
    scan->block = block;
    scan->next = scan->end = NULL;
    if (block == NO_BLOCK)
        return;
    scan->next = block_at(scan->piles, block);
    scan->end = scan->next + (is_last ? scan->pile->used_bytes : scan->piles->block_used[block]);
}

void qn_piles_scan_begin(qn_piles_scan *scan, qn_piles *piles, uint32_t pile)
{
    scan->piles = piles;
    scan->pile = &piles->piles[pile];
    if (piles->line_bytes[pile] > 0)
        QN_ASSERT(write_line(piles, pile)); /* each pile has a block more than the pool */
    enter_block(scan, scan->pile->last_block);
}

static size_t take_pairs(qn_piles_scan *scan)
{
    size_t left = (size_t)(scan->end - scan->next) / 16;
    size_t count = left < QN_SLOTS_COMING_MAX ? left : QN_SLOTS_COMING_MAX;
    for (size_t i = 0; i < count; i++) {
        scan->key[i] = scan->next + 16 * i;
        scan->value[i] = scan->next + 16 * i + 8;
        scan->key_bytes[i] = scan->value_bytes[i] = 8;
    }
    scan->next += 16 * count;
    return count;
}

static size_t take_records(qn_piles_scan *scan)
{
    size_t count = 0;
    for (; count < QN_SLOTS_COMING_MAX && scan->next < scan->end; count++) {
        qn_packed record;
        uint64_t bytes =
            qn_packed_decode(&scan->piles->layout, scan->next, (uint64_t)(scan->end - scan->next), &record);
        QN_ASSERT(bytes > 0);
        scan->key[count] = record.key;
        scan->value[count] = record.value;
        scan->key_bytes[count] = record.key_bytes;
        scan->value_bytes[count] = record.value_bytes;
        scan->next += bytes;
    }
    return count;
}

/* The user's reductions get values that are aligned. */
static void align_values(qn_piles_scan *scan, size_t count)
{
    uint32_t words = scan->piles->reducer->value_words;
    memset(scan->piles->aligned, 0, count * 8 * words);
    for (size_t i = 0; i < count; i++) {
        uint64_t *aligned = scan->piles->aligned + i * words;
        memcpy(aligned, scan->value[i], scan->value_bytes[i]);
        scan->value[i] = aligned;
    }
}

quern_block qn_piles_scan_take(qn_piles_scan *scan)
{
    while (scan->next == scan->end && scan->block != NO_BLOCK)
        enter_block(scan, scan->piles->previous[scan->block]);
    size_t count = scan->piles->is_pair ? take_pairs(scan) : take_records(scan);
    if (scan->piles->aligned)
        align_values(scan, count);
    bool has_values = scan->piles->layout.value_bytes > 0 || scan->piles->layout.value_varies;
    return (quern_block){.count = count,
                         .key = scan->key,
                         .key_bytes = scan->key_bytes,
                         .value = has_values ? scan->value : NULL,
                         .value_bytes = has_values ? scan->value_bytes : NULL};
}

void qn_piles_drop(qn_piles *piles, uint32_t number, uint64_t record_count)
{
    qn_pile *pile = &piles->piles[number];
    for (uint32_t block = pile->last_block; block != NO_BLOCK;) {
        uint32_t previous = piles->previous[block];
        qn_pages_release(block_at(piles, block), piles->block_bytes);
        piles->previous[block] = piles->free_block;
        piles->free_block = block;
        piles->used_block_count--;
        block = previous;
    }
    *pile = (qn_pile){.last_block = NO_BLOCK};
    piles->line_bytes[number] = 0;
    piles->record_count -= record_count;
}

void qn_piles_clear(qn_piles *piles)
{
    for (uint32_t number = 0; number < piles->count; number++)
        piles->piles[number] = (qn_pile){.last_block = NO_BLOCK};
    memset(piles->line_bytes, 0, piles->count);
    qn_pages_release(piles->memory, (size_t)piles->block_count * piles->block_bytes);
    piles->block_count = 0;
    piles->free_block = NO_BLOCK;
    piles->used_block_count = piles->record_count = 0;
}

/* ---- combining ---- */

quern_status qn_piles_reader_open(qn_piles_reader *reader, qn_piles *piles, qn_table *other, uint64_t bytes_max,
                                  qn_error *error)
{
    *reader = (qn_piles_reader){0};
    quern_status status =
        qn_table_init(&reader->table, piles->reducer, piles->tag_first, piles->tag_last, bytes_max, error);
    if (status != QUERN_OK)
        return status;
    reader->piles = piles;
    reader->other = other;
    return QUERN_OK;
}

void qn_piles_reader_close(qn_piles_reader *reader)
{
    if (reader->piles)
        qn_table_fini(&reader->table);
    *reader = (qn_piles_reader){0};
}

/* The first tag of a pile: the least t with (t - tag_first) * scale >= pile * 2^64. */
static uint64_t first_tag_of(const qn_piles *piles, uint32_t pile)
{
    unsigned __int128 edge = (unsigned __int128)pile << 64;
    return piles->tag_first + (uint64_t)((edge + piles->scale - 1) / piles->scale);
}

static quern_status failed(const qn_table *table, qn_table_result result, qn_error *error)
{
    if (result == QN_TABLE_FAILED)
        return qn_reducer_failed(table->reducer, &table->failed_key, error);
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the table of a reduction");
}

/* The rows of another table with these tags. */
static qn_table_result insert_rows(qn_table *table, qn_table *other, uint64_t tag_first, uint64_t tag_last,
                                   uint64_t *count)
{
    bool by_address = qn_reducer_by_address(table->reducer);
    const uint64_t *slots[MOVED_AT_ONCE + 1];
    qn_entry entries[MOVED_AT_ONCE];
    uint64_t wide[MOVED_AT_ONCE][QN_TABLE_NARROW_WORDS];
    qn_table_result result = QN_TABLE_OK;
    qn_table_scan scan = qn_table_scan_of(other, tag_first, tag_last);
    for (size_t taken, done; result == QN_TABLE_OK; *count += done) {
        taken = qn_table_scan_take(&scan, slots, MOVED_AT_ONCE);
        if (taken == 0)
            break;
        for (size_t i = 0; i < taken; i++) {
            const uint64_t *value = qn_table_scan_value(&scan, slots[i], wide[i]);
            entries[i] = (qn_entry){{.tag = slots[i][0]}, by_address ? (uint64_t)(uintptr_t)value : *value};
            if (!scan.tiny_left)
                entries[i].key = (qn_key){slots[i][0], slots[i][1], slots[i][2]};
        }
        result = qn_table_insert(table, entries, taken, table->wide.reserved_bytes, &done);
    }
    return result;
}

static qn_table_result insert_pile(qn_table *table, qn_piles *piles, uint32_t pile, uint64_t *count)
{
    qn_piles_scan scan;
    qn_classified classified;
    qn_piles_scan_begin(&scan, piles, pile);
    for (;;) {
        quern_block block = qn_piles_scan_take(&scan);
        if (block.count == 0)
            return QN_TABLE_OK;
        qn_table_classify(&block, piles->layout.key_type, 0, block.count, &classified);
        size_t tiny = classified.count[QN_CLASS_TINY];
        qn_table_result result =
            qn_table_make_room(table, tiny, block.count - tiny, classified.long_bytes, table->wide.reserved_bytes);
        if (result == QN_TABLE_OK)
            result = qn_table_insert_block(table, &block, piles->layout.key_type, &classified);
        if (result != QN_TABLE_OK)
            return result;
        *count += block.count;
    }
}

quern_status qn_piles_reader_next(qn_piles_reader *reader, qn_table **table_out, qn_error *error)
{
    qn_piles *piles = reader->piles;
    uint64_t count = 0;
    reader->row_count = 0;
    *table_out = NULL;
    if (reader->next == piles->count)
        return QUERN_OK;
    uint32_t pile = reader->next++;
    uint64_t first = first_tag_of(piles, pile);
    uint64_t last = pile + 1 == piles->count ? piles->tag_last : first_tag_of(piles, pile + 1) - 1;
    qn_table_restart(&reader->table, first, last);
    qn_table_result result = insert_rows(&reader->table, reader->other, first, last, &reader->row_count);
    if (result == QN_TABLE_OK)
        result = insert_pile(&reader->table, piles, pile, &count);
    if (result != QN_TABLE_OK)
        return failed(&reader->table, result, error);
    reader->merged_count += reader->row_count + count - qn_table_get_count(&reader->table);
    *table_out = &reader->table;
    return QUERN_OK;
}
