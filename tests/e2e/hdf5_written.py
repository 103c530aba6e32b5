#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""hdf5_written.py: what records of one length must be as a dataset of HDF5, by numpy and h5py.

Reads requests, each a line of JSON, and answers each with a line: a string of JSON, empty when all is well.
    ["make", DIR]               raw records, models, and DIR/cases.json
    ["check", DIR, CASE, OUT]   whether what was written to OUT is what the case says; says how not
    ["plugins", DIR]            filters of HDF5 in it are found from now on
    ["make_inverted", DIR]      what make does, of datasets that need such a filter

Run by the Python that has h5py, which need not be the one that runs the tests.
"""
import glob
import json
import os
import subprocess
import sys
import traceback

import h5py
import numpy

try:
    import netCDF4
except ImportError:
    netCDF4 = None

FILTERS = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 399: "invert"}
ASKED = {"-s": "shuffle", "-z": "gzip", "-3": "fletcher32"}
KINDS = {"i32": "<i4", "u32": "<u4", "i64": "<i8", "u64": "<u8", "f32": "<f4", "f64": "<f8"}


class Maker:
    def __init__(self, directory):
        self.directory, self.cases, self.sorts = directory, {}, {}
        self.rng = numpy.random.default_rng(7)

    def path(self, name):
        return os.path.join(self.directory, name)

    def save(self):
        for name, cases in (("cases.json", self.cases), ("sorts.json", self.sorts)):
            with open(self.path(name), "w") as f:
                json.dump(cases, f)

    def case(self, name, args, records, answer, dataset="/d", **more):
        records.tofile(self.path(name + ".raw"))
        numpy.save(self.path(name + ".npy"), answer)
        self.cases[name] = dict(args=["-d", dataset] + args, file=self.path(name + ".raw"), dataset=dataset, **more)


    def sort(self, name, by, files, parts, dataset="/t", args=(), **more):
        """The rows of all parts, stably by what `by` takes of them; NaN last."""
        rows = numpy.concatenate(parts).astype(parts[0].dtype)
        keys = by(rows)
        numbers = numpy.unique(keys, return_inverse=True)[1].reshape(-1)  # of equal keys the same; NaN above all
        last = numpy.isnan(keys) if keys.dtype.kind == "f" else numpy.zeros(len(keys), bool)
        if "--descending" in args:
            numbers = -numbers
        answer = rows[numpy.lexsort((numbers * ~last, last))]
        numpy.save(self.path(name + ".npy"), answer)
        self.sorts[name] = dict(args=["--dataset", dataset] + list(args), files=[self.path(f) for f in files],
                                dataset=dataset, **more)


def pair(keys, values):
    """Records of a key and a value, behind each other."""
    both = numpy.zeros(len(keys), dtype=[("k", keys.dtype), ("v", values.dtype, values.shape[1:])])
    both["k"], both["v"] = keys, values
    return both


def numbers(m):
    for kind, dtype in KINDS.items():
        values = (m.rng.standard_normal(30011) * 1e6).astype(dtype)
        m.case(kind, ["-K", "u32", "-V", kind, "-c", "1000", "-z", "1", "-s"],
               pair(numpy.arange(len(values), dtype="<u4"), values), values, chunks=[1000])
    keys = m.rng.integers(0, 1 << 40, 200001)
    m.case("keys", ["-K", "i64", "-V", "none"], keys, keys, "/a/b/c", chunks=[131072])
    m.case("sorted", ["-K", "i64", "-V", "none", "-S", "-c", "777"], keys, numpy.sort(keys), chunks=[777])
    m.case("one", ["-K", "i64", "-V", "none", "-z", "9"], keys[:1], keys[:1], chunks=[1])
    m.case("none", ["-K", "i64", "-V", "none", "-z", "9", "-s"], keys[:0], keys[:0])
    m.case("few", ["-K", "i64", "-V", "none", "-c", "2"], keys[:5], keys[:5], chunks=[2])


def rows(m):
    table = m.rng.standard_normal((20003, 5))
    index = numpy.arange(len(table), dtype="<u8")
    m.case("rows", ["-K", "u64", "-V", "bytes:40", "-t", "f64", "-D", "5", "-c", "500", "-z", "2"], pair(index, table),
           table, chunks=[500, 5])
    m.case("rows_sorted", ["-K", "u64", "-V", "fixed:40", "-t", "f64", "-D", "5", "-S"], pair(index[::-1], table),
           table[::-1])
    cube = m.rng.integers(-9, 9, (3001, 4, 3, 2)).astype("<i4")
    m.case("cube", ["-K", "u64", "-V", "bytes:96", "-t", "i32", "-D", "4", "-D", "3", "-D", "2", "-s", "-z", "4", "-c", "64"],
           pair(index[:3001], cube), cube, chunks=[64, 4, 3, 2])
    wide = m.rng.standard_normal((40, 30000))
    m.case("wide", ["-K", "u64", "-V", "bytes:240000", "-t", "f64", "-D", "30000"], pair(index[:40], wide), wide,
           chunks=[4, 30000])


def filters(m):
    """Pipelines, on chunks that are clipped in all dimensions. Noise becomes no smaller, and szip then stores a chunk as it is."""
    table = m.rng.integers(0, 999, (3001, 7)).astype("<i4")
    noise = m.rng.integers(0, 1 << 63, (3001, 7)).astype("<i8")
    index = numpy.arange(len(table), dtype="<u8")
    of_table = ["-K", "u64", "-V", "bytes:28", "-t", "i32", "-D", "7", "-c", "130"]
    of_noise = ["-K", "u64", "-V", "bytes:56", "-t", "i64", "-D", "7", "-c", "130"]
    for name, more, pipeline in (
            ("checked", ["-3"], ["fletcher32"]), ("all_three", ["-3", "-s", "-z", "2"], ["shuffle", "gzip", "fletcher32"]),
            ("in_order", ["-y", "3", "-y", "1:9", "-y", "2"], ["fletcher32", "gzip", "shuffle"]),
            ("szip", ["-y", "4:32:16"], ["szip"]), ("nbit", ["-y", "5"], ["nbit"]),
            ("many", ["-y", "2", "-y", "4:4:8", "-y", "3"], ["shuffle", "szip", "fletcher32"]),
            ("scaled", ["-y", "6:2:0"], ["scaleoffset"])):
        m.case(name, of_table + ["-h", "3"] + more, pair(index, table), table, chunks=[130, 3], filters=pipeline)
    m.case("szip_noise", of_noise + ["-h", "4", "-y", "4:32:32"], pair(index, noise), noise, chunks=[130, 4], filters=["szip"])
    m.case("columns", of_noise + ["-h", "2"], pair(index, noise), noise, chunks=[130, 2])
    m.case("szip_few", ["-K", "u64", "-V", "u64", "-y", "4:4:32"], pair(index[:5], index[:5]), index[:5], chunks=[5], filters=["szip"])
    cube = m.rng.integers(-9, 9, (501, 4, 3, 5)).astype("<i4")
    m.case("boxes", ["-K", "u64", "-V", "bytes:240", "-t", "i32", "-D", "4", "-D", "3", "-D", "5", "-h", "3", "-h", "0", "-h", "9",
                     "-c", "64", "-3", "-z", "1"], pair(index[:501], cube), cube, chunks=[64, 3, 3, 5])


def compounds(m):
    kind = numpy.dtype([("name", "S7"), ("at", "<f8", (3,)), ("n", "<i4"), ("id", "<u8")])
    table = numpy.zeros(12345, dtype=kind)
    table["name"] = [b"n%d" % (i % 99999) for i in range(len(table))]
    table["at"] = m.rng.standard_normal((len(table), 3))
    table["n"] = m.rng.integers(-5, 5, len(table))
    table["id"] = numpy.arange(len(table))
    fields = ["-f", "name:bytes:7", "-f", "at:f64:3", "-f", "n:i32", "-f", "id:u64"]
    m.case("compound", ["-K", "u64", "-V", "fixed:43", "-c", "1000"] + fields, pair(table["id"], table), table)
    m.case("compound_gz", ["-K", "u64", "-V", "bytes:43", "-c", "1000", "-z", "3", "-s"] + fields,
           pair(table["id"], table), table)
    words = numpy.array([b"word%d" % (i * 7919 % 100003) for i in range(50000)], dtype="S11")
    counts = numpy.arange(50000, dtype="<u4")
    answer = numpy.zeros(50000, dtype=[("word", "S16"), ("count", "<u4")])
    answer["word"], answer["count"] = words, counts
    m.case("words", ["-C", "-K", "bytes:11", "-V", "u32", "-k", "-f", "word:bytes:16", "-f", "count:u32", "-c", "4096",
                     "-z", "1", "-s"], pair(words, counts), answer)
    m.case("words_sorted", ["-S", "-C", "-K", "bytes:11", "-V", "u32", "-k", "-f", "word:bytes:16", "-f", "count:u32"],
           pair(words, counts), numpy.sort(answer, order=["word", "count"]))
    m.case("strings", ["-C", "-K", "u32", "-V", "bytes:11", "-t", "bytes", "-b", "20", "-a", "unit:bytes:m/s \u00b5",
                       "-a", "n:i64:-7", "-a", "x:f64:0.5"], pair(counts, words), words.astype("S20"),
           attributes={"unit": "m/s \u00b5", "n": -7, "x": 0.5})


def texts_of_any_length(m):
    words = numpy.array([b"" if i % 11 == 0 else b"w%d" % (i * 7919 % 100003) * (1 + i % 5) for i in range(30011)], dtype="S30")
    numbers = numpy.arange(len(words), dtype="<u4")
    m.case("any", ["-C", "-K", "u32", "-V", "bytes:30", "-t", "bytes", "-b", "any", "-c", "1000"], pair(numbers, words),
           words, any=True)
    m.case("any_gz", ["-C", "-K", "u32", "-V", "bytes:30", "-t", "bytes", "-b", "any", "-z", "1", "-s"], pair(numbers, words),
           words, any=True)
    m.case("any_none", ["-C", "-K", "u32", "-V", "bytes:30", "-t", "bytes", "-b", "any"], pair(numbers[:0], words[:0]),
           words[:0], any=True)
    counted = numpy.zeros(len(words), dtype=[("word", "S30"), ("count", "<u4")])
    counted["word"], counted["count"] = words, numbers
    m.case("any_field", ["-C", "-K", "bytes:30", "-V", "u32", "-k", "-f", "word:bytes:any", "-f", "count:u32", "-c", "4096",
                         "-z", "1"], pair(words, numbers), counted, any=True)
    # a string, a number and another string, in 20 bytes
    mixed = numpy.zeros(5003, dtype=[("name", "S9"), ("n", "<u4"), ("tail", "S14")])
    mixed["name"] = [b"n" * (i % 10) for i in range(len(mixed))]
    mixed["n"] = numpy.arange(len(mixed))
    mixed["tail"] = [b"t" * (14 - i % 10) for i in range(len(mixed))]
    packed = numpy.array([row["name"] + b"\0" + row["n"].tobytes() + row["tail"] + b"\0" for row in mixed], dtype="V20")
    m.case("any_fields", ["-K", "u64", "-V", "bytes:20", "-f", "name:bytes:any", "-f", "n:u32", "-f", "tail:bytes:any"],
           pair(numpy.arange(len(mixed), dtype="<u8"), packed), mixed, any=True)


def fixed_strings(d, answer, fixed):
    """What a dataset with strings of any length holds, with strings as long as those of the answer."""
    if d.dtype.names:
        whole = numpy.zeros(d.shape, answer.dtype)
        for name in d.dtype.names:
            kind = h5py.check_string_dtype(d.dtype[name])
            varies = answer.dtype[name].kind == "S" and name != fixed
            if varies != (kind is not None and kind.length is None):
                complain("the field %s is %s" % (name, d.dtype[name]))
            whole[name] = d[name]
        return whole
    if h5py.check_string_dtype(d.dtype) is None or h5py.check_string_dtype(d.dtype).length is not None:
        complain("the type is %s" % d.dtype)
    return numpy.array(list(d[...]), dtype=answer.dtype)


def models(m):
    """Types and attributes of another file's dataset."""
    stored = numpy.dtype([("flag", "?"), ("small", ">i2"), ("half", "<f2"), ("tag", "S5"), ("grid", "<i2", (2, 3))])
    table = numpy.zeros(9001, dtype=stored)
    table["flag"] = m.rng.integers(0, 2, len(table))
    table["small"] = m.rng.integers(-32768, 32767, len(table))
    table["half"] = m.rng.standard_normal(len(table)).astype("<f2")
    table["tag"] = [b"t%d" % (i % 1000) for i in range(len(table))]
    table["grid"] = m.rng.integers(-99, 99, (len(table), 2, 3))
    with h5py.File(m.path("model.h5"), "w") as f:
        d = f.create_dataset("g/d", data=table[:3])
        d.attrs["text"] = "variable \u20ac"
        d.attrs["texts"] = ["a", "bb", ""]
        d.attrs["fixed"] = numpy.bytes_("fixed")
        d.attrs["numbers"] = numpy.arange(6, dtype=">i2").reshape(2, 3)
        d.attrs["replaced"] = "old"
        d.attrs["nothing"] = h5py.Empty("f4")
        d.attrs["reference"] = f["g"].ref
        d.attrs["table"] = table[:2]
        f["small"] = numpy.arange(4, dtype=">u2")
    memory = numpy.dtype([("flag", "<i4"), ("small", "<i4"), ("half", "<f4"), ("tag", "S5"), ("grid", "<i4", (6,))])
    records = numpy.zeros(len(table), dtype=memory)
    for name in stored.names:
        records[name] = table[name].reshape(records[name].shape)
    fields = ["-f", "flag:i32", "-f", "small:i32", "-f", "half:f32", "-f", "tag:bytes:5", "-f", "grid:i32:6"]
    like = ["-l", m.path("model.h5"), "-m", "/g/d"]
    index = numpy.arange(len(table), dtype="<u8")
    attributes = {"text": "variable \u20ac", "texts": ["a", "bb", ""], "fixed": "fixed", "replaced": "new",
                  "numbers": [[0, 1, 2], [3, 4, 5]], "nothing": None, "table": 0}
    m.case("model", ["-K", "u64", "-V", "fixed:%d" % memory.itemsize, "-L", "-c", "500", "-z", "1",
                     "-a", "replaced:bytes:new"] + like + fields, pair(index, records), table, attributes=attributes)
    plain = numpy.zeros(len(table), dtype=[(n, memory[n]) for n in memory.names])
    for name in memory.names:
        plain[name] = records[name]
    m.case("attributes_alone", ["-K", "u64", "-V", "fixed:%d" % memory.itemsize, "-a", "replaced:bytes:new"] + like + fields,
           pair(index, records), plain, attributes=attributes)
    small = m.rng.integers(0, 65535, 70001).astype(">u2")
    m.case("big_endian", ["-K", "u64", "-V", "u32", "-L", "-l", m.path("model.h5"), "-m", "small", "-s", "-z", "1"],
           pair(numpy.arange(len(small), dtype="<u8"), small.astype("<u4")), small)


