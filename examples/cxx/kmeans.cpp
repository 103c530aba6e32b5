/* SPDX-License-Identifier: BSD-3-Clause. Clusters points: mpirun -n N kmeans --k K [--iterations 20] PATH */
/*
 * A point is a line of numbers between white space. What is done, and what is printed, is that of ../kmeans.c.
 */
#include <array>
#include <cmath>
#include <cstdio>
#include <getopt.h>
#include <limits>
#include <quern/quern.hpp>

namespace
{
constexpr std::uint64_t bucket_count = 64; /* among which ranks divide the choice of the first centres */
constexpr std::uint64_t hash_key = UINT64_C(0x9e3779b97f4a7c15);
constexpr long long k_max = 100000;

struct request {
    std::uint64_t k = 0, iterations = 20;
    std::string path;
};

using point = std::vector<double>;

/* The bytes of its numbers. */
std::string_view bytes_of(const point &of)
{
    return {reinterpret_cast<const char *>(of.data()), of.size() * sizeof(double)};
}

void read_point(std::string_view bytes, point &to)
{
    to.resize(bytes.size() / sizeof(double));
    std::memcpy(to.data(), bytes.data(), to.size() * sizeof(double));
}

void parse_point(const std::string &text, point &to)
{
    const char *at = text.c_str(), *end = at + text.size();
    for (to.clear();;) {
        char *behind = nullptr;
        while (std::isspace(static_cast<unsigned char>(*at)))
            at++;
        if (at == end)
            return;
        const double number = std::strtod(at, &behind);
        if (behind == at || !std::isfinite(number) ||
            (behind < end && !std::isspace(static_cast<unsigned char>(*behind))))
            throw std::runtime_error("the line has something that is no finite number");
        to.push_back(number + 0.0); /* there is one zero only */
        at = behind;
    }
}

std::uint64_t hash_of(std::string_view data)
{
    std::uint64_t hash = data.size() * hash_key;
    for (const char byte : data)
        hash = (hash ^ static_cast<unsigned char>(byte)) * hash_key ^ hash >> 29;
    hash = (hash ^ hash >> 32) * hash_key;
    return hash ^ hash >> 29;
}

struct clustering {
    clustering(quern::context &context, const request &asked) : context_(context), asked_(asked) {}
    void run()
    {
        const auto points = read();
        choose_centers(points);
        improve_centers(points);
    }
    bool print() const
    {
        for (const auto &center : centers_)
            for (std::size_t i = 0; i < center.size(); i++)
                std::printf("%.17g%c", center[i], i + 1 < center.size() ? ' ' : '\n');
        return !std::ferror(stdout) && std::fflush(stdout) == 0;
    }

  private:
    /* A line becomes the bytes of its numbers; read once, for all iterations. */
    quern::dataset read()
    {
        return context_.read_text({asked_.path})
            .flat_map<std::string_view>(
                [this, text = std::string(), found = point()](const quern::record &line, auto &out) mutable {
                    text = line.key<std::string_view>();
                    parse_point(text, found);
                    if (found.empty())
                        return;
                    if (dimensions_here_ == 0)
                        dimensions_here_ = found.size();
                    if (found.size() != dimensions_here_)
                        throw std::runtime_error("the line has more or less numbers than others");
                    out(bytes_of(found));
                })
            .name("point of a line")
            .cache();
    }

    /* The k different points whose bytes have the largest hash: a choice as if by lot that is always the same. */
    void choose_centers(const quern::dataset &points)
    {
        const auto buckets = points.distinct().flat_map<std::uint64_t, std::string_view>(
            [ranked = std::string()](const quern::record &one, auto &out) mutable {
                const auto bytes = one.key<std::string_view>();
                const std::uint64_t hash = hash_of(bytes);
                ranked.clear();
                for (int shift = 56; shift >= 0; shift -= 8) /* compared as bytes: the high one first */
                    ranked.push_back(static_cast<char>(hash >> shift));
                ranked.append(bytes);
                out(hash % bucket_count, ranked);
            });
        const auto bucket = buckets.top_k_by_key(asked_.k).key_by<std::uint64_t>(
            [](const quern::record &) { return std::uint64_t(0); });
        bucket.top_k_by_key(asked_.k).collect(QUERN_COLLECT_ALL, [this](const quern::record &one) {
            centers_.emplace_back();
            read_point(one.value<std::string_view>().substr(sizeof(std::uint64_t)), centers_.back());
            if (centers_.back().size() != centers_.front().size())
                throw std::runtime_error("not all lines have the same number of numbers");
        });
        context_.run();
        if (centers_.size() < asked_.k)
            throw std::runtime_error("there are less different points than centres");
    }

