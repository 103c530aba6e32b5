/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/shuffle/splitters.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/arena.h"
#include "runtime/base/assert.h"

#define EQUAL_PARTS UINT32_C(65536)
#define RARE_PART   8    /* a key of less than this part of a rank's share is not divided in a join */
#define HOT_PART    4    /* a key of this part of a rank's share and more is hot */
#define NEARLY      1.02 /* even enough */
#define LOAD_STEPS  30
#define GOLDEN_TURN UINT32_C(40503) /* of 2^16: turns spread evenly over all parts, however few there are */

typedef struct sampled {
    qn_packed record;
    double weight;             /* records that it stands for */
    double weight_before;      /* of those in front of it */
    size_t key_first, key_end; /* of a join: the samples of its key */
} sampled;

static quern_status corrupt(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a sample of another rank does not fit its block");
}

/* How many records a sample holds; *fits_out false: what is in it is no records. */
static uint64_t count_records(const qn_layout *layout, const qn_rank_sample *sample, bool *fits_out)
{
    uint64_t count = 0;
    qn_packed record;
    *fits_out = true;
    for (uint64_t at = 0; at < sample->bytes; count++) {
        uint64_t bytes = qn_packed_decode(layout, sample->packed + at, sample->bytes - at, &record);
        if (bytes == 0) {
            *fits_out = false;
            break;
        }
        at += bytes;
    }
    return count;
}

static quern_status decode_samples(const qn_layout *layout, const qn_rank_sample *samples, uint32_t size,
                                   sampled **all_out, size_t *count_out, qn_error *error)
{
    uint64_t count = 0;
    for (uint32_t rank = 0; rank < size; rank++) {
        bool fits;
        count += count_records(layout, &samples[rank], &fits);
        if (!fits)
            return corrupt(error);
    }
    sampled *all = malloc((count + 1) * sizeof *all);
    if (!all)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the samples of all ranks");
    size_t filled = 0;
    for (uint32_t rank = 0; rank < size; rank++) {
        size_t first = filled;
        for (uint64_t at = 0; at < samples[rank].bytes;)
            at += qn_packed_decode(layout, samples[rank].packed + at, samples[rank].bytes - at, &all[filled++].record);
        for (size_t i = first; i < filled; i++)
            all[i].weight = (double)samples[rank].record_count / (double)(filled - first);
    }
    *all_out = all;
    *count_out = filled;
    return QUERN_OK;
}

static int compare_sampled(const void *left, const void *right, void *collation)
{
    return qn_collation_compare(collation, &((const sampled *)left)->record, &((const sampled *)right)->record);
}

