#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_crash.py: a rank that a signal ends says what it worked on, and the job ends at once and not with success.

The program is crashing_job.c. --wordcount names it (the word is the harness's).
"""
import os

from harness import main, test

LINES = b"".join(b"line %d\n" % i for i in range(20000))
TEXT = LINES + b"crash\n" + LINES


def crash(t, n, how, *options):
    path, out = t.write("text", TEXT), t.new_output()
    run = t.run(n, how, out, path, *options)
    t.check(run.status not in (0, None), "a crash was called a success", run)
    t.check(run.seconds < 15 * t.options.patience, "%.1f s until the job ended" % run.seconds, run)
    t.check(not os.path.exists(os.path.join(out, "_SUCCESS")), "half an output is called whole", run)
    return run


def told(t, run, *words):
    for word in words:
        t.check(word in run.stderr, "not told: %r" % word, run)


@test
def a_crash_names_signal_rank_operator_task_and_record(t):
    for n in (None, 1, 2, 3):
        run = crash(t, n, "segv")
        told(t, run, b"signal 11", b"at address 0x8", b"in rank ", b" of %d, process " % (n or 1), b"the stage 'read text'",
             b"the callback of 'look closely', task 0 (attempt 1)", b"on the record at byte %d of " % len(LINES))
        t.check(run.stderr.count(b"quern: signal") == 1, "said more than once", run)


@test
def the_calls_that_led_to_a_crash_are_shown(t):
    told(t, crash(t, None, "segv"), b"crashing_job(+0x", b"(quern_run+0x")
    told(t, crash(t, 2, "segv"), b"crashing_job(+0x")


@test
def aborts_and_full_stacks_are_told_too(t):
    for n in (None, 2):
        told(t, crash(t, n, "abort"), b"signal 6", b"'look closely'", b"byte %d of " % len(LINES))
        told(t, crash(t, n, "stack"), b"signal 11", b"'look closely'", b"byte %d of " % len(LINES))


@test
def a_callback_for_a_block_is_told_with_where_the_block_begins(t):
    told(t, crash(t, None, "block"), b"'look closely'", b"in the block of records from byte ")


@test
def the_callback_of_a_group_is_named(t):
    for n in (None, 2):
        told(t, crash(t, n, "group"), b"signal 11", b"the callback of 'look closely'")


@test
def who_handled_the_signal_before_still_does(t):
    run = crash(t, None, "mine")
    told(t, run, b"on the record at byte", b"my own handler")
    t.check(run.status == 42, "the program's own status is lost", run)


@test
def without_the_option_nothing_is_told(t):
    run = crash(t, None, "segv", "--quern-crash-report=off")
    t.check(b"quern:" not in run.stderr, "told although it is off", run)


if __name__ == "__main__":
    main()
