/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/roll.h"

#include <stdlib.h>

#include "runtime/base/assert.h"

quern_status qn_roll_init(qn_roll *roll, uint32_t count, const qn_roll_bounds *bounds, uint64_t now_ns, qn_error *error)
{
    *roll = (qn_roll){.bounds = *bounds, .count = count, .looked_ns = now_ns};
    roll->entries = calloc(count, sizeof *roll->entries);
    if (!roll->entries)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to watch %u ranks", count);
    for (uint32_t i = 0; i < count; i++) {
        roll->entries[i].next_call_ns = bounds->warning_ns;
        qn_roll_excuse(roll, i);
    }
    return QUERN_OK;
}

void qn_roll_fini(qn_roll *roll)
{
    free(roll->entries);
    *roll = (qn_roll){0};
}

void qn_roll_excuse(qn_roll *roll, uint32_t member)
{
    qn_roll_entry *entry = &roll->entries[member];
    entry->beat_ns = roll->looked_ns;
    entry->next_ns = roll->bounds.warning_ns;
    entry->silent_ns = 0;
    entry->misses_beats = entry->told = false;
}

bool qn_roll_begin(qn_roll *roll, uint64_t now_ns)
{
    QN_ASSERT(now_ns >= roll->looked_ns);
    bool has_jumped = now_ns - roll->looked_ns >= roll->bounds.jump_ns;
    roll->looked_ns = now_ns;
    for (uint32_t i = 0; i < roll->count && has_jumped; i++)
        qn_roll_excuse(roll, i);
    return has_jumped;
}

static uint64_t silence_of(qn_roll *roll, qn_roll_entry *entry, const qn_roll_sign *sign)
{
    if (sign->kind == QN_ROLL_ABSENT || sign->beat != entry->beat)
        entry->beat_ns = roll->looked_ns;
    entry->beat = sign->beat;
    entry->is_absent = sign->kind == QN_ROLL_ABSENT;
    entry->misses_beats = roll->looked_ns - entry->beat_ns >= roll->bounds.warning_ns;
    if (entry->misses_beats)
        return roll->looked_ns - entry->beat_ns;
    return sign->kind == QN_ROLL_STUCK || sign->kind == QN_ROLL_SLEEPS ? sign->quiet_ns : 0;
}

static bool is_overdue(const qn_roll_bounds *bounds, const qn_roll_entry *entry, qn_roll_kind kind)
{
    bool may_end = entry->misses_beats || kind == QN_ROLL_STUCK || bounds->ends_in_callback;
    return bounds->timeout_ns > 0 && may_end && entry->silent_ns >= bounds->timeout_ns;
}

static qn_roll_verdict verdict_of(const qn_roll *roll, const qn_roll_entry *entry, qn_roll_kind kind)
{
    if (entry->silent_ns == 0 && entry->told)
        return QN_ROLL_BACK;
    if (entry->silent_ns == 0)
        return entry->call_ns >= entry->next_call_ns ? QN_ROLL_SILENT : QN_ROLL_FINE;
    if (is_overdue(&roll->bounds, entry, kind))
        return QN_ROLL_OVERDUE;
    return entry->silent_ns >= entry->next_ns ? QN_ROLL_SILENT : QN_ROLL_FINE;
}

void qn_roll_judge(qn_roll *roll, uint32_t member, const qn_roll_sign *sign)
{
    QN_ASSERT(member < roll->count);
    qn_roll_entry *entry = &roll->entries[member];
    uint64_t silent_ns = silence_of(roll, entry, sign);
    entry->silent_ns = silent_ns >= roll->bounds.warning_ns ? silent_ns : 0;
    entry->call_ns = sign->kind == QN_ROLL_COMPUTES ? sign->quiet_ns : 0;
    entry->verdict = verdict_of(roll, entry, sign->kind);
    if (entry->silent_ns > 0)
        return;
    entry->told = false;
    entry->next_ns = roll->bounds.warning_ns;
}

void qn_roll_note_told(qn_roll *roll, uint32_t member)
{
    qn_roll_entry *entry = &roll->entries[member];
    entry->told = entry->silent_ns > 0;
    while (entry->silent_ns > 0 && entry->next_ns <= entry->silent_ns)
        entry->next_ns *= 2;
    while (entry->call_ns > 0 && entry->next_call_ns <= entry->call_ns)
        entry->next_call_ns *= 2;
}

bool qn_roll_leads(const qn_roll *roll, uint32_t member)
{
    for (uint32_t i = 0; i < member; i++)
        if (!roll->entries[i].misses_beats && !roll->entries[i].is_absent)
            return false;
    return true;
}
