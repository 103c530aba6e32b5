/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Runs a command on warm memory: warm GIB COMMAND ARGUMENT...
 *
 * In a virtual machine, memory that the host has taken back is several times slower to touch than memory that another process of the
 * guest just freed, and a host may take free pages back within a second or two. So this program touches GIB of huge pages, starts
 * the command, and while it runs gives pages back little by little, always some ahead of what the others have in use. Exits with the
 * command's status.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SLICE_BYTES ((uint64_t)32 << 20)
#define AHEAD_BYTES ((uint64_t)1 << 30)

/* Memory of processes in the whole system, as the kernel counts it. */
static uint64_t anonymous_bytes(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *file = fopen("/proc/meminfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "AnonPages: %" SCNu64, &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

static uint8_t *touch(uint64_t bytes)
{
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        perror("warm: mmap");
        exit(2);
    }
    madvise(memory, bytes, MADV_HUGEPAGE);
    for (uint64_t at = 0; at < bytes; at += 4096)
        memory[at] = 1;
    return memory;
}

static int status_of(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: warm GIB COMMAND ARGUMENT...\n");
        return 2;
    }
    uint64_t held_bytes = strtoull(argv[1], NULL, 10) << 30, freed_bytes = 0;
    uint64_t others_bytes = anonymous_bytes();
    uint8_t *memory = touch(held_bytes);
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    for (;;) {
        int status = 0;
        uint64_t now_bytes = anonymous_bytes() - (held_bytes - freed_bytes);
        uint64_t used_bytes = now_bytes > others_bytes ? now_bytes - others_bytes : 0;
        while (freed_bytes < held_bytes && freed_bytes < used_bytes + AHEAD_BYTES) {
            munmap(memory + freed_bytes, SLICE_BYTES);
            freed_bytes += SLICE_BYTES;
        }
        if (waitpid(child, &status, WNOHANG) == child)
            return status_of(status);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
}
