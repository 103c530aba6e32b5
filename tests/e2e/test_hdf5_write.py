#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_hdf5_write.py: what is written as HDF5 is what numpy and h5py say it must be; prints TAP.

With --slow also every way of writing on every kind of full disk, and every refusal of h5sort with and without a launcher.
"""
import functools
import json
import os
import signal
import struct
import subprocess
import time

from harness import Failure, Skip, load_json, main, read_file, shared_directory, test, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHONS = ("python3", "/usr/bin/python3")
SPLITS = (50000, 1 << 20, 7000)
RANKS = (None, 2, 3, 7)


@functools.cache
def python():
    for name in PYTHONS:
        if subprocess.run([name, "-c", "import h5py, numpy"], capture_output=True).returncode == 0:
            return name
    raise Skip("no Python here has h5py and numpy")


@functools.cache
def answerer():
    """One process that answers everything: starting one takes longer than most answers."""
    return subprocess.Popen([python(), "-W", "ignore", os.path.join(HERE, "hdf5_written.py")], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def complaint(*args):
    """What hdf5_written.py has against it; empty when all is well."""
    process = answerer()
    print(json.dumps(args), file=process.stdin, flush=True)
    line = process.stdout.readline()
    if not line:
        raise Failure("hdf5_written.py is gone: status %s" % process.wait())
    return json.loads(line)


def use_writer(t):
    build = os.path.dirname(os.path.dirname(t.options.wordcount))
    t.program = os.path.join(build, "tests", "e2e", "hdf5_write")


def make_records(directory):
    said = complaint("make", directory)
    if said:
        raise Failure("the records cannot be made: " + said)


def make(t, cases="cases.json"):
    os.symlink(shared_directory(make_records), t.path("in"))
    use_writer(t)
    return load_json(t.path("in", cases))


def verified(t, out, run):
    done = subprocess.run([t.options.quern, "verify", out], capture_output=True)
    t.check(done.returncode == 0, "quern verify: %s" % done.stderr, run)


def write(t, n, case, name, *more):
    out = t.new_output()
    run = t.succeed(n, *more, "-o", out, *case["args"], case["file"])
    said = complaint("check", t.path("in"), name, out)
    t.check(not said, "%s %s on %s ranks: %s" % (name, more, n, said), run)
    verified(t, out, run)
    left, expected = os.listdir(out), ["part-%05d.h5" % i for i in range((n or 1) if "-p" in more else 1)]
    t.check(sorted(left) == sorted(expected + ["_SUCCESS", "_MANIFEST.json"]), "%s is there" % left, run)
    return out


@test
def every_kind_of_element_is_what_h5py_reads(t):
    for i, (name, case) in enumerate(make(t).items()):
        n, split = RANKS[i % 4], SPLITS[i % 3]
        write(t, n, case, name, "--quern-split-bytes=%d" % split, *(["-p"] if i % 5 == 0 else []))


@test
def any_number_of_ranks_gives_the_same_elements_in_one_file_or_many(t):
    cases = make(t)
    for name in ("none", "cube", "model", "checked", "all_three", "in_order", "szip", "szip_noise", "many", "boxes"):
        for n in (1, 2, 3, 7) if name in ("none", "cube", "model") else (1, 2, 3):
            write(t, n, cases[name], name, "--quern-split-bytes=30000", *(["-p"] if n == 3 else []))


@test
def memory_bounds_what_is_written_at_once(t):
    cases = make(t)
    for name in ("i32", "rows", "words_sorted"):
        write(t, 2, cases[name], name, "--quern-memory=40000000")
    case = cases["wide"]
    run = t.fail(2, "-o", t.new_output(), *case["args"], "-c", "40", "-z", "1", "--quern-memory=40000000", case["file"],
                 naming=("a chunk of 40 rows", "smaller chunks"))
    t.no_output(t.path("out4"), run)


@test
def what_was_written_is_read_by_the_next_job(t):
    cases = make(t)
    case = cases["rows"]
    for n, more in ((3, ()), (3, ("-p",))):
        out = write(t, n, case, "rows", *more)
        t.use("h5stat")
        run = t.succeed(2, "--dataset", "/d", out)
        t.check([line.split(b"\t")[1] for line in run.stdout.splitlines()] == [b"20003"] * 5, "other counts", run)
        use_writer(t)


@test
def strings_of_any_length_are_read_again_as_they_were_written(t):
    case = make(t)["any_field"]
    out = write(t, 2, case, "any_field", "-p")
    with open(t.path("in", "any_field.npy"), "rb") as f:
        saved = f.read()
    rows = saved[10 + struct.unpack("<H", saved[8:10])[0]:]
    expected = [rows[at:at + 34].hex() for at in range(0, len(rows), 34)]
    t.program = os.path.join(os.path.dirname(t.program), "hdf5_dump")
    args = ["-r", "elements", "-f", "count:u32", "/d", out]
    for n in (None, 3):
        again = t.new_output()
        run = t.succeed(n, "-o", again, "-f", "word:bytes:30", *args)
        got = [line.split(b"\t")[1].decode() for line in t.committed(again, run).splitlines()]
        t.check(sorted(got) == sorted(expected), "other rows on %s ranks" % n, run)
    t.fail(None, "-o", t.new_output(), "-f", "word:bytes:5", *args, naming="a string in the field 'word'")


@test
def a_file_at_its_own_path_is_whole_or_absent(t):
    case = make(t)["compound_gz"]
    for n in (None, 3):
        out = t.path("own.%s.h5" % n)
        run = t.succeed(n, "-P", "-o", out, *case["args"], case["file"])
        said = complaint("check", t.path("in"), "compound_gz", out)
        t.check(not said, said, run)
        verified(t, out, run)
        t.check(os.path.exists(out + ".manifest.json") and not os.path.exists(out + ".unfinished"), "strange files", run)
        before = read_file(out)
        t.fail(n, "-P", "-o", out, *case["args"], case["file"], naming=(out, "exists"))
        t.check(read_file(out) == before, "the file of another job was touched")
        with open(out, "r+b") as f:
            f.seek(len(before) // 2)
            f.write(bytes([before[len(before) // 2] ^ 1]))
        done = subprocess.run([t.options.quern, "verify", out], capture_output=True)
        t.check(done.returncode == 1 and b"checksum" in done.stderr, "a changed byte was not found")


REFUSED = (
    (["-V", "u32", "-t", "f64"], "numbers of another type"),
    (["-V", "fixed:8"], "say their type"),
    (["-V", "bytes:8", "-t", "bytes"], "string_bytes"),
    (["-V", "fixed:8", "-t", "f64", "-D", "2"], "has not the bytes of the record"),
    (["-V", "u32", "-z", "10"], "deflate_level"),
    (["-V", "u32", "-c", "99999999999"], "64 MiB"),
    (["-V", "u32", "-y", "399"], "filter number 399 cannot be applied: HDF5 here has it neither built in nor as a plugin"),
    (["-V", "u32", "-y", "1:1", "-z", "1"], "must be left 0"),
    (["-V", "u32", "-k"], "with_key needs fields"),
    (["-V", "u32", "-k", "-f", "a:u32"], "no field for the value"),
    (["-V", "u32", "-k", "-f", "a:u32", "-f", "a:u32"], "the same name"),
    (["-V", "u32", "-k", "-f", "a:u32", "-f", "b:i32"], "of its own type"),
    (["-V", "u32", "-L"], "model"),
    (["-V", "u32", "-l", "/absent.h5", "-m", "d"], "/absent.h5"),
    (["-V", "bytes:8", "-C", "-t", "bytes", "-b", "3"], "has 7 bytes, but the strings of the dataset have 3"),
    (["-V", "bytes:8", "-C", "-t", "f64", "-D", "2"], "has 7 bytes, but a row of the dataset takes 16"),
    (["-V", "u32", "-F", "5"], "callback"),
    (["-V", "bytes:8", "-t", "bytes", "-b", "any"], "holds a NUL"),
    (["-V", "fixed:8", "-t", "bytes", "-b", "any"], "variable length"),
    (["-V", "bytes:8", "-f", "a:bytes:any", "-f", "b:u64"], "is not its fields"),
)


@test
def what_cannot_be_written_is_an_error_that_says_why(t):
    python()
    use_writer(t)
    few = t.write("few.raw", b"".join(struct.pack("<I", i) + b"number" + b"%d\0" % i for i in range(10)))
    four = t.write("four.raw", b"".join(struct.pack("<II", i, i) for i in range(10)))
    for i, (args, why) in enumerate(REFUSED):
        out = t.new_output()
        run = t.fail((None, 2, 3)[i % 3], "-o", out, "-d", "/d", "-K", "u32", *args, four if "u32" in args[1] else few,
                     naming=why)
        t.no_output(out, run)


@test
def a_full_disk_is_a_clear_error_and_nothing_is_left(t):
    use_writer(t)
    disk = t.mount_tmpfs("size=16m")
    ways = ((None, ["-z", "1"]), (2, []), (3, ["-z", "1"]), (7, ["-s"]), (3, ["-p", "-z", "1"]), (2, ["-p"]))
    for i, (kind, count) in enumerate((("rows", 4 << 20), ("twice", 10 << 20), ("nearly", (15 << 20) + (500 << 10)))):
        records = t.write(kind, os.urandom(count))
        for n, more in [way for j, way in enumerate(ways) if j % 3 != i or t.options.slow]:
            out = os.path.join(disk, "out")
            args = ["-o", out, "-d", "/d", "-K", "u64", "-V", "none", "-c", "1000", *more, records]
            if kind == "rows":
                run = t.succeed(n, *args)
                verified(t, out, run)
                for name in os.listdir(out):
                    os.remove(os.path.join(out, name))
                os.rmdir(out)
            else:
                run = t.fail(n, *args, naming=("No space left", disk))
                t.no_output(out, run)


def fails_alone(t, n, records, *args, **env):
    """A job of which one rank cannot write goes on for seconds at most, and says why."""
    out, began = t.new_output(), time.monotonic()
    run = t.start(n, "-o", out, "-d", "/d", "-K", "u64", "-V", "none", "-c", "1000", *args, records, **env).wait(40)
    t.check(run.status != 0 and time.monotonic() - began < 30, "no failure within 30 s", run)
    t.check(b"cannot write " + os.fsencode(out) in run.stderr, "the reason is not said", run)
    t.check(not os.path.exists(os.path.join(out, "_SUCCESS")), "it is said to be whole", run)
    return run


@test
def an_error_of_one_rank_alone_ends_the_job_soon_and_says_why(t):
    use_writer(t)
    records = t.write("some", os.urandom(12 << 20))
    limited = t.write("limited", b"#!/bin/sh\ntrap '' XFSZ\n[ $OMPI_COMM_WORLD_RANK = 0 ] && ulimit -f 12000\n"
                      b"exec '%s' \"$@\"\n" % os.fsencode(t.program))
    os.chmod(limited, 0o755)
    library = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "libfail_write.so")
    program, t.program = t.program, limited
    for n in (2, 3):  # HDF5 lets few ranks write for all: the first is one of them
        fails_alone(t, n, records)
    t.program = program
    for n, call, more in ((2, 1, []), (3, 1, ["-z", "1"])):
        run = fails_alone(t, n, records, *more,
                          env={"LD_PRELOAD": library, "FAIL_RANK": str(n - 1), "FAIL_CALL": str(call)})
        t.check(b"HDF5 does not come back on all ranks" in run.stderr, "it is not said that ranks hang", run)


@test
def a_killed_job_leaves_no_file_and_the_next_one_takes_its_place(t):
    case = make(t)["compound_gz"]
    use_writer(t)
    big = t.write("big.raw", read_file(case["file"]) * 100)
    for n, out in ((3, t.path("killed.h5")), (2, t.path("killed2.h5"))):
        job = t.start(n, "-P", "-o", out, *case["args"], "-z", "9", big)
        temporary = out + ".unfinished"
        found = wait_until(lambda: os.path.isdir(temporary) and len(os.listdir(temporary)) > 1, 20)
        for pid in job.pids() if found else ():
            try:
                if os.path.samefile("/proc/%d/exe" % pid, t.program):
                    os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        run = job.wait()
        t.check(found and run.status != 0, "it was not killed in its midst", run)
        t.check(not os.path.exists(out), "a killed job gave a file its name", run)
        run = t.succeed(n, "-P", "-o", out, *case["args"], case["file"])
        said = complaint("check", t.path("in"), "compound_gz", out)
        t.check(not said and not os.path.exists(temporary), said or "a directory is left", run)


@test
def h5sort_gives_the_rows_as_numpy_sorts_them(t):
    for i, (name, case) in enumerate(make(t, "sorts.json").items()):
        t.use("h5sort")
        out, n = t.path("sorted%d.h5" % i), RANKS[i % 4]
        run = t.succeed(n, "-o", out, "--quern-split-bytes=%d" % SPLITS[i % 3], *case["args"], *case["files"])
        said = complaint("check", t.path("in"), name, out)
        t.check(not said, "%s on %s ranks: %s" % (name, n, said), run)
        verified(t, out, run)
        t.check(not os.path.exists(out + ".unfinished"), "a directory is left", run)
        check_said(t, case.get("said", ()), run)
    os.mkdir(t.path("all"))
    for file in case_files(t, "all_by_x"):
        os.symlink(file, t.path("all", os.path.basename(file)))
    run = t.succeed(3, "--dataset", "t", "--by", "x", "-o", t.path("all.h5"), t.path("all"))
    said = complaint("check", t.path("in"), "all_by_x", t.path("all.h5"))
    t.check(not said, "a directory is sorted otherwise: %s" % said, run)


def check_said(t, parts, run):
    """What is lost is said once, and nothing else."""
    lines = [line for line in run.stderr.splitlines() if line.startswith(b"h5sort:")]
    t.check(len(lines) == bool(parts) and all(part.encode() in lines[0] for part in parts), "otherwise said than %s" % (parts,), run)


def use_plugins(t):
    """Gives what lets HDF5 find a filter that is not its own."""
    directory = os.path.join(os.path.dirname(os.path.dirname(t.options.wordcount)), "tests", "e2e", "filters")
    said = complaint("plugins", directory) or complaint("make_inverted", t.path())
    t.check(not said, said)
    return {"HDF5_PLUGIN_PATH": directory}


@test
def filters_of_others_are_applied_by_all_who_have_them(t):
    found = use_plugins(t)
    case = load_json(t.path("cases.json"))["invert"]
    use_writer(t)
    for n in (1, 2, 3):
        out = t.path("inverted%d" % n)
        run = t.succeed(n, "-o", out, *case["args"], case["file"], env=found)
        said = complaint("check", t.path(), "invert", out)
        t.check(not said, "on %d ranks: %s" % (n, said), run)


@test
def h5sort_keeps_a_filter_of_others_or_says_that_it_does_not(t):
    found = use_plugins(t)
    case = load_json(t.path("sorts.json"))["inverted"]
    t.use("h5sort")
    for name, env, parts in (("inverted", found, ()), ("plain", {**found, "INVERT_READS_ONLY": "1"}, ("'invert'", "399", "only read"))):
        for n in (1, 2, 3):
            out = t.path("%s%d.h5" % (name, n))
            run = t.succeed(n, *case["args"], "-o", out, *case["files"], env=env)
            said = complaint("check", t.path(), name, out)
            t.check(not said, "%s on %d ranks: %s" % (name, n, said), run)
            check_said(t, parts, run)
    run = t.fail(None, *case["args"], "-o", t.path("without.h5"), *case["files"], naming=("inverted.h5", "399", "install it"))
    t.no_output(t.path("without.h5"), run)


def case_files(t, name):
    return load_json(t.path("in", "sorts.json"))[name]["files"]


@test
def h5sort_names_what_it_cannot_sort(t):
    make(t)
    t.use("h5sort")
    tables, matrix = [t.path("in", "table%d.h5" % i) for i in range(2)], t.path("in", "matrix.h5")
    refused = ((["--dataset", "t", "--by", "z", tables[0]], ("table0.h5", "--by")),
               (["--dataset", "t", "--by", "grid", tables[0]], ("table0.h5", "array")),
               (["--dataset", "u", "--by", "x", tables[0]], ("table0.h5", "no such dataset")),
               (["--dataset", "a/m", "--by", "4", matrix], ("matrix.h5", "column")),
               (["--dataset", "lists", "--by", "0", matrix], ("matrix.h5", "neither compounds nor numbers")),
               (["--dataset", "nested", "--by", "a", matrix], ("matrix.h5", "a", "neither a number")),
               (["--dataset", "t", "--by", "x", tables[0], matrix], ("matrix.h5", "no such dataset")),
               (["--dataset", "t", "--by", "x", t.path("absent.h5")], "absent.h5"))
    for i, (args, naming) in enumerate(refused):
        for n in (None, 2) if t.options.slow else ((None, 2)[i % 2],):
            out = t.path("refused.h5")
            run = t.fail(n, "-o", out, *args, naming=naming)
            t.no_output(out, run)
    run = t.run(2, "--by", "x", tables[0])
    t.check(run.status == 2 and b"usage: h5sort" in run.stderr, "usage expected", run)


@test
def h5sort_ends_on_all_ranks_where_one_of_them_cannot_open_the_files(t):
    case = make(t, "sorts.json")["by_x"]
    t.use("h5sort")
    os.mkdir(t.path("elsewhere"))
    program, file = t.program, os.path.basename(case["files"][0])
    for blind, naming in ((0, (file, "cannot read")), (1, None)):  # the rank that stands where there is no such file
        t.program = t.write("blind%d" % blind, b"#!/bin/sh\n[ $OMPI_COMM_WORLD_RANK = %d ] && cd '%s'\nexec '%s' \"$@\"\n" % (
            blind, os.fsencode(t.path("elsewhere")), os.fsencode(program)))
        os.chmod(t.program, 0o755)
        out, began = t.path("blind%d.h5" % blind), time.monotonic()
        run = t.start(3, *case["args"], "-o", out, file, cwd=t.path("in")).wait(40)
        t.check(time.monotonic() - began < 30, "it did not end within 30 s", run)
        if naming:
            t.check(run.status == 1 and all(os.fsencode(x) in run.stderr for x in naming), "another failure", run)
        t.check((run.status == 0) == os.path.exists(out), "the output and the status do not agree", run)


if __name__ == "__main__":
    main()
