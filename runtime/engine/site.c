/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/site.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/crash.h"
#include "runtime/exec/apart.h"

static void add(char *text, size_t bytes, const char *format, ...)
{
    va_list list;
    size_t used = strlen(text);
    va_start(list, format);
    vsnprintf(text + used, bytes - used, format, list);
    va_end(list);
}

static void add_record(const qn_site *site, const qn_chain *chain, char *text, size_t bytes)
{
    uint64_t offset = 0;
    uint32_t record = 0;
    bool is_known = qn_chain_running_record(chain, &record);
    const char *path = qn_source_locate(site->source, record, &offset);
    add(text, bytes, "quern: %s %s %llu of %s\n", is_known ? "on the record at" : "in the block of records from",
        qn_source_unit(site->source), (unsigned long long)offset, path);
}

void qn_site_tell(const qn_site *site, uint32_t rank, uint32_t size, char *text, size_t bytes)
{
    char host[256] = "?";
    const qn_chain *chain = site->chain;
    gethostname(host, sizeof host - 1);
    add(text, bytes, "quern: in rank %u of %u, process %d on %s", rank, size, (int)getpid(), host);
    if (site->stage)
        add(text, bytes, ", in the stage '%s'", site->stage);
    if (site->is_apart)
        add(text, bytes, ", apart from the rank");
    add(text, bytes, "\n");
    if (!chain)
        return;
    const char *operator_name = qn_chain_running_name(chain);
    if (operator_name)
        add(text, bytes, "quern: in the callback of '%s'", operator_name);
    else
        add(text, bytes, "quern: in %s",
            chain->is_at_end ? "what takes the records behind the last operator (a reduction, an order, an output)"
                             : "no callback of an operator");
    if (site->source || (site->is_apart && site->task != QN_APART_NO_TASK))
        add(text, bytes, ", task %u (attempt %u)", site->task, site->attempt);
    add(text, bytes, "\n");
    if (site->source && (operator_name || chain->is_at_end))
        add_record(site, chain, text, bytes);
}

void qn_site_describe(const qn_site *site, bool source_stands, char *text, size_t bytes)
{
    const qn_chain *chain = site->chain;
    const qn_source *source = site->source;
    const char *operator_name = chain ? qn_chain_running_name(chain) : NULL;
    if (source)
        add(text, bytes, ", task %u (attempt %u)", site->task, site->attempt);
    if (operator_name)
        add(text, bytes, ", in the callback of '%s'", operator_name);
    if (!operator_name || !source || !source_stands)
        return;
    uint64_t offset = 0;
    uint32_t record = 0;
    bool is_known = qn_chain_running_record(chain, &record);
    const char *path = qn_source_locate(source, record, &offset);
    add(text, bytes, ", %s %s %llu of %s", is_known ? "on the record at" : "in the block of records from",
        qn_source_unit(source), (unsigned long long)offset, path);
}

void qn_site_say_ended(uint32_t rank, const char *at, uint32_t attempt, const qn_error *failure)
{
    char line[QN_ERROR_TEXT_BYTES_MAX + 128];
    snprintf(line, sizeof line, "quern: rank %u: %s (attempt %u): %s", rank, at, attempt, failure->text);
    qn_crash_say(line);
}
