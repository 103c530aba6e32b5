/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/reducer.h"

#include "runtime/data/batch.h"
#include "runtime/data/order.h"

#define NEVER_LEAST   UINT64_MAX /* no number has these words */
#define NEVER_LARGEST UINT64_C(0)

static uint64_t bits_of(double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

static bool is_signed(quern_type type)
{
    return type == QUERN_I64 || type == QUERN_I32;
}

static void choose_extreme(qn_reducer *reducer, bool least, quern_type type)
{
    if (is_signed(type)) {
        reducer->kind = least ? QN_REDUCER_MIN_I64 : QN_REDUCER_MAX_I64;
        return;
    }
    reducer->kind = least ? QN_REDUCER_MIN_U64 : QN_REDUCER_MAX_U64;
    if (!qn_type_is_float(type))
        return;
    reducer->load = type;
    reducer->load_ordered = true;
    reducer->nan_word = least ? NEVER_LEAST : NEVER_LARGEST;
    reducer->finish = type == QUERN_F32 ? QN_FINISH_ORDERED_F32 : QN_FINISH_ORDERED_F64;
}

static void choose_sum(qn_reducer *reducer, quern_type type, quern_type *result_out)
{
    *result_out = qn_type_of_sums(type);
    reducer->kind = is_signed(type) ? QN_REDUCER_SUM_I64 : QN_REDUCER_SUM_U64;
    if (qn_type_is_float(type)) {
        reducer->kind = QN_REDUCER_BINNED;
        reducer->finish = QN_FINISH_SUM;
    }
}

static void choose_mean(qn_reducer *reducer, quern_type type)
{
    reducer->kind = qn_type_is_float(type) ? QN_REDUCER_BINNED
                    : is_signed(type)      ? QN_REDUCER_MEAN_I64
                                           : QN_REDUCER_MEAN_U64;
    reducer->finish = QN_FINISH_MEAN;
}

uint32_t qn_reducer_words(qn_reducer_kind kind)
{
    switch (kind) {
    case QN_REDUCER_SUM_I64:
        return 2;
    case QN_REDUCER_MEAN_I64:
    case QN_REDUCER_MEAN_U64:
        return 3;
    case QN_REDUCER_BINNED:
        return QN_BINNED_SUM_WORDS;
    default:
        return 1;
    }
}

static bool choose(qn_reducer *chosen, quern_reduction reduction, quern_type type, quern_type *result_out)
{
    if (reduction != QUERN_COUNT) {
        if (!qn_type_is_number(type))
            return false;
        chosen->load = type == QUERN_I32 || type == QUERN_U32 || type == QUERN_F32 ? type : QUERN_NONE;
    }
    switch (reduction) {
    case QUERN_COUNT:
        *result_out = QUERN_U64;
        return true;
    case QUERN_SUM:
        choose_sum(chosen, type, result_out);
        return true;
    case QUERN_SUM_PLAIN:
        chosen->kind = QN_REDUCER_PLAIN_F64;
        return qn_type_is_float(type);
    case QUERN_MEAN:
        choose_mean(chosen, type);
        return true;
    case QUERN_MIN:
    case QUERN_MAX:
        choose_extreme(chosen, reduction == QUERN_MIN, type);
        *result_out = type;
        return true;
    default:
        return false;
    }
}

static bool refuse(qn_error *error)
{
    qn_error_set(error, QUERN_ERROR_INVALID_PLAN, 0, "reduce by key: the reduction does not exist for this value type");
    return false;
}

bool qn_reducer_choose(qn_reducer *reducer, quern_reduction reduction, quern_type type, quern_type *result_out,
                       qn_error *error)
{
    qn_reducer chosen = {.kind = QN_REDUCER_COUNT};
    quern_type result = QUERN_F64;
    if (!choose(&chosen, reduction, type, &result))
        return refuse(error);
    chosen.value_bytes = (uint32_t)quern_number_bytes(result);
    chosen.value_words = qn_reducer_words(chosen.kind);
    *reducer = chosen;
    *result_out = result;
    return true;
}

/* Values of one size are combined as they lie. */
bool qn_reducer_choose_user(qn_reducer *reducer, const quern_schema *schema, quern_reduce_fn fn, void *user,
                            qn_error *error)
{
    uint32_t bytes = qn_schema_value_bytes(schema);
    *reducer = (qn_reducer){.kind = QN_REDUCER_USER,
                            .value_bytes = bytes,
                            .value_words = (bytes + 7) / 8,
                            .key_type = schema->key,
                            .fn = fn,
                            .user = user};
    return bytes > 0 || refuse(error);
}

bool qn_reducer_choose_aggregation(qn_reducer *reducer, const quern_schema *schema,
                                   const quern_aggregation *aggregation, void *user, qn_error *error)
{
    uint32_t bytes = aggregation->accumulator_bytes;
    *reducer = (qn_reducer){
        .kind = QN_REDUCER_AGGREGATE,
        .value_bytes = bytes,
        .value_words = (bytes + 7) / 8,
        .key_type = schema->key,
        .fn = aggregation->merge,
        .init = aggregation->init,
        .accumulate = aggregation->accumulate,
        .user = user,
        .finish_fn = aggregation->finish,
        .finished_type = aggregation->schema.value,
    };
    if (aggregation->accumulate && aggregation->merge && bytes > 0 && bytes <= QUERN_FIXED_BYTES_MAX)
        return true;
    qn_error_set(error, QUERN_ERROR_INVALID_ARGUMENT, 0,
                 "aggregate by key: accumulate and merge are needed, and accumulator_bytes from 1 to %d",
                 QUERN_FIXED_BYTES_MAX);
    return false;
}

void qn_reducer_add_counted(uint64_t *into, uint64_t low, uint64_t high, uint64_t count)
{
    qn_reducer_add_wide(into, low, high);
    into[2] += count;
}

uint64_t qn_reducer_load(const qn_reducer *reducer, const void *data)
{
    quern_span span = {data, 0};
    double number;
    switch (reducer->load) {
    case QUERN_I32:
        return (uint64_t)(int64_t)quern_i32(span);
    case QUERN_U32:
        return quern_u32(span);
    case QUERN_F32:
        number = (double)quern_f32(span);
        break;
    case QUERN_F64:
        number = quern_f64(span);
        break;
    default:
        return quern_u64(span);
    }
    if (!reducer->load_ordered)
        return bits_of(number);
    return number != number ? reducer->nan_word : qn_order_of_f64(bits_of(number));
}

/* The bits of the number that has the word. */
static uint64_t bits_of_ordered(const qn_reducer *reducer, uint64_t word)
{
    return word == reducer->nan_word ? QN_ORDER_NAN : qn_order_to_f64(word);
}

static uint64_t bits_of_narrow(uint64_t bits)
{
    float number = (float)quern_f64((quern_span){&bits, sizeof bits});
    return quern_u32((quern_span){&number, sizeof number});
}

static double mean_of(const qn_reducer *reducer, const uint64_t *held)
{
    if (reducer->kind == QN_REDUCER_BINNED)
        return qn_binned_sum_get_mean(held);
    unsigned __int128 sum = (unsigned __int128)held[1] << 64 | held[0];
    double number = reducer->kind == QN_REDUCER_MEAN_U64 ? (double)sum : (double)(__int128)sum;
    return number / (double)held[2];
}

uint64_t qn_reducer_get_value(const qn_reducer *reducer, const uint64_t *held)
{
    switch (reducer->finish) {
    case QN_FINISH_SUM:
        return bits_of(qn_binned_sum_get(held));
    case QN_FINISH_MEAN:
        return bits_of(mean_of(reducer, held));
    case QN_FINISH_ORDERED_F64:
        return bits_of_ordered(reducer, held[0]);
    case QN_FINISH_ORDERED_F32:
        return bits_of_narrow(bits_of_ordered(reducer, held[0]));
    case QN_FINISH_NONE:
        break;
    }
    return held[0];
}
