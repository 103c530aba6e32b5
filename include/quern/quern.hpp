/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/quern.hpp: the library from C++17: handles that clean up, lambdas as callbacks, exceptions for failures. Header only.
 *
 *     quern::context context(argc, argv);
 *     auto lines = context.read_text({"/usr/include"});
 *     auto words = lines.flat_map<std::string_view, std::uint64_t>([](const quern::record &line, auto &out) {
 *         out(line.key<std::string_view>().substr(0, 1), 1);
 *     });
 *     words.reduce_by_key(QUERN_SUM).write_text("first-letters");
 *     context.run();
 *
 * What is what. A quern::dataset is a handle that is copied like a pointer and ends with its context. Types of C++ stand for those of keys and values:
 * integers of 4 and 8 bytes, float, double, std::string_view (or std::string) for QUERN_BYTES, std::pair of two types for pairs of
 * keys, any other trivially copyable struct for QUERN_FIXED, quern::none for no value. What each call means is said in the headers of C.
 *
 * Failures. Calls on datasets do not throw: as in C the first failure is kept, and run() throws it on every rank, as a quern::error with status
 * and text. A callback fails by throwing: what() becomes the message of the run; no exception passes through the library.
 *
 * Lifetimes. Callbacks are moved into the context: those of operators live as long as it, those of outputs (collect, top_k) until the end of the next
 * run. What they hold by reference is the program's to keep. Records and values live until the callback returns, and so does a
 * string_view of them. Nothing is allocated for a record.
 *
 * Threads. As in C: callbacks run on the thread that called run(), but for reductions, merges of aggregations and comparisons, which may be called
 * on a thread of the library's: these must only read what they capture.
 *
 * Everything else of C's interface can be used beside it: raw() gives the handles.
 */
#ifndef QUERN_QUERN_HPP
#define QUERN_QUERN_HPP

#include <cstdlib>
#include <new>
#include <quern/records.hpp>

namespace quern
{

/* ---- datasets ---- */

class dataset
{
  public:
    dataset() = default; /* of nothing: what is made of it is nothing, too */
    dataset(quern_dataset *of, detail::state *state) : of_(of), state_(state) {}
    quern_dataset *raw() const
    {
        return of_;
    }
    quern_schema types() const
    {
        return quern_dataset_schema(of_);
    }
    dataset name(const std::string &text) const
    {
        return with(quern_name(of_, text.c_str()));
    }
    dataset tolerate(quern_bad_policy policy, std::uint64_t bad_count_max) const
    {
        return with(quern_tolerate(of_, policy, bad_count_max));
    }

    /* ---- record by record ---- */

