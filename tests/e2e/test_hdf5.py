#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_hdf5.py: what is read of HDF5 files is what h5py reads of them; prints TAP."""
import os
import subprocess

from harness import Failure, Skip, brief, load_json, main, shared_directory, test

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHONS = ("python3", "/usr/bin/python3")
RANKS = (1, 2, 3, 7)


def python():
    """One that has h5py and netCDF4."""
    for name in PYTHONS:
        if subprocess.run([name, "-c", "import h5py, netCDF4"], capture_output=True).returncode == 0:
            return name
    raise Skip("no Python here has h5py and netCDF4")


def make_files(directory):
    done = subprocess.run([python(), os.path.join(HERE, "hdf5_fixture.py"), directory], capture_output=True)
    if done.returncode != 0:
        raise Failure("the files cannot be made: %s" % done.stderr[-800:])


def make(t):
    os.symlink(shared_directory(make_files), t.path("h5"))
    build = os.path.dirname(os.path.dirname(t.options.wordcount))
    t.program = os.path.join(build, "tests", "e2e", "hdf5_dump")
    return load_json(t.path("h5", "cases.json"))


def dump(t, n, case, *more):
    out = t.new_output()
    run = t.succeed(n, *more, "-o", out, *case["args"], *case["files"])
    got = t.committed(out, run).decode().split("\n")[:-1]
    expected = case["lines"]
    if not case["ordered"]:
        got, expected = sorted(got), sorted(expected)
    if got != expected:
        at = next((i for i, (a, b) in enumerate(zip(got, expected)) if a != b), "the end")
        raise Failure("%s on %s ranks %s: %d records, not %d; the first that differs is %s: %s" % (
            case["args"], n, more, len(got), len(expected), at,
            [brief(x[at].encode()) if isinstance(at, int) else "" for x in (got, expected)]))


