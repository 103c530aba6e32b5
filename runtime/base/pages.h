/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/base/pages.h: big memory straight from the system, on huge pages where they pay.
 *
 * First touch of 4 KiB pages is many times dearer than the work done on them, so everything of 2 MiB and more is
 * aligned to 2 MiB and advised to be huge. Address space is reserved without being paid for; a page costs memory when
 * it is first touched and gives it back by qn_pages_release().
 */
#ifndef QN_BASE_PAGES_H
#define QN_BASE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QN_PAGE_SMALL_BYTES ((size_t)4096)
#define QN_PAGE_HUGE_BYTES  ((size_t)2 << 20)
#define QN_PAGE_SLACK_BYTES ((size_t)16) /* readable behind each reservation */

/* Where in a page bytes of a file from `offset` on are best put, or written from: as far behind its begin as in the file, in whole steps. For some
 * processors (AMD's Zen 3) copy at a fifth of their speed to a place that is 1 to 31 bytes further in its page than the source is in its own; and 16 bytes
 * behind a page's begin is where malloc() puts what is large. */
#define QN_PAGE_STEP_BYTES ((size_t)64)
static inline size_t qn_pages_place(uint64_t offset)
{
    return (size_t)(offset % QN_PAGE_SMALL_BYTES) / QN_PAGE_STEP_BYTES * QN_PAGE_STEP_BYTES;
}

/* Reserves `bytes` of zeroed memory, aligned to 2 MiB; NULL if the system refuses. huge: advise huge pages. */
void *qn_pages_reserve(size_t bytes, bool huge);
/* Advises huge pages for a reservation that was made without: of what begins small and may stay so. A huge page takes as long to be
 * zeroed as a small job takes in all. */
void qn_pages_advise_huge(void *memory, size_t bytes);
/* Ends a reservation of the same size. Takes NULL. */
void qn_pages_unreserve(void *memory, size_t bytes);
/* Gives the memory of [memory, memory + bytes) back; it reads as zero afterwards. Inner whole 4 KiB pages only; partial pages
 * at the ends are left as they are. */
void qn_pages_release(void *memory, size_t bytes);

/* From now on what is reserved is not in children of this process, which get no copy of it and cost nothing for it; but see the next. For processes that
 * start children of which none needs it. */
void qn_pages_keep_from_children(void);
/* A reservation that children do get, and from then on do not any more, in such a process. Both take NULL. */
void qn_pages_give_to_children(void *memory, size_t bytes);
void qn_pages_take_from_children(void *memory, size_t bytes);

#endif
