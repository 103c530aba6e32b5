/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare_read THREADS PATH...: the lines of files and of the files below directories, by pread() and memchr(): how many, and their bytes.
 *
 * Directories are listed first, on one thread; then each thread takes the next piece of a file, or the next file. Prints lines, bytes of
 * them, files, and the seconds that both together take.
 */
#include <fts.h>
#include <stdatomic.h>

#include "tests/perf/bare.h"

#define PIECE_BYTES ((uint64_t)1 << 20)
#define TAIL_BYTES  ((uint64_t)4 << 10) /* of the next piece, at a time */
/* In its page. A piece is read from the byte before it, and Zen 3 copies at a fifth of its speed to a place 1 to 31 bytes further in its page. */
#define ROOM_PLACE 64

typedef struct piece {
    const char *path;
    uint64_t begin, end; /* of lines that begin there */
} piece;

typedef struct worker {
    uint64_t lines, bytes;
    uint8_t *room;
} worker;

static piece *pieces;
static size_t piece_count, piece_capacity, file_count;
static atomic_size_t next_piece;

static void add_piece(const char *path, uint64_t begin, uint64_t end)
{
    if (piece_count == piece_capacity) {
        piece_capacity = piece_capacity ? 2 * piece_capacity : 1024;
        pieces = realloc(pieces, piece_capacity * sizeof *pieces);
        if (!pieces)
            bare_die("memory");
    }
    pieces[piece_count++] = (piece){path, begin, end};
}

static void list(char *const *paths)
{
    FTS *all = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    if (!all)
        bare_die("fts_open");
    for (FTSENT *entry; (entry = fts_read(all));)
        if (entry->fts_info == FTS_F) {
            uint64_t bytes = (uint64_t)entry->fts_statp->st_size;
            const char *path = strdup(entry->fts_path);
            for (uint64_t begin = 0; begin < bytes; begin += PIECE_BYTES)
                add_piece(path, begin, begin + PIECE_BYTES < bytes ? begin + PIECE_BYTES : bytes);
            file_count++;
        }
    fts_close(all);
}

/* Lines whose begin is in the piece, the last one up to its end; it may be in the next piece, but not behind that. */
static void read_piece(worker *own, const piece *of)
{
    int fd = open(of->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        bare_die(of->path);
    uint64_t from = of->begin > 0 ? of->begin - 1 : 0, want = of->end - from;
    size_t have = bare_pread(fd, own->room, want, from);
    const uint8_t *at = own->room, *end = own->room + have, *stop = own->room + want;
    if (of->begin > 0) {
        at = memchr(at, '\n', have);
        at = at ? at + 1 : end;
    }
    while (at < stop && at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        for (size_t more = 1; !newline && more > 0 && have + TAIL_BYTES <= 2 * PIECE_BYTES; have += more) {
            more = bare_pread(fd, own->room + have, TAIL_BYTES, from + have);
            newline = memchr(end, '\n', more);
            end += more;
        }
        newline = newline ? newline : end;
        own->lines++;
        own->bytes += (uint64_t)(newline - at);
        at = newline + 1;
    }
    close(fd);
}

static void *work(void *argument)
{
    worker *own = argument;
    own->room = (uint8_t *)bare_reserve(2 * PIECE_BYTES + 1 + ROOM_PLACE) + ROOM_PLACE;
    for (size_t i; (i = atomic_fetch_add(&next_piece, 1)) < piece_count;)
        read_piece(own, &pieces[i]);
    return NULL;
}

int main(int argc, char **argv)
{
    worker workers[BARE_THREADS_MAX] = {{0}}, all = {0};
    if (argc < 3) {
        fprintf(stderr, "usage: bare_read THREADS PATH...\n");
        return 2;
    }
    int count = bare_threads(argv[1]);
    double begin = bare_now_s();
    list(argv + 2);
    bare_run(count, work, workers, sizeof *workers);
    for (int i = 0; i < count; i++) {
        all.lines += workers[i].lines;
        all.bytes += workers[i].bytes;
    }
    printf("%" PRIu64 "\t%" PRIu64 "\t%zu\t%.6f\n", all.lines, all.bytes, file_count, bare_now_s() - begin);
    return 0;
}
