/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/base/pages.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

#include "runtime/base/assert.h"

static atomic_bool is_kept_from_children;

/* What is mapped for so many bytes: whole pages, with room for readers that look a little too far. */
static size_t kept_bytes_of(size_t bytes)
{
    return (bytes + QN_PAGE_SLACK_BYTES + QN_PAGE_SMALL_BYTES - 1) & ~(QN_PAGE_SMALL_BYTES - 1);
}

void *qn_pages_reserve(size_t bytes, bool huge)
{
    size_t mapped_bytes = bytes + QN_PAGE_HUGE_BYTES;
    if (bytes > SIZE_MAX / 2)
        return NULL;
    uint8_t *mapped =
        mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED)
        return NULL;
    uint8_t *aligned = (uint8_t *)(((uintptr_t)mapped + QN_PAGE_HUGE_BYTES - 1) & ~(uintptr_t)(QN_PAGE_HUGE_BYTES - 1));
    size_t front_bytes = (size_t)(aligned - mapped);
    size_t kept_bytes = kept_bytes_of(bytes);
    if (front_bytes > 0)
        munmap(mapped, front_bytes);
    if (front_bytes + kept_bytes < mapped_bytes)
        munmap(aligned + kept_bytes, mapped_bytes - front_bytes - kept_bytes);
    if (huge)
        qn_pages_advise_huge(aligned, bytes);
    qn_pages_take_from_children(aligned, bytes);
    return aligned;
}

void qn_pages_keep_from_children(void)
{
    atomic_store(&is_kept_from_children, true);
}

void qn_pages_give_to_children(void *memory, size_t bytes)
{
    if (memory)
        madvise(memory, kept_bytes_of(bytes), MADV_DOFORK);
}

void qn_pages_take_from_children(void *memory, size_t bytes)
{
    if (memory && atomic_load_explicit(&is_kept_from_children, memory_order_relaxed))
        madvise(memory, kept_bytes_of(bytes), MADV_DONTFORK);
}

void qn_pages_advise_huge(void *memory, size_t bytes)
{
    if (bytes >= QN_PAGE_HUGE_BYTES)
        madvise(memory, kept_bytes_of(bytes), MADV_HUGEPAGE);
}

void qn_pages_unreserve(void *memory, size_t bytes)
{
    if (memory)
        munmap(memory, kept_bytes_of(bytes));
}

void qn_pages_release(void *memory, size_t bytes)
{
    uintptr_t begin = ((uintptr_t)memory + QN_PAGE_SMALL_BYTES - 1) & ~(QN_PAGE_SMALL_BYTES - 1);
    uintptr_t end = ((uintptr_t)memory + bytes) & ~(QN_PAGE_SMALL_BYTES - 1);
    if (begin < end)
        QN_ASSERT(madvise((void *)begin, end - begin, MADV_DONTNEED) == 0);
}
