#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_levels.py: the same output whether ranks exchange on one level or on two, compressed or not. Nodes are daemons of mpirun on this machine, each with
a TMPDIR of its own, which know each other by TCP only."""
import itertools
import os
import random
import re

from harness import Failure, count_words, load_json, main, nodes, test

EVEN, UNEVEN, SEVEN = (2, 2), (3, 1), (4, 3)
TWO, ON = "--quern-shuffle-levels=2", "--quern-shuffle-compression=on"
RECORD = 100
FLIP_RUNS_MAX = 8


def job(t, sizes, path, *options, launcher=(), env=None):
    """The output's bytes, and the sums of figures over ranks."""
    out, report = t.new_output(), t.path("report.json")
    run = t.succeed(sum(sizes), "-o", out, path, "--quern-report=" + report, "--quern-round-bytes=64K", "--quern-split-bytes=64K", *options,
                    **nodes(t, sizes, env, *launcher))
    ranks = load_json(report)["ranks"]
    return t.committed(out, run), {name: sum(rank[name] for rank in ranks) for name in ("sent_bytes", "sent_plain_bytes", "received_bytes")}


def write_text(t):
    chance = random.Random(5)
    words = [b"%x" % chance.getrandbits(64) for _ in range(30000)] + [b"long" * 2000]
    return t.write("text", b" ".join(chance.choice(words) for _ in range(40000)) + b" " + b"giant" * 30000)


@test
def every_shape_and_every_way_of_exchanging_gives_the_same_bytes(t):
    path = write_text(t)
    with open(path, "rb") as file:
        expected = count_words(file.read())
    whole = t.count(None, [path], expected=expected)
    ways = [(EVEN, way, ()) for way in itertools.product(("1", "2"), ("on", "off"))]
    ways += [(EVEN, ("2", "on"), ("--map-by", "node")), (UNEVEN, ("2", "on"), ()), (SEVEN, ("2", "on"), ()), ((1, 1), ("2", "on"), ()),
             ((1,), ("2", "on"), ()), ((2, 2, 2), ("2", "on"), ())]
    for sizes, (levels, compression), launcher in ways:
        data, sums = job(t, sizes, path, "--quern-shuffle-levels=" + levels, "--quern-shuffle-compression=" + compression, launcher=launcher)
        what = "%s, levels %s, compression %s" % (sizes, levels, compression)
        t.check(data == whole, "other bytes: %s" % what)
        t.check(sums["sent_bytes"] == sums["received_bytes"], "%s sent, %s received: %s" % (sums["sent_bytes"], sums["received_bytes"], what))
        is_smaller = compression == "on" and len(sizes) > 1
        t.check((sums["sent_bytes"] < sums["sent_plain_bytes"]) == is_smaller, "%s of %s: %s" % (sums["sent_bytes"], sums["sent_plain_bytes"], what))


@test
def within_a_node_nothing_is_compressed(t):
    sums = job(t, (3,), write_text(t), TWO, ON)[1]
    t.check(0 < sums["sent_bytes"] == sums["sent_plain_bytes"], "%s" % sums)


@test
def other_numbers_of_levels_are_refused(t):
    run = t.run(None, "-o", t.new_output(), write_text(t), "--quern-shuffle-levels=3")
    t.check(run.status == 2 and run.stderr.startswith(b"shuffle-levels: 3 is not 1 or 2\n"), "it is not refused", run)


@test
def a_job_that_fails_on_the_way_ends_on_all_ranks(t):
    for shape in (EVEN, UNEVEN):
        t.fail(sum(shape), "-o", t.new_output(), write_text(t), TWO, ON, "--quern-round-bytes=64K", "--quern-split-bytes=64K",
               "--quern-record-bytes=10000", naming=("record",), **nodes(t, shape))


def flipped(t, path, *options, **env):
    """What is said when the byte was changed: who is slow to begin may have nothing to send, or not so many rounds."""
    library = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "libflip_mpi.so")
    t.check(os.path.exists(library), "there is no %s" % library)
    done = t.path("done")
    for _ in range(FLIP_RUNS_MAX):
        out = t.new_output()
        run = t.run(4, "-o", out, path, "--quern-split-bytes=64K", "--quern-round-bytes=128K", TWO, *options,
                    **nodes(t, EVEN, {"LD_PRELOAD": library, "FLIP_DONE": done, **{name: str(value) for name, value in env.items()}}))
        if os.path.exists(done):
            os.remove(done)
            t.no_output(out, run)
            said = re.search(rb"(a block|a count) is damaged from rank (\d) to rank (\d) in round ", run.stderr)
            t.check(run.status == 74 and said and len(run.messages) == 1, "it is not said: %s" % run.messages, run)
            return said.group(1).decode(), int(said.group(2)), int(said.group(3))
        t.check(run.status == 0, "it failed by itself", run)
    raise Failure("nothing is ever changed: %s" % env)


# Ranks 0 and 1 are of one node, 2 and 3 of the other: to 1, what comes from 0 is on its way within the node, and what comes from 3 is from the other.


@test
def a_byte_that_changes_on_either_level_fails_the_job_and_names_who_sent_it_and_who_it_was_for(t):
    t.use("sortrecords")
    path = t.write("records", random.Random(3).randbytes(RECORD * 40000))
    for byte, options in ((0, ()), (-1, ()), (777, (ON,))):
        what, sender, receiver = flipped(t, path, *options, FLIP_WHAT="payload", FLIP_RANK=1, FLIP_FROM=0, FLIP_ROUND=2, FLIP_BYTE=byte)
        t.check(what == "a block" and sender == 0 and receiver in (1, 3), "near: %s from %s to %s" % (what, sender, receiver))
        what, sender, receiver = flipped(t, path, *options, FLIP_WHAT="payload", FLIP_RANK=1, FLIP_FROM=3, FLIP_ROUND=2, FLIP_BYTE=byte)
        t.check(what == "a block" and sender in (2, 3) and receiver == 1, "far: %s from %s to %s" % (what, sender, receiver))


@test
def a_count_that_changes_on_either_level_does_too_and_nobody_waits_for_ever(t):
    t.use("sortrecords")
    path = t.write("records", random.Random(3).randbytes(RECORD * 40000))
    for number, byte, first in ((1, 3, True), (2, 47, False)):  # of 2 counts, 3 copies each
        said = flipped(t, path, FLIP_WHAT="counts", FLIP_RANK=1, FLIP_FROM=0, FLIP_ROUND=number, FLIP_BYTE=byte)
        t.check(said == ("a count", 0, 1), "near: %s" % (said,))
        said = flipped(t, path, FLIP_WHAT="counts", FLIP_RANK=1, FLIP_FROM=3, FLIP_ROUND=number, FLIP_BYTE=byte)
        t.check(said == ("a count", 2 if first else 3, 1), "far: %s" % (said,))


if __name__ == "__main__":
    main()