    /* fn(record) gives the new key, or std::pair of key and value: V other than none. */
    template <class K, class V = none, class F> dataset map(F fn) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_map_block(of_, schema<K, V>(), call_map<K, V, F>, own));
    }
    /* fn(record, out) calls out(key, value) any number of times. */
    template <class K, class V = none, class F> dataset flat_map(F fn) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_flat_map_block(of_, schema<K, V>(), call_flat_map<K, V, F>, own));
    }
    /* fn(const quern_block &, out): a block of records at once. */
    template <class K, class V = none, class F> dataset flat_map_block(F fn) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_flat_map_block(of_, schema<K, V>(), call_block<K, V, F>, own));
    }
    /* fn(record) says whether it stays. */
    template <class F> dataset filter(F fn) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_filter(of_, call_filter<F>, own));
    }
    /* fn(record) gives the new key; the value stays. */
    template <class K, class F> dataset key_by(F fn) const
    {
        auto *own = keep_made<K>(std::move(fn));
        return with(quern_key_by(of_, detail::type_of<K>(), detail::fixed_bytes<K>(), call_key<K, F>, own));
    }
    dataset keys() const
    {
        return with(quern_keys(of_));
    }
    dataset value_as_key() const
    {
        return with(quern_value_as_key(of_));
    }
    dataset sample(double fraction, std::uint64_t seed) const
    {
        return with(quern_sample(of_, fraction, seed));
    }
    dataset unite(const dataset &right) const
    {
        return with(quern_union(of_, right.of_));
    }

    /* ---- by key ---- */

    dataset reduce_by_key(quern_reduction reduction) const
    {
        return with(quern_reduce_by_key(of_, reduction));
    }
    /* fn(T &into, const T &value): associative, commutative, reads only what it captured. */
    template <class T, class F> dataset reduce_by_key_with(F fn) const
    {
        static_assert(detail::is_number<T> || detail::is_struct<T>, "values are numbers or structs");
        auto *own = keep(std::move(fn));
        return with(quern_reduce_by_key_with(of_, call_reduce<T, F>, own));
    }
    /* accumulate(A &, V value); merge(A &into, const A &). A begins as A(), and is the value in the end. */
    template <class A, class V, class Accumulate, class Merge>
    dataset aggregate_by_key(Accumulate accumulate, Merge merge) const
    {
        return aggregate<A, V, none>(
            std::move(accumulate), std::move(merge), [](const A &) { return none(); }, false);
    }
    /* The same, with finish(const A &), which gives the value. */
    template <class A, class V, class R, class Accumulate, class Merge, class Finish>
    dataset aggregate_by_key(Accumulate accumulate, Merge merge, Finish finish) const
    {
        return aggregate<A, V, R>(std::move(accumulate), std::move(merge), std::move(finish), true);
    }
    dataset count_by_key() const
    {
        return with(quern_count_by_key(of_));
    }
    dataset distinct() const
    {
        return with(quern_distinct(of_));
    }
    dataset histogram(const std::vector<double> &bounds) const
    {
        return with(quern_histogram(of_, bounds.data(), bounds.size()));
    }
    dataset top_k_by_key(std::uint64_t k) const
    {
        return with(quern_top_k_by_key(of_, k));
    }
    /* whole_keys: all records of a key are on one rank, however many they are. */
    dataset sort_by_key(bool descending = false, bool whole_keys = false) const
    {
        auto how = options_of<quern_sort_options>();
        how.descending = descending;
        how.whole_keys = whole_keys;
        return with(quern_sort_by_key(of_, &how));
    }
    /* compare(const K &left, const K &right): below 0, 0 or above; reads only what it captured, and does not throw. */
    template <class K, class F> dataset sort_by_key_with(F compare) const
    {
        auto how = options_of<quern_sort_options>();
        how.user = keep(std::move(compare));
        how.compare = [](quern_span left, quern_span right, void *user) noexcept {
            return static_cast<int>(static_cast<detail::held<F> *>(user)->fn(get<K>(left), get<K>(right)));
        };
        return with(quern_sort_by_key(of_, &how));
    }
    /* fn(const KIn &key, values &, out). */
    template <class KIn, class K, class V = none, class F> dataset group_by_key(F fn) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_group_by_key(of_, schema<K, V>(), call_group<KIn, K, V, F>, own, nullptr));
    }
    /* fn(const KIn &key, values &left, values &right, out). */
    template <class KIn, class K, class V = none, class F> dataset cogroup(const dataset &right, F fn) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_cogroup(of_, right.of_, schema<K, V>(), call_cogroup<KIn, K, V, F>, own));
    }
    /* fn(const KIn &key, const quern_span *left, const quern_span *right, out); get<T>(*left) is a value. */
    template <class KIn, class K, class V = none, class F>
    dataset join(const dataset &right, quern_join_type type, F fn, const quern_join_options *how = nullptr) const
    {
        auto *own = keep(std::move(fn));
        return with(quern_join_with(of_, right.of_, type, schema<K, V>(), call_join<KIn, K, V, F>, own, how));
    }

    /* ---- kept and in order ---- */

    dataset cache() const
    {
        return with(quern_cache(of_));
    }
    void uncache() const
    {
        quern_uncache(of_);
    }
    dataset zip_with_index() const
    {
        return with(quern_zip_with_index(of_, quern_schema{}, nullptr, nullptr));
    }
    dataset prefix_sum() const
    {
        return with(quern_prefix_sum(of_));
    }
    dataset quantiles(const std::vector<double> &fractions) const
    {
        return with(quern_quantiles(of_, fractions.data(), fractions.size()));
    }
    /* Values that flow along links, of which this is the dataset: quern/links.h. how: options_of<quern_vertex_program>() with what is to be set but
     * the callbacks. initial: dataset() is none. step(const quern_vertices &some) sets value and send of each of some. */
    template <class Step>
    dataset iterate_links(const dataset &initial, const quern_vertex_program &how, Step step) const
    {
        return iterate_along(
            initial, how, std::move(step), [](std::uint64_t, const double *) { return false; }, false);
    }
    /* The same until until(std::uint64_t step, const double *totals) gives true, by what all ranks have alike. */
    template <class Step, class Until>
    dataset iterate_links(const dataset &initial, const quern_vertex_program &how, Step step, Until until) const
    {
        return iterate_along(initial, how, std::move(step), std::move(until), true);
    }
    /* Of a dataset of read_memory(): other arrays from the next run on. */
    void renew_memory(const std::vector<quern_memory_array> &arrays) const
    {
        quern_renew_memory(of_, arrays.data(), arrays.size());
    }

    /* ---- outputs: what a run gives ---- */

    void write_text(const std::string &directory) const
    {
        quern_write_text(of_, directory.c_str());
    }
    void write_fixed(const std::string &directory) const
    {
        quern_write_fixed(of_, directory.c_str());
    }
    void write_files(const std::string &directory, const quern_output_options &how) const
    {
        quern_write_files(of_, directory.c_str(), &how);
    }
    void write_hdf5(const std::string &path, const quern_hdf5_write_options &how) const
    {
        quern_write_hdf5(of_, path.c_str(), &how);
    }
    /* fn(record), on rank 0, largest value first. */
    template <class F> void top_k(std::uint64_t k, F fn) const
    {
        auto *own = keep(std::move(fn), true);
        quern_top_k(of_, k, call_each<F>, own);
    }
    /* fn(record) for each record. */
    template <class F> void collect(quern_collect_to to, F fn) const
    {
        auto *own = keep(std::move(fn), true);
        quern_collect(of_, to, call_each<F>, own);
    }
    /* All records as arrays, which are there after the run. Throws if the dataset has other types. */
    template <class K, class V = none> quern::columns<K, V> columns(quern_collect_to to) const
    {
        const quern_schema wanted = schema<K, V>(), is = types();
        if (of_ && (wanted.key != is.key || wanted.value != is.value || wanted.key_bytes != is.key_bytes ||
                    wanted.value_bytes != is.value_bytes))
            throw error(QUERN_ERROR_INVALID_PLAN, "columns: the dataset's records have other types",
                        quern_context_rank(state_->context));
        return quern::columns<K, V>(quern_columns_collect(of_, to));
    }

  private:
    template <class F> using held = detail::held<F>;

    /* With what it gave last, which the library copies before the next call. */
    template <class T, class F> struct made : held<F> {
        using held<F>::held;
        T last{};
        detail::writer<T> write;
    };

    template <class A, class V, class R, class Accumulate, class Merge, class Finish> struct aggregator : detail::kept {
        aggregator(Accumulate &&one, Merge &&two, Finish &&three)
            : accumulate(std::move(one)), merge(std::move(two)), finish(std::move(three))
        {
        }
        Accumulate accumulate;
        Merge merge;
        Finish finish;
        R last{};
        detail::writer<R> write;
    };

    template <class Step, class Until> struct vertex_program : detail::kept {
        vertex_program(Step &&one, Until &&two) : step(std::move(one)), until(std::move(two)) {}
        Step step;
        Until until;
    };

    template <class Step, class Until>
    dataset iterate_along(const dataset &initial, quern_vertex_program how, Step &&step, Until &&until,
                          bool decides) const
    {
        using self = vertex_program<Step, Until>;
        if (!state_)
            return {};
        auto *own = state_->keep(std::make_unique<self>(std::move(step), std::move(until)));
        how.step = [](const quern_vertices *some, void *user) noexcept {
            return detail::guarded(nullptr, [&] { static_cast<self *>(user)->step(*some); });
        };
        if (decides)
            how.until = [](std::uint64_t number, const double *totals, int *stop_out, void *user) noexcept {
                return detail::guarded(nullptr,
                                       [&] { *stop_out = static_cast<self *>(user)->until(number, totals) ? 1 : 0; });
            };
        return with(quern_iterate_links(of_, initial.of_, &how, own));
    }
    dataset with(quern_dataset *other) const
    {
        return dataset(other, state_);
    }
    template <class F> held<F> *keep(F &&fn, bool is_of_output = false) const
    {
        return state_ ? state_->keep(std::make_unique<held<F>>(std::move(fn)), is_of_output) : nullptr;
    }
    template <class T, class F> made<T, F> *keep_made(F &&fn) const
    {
        return state_ ? state_->keep(std::make_unique<made<T, F>>(std::move(fn))) : nullptr;
    }
    static record record_of(const quern_block *block, std::size_t i)
    {
        return record(quern_bytes(block->key[i], block->key_bytes[i]),
                      block->value ? quern_bytes(block->value[i], block->value_bytes[i]) : quern_bytes("", 0));
    }

    /* Calls body(record, out) with each record of a block. */
    template <class K, class V, class Body>
    static int each(const quern_block *in, quern_emitter *to, Body &&body) noexcept
    {
        std::size_t i = 0;
        try {
            emitter<K, V> out(to);
            for (; i < in->count; i++)
                body(record_of(in, i), out);
            return 0;
        } catch (...) {
            return detail::fail(to, i);
        }
    }
    template <class K, class V, class F>
    static int call_map(const quern_block *in, quern_emitter *to, void *user) noexcept
    {
        F &fn = static_cast<held<F> *>(user)->fn;
        return each<K, V>(in, to, [&fn](const record &one, emitter<K, V> &out) {
            if constexpr (std::is_same_v<V, none>)
                out(fn(one));
            else {
                const std::pair<K, V> given = fn(one);
                out(given.first, given.second);
            }
        });
    }
    template <class K, class V, class F>
    static int call_flat_map(const quern_block *in, quern_emitter *to, void *user) noexcept
    {
        F &fn = static_cast<held<F> *>(user)->fn;
        return each<K, V>(in, to, [&fn](const record &one, emitter<K, V> &out) { fn(one, out); });
    }
    template <class K, class V, class F>
    static int call_block(const quern_block *in, quern_emitter *to, void *user) noexcept
    {
        return detail::guarded(to, [&] {
            emitter<K, V> out(to);
            static_cast<held<F> *>(user)->fn(*in, out);
        });
    }
    template <class F> static int call_filter(const quern_record *in, int *keep_out, void *user) noexcept
    {
        return detail::guarded(nullptr, [&] { *keep_out = static_cast<held<F> *>(user)->fn(record(*in)) ? 1 : 0; });
    }
    template <class K, class F> static int call_key(const quern_record *in, quern_span *key_out, void *user) noexcept
    {
        return detail::guarded(nullptr, [&] {
            auto *self = static_cast<made<K, F> *>(user);
            self->last = self->fn(record(*in));
            *key_out = self->write(self->last);
        });
    }
    template <class T, class F> static int call_reduce(void *into, const void *value, void *user) noexcept
    {
        return detail::guarded(nullptr, [&] {
            static_cast<held<F> *>(user)->fn(*static_cast<T *>(into), *static_cast<const T *>(value));
        });
    }
    template <class KIn, class K, class V, class F>
    static int call_group(quern_span key, quern_values *of, quern_emitter *to, void *user) noexcept
    {
        return detail::guarded(to, [&] {
            emitter<K, V> out(to);
            values all(of);
            static_cast<held<F> *>(user)->fn(get<KIn>(key), all, out);
        });
    }
    template <class KIn, class K, class V, class F>
    static int call_cogroup(quern_span key, quern_values *left, quern_values *right, quern_emitter *to,
                            void *user) noexcept
    {
        return detail::guarded(to, [&] {
            emitter<K, V> out(to);
            values lefts(left), rights(right);
            static_cast<held<F> *>(user)->fn(get<KIn>(key), lefts, rights, out);
        });
    }
    template <class KIn, class K, class V, class F>
    static int call_join(quern_span key, const quern_span *left, const quern_span *right, quern_emitter *to,
                         void *user) noexcept
    {
        return detail::guarded(to, [&] {
            emitter<K, V> out(to);
            static_cast<held<F> *>(user)->fn(get<KIn>(key), left, right, out);
        });
    }
    template <class F> static int call_each(const quern_record *in, void *user) noexcept
    {
        return detail::guarded(nullptr, [&] { static_cast<held<F> *>(user)->fn(record(*in)); });
    }

    template <class A, class V, class R, class Accumulate, class Merge, class Finish>
    dataset aggregate(Accumulate &&accumulate, Merge &&merge, Finish &&finish, bool finishes) const
    {
        using self = aggregator<A, V, R, Accumulate, Merge, Finish>;
        static_assert(std::is_trivially_copyable_v<A> && sizeof(A) <= QUERN_FIXED_BYTES_MAX, "no accumulator");
        if (!state_)
            return {};
        auto *all = state_->keep(std::make_unique<self>(std::move(accumulate), std::move(merge), std::move(finish)));
        auto how = options_of<quern_aggregation>();
        how.accumulator_bytes = sizeof(A);
        how.init = [](void *at, void *) noexcept { return detail::guarded(nullptr, [&] { new (at) A(); }); };
        how.accumulate = [](void *into, quern_span value, void *user) noexcept {
            return detail::guarded(
                nullptr, [&] { static_cast<self *>(user)->accumulate(*static_cast<A *>(into), get<V>(value)); });
        };
        how.merge = [](void *into, const void *from, void *user) noexcept {
            return detail::guarded(nullptr, [&] {
                static_cast<self *>(user)->merge(*static_cast<A *>(into), *static_cast<const A *>(from));
            });
        };
        if (finishes) {
            how.schema = types();
            how.schema.value = detail::type_of<R>();
            how.schema.value_bytes = detail::fixed_bytes<R>();
            how.finish = [](const quern_record *in, quern_record *out, void *user) noexcept {
                return detail::guarded(nullptr, [&] {
                    auto *mine = static_cast<self *>(user);
                    A whole;
                    std::memcpy(&whole, in->value.data, sizeof whole);
                    mine->last = mine->finish(whole);
                    out->value = mine->write(mine->last);
                });
            };
        }
        return with(quern_aggregate_by_key(of_, &how, all));
    }

    quern_dataset *of_ = nullptr;
    detail::state *state_ = nullptr;
};

