/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/collation.h"

#include "runtime/base/assert.h"
#include "runtime/base/hash.h"
#include "runtime/data/batch.h"

qn_layout qn_layout_of(const quern_schema *schema, const quern_schema *other, bool has_tag)
{
    qn_layout layout = {.key_type = schema->key,
                        .value_types = {schema->value, other ? other->value : schema->value},
                        .has_tag = has_tag,
                        .has_side = other != NULL};
    layout.key_varies = qn_type_varies(schema->key); /* pairs may, though there is a least they have */
    layout.key_bytes = layout.key_varies ? 0 : qn_schema_key_bytes(schema);
    layout.value_bytes = qn_schema_value_bytes(schema);
    layout.value_varies = (layout.value_bytes == 0 && schema->value != QUERN_NONE) ||
                          (other && qn_schema_value_bytes(other) != layout.value_bytes) ||
                          (other && other->value == QUERN_BYTES);
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

/* By their bytes, where the hashes are the same; most of these keys are numbers, or the same. Of a tiny key the hash is all there is. */
static int compare_hashed(const qn_packed *left, const qn_packed *right)
{
    if (QN_TAG_IS_TINY(left->prefix))
        return 0;
    if (QN_UNLIKELY(left->key_bytes != sizeof(uint64_t) || right->key_bytes != sizeof(uint64_t)))
        return qn_order_compare(QUERN_BYTES, key_of(left), key_of(right));
    uint64_t left_word = qn_order_prefix(QUERN_BYTES, left->key, sizeof(uint64_t));
    uint64_t right_word = qn_order_prefix(QUERN_BYTES, right->key, sizeof(uint64_t));
    return (left_word > right_word) - (left_word < right_word);
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
        result = result != 0 ? result : qn_order_compare(QUERN_BYTES, key_of(left), key_of(right));
        break;
    case QN_COLLATE_BY_HASH:
        return compare_hashed(left, right);
    case QN_COLLATE_BY_KEY:
        result = qn_order_prefix_decides(type) ? 0 : qn_order_compare(type, key_of(left), key_of(right));
        break;
    }
    return collation->descending ? (result < 0) - (result > 0) : result;
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
    return collation->values_descending ? (result < 0) - (result > 0) : result;
}

int qn_collation_compare(const qn_collation *collation, const qn_packed *left, const qn_packed *right)
{
    int result = qn_collation_compare_keys(collation, left, right);
    if (result == 0 && left->side != right->side)
        result = left->side < right->side ? -1 : 1;
    return result != 0 ? result : compare_values(collation, left, right);
}
