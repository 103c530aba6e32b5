/* SPDX-License-Identifier: BSD-3-Clause */
/* Every operator and reduction against a naive model. The pure functions of the user (times_of, keeps, …) are shared with the
 * model; how records travel is not. */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "api_kit.h"

#define RECORD_COUNT 12000
#define WORD_COUNT   700

typedef struct item {
    char word[32];
    int64_t number;
} item;

static item items[RECORD_COUNT];
static const char *input[1];

/* ---- the user's functions ---- */

static int times_of(int64_t number)
{
    return (int)((uint64_t)number % 4);
}

static bool keeps(int64_t number)
{
    return number % 3 != 0;
}

static int64_t changed(int64_t number)
{
    return number % 2 == 0 ? number / 2 : -3 * number;
}

static uint64_t unsigned_of(int64_t number)
{
    return (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15) >> 3 << 1;
}

static item parse(const void *data, size_t bytes)
{
    item got = {.number = 0};
    const char *text = data;
    size_t at = 0;
    for (; at < bytes && text[at] != ' ' && at < sizeof got.word - 1; at++)
        got.word[at] = text[at];
    got.number = (int64_t)kit_number(quern_bytes(text + at, bytes - at));
    return got;
}

static void make_input(void)
{
    uint64_t state = 7;
    const char *names[] = {"in/a", "in/b", "in/sub/d"};
    kit_text files[3] = {0}, empty = {0};
    for (int i = 0; i < RECORD_COUNT; i++) {
        uint64_t random = kit_random(&state);
        uint64_t word = random % WORD_COUNT * (random >> 32 & 0xfff) / 0xfff;
        snprintf(items[i].word, sizeof items[i].word, word % 7 == 0 ? "a-rather-long-word-%05" PRIu64 : "w%" PRIu64,
                 word);
        items[i].number = (int64_t)(kit_random(&state) % 2000001) - 1000000;
        kit_text *file = &files[i / (RECORD_COUNT / 3 + 1)];
        kit_put(file, "%s %" PRId64, items[i].word, items[i].number);
        if (i % 997 == 0) /* longer than a chunk of the reader now and then */
            for (int j = 0; j < (i % 5 == 0 ? 30000 : 300); j++)
                kit_put(file, " filler%04d", j);
        if (i != RECORD_COUNT / 3) /* the last line of the first file has no end */
            kit_put(file, "\n");
    }
    input[0] = strdup(kit_path("in")); /* kit_path() uses its memory again */
    if (kit_rank() == 0) {
        mkdir(kit_path("in"), 0777);
        mkdir(kit_path("in/sub"), 0777);
        for (int i = 0; i < 3; i++)
            kit_write(kit_path("%s", names[i]), &files[i]);
        kit_write(kit_path("in/c"), &empty);
    }
    for (int i = 0; i < 3; i++)
        kit_free(&files[i]);
    kit_barrier();
}

/* ---- callbacks: as records, and as blocks ---- */

static const quern_schema word_i64 = {QUERN_BYTES, QUERN_I64, 0};

static int emit_item(quern_emitter *out, const void *data, size_t bytes)
{
    item got = parse(data, bytes);
    for (int i = 0; i < times_of(got.number); i++) {
        int64_t number = got.number + i;
        if (quern_emit(out, quern_text(got.word), quern_of_i64(&number)))
            return 1;
    }
    return 0;
}

static int explode(const quern_record *in, quern_emitter *out, void *user)
{
    (void)user;
    CHECK(in->value.bytes == 0 && in->value.data != NULL);
    return emit_item(out, in->key.data, in->key.bytes);
}

static int explode_block(const quern_block *in, quern_emitter *out, void *user)
{
    (void)user;
    CHECK(in->count > 0 && in->value == NULL);
    for (size_t i = 0; i < in->count; i++)
        if (emit_item(out, in->key[i], in->key_bytes[i]))
            return 1;
    return 0;
}

static int keep(const quern_record *in, int *keep_out, void *user)
{
    CHECK(*keep_out == 1 && user == input);
    *keep_out = keeps(quern_i64(in->value));
    return 0;
}

static int keep_block(const quern_block *in, uint8_t *keep_out, void *user)
{
    CHECK(user == input);
    for (size_t i = 0; i < in->count; i++) {
        CHECK(keep_out[i] == 1 && in->value_bytes[i] == 8);
        keep_out[i] = keeps(quern_i64(quern_bytes(in->value[i], 8)));
    }
    return 0;
}

