/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/collation.h"

#include "runtime/data/batch.h"

/* Bytes of a type that do not vary; *varies_out for those that do. */
static uint32_t fixed_bytes(quern_type type, uint32_t bytes, bool *varies_out)
{
    const quern_schema schema = {.key = QUERN_BYTES, .value = type, .value_bytes = bytes};
    *varies_out = type == QUERN_BYTES;
    return qn_schema_value_bytes(&schema);
}

qn_layout qn_layout_of(const quern_schema *schema, const quern_schema *other, bool has_tag)
{
    qn_layout layout = {.key_type = schema->key,
                        .value_types = {schema->value, other ? other->value : schema->value},
                        .has_tag = has_tag,
                        .has_side = other != NULL};
    layout.key_bytes = fixed_bytes(schema->key, 0, &layout.key_varies);
    layout.value_bytes = fixed_bytes(schema->value, schema->value_bytes, &layout.value_varies);
    if (other) {
        bool varies;
        layout.value_varies |= fixed_bytes(other->value, other->value_bytes, &varies) != layout.value_bytes || varies;
    }
    layout.head_bytes = (has_tag ? 8u : 0u) + (layout.key_varies ? 4u : 0u) + (layout.value_varies ? 4u : 0u) +
                        (layout.has_side ? 1u : 0u);
    return layout;
}

static quern_span key_of(const qn_packed *record)
{
    return (quern_span){record->key, record->key_bytes};
}

static quern_span value_of(const qn_packed *record)
{
    return (quern_span){record->value, record->value_bytes};
}

int qn_collation_compare_keys(const qn_collation *collation, const qn_packed *left, const qn_packed *right)
{
    quern_type type = collation->layout.key_type;
    uint64_t left_prefix = qn_collation_prefix(collation, left), right_prefix = qn_collation_prefix(collation, right);
    if (left_prefix != right_prefix)
        return left_prefix < right_prefix ? -1 : 1;
    int result = 0;
    switch (collation->kind) {
    case QN_COLLATE_BY_USER:
        result = collation->compare_keys(key_of(left), key_of(right), collation->user);
        return result != 0 ? result : qn_order_compare(QUERN_BYTES, key_of(left), key_of(right));
    case QN_COLLATE_BY_HASH:
        return qn_order_compare(QUERN_BYTES, key_of(left), key_of(right));
    case QN_COLLATE_BY_KEY:
        result = qn_order_prefix_decides(type) ? 0 : qn_order_compare(type, key_of(left), key_of(right));
        break;
    }
    return collation->descending ? -result : result;
}

static int compare_values(const qn_collation *collation, const qn_packed *left, const qn_packed *right)
{
    int result = 0;
    if (collation->compare_values)
        result = collation->compare_values(value_of(left), value_of(right), collation->user);
    if (result == 0)
        result = qn_order_compare(collation->layout.value_types[left->side], value_of(left), value_of(right));
    if (result == 0) /* what is equal by its type need not be the same bytes */
        result = qn_order_compare(QUERN_BYTES, value_of(left), value_of(right));
    return collation->values_descending ? -result : result;
}

int qn_collation_compare(const qn_collation *collation, const qn_packed *left, const qn_packed *right)
{
    int result = qn_collation_compare_keys(collation, left, right);
    if (result == 0 && left->side != right->side)
        result = left->side < right->side ? -1 : 1;
    return result != 0 ? result : compare_values(collation, left, right);
}
