# SPDX-License-Identifier: BSD-3-Clause
"""What stands between C's callbacks and functions of Python.

Each maker gives a function for C that returns 0 or a failure and lets no exception pass: describe() of it becomes the
run's message, and the exception is left in `failures` for the run to raise from.
"""

import ctypes

import numpy

from . import capi
from .errors import describe

FLUSH_COUNT = 4096  # records that are held before they are emitted


class Ending(Exception):
    """The library said that the job is ending: out of the callback."""


class Failures:
    """The last exception of a callback on this rank."""

    def __init__(self):
        self.last = self.in_comparison = None

    def tell(self, exception, out=None, index=0):
        """What the callback is to return. To be called while the exception is handled."""
        if isinstance(exception, Ending):
            return 1
        self.last = exception
        text = describe(exception).encode(errors="replace").replace(b"\0", b"?")
        return capi.lib.quern_fail(out, index, text) if out else capi.lib.quern_fail_because(text)

    def guarded(self, prototype, body):
        """body(*arguments), which gives nothing, as a callback that cannot say which record it was."""
        def call(*arguments):
            try:
                body(*arguments)
                return 0
            except BaseException as exception:  # a KeyboardInterrupt, too, must not pass through C
                return self.tell(exception)
        return prototype(call)


class Emitter:
    """Collects records of a schema, and emits them together."""

    def __init__(self, out, key_kind, value_kind):
        self.out, self.key_kind, self.value_kind = out, key_kind, value_kind
        self.keys, self.values = [], []

    def put(self, record):
        if self.value_kind.code == 0:
            self.keys.append(record)
        else:
            key, value = record
            self.keys.append(key)
            self.values.append(value)
        if len(self.keys) >= FLUSH_COUNT:
            self.flush()

    def flush(self):
        if self.keys:
            self.put_columns(self.keys, self.values)
            self.keys, self.values = [], []

    def put_columns(self, keys, values):
        key_memory, key_at, key_bytes = self.key_kind.encode(keys)
        block = capi.Block(len(key_at), key_at.ctypes.data, key_bytes.ctypes.data)
        if self.value_kind.code != 0:
            value_memory, value_at, value_bytes = self.value_kind.encode(values)
            if len(value_at) != len(key_at):
                raise ValueError("%d keys and %d values" % (len(key_at), len(value_at)))
            block.value, block.value_bytes = value_at.ctypes.data, value_bytes.ctypes.data
        if capi.lib.quern_emit_block(self.out, ctypes.byref(block)) != 0:
            raise Ending


def numbers_at(address, count, dtype):
    return numpy.frombuffer(capi.memory_at(address, count * dtype.itemsize), dtype)


def _where_it_stands(starts, kind, lent):
    """Entries at equal distances within an array of the user's, without a copy; else None."""
    step = int(starts[1]) - int(starts[0]) if len(starts) > 1 else kind.dtype.itemsize
    first, last = int(starts[0]), int(starts[-1])
    if step < kind.dtype.itemsize or last - first != step * (len(starts) - 1):
        return None
    for begin, end, owner in lent:
        if begin <= first and last + kind.dtype.itemsize <= end:
            if (numpy.diff(starts) != step).any():
                return None
            memory = capi.memory_at(first, last - first + kind.dtype.itemsize, owner)
            array = numpy.ndarray((len(starts),), kind.dtype, memory, 0, (step,))
            array.flags.writeable = False
            return array
    return None


def column_of(kind, count, spans, sizes, lent):
    """The keys or the values of a block, as Kind.column() gives them."""
    if kind.code == 0 or not spans:
        return None
    if count > 0 and lent and kind.dtype is not None and not kind.parts:
        starts = numbers_at(spans, count, numpy.dtype(numpy.uintp))
        found = _where_it_stands(starts, kind, lent)
        if found is not None:
            return found
    each = numbers_at(sizes, count, numpy.dtype(numpy.uint32))
    ends = numpy.cumsum(each, dtype=numpy.uint64)
    data = numpy.empty(int(ends[-1]) if count else 0, numpy.uint8)
    capi.lib.quern_pack_spans(spans, sizes, count, data.ctypes.data)
    return kind.column(data, ends if kind.dtype is None else None)


def columns_of(block, dataset):
    """(count, keys, values) of a block at an address, of the records of a dataset."""
    records = capi.Block.from_address(block)
    count, lent = records.count, dataset.context.lent
    return (count, column_of(dataset.key_kind, count, records.key, records.key_bytes, lent),
            column_of(dataset.value_kind, count, records.value, records.value_bytes, lent))