/* ---- the context ---- */

/* Bytes that all ranks have, in one copy a node, until they are freed or their context ends, whatever comes first. */
class shared
{
  public:
    explicit shared(quern_shared *of = nullptr) : of_(of) {}
    const void *data() const
    {
        return quern_shared_data(of_);
    }
    std::size_t size() const
    {
        return quern_shared_bytes(of_);
    }
    void free() /* the same on all ranks */
    {
        quern_shared_free(of_);
        of_ = nullptr;
    }

  private:
    quern_shared *of_;
};

/* The library on a set of ranks; it ends, collectively, with this object, which can be moved and not copied. */
class context
{
  public:
    /* Of a job: takes --quern-… out of the arguments, and initialises MPI if nobody has. Throws the same on all ranks. */
    context(int &argc, char **argv, const options &how = options())
    {
        start(quern_context_create(&argc, argv, &how, &state_->context));
    }
    /* In a program that runs MPI already, which keeps comm. */
    explicit context(MPI_Comm comm, const options &how = options())
    {
        start(quern_context_create_on(comm, &how, &state_->context));
    }
    quern_context *raw() const
    {
        return state_->context;
    }
    int rank() const
    {
        return quern_context_rank(raw());
    }
    int size() const
    {
        return quern_context_size(raw());
    }

