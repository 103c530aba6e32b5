/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/refusal.h: refuses memory to the code under test. For programs linked with malloc, calloc, realloc and
 * qn_pages_reserve wrapped; included by one source of each.
 */
#ifndef TESTS_REFUSAL_H
#define TESTS_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

/* Allocations that still succeed; negative for all. */
static int allocations_left = -1;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_qn_pages_reserve(size_t bytes, bool huge);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_qn_pages_reserve(size_t bytes, bool huge);

static bool is_refused(void)
{
    if (allocations_left == 0)
        return true;
    allocations_left -= allocations_left > 0;
    return false;
}

void *__wrap_malloc(size_t bytes)
{
    return is_refused() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return is_refused() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    return is_refused() ? NULL : __real_realloc(memory, bytes);
}

void *__wrap_qn_pages_reserve(size_t bytes, bool huge)
{
    return is_refused() ? NULL : __real_qn_pages_reserve(bytes, huge);
}

#endif