def objects_of(block, dataset):
    count, keys, values = columns_of(block, dataset)
    return dataset.key_kind.objects(keys, count), dataset.value_kind.objects(values, count)


def block_fn(dataset, key_kind, value_kind, fn):
    """fn(keys, values) gives (keys, values), keys alone where there are no values, or None."""
    failures = dataset.context.failures

    def call(block, out, _):
        try:
            _, keys, values = columns_of(block, dataset)
            made = fn(keys, values)
            if made is not None:
                made = (made, None) if value_kind.code == 0 else made
                Emitter(out, key_kind, value_kind).put_columns(*made)
            return 0
        except BaseException as exception:
            return failures.tell(exception, out)
    return capi.BLOCK_FN(call)


def records_fn(dataset, key_kind, value_kind, fn, is_map):
    """fn(key, value) for each record: gives a record (map), or any number of them."""
    failures = dataset.context.failures

    def call(block, out, _):
        index = 0
        try:
            emitter = Emitter(out, key_kind, value_kind)
            keys, values = objects_of(block, dataset)
            for index, (key, value) in enumerate(zip(keys, values)):
                if is_map:
                    emitter.put(fn(key, value))
                else:
                    for record in fn(key, value) or ():
                        emitter.put(record)
            emitter.flush()
            return 0
        except BaseException as exception:
            return failures.tell(exception, out, index)
    return capi.BLOCK_FN(call)


def filter_fn(dataset, fn, is_block):
    """fn(key, value) says whether a record stays, or fn(keys, values) which of them do."""
    def body(block, keep, _):
        if is_block:
            count, keys, values = columns_of(block, dataset)
            kept = numpy.asarray(fn(keys, values))
            if kept.shape != (count,):
                raise ValueError("a filter of %d records gave an array of shape %s" % (count, kept.shape))
        else:
            keys, values = objects_of(block, dataset)
            kept = [bool(fn(key, value)) for key, value in zip(keys, values)]
            count = len(kept)
        numbers_at(keep, count, numpy.dtype(numpy.uint8))[:] = kept
    return dataset.context.failures.guarded(capi.FILTER_BLOCK_FN, body)


def read_record(dataset, record):
    key, value = record.contents.key, record.contents.value
    return dataset.key_kind.read(key.data, key.bytes), dataset.value_kind.read(value.data, value.bytes)


def key_fn(dataset, kind, fn):
    kept = [None]  # until the next call

    def body(record, span, _):
        data = kind.to_bytes(fn(*read_record(dataset, record)))
        kept[0] = ctypes.create_string_buffer(data, max(len(data), 1))
        span.contents.data, span.contents.bytes = ctypes.addressof(kept[0]), len(data)
    return dataset.context.failures.guarded(capi.KEY_FN, body)


def each_fn(dataset, fn):
    return dataset.context.failures.guarded(capi.EACH_FN, lambda record, _: fn(*read_record(dataset, record)))


def reduce_fn(dataset, fn):
    """fn(one, other) gives what both become."""
    kind = dataset.value_kind
    size = kind.dtype.itemsize

    def body(into, value, _):
        data = kind.to_bytes(fn(kind.read(into, size), kind.read(value, size)))
        ctypes.memmove(into, data, size)
    return dataset.context.failures.guarded(capi.REDUCE_FN, body)


def _accumulator(address, dtype):
    """One that can be written to: an array without dimensions."""
    return numpy.ndarray((), dtype, capi.memory_at(address, dtype.itemsize))


def aggregation_of(dataset, dtype, accumulate, merge, init, finish, schema):
    """quern_aggregation, and what has to be kept of the last result."""
    guarded, value_kind = dataset.context.failures.guarded, dataset.value_kind
    made = capi.Aggregation(accumulator_bytes=dtype.itemsize)
    if init:
        made.init = guarded(capi.INIT_FN, lambda at, _: init(_accumulator(at, dtype)))
    made.accumulate = guarded(capi.ACCUMULATE_FN, lambda at, value, _: accumulate(
        _accumulator(at, dtype), value_kind.read(value.data, value.bytes)))
    made.merge = guarded(capi.REDUCE_FN, lambda into, value, _: merge(_accumulator(into, dtype),
                                                                     _accumulator(value, dtype)))
    if finish:
        kept = [None]
        result_kind = schema[1]

        def body(record, out, _):
            key, value = record.contents.key, record.contents.value
            whole = numpy.frombuffer(ctypes.string_at(value.data, value.bytes), dtype)[0]
            data = result_kind.to_bytes(finish(dataset.key_kind.read(key.data, key.bytes), whole))
            kept[0] = ctypes.create_string_buffer(data, max(len(data), 1))
            out.contents.value.data, out.contents.value.bytes = ctypes.addressof(kept[0]), len(data)
        made.finish, made.schema = guarded(capi.MAP_FN, body), schema[2]
    return made


