/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/topology/cgroup.h: the cgroups above this process, of both kinds (v2, v1), whose limits all bind it. Local.
 */
#ifndef QN_TOPOLOGY_CGROUP_H
#define QN_TOPOLOGY_CGROUP_H

#include <stdbool.h>
#include <stdio.h>

#define QN_CGROUP_TEXT_BYTES_MAX 64 /* more than any limit is */

/* Called with a cgroup's directory, from the innermost on. */
typedef void (*qn_cgroup_fn)(void *user, const char *directory, bool is_v2);

/* controller: of v1 ("memory", "cpu"). root is "" for this machine, or a directory holding copies of proc/ and sys/ (tests). What cannot be
 * read is passed over. */
void qn_cgroup_visit(const char *root, const char *controller, qn_cgroup_fn fn, void *user);

/* A limit's file, name with its slash; as a string. False: it is not there, or is no short text. */
bool qn_cgroup_read_text(const char *directory, const char *name, char text_out[QN_CGROUP_TEXT_BYTES_MAX]);

/* As fopen(root path, "re"). */
FILE *qn_cgroup_open_below(const char *root, const char *path);

#endif