/* The key in capitals, in memory that lives until the next call. */
static int change(const quern_record *in, quern_record *out, void *user)
{
    static char word[32];
    static int64_t number;
    (void)user;
    CHECK(out->key.data == in->key.data && out->key.bytes == in->key.bytes && in->key.bytes < sizeof word);
    for (size_t i = 0; i < in->key.bytes; i++)
        word[i] = (char)toupper(((const char *)in->key.data)[i]);
    number = changed(quern_i64(in->value));
    out->key = quern_bytes(word, in->key.bytes);
    out->value = quern_of_i64(&number);
    return 0;
}

static int change_block(const quern_block *in, quern_emitter *out, void *user)
{
    for (size_t i = 0; i < in->count; i++) {
        quern_record record = {quern_bytes(in->key[i], in->key_bytes[i]),
                               quern_bytes(in->value[i], in->value_bytes[i])};
        quern_record given = record;
        change(&record, &given, user);
        if (quern_emit(out, given.key, given.value))
            return 1;
    }
    return 0;
}

static quern_dataset *chain(quern_context *context, bool blocks)
{
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    if (blocks)
        return quern_map_block(
            quern_filter_block(quern_flat_map_block(lines, word_i64, explode_block, NULL), keep_block, input), word_i64,
            change_block, NULL);
    return quern_map(quern_filter(quern_flat_map(lines, word_i64, explode, NULL), keep, input), word_i64, change, NULL);
}

/* ---- the model ---- */

typedef void (*each_fn)(const char *word, int64_t number, void *user);

static void model_chain(each_fn fn, void *user)
{
    for (int i = 0; i < RECORD_COUNT; i++) {
        for (int j = 0; j < times_of(items[i].number); j++) {
            int64_t number = items[i].number + j;
            char word[32];
            size_t bytes = strlen(items[i].word);
            if (!keeps(number))
                continue;
            for (size_t k = 0; k <= bytes; k++)
                word[k] = (char)toupper(items[i].word[k]);
            fn(word, changed(number), user);
        }
    }
}

enum { SUM, MIN, MAX, COUNT };
static const quern_reduction reductions[] = {QUERN_SUM, QUERN_MIN, QUERN_MAX, QUERN_COUNT};

static void fold(kit_entry *entry, int64_t number, bool is_signed)
{
    int64_t *value = (int64_t *)entry->value;
    uint64_t *plain = entry->value;
    entry->value[COUNT]++;
    if (is_signed) {
        value[SUM] += number;
        value[MIN] = entry->is_new || number < value[MIN] ? number : value[MIN];
        value[MAX] = entry->is_new || number > value[MAX] ? number : value[MAX];
    } else {
        plain[SUM] += unsigned_of(number) >> 20;
        plain[MIN] = entry->is_new || unsigned_of(number) < plain[MIN] ? unsigned_of(number) : plain[MIN];
        plain[MAX] = entry->is_new || unsigned_of(number) > plain[MAX] ? unsigned_of(number) : plain[MAX];
    }
}

static void fold_word(const char *word, int64_t number, void *model)
{
    fold(kit_at(model, word, strlen(word)), number, true);
}

typedef struct printing {
    kit_text *text;
    int which;
    bool is_signed;
    quern_type key;
} printing;

static void print_entry(const kit_entry *entry, void *user)
{
    const printing *how = user;
    if (how->key == QUERN_BYTES)
        kit_put_bytes(how->text, entry->key, entry->key_bytes);
    else if (how->key == QUERN_I64)
        kit_put(how->text, "%" PRId64, quern_i64(quern_bytes(entry->key, 8)));
    else
        kit_put(how->text, "%" PRIu64, quern_u64(quern_bytes(entry->key, 8)));
    if (how->is_signed && how->which != COUNT)
        kit_put(how->text, "\t%" PRId64 "\n", (int64_t)entry->value[how->which]);
    else
        kit_put(how->text, "\t%" PRIu64 "\n", entry->value[how->which]);
}

static void check_reduction(const char *output, kit_model *model, int which, bool is_signed, quern_type key)
{
    kit_text expected = {0};
    printing how = {&expected, which, is_signed, key};
    kit_each(model, print_entry, &how);
    kit_check_output(output, &expected, false);
    kit_free(&expected);
}

/* ---- cases ---- */

