/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_model.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/io/hdf5_type.h"

#define ENUMERATOR_BYTES_MAX 16

quern_status qn_hdf5_model_open(qn_hdf5_model *model, const qn_array_output *form, qn_error *error)
{
    const char *file = form->options.like_file, *path = form->options.like_dataset;
    qn_hdf5_links links;
    *model = (qn_hdf5_model){QN_HDF5_NONE, QN_HDF5_NONE};
    if (!file)
        return QUERN_OK;
    quern_status status = qn_hdf5_file_open(file, &model->file, error);
    if (status != QUERN_OK || (status = qn_hdf5_links_open(&links, false, error)) != QUERN_OK)
        return status;
    if ((model->dataset = H5Dopen2(model->file, path, links.list)) < 0)
        status = qn_hdf5_links_failed(&links, file, path, error);
    qn_hdf5_links_close(&links);
    return status;
}

void qn_hdf5_model_close(qn_hdf5_model *model)
{
    if (model->dataset >= 0)
        H5Dclose(model->dataset);
    if (model->file >= 0)
        H5Fclose(model->file);
    *model = (qn_hdf5_model){QN_HDF5_NONE, QN_HDF5_NONE};
}

/* ---- types ---- */

static hid_t string_type(uint32_t bytes, hid_t stored)
{
    hid_t type = H5Tcopy(H5T_C_S1);
    bool is_string = stored >= 0 && H5Tget_class(stored) == H5T_STRING;
    bool varies = bytes == QUERN_HDF5_VARIABLE;
    H5Tset_size(type, varies ? H5T_VARIABLE : bytes);
    H5Tset_strpad(type, varies ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    H5Tset_cset(type, is_string ? H5Tget_cset(stored) : H5T_CSET_UTF8);
    return type;
}

/* The enumeration's names, with numbers of our size. */
static hid_t enumeration_type(hid_t number, hid_t stored)
{
    hid_t base = H5Tget_super(stored), type = H5Tenum_create(number);
    for (int i = 0; i < H5Tget_nmembers(stored); i++) {
        uint8_t value[ENUMERATOR_BYTES_MAX] = {0};
        char *name = H5Tget_member_name(stored, (unsigned)i);
        H5Tget_member_value(stored, (unsigned)i, value);
        H5Tconvert(base, number, 1, value, NULL, H5P_DEFAULT);
        H5Tenum_insert(type, name, value);
        H5free_memory(name);
    }
    H5Tclose(base);
    return type;
}

static hid_t number_type(quern_type type, hid_t stored)
{
    hid_t number = qn_hdf5_type_of(type);
    bool is_enumeration = stored >= 0 && H5Tget_class(stored) == H5T_ENUM && type != QUERN_F32 && type != QUERN_F64;
    return is_enumeration ? enumeration_type(number, stored) : H5Tcopy(number);
}

/* Arrays are converted to arrays of the same shape alone, so one of as many elements gets the stored one's. */
static hid_t array_type(const quern_hdf5_field *field, hid_t stored)
{
    hsize_t dims[QN_HDF5_RANK_MAX] = {field->count}, count = 1;
    int rank = stored >= 0 && H5Tget_class(stored) == H5T_ARRAY ? H5Tget_array_ndims(stored) : 0;
    if (rank > 0)
        H5Tget_array_dims2(stored, dims);
    for (int d = 0; d < rank; d++)
        count *= dims[d];
    if (rank == 0 && field->count <= 1)
        return number_type(field->type, stored);
    if (rank == 0 || count != (field->count ? field->count : 1)) {
        dims[0] = field->count ? field->count : 1;
        rank = 1;
    }
    hid_t base_stored = stored >= 0 && H5Tget_class(stored) == H5T_ARRAY ? H5Tget_super(stored) : QN_HDF5_NONE;
    hid_t base = number_type(field->type, base_stored), type = H5Tarray_create2(base, (unsigned)rank, dims);
    H5Tclose(base);
    if (base_stored >= 0)
        H5Tclose(base_stored);
    return type;
}

static quern_status add_field(hid_t compound, size_t *offset, const quern_hdf5_field *field, hid_t stored,
                              const char *where, qn_error *error)
{
    int index = stored >= 0 ? H5Tget_member_index(stored, field->name) : -1;
    if (stored >= 0 && index < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s has no field '%s', so its type cannot be taken", where,
                            field->name);
    hid_t member_stored = index >= 0 ? H5Tget_member_type(stored, (unsigned)index) : QN_HDF5_NONE;
    hid_t member =
        field->type == QUERN_BYTES ? string_type(field->count, member_stored) : array_type(field, member_stored);
    quern_status status = QUERN_OK;
    if (member < 0 || H5Tinsert(compound, field->name, *offset, member) < 0)
        status = qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "no type for the field '%s'", field->name);
    *offset += member >= 0 ? H5Tget_size(member) : 0;
    if (member >= 0)
        H5Tclose(member);
    if (member_stored >= 0)
        H5Tclose(member_stored);
    return status;
}

static hid_t compound_type(const qn_array_output *form, hid_t stored, const char *where, qn_error *error)
{
    hid_t type = H5Tcreate(H5T_COMPOUND, form->element_bytes);
    size_t offset = 0;
    quern_status status = QUERN_OK;
    if (stored >= 0 && H5Tget_class(stored) != H5T_COMPOUND)
        status = qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s has no fields, so its type cannot be taken", where);
    for (size_t i = 0; i < form->options.field_count && status == QUERN_OK; i++)
        status = add_field(type, &offset, &form->options.fields[i], stored, where, error);
    if (status == QUERN_OK)
        return type;
    H5Tclose(type);
    return QN_HDF5_NONE;
}