def compare_fn(dataset, kind, fn):
    """fn(left, right) gives a number; one that raises calls both equal, and the run fails where it can."""
    failures = dataset.context.failures

    def call(left, right, _):
        try:
            return int(fn(kind.read(left.data, left.bytes), kind.read(right.data, right.bytes)))
        except BaseException as exception:
            failures.in_comparison = exception
            return 0
    return capi.COMPARE_FN(call)


class Vertices:
    """Some vertices in a step, as arrays; quern_vertices of quern/links.h says what they are. They end with the call. value and send, and each array in
    totals, are to be set, by element or as a whole; the others are read only."""

    def __init__(self, raw, total_count):
        self.count, self.step, self.vertex_count, self.first = raw.count, raw.step, raw.vertex_count, raw.first
        self.links = self._column(raw.links, numpy.uint64, False)
        self.come = self._column(raw.come, numpy.float64, False)
        self._value = self._column(raw.value, numpy.float64, True)
        self._send = self._column(raw.send, numpy.float64, True)
        self.totals = tuple(self._column(raw.totals[i], numpy.float64, True) for i in range(total_count))
        self.totals_before = numpy.empty(0) if total_count == 0 else \
            numbers_at(raw.totals_before, total_count, numpy.dtype(numpy.float64)).copy()

    def _column(self, address, dtype, is_set):
        if self.count == 0:
            return numpy.empty(0, dtype)
        column = numbers_at(address, self.count, numpy.dtype(dtype))
        column.flags.writeable = is_set
        return column

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, numbers):
        self._value[:] = numbers

    @property
    def send(self):
        return self._send

    @send.setter
    def send(self, numbers):
        self._send[:] = numbers


def vertices_fn(dataset, total_count, fn):
    return dataset.context.failures.guarded(capi.VERTICES_FN, lambda some, _: fn(Vertices(some.contents, total_count)))


def totals_fn(dataset, total_count, fn):
    """fn(step, totals) says whether to end."""
    def body(step, totals, stop, _):
        stop[0] = bool(fn(step, numpy.array(totals[:total_count], numpy.float64)))
    return dataset.context.failures.guarded(capi.TOTALS_FN, body)


class Values:
    """The values of a group, as often as one likes: iterating begins with the first."""

    def __init__(self, raw, kind):
        self._raw, self._kind, self._begun = raw, kind, False

    def __iter__(self):
        if self._begun and capi.lib.quern_values_rewind(self._raw) != 0:
            raise Ending
        self._begun = True
        span = capi.Span()
        while True:
            code = capi.lib.quern_values_next(self._raw, ctypes.byref(span))
            if code < 0:
                raise Ending
            if code == 0:
                return
            yield self._kind.read(span.data, span.bytes)


def _emit_all(out, schema, records):
    emitter = Emitter(out, schema[0], schema[1])
    for record in records or ():
        emitter.put(record)
    emitter.flush()


def _emitting(dataset, prototype, body):
    """body(*arguments, out), whose failures can be said to the emitter, the last argument but one."""
    failures = dataset.context.failures

    def call(*arguments):
        try:
            body(*arguments[:-1])
            return 0
        except BaseException as exception:
            return failures.tell(exception, arguments[-2])
    return prototype(call)


def group_fn(dataset, schema, fn):
    kinds = dataset.key_kind, dataset.value_kind
    return _emitting(dataset, capi.GROUP_FN, lambda key, values, out: _emit_all(
        out, schema, fn(kinds[0].read(key.data, key.bytes), Values(values, kinds[1]))))


def cogroup_fn(left, right, schema, fn):
    return _emitting(left, capi.COGROUP_FN, lambda key, lefts, rights, out: _emit_all(
        out, schema, fn(left.key_kind.read(key.data, key.bytes), Values(lefts, left.value_kind),
                        Values(rights, right.value_kind))))


def join_fn(left, right, schema, fn):
    def one(dataset, span):
        if not span:
            return None
        value = dataset.value_kind.read(span.contents.data, span.contents.bytes)
        return b"" if value is None else value

    return _emitting(left, capi.JOIN_FN, lambda key, of_left, of_right, out: _emit_all(
        out, schema, fn(left.key_kind.read(key.data, key.bytes), one(left, of_left), one(right, of_right))))