static void append_line(const char *word, int64_t number, void *text)
{
    kit_put(text, "%s\t%" PRId64 "\n", word, number);
}

static void operators_and_their_block_forms_agree_with_the_model(void)
{
    quern_context *context = kit_context(NULL);
    kit_model model = {0};
    kit_text in_order = {0};
    model_chain(fold_word, &model);
    model_chain(append_line, &in_order);
    for (int blocks = 0; blocks < 2; blocks++) {
        quern_dataset *changed_words = chain(context, blocks);
        for (int i = 0; i < 4; i++) {
            quern_dataset *reduced = quern_reduce_by_key(changed_words, reductions[i]);
            CHECK(quern_name(reduced, "reduced") == reduced);
            CHECK_SAME(quern_write_text(reduced, kit_path("reduced%d.%d", blocks, i)), QUERN_OK);
        }
        CHECK_SAME(quern_write_text(changed_words, kit_path("mapped%d", blocks)), QUERN_OK);
        kit_run(context);
        for (int i = 0; i < 4; i++)
            check_reduction(kit_path("reduced%d.%d", blocks, i), &model, i, true, QUERN_BYTES);
        kit_check_output(kit_path("mapped%d", blocks), &in_order, true);
    }
    kit_free(&in_order);
    kit_forget(&model);
    quern_context_destroy(context);
}

/* user: NULL for keys of I64 and values of U64, else the other way round. */
static int to_numbers(const quern_record *in, quern_emitter *out, void *user)
{
    item got = parse(in->key.data, in->key.bytes);
    int64_t bucket = got.number % 501;
    uint64_t large = UINT64_MAX - (uint64_t)bucket, value = unsigned_of(got.number);
    if (user)
        return quern_emit(out, quern_of_u64(&large), quern_of_i64(&got.number));
    return quern_emit(out, quern_of_i64(&bucket), quern_of_u64(&value));
}

static int shrink(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t value;
    (void)user;
    value = quern_u64(in->value) >> 20;
    out->value = quern_of_u64(&value);
    return 0;
}

static void integer_keys_of_both_kinds_reduce_right(void)
{
    quern_context *context = kit_context(NULL);
    const quern_schema schemas[] = {{QUERN_I64, QUERN_U64, 0}, {QUERN_U64, QUERN_I64, 0}};
    for (int kind = 0; kind < 2; kind++) {
        kit_model model = {0};
        for (int i = 0; i < RECORD_COUNT; i++) {
            int64_t bucket = items[i].number % 501;
            uint64_t large = UINT64_MAX - (uint64_t)bucket;
            fold(kit_at(&model, kind ? (const void *)&large : (const void *)&bucket, 8), items[i].number, kind == 1);
        }
        quern_dataset *numbers =
            quern_flat_map(quern_read_text(context, input, 1, NULL), schemas[kind], to_numbers, kind ? input : NULL);
        for (int i = 0; i < 4; i++) {
            bool small = i == SUM && kind == 0;
            quern_dataset *in = small ? quern_map(numbers, schemas[0], shrink, NULL) : numbers;
            quern_write_text(quern_reduce_by_key(in, reductions[i]), kit_path("numbers%d.%d", kind, i));
        }
        kit_run(context);
        for (int i = 0; i < 4; i++)
            check_reduction(kit_path("numbers%d.%d", kind, i), &model, i, kind == 1, schemas[kind].key);
        kit_forget(&model);
    }
    quern_context_destroy(context);
}

/* Structs of 1, 12 and 256 bytes, and a plain integer: user is the number of bytes. */
static void make_value(int64_t number, size_t bytes, uint8_t *value)
{
    for (size_t i = 0; i < bytes; i++)
        value[i] = (uint8_t)((uint64_t)number >> i % 5);
}

static int to_struct(const quern_record *in, quern_emitter *out, void *user)
{
    uint8_t value[QUERN_FIXED_BYTES_MAX];
    size_t bytes = *(const size_t *)user;
    item got = parse(in->key.data, in->key.bytes);
    make_value(got.number, bytes, value);
    return quern_emit(out, quern_text(got.word), quern_bytes(value, bytes));
}

static int add_bytes(void *into, const void *value, void *user)
{
    CHECK((uintptr_t)into % 8 == 0 && (uintptr_t)value % 8 == 0);
    for (size_t i = 0; i < *(const size_t *)user; i++)
        ((uint8_t *)into)[i] = (uint8_t)(((uint8_t *)into)[i] + ((const uint8_t *)value)[i]);
    return 0;
}

