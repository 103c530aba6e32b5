/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/cluster/link_switch.c: a switch whose links have a rate and a delay, where the kernel has no netem: link_switch MBIT_PER_S DELAY_US NAME...
 *
 * Makes a tap device of each name in its network namespace, from where the caller may move it to another, says "ready", and carries
 * frames between them until it is ended. A host's link takes a frame as long as its bits do, in both directions at the same time; from one
 * host to another it is DELAY_US, and then it waits for the link of the receiver. A sender is not listened to while its link is busy; what finds
 * QUEUED_BYTES_MAX waiting for its receiver is dropped, as by a switch whose memory is full.
 *
 * One thread, and a copy of each frame: four links of 1 Gbit/s take a third of a core with frames of 9000 bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX        64
#define FRAME_BYTES_MAX  65600
#define FRAMES_MAX       16384 /* that wait for one receiver; a power of two */
#define READ_AT_ONCE     16
#define AHEAD_NS_MAX     1000000    /* that a sender's link is busy before it is not listened to */
#define QUEUED_BYTES_MAX (16 << 20) /* for one receiver */
#define NS_PER_S         1000000000
#define MAC_BYTES        6

typedef struct frame {
    uint64_t due_ns;
    uint32_t bytes;
    uint8_t data[];
} frame;

typedef struct port {
    int fd; /* -1: its host is gone */
    uint64_t up_free_ns, down_free_ns;
    uint8_t mac[MAC_BYTES]; /* of its host, once that has sent */
    bool has_mac;
    frame *frames[FRAMES_MAX];
    uint32_t first, count, queued_bytes;
} port;

static port ports[PORTS_MAX];
static int port_count;
static double ns_per_byte;
static uint64_t delay_ns;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static uint64_t later(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

static int open_port(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0)
        return fd;
    perror(name);
    exit(1);
}

static void put(port *to, uint64_t arrives_ns, const uint8_t *data, uint32_t bytes)
{
    uint64_t due_ns = later(arrives_ns, to->down_free_ns) + (uint64_t)(bytes * ns_per_byte);
    if (to->fd < 0 || to->count == FRAMES_MAX || to->queued_bytes + bytes > QUEUED_BYTES_MAX)
        return;
    frame *copy = malloc(sizeof *copy + bytes);
    if (!copy)
        return;
    copy->due_ns = due_ns;
    copy->bytes = bytes;
    memcpy(copy->data, data, bytes);
    to->down_free_ns = due_ns;
    to->queued_bytes += bytes;
    to->frames[(to->first + to->count++) % FRAMES_MAX] = copy;
}

/* To its receiver; to all others if that is not known, or there are many. */
static void carry(int from, const uint8_t *data, uint32_t bytes)
{
    port *sender = &ports[from];
    memcpy(sender->mac, data + MAC_BYTES, MAC_BYTES);
    sender->has_mac = true;
    sender->up_free_ns = later(sender->up_free_ns, now_ns()) + (uint64_t)(bytes * ns_per_byte);
    uint64_t arrives_ns = sender->up_free_ns + delay_ns;
    for (int to = 0; to < port_count; to++)
        if (to != from && ports[to].has_mac && memcmp(ports[to].mac, data, MAC_BYTES) == 0) {
            put(&ports[to], arrives_ns, data, bytes);
            return;
        }
    for (int to = 0; to < port_count; to++)
        if (to != from)
            put(&ports[to], arrives_ns, data, bytes);
}

static void close_port(port *gone)
{
    close(gone->fd);
    gone->fd = -1;
}

static void listen_to(int from)
{
    static uint8_t data[FRAME_BYTES_MAX];
    for (int i = 0; i < READ_AT_ONCE; i++) {
        ssize_t bytes = read(ports[from].fd, data, sizeof data);
        if (bytes < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) /* EIO: it is not up */
            close_port(&ports[from]);
        if (bytes <= 2 * MAC_BYTES)
            return;
        carry(from, data, (uint32_t)bytes);
    }
}

/* All that is due; when the next one will be. */
static uint64_t deliver(void)
{
    uint64_t now = now_ns(), next = UINT64_MAX;
    for (int i = 0; i < port_count; i++) {
        port *to = &ports[i];
        for (; to->count > 0 && to->frames[to->first]->due_ns <= now; to->count--) {
            frame *sent = to->frames[to->first];
            to->first = (to->first + 1) % FRAMES_MAX;
            if (to->fd >= 0 && write(to->fd, sent->data, sent->bytes) < 0 && errno == EBADFD)
                close_port(to);
            to->queued_bytes -= sent->bytes;
            free(sent);
        }
        if (to->count > 0 && to->frames[to->first]->due_ns < next)
            next = to->frames[to->first]->due_ns;
    }
    return next;
}

static void run(void)
{
    struct pollfd polled[PORTS_MAX];
    for (;;) {
        uint64_t wake_ns = deliver(), now = now_ns();
        for (int i = 0; i < port_count; i++) {
            bool is_busy = ports[i].up_free_ns > now + AHEAD_NS_MAX;
            polled[i] = (struct pollfd){.fd = is_busy ? -1 : ports[i].fd, .events = POLLIN};
            if (is_busy && ports[i].up_free_ns - AHEAD_NS_MAX < wake_ns)
                wake_ns = ports[i].up_free_ns - AHEAD_NS_MAX;
        }
        uint64_t wait_ns = wake_ns > now ? wake_ns - now : 0;
        struct timespec wait = {(time_t)(wait_ns / NS_PER_S), (long)(wait_ns % NS_PER_S)};
        if (ppoll(polled, (nfds_t)port_count, wake_ns == UINT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR)
            exit(1);
        for (int i = 0; i < port_count; i++)
            if (polled[i].fd >= 0 && polled[i].revents)
                listen_to(i);
    }
}

int main(int argc, char **argv)
{
    double mbit_per_s = argc > 3 ? atof(argv[1]) : 0, delay_us = argc > 3 ? atof(argv[2]) : -1;
    if (mbit_per_s <= 0 || delay_us < 0 || argc - 3 > PORTS_MAX) {
        fprintf(stderr, "usage: link_switch MBIT_PER_S DELAY_US NAME...\n");
        return 2;
    }
    ns_per_byte = 8e3 / mbit_per_s;
    delay_ns = (uint64_t)(delay_us * 1e3);
    for (port_count = 0; port_count < argc - 3; port_count++)
        ports[port_count].fd = open_port(argv[3 + port_count]);
    puts("ready");
    fflush(stdout);
    run();
}
