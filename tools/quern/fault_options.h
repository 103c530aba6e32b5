/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/fault_options.h: options of `quern sim --faults`, which one program lists for people and shells, and another reads.
 */
#ifndef QUERN_TOOLS_FAULT_OPTIONS_H
#define QUERN_TOOLS_FAULT_OPTIONS_H

/* Letter (for the code alone), name, what it takes or NULL, what it says. X: all of them; Y: those that `quern sim` has without --faults, too. */
#define QN_FAULT_OPTIONS(X, Y)                                                                                         \
    X('r', "runs", "K", "Seeds, from S on (1000)")                                                                     \
    Y('s', "seed", "S", "The first one (1)")                                                                           \
    X('S', "seeds", "FILE", "Those of a file, a line each, perhaps with a kind")                                       \
    X('k', "kind", "KIND", "Jobs of that kind alone: counts, sort, group, join, loop or store")                        \
    Y('j', "json", NULL, "The sum as one object")                                                                      \
    X('d', "directory", "DIR", "Where jobs have their files, which are removed (/dev/shm, else $TMPDIR or /var/tmp)")  \
    X('f', "failures", "K", "Ends after so many wrong ones (5)")                                                       \
    X('q', "quick", NULL, "Does not look for the faults that are enough")                                              \
    X('t', "trace", NULL, "What happens, on standard error")                                                           \
    X('w', "without", "FAULTS", "As a failure says it")

#endif
