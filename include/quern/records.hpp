/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/records.hpp: failures, types, and what callbacks are handed, from C++17; the part of quern/quern.hpp that knows no datasets.
 */
#ifndef QUERN_RECORDS_HPP
#define QUERN_RECORDS_HPP

#include <cstdint>
#include <cstring>
#include <memory>
#include <quern/quern.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace quern
{

/* ---- failures ---- */

/* A call failed. what() is the text of the failure, as quern_context_error_text() has it. */
class error : public std::runtime_error
{
  public:
    error(quern_status status, const std::string &text, int rank = 0)
        : std::runtime_error(text.empty() ? quern_status_text(status) : text), status_(status), rank_(rank)
    {
    }
    quern_status status() const noexcept
    {
        return status_;
    }
    /* Of this process: who is to tell it to people, if it is 0. */
    int rank() const noexcept
    {
        return rank_;
    }
    /* What main() is to return. */
    int exit_status() const noexcept
    {
        return quern_exit_status(status_);
    }

  private:
    friend class context;
    quern_status status_;
    int rank_;
    std::shared_ptr<void> left_; /* of a context that could not be made: MPI is left when the exception is gone */
};

/* ---- types ---- */

/* No value. */
struct none {
};

namespace detail
{

template <class T> struct is_pair : std::false_type {
};
template <class A, class B> struct is_pair<std::pair<A, B>> : std::true_type {
};
template <class T> constexpr bool is_text = std::is_same_v<T, std::string_view> || std::is_same_v<T, std::string>;
template <class T> constexpr bool is_number = std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8);
template <class T>
constexpr bool is_struct = std::is_class_v<T> &&std::is_trivially_copyable_v<T> && !is_pair<T>::value && !is_text<T> &&
                           !std::is_same_v<T, none>;

template <class T> constexpr quern_type type_of()
{
    if constexpr (std::is_same_v<T, none>)
        return QUERN_NONE;
    else if constexpr (is_text<T>)
        return QUERN_BYTES;
    else if constexpr (is_pair<T>::value)
        return QUERN_PAIR(type_of<typename T::first_type>(), type_of<typename T::second_type>());
    else if constexpr (is_struct<T>) {
        static_assert(sizeof(T) <= QUERN_FIXED_BYTES_MAX, "a struct in a record has at most 256 bytes");
        return QUERN_FIXED;
    } else {
        static_assert(is_number<T>, "numbers in records have 4 or 8 bytes");
        if constexpr (std::is_floating_point_v<T>)
            return sizeof(T) == 4 ? QUERN_F32 : QUERN_F64;
        else if constexpr (std::is_signed_v<T>)
            return sizeof(T) == 4 ? QUERN_I32 : QUERN_I64;
        else
            return sizeof(T) == 4 ? QUERN_U32 : QUERN_U64;
    }
}

/* Of a pair, of both of its structs. */
template <class T> constexpr std::uint32_t fixed_bytes()
{
    if constexpr (is_pair<T>::value) {
        constexpr std::uint32_t bytes = fixed_bytes<typename T::first_type>() + fixed_bytes<typename T::second_type>();
        static_assert(bytes <= QUERN_FIXED_BYTES_MAX, "the structs of a pair have at most 256 bytes together");
        return bytes;
    } else
        return is_struct<T> ? static_cast<std::uint32_t>(sizeof(T)) : 0;
}

/* The library said that the job is ending: out of the callback, which is no failure of it. */
struct ending {
};

inline std::string_view text_of(quern_span span)
{
    return {static_cast<const char *>(span.data), span.bytes};
}

} // namespace detail