    dataset read_text(const std::vector<std::string> &paths, const quern_text_options *how = nullptr)
    {
        return read(quern_read_text, paths, how);
    }
    dataset read_fixed(const std::vector<std::string> &paths, const quern_fixed_options &how)
    {
        return read(quern_read_fixed, paths, &how);
    }
    dataset read_csv(const std::vector<std::string> &paths, const quern_csv_options *how = nullptr)
    {
        return read(quern_read_csv, paths, how);
    }
    dataset read_sequences(const std::vector<std::string> &paths, const quern_sequence_options *how = nullptr)
    {
        return read(quern_read_sequences, paths, how);
    }
    dataset read_sequence_pairs(const std::string &first, const std::string &second,
                                const quern_sequence_options *how = nullptr)
    {
        return wrap(quern_read_sequence_pairs(raw(), first.c_str(), second.c_str(), how));
    }
    dataset read_files(const std::vector<std::string> &paths, const quern_file_options *how = nullptr)
    {
        return read(quern_read_files, paths, how);
    }
    dataset read_hdf5(const std::vector<std::string> &paths, const quern_hdf5_options &how)
    {
        return read(quern_read_hdf5, paths, &how);
    }
    /* Arrays of this rank, not copied, which have to stay until the run that reads them is over. */
    template <class K> dataset read_memory(const K *keys, std::size_t count)
    {
        quern_memory_array here{};
        here.count = count;
        here.key = keys;
        return read_memory(schema<K>(), {here});
    }
    template <class K, class V> dataset read_memory(const K *keys, const V *values, std::size_t count)
    {
        quern_memory_array here{};
        here.count = count;
        here.key = keys;
        here.value = values;
        return read_memory(schema<K, V>(), {here});
    }
    dataset read_memory(quern_schema types, const std::vector<quern_memory_array> &arrays)
    {
        return wrap(quern_read_memory(raw(), types, arrays.data(), arrays.size()));
    }