hid_t qn_hdf5_element_type(const qn_array_output *form, hid_t stored, const char *where, qn_error *error)
{
    H5T_cdata_t *way = NULL;
    hid_t type = form->options.field_count > 0       ? compound_type(form, stored, where, error)
                 : form->options.type == QUERN_BYTES ? string_type(form->options.string_bytes, stored)
                                                     : number_type(form->options.type, stored);
    if (type < 0 || stored < 0 || H5Tfind(type, stored, &way))
        return type;
    qn_hdf5_failed(error, QUERN_ERROR_INPUT, "the records cannot be converted to the type of %s", where);
    H5Tclose(type);
    return QN_HDF5_NONE;
}

/* ---- attributes ---- */

static bool points_elsewhere(hid_t type)
{
    return H5Tdetect_class(type, H5T_REFERENCE) > 0;
}

/* The value as it is in memory, any strings in it included. */
static bool copy_value(hid_t from, hid_t to, hid_t type, hid_t space)
{
    hid_t memory_type = H5Tget_native_type(type, H5T_DIR_ASCEND);
    hssize_t count = H5Sget_simple_extent_npoints(space);
    void *value = calloc(count > 0 ? (size_t)count : 1, memory_type >= 0 ? H5Tget_size(memory_type) : 1);
    bool copied = memory_type >= 0 && value && H5Aread(from, memory_type, value) >= 0;
    if (copied) {
        copied = H5Awrite(to, memory_type, value) >= 0;
        H5Dvlen_reclaim(memory_type, space, H5P_DEFAULT, value);
    }
    free(value);
    if (memory_type >= 0)
        H5Tclose(memory_type);
    return copied;
}

static bool copy_as(hid_t from, hid_t to_dataset, const char *name, hid_t type, hid_t space)
{
    hid_t own = H5Tcopy(type), names = H5Aget_create_plist(from); /* a copy of a named type has no name */
    hid_t to = H5Acreate2(to_dataset, name, own, space, names, H5P_DEFAULT);
    bool is_null = H5Sget_simple_extent_type(space) == H5S_NULL;
    bool copied = to >= 0 && (is_null || copy_value(from, to, type, space));
    if (to >= 0)
        copied = H5Aclose(to) >= 0 && copied;
    H5Pclose(names);
    H5Tclose(own);
    return copied;
}

static herr_t copy_attribute(hid_t model, const char *name, const H5A_info_t *about, void *user)
{
    hid_t from = H5Aopen(model, name, H5P_DEFAULT);
    hid_t type = from >= 0 ? H5Aget_type(from) : QN_HDF5_NONE, space = from >= 0 ? H5Aget_space(from) : QN_HDF5_NONE;
    bool copied = type >= 0 && space >= 0;
    (void)about;
    if (copied && !points_elsewhere(type))
        copied = copy_as(from, *(const hid_t *)user, name, type, space);
    if (type >= 0)
        H5Tclose(type);
    if (space >= 0)
        H5Sclose(space);
    if (from >= 0)
        H5Aclose(from);
    return copied ? 0 : -1;
}

static hid_t attribute_type(const quern_hdf5_attribute *attribute)
{
    if (attribute->type != QUERN_BYTES)
        return H5Tcopy(qn_hdf5_type_of(attribute->type));
    hid_t type = H5Tcopy(H5T_C_S1);
    size_t bytes = strlen(attribute->text);
    H5Tset_size(type, bytes > 0 ? bytes : 1);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    H5Tset_cset(type, H5T_CSET_UTF8);
    return type;
}

static bool put_attribute(hid_t dataset, const quern_hdf5_attribute *attribute)
{
    const void *value = attribute->type == QUERN_I64   ? &attribute->integer
                        : attribute->type == QUERN_F64 ? (const void *)&attribute->number
                                                       : attribute->text;
    hid_t type = attribute_type(attribute), space = H5Screate(H5S_SCALAR), names = H5Pcreate(H5P_ATTRIBUTE_CREATE);
    H5Pset_char_encoding(names, H5T_CSET_UTF8);
    if (H5Aexists(dataset, attribute->name) > 0)
        H5Adelete(dataset, attribute->name);
    hid_t to = H5Acreate2(dataset, attribute->name, type, space, names, H5P_DEFAULT);
    bool put = to >= 0 && H5Awrite(to, type, value) >= 0;
    if (to >= 0)
        put = H5Aclose(to) >= 0 && put;
    H5Pclose(names);
    H5Sclose(space);
    H5Tclose(type);
    return put;
}

quern_status qn_hdf5_put_attributes(hid_t dataset, const qn_hdf5_model *model, const qn_array_output *form,
                                    qn_error *error)
{
    const quern_hdf5_write_options *options = &form->options;
    if (model->dataset >= 0 &&
        H5Aiterate2(model->dataset, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, copy_attribute, &dataset) < 0)
        return qn_hdf5_failed(error, QUERN_ERROR_INPUT, "%s: cannot copy the attributes of %s", options->like_file,
                              options->like_dataset);
    for (size_t i = 0; i < options->attribute_count; i++)
        if (!put_attribute(dataset, &options->attributes[i]))
            return qn_hdf5_failed(error, QUERN_ERROR_OUTPUT, "cannot write the attribute '%s'",
                                  options->attributes[i].name);
    return QUERN_OK;
}
