/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/quern/peers.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RESENDS    1 /* what the timer of a connection is for */
#define STATE_OPEN 1
#define LINK_BYTES 64

/* Whether one of the process's files is this socket. */
static bool has_socket(pid_t pid, unsigned long inode)
{
    char path[64], wanted[LINK_BYTES], link[LINK_BYTES];
    snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    int wanted_bytes = snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    DIR *files = opendir(path);
    bool found = false;
    for (struct dirent *entry; files && !found && (entry = readdir(files));) {
        ssize_t bytes = readlinkat(dirfd(files), entry->d_name, link, sizeof link - 1);
        link[bytes > 0 ? bytes : 0] = 0;
        found = bytes == wanted_bytes && strcmp(link, wanted) == 0;
    }
    if (files)
        closedir(files);
    return found;
}

static bool line_tells_loss(const char *line, pid_t pid)
{
    unsigned state, waiting, timer, resent;
    unsigned long inode;
    int count =
        sscanf(line, " %*d: %*s %*s %x %x:%*x %x:%*x %x %*u %*u %lu", &state, &waiting, &timer, &resent, &inode);
    return count == 5 && state == STATE_OPEN && waiting > 0 && timer == RESENDS && resent > PEERS_RESENT_MAX &&
           has_socket(pid, inode);
}

/* The table has the sockets of all who share the process's network. */
static bool table_tells_loss(const char *name, pid_t pid)
{
    char path[64], line[512];
    bool lost = false;
    snprintf(path, sizeof path, "/proc/%ld/net/%s", (long)pid, name);
    FILE *table = fopen(path, "re");
    while (table && !lost && fgets(line, sizeof line, table))
        lost = line_tells_loss(line, pid);
    if (table)
        fclose(table);
    return lost;
}

bool quern_peers_are_lost(pid_t pid)
{
    return table_tells_loss("tcp", pid) || table_tells_loss("tcp6", pid);
}