def sorts(m):
    kind = numpy.dtype([("word", "S9"), ("x", "<f4"), ("n", ">i2"), ("flag", "?"), ("grid", "<u2", (2,)), ("big", "<u8")])
    parts = []
    for i, count in enumerate((7001, 0, 5003)):
        table = numpy.zeros(count, dtype=kind)
        table["word"] = [b"w%d" % j for j in m.rng.integers(0, 999, count)]
        table["x"] = m.rng.integers(-50, 50, count) / 4
        table["x"][::97], table["x"][1::131], table["x"][2::89] = numpy.nan, -0.0, numpy.inf
        table["n"], table["big"] = m.rng.integers(-300, 300, count), m.rng.integers(0, 1 << 63, count, dtype="u8") * 2
        table["flag"], table["grid"] = m.rng.integers(0, 2, count), m.rng.integers(0, 9, (count, 2))
        parts.append(table)
        with h5py.File(m.path("table%d.h5" % i), "w") as f:
            chunked = dict(chunks=(300,), compression=3, shuffle=True) if count else {}
            f.create_dataset("t", data=table, **chunked).attrs["of"] = "file %d" % i
    files = ["table%d.h5" % i for i in range(3)]
    of_first = {"chunks": [300], "attributes": {"of": "file 0"}, "filters": ["shuffle", "gzip"]}
    for name in ("word", "x", "n", "flag", "big"):
        m.sort("by_" + name, lambda t: t[name], files[:1], parts[:1], args=["--by", name], **of_first)
    for name in ("word", "x", "big"):
        m.sort("by_%s_down" % name, lambda t: t[name], files[:1], parts[:1], args=["--by", name, "--descending"], **of_first)
    for name in ("word", "x"):
        m.sort("all_by_" + name, lambda t: t[name], files, parts, args=["--by", name], **of_first)
    matrix = m.rng.integers(-9, 9, (9001, 4)).astype(">f8")
    matrix[::50, 2] = numpy.nan
    with h5py.File(m.path("matrix.h5"), "w") as f:
        f.create_dataset("a/m", data=matrix, maxshape=(None, 4), chunks=(100, 3))
        f["line"] = matrix[:, 1].astype("<i8")
        f["texts"] = numpy.array([b"%d" % x for x in m.rng.integers(0, 500, 4001)], dtype="S4")
        f.create_dataset("lists", (3,), dtype=h5py.vlen_dtype("i4"))
        f["nested"] = numpy.zeros(3, dtype=[("a", [("b", "<i4")])])
    m.sort("column", lambda t: t[:, 2], ["matrix.h5"], [matrix], "/a/m", ["--by", "2"], chunks=[100, 3], filters=[])
    m.sort("column_down", lambda t: t[:, 2], ["matrix.h5"], [matrix], "/a/m", ["--by", "2", "--descending"], filters=[])
    m.sort("line", lambda t: t, ["matrix.h5"], [matrix[:, 1].astype("<i8")], "/line", ["--by", "0"], filters=[])
    texts = numpy.array(h5py.File(m.path("matrix.h5"), "r")["texts"])
    m.sort("texts", lambda t: t, ["matrix.h5"], [texts], "/texts", ["--by", "0"], filters=[])


