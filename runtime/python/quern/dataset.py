# SPDX-License-Identifier: BSD-3-Clause
"""Datasets and what is got out of them. What each call means is said in the headers, quern/dataset.h and quern/operators.h."""

import ctypes
import os

import numpy

from . import callbacks, capi, kinds
from .capi import lib


class Collected:
    """Records of a result, there after the next run: `keys` and `values` are arrays, or lists of bytes or tuples; `records` is a list of
    tuples (of keys, where there are no values). The arrays are the memory itself, which stays as long as they do."""

    def __init__(self, dataset, raw):
        self._kinds, self._raw, self._columns = (dataset.key_kind, dataset.value_kind), raw, None
        self._context = dataset.context

    def __del__(self):
        if self._raw:
            lib.quern_columns_free(self._raw)

    def _load(self):
        if self._columns is None:
            if self._context.is_pending(self):
                raise RuntimeError("what is collected is there after the context's next run")
            self._columns = (
                self._column(self._kinds[0], lib.quern_columns_keys, lib.quern_columns_key_ends),
                self._column(self._kinds[1], lib.quern_columns_values, lib.quern_columns_value_ends))
        return self._columns

    def __len__(self):
        self._load()
        return lib.quern_columns_count(self._raw) if self._raw else 0

    def _column(self, kind, data_of, ends_of):
        count = lib.quern_columns_count(self._raw) if self._raw else 0
        if count == 0:
            return kind.column(numpy.empty(0, numpy.uint8), None if kind.dtype is not None else numpy.empty(0, numpy.uint64))
        ends = None
        if ends_of(self._raw):
            ends = numpy.frombuffer(capi.memory_at(ends_of(self._raw), 8 * count), numpy.uint64)
        total = int(ends[-1]) if ends is not None else count * (kind.dtype.itemsize if kind.dtype is not None else 0)
        return kind.column(numpy.frombuffer(capi.memory_at(data_of(self._raw), total, self), numpy.uint8), ends)

    @property
    def keys(self):
        return self._load()[0]

    @property
    def values(self):
        return self._load()[1]

    @property
    def records(self):
        keys, values = self._load()
        keys = self._kinds[0].objects(keys, len(self))
        return keys if values is None else list(zip(keys, self._kinds[1].objects(values, len(self))))


class Top:
    """The records of top_k(), largest first, on rank 0: `records` is a list of tuples, filled by the next run."""

    def __init__(self):
        self.records = []


class Counter:
    """A number that callbacks add to; `value` is the sum over all ranks in the last run."""

    def __init__(self, raw):
        self._raw = raw

    def add(self, amount=1):
        lib.quern_counter_add(self._raw, amount)

    @property
    def value(self):
        return lib.quern_counter_value(self._raw)


class Shared:
    """Bytes that all ranks have, in one copy a node. Its arrays can be read until free(), or the context's end, and not after."""

    def __init__(self, context, raw):
        self._context, self._raw = context, raw

    def array(self, dtype=numpy.uint8):
        if not self._raw or not self._context.is_open:
            raise ValueError("what was broadcast is freed")
        count = lib.quern_shared_bytes(self._raw)
        if count == 0:
            return numpy.empty(0, dtype)
        made = numpy.frombuffer(capi.memory_at(lib.quern_shared_data(self._raw), count, self), dtype)
        made.flags.writeable = False
        return made

    def free(self):
        """The same on all ranks."""
        if self._raw and self._context.is_open:
            lib.quern_shared_free(self._raw)
        self._raw = None


def fields_of(dtype):
    """The members of a structured dtype, as HDF5 is asked for them."""
    fields = []
    for name in dtype.names:
        base, shape = dtype[name].subdtype or (dtype[name], ())
        if base.kind == "S":
            fields.append(capi.Hdf5Field(name.encode(), kinds.BYTES.code, base.itemsize))
        else:
            fields.append(capi.Hdf5Field(name.encode(), kinds.kind_of(base).code, int(numpy.prod(shape)) if shape else 0))
    return (capi.Hdf5Field * len(fields))(*fields)