@test
def every_dataset_is_read_as_h5py_reads_it(t):
    splits = (1, 5000, 100000, 1 << 20)
    for i, case in enumerate(make(t)):
        dump(t, None if i % 2 == 0 else RANKS[i // 2 % 4], case, "--quern-split-bytes=%d" % splits[i // 4 % 4])


@test
def any_number_of_ranks_and_of_splits_gives_the_same(t):
    cases = [case for case in make(t) if case["files"][0].endswith(("layouts.h5", "run-?.h5", "strings.h5"))]
    for i, case in enumerate(cases[1::7]):
        for n, split in zip(RANKS, (3000, 1, 20000, 1 << 20)):
            dump(t, n, case, "--quern-split-bytes=%d" % split)
        dump(t, 2, case, "--quern-memory=40000000")
        dump(t, 2, case, "--quern-check=on")


REFUSED = (
    (["-r", "rows"], "/nothing", "links.h5", ("/nothing", "doesn't exist")),
    (["-r", "rows"], "/no*", "links.h5", ("/no*", "no dataset")),
    (["-r", "rows"], "/group", "target.h5", ("/group", "not a dataset")),
    (["-r", "rows"], "/d", "links.h5", ("/d", "external link")),
    (["-r", "rows"], "/group/d", "links.h5", ("/group/d", "external link")),
    (["-r", "rows"], "/inner", "links.h5", ("/inner", "external link")),
    (["-r", "rows"], "/gr*/d", "links.h5", ("/group", "external link")),
    (["-r", "rows"], "/virtual", "links.h5", ("/virtual", "is virtual")),
    (["-r", "rows"], "/stored", "links.h5", ("/stored", "external storage")),
    (["-r", "rows"], "/scalar", "links.h5", ("/scalar", "is scalar")),
    (["-r", "rows"], "/null", "links.h5", ("/null", "is null")),
    (["-r", "rows"], "/text", "links.h5", ("/text", "strings of fixed length", "QUERN_F64")),
    (["-r", "rows"], "/reference", "links.h5", ("/reference", "references")),
    (["-r", "rows"], "/lists", "links.h5", ("/lists", "sequences of variable length")),
    (["-r", "rows"], "/wide", "links.h5", ("/wide", "unsigned integers of 64 bits", "QUERN_F64", "convert")),
    (["-r", "elements", "-t", "bytes"], "/wide", "links.h5", ("/wide", "no strings")),
    (["-r", "elements", "-f", "a:f64"], "/wide", "links.h5", ("/wide", "compounds")),
    (["-r", "elements", "-f", "a:f64"], "/table", "compounds.h5", ("/table", "no field 'a'")),
    (["-r", "elements", "-f", "place:f64"], "/table", "compounds.h5", ("/table", "'place'", "3 numbers")),
    (["-r", "elements", "-f", "name:bytes:6"], "/table", "compounds.h5", ("/table", "'name'", "strings of 7 bytes")),
    (["-r", "rows", "-f", "name:bytes:any"], "/table", "compounds.h5", ("/table", "'name'", "strings of fixed length")),
    (["-r", "rows", "-f", "name:bytes:any"], "/grid", "notes.h5", ("/grid", "rows of several elements")),
    (["-r", "rows"], "/lzf", "compounds.h5", ("/lzf", "filter 'lzf'")),
    (["-r", "rows"], "/d", "truncated.h5", ("truncated file",)),
    (["-r", "rows"], "/d", "empty.h5", ("no HDF5 file", "empty")),
    (["-r", "rows"], "/d", "text.h5", ("no HDF5 file",)),
    (["-r", "rows"], "/d", "absent.h5", ("No such file",)),
    (["-r", "rows"], "/d", "absent-*.h5", ("no file is called",)),
    (["-r", "rows"], "/d", "damaged.h5", ("/d", "index 90000", "Fletcher32")),
    (["-r", "rows"], "/d", "header.h5", ()),
    (["-r", "rows", "--quern-record-bytes=1000"], "/plain/wide", "layouts.h5", ("/plain/wide", "a row", "record-bytes")),
)


@test
def what_cannot_be_read_is_an_error_that_names_it(t):
    make(t)
    for i, (args, dataset, file, naming) in enumerate(REFUSED):
        path, out = t.path("h5", file), t.new_output()
        run = t.fail((None, 2, 3)[i % 3], "-o", out, *args, dataset, path, naming=(path,) + naming)
        t.no_output(out, run)
        t.check(b"HDF5-DIAG" not in run.stderr, "HDF5 printed", run)


@test
def h5stat_says_of_columns_what_numpy_says(t):
    make(t)
    t.use("h5stat")
    expected = load_json(t.path("h5", "statistics.json"))
    for args, wanted in (([], expected[:-1]), (["--all"], expected[-1:])):
        whole = t.succeed(None, "--dataset", "/d", *args, t.path("h5", "statistics.h5")).stdout
        lines = [line.split("\t") for line in whole.decode().splitlines()]
        t.check(len(lines) == len(wanted), "%d columns, not %d" % (len(lines), len(wanted)))
        for i, (got, right) in enumerate(zip(lines, wanted)):
            exact = [got[0], got[1], got[6]] == [str(i), str(right[0]), str(right[5])]
            near = all(abs(float(a) - float(b)) <= 1e-15 * abs(float(b)) or a == b for a, b in zip(got[2:6], right[1:5]))
            t.check(exact and near, "column %d is %s, not %s" % (i, got, right))
        for n in (2, 3, 7):
            run = t.succeed(n, "--quern-split-bytes=9999", "--dataset", "/d", *args, t.path("h5", "statistics.h5"))
            t.check(run.stdout == whole, "%d ranks give other digits" % n, run)
    t.fail(2, "--dataset", "/e", t.path("h5", "statistics.h5"), naming=("/e", "statistics.h5"))
    run = t.run(2, t.path("h5", "statistics.h5"))
    t.check(run.status == 2 and b"usage: h5stat" in run.stderr, "usage expected", run)


def is_as_said(got, right):
    """A line of h5stat: the same bounds and counts, and mean and deviation to the last digits."""
    name, count, low, high, mean, deviation, nans, off = right
    bounds = [got[:2] + got[6:], [repr(float(x)) for x in got[2:4]]] == [[name, str(count), str(nans)], [low, high]]
    near = [repr(float(a)) == b or abs(float(a) - float(b)) <= 4e-16 * abs(float(b)) + more
            for a, b, more in ((got[4], mean, off), (got[5], deviation, 0))]
    return bounds and all(near)


@test
def h5stat_is_right_of_infinities_and_of_huge_tiny_and_cancelling_numbers(t):
    make(t)
    t.use("h5stat")
    path, expected = t.path("h5", "extremes.h5"), load_json(t.path("h5", "extremes.json"))
    whole = t.succeed(None, "--dataset", "d", path).stdout
    lines = [line.split("\t") for line in whole.decode().splitlines()]
    wrong = [(got, right) for got, right in zip(lines, expected["d"]) if not is_as_said(got, right)]
    t.check(not wrong and len(lines) == len(expected["d"]), "wrong are %s" % wrong)
    for n, dataset in ((2, "d"), (3, "d"), (None, "backwards"), (3, "backwards")):
        run = t.succeed(n, "--quern-split-bytes=9999", "--dataset", dataset, path)
        t.check(run.stdout == whole, "%s on %s ranks gives other digits" % (dataset, n), run)


@test
def h5stat_says_of_a_table_each_field_by_its_name(t):
    make(t)
    t.use("h5stat")
    path, expected = t.path("h5", "extremes.h5"), load_json(t.path("h5", "extremes.json"))
    for n in (None, 2, 3):
        run = t.succeed(n, "--quern-split-bytes=9999", "--dataset", "t", path)
        lines = [line.split("\t") for line in run.stdout.decode().splitlines()]
        wrong = [(got, right) for got, right in zip(lines, expected["t"]) if not is_as_said(got, right)]
        t.check(not wrong and len(lines) == len(expected["t"]), "wrong are %s" % wrong, run)
    whole = t.succeed(2, "--all", "--dataset", "t", path).stdout.split(b"\t")
    t.check(whole[:2] == [b"0", b"%d" % sum(line[1] for line in expected["t"])], "--all says %s" % whole)
    t.fail(2, "--dataset", "names", path, naming=("extremes.h5", "no field that is a number"))
    t.fail(None, "--dataset", "many", path, naming=("extremes.h5", "64 fields"))


if __name__ == "__main__":
    main()