def sorts_of_filtered(m):
    """What the first file's chunks are like those of the sorted one are."""
    table = m.rng.integers(-999, 999, (4001, 7)).astype("<i4")
    reals = m.rng.integers(-999, 999, (4001, 4)).astype("<f8") / 8
    rows = numpy.zeros(2003, dtype=[("x", "<f4"), ("n", ">i2")])
    rows["x"], rows["n"] = m.rng.integers(-50, 50, len(rows)) / 4, m.rng.integers(-300, 300, len(rows))
    nbit = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    nbit.set_chunk((200, 7))
    nbit.set_filter(h5py.h5z.FILTER_NBIT)
    with h5py.File(m.path("filtered.h5"), "w") as f:
        f.create_dataset("checked", data=table, chunks=(100, 3), fletcher32=True)
        f.create_dataset("all", data=table, chunks=(64, 2), shuffle=True, compression=5, fletcher32=True)
        f.create_dataset("szip", data=table, chunks=(100, 3), compression="szip", compression_opts=("nn", 16), fletcher32=True)
        f.create_dataset("integers", data=table, chunks=(100, 7), scaleoffset=0)
        f.create_dataset("bits", data=table, chunks=(100, 7), scaleoffset=12)
        f.create_dataset("reals", data=reals, chunks=(100, 4), scaleoffset=3, shuffle=True)
        f.create_dataset("cube", data=table[:4000].reshape(1000, 7, 4), maxshape=(None, None, 4), chunks=(50, 9, 3))
        f.create_dataset("rows", data=rows, chunks=(90,), fletcher32=True, compression=1)
        f.create_dataset("band", data=numpy.zeros((2, 1 << 18)), maxshape=(None, 1 << 18), chunks=(100, 1 << 15), compression=1)
        h5py.h5d.create(f.id, b"nbit", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple(table.shape), nbit)
        f["nbit"][...] = table
        kept = f["reals"][...]
    column, by = (lambda t: t[:, 1]), ["--by", "1"]
    for name, rows_of, chunk, pipeline, said in (
            ("checked", table, [100, 3], ["fletcher32"], ()), ("all", table, [64, 2], ["shuffle", "gzip", "fletcher32"], ()),
            ("szip", table, [100, 3], ["szip", "fletcher32"], ()), ("integers", table, [100, 7], ["scaleoffset"], ()),
            ("bits", table, [100, 7], [], ["'scaleoffset'", "rounded once more"]),
            ("reals", kept, [100, 4], ["shuffle"], ["'scaleoffset'", "rounded once more"]), ("nbit", table, [200, 7], ["nbit"], ()),
            ("band", numpy.zeros((2, 1 << 18)), [2, 1 << 15], ["gzip"], ["32 rows instead of 100"])):
        m.sort("filtered_" + name, column, ["filtered.h5"], [rows_of], "/" + name, by, chunks=chunk, filters=pipeline, said=said)
    m.sort("filtered_cube", lambda t: t[:, 0, 1], ["filtered.h5"], [table[:4000].reshape(1000, 7, 4)], "/cube", by,
           chunks=[50, 7, 3], filters=[], said=[])
    m.sort("filtered_rows", lambda t: t["n"], ["filtered.h5"], [rows], "/rows", ["--by", "n"], chunks=[90],
           filters=["gzip", "fletcher32"], said=[])


