#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_encryption.py: with a key the output is the same bytes, and nothing of the input is in any file that Quern writes for itself.

The programs are spilling_job.c, which copies its scratch files while it has them, and resumed_job.c, which dies and leaves its
checkpoint. --wordcount names the first one.
"""
import os
import random
import shutil

from harness import Told, main, read_file, test

WORDS = [b"plaintext", b"secretword", b"confidence", b"undisclosed"]
KINDS = ("count", "sort", "group", "keep", "kept")
MEMORY = "--quern-memory=%d" % (2 * 32 << 20)


def write_key(t, name="key", seed=1, mode=0o600, content=None):
    path = t.write(name, random.Random(seed).randbytes(32) if content is None else content)
    os.chmod(path, mode)
    return path


def write_lines(t, count):
    """Lines of words that are looked for, all different; half of them begin with the same byte."""
    chance = random.Random(5)
    lines = [b"%c%s %d %s %d" % (b"ab"[chance.randrange(4) == 0], chance.choice(WORDS), i, chance.choice(WORDS) * 6, chance.randrange(1 << 60))
             for i in range(count)]
    return t.write("input.txt", b"\n".join(lines) + b"\n")


def plaintext_in(paths):
    """The files that hold a piece of the input."""
    return [path for path in paths if any(word in read_file(path) for word in WORDS)]


def files_below(directory):
    return sorted(os.path.join(root, name) for root, _, names in os.walk(directory) for name in names)


def spill(t, path, *options, n=2):
    """Outputs by kind, and the copies of scratch files by kind."""
    out, dump = t.new_output(), t.path("dump")
    os.mkdir(out)
    os.mkdir(dump)
    run = t.succeed(n, out, dump, path, MEMORY, *options, timeout=120)
    outputs = {kind: t.committed(os.path.join(out, kind), run) for kind in KINDS}
    found = {kind: [] for kind in KINDS}
    for copy in files_below(dump):
        t.check(copy.endswith("-600"), "the mode of a scratch file: %s" % copy, run)
        found[os.path.basename(copy).split("-")[0]].append((copy, os.path.getsize(copy), bool(plaintext_in([copy]))))
    shutil.rmtree(dump)
    shutil.rmtree(out)
    return outputs, found


@test
def what_is_spilled_holds_nothing_of_the_input_and_the_output_is_the_same(t):
    path = write_lines(t, 400000)
    plain, bare = spill(t, path)
    key = write_key(t)
    for n, more in ((2, ()), (2, ("--quern-isolate=on",))) if t.options.slow else ((2, ()),):
        hidden, sealed = spill(t, path, "--quern-encrypt", key, *more, n=n)
        for kind in KINDS:
            t.check(hidden[kind] == plain[kind], "other bytes of %s with %s" % (kind, more))
            t.check(any(size > 100000 for _, size, _ in sealed[kind]) or more, "nothing is spilled of %s: %s" % (kind, sealed[kind]))
            t.check(not any(seen for _, _, seen in sealed[kind]), "to be read in %s: %s" % (kind, sealed[kind]))
    for kind in KINDS:  # or the test would see nothing
        t.check(any(seen for _, _, seen in bare[kind]), "without a key nothing is to be read in %s: %s" % (kind, bare[kind]))


@test
def a_key_that_others_may_read_or_that_is_none_is_refused(t):
    path = t.write("little", b"a\nb\n")
    cases = [(write_key(t, "open", mode=0o640), "by others"), (write_key(t, "short", content=b"x" * 31), "not a key"),
             (t.path("nowhere"), "cannot open"), (t.dir, "is not a file")]
    for key, why in cases:
        t.fail(2, t.new_output(), "-", path, "--quern-encrypt", key, naming=(why, key), status=2)
    good = write_key(t, mode=0o400)
    other = write_key(t, "other", 2)
    t.fail(None, t.new_output(), "-", path, env={"QUERN_ENCRYPT": cases[0][0]}, naming="by others", status=2)
    # Not the same on all ranks.
    script = t.write("one.sh", b'#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" = 0 ] && exec "$@" --quern-encrypt=%s\nexec "$@" --quern-encrypt=%s\n'
                     % (good.encode(), other.encode()))
    os.chmod(script, 0o700)
    t.fail(2, t.new_output(), "-", path, launcher=(script,), naming="different keys", status=2)


class Resumed:
    """resumed_job, of which each line is a word that is looked for and a number."""

    def __init__(self, t):
        self.t, self.saved = t, t.path("saved")
        t.use("resumed_job")
        chance = random.Random(9)
        lines = [b"%s%d" % (chance.choice(WORDS), chance.randrange(2000)) for _ in range(20000)] + [b"die"]
        self.input = t.write("input.txt", b"\n".join(lines) + b"\n")

    def args(self, where, *options):
        return (Told(where), self.t.path("out1"), self.t.path("out2"), self.input, "--quern-progress=on",
                "--quern-checkpoint", self.saved, "--quern-checkpoint-every=1h", *options)

    def die(self, *options, where="second"):
        self.forget()
        run = self.t.run(2, *self.args(where, *options))
        self.t.check(run.status not in (0, 1, 2), "it was not killed", run)
        shutil.rmtree(self.t.path("out1"), ignore_errors=True)

    def content(self):
        """Without the lock, which whoever dies leaves and whoever looks takes."""
        return {path: read_file(path) for path in files_below(self.saved) if not path.endswith("/lock")}

    def refused(self, why, *options):
        before = self.content()
        run = self.t.run(2, *self.args("none", "--quern-resume=on", *options), fast=False)
        self.t.check(run.status == 2 and why in run.stderr, "it is not refused, with %s" % why, run)
        self.t.check(self.content() == before, "it changed something", run)

    def end(self, n, *options, reused=1):
        run = self.t.succeed(n, *self.args("none", "--quern-resume=on", *options))
        self.t.check(run.stderr.count(b"is reused") == reused, "%d stages are not reused" % reused, run)
        lines = b"".join(sorted(self.t.committed(self.t.path("out1"), run).splitlines(True)))
        again = b"".join(sorted(self.t.committed(self.t.path("out2"), run).splitlines(True)))
        self.forget()
        return run.stdout, lines, again, run

    def forget(self):
        for name in ("out1", "out2", "saved"):
            shutil.rmtree(self.t.path(name), ignore_errors=True)


@test
def a_checkpoint_holds_nothing_of_the_input_and_is_gone_on_with_by_its_key_only(t):
    job = Resumed(t)
    key, other = write_key(t), write_key(t, "other", 2)
    expected = job.end(2, reused=0)[:3]
    job.die()
    t.check(plaintext_in(files_below(job.saved)), "without a key nothing is to be read")
    job.refused(b"without a key", "--quern-encrypt", key)
    t.check(job.end(3)[:3] == expected, "another answer without a key")
    for n in (1, 2, 4):
        job.die("--quern-encrypt", key)
        saved = files_below(job.saved)
        t.check(len(saved) >= 5, "saved: %s" % saved)
        t.check(not plaintext_in(saved), "to be read: %s" % plaintext_in(saved))
        t.check(all(os.stat(path).st_mode & 0o777 == 0o600 for path in saved), "modes of files")
        t.check(os.stat(job.saved).st_mode & 0o777 == 0o700, "the mode of the directory")
        job.refused(b"with another key", "--quern-encrypt", other)
        job.refused(b"with a key")
        t.check(job.end(n, "--quern-encrypt", key)[:3] == expected, "another answer on %d ranks" % n)


@test
def saved_files_that_are_changed_swapped_or_of_another_job_are_done_again(t):
    job = Resumed(t)
    key = write_key(t)
    expected = job.end(2, reused=0)[:3]
    job.die("--quern-encrypt", key, where="first")
    other = t.path("other_job")
    shutil.copytree(job.saved, other)

    def first(rank=0, where=job.saved):
        return next(path for path in files_below(where) if "run-1.stage-0.rank-%d." % rank in path)

    def flip():
        content = bytearray(read_file(first()))
        content[len(content) // 2] ^= 1
        t.write(first(), bytes(content))

    def swap():
        second = first(1)
        kept = read_file(first())
        t.write(first(), read_file(second))
        t.write(second, kept)

    def replace():
        shutil.copy(first(0, other), first())

    def link():
        path = first()
        os.rename(path, t.path("elsewhere"))
        os.symlink(t.path("elsewhere"), path)

    for way in (flip, swap, replace, link):
        job.die("--quern-encrypt", key, where="first")
        way()
        answer = job.end(2, "--quern-encrypt", key, reused=0)
        t.check(b"'counts' of run 1 is done again" in answer[3].stderr, "%s is not said" % way.__name__, answer[3])
        t.check(answer[:3] == expected, "another answer after %s" % way.__name__, answer[3])


@test
def a_journal_that_is_changed_is_not_believed(t):
    job = Resumed(t)
    key = write_key(t)
    expected = job.end(2, reused=0)[:3]
    job.die("--quern-encrypt", key)
    journal = os.path.join(job.saved, "journal")
    content = read_file(journal)
    rows = content.index(b'"rows":') + 7
    t.write(journal, content[:rows] + b"1" + content[rows + 1:] if content[rows:rows + 1] != b"1" else
            content[:rows] + b"2" + content[rows + 1:])
    answer = job.end(2, "--quern-encrypt", key, reused=0)
    t.check(answer[:3] == expected, "another answer", answer[3])


if __name__ == "__main__":
    main()
