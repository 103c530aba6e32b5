#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""hdf5_fixture.py DIR: makes HDF5 files by h5py, netCDF-4 and h5repack, and DIR/cases.json: what they must be read as, by h5py.

A case is the arguments of hdf5_dump, the files, whether the order counts, and the lines. Run by the Python that has h5py, which need not be the
one that runs the tests.
"""
import fractions
import itertools
import json
import math
import os
import subprocess
import sys

import h5py
import netCDF4
import numpy

TYPES = {"i32": "<i4", "u32": "<u4", "i64": "<i8", "u64": "<u8", "f32": "<f4", "f64": "<f8"}


def rows(data, wanted):
    data = numpy.asarray(data).astype(TYPES[wanted])
    return ["%d\t%s" % (i, row.tobytes().hex()) for i, row in enumerate(data)]


def elements(data, wanted):
    data = numpy.asarray(data).astype(TYPES[wanted])
    return ["%d\t%s" % (i, x.tobytes().hex()) for i, x in enumerate(data.reshape(-1))]


def corners(shape, chunk):
    return itertools.product(*(range(0, n, c) for n, c in zip(shape, chunk)))


def chunks(dataset, wanted):
    data, lines = dataset[...].astype(TYPES[wanted]), []
    for corner in corners(data.shape, dataset.chunks):
        part = data[tuple(slice(a, a + c) for a, c in zip(corner, dataset.chunks))]
        lines.append("%d\t%s" % (numpy.ravel_multi_index(corner, data.shape), part.tobytes().hex()))
    return lines


class Maker:
    def __init__(self, directory):
        self.directory, self.cases = directory, []
        self.rng = numpy.random.default_rng(1)

    def path(self, name):
        return os.path.join(self.directory, name)

    def file(self, name, mode="w", **options):
        return h5py.File(self.path(name), mode, **options)

    def case(self, args, dataset, files, lines, ordered=False):
        self.cases.append({"args": args + [dataset], "files": [self.path(f) for f in files], "lines": lines,
                           "ordered": ordered})


def layouts(m):
    """Contiguous, compact, chunked in odd ways, and unlimited; rows, elements and chunks of each."""
    shapes = {"wide": (40, 3000), "deep": (12, 17, 23), "flat": (70001,), "tall": (5000, 3), "four": (3, 4, 5, 6)}
    cuts = {"wide": (7, 900), "deep": (5, 17, 4), "flat": (1000,), "tall": (1, 3), "four": (2, 2, 2, 2)}
    with m.file("layouts.h5") as f:
        for name, shape in shapes.items():
            data = m.rng.standard_normal(shape)
            f.create_dataset("plain/" + name, data=data)
            f.create_dataset("chunked/" + name, data=data, chunks=cuts[name])
            f.create_dataset("gz/" + name, data=data, chunks=cuts[name], compression="gzip", shuffle=True)
            f.create_dataset("grown/" + name, shape=(1,) + shape[1:], maxshape=(None,) + shape[1:], dtype="f8")
            f["grown/" + name].resize(shape)
            f["grown/" + name][...] = data
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        h5py.h5d.create(f.id, b"compact", h5py.h5t.NATIVE_INT16, h5py.h5s.create_simple((11,)), compact)
        f["compact"][...] = numpy.arange(-5, 6)
        for group, name in (("plain", "wide"), ("gz", "deep"), ("chunked", "tall"), ("grown", "flat")):
            path = "/%s/%s" % (group, name)
            m.case(["-r", "rows"], path, ["layouts.h5"], rows(f[path], "f64"), True)
        for group, name in (("plain", "deep"), ("gz", "wide"), ("chunked", "four"), ("gz", "flat"), ("grown", "tall")):
            path = "/%s/%s" % (group, name)
            m.case(["-r", "elements"], path, ["layouts.h5"], elements(f[path], "f64"))
        for group, name in (("gz", "wide"), ("chunked", "deep"), ("chunked", "four"), ("gz", "flat")):
            path = "/%s/%s" % (group, name)
            m.case(["-r", "chunks"], path, ["layouts.h5"], chunks(f[path], "f64"), True)
        m.case(["-r", "elements", "-t", "i32"], "/compact", ["layouts.h5"], elements(f["compact"], "i32"), True)


def numbers(m):
    """Every size, sign and order of bytes."""
    with m.file("numbers.h5") as f:
        for kind, wanted in (("i1", "i32"), ("u1", "u32"), ("i2", "i64"), ("u2", "f32"), ("i4", "i32"), ("u4", "i64"),
                             ("i8", "i64"), ("u8", "u64"), ("f4", "f64"), ("f8", "f64"), ("f2", "f32")):
            for order in "<>":
                name = kind + ("le" if order == "<" else "be")
                if kind[0] == "f":
                    data = m.rng.standard_normal((33, 5)).astype(order + kind)
                else:
                    about = numpy.iinfo(kind)
                    data = m.rng.integers(about.min, about.max, (33, 5), dtype=kind, endpoint=True).astype(order + kind)
                f[name] = data
                if order == ">" or kind in ("i8", "f2"):
                    m.case(["-r", "rows", "-t", wanted], "/" + name, ["numbers.h5"], rows(data, wanted), True)
        f["bool"] = numpy.arange(100) % 3 == 0
        m.case(["-r", "elements", "-t", "i32"], "/bool", ["numbers.h5"], elements(f["bool"], "i32"), True)
        kind = h5py.enum_dtype({"RED": 1, "BLUE": 700}, basetype="i2")
        f.create_dataset("enum", data=numpy.array([1, 700] * 9), dtype=kind)
        m.case(["-r", "elements", "-t", "i64"], "/enum", ["numbers.h5"], elements(f["enum"], "i64"), True)
        big = numpy.array([2**40, -2**40, 7])
        f["big"] = big
        m.case(["-r", "elements", "-t", "i32", "-c"], "/big", ["numbers.h5"],
               elements(numpy.clip(big, -2**31, 2**31 - 1), "i32"), True)


def strings(m):
    with m.file("strings.h5") as f:
        words = ["", "a", "gr\u00fcn", "x" * 5000] + ["word%d" % i for i in range(2000)]
        f.create_dataset("variable", data=words, dtype=h5py.string_dtype(), chunks=(64,), compression="gzip")
        fixed = numpy.array([w.encode()[:9] for w in words], dtype="S9")
        f["fixed"] = fixed.reshape(4, -1)
        lines = ["%d\t%s" % (i, w.encode().hex()) for i, w in enumerate(words)]
        m.case(["-r", "elements", "-t", "bytes"], "/variable", ["strings.h5"], lines, True)
        lines = ["%d\t%s" % (i, bytes(w).hex()) for i, w in enumerate(fixed)]
        m.case(["-r", "elements", "-t", "bytes"], "/fixed", ["strings.h5"], lines, True)
        space = h5py.h5t.C_S1.copy()
        space.set_size(6)
        space.set_strpad(h5py.h5t.STR_SPACEPAD)
        h5py.h5d.create(f.id, b"padded", space, h5py.h5s.create_simple((3,))).write(
            h5py.h5s.ALL, h5py.h5s.ALL, numpy.array([b"ab    ", b"      ", b"abcdef"], dtype="S6"), space)
        m.case(["-r", "elements", "-t", "bytes"], "/padded", ["strings.h5"],
               ["0\t" + b"ab".hex(), "1\t", "2\t" + b"abcdef".hex()], True)


def compounds(m):
    kind = numpy.dtype([("id", ">i4"), ("place", "<f8", (3,)), ("name", "S7"), ("flag", "i1"), ("z", "c16")])
    data = numpy.zeros(900, dtype=kind)
    data["id"], data["flag"] = numpy.arange(900) * 7 - 100, numpy.arange(900) % 5
    data["place"], data["name"] = m.rng.standard_normal((900, 3)), [b"n%d" % i for i in range(900)]
    data["z"] = numpy.arange(900) * (1 + 2j)
    packed = numpy.zeros(900, dtype=[("place", "<f8", (3,)), ("id", "<i8"), ("name", "S10")])
    for name in packed.dtype.names:
        packed[name] = data[name]
    with m.file("compounds.h5") as f:
        f.create_dataset("table", data=data, chunks=(100,), compression="gzip")
        f.create_dataset("lzf", data=numpy.arange(999.0), chunks=(100,), compression="lzf")
        f["grid"] = data.reshape(30, 30)
        f["complex"] = data["z"]
    fields = ["-f", "place:f64:3", "-f", "id:i64", "-f", "name:bytes:10"]
    lines = ["%d\t%s" % (i, x.tobytes().hex()) for i, x in enumerate(packed)]
    m.case(["-r", "elements"] + fields, "/table", ["compounds.h5"], lines, True)
    m.case(["-r", "rows"] + fields, "/table", ["compounds.h5"], lines, True)
    lines = ["%d\t%s" % (i, x.tobytes().hex()) for i, x in enumerate(packed.reshape(30, 30))]
    m.case(["-r", "rows"] + fields, "/grid", ["compounds.h5"], lines, True)
    texts = [b"n" * (i % 40) for i in range(900)]
    notes = numpy.zeros(900, dtype=[("name", h5py.string_dtype()), ("id", "<i4"), ("tail", h5py.string_dtype())])
    notes["name"], notes["id"], notes["tail"] = texts, data["id"], texts[::-1]
    with m.file("notes.h5") as f:
        f.create_dataset("notes", data=notes, chunks=(77,), compression="gzip")
        f["grid"] = notes.reshape(30, 30)
    lines = ["%d\t%s" % (i, (texts[i] + b"\0" + numpy.int64(data["id"][i]).tobytes() + texts[899 - i] + b"\0").hex())
             for i in range(900)]
    m.case(["-r", "rows", "-f", "name:bytes:any", "-f", "id:i64", "-f", "tail:bytes:any"], "/notes", ["notes.h5"], lines, True)
    lines = ["%d\t%s" % (i, (texts[i] + b"\0" + texts[899 - i].ljust(39, b"\0")).hex()) for i in range(900)]
    m.case(["-r", "rows", "-f", "name:bytes:any", "-f", "tail:bytes:39"], "/notes", ["notes.h5"], lines, True)
    m.case(["-r", "rows", "-f", "name:bytes:any"], "/notes", ["notes.h5"],
           ["%d\t%s" % (i, text.hex()) for i, text in enumerate(texts)], True)
    m.case(["-r", "elements", "-f", "i:f64"], "/complex", ["compounds.h5"], elements(data["z"].imag, "f64"), True)


def groups(m):
    """Datasets by pattern, in several files; the key says from where each row is."""
    lines = []
    for name in ("run-b.h5", "run-a.h5", "other.h5"):
        with m.file(name) as f:
            for group in ("g2", "g1", "x"):
                data = m.rng.integers(0, 99, (6, 4)).astype("i2")
                f[group + "/temperature"] = data
                f[group + "/pressure"] = data + 1
                if name != "other.h5" and group != "x":
                    lines += [(name, group, i, row) for i, row in enumerate(data)]
            f["g3/temperature/inner"] = 1
            f["g4"] = numpy.arange(3)
            f["g5/empty"] = numpy.zeros((0, 3))
            f["/gone/temperature"] = h5py.SoftLink("/nowhere")
    lines = ["%s /%s/temperature %d+1 0+4\t%s" % (m.path(name), group, i, row.astype("<i4").tobytes().hex())
             for name, group, i, row in sorted(lines, key=lambda x: x[:3])]
    m.case(["-r", "rows", "-t", "i32", "-p"], "/g*/temperature", ["run-?.h5"], lines, True)
    m.case(["-r", "rows", "-t", "i32", "-p"], "/g[12]/temp*", ["run-?.h5"], lines, True)
    m.case(["-r", "rows"], "/g5/empty", ["run-?.h5"], [], True)
    with m.file("run-a.h5", "r") as f:
        data = f["g1/temperature"][...].astype("<f8")
    places = ["%s /g1/temperature %d+1 %d+1\t%s" % (m.path("run-a.h5"), i, j, data[i, j].tobytes().hex())
              for i in range(6) for j in range(4)]
    m.case(["-r", "elements", "-p"], "/g1/temperature", ["run-a.h5"], places, True)
    with m.file("cut.h5") as f:
        data = m.rng.standard_normal((5, 7))
        f.create_dataset("d", data=data, chunks=(3, 4))
        places = ["%s /d %d+%d %d+%d\t%s" % (m.path("cut.h5"), i, min(3, 5 - i), j, min(4, 7 - j),
                                            data[i:i + 3, j:j + 4].tobytes().hex()) for i in (0, 3) for j in (0, 4)]
    m.case(["-r", "chunks", "-p"], "/d", ["cut.h5"], places, True)
    os.mkdir(m.path("tree"))
    os.mkdir(m.path("tree/deeper"))
    for name in ("tree/2.h5", "tree/deeper/1.nc", "tree/1.h5"):
        with m.file(name) as f:
            f["d"] = [float(len(name))]
    with open(m.path("tree/README"), "w") as f:
        f.write("this is no HDF5")
    m.case(["-r", "elements"], "/d", ["tree"], elements([9], "f64") * 2 + elements([16], "f64"), True)


def others(m):
    """Files that netCDF-4 and h5repack made, one with bytes before it, and one of the newest format."""
    data = m.rng.standard_normal((20, 30, 8)).astype("f4")
    with netCDF4.Dataset(m.path("made.nc"), "w") as f:
        f.createDimension("time", None)
        f.createDimension("y", 30)
        f.createDimension("x", 8)
        f.createVariable("t", "f4", ("time", "y", "x"), zlib=True)[...] = data
    m.case(["-r", "rows", "-t", "f32"], "/t", ["made.nc"], rows(data, "f32"), True)
    with m.file("source.h5") as f:
        f["d"] = data
    for name, filters in (("szip", ["SZIP=8,NN"]), ("shuf", ["SHUF", "GZIP=6"]), ("sum", ["FLET"]), ("nbit", ["NBIT"]),
                          ("scale", ["SHUF", "SZIP=16,EC", "FLET"])):
        command = ["h5repack", "-l", "CHUNK=3x8x8"]
        for one in filters:
            command += ["-f", one]
        if subprocess.run(command + [m.path("source.h5"), m.path(name + ".h5")]).returncode == 0:
            m.case(["-r", "rows", "-t", "f32"], "/d", [name + ".h5"], rows(data, "f32"), True)
    with m.file("before.h5", userblock_size=1024) as f:
        f["d"] = data
    m.case(["-r", "rows", "-t", "f32"], "/d", ["before.h5"], rows(data, "f32"), True)
    with m.file("latest.h5", libver="latest") as f:
        f.create_dataset("d", data=data, chunks=(1, 30, 8), maxshape=(None, None, 8))
    m.case(["-r", "rows", "-t", "f32"], "/d", ["latest.h5"], rows(data, "f32"), True)


def elsewhere(m):
    """What is in other files: read only if that is asked for."""
    data = numpy.arange(50.0).reshape(10, 5)
    with m.file("target.h5") as f:
        f["group/d"] = data
    with m.file("links.h5") as f:
        f["d"] = h5py.ExternalLink("target.h5", "/group/d")
        f["group"] = h5py.ExternalLink("target.h5", "/group")
        f["inner"] = h5py.SoftLink("/group/d")
        layout = h5py.VirtualLayout(shape=(10, 5), dtype="f8")
        layout[...] = h5py.VirtualSource(m.path("target.h5"), "/group/d", shape=(10, 5))
        f.create_virtual_dataset("virtual", layout)
        data.tofile(m.path("raw"))
        f.create_dataset("stored", shape=(10, 5), dtype="f8", external=[(m.path("raw"), 0, 400)])
        f["scalar"], f["null"] = 3.5, h5py.Empty("f8")
        f["reference"] = numpy.array([f["scalar"].ref], dtype=h5py.ref_dtype)
        f["text"] = numpy.array([b"text"])
        f["wide"] = numpy.array([1, 2], dtype="u8")
        f.create_dataset("lists", (1,), dtype=h5py.vlen_dtype("i4"))
    for name in ("/d", "/group/d", "/inner", "/virtual", "/stored", "/gr*/d"):
        m.case(["-r", "rows", "-x"], name, ["links.h5"], rows(data, "f64"), True)


def damaged(m):
    with m.file("whole.h5") as f:
        f.create_dataset("d", data=m.rng.standard_normal(200000), chunks=(5000,), compression="gzip", fletcher32=True)
        at = f["d"].id.get_chunk_info(20).byte_offset
    with open(m.path("whole.h5"), "rb") as f:
        whole = f.read()
    for name, content in {"truncated.h5": whole[:len(whole) // 2], "empty.h5": b"", "text.h5": b"words\n" * 999,
                          "damaged.h5": whole[:at + 50] + b"\xff" * 100 + whole[at + 150:],
                          "header.h5": whole[:40] + b"\xa5" * 100 + whole[140:]}.items():
        with open(m.path(name), "wb") as f:
            f.write(content)


def statistics(m):
    """What h5stat says of the columns of numbers that cancel, of NaNs, and of one column without a number."""
    data = m.rng.standard_normal((9000, 6)) + [0, 1e9, -5, 1e-9, 0, 0]
    data[m.rng.random((9000, 6)) < 0.01] = numpy.nan
    data[:, 4] = numpy.nan
    data[:, 5] = numpy.arange(9000)
    with m.file("statistics.h5") as f:
        f.create_dataset("d", data=data, chunks=(700, 2), compression="gzip")
    lines = []
    for column in list(data.T) + [data.reshape(-1)]:
        numbers = column[~numpy.isnan(column)].astype("longdouble")
        lines.append([len(numbers)] + ([str(float(x)) for x in (numbers.min(), numbers.max(), numbers.mean(), numbers.std())]
                                       if len(numbers) else ["nan"] * 4) + [len(column) - len(numbers)])
    with open(m.path("statistics.json"), "w") as f:
        json.dump(lines, f)


def exact_figures(column):
    """Count, minimum, maximum, mean, deviation and NaNs, and by how much the mean may be off; by fractions where all is finite."""
    numbers, nans = [float(x) for x in column if x == x], int(numpy.isnan(column).sum())
    if not numbers:
        return [0, "nan", "nan", "nan", "nan", nans, 0]
    ordered = sorted(numbers, key=lambda x: (x, math.copysign(1, x)))
    mean, deviation, off = math.nan, math.nan, 0
    if all(math.isfinite(x) for x in numbers):
        exact = [fractions.Fraction(x) for x in numbers]
        mean = sum(exact) / len(exact)
        square = sum((x - mean) ** 2 for x in exact) / len(exact)
        deviation = float(fractions.Fraction(math.isqrt(int(square * 2 ** 2400)), 2 ** 1200))
        off, mean = max(abs(x) for x in numbers) * 2.0 ** -78, float(mean)
    elif not (math.inf in numbers and -math.inf in numbers):
        mean = ordered[0] if ordered[0] == -math.inf else math.inf
    return [len(numbers)] + [repr(x) for x in (ordered[0], ordered[-1], mean, deviation)] + [nans, off]


def extremes(m):
    """Columns on which sums of doubles go wrong; the same rows backwards; and a table."""
    biggest = sys.float_info.max
    columns = [[math.inf, 1, 2], [-math.inf, 1], [math.inf, -math.inf, 1], [math.inf], [1.5e308] * 3, [biggest, -biggest, biggest],
               [0.0, -0.0, 1e200], [1e300, 1e280, 1, -1e300, -1e280], [0.0, -0.0], [-0.0, -0.0], [5e-324, 1e-323, 0],
               [1, 1 + 2.0 ** -52], [1e200, 1e-200, 3], [math.nan], [7.0], [1e16 + 2 * (i % 3) for i in range(900)],
               [1 / 3] * 700, list(m.rng.standard_normal(1500) * 10.0 ** m.rng.integers(-300, 300, 1500))]
    data = numpy.full((1600, len(columns)), numpy.nan)
    for i, column in enumerate(columns):
        data[m.rng.permutation(len(data))[:len(column)], i] = column
    kind = numpy.dtype([("name", "S5"), ("x", "<f4"), ("n", ">i2"), ("note", h5py.string_dtype()), ("grid", "<u2", (2, 2)), ("flag", "?")])
    table = numpy.zeros(3001, dtype=kind)
    table["name"], table["note"] = b"n", [b"some " * (i % 4) for i in range(len(table))]
    table["x"], table["n"] = m.rng.standard_normal(len(table)) * 1e9, m.rng.integers(-300, 300, len(table))
    table["grid"], table["flag"] = m.rng.integers(0, 9, (len(table), 2, 2)), m.rng.integers(0, 2, len(table))
    with m.file("extremes.h5") as f:
        f.create_dataset("d", data=data, chunks=(100, 3))
        f.create_dataset("backwards", data=data[::-1], chunks=(70, 5))
        f.create_dataset("t", data=table, chunks=(90,))
        f["names"] = table[["name"]]
        f["many"] = numpy.zeros(2, dtype=[("f%d" % i, "<i4") for i in range(65)])
    of_table = [["x", table["x"]], ["n", table["n"]]] + [["grid[%d]" % i, table["grid"].reshape(-1, 4)[:, i]] for i in range(4)] + \
        [["flag", table["flag"]]]
    cases = {"d": [[str(i)] + exact_figures(c) for i, c in enumerate(data.T)],
             "t": [[name] + exact_figures(numpy.asarray(c, "f8")) for name, c in of_table]}
    with open(m.path("extremes.json"), "w") as f:
        json.dump(cases, f)


def main():
    maker = Maker(sys.argv[1])
    for make in (layouts, numbers, strings, compounds, groups, others, elsewhere, damaged, statistics, extremes):
        make(maker)
    with open(maker.path("cases.json"), "w") as f:
        json.dump(maker.cases, f)


if __name__ == "__main__":
    main()