def make_inverted(directory):
    m = Maker(directory)
    table = m.rng.integers(-999, 999, (4001, 7)).astype("<i4")
    with h5py.File(m.path("inverted.h5"), "w") as f:
        f.create_dataset("t", data=table, chunks=(100, 3), compression=399, compression_opts=(23,), fletcher32=True)
    for name, pipeline in (("inverted", ["invert", "fletcher32"]), ("plain", ["fletcher32"])):
        m.sort(name, lambda t: t[:, 1], ["inverted.h5"], [table], "/t", ["--by", "1"], chunks=[100, 3], filters=pipeline)
    index = numpy.arange(len(table), dtype="<u8")
    m.case("invert", ["-K", "u64", "-V", "bytes:28", "-t", "i32", "-D", "7", "-h", "3", "-y", "399:23"], pair(index, table), table,
           filters=["invert"])
    m.save()


def plugins(directory):
    h5py.h5pl.prepend(os.fsencode(directory))


def sorts_of_any_length(m):
    """Tables as h5py makes them: strings of variable length, with the key before, between and behind them."""
    count, anything = 4003, h5py.string_dtype()
    plain = numpy.zeros(count, dtype=[("name", "S40"), ("x", "<f8"), ("note", "S9"), ("code", "S3"), ("n", "<i4")])
    plain["name"] = [b"w%d" % j * (j % 7) for j in m.rng.integers(0, 999, count)]
    plain["x"], plain["n"] = m.rng.integers(-50, 50, count) / 4, m.rng.integers(-300, 300, count)
    plain["note"] = [b"" if i % 3 == 0 else "\u00e9".encode() * (i % 5) for i in range(count)]
    plain["code"] = [b"c%d" % (i % 90) for i in range(count)]
    stored = numpy.zeros(count, dtype=[("name", anything), ("x", "<f8"), ("note", anything), ("code", "S3"), ("n", "<i4")])
    for name in stored.dtype.names:
        stored[name] = plain[name] if plain.dtype[name].kind != "S" or name == "code" else list(plain[name])
    with h5py.File(m.path("any.h5"), "w") as f:
        f.create_dataset("t", data=stored, chunks=(300,), compression=3, shuffle=True).attrs["of"] = "any"
        f.create_dataset("words", data=list(plain["name"]), dtype=anything)
        f.create_dataset("one", data=numpy.array([(w,) for w in plain["name"]], dtype=[("name", anything)]))
    with h5py.File(m.path("any2.h5"), "w") as f:
        f.create_dataset("t", data=stored[:500])
    like_first = {"chunks": [300], "attributes": {"of": "any"}, "filters": ["shuffle", "gzip"], "any": True, "fixed": "code"}
    for name in ("name", "x", "note", "code", "n"):
        m.sort("any_by_" + name, lambda t: t[name], ["any.h5"], [plain], args=["--by", name], **like_first)
    m.sort("any_down", lambda t: t["name"], ["any.h5"], [plain], args=["--by", "name", "--descending"], **like_first)
    m.sort("any_of_two", lambda t: t["note"], ["any.h5", "any2.h5"], [plain, plain[:500]], args=["--by", "note"], **like_first)
    m.sort("any_words", lambda t: t, ["any.h5"], [plain["name"].copy()], "/words", ["--by", "0"], filters=[], any=True)
    one = numpy.zeros(count, dtype=[("name", "S40")])
    one["name"] = plain["name"]
    m.sort("any_one", lambda t: t["name"], ["any.h5"], [one], "/one", ["--by", "name"], filters=[], any=True)