/* What a span holds; of std::string_view it is as long as the record's memory. Throws std::length_error if it has not the bytes of a T. */
template <class T> T get(quern_span span)
{
    if constexpr (std::is_same_v<T, quern_span>)
        return span;
    else if constexpr (detail::is_text<T>)
        return T(detail::text_of(span));
    else if constexpr (detail::is_pair<T>::value) {
        constexpr quern_type pair = detail::type_of<T>();
        return {get<typename T::first_type>(quern_pair_first(pair, span)),
                get<typename T::second_type>(quern_pair_second(pair, span))};
    } else if constexpr (std::is_same_v<T, none>)
        return {};
    else {
        static_assert(detail::is_number<T> || detail::is_struct<T>, "no type of keys and values");
        T made;
        if (span.bytes != sizeof made)
            throw std::length_error("a key or value of " + std::to_string(span.bytes) + " bytes was read as one of " +
                                    std::to_string(sizeof made));
        std::memcpy(&made, span.data, sizeof made);
        return made;
    }
}

/* The types of records with these keys and values. */
template <class K, class V = none> constexpr quern_schema schema()
{
    return {detail::type_of<K>(), detail::type_of<V>(), detail::fixed_bytes<V>(), detail::fixed_bytes<K>()};
}

/* An options struct of C with its size set and all else zero. */
template <class Options> Options options_of()
{
    Options made{};
    made.struct_size = sizeof made;
    return made;
}

/* The options of a context: the fields of quern_options, none of them set. */
struct options : quern_options {
    options()
    {
        quern_options_init(this);
    }
};

/* One record, as a callback is given it. */
class record
{
  public:
    record(quern_span key_bytes, quern_span value_bytes) : key_(key_bytes), value_(value_bytes) {}
    explicit record(const quern_record &of) : key_(of.key), value_(of.value) {}
    template <class T> T key() const
    {
        return get<T>(key_);
    }
    template <class T> T value() const
    {
        return get<T>(value_);
    }
    quern_span key_span() const
    {
        return key_;
    }
    quern_span value_span() const
    {
        return value_;
    }

  private:
    quern_span key_, value_;
};

namespace detail
{

/* The bytes of a T, which stays where it is; pairs are put together in memory that is used again. */
template <class T> class writer
{
  public:
    quern_span operator()(const T &from)
    {
        if constexpr (std::is_same_v<T, none>)
            return quern_bytes("", 0);
        else if constexpr (is_text<T>)
            return quern_bytes(from.data() ? from.data() : "", from.size());
        else if constexpr (is_pair<T>::value) {
            writer<typename T::first_type> first;
            writer<typename T::second_type> second;
            const quern_span parts[] = {first(from.first), second(from.second)};
            room_.resize(quern_pair_bytes(type_of<T>(), parts[0], parts[1]));
            return quern_pair_put(type_of<T>(), parts[0], parts[1], room_.data());
        } else
            return quern_bytes(&from, sizeof from);
    }

  private:
    std::conditional_t<is_pair<T>::value, std::vector<char>, none> room_;
};

/* Within a catch: what the callback is to return. */
inline int fail(quern_emitter *out, std::size_t record_index) noexcept
{
    try {
        throw;
    } catch (const ending &) {
        return 1;
    } catch (const std::exception &thrown) {
        return out ? quern_fail(out, record_index, thrown.what()) : quern_fail_because(thrown.what());
    } catch (...) {
        const char *text = "an exception that is no std::exception";
        return out ? quern_fail(out, record_index, text) : quern_fail_because(text);
    }
}

template <class Body> int guarded(quern_emitter *out, Body &&body) noexcept
{
    try {
        body();
        return 0;
    } catch (...) {
        return fail(out, 0);
    }
}

/* A callback that somebody keeps. */
struct kept {
    kept() = default;
    kept(const kept &) = delete;
    kept &operator=(const kept &) = delete;
    virtual ~kept() = default;
};

template <class F> struct held : kept {
    explicit held(F &&given) : fn(std::move(given)) {}
    F fn;
};

/* What a context owns. Callbacks outlive it: destroying it may call nothing, but it knows their addresses. */
struct state {
    state() = default;
    state(const state &) = delete;
    state &operator=(const state &) = delete;
    ~state()
    {
        if (context)
            quern_context_destroy(context);
    }
    template <class Kept> Kept *keep(std::unique_ptr<Kept> one, bool is_of_output = false)
    {
        Kept *raw = one.get();
        (is_of_output ? of_outputs : of_operators).push_back(std::move(one));
        return raw;
    }
    std::vector<std::unique_ptr<kept>> of_operators, of_outputs;
    std::unique_ptr<kept> listener;
    quern_context *context = nullptr;
};

} // namespace detail

