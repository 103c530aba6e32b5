/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/peers.h: whether what a process sent to another host is never acknowledged.
 *
 * Intuition. A launcher asks the system to probe connections on which nothing is said (keepalive), so a cut cable is noticed in seconds. But while
 * there is something on its way, the system does not probe, it sends that again, less and less often, for a quarter of an hour. How
 * often it did so stands in /proc/PID/net/tcp: the seventh time comes about 25 seconds after the first.
 */
#ifndef QUERN_TOOLS_PEERS_H
#define QUERN_TOOLS_PEERS_H

#include <stdbool.h>
#include <sys/types.h>

#define PEERS_RESENT_MAX 6 /* more often, and a peer is taken for lost: after about 25 seconds without an answer */

/* Whether a connection of this process's own has sent the same again more often than that. */
bool quern_peers_are_lost(pid_t pid);

#endif