def make(directory):
    maker = Maker(directory)
    for part in (numbers, rows, filters, compounds, texts_of_any_length, models, sorts, sorts_of_filtered, sorts_of_any_length):
        part(maker)
    maker.save()


def plain_attribute(value):
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, numpy.ndarray):
        return 0 if value.dtype.names else value.tolist()
    return value.item() if hasattr(value, "item") else value


class Complaint(Exception):
    pass


def complain(text):
    raise Complaint(text)


def answer(what, *args):
    try:
        {"make": make, "check": check, "plugins": plugins, "make_inverted": make_inverted}[what](*args)
        return ""
    except Complaint as said:
        return str(said)
    except Exception:
        return traceback.format_exc()


def check(directory, name, out):
    case = {}
    for path in ("cases.json", "sorts.json"):
        with open(os.path.join(directory, path)) as f:
            case = case or json.load(f).get(name, {})
    answer = numpy.load(os.path.join(directory, name + ".npy"))
    pipeline = case.get("filters", [kind for flag, kind in ASKED.items() if flag in case["args"]])
    paths, parts = [out] if os.path.isfile(out) else sorted(glob.glob(os.path.join(out, "part-*.h5"))), []
    for path in paths:
        with h5py.File(path, "r") as f:
            d = f[case["dataset"]]
            parts.append(fixed_strings(d, answer, case.get("fixed")) if case.get("any") else d[...])
            if parts[-1].dtype != answer.dtype:
                complain("the type is %s, not %s" % (d.dtype, answer.dtype))
            created = d.id.get_create_plist()
            found = [FILTERS[created.get_filter(i)[0]] for i in range(created.get_nfilters())]
            if len(d) and found != pipeline:
                complain("the filters are %s, not %s" % (found, pipeline))
            if len(paths) == 1 and "chunks" in case and list(d.chunks) != case["chunks"]:
                complain("chunks are %s, not %s" % (d.chunks, case["chunks"]))
            got = {key: plain_attribute(d.attrs[key]) for key in d.attrs}
            if got != case.get("attributes", {}):
                complain("attributes are %s, not %s" % (got, case.get("attributes")))
        if netCDF4 and answer.dtype.kind in "iuf" and len(parts[-1]):
            with netCDF4.Dataset(path) as nc:
                if not numpy.array_equal(nc[case["dataset"]][...], parts[-1], equal_nan=answer.dtype.kind == "f"):
                    complain("netCDF-4 reads other elements")
        for tool in (["h5dump", "-H", path], ["h5ls", "-rv", path]):
            if subprocess.run(tool, capture_output=True).returncode != 0:
                complain("%s fails" % tool)
    whole = numpy.concatenate(parts)
    if whole.shape != answer.shape:
        complain("the shape is %s, not %s" % (whole.shape, answer.shape))
    if whole.astype(answer.dtype).tobytes() != answer.tobytes():
        complain("the elements differ")


if __name__ == "__main__":
    for request in sys.stdin:
        print(json.dumps(answer(*json.loads(request))), flush=True)
