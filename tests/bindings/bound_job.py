#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The package quern by its calls: usage: bound_job.py DIRECTORY CASE...; rank 0 says which hold."""

import gc
import os
import sys

import numpy
import quern
from mpi4py import MPI

COMM = MPI.COMM_WORLD
KEYS = (numpy.arange(1000) % 7).astype(numpy.uint32)
VALUES = numpy.arange(1000, dtype=numpy.int64)


def same(found, expected):
    assert found == expected, "%r, not %r" % (found, expected)


def fails(context, status, *parts):
    try:
        context.run()
    except quern.Error as error:
        same(error.status, status)
        assert all(part in str(error) for part in parts), "%s is without %s" % (error, parts)
        return error
    raise AssertionError("no failure: %s" % (parts,))


def table(dataset):
    found = dataset.collect()
    dataset.context.run()
    return dict(found.records)


def numbers(context):
    return context.read_memory(KEYS, VALUES)


def operators(context, _):
    data, ranks = numbers(context), context.size
    same(table(data.reduce_by_key(quern.SUM))[6], (6 + 993) * 142 // 2 * ranks)
    counter = context.counter("odd ones")
    odd = data.filter(lambda key, value: value % 2 == 1 and not counter.add(1))
    same(table(odd.reduce_by_key(max))[6], 993)
    same(counter.value, 500 * ranks)
    same(table(data.filter_block(lambda keys, values: values > 990).count_by_key())[0], ranks)
    same(table(data.map((quern.U32, str), lambda key, value: (key, "x" * (value % 3))).distinct().map(
        (quern.U32, float), lambda key, value: (key, 0.5)))[3], 0.5)

    def widen(spread, value):
        spread["least"] = min(spread["least"], value)
        spread["most"] = max(spread["most"], value)

    def join(spread, other):
        widen(spread, other["least"])
        widen(spread, other["most"])

    spread = numpy.dtype([("least", "i8"), ("most", "i8")])
    same(table(data.aggregate_by_key(spread, widen, join, init=lambda a: a["least"].fill(1 << 60),
                                     finish=lambda key, a: a["most"] - a["least"], value_type=int))[5], 999 - 5)
    same(table(data.aggregate_by_key(spread, widen, join))[5]["most"], 999)
    same(table(data.group_by_key((quern.U32, quern.I64), lambda key, values: [(key, sum(values) - sum(values) + 1)]))[0], 1)
    largest = data.reduce_by_key(quern.MAX)
    joined = largest.join(odd.filter(lambda key, value: key != 2).reduce_by_key(quern.MIN), (quern.U32, quern.BYTES),
                          lambda key, left, right: [(key, b"%d %s" % (left, str(right).encode()))], how=quern.JOIN_LEFT)
    same((table(joined)[0], table(joined)[2]), (b"994 7", b"996 None"))
    same(table(data.cogroup(odd, (quern.U32, quern.I64), lambda key, left, right: [
        (key, len(list(left)) - len(list(right)))]))[0], (143 - 71) * ranks)
    same(table(data.union(data).key_by(quern.pair(quern.I64, bytes), lambda key, value: (key, b"k%d" % key)).count_by_key())[
        (4, b"k4")], 2 * 143 * ranks)
    named = data.key_by(quern.pair(quern.fixed(3), quern.U32), lambda key, value: (b"k%02d" % key, key)).count_by_key()
    parts = data.key_by((quern.fixed(1), quern.fixed(3)), lambda key, value: (b"%d" % key, b"k%02d" % key)).count_by_key()
    same((table(named)[(b"k04", 4)], table(parts)[(b"4", b"k04")]), (143 * ranks, 143 * ranks))
    lines = data.flat_map_block(bytes, lambda keys, values: [b"%d" % key for key in keys])
    same(table(lines.count_by_key())[b"1"], 143 * ranks)
    top = numbers(context).reduce_by_key(quern.MAX).top_k(2)
    context.run()
    same(top.records, [(5, 999), (4, 998)] if context.rank == 0 else [])


def orders(context, directory):
    data, ranks = numbers(context), context.size
    found = data.sort_by_key(descending=True).collect()
    odd = data.distinct().sort_by_key(compare=lambda left, right: (left % 3, left) > (right % 3, right) or -1).collect()
    cut, placed = data.quantiles([0.5]).collect(), data.zip_with_index().collect()
    bins = data.histogram([100, 500]).collect()
    spread = numpy.dtype([("least", "i8"), ("most", "i8")])
    structs = data.key_by(spread, lambda key, value: (key, -key)).distinct().sort_by_key().collect()
    sums, two = data.prefix_sum().collect(quern.COLLECT_ROOT), data.top_k_by_key(2).cache().collect()
    same(type(sums).__name__, "Collected")
    context.run()
    same((found.keys[0], found.keys[-1], len(found)), (6, 0, 1000 * ranks))
    same(odd.keys.tolist(), [0, 3, 6, 1, 4, 2, 5])
    same(structs.keys["most"].tolist(), [0, -1, -2, -3, -4, -5, -6])
    same((cut.keys.tolist(), int(placed.values[-1]), bins.values.tolist()),
         ([499], 1000 * ranks - 1, [100 * ranks, 400 * ranks, 500 * ranks]))
    same((len(two), sums.values[-1:].tolist()), (14, [499500 * ranks] if context.rank == 0 else []))
    last = context.iterate(data.reduce_by_key(quern.MAX), 5, lambda state, step: state.map(
        (quern.U32, quern.I64), lambda key, value: (key, value + step)), lambda step: step == 3)
    same(table(last)[0], 994 + 0 + 1 + 2 + 3)
    plan = data.write_text(os.path.join(directory, "out-%d" % ranks)) or context.explain()
    assert "read memory" in plan, plan
    context.run()
    shared = context.broadcast(numpy.array([0.5, 0.25]) if context.rank == 0 else None)
    same(shared.array(float).tolist(), [0.5, 0.25])
    shared.free()


def notes(context, directory):
    """What came of it is in the checkpoint."""
    context.note_parameter("half", 0.5)
    context.note_parameter("text", "a b")
    context.note_file(os.path.join(os.path.dirname(directory), "model"))
    numbers(context).count_by_key().write_text(os.path.join(directory, "noted"))
    context.run()


def events(context, _):
    told = []
    context.on_progress(told.append)
    table(numbers(context).count_by_key())
    first = context.rank == 0
    same([event.stage_name for event in told if event.kind == quern.EVENT_STAGE_ENDED],
         ["read memory", "count by key"] if first else [])
    same([(event.kind, event.status, event.run) for event in told[-1:]], [(quern.EVENT_RUN_ENDED, 0, told[-1].run)] if first else [])
    count = len(told)
    context.on_progress(None)
    table(numbers(context).count_by_key())
    same(len(told), count)


def readers(context, directory):
    path = os.path.join(directory, "in-%d" % context.size)
    if context.rank == 0:
        os.makedirs(path)
        with open(path + "/a.csv", "wb") as file:
            file.write(b'k,v\nx,"1,2"\ny,3\n')
        with open(path + "/b.fa", "wb") as file:
            file.write(b">one\nACGT\nAC\n>two\nGG\n")
        with open(path + "/c.bin", "wb") as file:
            file.write(numpy.arange(12, dtype="<u4").tobytes())
    COMM.Barrier()
    table_of = context.read_csv(path + "/a.csv", header=True, key_name="k")
    rows = table_of.collect()
    table_of.write_files(path + "-table", form=quern.FORM_CSV, one_file=True, separator=";", rows=True, names=["k", "v;w"])
    reads = context.read_sequences([path + "/b.fa"]).collect()
    structs = context.read_fixed(path + "/c.bin", 12, (quern.U32, numpy.dtype([("a", "<u4"), ("b", "<u4")]))).collect()
    files = context.read_files(path).keys().collect()
    places = context.read_text(path + "/a.csv", value=quern.TEXT_OFFSET).collect()
    context.run()
    same(rows.records, [(b"x", b'x,"1,2"'), (b"y", b"y,3")])
    with open(path + "-table/part-00000", "rb") as file:
        same(file.read(), b'k;"v;w"\r\nx;1,2\r\ny;3\r\n')
    same(reads.records, [(b"one", b"ACGTAC"), (b"two", b"GG")])
    same((structs.keys.tolist(), structs.values["b"].tolist()), ([0, 3, 6, 9], [2, 5, 8, 11]))
    same(files.records, [os.fsencode(path + name) for name in ("/a.csv", "/b.fa", "/c.bin")])
    same(places.values.tolist(), [0, 4, 12])
    written = numpy.dtype([("a", "<i4"), ("b", "<f8")])
    data = context.read_memory(numpy.arange(3, dtype=numpy.uint64) + 3 * numpy.uint64(context.rank),
                               numpy.array([(i, i / 2) for i in range(3)], written))
    data.write_hdf5(path + "/h5", "/table", files=quern.HDF5_PER_RANK, filters=[(2,), (1, 4), (3,)])
    data.keys().write_files(path + "/packed", compression=quern.GZIP)
    context.run()
    back = context.read_hdf5(path + "/h5/part-*.h5", "/table", dtype=written).collect()
    lines = context.read_text(path + "/packed").collect()
    context.read_text(path + "/nothing").collect()
    fails(context, quern.Status.INPUT, "nothing")
    del back, lines
    back, lines = context.read_hdf5(path + "/h5", "/table", dtype=written).collect(), context.read_text(path + "/a.csv").collect()
    context.run()
    same((back.values["b"].tolist(), len(lines)), ([0, 0.5, 1] * context.size, 3))


def failures(context, directory):
    data = numbers(context)

    def bad(*_):
        raise KeyError("no such station")

    def seen(ask, *parts):
        ask(os.path.join(directory, "no"))
        error = fails(context, quern.Status.CALLBACK, *parts)
        COMM.Barrier()  # rank 0 removes it
        assert not os.path.exists(os.path.join(directory, "no"))
        return error

    line = "KeyError: 'no such station' (bound_job.py, line "
    error = seen(data.flat_map(int, bad).write_text, line)
    causes = COMM.allgather(type(error.__cause__).__name__)
    assert "KeyError" in causes, causes
    for made in (data.map(int, bad), data.filter(bad), data.flat_map_block(int, bad), data.key_by(int, bad),
                 data.reduce_by_key(bad), data.group_by_key(int, bad), data.cogroup(data, int, bad),
                 data.filter_block(bad), data.join(data, int, bad),
                 data.aggregate_by_key(numpy.int64, bad, bad, finish=lambda key, a: 1, value_type=int)):
        seen(made.write_text, line)
    seen(lambda _: data.top_k(1, bad), "'top k': " + line)
    seen(data.map(quern.U64, lambda key, value: -1).write_text, "OverflowError")
    seen(data.map(quern.I64, lambda key, value: 0.5).write_text, "TypeError")
    seen(data.flat_map_block((int, int), lambda keys, values: (values, values[1:])).write_text, "keys and ")
    data.filter(lambda key, value: True).reduce_by_key(quern.SUM).collect()
    context.run()
    top = data.collect()
    try:
        top.keys
        raise AssertionError("there before the run")
    except RuntimeError:
        context.run()
    same(len(top), 1000 * context.size)


def memory(context, _):
    """No copy of arrays, known by their addresses; lifetimes of both directions."""
    records = numpy.zeros(600, numpy.dtype([("cell", "<u8"), ("pad", "<u4"), ("pressure", "<f8")], align=True))
    records["cell"], records["pressure"] = numpy.arange(600), 0.25
    begin, end = records.ctypes.data, records.ctypes.data + records.nbytes
    seen, kept = [], []

    def look(keys, values):
        seen.append((values.ctypes.data, values.strides, begin <= values.ctypes.data < end, values.flags.writeable))
        kept.append(values)
        return values[:1]

    data = context.read_memory(records["cell"], records["pressure"])
    data.flat_map_block(float, look).collect()
    context.run()
    assert seen and all(item[2] and item[1] == (records.itemsize,) and not item[3] for item in seen), seen
    same(sum(len(values) for values in kept), 600)
    short = numpy.full(context.rank + 1, 0.5)
    data.renew_memory(numpy.zeros(context.rank + 1, numpy.uint64), short)
    del records
    gc.collect()
    same(float(sum(values.sum() for values in kept)), 150.0)  # they keep the array
    found = data.reduce_by_key(quern.SUM).collect()
    context.run()
    same(found.values.tolist(), [sum(range(1, context.size + 1)) / 2])
    keys, values = found.keys, found.values
    del found
    gc.collect()
    same((keys.tolist(), values.tolist()), ([0], [sum(range(1, context.size + 1)) / 2]))
    lost = context.read_memory(numpy.arange(2000, dtype=numpy.int32))  # by nobody else
    gc.collect()
    same(len(table(lost.distinct().map((int, int), lambda key, _: (key, 1)))), 2000)
    context.close()
    same(values.tolist(), [sum(range(1, COMM.size + 1)) / 2])
    try:
        lost.count_by_key().write_text("never")
        raise AssertionError("a closed context was used")
    except ValueError:
        pass


def nearest(context, vertices, step, **how):
    """Distances from 0 in a ring of so many vertices, whose links rank 0 has."""
    here = vertices if context.rank == 0 else 0
    source = numpy.arange(here, dtype=numpy.int64)
    links = context.read_memory(source, (source + 1) % max(here, 1)).map(
        (quern.pair(quern.I64, quern.I64), quern.F64), lambda one, other: ((one, other), 1.0))
    begin = context.read_memory(source[:1], numpy.zeros(len(source[:1])))
    return links.iterate_links(step, 10000, begin, combine=quern.MIN, weight=quern.WEIGHT_ADD, value=float("inf"),
                               total_count=1, **how)


def links(context, _):
    asked = []

    def step(some):
        assert some.count == len(some.value) == len(some.links) and some.vertex_count == 100 and some.first < 100
        assert (some.links == 1).all() and not some.come.flags.writeable and len(some.totals_before) == 1
        some.totals[0][:] = some.come < some.value
        some.value = numpy.minimum(some.value, some.come)
        some.send = some.value

    def until(number, totals):
        asked.append(number)
        return number > 0 and totals[0] == 0

    found = nearest(context, 100, step, until=until).collect()
    context.run()
    same(sorted(found.records), [(i, float(i)) for i in range(100)])
    same(asked, list(range(len(asked))))
    same(len(asked) < 105, True)
    ranked = context.read_memory(KEYS.astype(numpy.int64), VALUES % 7).iterate_links(give_away, 3, value=1.0, both_ways=True)
    same(sum(table(ranked).values()) > 0, True)
    nearest(context, 100, lambda some: some.value[5000]).collect()
    fails(context, quern.Status.CALLBACK, "IndexError")
    nearest(context, 100, step, until=lambda number, totals: totals[7]).collect()
    fails(context, quern.Status.CALLBACK, "IndexError")


def give_away(some):
    some.value[:] = some.come + 1
    some.send[:] = some.value / some.links


def splits(context, _):
    """Communicators of mpi4py, several at a time."""
    half = COMM.Split(COMM.rank % 2, -COMM.rank)
    with quern.Context(comm=half, memory="64M", progress=False) as part:
        same((part.size, part.rank), (half.size, half.rank))
        same(table(numbers(part).count_by_key())[0], 143 * half.size)
        same(table(numbers(context).count_by_key())[0], 143 * COMM.size)
    half.Free()
    try:
        quern.Context(comm=COMM, memroy="1G")
        raise AssertionError("an unknown option was taken")
    except quern.Error as error:
        same((error.status, "memroy" in str(error)), (quern.Status.INVALID_OPTION, True))
    same(COMM.allreduce(1), COMM.size)


def threads(context, _):
    """A reduction comes on the library's thread while a callback takes long; neither waits for the other for ever."""
    def slow(key, value):
        import time
        if value % 250 == 0:
            time.sleep(0.05)
        return [(key, value)]
    same(table(numbers(context).flat_map((quern.U32, quern.I64), slow).reduce_by_key(lambda a, b: a + b))[6],
         (6 + 993) * 142 // 2 * context.size)


def main():
    try:
        for case in sys.argv[2:]:
            directory = os.path.join(sys.argv[1], case + "-%d" % COMM.size)
            os.makedirs(directory, exist_ok=True)
            with quern.Context(comm=COMM) as context:
                globals()[case](context, directory)
            if COMM.rank == 0:
                print(case, "holds")
    except BaseException:
        import traceback
        traceback.print_exc()
        sys.stderr.flush()
        COMM.Abort(1)


if __name__ == "__main__":
    main()