/* Of samples [first, end), the first that does not come before `of`, or, behind, the first that comes behind it. */
static size_t find_border(const qn_collation *collation, const sampled *all, size_t first, size_t end, size_t of,
                          bool by_key, bool behind)
{
    int (*compare)(const qn_collation *, const qn_packed *, const qn_packed *) =
        by_key ? qn_collation_compare_keys : qn_collation_compare;
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        int result = compare(collation, &all[middle].record, &all[of].record);
        if (result < 0 || (behind && result == 0))
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* The run of samples around `at` that are equal to it, as records or as keys: from *first to *end. By bisection: all samples may be
 * equal, and there may be thousands of cuts. */
static void find_run(const qn_collation *collation, const sampled *all, size_t count, size_t at, bool by_key,
                     size_t *first, size_t *end)
{
    *first = find_border(collation, all, 0, at, at, by_key, false);
    *end = find_border(collation, all, at, count, at, by_key, true);
}

static double weight_of(const sampled *all, size_t first, size_t end)
{
    return all[end].weight_before - all[first].weight_before;
}

/* ---- where cuts are ---- */

typedef struct place {
    size_t at;     /* a sample */
    double before; /* how much is in front of the cut */
    double copies; /* of inner records, for the rank behind it */
    bool whole_key;
} place;

static place place_between_keys(const sampled *all, size_t count, size_t first, size_t end, double target)
{
    bool belongs_before = target - all[first].weight_before > weight_of(all, first, end) / 2 && end < count;
    size_t at = belongs_before ? end : first;
    return (place){.at = at, .before = all[at].weight_before, .whole_key = true};
}

/* The first outer record among samples of one key. */
static size_t find_outer(const sampled *all, size_t first, size_t end)
{
    while (first < end) {
        size_t middle = first + (end - first) / 2;
        if (all[middle].record.side == QN_SIDE_INNER)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* Of a join. A key of less than a part of the share is not worth copies of its inner records, and one without outer ones has nothing to divide.
 * A cut that would be among the inner records is in front of them, though they may be many: the next one may be between the outer ones. */
static place place_between_outer(const sampled *all, size_t count, size_t at, double target, double share)
{
    size_t first = all[at].key_first, end = all[at].key_end, outer = find_outer(all, first, end);
    if (weight_of(all, first, end) < share / RARE_PART || outer == end)
        return place_between_keys(all, count, first, end, target);
    if (at < outer)
        return (place){.at = first, .before = all[first].weight_before, .whole_key = true};
    return (place){.at = at, .before = target, .copies = weight_of(all, first, outer)};
}

/* The cut nearest to where sample `at` is `target` records behind the begin. */
static place find_place(const qn_collation *collation, qn_division division, const sampled *all, size_t count,
                        size_t at, double target, double share)
{
    size_t first, end;
    if (division == QN_DIVIDE_OUTER)
        return place_between_outer(all, count, at, target, share);
    if (division == QN_DIVIDE_RECORDS)
        return (place){.at = at, .before = target};
    find_run(collation, all, count, at, true, &first, &end);
    return place_between_keys(all, count, first, end, target);
}

static qn_cut make_cut(const qn_collation *collation, const sampled *all, size_t count, const place *where)
{
    size_t first, end;
    qn_cut cut = {.record = all[where->at].record, .whole_key = where->whole_key};
    cut.prefix = qn_collation_prefix(collation, &cut.record);
    if (cut.whole_key)
        return cut;
    find_run(collation, all, count, where->at, false, &first, &end);
    double run_weight = weight_of(all, first, end), into_run = where->before - all[first].weight_before;
    if (run_weight > 0)
        cut.before = (uint32_t)((double)EQUAL_PARTS * (into_run < 0            ? 0
                                                       : into_run > run_weight ? 1
                                                                               : into_run / run_weight));
    return cut;
}

/* Places all cuts so that a rank has `load`, copies included, and tells what the last one has. Where a cut cannot be near to where it should,
 * the ranks behind it are counted from there. makes: the cuts, too. */
static double place_cuts(qn_splitters *splitters, qn_division division, const sampled *all, size_t count, double load,
                         bool makes)
{
    const double whole = weight_of(all, 0, count), share = whole / (splitters->count + 1);
    double from = 0, copies = 0;
    uint32_t ranks = 0;
    place last = {0};
    for (uint32_t i = 0; i < splitters->count; i++) {
        double target = from + load * ++ranks - copies;
        size_t at = last.at;
        target = target < last.before ? last.before : target;
        while (at + 1 < count && all[at + 1].weight_before <= target)
            at++;
        last = find_place(splitters->collation, division, all, count, at, target, share);
        if (makes)
            splitters->cuts[i] = make_cut(splitters->collation, all, count, &last);
        bool is_far = division == QN_DIVIDE_OUTER && fabs(last.before - target) > share / RARE_PART;
        from = is_far ? last.before : from;
        copies = last.copies + (is_far ? 0 : copies);
        ranks = is_far ? 0 : ranks;
    }
    return whole - last.before + last.copies;
}

/* The least load of every rank with which all is dealt out. Copies make it more than a share. */
static double choose_load(qn_splitters *splitters, qn_division division, const sampled *all, size_t count)
{
    double least = weight_of(all, 0, count) / (splitters->count + 1), most = 2 * weight_of(all, 0, count);
    if (division != QN_DIVIDE_OUTER || place_cuts(splitters, division, all, count, least, false) <= least * NEARLY)
        return least;
    for (int i = 0; i < LOAD_STEPS; i++) {
        double load = (least + most) / 2;
        if (place_cuts(splitters, division, all, count, load, false) <= load)
            most = load;
        else
            least = load;
    }
    return most;
}

/* Tells every sample where those of its key are. */
static void note_keys(const qn_collation *collation, sampled *all, size_t count)
{
    for (size_t first = 0, end; first < count; first = end) {
        end = first + 1;
        while (end < count && qn_collation_compare_keys(collation, &all[first].record, &all[end].record) == 0)
            end++;
        for (size_t i = first; i < end; i++) {
            all[i].key_first = first;
            all[i].key_end = end;
        }
    }
}

static void make_cuts(qn_splitters *splitters, qn_division division, sampled *all, size_t count)
{
    if (division == QN_DIVIDE_OUTER)
        note_keys(splitters->collation, all, count);
    place_cuts(splitters, division, all, count, choose_load(splitters, division, all, count), true);
}

static bool has_hot_key(const qn_collation *collation, const sampled *all, size_t count, double hot_weight)
{
    for (size_t first = 0, i = 0; i < count; i++) {
        if (qn_collation_compare_keys(collation, &all[i].record, &all[first].record) != 0)
            first = i;
        if (weight_of(all, first, i + 1) >= hot_weight)
            return true;
    }
    return false;
}

/* Whether a rank's stretch of the words is more than twice as long as if all had the same. */
static bool is_uneven(const qn_splitters *splitters)
{
    const uint64_t most = UINT64_MAX / (splitters->count + 1) * 2;
    uint64_t before = 0;
    for (uint32_t i = 0; i < splitters->count; i++) {
        if (splitters->cuts[i].prefix - before > most)
            return true;
        before = splitters->cuts[i].prefix;
    }
    return splitters->count > 1 && UINT64_MAX - before > most;
}

/* Sorts the samples and sums up their weights; behind the last one is the end. */
static void put_in_order(sampled *all, size_t count, const qn_collation *collation)
{
    double before = 0;
    qsort_r(all, count, sizeof *all, compare_sampled, (void *)(uintptr_t)collation);
    for (size_t i = 0; i < count; i++) {
        all[i].weight_before = before;
        before += all[i].weight;
    }
    all[count] = (sampled){.weight_before = before};
}

quern_status qn_splitters_init(qn_splitters *splitters, const qn_collation *collation, qn_division division,
                               const qn_rank_sample *samples, uint32_t size, qn_error *error)
{
    sampled *all = NULL;
    size_t count = 0;
    *splitters = (qn_splitters){.collation = collation};
    quern_status status = decode_samples(&collation->layout, samples, size, &all, &count, error);
    if (status != QUERN_OK)
        return status;
    put_in_order(all, count, collation);
    splitters->cuts = calloc(size, sizeof *splitters->cuts);
    if (!splitters->cuts)
        status = qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the cuts between ranks");
    else if (count > 0) { /* without records there is nothing to route */
        splitters->count = size - 1;
        make_cuts(splitters, division, all, count);
    }
    if (status == QUERN_OK && division == QN_DIVIDE_KEYS) {
        double share = weight_of(all, 0, count) / size;
        splitters->has_hot_key = size > 1 && has_hot_key(collation, all, count, share / HOT_PART);
        splitters->is_uneven = splitters->count + 1 < size || is_uneven(splitters);
    }
    free(all);
    return status;
}

void qn_splitters_fini(qn_splitters *splitters)
{
    free(splitters->cuts);
    free(splitters->keys);
    *splitters = (qn_splitters){0};
}

quern_status qn_splitters_keep(qn_splitters *splitters, qn_error *error)
{
    uint64_t bytes = QN_SLACK_BYTES;
    for (uint32_t i = 0; i < splitters->count; i++)
        bytes += splitters->cuts[i].record.key_bytes;
    uint8_t *keys = calloc(1, bytes), *next = keys;
    if (!keys)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the cuts between ranks");
    for (uint32_t i = 0; i < splitters->count; i++) {
        qn_packed *record = &splitters->cuts[i].record;
        QN_ASSERT(splitters->cuts[i].whole_key);
        memcpy(next, record->key, record->key_bytes);
        *record = (qn_packed){.prefix = record->prefix, .key = next, .key_bytes = record->key_bytes};
        next += record->key_bytes;
    }
    free(splitters->keys);
    splitters->keys = keys;
    return QUERN_OK;
}

quern_status qn_splitters_init_like(qn_splitters *splitters, const qn_splitters *from, const qn_collation *collation,
                                    qn_error *error)
{
    *splitters = (qn_splitters){.collation = collation, .count = from->count};
    splitters->cuts = calloc((size_t)from->count + 1, sizeof *splitters->cuts);
    if (!splitters->cuts)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the cuts between ranks");
    for (uint32_t i = 0; i < from->count; i++) {
        QN_ASSERT(from->cuts[i].whole_key);
        splitters->cuts[i] = from->cuts[i];
    }
    return QUERN_OK;
}

/* Below 0: the record is before the cut; 0: it is the cut; above: behind it. */
static int compare_with_cut(const qn_splitters *splitters, const qn_packed *record, uint64_t prefix, const qn_cut *cut)
{
    if (QN_LIKELY(prefix != cut->prefix))
        return prefix < cut->prefix ? -1 : 1;
    if (!cut->whole_key)
        return qn_collation_compare(splitters->collation, record, &cut->record);
    return qn_collation_compare_keys(splitters->collation, record, &cut->record) < 0 ? -1 : 1;
}

/* The number of cuts that are before the record, or, with_equal, not behind it. */
static uint32_t count_cuts(const qn_splitters *splitters, const qn_packed *record, uint64_t prefix, bool with_equal)
{
    uint32_t first = 0, end = splitters->count;
    while (first < end) {
        uint32_t middle = first + (end - first) / 2;
        int result = compare_with_cut(splitters, record, prefix, &splitters->cuts[middle]);
        if (result > 0 || (with_equal && result == 0))
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

static bool divides_key_of(const qn_splitters *splitters, const qn_cut *cut, const qn_packed *record)
{
    return !cut->whole_key && qn_collation_compare_keys(splitters->collation, record, &cut->record) == 0;
}

void qn_splitters_route(qn_splitters *splitters, const qn_packed *record, uint32_t *first, uint32_t *last)
{
    uint64_t prefix = qn_collation_prefix(splitters->collation, record);
    uint32_t rank = count_cuts(splitters, record, prefix, false);
    uint32_t turn = 0;
    if (rank < splitters->count && splitters->cuts[rank].prefix == prefix) {
        uint32_t end = count_cuts(splitters, record, prefix, true);
        if (rank < end)
            turn = (splitters->turn += GOLDEN_TURN) % EQUAL_PARTS;
        while (rank < end && turn >= splitters->cuts[rank].before)
            rank++;
    }
    *first = *last = rank;
    if (splitters->collation->layout.has_side && record->side == QN_SIDE_INNER)
        while (*last < splitters->count && divides_key_of(splitters, &splitters->cuts[*last], record))
            ++*last;
}

bool qn_splitters_is_divided(const qn_splitters *splitters, uint32_t rank, const qn_packed *record, bool *is_first_out)
{
    *is_first_out =
        rank == 0 || rank > splitters->count || !divides_key_of(splitters, &splitters->cuts[rank - 1], record);
    return !*is_first_out || (rank < splitters->count && divides_key_of(splitters, &splitters->cuts[rank], record));
}