    std::size_t nearest_center(const point &to) const
    {
        std::size_t nearest = 0;
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t center = 0; center < centers_.size(); center++) {
            double distance = 0;
            for (std::size_t i = 0; i < to.size(); i++)
                distance += (to[i] - centers_[center][i]) * (to[i] - centers_[center][i]);
            if (distance < least) {
                least = distance;
                nearest = center;
            }
        }
        return nearest;
    }

    /* Each point goes to the nearest centre, and each centre to the mean of its points, until nothing moves. */
    void improve_centers(const quern::dataset &points)
    {
        const std::size_t width = centers_.front().size() + 1;
        const auto assigned = points.flat_map<std::uint64_t, double>(
            [this, width, found = point()](const quern::record &one, auto &out) mutable {
                read_point(one.key<std::string_view>(), found);
                if (found.size() + 1 != width)
                    throw std::runtime_error("the line has more or less numbers than others");
                std::uint64_t place = nearest_center(found) * width;
                for (const double number : found)
                    out(place++, number);
                out(place, 1);
            });
        const auto sums = assigned.reduce_by_key(QUERN_SUM);
        bool moved = true;
        for (std::uint64_t i = 0; i < asked_.iterations && moved; i++) {
            const auto found = sums.columns<std::uint64_t, double>(QUERN_COLLECT_ALL);
            context_.run();
            moved = move_centers(found, width);
        }
    }

    bool move_centers(const quern::columns<std::uint64_t, double> &sums, std::size_t width)
    {
        std::vector<double> of(centers_.size() * width);
        bool moved = false;
        for (std::size_t i = 0; i < sums.size(); i++)
            of[sums.keys()[i]] = sums.values()[i];
        for (std::size_t center = 0; center < centers_.size(); center++) {
            const double *sum = &of[center * width], count = sum[width - 1];
            for (std::size_t i = 0; i + 1 < width && count > 0; i++) {
                const double mean = sum[i] / count + 0.0;
                moved |= !(centers_[center][i] == mean);
                centers_[center][i] = mean;
            }
        }
        return moved;
    }

    quern::context &context_;
    const request &asked_;
    std::size_t dimensions_here_ =
        0; /* of the first line that this rank saw; ranks compare them by the first centres */
    std::vector<point> centers_;
};

/* A number from 0 on. -1: the text is none. */
long long read_count(const char *text)
{
    char *end = nullptr;
    const long long count = std::strtoll(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == 0 ? count : -1;
}

bool read_arguments(int argc, char **argv, request &asked)
{
    static const option names[] = {{"k", required_argument, nullptr, 'k'},
                                   {"iterations", required_argument, nullptr, 'i'},
                                   {nullptr, 0, nullptr, 0}};
    opterr = 0;
    for (int found; (found = getopt_long(argc, argv, "", names, nullptr)) != -1;) {
        const long long count = found == '?' ? -1 : read_count(optarg);
        if (count < 0)
            return false;
        (found == 'k' ? asked.k : asked.iterations) = static_cast<std::uint64_t>(count);
    }
    if (optind != argc - 1 || asked.k < 1 || asked.k > k_max)
        return false;
    asked.path = argv[optind];
    return true;
}

/* Says why before the context ends: a rank that leaves MPI with an exit code may take the others along. */
int run(quern::context &context, const request &asked)
{
    const bool speaks = context.rank() == 0;
    try {
        clustering found(context, asked);
        found.run();
        return speaks && !found.print();
    } catch (const std::exception &failure) { /* of all ranks alike */
        if (speaks)
            std::fprintf(stderr, "kmeans: %s\n", failure.what());
        return 1;
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
            std::fprintf(stderr, "usage: kmeans --k K [--iterations N] PATH\n");
        return 2;
    } catch (const quern::error &failure) {
        if (failure.rank() == 0)
            std::fprintf(stderr, "kmeans: %s\n", failure.what());
        return failure.status() == QUERN_ERROR_INVALID_OPTION ? 2 : failure.exit_status();
    }
}