    quern::counter counter(const std::string &name)
    {
        return quern::counter(quern_counter_create(raw(), name.c_str()));
    }
    /* Collective. */
    quern::shared broadcast(const void *data, std::size_t bytes)
    {
        quern_shared *made = nullptr;
        check(quern_broadcast(raw(), data, bytes, &made));
        return quern::shared(made);
    }

    /* What the work depends on besides what is known: see quern/resume.h. Bytes, a text, or one number; a failure is the next run's. */
    void note_parameter(const std::string &name, const void *data, std::size_t bytes)
    {
        quern_note_parameter(raw(), name.c_str(), data, bytes);
    }
    void note_parameter(const std::string &name, const std::string &text)
    {
        note_parameter(name, text.data(), text.size());
    }
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
    void note_parameter(const std::string &name, T number)
    {
        note_parameter(name, &number, sizeof number);
    }
    void note_file(const std::string &path)
    {
        quern_note_file(raw(), path.c_str());
    }

    /* fn(const quern_event &) is called on rank 0 with what happens from now on, by a thread of the library's: see quern/events.h. What it throws
     * is lost. */
    template <class F> void on_progress(F fn)
    {
        auto own = std::make_unique<detail::held<F>>(std::move(fn));
        check(quern_on_progress(
            raw(),
            [](const quern_event *event, void *user) noexcept {
                try {
                    static_cast<detail::held<F> *>(user)->fn(*event);
                } catch (...) { /* nobody there could do anything about it */
                }
            },
            own.get()));
        state_->listener = std::move(own);
    }
    void on_progress(std::nullptr_t)
    {
        check(quern_on_progress(raw(), nullptr, nullptr));
        state_->listener.reset();
    }