static void put_hex(kit_text *text, const uint8_t *value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        kit_put(text, "%02x", value[i]);
}

static int to_hex(const quern_record *in, quern_record *out, void *user)
{
    static kit_text text;
    CHECK(in->value.bytes == *(const size_t *)user);
    text.bytes = 0;
    put_hex(&text, in->value.data, in->value.bytes);
    out->value = quern_bytes(text.data, text.bytes);
    return 0;
}

typedef struct hex_printing {
    kit_text text;
    size_t bytes;
} hex_printing;

static void print_hex(const kit_entry *entry, void *user)
{
    hex_printing *how = user;
    kit_put(&how->text, "%s\t", entry->key);
    put_hex(&how->text, (const uint8_t *)entry->value, how->bytes);
    kit_put(&how->text, "\n");
}

static void check_structs(int which, size_t bytes)
{
    kit_model model = {0}, counts = {0};
    hex_printing expected = {.bytes = bytes};
    for (int i = 0; i < RECORD_COUNT; i++) {
        uint8_t value[QUERN_FIXED_BYTES_MAX];
        make_value(items[i].number, bytes, value);
        uint8_t *sums = (uint8_t *)kit_at(&model, items[i].word, strlen(items[i].word))->value;
        for (size_t k = 0; k < bytes; k++)
            sums[k] = (uint8_t)(sums[k] + value[k]);
        kit_at(&counts, items[i].word, strlen(items[i].word))->value[COUNT]++;
    }
    kit_each(&model, print_hex, &expected);
    kit_check_output(kit_path("struct%d", which), &expected.text, false);
    check_reduction(kit_path("count%d", which), &counts, COUNT, false, QUERN_BYTES);
    kit_free(&expected.text);
    kit_forget(&model);
    kit_forget(&counts);
}

static void user_reductions_combine_structs_of_any_size(void)
{
    static size_t sizes[] = {1, 12, 256, 8};
    const quern_schema text = {QUERN_BYTES, QUERN_BYTES, 0};
    quern_context *context = kit_context(NULL);
    quern_dataset *lines = quern_read_text(context, input, 1, NULL);
    for (int i = 0; i < 4; i++) {
        quern_schema schema = {QUERN_BYTES, sizes[i] == 8 ? QUERN_I64 : QUERN_FIXED, (uint32_t)sizes[i]};
        quern_dataset *structs = quern_flat_map(lines, schema, to_struct, &sizes[i]);
        quern_dataset *sums = quern_reduce_by_key_with(structs, add_bytes, &sizes[i]);
        quern_write_text(quern_map(sums, text, to_hex, &sizes[i]), kit_path("struct%d", i));
        quern_write_text(quern_reduce_by_key(structs, QUERN_COUNT), kit_path("count%d", i));
    }
    kit_run(context);
    for (int i = 0; i < 4; i++)
        check_structs(i, sizes[i]);
    quern_context_destroy(context);
}

/* ---- graphs of more than one reduction ---- */

static int swap_count(const quern_record *in, quern_record *out, void *user)
{
    static uint64_t count;
    (void)user;
    count = quern_u64(in->value);
    out->key = quern_of_u64(&count);
    out->value = quern_of_u64(&count);
    return 0;
}

static int word_of_line(const quern_record *in, quern_record *out, void *user)
{
    static item got;
    (void)user;
    got = parse(in->key.data, in->key.bytes);
    out->key = quern_text(got.word);
    return 0;
}

static int last_digit(const quern_record *in, quern_record *out, void *user)
{
    static int64_t digit;
    (void)user;
    digit = (int64_t)(quern_u64(in->key) % 10) - 5;
    out->key = quern_of_i64(&digit);
    return 0;
}

static const quern_schema only_key = {QUERN_BYTES, QUERN_NONE, 0};
static const quern_schema u64_u64 = {QUERN_U64, QUERN_U64, 0};
static const quern_schema i64_u64 = {QUERN_I64, QUERN_U64, 0};

static void count_again(const kit_entry *entry, void *histogram)
{
    uint64_t count = entry->value[COUNT];
    kit_entry *again = kit_at(histogram, &count, 8);
    again->value[COUNT]++;
    again->value[SUM] += count;
}

