#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_damaged.py: damaged packed files, with bad records skipped: the same words and the same bad item on any number of ranks; prints TAP.

Streams are by turns truncated and flipped. Each is counted without a launcher and, by turns, on 2 or 3 ranks in small or large splits. With
--slow all are damaged both ways, and counted on both. And a spill file that is damaged while the job has it.
"""
import base64
import glob
import json
import os
import random
import shutil

from harness import TESTS, count_words, load_json, main, test, wait_until
from test_packed import archives, run, streams, text, tree

TESTS.clear()  # those of the other file

SPILLING, SPILLED_AT = "--quern-memory=64M", 300000
LAUNCHES = ((2, 1000), (3, 50000))  # and, for the comparison, one without a launcher


def launches(t, number):
    return LAUNCHES if t.options.slow else (LAUNCHES[number // 2 % 2],)


def streams_of(t, data, turn):
    """(number, (name, content)) of those that are damaged in this way."""
    return [(number, item) for number, item in enumerate(streams(data).items()) if t.options.slow or number % 2 == turn]


def count_with_damage(t, n, split, path, expected=None):
    """The output, and what the report lists."""
    report = t.path("report.json")
    data = t.count(n, [path], "--quern-split-bytes=%d" % split, "--quern-bad-records=skip:9", "--quern-report=" + report,
                   expected=expected)
    bad = load_json(report)["stages"][0]["bad_records"][0]
    t.check(bad["skipped"] == len(bad["first"]), "not all are listed: %s" % bad)
    return data, bad["first"]


UNPACKERS = {"zstd": "zstd", "pzstd": "zstd", "lz4": "lz4", "bzip2": "bzip2", "lbzip2": "bzip2", "pbzip2": "bzip2"}


def offset_in_all(name, whole, item):
    """The byte of all that is unpacked at which an item begins."""
    if item["unit"] is None:
        return item["offset"]
    return item["offset"] + len(run(UNPACKERS[name.split("-")[0]], "-dc", stdin=whole[:item["unit"]]))


@test
def words_before_the_end_of_a_truncated_file_are_there_and_no_others(t):
    data = text(random.Random(5), 120000)
    for number, (name, whole) in streams_of(t, data, 0):
        path = t.write("cut-" + name, whole[:len(whole) * 2 // 3])
        _, first = count_with_damage(t, None, 1 << 20, path)
        t.check(len(first) == 1 and first[0]["bytes"] is None and first[0]["member"] is None, "%s: %s" % (name, first))
        expected = count_words(data[:offset_in_all(name, whole, first[0])])
        for n, split in launches(t, number):
            _, again = count_with_damage(t, n, split, path, expected)
            t.check(again == first, "%s: %s, on other ranks %s" % (name, again, first))


@test
def a_flipped_byte_is_the_same_one_bad_item_on_any_number_of_ranks(t):
    data = text(random.Random(6), 120000)
    for number, (name, whole) in streams_of(t, data, 1):
        middle = len(whole) // 2
        path = t.write("flipped-" + name, whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1:])
        once = count_with_damage(t, None, 1 << 20, path)
        t.check(len(once[1]) == 1, "%s: %s" % (name, once[1]))
        for n, split in launches(t, number):
            t.check(count_with_damage(t, n, split, path) == once, "%s: something else on %s ranks" % (name, n))


@test
def what_is_behind_a_damaged_unit_is_read_and_by_several_ranks(t):
    data = text(random.Random(9), 400000)
    packed, report, bad = streams(data), t.path("report.json"), t.path("bad")
    for name in ("bgzip", "pbzip2", "xz-blocks", "pzstd"):
        whole = packed[name]
        at = len(whole) // 3
        path = t.write("unit-" + name, whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:])
        shutil.rmtree(bad, ignore_errors=True)
        out = t.new_output()
        t.succeed(2, "-o", out, path, "--quern-split-bytes=20000", "--quern-bad-records=quarantine:9",
                  "--quern-quarantine=" + bad, "--quern-report=" + report)
        words = sum(int(line.split(b"\t")[1]) for line in t.committed(out).splitlines())
        t.check(words < 400000 and (words > 200000 or name == "pzstd"), "%s: %d of 400000 words" % (name, words))
        stage = load_json(report)["stages"][0]
        t.check(sum(rank["attempts"] > 0 for rank in stage["ranks"]) == 2, "%s: only one rank worked" % name)
        lines = [json.loads(line) for file in glob.glob(bad + "/*.jsonl") for line in open(file)]
        first = stage["bad_records"][0]["first"]
        t.check(len(lines) == len(first) == 1, "%s: %s" % (name, lines))
        t.check(all(lines[0][key] == first[0][key] for key in ("file", "member", "unit", "offset", "bytes", "reason")),
                "%s: %s, in the report %s" % (name, lines[0], first[0]))
        begin = offset_in_all(name, whole, lines[0])
        raw = base64.b64decode(lines[0]["data"])
        is_right = data[begin:begin + len(raw)] == raw and data[begin - 1:begin].isspace()
        t.check(name != "bgzip" or is_right, "%s: other bytes at %d" % (name, begin))  # others give some before they see it


@test
def damaged_archives_give_what_can_be_unpacked(t):
    tree(t)
    for number, (name, path) in enumerate(archives(t).items()):
        with open(path, "r+b") as file:
            file.seek(file.seek(0, 2) * 2 // 3)
            file.truncate()
        if name in ("7z", "iso"):  # what is in them is told at their ends, or by places behind it
            continue
        once = count_with_damage(t, None, 1 << 20, path)
        t.check(once[1], "%s: nothing is bad" % name)
        for n, split in launches(t, number):
            again = count_with_damage(t, n, split, path)
            t.check(again == once, "%s: %s, on %s ranks %s" % (name, once[1], n, again[1]))


def change_a_spilled_byte(t, job):
    """In a file without a name that a rank has open, as soon as there is one."""
    for path in glob.glob("/proc/[0-9]*/fd/*"):
        try:
            if os.readlink(path).startswith(t.tmp) and os.stat(path).st_nlink == 0 and os.stat(path).st_size > SPILLED_AT:
                with open(path, "r+b", buffering=0) as file:
                    file.seek(SPILLED_AT)
                    byte = file.read(1)
                    file.seek(SPILLED_AT)
                    file.write(bytes([byte[0] ^ 0x10]))
                    return True
        except OSError:
            continue
    return job.process.poll() is not None


@test
def a_job_whose_spill_file_was_damaged_ends_with_its_status_and_is_started_again(t):
    words = t.write("words", b"\n".join(b"%x" % (i * 2654435761 % (1 << 32)) for i in range(1200000)))
    expected = t.count(2, [words], SPILLING)
    for restarts, status in ((0, 74), (1, 0)):
        out = t.new_output()
        t.supervisor = [t.options.quern, "run", "--mpirun", t.options.mpirun, "--restarts", str(restarts), "--checkpoint", t.path("saved")]
        job = t.start(2, "-o", out, words, SPILLING)
        t.check(wait_until(lambda: change_a_spilled_byte(t, job), 60) and job.process.poll() is None, "nothing is spilled", job.wait(90))
        run = job.wait(90)
        t.check(run.status == status and b"is damaged at byte" in run.stderr, "status %d expected" % status, run)
        t.check(run.stderr.count(b"came back damaged (status 74): starting again") == restarts, "%d restarts expected" % restarts, run)
        t.check(restarts == 0 or t.committed(out, run) == expected, "another answer", run)
        shutil.rmtree(t.path("saved"))


if __name__ == "__main__":
    main()