    /* Collective: does all that was asked for since the last run. Throws the same on all ranks. */
    void run()
    {
        const quern_status status = quern_run(raw());
        state_->of_outputs.clear();
        check(status);
    }
    /* step(dataset state, std::uint64_t step) gives the next state. Returns the last one, which is kept. */
    template <class Step> dataset iterate(const dataset &initial, std::uint64_t step_count_max, Step step)
    {
        return iterate(initial, step_count_max, std::move(step), [](std::uint64_t) { return false; });
    }
    /* The same until until(std::uint64_t step) gives true, on all ranks alike. */
    template <class Step, class Until>
    dataset iterate(const dataset &initial, std::uint64_t step_count_max, Step step, Until until)
    {
        struct loop {
            Step &step;
            Until &until;
            detail::state *state;
        } all{step, until, state_.get()};
        auto how = options_of<quern_iteration>();
        how.step_count_max = step_count_max;
        how.step = [](quern_dataset *from, std::uint64_t number, void *user) noexcept -> quern_dataset * {
            auto *mine = static_cast<loop *>(user);
            dataset next;
            detail::guarded(nullptr, [&] { next = mine->step(dataset(from, mine->state), number); });
            return next.raw();
        };
        how.until = [](std::uint64_t number, int *stop_out, void *user) noexcept {
            return detail::guarded(nullptr, [&] { *stop_out = static_cast<loop *>(user)->until(number) ? 1 : 0; });
        };
        quern_dataset *last = nullptr;
        const quern_status status = quern_iterate(raw(), initial.raw(), &how, &all, &last);
        state_->of_outputs.clear();
        check(status);
        return wrap(last);
    }
    std::string explain(quern_explain_form form = QUERN_EXPLAIN_TEXT)
    {
        char *text = nullptr;
        check(quern_explain(raw(), form, &text));
        const std::unique_ptr<char, void (*)(void *)> owned(text, std::free);
        return owned.get();
    }

  private:
    void start(quern_status status)
    {
        if (status == QUERN_OK)
            return;
        error failure(status, quern_context_error_text(nullptr), quern_context_rank(nullptr));
        failure.left_ = std::shared_ptr<void>(nullptr, [](void *) { quern_context_destroy(nullptr); });
        throw failure;
    }
    void check(quern_status status) const
    {
        if (status != QUERN_OK)
            throw error(status, quern_context_error_text(raw()), rank());
    }
    dataset wrap(quern_dataset *of) const
    {
        return dataset(of, state_.get());
    }
    template <class Options>
    dataset read(quern_dataset *(*call)(quern_context *, const char *const *, std::size_t, const Options *),
                 const std::vector<std::string> &paths, const Options *how)
    {
        std::vector<const char *> raw_paths;
        for (const auto &path : paths)
            raw_paths.push_back(path.c_str());
        return wrap(call(raw(), raw_paths.data(), raw_paths.size(), how));
    }

    std::unique_ptr<detail::state> state_ = std::make_unique<detail::state>();
};

} // namespace quern
#endif