/* Where a callback puts records: out(key, value), or out(key). */
template <class K, class V = none> class emitter
{
  public:
    explicit emitter(quern_emitter *to) : to_(to) {}
    void operator()(const K &key, const V &value = V())
    {
        if (quern_emit(to_, key_(key), value_(value)) != 0)
            throw detail::ending();
    }
    quern_emitter *raw() const
    {
        return to_;
    }

  private:
    quern_emitter *to_;
    detail::writer<K> key_;
    detail::writer<V> value_;
};

/* The values of a group: while (values.next(value)). */
class values
{
  public:
    explicit values(quern_values *of) : of_(of) {}
    template <class T> bool next(T &value)
    {
        quern_span span{};
        const int code = quern_values_next(of_, &span);
        if (code < 0)
            throw detail::ending();
        if (code > 0)
            value = get<T>(span);
        return code > 0;
    }
    void rewind()
    {
        if (quern_values_rewind(of_) != 0)
            throw detail::ending();
    }

  private:
    quern_values *of_;
};

/* Records that were collected, in two columns. */
template <class K, class V = none> class columns
{
  public:
    explicit columns(quern_columns *of) : of_(of, quern_columns_free) {}
    std::size_t size() const
    {
        return of_ ? quern_columns_count(of_.get()) : 0;
    }
    K key(std::size_t index) const
    {
        return entry<K>(quern_columns_keys(of_.get()), quern_columns_key_ends(of_.get()), index);
    }
    V value(std::size_t index) const
    {
        return entry<V>(quern_columns_values(of_.get()), quern_columns_value_ends(of_.get()), index);
    }
    /* Arrays of size(), of numbers and structs. */
    const K *keys() const
    {
        static_assert(detail::is_number<K> || detail::is_struct<K>, "keys that vary in length are no array");
        return of_ ? static_cast<const K *>(quern_columns_keys(of_.get())) : nullptr;
    }
    const V *values() const
    {
        static_assert(detail::is_number<V> || detail::is_struct<V>, "values that vary in length are no array");
        return of_ ? static_cast<const V *>(quern_columns_values(of_.get())) : nullptr;
    }

  private:
    template <class T> static T entry(const void *data, const std::uint64_t *ends, std::size_t index)
    {
        const char *from = static_cast<const char *>(data);
        if (ends) {
            const std::uint64_t begin = index > 0 ? ends[index - 1] : 0;
            return get<T>(quern_bytes(from + begin, ends[index] - begin));
        }
        if constexpr (detail::is_pair<T>::value) /* of numbers and structs: without padding */
            return get<T>(quern_bytes(from + index * pair_bytes<T>(), pair_bytes<T>()));
        else if constexpr (std::is_same_v<T, none> || detail::is_text<T>)
            return T();
        else
            return get<T>(quern_bytes(from + index * sizeof(T), sizeof(T)));
    }
    template <class T> static constexpr std::size_t pair_bytes()
    {
        constexpr bool has_length =
            !detail::is_number<typename T::first_type> && !detail::is_number<typename T::second_type>;
        return sizeof(typename T::first_type) + sizeof(typename T::second_type) +
               (has_length ? sizeof(std::uint32_t) : 0);
    }
    std::unique_ptr<quern_columns, void (*)(quern_columns *)> of_;
};

/* A number that callbacks add to. */
class counter
{
  public:
    explicit counter(quern_counter *of = nullptr) : of_(of) {}
    void add(std::int64_t amount) const
    {
        quern_counter_add(of_, amount);
    }
    std::int64_t value() const
    {
        return quern_counter_value(of_);
    }

  private:
    quern_counter *of_;
};

} // namespace quern
#endif
