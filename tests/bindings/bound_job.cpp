/* SPDX-License-Identifier: BSD-3-Clause */
/* quern.hpp by its calls: usage: bound_job DIRECTORY CASE...; rank 0 says which hold. */
#include <cstdio>
#include <functional>
#include <map>
#include <quern/quern.hpp>

namespace
{
struct extremes {
    std::int64_t least = INT64_MAX, most = INT64_MIN;
};

void expect(bool holds, const char *what)
{
    if (!holds)
        throw std::logic_error(what);
}
#define EXPECT(condition) expect(condition, #condition)

/* Numbers 0 … 999 of each rank, under their rests. */
struct numbers {
    std::vector<std::uint32_t> keys;
    std::vector<std::int64_t> values;
    numbers() : keys(1000), values(1000)
    {
        for (std::size_t i = 0; i < keys.size(); i++) {
            keys[i] = static_cast<std::uint32_t>(i % 7);
            values[i] = static_cast<std::int64_t>(i);
        }
    }
    quern::dataset read(quern::context &context) const
    {
        return context.read_memory(keys.data(), values.data(), keys.size());
    }
};

std::map<std::uint32_t, std::int64_t> table(quern::context &context, const quern::dataset &of)
{
    std::map<std::uint32_t, std::int64_t> made;
    const auto found = of.columns<std::uint32_t, std::int64_t>(QUERN_COLLECT_ALL);
    context.run();
    for (std::size_t i = 0; i < found.size(); i++)
        made[found.key(i)] = found.values()[i];
    return made;
}

void operators(quern::context &context, const std::string &)
{
    const numbers mine;
    const std::int64_t ranks = context.size();
    const auto all = mine.read(context);
    auto sums = table(context, all.reduce_by_key(QUERN_SUM));
    EXPECT(sums.size() == 7 && sums[6] == (6 + 993) * 142 / 2 * ranks);
    const auto counted = context.counter("odd ones");
    const auto odd = all.filter([counted](const quern::record &one) {
        const bool keep = one.value<std::int64_t>() % 2 == 1;
        counted.add(keep);
        return keep;
    });
    const auto largest = odd.reduce_by_key_with<std::int64_t>(
        [](std::int64_t &into, const std::int64_t &value) { into = value > into ? value : into; });
    auto most = table(context, largest);
    EXPECT(most[6] == 993 && most[0] == 987 && counted.value() == 500 * ranks);
    const auto spans = all.aggregate_by_key<extremes, std::int64_t, std::int64_t>(
        [](extremes &into, std::int64_t value) {
            into.least = value < into.least ? value : into.least;
            into.most = value > into.most ? value : into.most;
        },
        [](extremes &into, const extremes &other) {
            into.least = other.least < into.least ? other.least : into.least;
            into.most = other.most > into.most ? other.most : into.most;
        },
        [](const extremes &of) { return of.most - of.least; });
    EXPECT(table(context, spans)[5] == 999 - 5);
    const auto whole = all.aggregate_by_key<extremes, std::int64_t>([](extremes &, std::int64_t) {},
                                                                    [](extremes &, const extremes &) {});
    EXPECT(whole.types().value == QUERN_FIXED && whole.types().value_bytes == sizeof(extremes));
    const auto longest = all.group_by_key<std::uint32_t, std::uint32_t, std::int64_t>(
        [](std::uint32_t key, quern::values &of, auto &out) {
            std::int64_t value = 0, count = 0;
            while (of.next(value))
                count++;
            of.rewind();
            EXPECT(of.next(value));
            out(key, count);
        });
    EXPECT(table(context, longest)[0] == 143 * ranks);
    const auto doubled = all.map<std::uint32_t, std::int64_t>([](const quern::record &one) {
        return std::make_pair(one.key<std::uint32_t>(), 2 * one.value<std::int64_t>());
    });
    EXPECT(table(context, doubled.reduce_by_key(QUERN_MAX))[0] == 2 * 994);
    const auto joined = doubled.reduce_by_key(QUERN_MAX).join<std::uint32_t, std::uint32_t, std::int64_t>(
        odd.reduce_by_key(QUERN_MIN), QUERN_JOIN_LEFT,
        [](std::uint32_t key, const quern_span *left, const quern_span *right, auto &out) {
            out(key, quern::get<std::int64_t>(*left) + (right ? quern::get<std::int64_t>(*right) : 0));
        });
    EXPECT(table(context, joined)[0] == 2 * 994 + 7);
    const auto both = doubled.cogroup<std::uint32_t, std::uint32_t, std::int64_t>(
        odd, [](std::uint32_t key, quern::values &left, quern::values &right, auto &out) {
            std::int64_t value = 0, count = 0;
            for (; left.next(value); count++)
                ;
            for (; right.next(value); count--)
                ;
            out(key, count);
        });
    EXPECT(table(context, both)[0] == (143 - 71) * ranks);
    EXPECT(table(context, all.unite(all).count_by_key().map<std::uint32_t, std::int64_t>([](const quern::record &one) {
               return std::make_pair(one.key<std::uint32_t>(), static_cast<std::int64_t>(one.value<std::uint64_t>()));
           }))[0] == 2 * 143 * ranks);
}

void orders(quern::context &context, const std::string &)
{
    const numbers mine;
    const auto all = mine.read(context);
    std::vector<std::uint32_t> keys;
    const auto take = [&keys](const quern::record &one) { keys.push_back(one.key<std::uint32_t>()); };
    all.sort_by_key(true).collect(QUERN_COLLECT_ALL, take);
    context.run();
    EXPECT(keys.size() == 1000 * static_cast<std::size_t>(context.size()) && keys.front() == 6 && keys.back() == 0);
    keys.clear();
    all.distinct()
        .sort_by_key_with<std::uint32_t>([](std::uint32_t left, std::uint32_t right) {
            return static_cast<int>(left % 3 * 10 + left) - static_cast<int>(right % 3 * 10 + right);
        })
        .collect(QUERN_COLLECT_ALL, take);
    context.run();
    EXPECT((keys == std::vector<std::uint32_t>{0, 3, 6, 1, 4, 2, 5}));
    const auto pairs = all.map<std::pair<std::uint32_t, std::string>, std::int64_t>([](const quern::record &one) {
        return std::make_pair(std::make_pair(one.key<std::uint32_t>(), std::string(one.key<std::uint32_t>() + 1, 'x')),
                              one.value<std::int64_t>());
    });
    const auto found = pairs.distinct().columns<std::pair<std::uint32_t, std::string_view>>(QUERN_COLLECT_ALL);
    context.run();
    EXPECT(found.size() == 7 && found.key(3).second.size() == found.key(3).first + 1);
    using named = std::pair<extremes, std::uint32_t>;
    const auto wide = all.key_by<named>([](const quern::record &one) {
        const std::int64_t key = one.key<std::uint32_t>();
        return named(extremes{-key, key}, one.key<std::uint32_t>());
    });
    const auto known = wide.reduce_by_key(QUERN_COUNT).columns<named, std::uint64_t>(QUERN_COLLECT_ALL);
    using two = std::pair<extremes, extremes>;
    const auto both =
        wide.map<two>([](const quern::record &one) { return two(one.key<named>().first, one.key<named>().first); });
    const auto twice = both.distinct().columns<two>(QUERN_COLLECT_ALL);
    context.run();
    EXPECT(known.size() == 7 && known.key(3).first.most == known.key(3).second);
    EXPECT(twice.size() == 7 && twice.key(5).first.least == -twice.key(5).second.most);
    const auto halves = all.map<std::pair<std::uint32_t, double>>([](const quern::record &one) {
        return std::make_pair(one.key<std::uint32_t>(), one.key<std::uint32_t>() / 2.0);
    });
    const auto middle = halves.distinct().columns<std::pair<std::uint32_t, double>>(QUERN_COLLECT_ALL);
    const auto cut = all.quantiles({0.5}).columns<std::int64_t, std::uint64_t>(QUERN_COLLECT_ALL);
    const auto placed = all.zip_with_index().columns<std::uint32_t, std::uint64_t>(QUERN_COLLECT_ALL);
    const auto bins = all.histogram({100, 500}).columns<std::uint64_t, std::uint64_t>(QUERN_COLLECT_ALL);
    context.run();
    EXPECT(middle.size() == 7 && middle.key(4).second * 2 == middle.key(4).first);
    EXPECT(cut.size() == 1 && cut.keys()[0] == 499 && placed.values()[placed.size() - 1] == placed.size() - 1);
    EXPECT(bins.size() == 3 && all.top_k_by_key(2).sample(1, 3).cache().prefix_sum().raw());
}

void events(quern::context &context, const std::string &)
{
    const numbers mine;
    int stages = 0;
    bool is_over = false;
    context.on_progress([&](const quern_event &event) {
        stages += event.kind == QUERN_EVENT_STAGE_ENDED;
        is_over = event.kind == QUERN_EVENT_RUN_ENDED && event.status == QUERN_OK;
        throw std::runtime_error("is lost");
    });
    table(context, mine.read(context).reduce_by_key(QUERN_SUM));
    const bool is_first = context.rank() == 0;
    EXPECT(stages == (is_first ? 2 : 0) && is_over == is_first);
    context.on_progress(nullptr);
    table(context, mine.read(context).reduce_by_key(QUERN_SUM));
    EXPECT(stages == (is_first ? 2 : 0));
}

void iterates(quern::context &context, const std::string &)
{
    const numbers mine;
    const auto start = mine.read(context).reduce_by_key(QUERN_MAX);
    std::uint64_t seen = 0;
    const auto last = context.iterate(
        start, 5,
        [](const quern::dataset &state, std::uint64_t step) {
            return state.map<std::uint32_t, std::int64_t>([step](const quern::record &one) {
                return std::make_pair(one.key<std::uint32_t>(),
                                      one.value<std::int64_t>() + static_cast<std::int64_t>(step));
            });
        },
        [&seen](std::uint64_t step) { return (seen = step) == 3; });
    EXPECT(table(context, last)[0] == 994 + 0 + 1 + 2 + 3 && seen == 3);
    last.uncache();
    try {
        context.iterate(start, 2, [](const quern::dataset &, std::uint64_t) -> quern::dataset {
            throw std::runtime_error("no next state");
        });
        EXPECT(false);
    } catch (const quern::error &failure) {
        EXPECT(std::string(failure.what()).find("no next state") != std::string::npos);
    }
    const double weights[] = {0.5, 0.25};
    auto model = context.broadcast(weights, sizeof weights);
    EXPECT(model.size() == sizeof weights && static_cast<const double *>(model.data())[1] == 0.25);
    model.free();
}

/* What came of it is in the checkpoint. */
void notes(quern::context &context, const std::string &directory)
{
    context.note_parameter("half", 0.5);
    context.note_parameter("text", "a b");
    context.note_file(directory + "/model");
    const numbers mine;
    mine.read(context).count_by_key().write_text(directory + "/noted");
    context.run();
}

/* What is thrown in a callback is the message of the run, on all ranks, and the context goes on. */
void check_failure(quern::context &context, const std::function<void()> &ask, const std::string &text)
{
    ask();
    try {
        context.run();
    } catch (const quern::error &failure) {
        EXPECT(failure.status() == QUERN_ERROR_CALLBACK && failure.rank() == context.rank());
        if (std::string(failure.what()).find(text) == std::string::npos)
            throw std::logic_error("the message is " + std::string(failure.what()) + ", without " + text);
        return;
    }
    throw std::logic_error("no failure: " + text);
}

void failures(quern::context &context, const std::string &directory)
{
    const numbers mine;
    const auto all = mine.read(context);
    const auto thrower = [](const std::string &text) {
        return [text](const auto &...) { throw std::runtime_error(text); };
    };
    check_failure(
        context, [&] { all.flat_map<std::uint32_t>(thrower("flat")).write_text(directory + "/no"); }, "flat");
    check_failure(
        context,
        [&] {
            all.filter([](const quern::record &one) {
                   if (one.value<std::int64_t>() == 77)
                       throw 77;
                   return true;
               })
                .write_text(directory + "/no");
        },
        "no std::exception");
    check_failure(
        context, [&] { all.collect(QUERN_COLLECT_ROOT, thrower("collected")); }, "'collect': collected");
    check_failure(
        context, [&] { all.top_k(3, thrower("topped")); }, "'top k': topped");
    check_failure(
        context,
        [&] { all.reduce_by_key_with<std::int64_t>(thrower("reduced")).collect(QUERN_COLLECT_ALL, thrower("never")); },
        "reduced");
    check_failure(
        context,
        [&] {
            all.map<std::uint32_t>([](const quern::record &one) { return one.key<std::uint64_t>() > 0; })
                .write_text(directory + "/no");
        },
        "a key or value of 4 bytes was read as one of 8");
    try {
        all.columns<std::uint64_t, std::int64_t>(QUERN_COLLECT_ALL);
        EXPECT(false);
    } catch (const quern::error &failure) {
        EXPECT(failure.status() == QUERN_ERROR_INVALID_PLAN);
    }
    quern::dataset().filter([](const quern::record &) { return true; }).count_by_key().write_text("nothing");
    context.run();
}

/* Distances from vertex 0 in a ring of eight, whose links rank 0 has. */
void links(quern::context &context, const std::string &directory)
{
    using link = std::pair<std::int64_t, std::int64_t>;
    std::vector<std::int64_t> from, begin;
    for (std::int64_t i = 0; i < 8 && context.rank() == 0; i++)
        from.push_back(i);
    begin.resize(from.empty() ? 0 : 1);
    const std::vector<double> nothing(begin.size());
    const auto roads = context.read_memory(from.data(), from.size()).map<link, double>([](const quern::record &one) {
        const auto vertex = one.key<std::int64_t>();
        return std::pair(link(vertex, (vertex + 1) % 8), 1.0);
    });
    auto how = quern::options_of<quern_vertex_program>();
    how.combine = QUERN_MIN;
    how.weight = QUERN_WEIGHT_ADD;
    how.total_count = 1;
    how.value = 1e300;
    how.step_count_max = 1000;
    const auto nearer = [](const quern_vertices &some) {
        for (std::size_t i = 0; i < some.count; i++) {
            some.totals[0][i] = some.come[i] < some.value[i];
            some.send[i] = some.value[i] = std::min(some.value[i], some.come[i]);
        }
    };
    std::uint64_t last = 0;
    const auto starts = context.read_memory(begin.data(), nothing.data(), begin.size());
    const auto found = roads
                           .iterate_links(starts, how, nearer,
                                          [&last](std::uint64_t step, const double *totals) {
                                              last = step;
                                              return step > 0 && totals[0] == 0;
                                          })
                           .columns<std::int64_t, double>(QUERN_COLLECT_ALL);
    context.run();
    EXPECT(found.size() == 8 && last < 20);
    for (std::size_t i = 0; i < found.size(); i++)
        EXPECT(found.value(i) == static_cast<double>(found.key(i)));
    const auto far =
        roads.iterate_links(quern::dataset(), how, nearer).columns<std::int64_t, double>(QUERN_COLLECT_ALL);
    context.run();
    EXPECT(far.size() == 8 && far.value(0) == 1e300);
    check_failure(
        context,
        [&] {
            roads.iterate_links(starts, how, [](const quern_vertices &) { throw std::runtime_error("no such vertex"); })
                .write_text(directory + "/no");
        },
        "no such vertex");
}

/* Callbacks of operators live as long as the context, those of outputs until the end of the next run. */
void lifetimes(quern::context &given, const std::string &)
{
    const auto watched = std::make_shared<int>(3);
    {
        const numbers mine;
        quern::context inner(MPI_COMM_WORLD);
        quern::context moved(std::move(inner));
        const auto kept = mine.read(moved).filter([watched](const quern::record &) { return *watched == 3; });
        for (int step = 0; step < 50; step++) {
            std::int64_t sum = 0;
            kept.collect(QUERN_COLLECT_ALL,
                         [watched, &sum](const quern::record &one) { sum += one.value<std::int64_t>(); });
            moved.run();
            EXPECT(sum == 499500 * moved.size() && watched.use_count() == 2);
        }
        moved.explain();
    }
    EXPECT(watched.use_count() == 1 && given.size() > 0);
}
} // namespace

int main(int argc, char **argv)
{
    const std::map<std::string, void (*)(quern::context &, const std::string &)> cases{
        {"operators", operators}, {"orders", orders}, {"iterates", iterates}, {"failures", failures},
        {"lifetimes", lifetimes}, {"events", events}, {"links", links},       {"notes", notes}};
    int rank = 0;
    try {
        MPI_Init(&argc, &argv);
        {
            quern::context context(MPI_COMM_WORLD);
            rank = context.rank();
            for (int i = 2; i < argc; i++) {
                cases.at(argv[i])(context, argv[1]);
                if (rank == 0)
                    std::printf("%s holds\n", argv[i]);
            }
        }
        MPI_Finalize();
        return 0;
    } catch (const std::exception &failure) {
        std::fprintf(stderr, "rank %d: %s\n", rank, failure.what());
        MPI_Abort(MPI_COMM_WORLD, 1);
        return 1;
    }
}
