/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/job_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/clock.h"

#define EVERY_NS QN_NS_PER_S

typedef struct page_kind {
    const char *name;
    bool (*write)(FILE *to, const json_t *report);
} page_kind;

static const page_kind kinds[] = {
    {"report.html", qn_page_write}, {"trace.json", qn_trace_write}, {"metrics.prom", qn_metrics_write}};

static bool write_into(int fd, const page_kind *kind, const json_t *report)
{
    FILE *to = fdopen(fd, "w");
    if (!to) {
        close(fd);
        return false;
    }
    bool written = kind->write(to, report);
    return fclose(to) == 0 && written;
}

static bool write_kind(int directory, const page_kind *kind, const json_t *report)
{
    char made[32];
    snprintf(made, sizeof made, ".%s.new", kind->name);
    int fd = openat(directory, made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0)
        return false;
    errno = 0;
    bool done = write_into(fd, kind, report) && renameat(directory, made, directory, kind->name) == 0;
    int reason = errno;
    if (!done)
        unlinkat(directory, made, 0);
    errno = reason;
    return done;
}

bool qn_job_pages_write(const char *directory, const json_t *report, const qn_log *log)
{
    int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, reason = 0;
    if (!directory)
        return true;
    if (fd < 0)
        reason = errno;
    for (size_t i = 0; fd >= 0 && i < sizeof kinds / sizeof *kinds; i++) {
        if (write_kind(fd, &kinds[i], report))
            continue;
        reason = errno ? errno : ENOMEM;
        qn_log_line(log, "cannot write %s/%s: %s", directory, kinds[i].name, strerror(reason));
    }
    if (fd >= 0)
        close(fd);
    errno = reason;
    return reason == 0;
}

static void remove_file(int directory, const char *name)
{
    struct stat about;
    if (fstatat(directory, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(about.st_mode))
        unlinkat(directory, name, 0);
}

void qn_job_pages_remove(const char *directory)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    remove_file(fd, "report.json");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        remove_file(fd, kinds[i].name);
    close(fd);
}

void qn_job_pages_fini(qn_job_pages *pages, const char *directory, const qn_log *log)
{
    if (pages->pending)
        qn_job_pages_write(directory, pages->pending, log);
    json_decref(pages->pending);
    pages->pending = NULL;
}

void qn_job_pages_update(qn_job_pages *pages, const char *directory, json_t *report, bool has_failed, const qn_log *log)
{
    uint64_t now_ns = qn_clock_ns();
    json_decref(pages->pending);
    pages->pending = directory ? json_incref(report) : NULL;
    if (!has_failed && pages->shown_ns > 0 && now_ns - pages->shown_ns < EVERY_NS)
        return;
    qn_job_pages_fini(pages, directory, log);
    pages->shown_ns = now_ns;
}
