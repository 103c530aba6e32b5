/* SPDX-License-Identifier: BSD-3-Clause */
/* Arguments, one a line: options are taken, all others stay, in order; a call that fails changes nothing. */
#include <quern/options.h>

#include "tests/fuzz/fuzz.h"

#define ARGUMENTS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    char *text = calloc(1, bytes + 1), *argv[ARGUMENTS_MAX + 2] = {"program"}, *before[ARGUMENTS_MAX + 2];
    int argc = 1;
    if (!text)
        return 0;
    if (bytes > 0)
        memcpy(text, data, bytes);
    for (char *at = text, *end; at && argc < ARGUMENTS_MAX; at = end) {
        end = strchr(at, '\n');
        if (end)
            *end++ = 0;
        argv[argc++] = at;
    }
    int argc_before = argc;
    memcpy(before, argv, sizeof before);
    quern_options options, options_before;
    quern_options_init(&options);
    memcpy(&options_before, &options, sizeof options);
    if (quern_options_read_argv(&options, &argc, argv) != QUERN_OK) {
        FUZZ_CHECK(argc == argc_before && memcmp(before, argv, sizeof before) == 0, "arguments changed");
        FUZZ_CHECK(memcmp(&options, &options_before, sizeof options) == 0, "options changed");
    } else {
        FUZZ_CHECK(argc >= 1 && argc <= argc_before && !argv[argc], "%d arguments", argc);
        for (int kept = 0, i = 0; kept < argc; kept++, i++)
            while (before[i] != argv[kept])
                FUZZ_CHECK(++i < argc_before, "argument %d is another", kept);
    }
    free(text);
    return 0;
}
