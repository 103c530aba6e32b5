/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_type.h"

#include <stdio.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/data/type.h"

/* Where a type stands, for messages. */
typedef struct spot {
    const char *file, *path;
    const char *field; /* NULL: the whole element */
} spot;

static quern_status refuse(const spot *at, qn_error *error, const char *what, const char *remedy)
{
    bool has_field = at->field != NULL;
    return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: dataset %s%s%s%s holds %s: %s", at->file, at->path,
                        has_field ? ", field '" : "", has_field ? at->field : "", has_field ? "'," : "", what, remedy);
}

hid_t qn_hdf5_type_of(quern_type type)
{
    switch ((int)type) {
    case QUERN_I32:
        return H5T_NATIVE_INT32;
    case QUERN_U32:
        return H5T_NATIVE_UINT32;
    case QUERN_I64:
        return H5T_NATIVE_INT64;
    case QUERN_U64:
        return H5T_NATIVE_UINT64;
    case QUERN_F32:
        return H5T_NATIVE_FLOAT;
    case QUERN_F64:
        return H5T_NATIVE_DOUBLE;
    default:
        QN_ASSERT(!"a number");
        return QN_HDF5_NONE;
    }
}

static const char *type_name(quern_type type)
{
    static const char *const names[] = {
        [QUERN_BYTES] = "QUERN_BYTES", [QUERN_I64] = "QUERN_I64", [QUERN_U64] = "QUERN_U64", [QUERN_I32] = "QUERN_I32",
        [QUERN_U32] = "QUERN_U32",     [QUERN_F32] = "QUERN_F32", [QUERN_F64] = "QUERN_F64"};
    return names[type];
}

#define WHAT_BYTES_MAX 80

/* "unsigned integers of 16 bits" */
static const char *describe(hid_t type, char *room)
{
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        snprintf(room, WHAT_BYTES_MAX, "%s integers of %zu bits",
                 H5Tget_sign(type) == H5T_SGN_2 ? "signed" : "unsigned", H5Tget_precision(type));
        return room;
    case H5T_FLOAT:
        snprintf(room, WHAT_BYTES_MAX, "floating-point numbers of %zu bytes", H5Tget_size(type));
        return room;
    case H5T_STRING:
        return H5Tis_variable_str(type) > 0 ? "strings of variable length" : "strings of fixed length";
    case H5T_COMPOUND:
        return "compounds";
    case H5T_ENUM:
        return "enumerations";
    case H5T_ARRAY:
        return "arrays";
    case H5T_REFERENCE:
        return "references";
    case H5T_VLEN:
        return "sequences of variable length";
    case H5T_OPAQUE:
        return "opaque bytes";
    default:
        return "elements of a type of their own";
    }
}

/* Whether every integer of so many bits is a number of the type. */
static bool integer_fits(size_t bits, bool is_signed, quern_type wanted)
{
    switch ((int)wanted) {
    case QUERN_I32:
        return bits < 32 || (is_signed && bits == 32);
    case QUERN_I64:
        return bits < 64 || (is_signed && bits == 64);
    case QUERN_U32:
        return !is_signed && bits <= 32;
    case QUERN_U64:
        return !is_signed && bits <= 64;
    case QUERN_F32:
        return bits - is_signed <= 24;
    default:
        return bits - is_signed <= 53;
    }
}

/* Enumerations are the integers that they are made of. */
static bool number_fits(hid_t type, quern_type wanted)
{
    if (H5Tget_class(type) == H5T_FLOAT)
        return wanted == QUERN_F64 ? H5Tget_size(type) <= 8 : wanted == QUERN_F32 && H5Tget_size(type) <= 4;
    hid_t whole = H5Tget_class(type) == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type);
    bool fits = whole >= 0 && integer_fits(H5Tget_precision(whole), H5Tget_sign(whole) == H5T_SGN_2, wanted);
    H5Tclose(whole);
    return fits;
}

static bool is_number(hid_t type)
{
    H5T_class_t class = H5Tget_class(type);
    return class == H5T_INTEGER || class == H5T_FLOAT || class == H5T_ENUM;
}

static quern_status check_number(hid_t type, quern_type wanted, bool convert, const spot *at, qn_error *error)
{
    char room[WHAT_BYTES_MAX], remedy[160];
    const char *what = describe(type, room);
    if (!is_number(type)) {
        snprintf(remedy, sizeof remedy, "they are no numbers, but %s was asked for", type_name(wanted));
        return refuse(at, error, what, remedy);
    }
    if (convert || number_fits(type, wanted))
        return QUERN_OK;
    snprintf(remedy, sizeof remedy, "not all of them are %s; ask for a larger type, or set convert", type_name(wanted));
    return refuse(at, error, what, remedy);
}

static quern_status choose_strings(qn_hdf5_dataset *dataset, hid_t type, const spot *at, qn_error *error)
{
    char room[WHAT_BYTES_MAX];
    if (H5Tget_class(type) != H5T_STRING)
        return refuse(at, error, describe(type, room), "they are no strings, but QUERN_BYTES was asked for");
    dataset->is_variable = H5Tis_variable_str(type) > 0;
    dataset->padding = H5Tget_strpad(type);
    dataset->element_bytes = dataset->is_variable ? sizeof(char *) : (uint32_t)H5Tget_size(type);
    dataset->memory_type = H5Tcopy(type);
    return QUERN_OK;
}

