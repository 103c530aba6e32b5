/* SPDX-License-Identifier: BSD-3-Clause. Counts k-mers: mpirun -n N kmercount -k K -o DIR PATH... */
/*
 * Writes kmer<TAB>count for each canonical k-mer of the sequences of FASTA and FASTQ files, packed or not: of a k-mer and its reverse
 * complement the one that comes first in the order of letters. K is 1 … 1024. Either case counts; k-mers with other letters than A, C, G and T do
 * not. A k-mer goes over the end of a line, and not over that of a sequence.
 *
 * A base is two bits, the first one highest, and a k-mer is a row of words that a base is shifted into. Up to 32 bases are one word and a key of
 * QUERN_U64; the bytes of longer ones, highest first, are keys of QUERN_BYTES.
 */
#include <getopt.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

#define K_MAX       1024
#define WORDS_MAX   (K_MAX / 32)
#define PIECE_BASES (64 << 10)

typedef struct kmers {
    uint8_t codes[256]; /* of letters; 4: none */
    unsigned k, words;
    char text[K_MAX];
} kmers;

/* Key is the smaller of the k-mer and its reverse complement, both of which a base is put into. */
static int emit_short(const quern_block *reads, quern_emitter *out, void *user)
{
    const kmers *all = user;
    const uint64_t mask = all->k == 32 ? UINT64_MAX : (UINT64_C(1) << 2 * all->k) - 1;
    const unsigned top = 2 * (all->k - 1);
    for (size_t i = 0; i < reads->count; i++) {
        const uint8_t *bases = reads->value[i];
        uint64_t forward = 0, reverse = 0;
        unsigned length = 0;
        for (size_t at = 0; at < reads->value_bytes[i]; at++) {
            uint64_t code = all->codes[bases[at]];
            forward = (forward << 2 | (code & 3)) & mask;
            reverse = reverse >> 2 | ((code & 3) ^ 3) << top;
            length = code > 3 ? 0 : length + 1;
            if (length < all->k)
                continue;
            uint64_t kmer = forward < reverse ? forward : reverse;
            if (quern_emit(out, quern_of_u64(&kmer), quern_bytes("", 0)) != 0)
                return -1;
        }
    }
    return 0;
}

/* Word 0 is the highest; what stays of it above the k-mer is 0. */
static void put_base(const kmers *all, uint64_t *forward, uint64_t *reverse, uint64_t code)
{
    unsigned bits = 2 * all->k - 64 * (all->words - 1);
    for (unsigned i = 0; i + 1 < all->words; i++)
        forward[i] = forward[i] << 2 | forward[i + 1] >> 62;
    forward[all->words - 1] = forward[all->words - 1] << 2 | code;
    forward[0] &= bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
    for (unsigned i = all->words - 1; i > 0; i--)
        reverse[i] = reverse[i] >> 2 | reverse[i - 1] << 62;
    reverse[0] = reverse[0] >> 2 | (code ^ 3) << (bits - 2);
}

static int emit_kmer(const kmers *all, const uint64_t *forward, const uint64_t *reverse, quern_emitter *out)
{
    uint64_t key[WORDS_MAX];
    unsigned differ = 0;
    while (differ + 1 < all->words && forward[differ] == reverse[differ])
        differ++;
    const uint64_t *kmer = forward[differ] < reverse[differ] ? forward : reverse;
    for (unsigned i = 0; i < all->words; i++)
        key[i] = __builtin_bswap64(kmer[i]);
    return quern_emit(out, quern_bytes(key, 8 * all->words), quern_bytes("", 0));
}

static int emit_long(const quern_block *reads, quern_emitter *out, void *user)
{
    const kmers *all = user;
    for (size_t i = 0; i < reads->count; i++) {
        const uint8_t *bases = reads->value[i];
        uint64_t forward[WORDS_MAX] = {0}, reverse[WORDS_MAX] = {0};
        unsigned length = 0;
        for (size_t at = 0; at < reads->value_bytes[i]; at++) {
            uint64_t code = all->codes[bases[at]];
            put_base(all, forward, reverse, code & 3);
            length = code > 3 ? 0 : length + 1;
            if (length >= all->k && emit_kmer(all, forward, reverse, out) != 0)
                return -1;
        }
    }
    return 0;
}

/* Letters instead of bits. */
static int spell(const quern_block *counts, quern_emitter *out, void *user)
{
    kmers *all = user;
    for (size_t i = 0; i < counts->count; i++) {
        uint64_t key[WORDS_MAX];
        memcpy(key, counts->key[i], counts->key_bytes[i]);
        for (unsigned word = 0; word < all->words && all->words > 1; word++)
            key[word] = __builtin_bswap64(key[word]);
        for (unsigned base = 0; base < all->k; base++) {
            unsigned below = all->k - 1 - base;
            all->text[base] = "ACGT"[key[all->words - 1 - below / 32] >> 2 * (below % 32) & 3];
        }
        quern_span count = quern_bytes(counts->value[i], counts->value_bytes[i]);
        if (quern_emit(out, quern_bytes(all->text, all->k), count) != 0)
            return -1;
    }
    return 0;
}

static void init_kmers(kmers *all, unsigned k)
{
    all->k = k;
    all->words = (k + 31) / 32;
    memset(all->codes, 4, sizeof all->codes);
    for (uint8_t code = 0; code < 4; code++)
        all->codes["ACGT"[code] + 0] = all->codes["acgt"[code] + 0] = code;
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"output", required_argument, NULL, 'o'}, {0}};
    static kmers all;
    const char *directory = NULL;
    char *end = NULL;
    long k = 0;
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, misused = status == QUERN_ERROR_INVALID_OPTION, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "k:o:", names, NULL)) != -1;) {
        misused |= option == '?';
        directory = option == 'o' ? optarg : directory;
        k = option == 'k' ? strtol(optarg, &end, 10) : k;
    }
    misused |= !directory || optind == argc || k < 1 || k > K_MAX || *end;
    if (!misused) {
        init_kmers(&all, (unsigned)k);
        quern_sequence_options in_pieces = {
            .struct_size = sizeof in_pieces, .piece_bases = PIECE_BASES, .overlap_bases = (uint32_t)k - 1};
        quern_schema found = {.key = all.words > 1 ? QUERN_BYTES : QUERN_U64, .value = QUERN_NONE},
                     spelled = {.key = QUERN_BYTES, .value = QUERN_U64};
        quern_dataset *reads =
            quern_read_sequences(context, (const char **)argv + optind, (size_t)(argc - optind), &in_pieces);
        quern_dataset *each = quern_flat_map_block(reads, found, all.words > 1 ? emit_long : emit_short, &all);
        quern_dataset *counts = quern_reduce_by_key(each, QUERN_COUNT);
        quern_write_text(quern_map_block(counts, spelled, spell, &all), directory);
        status = quern_run(context);
        if (status != QUERN_OK && speaks)
            fprintf(stderr, "kmercount: %s\n", quern_context_error_text(context));
    } else if (speaks)
        fprintf(stderr, "%s\nusage: kmercount -k K -o DIR PATH...\n", quern_context_error_text(context));
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