static void by_digit(const kit_entry *entry, void *digits)
{
    int64_t digit = (int64_t)(quern_u64(quern_bytes(entry->key, 8)) % 10) - 5;
    kit_at(digits, &digit, 8)->value[SUM] += entry->value[SUM];
}

static void model_counts(kit_model *counts)
{
    for (int i = 0; i < RECORD_COUNT; i++)
        kit_at(counts, items[i].word, strlen(items[i].word))->value[COUNT]++;
}

static void three_reductions_behind_each_other_agree_with_the_model(void)
{
    quern_context *context = kit_context(NULL);
    kit_model counts = {0}, histogram = {0}, digits = {0};
    model_counts(&counts);
    kit_each(&counts, count_again, &histogram);
    kit_each(&histogram, by_digit, &digits);
    quern_dataset *words = quern_map(quern_read_text(context, input, 1, NULL), only_key, word_of_line, NULL);
    quern_dataset *word_counts = quern_reduce_by_key(words, QUERN_COUNT);
    quern_dataset *sums = quern_reduce_by_key(quern_map(word_counts, u64_u64, swap_count, NULL), QUERN_SUM);
    quern_write_text(quern_reduce_by_key(quern_map(sums, i64_u64, last_digit, NULL), QUERN_SUM), kit_path("digits"));
    kit_run(context);
    check_reduction(kit_path("digits"), &digits, SUM, false, QUERN_I64);
    /* The middle of the chain, afterwards and in a run of its own. */
    quern_write_text(sums, kit_path("sums"));
    quern_write_text(word_counts, kit_path("words"));
    kit_run(context);
    check_reduction(kit_path("sums"), &histogram, SUM, false, QUERN_U64);
    check_reduction(kit_path("words"), &counts, COUNT, false, QUERN_BYTES);
    /* A reduction right behind a reduction: every key has one value. */
    quern_write_text(quern_reduce_by_key(quern_reduce_by_key(word_counts, QUERN_MAX), QUERN_SUM), kit_path("same"));
    kit_run(context);
    check_reduction(kit_path("same"), &counts, COUNT, false, QUERN_BYTES);
    kit_forget(&counts);
    kit_forget(&histogram);
    kit_forget(&digits);
    quern_context_destroy(context);
}

/* ---- several outputs ---- */

typedef struct top_list {
    kit_text text;
    uint64_t calls;
    uint64_t last;
} top_list;

static int take_top(const quern_record *record, void *user)
{
    top_list *list = user;
    uint64_t count = quern_u64(record->value);
    CHECK(kit_rank() == 0);
    CHECK(list->calls == 0 || count <= list->last);
    list->last = count;
    list->calls++;
    kit_put(&list->text, "%" PRIu64 " ", count);
    kit_put_bytes(&list->text, record->key.data, record->key.bytes);
    kit_put(&list->text, "\n");
    return 0;
}

typedef struct ranking {
    const kit_entry **entries;
    size_t count;
} ranking;

static void collect(const kit_entry *entry, void *user)
{
    ranking *all = user;
    all->entries[all->count++] = entry;
}

static int compare_ranks(const void *a, const void *b)
{
    const kit_entry *left = *(const kit_entry *const *)a, *right = *(const kit_entry *const *)b;
    if (left->value[COUNT] != right->value[COUNT])
        return left->value[COUNT] > right->value[COUNT] ? -1 : 1;
    return strcmp(left->key, right->key);
}

static void check_top(top_list *list, kit_model *counts, size_t k)
{
    ranking all = {calloc(counts->count, sizeof *all.entries), 0};
    kit_text expected = {0};
    kit_each(counts, collect, &all);
    qsort(all.entries, all.count, sizeof *all.entries, compare_ranks);
    for (size_t i = 0; i < k && i < all.count; i++)
        kit_put(&expected, "%" PRIu64 " %s\n", all.entries[i]->value[COUNT], all.entries[i]->key);
    if (kit_rank() == 0) {
        CHECK_SAME(list->text.bytes, expected.bytes);
        CHECK(memcmp(list->text.data, expected.data, expected.bytes) == 0);
    } else
        CHECK_SAME(list->calls, 0);
    free(all.entries);
    kit_free(&expected);
    kit_free(&list->text);
    *list = (top_list){0};
}

static int is_even(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = quern_u64(in->value) % 2 == 0;
    return 0;
}