/* An array of numbers as one in memory; else the number itself. */
static quern_status choose_numbers_of_field(hid_t type, const quern_hdf5_field *field, bool convert, const spot *at,
                                            hid_t *memory_out, qn_error *error)
{
    uint64_t wanted = field->count > 0 ? field->count : 1;
    bool is_array = H5Tget_class(type) == H5T_ARRAY;
    hid_t base = is_array ? H5Tget_super(type) : H5Tcopy(type);
    quern_status status = check_number(base, field->type, convert, at, error);
    hsize_t dims[QN_HDF5_RANK_MAX] = {1}, count = 1;
    int rank = is_array ? H5Tget_array_ndims(type) : 0;
    if (is_array)
        H5Tget_array_dims2(type, dims);
    for (int d = 0; d < rank; d++)
        count *= dims[d];
    if (status == QUERN_OK && count != wanted) {
        char what[WHAT_BYTES_MAX];
        snprintf(what, sizeof what, "%llu numbers", (unsigned long long)count);
        status = refuse(at, error, what, "set the field's count to it");
    }
    if (status == QUERN_OK)
        *memory_out = is_array ? H5Tarray_create2(qn_hdf5_type_of(field->type), (unsigned)rank, dims)
                               : H5Tcopy(qn_hdf5_type_of(field->type));
    H5Tclose(base);
    return status;
}

static quern_status choose_string_of_field(hid_t type, const quern_hdf5_field *field, const spot *at, hid_t *memory_out,
                                           qn_error *error)
{
    char room[WHAT_BYTES_MAX];
    if (H5Tget_class(type) != H5T_STRING)
        return refuse(at, error, describe(type, room), "they are no strings, but QUERN_BYTES was asked for");
    if (H5Tis_variable_str(type) > 0) {
        *memory_out = H5Tcopy(type);
        return QUERN_OK;
    }
    if (qn_array_field_varies(field))
        return refuse(at, error, describe(type, room), "set the field's count to their length");
    if (H5Tget_size(type) > field->count) {
        char what[WHAT_BYTES_MAX];
        snprintf(what, sizeof what, "strings of %zu bytes", H5Tget_size(type));
        return refuse(at, error, what, "set the field's count to no less");
    }
    *memory_out = H5Tcopy(H5T_C_S1);
    H5Tset_size(*memory_out, field->count);
    H5Tset_strpad(*memory_out, H5T_STR_NULLPAD);
    H5Tset_cset(*memory_out, H5Tget_cset(type));
    return QUERN_OK;
}

static quern_status choose_field(qn_hdf5_dataset *dataset, hid_t type, const quern_hdf5_options *options, size_t number,
                                 size_t *offset, const spot *at, qn_error *error)
{
    const quern_hdf5_field *field = &options->fields[number];
    int index = H5Tget_member_index(type, field->name);
    if (index < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s: dataset %s has no field '%s'", at->file, at->path,
                            field->name);
    hid_t member = H5Tget_member_type(type, (unsigned)index), memory = QN_HDF5_NONE;
    quern_status status = field->type == QUERN_BYTES
                              ? choose_string_of_field(member, field, at, &memory, error)
                              : choose_numbers_of_field(member, field, options->convert, at, &memory, error);
    if (status == QUERN_OK && H5Tinsert(dataset->memory_type, field->name, *offset, memory) < 0)
        status =
            qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: dataset %s, field '%s'", at->file, at->path, field->name);
    *offset += memory >= 0 ? H5Tget_size(memory) : 0;
    if (memory >= 0 && field->type == QUERN_BYTES && H5Tis_variable_str(memory) > 0)
        dataset->variable_fields |= UINT64_C(1) << number;
    H5Tclose(memory);
    H5Tclose(member);
    return status;
}

static quern_status choose_struct(qn_hdf5_dataset *dataset, hid_t type, const spot *at, const qn_array_form *form,
                                  qn_error *error)
{
    char room[WHAT_BYTES_MAX];
    size_t offset = 0;
    if (H5Tget_class(type) != H5T_COMPOUND)
        return refuse(at, error, describe(type, room), "fields are of compounds");
    if (form->varies && dataset->rank != 1)
        return refuse(at, error, "strings of variable length in rows of several elements",
                      "say how many bytes they have");
    size_t bytes_max = form->element_bytes + form->options.field_count * sizeof(char *);
    dataset->memory_type = H5Tcreate(H5T_COMPOUND, bytes_max);
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < form->options.field_count && status == QUERN_OK; i++) {
        spot member = *at;
        member.field = form->options.fields[i].name;
        status = choose_field(dataset, type, &form->options, i, &offset, &member, error);
    }
    dataset->raw_bytes = (uint32_t)offset;
    if (status == QUERN_OK && H5Tset_size(dataset->memory_type, offset) < 0)
        status = qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: dataset %s", at->file, at->path);
    return status;
}

quern_status qn_hdf5_type_choose(qn_hdf5_dataset *dataset, hid_t type, const char *file, const char *path,
                                 const qn_array_form *form, qn_error *error)
{
    spot at = {file, path, NULL};
    dataset->element_bytes = form->element_bytes;
    if (form->options.field_count > 0)
        return choose_struct(dataset, type, &at, form, error);
    if (qn_array_form_has_strings(form))
        return choose_strings(dataset, type, &at, error);
    quern_status status = check_number(type, form->options.type, form->options.convert, &at, error);
    if (status == QUERN_OK)
        dataset->memory_type = H5Tcopy(qn_hdf5_type_of(form->options.type));
    return status;
}
