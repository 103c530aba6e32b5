#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_network.py: a byte that changes between two ranks is noticed before it is used. flip_mpi.c, loaded before MPI, changes it."""
import os
import random

from harness import Failure, main, test

RECORD = 100
ON = "--quern-verify-network=on"
HEADER = 40  # of a block, as row.h has it


def library(t):
    path = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "libflip_mpi.so")
    t.check(os.path.exists(path), "there is no %s" % path)
    return path


def write_records(t, count=20000):
    return t.write("records", random.Random(3).randbytes(RECORD * count))


def flip(t, what, rank, number, byte):
    return {"LD_PRELOAD": library(t), "FLIP_WHAT": what, "FLIP_RANK": str(rank), "FLIP_ROUND": str(number), "FLIP_BYTE": str(byte),
            "FLIP_DONE": t.path("done")}


def sort_flipped(t, path, env, *options):
    """Until it happens: who is slow to begin may have nothing to send, or not so many rounds."""
    for _ in range(8):
        run, output = sort(t, path, env, "--quern-split-bytes=64K", "--quern-round-bytes=128K", *options)
        if os.path.exists(env["FLIP_DONE"]):
            os.remove(env["FLIP_DONE"])
            return run, output
    raise Failure("nothing is ever changed: %s" % env)


def sort(t, path, env, *options):
    out = t.new_output()
    run = t.run(2, "-o", out, path, *options, env=env)
    return run, t.committed(out, run) if run.status == 0 else t.no_output(out, run)


def names_both(t, run, rank, what):
    says = b"%s is damaged from rank %d to rank %d in round " % (what, 1 - rank, rank)
    t.check(run.status == 74 and says in run.stderr and len(run.messages) == 1, "it is not said: %r" % says, run)


@test
def a_changed_byte_of_a_block_fails_the_job_and_names_the_ranks(t):
    t.use("sortrecords")
    path = write_records(t)
    whole = sort(t, path, {"LD_PRELOAD": library(t)})[1]
    for rank, number, byte in ((0, 1, 0), (1, 1, 9), (0, 2, HEADER - 1), (1, 2, HEADER), (0, 1, -1), (1, 3, 777), (0, 1, 5000)):
        run, _ = sort_flipped(t, path, flip(t, "payload", rank, number, byte), ON)
        names_both(t, run, rank, b"a block")
    t.check(sort(t, path, flip(t, "payload", 0, 10 ** 6, 0), ON)[1] == whole, "another answer")


@test
def a_changed_count_fails_the_job_and_nobody_waits_for_ever(t):
    t.use("sortrecords")
    path = write_records(t)
    for rank, number, byte in ((0, 1, 0), (1, 1, 8), (0, 2, 16), (1, 2, 7), (0, 3, 23), (1, 1, 3)):
        run, _ = sort_flipped(t, path, flip(t, "counts", rank, number, byte), ON)
        names_both(t, run, rank, b"a count")


@test
def without_checksums_a_changed_record_is_not_noticed_but_a_changed_header_is(t):
    t.use("sortrecords")
    path = write_records(t)
    whole = sort(t, path, None)[1]
    for options in (("--quern-verify-network=off",), ()):  # one node; the first round is a sample
        run, changed = sort_flipped(t, path, flip(t, "payload", 0, 3, 5000), *options)
        t.check(run.status == 0 and changed != whole and len(changed) == len(whole), "it was not changed, or it was noticed", run)
    run, _ = sort_flipped(t, path, flip(t, "payload", 0, 1, 0), "--quern-verify-network=off")
    names_both(t, run, 0, b"a block")
    t.check(sort(t, path, None, "--quern-verify-network=off")[1] == whole, "another answer")


if __name__ == "__main__":
    main()