static void print_even(const kit_entry *entry, void *text)
{
    if (entry->value[COUNT] % 2 == 0)
        kit_put(text, "%s\t%" PRIu64 "\n", entry->key, entry->value[COUNT]);
}

static void many_outputs_of_one_run_are_all_right(void)
{
    quern_context *context = kit_context(NULL);
    kit_model counts = {0}, histogram = {0};
    kit_text even = {0};
    top_list few = {0}, all = {0}, one = {0};
    model_counts(&counts);
    kit_each(&counts, count_again, &histogram);
    kit_each(&counts, print_even, &even);
    quern_dataset *words = quern_map(quern_read_text(context, input, 1, NULL), only_key, word_of_line, NULL);
    quern_dataset *word_counts = quern_reduce_by_key(words, QUERN_COUNT);
    for (int run = 0; run < 2; run++) {
        CHECK_SAME(quern_top_k(word_counts, 25, take_top, &few), QUERN_OK);
        CHECK_SAME(quern_write_text(word_counts, kit_path("counts%d", run)), QUERN_OK);
        quern_write_text(quern_filter(word_counts, is_even, NULL), kit_path("even%d", run));
        quern_top_k(word_counts, UINT64_C(1) << 31, take_top, &all);
        quern_write_text(quern_reduce_by_key(quern_map(word_counts, u64_u64, swap_count, NULL), QUERN_SUM),
                         kit_path("sums%d", run));
        quern_top_k(word_counts, 1, take_top, &one);
        kit_run(context);
        check_top(&few, &counts, 25);
        check_top(&all, &counts, SIZE_MAX);
        check_top(&one, &counts, 1);
        check_reduction(kit_path("counts%d", run), &counts, COUNT, false, QUERN_BYTES);
        check_reduction(kit_path("sums%d", run), &histogram, SUM, false, QUERN_U64);
        kit_check_output(kit_path("even%d", run), &even, false);
    }
    kit_run(context); /* what was asked for is done: nothing is written or handed out again */
    CHECK_SAME(few.calls, 0);
    kit_forget(&counts);
    kit_forget(&histogram);
    kit_free(&even);
    quern_context_destroy(context);
}

/* Two outputs that both read the input themselves. */
static int number_of_line(const quern_record *in, quern_emitter *out, void *user)
{
    item got = parse(in->key.data, in->key.bytes);
    (void)user;
    return quern_emit(out, quern_of_i64(&got.number), quern_of_i64(&got.number));
}

typedef struct order_check {
    uint64_t calls;
    int64_t last;
} order_check;

static int take_number(const quern_record *record, void *user)
{
    order_check *seen = user;
    int64_t number = quern_i64(record->value);
    CHECK(number == quern_i64(record->key) && (seen->calls == 0 || number <= seen->last));
    seen->last = number;
    seen->calls++;
    return 0;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t left = ((const item *)a)->number, right = ((const item *)b)->number;
    return left > right ? -1 : left < right;
}

static void top_k_without_a_reduction_sees_every_record(void)
{
    quern_context *context = kit_context(NULL);
    quern_schema i64_i64 = {QUERN_I64, QUERN_I64, 0};
    order_check few = {0}, all = {0};
    quern_dataset *numbers = quern_flat_map(quern_read_text(context, input, 1, NULL), i64_i64, number_of_line, NULL);
    quern_top_k(numbers, 10, take_number, &few);
    quern_top_k(numbers, 1000000, take_number, &all);
    kit_run(context);
    qsort(items, RECORD_COUNT, sizeof *items, compare_numbers);
    if (kit_rank() == 0) {
        CHECK_SAME(few.calls, 10);
        CHECK_SAME(few.last, items[9].number);
        CHECK_SAME(all.calls, RECORD_COUNT);
        CHECK_SAME(all.last, items[RECORD_COUNT - 1].number);
    }
    quern_context_destroy(context);
}

/* ---- edges ---- */

static int never(const quern_record *in, quern_record *out, void *user)
{
    (void)in;
    (void)out;
    (void)user;
    kit_fail(__FILE__, __LINE__, "called without input");
}

