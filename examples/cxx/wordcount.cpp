/* SPDX-License-Identifier: BSD-3-Clause. Counts words: mpirun -n N wordcount [-o DIR] [--top K] PATH... */
#include <cinttypes>
#include <cstdio>
#include <getopt.h>
#include <quern/quern.hpp>

namespace
{
struct request {
    std::string directory;
    std::uint64_t top = 20;
    bool prints = false;
    std::vector<std::string> paths;
};

/* False: the arguments are not understood. */
bool read_arguments(int argc, char **argv, request &asked)
{
    static const option names[] = {{"top", required_argument, nullptr, 'k'}, {nullptr, 0, nullptr, 0}};
    char *end = nullptr;
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, "o:", names, nullptr)) != -1;) {
        if (found == 'o')
            asked.directory = optarg;
        else if (found == 'k') {
            const long long top = std::strtoll(optarg, &end, 10);
            asked.top = static_cast<std::uint64_t>(top);
            asked.prints = true;
            if (top < 1 || *end)
                return false;
        } else
            return false;
    }
    asked.paths.assign(argv + optind, argv + argc);
    return !asked.paths.empty();
}

void count_words(quern::context &context, const request &asked)
{
    auto words_of = quern::options_of<quern_text_options>();
    words_of.delimiters = " \t\n\v\f\r";
    words_of.skip_empty = 1;
    const auto counts = context.read_text(asked.paths, &words_of).reduce_by_key(QUERN_COUNT);
    if (!asked.directory.empty())
        counts.write_text(asked.directory);
    if (asked.prints || asked.directory.empty())
        counts.top_k(asked.top, [](const quern::record &word) {
            const auto text = word.key<std::string_view>();
            std::printf("%" PRIu64 "\t", word.value<std::uint64_t>());
            std::fwrite(text.data(), 1, text.size(), stdout);
            if (std::putchar('\n') == EOF || std::fflush(stdout) != 0)
                throw std::runtime_error("standard output cannot be written");
        });
    context.run();
}

int explain(const quern::error &failure)
{
    if (failure.rank() == 0)
        std::fprintf(stderr, "wordcount: %s\n", failure.what());
    return failure.status() == QUERN_ERROR_INVALID_OPTION ? 2 : failure.exit_status();
}

/* Says why before the context ends: a rank that leaves MPI with an exit code may take the others along. */
int run(quern::context &context, const request &asked)
{
    try {
        count_words(context, asked);
        return 0;
    } catch (const quern::error &failure) {
        return explain(failure);
    }
}
} // namespace

int main(int argc, char **argv)
{
    try {
        quern::context context(argc, argv);
        request asked;
        if (read_arguments(argc, argv, asked))
            return run(context, asked);
        if (context.rank() == 0)
            std::fprintf(stderr, "usage: wordcount [-o DIR] [--top K] PATH...\n");
        return 2;
    } catch (const quern::error &failure) {
        return explain(failure);
    }
}