class Dataset:
    """A sequence of records, key and value each of one type: see quern.Context for where it comes from.

    Functions are called as fn(key, value); value is None where there is none. Where they give records, these are (key, value) or, for a
    schema without values, the key alone."""

    def __init__(self, context, raw, key_kind=None, value_kind=None):
        """key_kind, value_kind: as what structs are to be read, if they are structs of that size."""
        self.context, self._raw = context, raw
        schema = lib.quern_dataset_schema(raw)
        self.key_kind = kinds.kind_of_code(schema.key, schema.key_bytes)
        self.value_kind = kinds.kind_of_code(schema.value, schema.value_bytes)
        if key_kind is not None and key_kind.same_bytes(self.key_kind):
            self.key_kind = key_kind
        if value_kind is not None and value_kind.same_bytes(self.value_kind):
            self.value_kind = value_kind

    @property
    def raw(self):
        """The handle, for the library."""
        return self.context.check(self._raw)

    def __repr__(self):
        return "<quern.Dataset of (%r, %r)>" % (self.key_kind, self.value_kind)

    def _with(self, raw, key_kind=None, value_kind=None):
        return Dataset(self.context, raw, key_kind or self.key_kind, value_kind or self.value_kind)

    def _call(self, call, schema, callback, *more):
        """An operator with a callback, which gives records of the schema."""
        self.context.keep(callback)
        return self._with(call(self.raw, schema[2], callback, *more), schema[0], schema[1])

    # ---- record by record

    def name(self, text):
        lib.quern_name(self.raw, text.encode())
        return self

    def tolerate(self, policy, bad_count_max=0):
        return self._with(lib.quern_tolerate(self.raw, policy, bad_count_max))

    def map(self, types, fn):
        """fn(key, value) gives a record of the types."""
        schema = kinds.schema_of(types)
        return self._call(lib.quern_map_block, schema, callbacks.records_fn(self, schema[0], schema[1], fn, True), None)

    def flat_map(self, types, fn):
        """fn(key, value) gives, or yields, any number of records."""
        schema = kinds.schema_of(types)
        return self._call(lib.quern_flat_map_block, schema, callbacks.records_fn(self, schema[0], schema[1], fn, False), None)

    def flat_map_block(self, types, fn):
        """fn(keys, values) gets some hundred records, as arrays (lists of bytes, or of tuples), and gives (keys, values), any number of both,
        keys alone where there are no values, or None. How records are grouped has no meaning."""
        schema = kinds.schema_of(types)
        return self._call(lib.quern_flat_map_block, schema, callbacks.block_fn(self, schema[0], schema[1], fn), None)

    def filter(self, fn):
        """fn(key, value) says whether a record stays."""
        return self._filter(callbacks.filter_fn(self, fn, False))

    def filter_block(self, fn):
        """fn(keys, values) gives an array of bool, of those that stay."""
        return self._filter(callbacks.filter_fn(self, fn, True))

    def _filter(self, callback):
        self.context.keep(callback)
        return self._with(lib.quern_filter_block(self.raw, callback, None))

    def key_by(self, key_type, fn):
        """fn(key, value) gives the new key."""
        kind = kinds.kind_of(key_type)
        callback = self.context.keep(callbacks.key_fn(self, kind, fn))
        value_kind = self.value_kind if self.value_kind.code else self.key_kind
        return self._with(lib.quern_key_by(self.raw, kind.code, kind.fixed_bytes, callback, None), kind, value_kind)

    def keys(self):
        return self._with(lib.quern_keys(self.raw))

    def value_as_key(self):
        return self._with(lib.quern_value_as_key(self.raw), self.value_kind)

    def sample(self, fraction, seed=0):
        return self._with(lib.quern_sample(self.raw, fraction, seed))

    def union(self, other):
        return self._with(lib.quern_union(self.raw, other.raw))

    # ---- by key

    def reduce_by_key(self, reduction):
        """COUNT, SUM and so on; or a function of two values, which gives what they become: associative, commutative."""
        if callable(reduction):
            if self.value_kind.dtype is None:
                raise TypeError("values of one length are reduced by a function, others by aggregate_by_key()")
            callback = self.context.keep(callbacks.reduce_fn(self, reduction))
            return self._with(lib.quern_reduce_by_key_with(self.raw, callback, None))
        return self._with(lib.quern_reduce_by_key(self.raw, reduction))

    def aggregate_by_key(self, accumulator, accumulate, merge, init=None, finish=None, value_type=None):
        """Values of any type through an accumulator of a dtype, zeros at first, which functions get as an array without dimensions, to be
        changed in place: init(a), accumulate(a, value), merge(a, other). finish(key, a) gives the result, of value_type;
        without it the accumulator is the value."""
        dtype = numpy.dtype(accumulator)
        schema = None
        if finish:
            key, value, raw = kinds.schema_of([self.key_kind, value_type])
            schema = key, value, raw
        made = callbacks.aggregation_of(self, dtype, accumulate, merge, init, finish, schema)
        self.context.keep(made)
        return self._with(lib.quern_aggregate_by_key(self.raw, ctypes.byref(made), None), self.key_kind,
                          schema[1] if schema else kinds.fixed(dtype))

    def count_by_key(self):
        return self._with(lib.quern_count_by_key(self.raw))

    def distinct(self):
        return self._with(lib.quern_distinct(self.raw))

    def histogram(self, bounds):
        numbers = numpy.ascontiguousarray(bounds, numpy.float64)
        return self._with(lib.quern_histogram(self.raw, numbers.ctypes.data, len(numbers)))

    def top_k_by_key(self, k):
        return self._with(lib.quern_top_k_by_key(self.raw, k))

    def sort_by_key(self, descending=False, compare=None, whole_keys=False):
        """compare(left, right) of keys gives a number below 0, 0 or above; without it the order of their type, many times as fast.
        whole_keys: all records of a key are on one rank, however many they are."""
        how = capi.SortOptions(descending=int(descending), whole_keys=int(whole_keys))
        if compare:
            how.compare = self.context.keep(callbacks.compare_fn(self, self.key_kind, compare))
        return self._with(lib.quern_sort_by_key(self.raw, ctypes.byref(how)))

    def group_by_key(self, types, fn, values_descending=False):
        """fn(key, values) gives or yields records; values can be iterated over, again and again."""
        schema = kinds.schema_of(types)
        how = capi.GroupOptions(values_descending=int(values_descending))
        return self._call(lib.quern_group_by_key, schema, callbacks.group_fn(self, schema, fn), None, ctypes.byref(how))

    def cogroup(self, right, types, fn):
        """fn(key, left values, right values) gives or yields records."""
        schema = kinds.schema_of(types)
        callback = self.context.keep(callbacks.cogroup_fn(self, right, schema, fn))
        return self._with(lib.quern_cogroup(self.raw, right.raw, schema[2], callback, None), schema[0],
                          schema[1])

    def join(self, right, types, fn, how=kinds.JOIN_INNER, strategy=kinds.JOIN_AUTO, outer=kinds.JOIN_OUTER_AUTO):
        """fn(key, left value, right value) gives or yields records; None stands for a side that is missing, b"" for no value."""
        schema = kinds.schema_of(types)
        callback = self.context.keep(callbacks.join_fn(self, right, schema, fn))
        options = capi.JoinOptions(strategy=strategy, outer=outer)
        return self._with(lib.quern_join_with(self.raw, right.raw, how, schema[2], callback, None,
                                              ctypes.byref(options)), schema[0], schema[1])

    # ---- kept and in order

    def cache(self):
        return self._with(lib.quern_cache(self.raw))

    def uncache(self):
        lib.quern_uncache(self.raw)

    def zip_with_index(self):
        return self._with(lib.quern_zip_with_index(self.raw, capi.Schema(), None, None))

    def prefix_sum(self):
        return self._with(lib.quern_prefix_sum(self.raw))

    def quantiles(self, fractions):
        numbers = numpy.ascontiguousarray(fractions, numpy.float64)
        return self._with(lib.quern_quantiles(self.raw, numbers.ctypes.data, len(numbers)), self.value_kind)

    def iterate_links(self, step, step_count_max, initial=None, combine=kinds.SUM, weight=kinds.WEIGHT_NONE,
                      both_ways=False, value=0.0, total_count=0, until=None):
        """Values that flow along links, of which this is the dataset: quern/links.h says which records are links, and what the other arguments
        are. step(some) is called with Vertices by the column, and sets some.value and some.send; until(step, totals), on all ranks alike, says
        whether to end after a step, by an array of totals. Gives the vertices and their values after the last step."""
        made = capi.VertexProgram(step_count_max=step_count_max, combine=combine, weight=weight, both_ways=int(both_ways),
                                  value=value, total_count=total_count, step=callbacks.vertices_fn(self, total_count, step))
        if until:
            made.until = callbacks.totals_fn(self, total_count, until)
        self.context.keep(made)
        return self._with(lib.quern_iterate_links(self.raw, initial.raw if initial is not None else None, ctypes.byref(made),
                                                  None), None, kinds.F64)

    def renew_memory(self, keys, values=None):
        """Of read_memory(): other arrays from the next run on."""
        here, lent = self.context.arrays_of(self.key_kind, self.value_kind, keys, values)
        self.context.lend(self.raw, lent)
        lib.quern_renew_memory(self.raw, here, len(here))

    # ---- outputs: what a run gives

    def write_text(self, directory):
        lib.quern_write_text(self.raw, os.fsencode(directory))

    def write_fixed(self, directory):
        lib.quern_write_fixed(self.raw, os.fsencode(directory))

    def write_files(self, directory, form=kinds.FORM_TEXT, compression=kinds.NOT_COMPRESSED, level=0, one_file=False,
                    archive=kinds.NO_ARCHIVE, separator="", names=(), rows=False, row_separator="", row_no_quotes=False):
        """names: of columns, the header of CSV and TSV. rows: values are rows as read_csv() gives them, with their row_separator."""
        texts = [name.encode() if isinstance(name, str) else name for name in names]
        how = capi.OutputOptions(form=form, compression=compression, level=level, one_file=int(one_file), archive=archive,
                                 separator=separator.encode() or b"\0", rows=int(rows), row_separator=row_separator.encode() or b"\0",
                                 row_no_quotes=int(row_no_quotes), names=(ctypes.c_char_p * len(texts))(*texts),
                                 name_count=len(texts))
        lib.quern_write_files(self.raw, os.fsencode(directory), ctypes.byref(how))

    def write_hdf5(self, path, dataset, files=kinds.HDF5_ONE_FILE, row_shape=None, string_bytes=0, with_key=False,
                   row_type=None, chunk_rows=0, deflate_level=0, shuffle=False, chunk_shape=None, fletcher32=False, filters=()):
        """Values (or keys, where there are none) as elements; structs of a dtype as compounds, with_key with the key's before them; bytes as
        rows of row_shape numbers of row_type, or as strings. chunk_shape: how far a chunk reaches in each dimension of row_shape. filters: each its
        number and its values."""
        asked = [(ctypes.c_uint32 * (len(one) - 1))(*one[1:]) for one in filters]
        chosen = [capi.Hdf5Filter(one[0], values, len(values)) for one, values in zip(filters, asked)]
        how = capi.Hdf5WriteOptions(dataset=dataset.encode(), files=files, string_bytes=string_bytes,
                                    chunk_rows=chunk_rows, deflate_level=deflate_level, shuffle=int(shuffle),
                                    fletcher32=int(fletcher32), filters=(capi.Hdf5Filter * len(chosen))(*chosen),
                                    filter_count=len(chosen))
        kind = self.value_kind if self.value_kind.code else self.key_kind
        dtypes = [self.key_kind.dtype] if with_key else []
        if kind.dtype is not None and kind.dtype.names:
            dtypes.append(kind.dtype)
            fields = [field for dtype in dtypes for field in fields_of(dtype)]
            how.fields, how.field_count, how.with_key = (capi.Hdf5Field * len(fields))(*fields), len(fields), int(with_key)
        if row_shape is not None:
            how.row_dims, how.row_rank = (ctypes.c_uint64 * len(row_shape))(*row_shape), len(row_shape)
        if chunk_shape is not None:
            how.chunk_dims = (ctypes.c_uint64 * len(chunk_shape))(*chunk_shape)
        if row_type is not None or string_bytes:
            how.type = kinds.kind_of(row_type if row_type is not None else bytes).code
        lib.quern_write_hdf5(self.raw, os.fsencode(path), ctypes.byref(how))

    def top_k(self, k, fn=None):
        """fn(key, value) on rank 0, largest value first. Without it gives a Top."""
        made = Top() if fn is None else None
        take = fn or (lambda key, value: made.records.append((key, value)))
        callback = self.context.keep_for_run(callbacks.each_fn(self, take))
        lib.quern_top_k(self.raw, k, callback, None)
        return made

    def collect(self, to=kinds.COLLECT_ALL):
        """Gives a Collected."""
        made = Collected(self, lib.quern_columns_collect(self.raw, to))
        self.context.keep_for_run(made)
        return made