static void empty_inputs_give_empty_outputs(void)
{
    quern_context *context = kit_context(NULL);
    const char *nothing[] = {kit_path("nothing"), kit_path("empty")};
    kit_text empty = {0};
    top_list list = {0};
    if (kit_rank() == 0) {
        mkdir(nothing[0], 0777);
        kit_write(nothing[1], &empty);
    }
    kit_barrier();
    kit_run(context); /* no outputs at all */
    for (size_t count = 0; count <= 2; count++) {
        quern_dataset *lines = quern_read_text(context, count ? nothing : NULL, count, NULL);
        quern_dataset *counts = quern_reduce_by_key(quern_map(lines, only_key, never, NULL), QUERN_COUNT);
        quern_write_text(lines, kit_path("empty-map%zu", count));
        quern_write_text(counts, kit_path("empty-reduce%zu", count));
        quern_write_text(quern_reduce_by_key(quern_map(counts, u64_u64, swap_count, NULL), QUERN_MIN),
                         kit_path("empty-again%zu", count));
        quern_top_k(counts, 5, take_top, &list);
        kit_run(context);
        kit_check_output(kit_path("empty-map%zu", count), &empty, true);
        kit_check_output(kit_path("empty-reduce%zu", count), &empty, true);
        kit_check_output(kit_path("empty-again%zu", count), &empty, true);
        CHECK_SAME(list.calls, 0);
    }
    kit_run(context);
    kit_free(&empty);
    quern_context_destroy(context);
}

static bool drops(uint64_t number)
{
    return number % 7 == 0;
}

static int drop_some(const quern_record *in, int *keep_out, void *user)
{
    (void)user;
    *keep_out = !drops(kit_number(in->key));
    return 0;
}

static void outputs_without_a_reduction_keep_the_order_of_the_input(void)
{
    const uint64_t splits[] = {1, 17, 1000, 65536, 1 << 20};
    const uint64_t counts[] = {7, 60, 3000, 60000, 60000};
    for (int i = 0; i < 5; i++) {
        kit_text lines = {0}, kept = {0};
        for (uint64_t j = 0; j < counts[i]; j++) {
            kit_put(&lines, j + 1 == counts[i] ? "%" PRIu64 : "%" PRIu64 "\n", j);
            if (!drops(j))
                kit_put(&kept, "%" PRIu64 "\n", j);
        }
        const char *paths[] = {kit_path("lines%d", i)}; /* copied before kit_path() comes round */
        if (kit_rank() == 0)
            kit_write(paths[0], &lines);
        quern_options options;
        quern_options_init(&options);
        options.split_bytes = splits[i];
        quern_context *context = kit_context(&options);
        quern_write_text(quern_filter(quern_read_text(context, paths, 1, NULL), drop_some, NULL),
                         kit_path("ordered%d", i));
        kit_run(context);
        kit_check_output(kit_path("ordered%d", i), &kept, true);
        quern_context_destroy(context);
        kit_free(&lines);
        kit_free(&kept);
    }
}

static void the_longest_chain_works_and_a_longer_one_is_refused(void)
{
    quern_context *context = kit_context(NULL);
    kit_text in_order = {0};
    quern_dataset *words = quern_map(quern_read_text(context, input, 1, NULL), only_key, word_of_line, NULL);
    for (int i = 0; i < RECORD_COUNT; i++)
        kit_put(&in_order, "%s\n", items[i].word);
    for (int i = 1; i < 64; i++)
        words = quern_map(words, only_key, word_of_line, NULL);
    quern_write_text(words, kit_path("long"));
    kit_run(context);
    kit_check_output(kit_path("long"), &in_order, true);
    quern_write_text(quern_map(words, only_key, word_of_line, NULL), kit_path("longer"));
    CHECK_HAS(kit_run_fails(context, QUERN_ERROR_INVALID_PLAN), "64");
    kit_check_no_output(kit_path("longer"));
    kit_free(&in_order);
    quern_context_destroy(context);
}

int main(int argc, char **argv)
{
    kit_start(&argc, &argv);
    make_input();
    RUN(operators_and_their_block_forms_agree_with_the_model, 20);
    RUN(integer_keys_of_both_kinds_reduce_right, 20);
    RUN(user_reductions_combine_structs_of_any_size, 20);
    RUN(three_reductions_behind_each_other_agree_with_the_model, 20);
    RUN(many_outputs_of_one_run_are_all_right, 20);
    RUN(empty_inputs_give_empty_outputs, 20);
    RUN(outputs_without_a_reduction_keep_the_order_of_the_input, 20);
    RUN(the_longest_chain_works_and_a_longer_one_is_refused, 20);
    RUN(top_k_without_a_reduction_sees_every_record, 20); /* sorts the items */
    return kit_finish();
}
