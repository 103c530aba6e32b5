/* SPDX-License-Identifier: BSD-3-Clause */
/* The public headers from C++17, used as a C++ programmer would. Prints the most frequent words. */
#include <cinttypes>
#include <cstdio>
#include <memory>
#include <quern/quern.h>
#include <string>
#include <vector>

namespace
{
struct destroyer {
    void operator()(quern_context *context) const
    {
        quern_context_destroy(context);
    }
};

struct extremes {
    int64_t least, most;
    uint32_t count;
};

int to_extremes(const quern_record *in, quern_emitter *out, void *)
{
    const auto length = static_cast<int64_t>(in->key.bytes);
    const extremes one{length, length, 1};
    const auto first = quern_bytes(in->key.data, 1);
    return quern_emit(out, first, quern_bytes(&one, sizeof one));
}

int combine(void *into, const void *value, void *)
{
    auto *all = static_cast<extremes *>(into);
    const auto *more = static_cast<const extremes *>(value);
    all->least = more->least < all->least ? more->least : all->least;
    all->most = more->most > all->most ? more->most : all->most;
    all->count += more->count;
    return 0;
}

int to_count(const quern_record *in, quern_emitter *out, void *)
{
    extremes all{};
    memcpy(&all, in->value.data, sizeof all);
    const uint64_t number = all.count * UINT64_C(10000) + static_cast<uint64_t>(all.least * 100 + all.most);
    return quern_emit(out, in->key, quern_of_u64(&number));
}
} // namespace

int main(int argc, char **argv)
{
    quern_options options;
    quern_options_init(&options);
    options.split_bytes = 4096;
    quern_context *raw = nullptr;
    if (quern_context_create(&argc, argv, &options, &raw) != QUERN_OK) {
        std::fprintf(stderr, "%s\n", quern_context_error_text(nullptr));
        return 2;
    }
    const std::unique_ptr<quern_context, destroyer> context(raw);
    const std::string path = std::string(argv[1]) + "/words";
    const std::vector<const char *> paths{path.c_str()};
    const quern_text_options words_of{sizeof(quern_text_options), " \n", 1, QUERN_TEXT_NO_VALUE};
    std::vector<std::string> lines;
    auto *words = quern_read_text(context.get(), paths.data(), paths.size(), &words_of);
    auto *found = quern_flat_map(words, quern_schema{QUERN_BYTES, QUERN_FIXED, sizeof(extremes)}, to_extremes, nullptr);
    auto *counts = quern_flat_map(quern_reduce_by_key_with(found, combine, nullptr),
                                  quern_schema{QUERN_BYTES, QUERN_U64, 0}, to_count, nullptr);
    quern_top_k(
        counts, 100,
        [](const quern_record *record, void *user) {
            const std::string key(static_cast<const char *>(record->key.data), record->key.bytes);
            static_cast<std::vector<std::string> *>(user)->push_back(key + " " +
                                                                     std::to_string(quern_u64(record->value)));
            return 0;
        },
        &lines);
    const quern_status status = quern_run(context.get());
    for (const auto &line : lines)
        std::printf("%s\n", line.c_str());
    if (status != QUERN_OK)
        std::fprintf(stderr, "%s: %s\n", quern_status_name(status), quern_context_error_text(context.get()));
    return status != QUERN_OK;
}
