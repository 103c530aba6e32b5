#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_resume.py: a checkpoint is used for the work that it is of, and for no other; and it is said what differs.

The program is resumed_job.c, of two runs (test_checkpoint.py).
"""
import collections
import json
import os
import shutil
import subprocess
import sys

from harness import Told, main, read_file, test

LINES = [b"%d" % (i * i % 97) for i in range(5000)] + [b"die"]
GOES_ON = "--quern-resume=on"


class Job:
    """The same command again and again; what it is told besides is in its environment."""

    def __init__(self, t):
        self.t, self.saved = t, t.path("saved")
        self.outs = [t.path("out1"), t.path("out2")]
        self.input = t.write("input.txt", b"\n".join(LINES) + b"\n")

    def args(self, where, *more):
        return (Told(where), *self.outs, self.input, "--quern-progress=on", "--quern-split-bytes=4K", "--quern-checkpoint", self.saved,
                "--quern-checkpoint-every=1h", *more)

    def die(self, n, where, **env):
        run = self.t.run(n, *self.args(where), env=env)
        self.t.check(run.status not in (0, 1, 2), "it was not killed", run)

    def go_on(self, n, *more, **env):
        return self.t.succeed(n, *self.args("none", GOES_ON, *more), env=env)

    def is_right(self, run, second=None):
        """Both outputs are of the input as it is."""
        counts = collections.Counter(read_file(self.input).splitlines())
        first = self.t.committed(self.outs[0], run).splitlines()
        self.t.check(sorted(first) == sorted(b"%s\t1" % line for line in counts), "the first output is wrong", run)
        again = self.t.committed(self.outs[1], run).splitlines()
        self.t.check(sorted(again) == sorted(b"%s\t%d" % item for item in counts.items()), "the second output is wrong", run)

    def forget(self):
        for path in (*self.outs, self.saved):
            shutil.rmtree(path, ignore_errors=True)


def says(t, run, *texts):
    for text in texts:
        t.check(text.encode() in run.stderr, "not said: %s" % text, run)


@test
def what_no_command_line_says_makes_it_other_work_and_is_named(t):
    job, model = Job(t), t.write("model", b"weights 1")
    written = os.stat(model)
    changes = (({"JOB_LIMIT": "3"}, {"JOB_LIMIT": "4"}, "the parameter 'limit' is another one"),
               ({}, {"JOB_LIMIT": "4"}, "the parameter 'limit' was not given before"),
               ({"JOB_LIMIT": "4"}, {}, "the parameter 'limit' is not given any more"),
               ({"JOB_TABLE": "a"}, {"JOB_TABLE": "b"}, "the data that was broadcast is another one"),
               ({"JOB_MODEL": model}, {"JOB_MODEL": model}, "the file '%s' is another one" % model),
               ({}, {"JOB_GRAPH": "1"}, "the graph is another one"))
    for number, (before, after, why) in enumerate(changes):
        n = (2, 1, 3)[number % 3]
        job.die(n, "second", **before)
        if "JOB_MODEL" in before:
            t.write("model", b"weights 2")
            os.utime(model, ns=(written.st_atime_ns, written.st_mtime_ns))
        run = job.go_on(2, **after)
        says(t, run, "'counts' of run 1 is done again: " + why)
        t.check(b"is reused" not in run.stderr, "something is reused", run)
        job.is_right(run)
        job.forget()


@test
def the_same_work_goes_on_whatever_else_differs(t):
    job, model = Job(t), t.write("model", b"weights")
    env = {"JOB_LIMIT": "3", "JOB_TABLE": "table", "JOB_MODEL": model}
    job.die(2, "second", **env)
    run = job.go_on(3, "--quern-memory=1G", "--quern-log", t.path("log"), **env)
    says(t, run, "stage 1 of run 1 is reused")
    job.is_right(run)


@test
def a_file_that_cannot_be_noted_ends_the_job_on_all_ranks(t):
    job = Job(t)
    for n, path in ((2, t.path("nowhere")), (1, t.dir)):
        run = t.run(n, *job.args("none"), env={"JOB_MODEL": path})
        says(t, run, "cannot read %s" % path)
        t.check(run.status == 1 and not os.path.exists(job.outs[0]), "status %d" % run.status, run)
        job.forget()


@test
def other_arguments_are_other_work_though_files_and_graph_are_the_same(t):
    t.program = os.path.join(os.path.dirname(t.options.quern), "..", "..", "examples", "kmercount")
    path = t.write("in.fasta", b">a\n" + b"ACGTTGCAACGTAGCTAGCTAGGATCCA" * 40 + b"\n")
    t.write("saved/keep", b"")
    os.chmod(t.path("saved"), 0o700)

    def count(k, *more):
        return ("-k", str(k), "-o", t.path("out"), path, "--quern-checkpoint", t.path("saved"), "--quern-progress=on", *more)

    t.succeed(2, *count(11))
    run = t.succeed(2, *count(11, GOES_ON))
    says(t, run, "run 1 was done")
    run = t.run(2, *count(13, GOES_ON))
    says(t, run, "not empty", "run 1 is run again: the command line is another one")
    t.check(run.status == 1, "it was not refused", run)
    shutil.rmtree(t.path("out"))
    run = t.succeed(3, *count(13, GOES_ON))
    keys = {line.split(b"\t")[0] for line in t.committed(t.path("out"), run).splitlines()}
    t.check(keys and {len(key) for key in keys} == {13}, "k-mers of the earlier command", run)


@test
def a_run_that_was_done_is_done_again_when_what_it_read_changed(t):
    for n in (2, 1):
        job = Job(t)
        job.die(n, "third")
        with open(job.input, "ab") as file:
            file.write(b"one more\n")
        size = os.path.getsize(job.input)
        run = job.go_on(2)
        why = "an input changed: %s has %d bytes, and had %d" % (job.input, size, size - 9)
        says(t, run, "run 1 is run again: " + why, "the output %s of run 1 is given again" % job.outs[0])
        job.is_right(run)
        job.forget()


@test
def a_run_that_was_done_is_done_again_when_its_output_is_not_as_it_was(t):
    job = Job(t)

    def remove_all():
        shutil.rmtree(job.outs[0])

    def remove_part():
        os.remove(os.path.join(job.outs[0], "part-00000"))

    def cut_part():
        os.truncate(os.path.join(job.outs[0], "part-00000"), 3)

    for damage in (remove_all, remove_part, cut_part):
        job.die(2, "third")
        damage()
        run = job.go_on(3)
        says(t, run, "run 1 is run again: its output %s is not there, or not as it was" % job.outs[0])
        job.is_right(run)
        job.forget()


@test
def the_file_that_changed_is_named(t):
    job = Job(t)
    t.write("in/a", b"1\n2\ndie\n")
    t.write("in/b", b"2\n")
    job.input = t.path("in")
    changes = ((lambda: t.write("in/aa", b"3\n"), "%s is new" % t.path("in", "aa")),
               (lambda: os.remove(t.path("in", "aa")), "%s is not there any more, or is empty" % t.path("in", "aa")),
               (lambda: t.write("in/b", b"22\n"), "%s has 3 bytes, and had 2" % t.path("in", "b")),
               (lambda: os.utime(t.path("in", "a"), (1, 1)), "%s has another time of change" % t.path("in", "a")))
    for change, what in changes:
        job.die(2, "second")
        change()
        run = job.go_on(2)
        says(t, run, "'counts' of run 1 is done again: an input changed: " + what)
        t.committed(job.outs[0], run)
        job.forget()


@test
def a_file_of_arrays_that_was_given_is_given_again_when_it_has_to_be(t):
    t.use("hdf5_write")
    records, out = t.write("records", bytes(range(256)) * 50), t.path("out.h5")
    t.write("saved/keep", b"")
    os.chmod(t.path("saved"), 0o700)
    args = ("-P", "-o", out, "-d", "/d", "-K", "u64", "-V", "none", "-c", "100", records, "--quern-checkpoint", t.path("saved"), "--quern-progress=on")
    t.succeed(2, *args)
    first = os.stat(out).st_mtime_ns
    says(t, t.succeed(2, *args, GOES_ON), "run 1 was done")
    t.check(os.stat(out).st_mtime_ns == first, "it was written again")
    os.remove(out)
    says(t, t.succeed(3, *args, GOES_ON), "run 1 is run again: its output %s is not there" % out)
    with open(records, "ab") as file:
        file.write(bytes(8))
    before = os.path.getsize(out)
    run = t.succeed(2, *args, GOES_ON)
    says(t, run, "run 1 is run again: an input changed: %s has" % records, "the output %s of run 1 is given again" % out)
    t.check(os.path.getsize(out) >= before, "not all of it", run)


@test
def another_text_of_a_script_is_other_work_of_quern_stream(t):
    t.program = os.path.join(os.path.dirname(t.options.quern), "..", "stream", "quern-stream")
    mapper = t.write("words.py", b"import sys\nfor line in sys.stdin: print(line.strip())\n")
    t.write("in", b"a\nb\na\n")
    t.write("saved/keep", b"")
    os.chmod(t.path("saved"), 0o700)
    args = ("--map", "%s %s" % (sys.executable, mapper), "--reduce", "uniq", "-o", t.path("out"), t.path("in"),
            "--quern-checkpoint", t.path("saved"), "--quern-progress=on", GOES_ON)
    t.succeed(2, *args)
    says(t, t.succeed(2, *args), "run 1 was done")
    t.write("words.py", b"import sys\nfor line in sys.stdin: print(line.strip() * 2)\n")
    run = t.run(2, *args)
    says(t, run, "not empty", "run 1 is run again: the file '%s' is another one" % mapper)
    shutil.rmtree(t.path("out"))
    run = t.succeed(1, *args)
    t.check(sorted(t.committed(t.path("out"), run).splitlines()) == [b"aa", b"bb"], "the answer is the earlier script's", run)


@test
def a_journal_says_what_was_read_and_given(t):
    job = Job(t)
    job.die(2, "second", JOB_LIMIT="3")
    shown = subprocess.run([t.options.quern, "cat", job.saved], capture_output=True, text=True)
    t.check(shown.returncode == 0, shown.stderr)
    lines = [json.loads(line[17:]) for line in read_file(job.saved + "/journal").splitlines()]
    events = collections.Counter(line["event"] for line in lines)
    t.check(events["inputs"] == 1 and events["given"] == 1, "lines: %s" % events)
    given = next(line for line in lines if line["event"] == "given")
    t.check(sorted(given["names"]) == ["command line", "parameter 'limit'"], str(given))
    t.check(next(line for line in lines if line["event"] == "inputs")["first"][0][0] == job.input, "another input")


if __name__ == "__main__":
    main()
