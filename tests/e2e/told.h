/* SPDX-License-Identifier: BSD-3-Clause */
/* tests/e2e/told.h: arguments that a job gets by its environment (Told of harness.py), so that its command stays the same when it is to go on. */
#ifndef TESTS_E2E_TOLD_H
#define TESTS_E2E_TOLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* argv[number], or if that is "-" the variable JOB_ARGUMENT_number if there is one. */
static inline const char *told(char **argv, int number)
{
    char name[32];
    snprintf(name, sizeof name, "JOB_ARGUMENT_%d", number);
    const char *value = strcmp(argv[number], "-") == 0 ? getenv(name) : NULL;
    return value ? value : argv[number];
}

#endif
