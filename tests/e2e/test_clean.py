#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_clean.py: `quern clean` removes what killed jobs left, nothing of a job that lives, and nothing of anybody else's."""
import fcntl
import os
import time

from harness import main, process_env, read_file, test, wait_until

HOUR, MINUTE = 3700, 61
HERE = read_file("/proc/sys/kernel/random/boot_id").strip()


def make(t, name, files=(), age=0, lock=None):
    path = t.path("place", name)
    os.makedirs(path)
    for file in files:
        t.write(os.path.join("place", name, file), b"x")
    if lock is not None:
        t.write(os.path.join("place", name, ".quern-lock"), lock)
    os.utime(path, (time.time() - age,) * 2)
    return path


def clean(t, *args, status=0, env=None):
    t.program = t.options.quern
    run = t.start(None, "clean", *args, env=env).wait()
    t.check(run.status == status, "status %d expected" % status, run)
    return run


def check_places(t, gone, kept, *args, env=None):
    """What is to go goes, not before it has to, and the rest stays."""
    before = {path: sorted(os.listdir(path)) for path in [*gone, *kept]}
    run = clean(t, "--dry-run", *args, env=env)
    said = {line[len("would remove "):] for line in run.stdout.decode().splitlines() if line.startswith("would remove ")}
    t.check(said == set(gone), "would be removed: %s" % sorted(said), run)
    t.check(before == {path: sorted(os.listdir(path)) for path in before}, "removed by a dry run", run)
    run = clean(t, *args, env=env)
    said = {line[len("removed "):] for line in run.stdout.decode().splitlines() if line.startswith("removed ")}
    t.check(said == set(gone), "removed: %s" % sorted(said), run)
    t.check(not [path for path in gone if os.path.exists(path)], "still there", run)
    t.check(all(sorted(os.listdir(path)) == before[path] for path in kept), "something else was removed", run)
    return run


@test
def what_killed_jobs_left_goes_and_everything_else_stays(t):
    dead = HERE + b" 1 here\n"
    gone = [
        make(t, "quern-run.abcdef", ["deep/er/file"], MINUTE),
        make(t, "quern-spill-abcdef", [], HOUR), make(t, "quern-spill-ghijkl", ["runs"], HOUR),
        make(t, "out1", [".part-00000.tmp", ".part-123456.tmp", ".part-00001.0123456789abcdef.tmp",
                        ".part-00001.0123456789abcdef.second.tmp", ".manifest.0123456789abcdef.tmp",
                        ".success.0123456789abcdef.tmp", ".quern-lock.0123456789abcdef"], lock=dead), make(t, "out2", [], lock=dead),
        make(t, "out3.unfinished", ["part-00000.h5", ".part-00001.tmp"], lock=dead),
        make(t, "out4", ["part-00000", "part-00001.tar.gz", "_MANIFEST.json"], lock=dead),
        make(t, "bad1", [".bad-00000-00003.0123456789abcdef.jsonl.tmp", ".bad-00001-123456.jsonl.tmp"], lock=dead),
    ]
    kept = [
        make(t, "quern-run.nowabc", ["file"]), make(t, "quern-spill-nowabc", ["runs"], MINUTE),
        make(t, "quern-spill-remote", [".nfs0000001"], HOUR), make(t, "quern-checkpoint.abcdef", ["journal"], HOUR),
        make(t, "done", ["part-00000", "_MANIFEST.json", "_SUCCESS"], HOUR), make(t, "mine", ["quern-run.txt"], HOUR),
        make(t, "out5", ["part-00000", "_SUCCESS"], lock=dead), make(t, "out6", ["part-00000", "notes"], lock=dead),
        make(t, "out7", [".part-00000.tmp"], lock=b"00000000-1111-2222-3333-444444444444 1 elsewhere\n"),
        make(t, "out8", [".part-00000.tmp"], lock=b""), make(t, "out9", [".part-00000.tmp"]),
        make(t, "bad2", [".bad-00001-00003.0123456789abcdef.jsonl.tmp", "bad-00000-00003.jsonl"], lock=dead),
        make(t, "bad3", [".bad-00001.jsonl.tmp"], lock=dead), make(t, "bad4", [".bad-00000-00003.jsonl.tmp"]),
        make(t, "deep/quern-run.abcdef", ["file"], HOUR),
    ]
    run = check_places(t, gone, kept, t.path("place"))
    for reason in (b"out7: its job ran on another machine", b"out6: there is more in it", b"remote: there are other files",
                   b"quern-run.nowabc: it was made just now", b"quern-spill-nowabc: it was made within the hour"):
        t.check(reason in run.stdout, "not said: %s" % reason, run)


@test
def what_a_living_job_has_is_left(t):
    work = make(t, "quern-run.abcdef", ["file"], HOUR)
    out = make(t, "out", [".part-00000.tmp"], lock=HERE + b" 1 here\n")
    holders = [os.open(work, os.O_RDONLY), os.open(os.path.join(out, ".quern-lock"), os.O_RDWR)]
    for fd in holders:
        fcntl.flock(fd, fcntl.LOCK_EX)
    run = check_places(t, [], [work, out], t.path("place"))
    t.check(run.stdout.count(b"its job lives") == 2, "not said", run)
    check_places(t, [], [out], out)
    for fd in holders:
        os.close(fd)
    check_places(t, [out], [work], out)
    check_places(t, [work], [], t.path("place"))


@test
def links_are_not_followed(t):
    victim = make(t, "../victim", ["part-00000", "precious"], HOUR)
    work = make(t, "quern-run.abcdef", ["file"], HOUR)
    os.symlink(victim, os.path.join(work, "link"))
    os.utime(work, (time.time() - HOUR,) * 2)
    os.symlink(victim, t.path("place", "quern-run.ghijkl"))
    os.symlink(victim, t.path("place", "quern-spill-ghijkl"))
    out = make(t, "out", [])
    os.symlink(t.write("locked", HERE + b" 1 here\n"), os.path.join(out, ".quern-lock"))
    check_places(t, [work], [victim, out], t.path("place"))
    t.check(sorted(os.listdir(victim)) == ["part-00000", "precious"], "behind a link")
    t.check(os.path.islink(t.path("place", "quern-run.ghijkl")), "a link was removed")


@test
def what_is_left_of_jobs_that_were_killed_goes(t):
    words = t.write("words", b"a b c d e f\n" * 3000000)
    t.use("wordcount")
    out = t.path("place", "out")
    os.mkdir(t.path("place"))
    t.supervisor = [t.options.quern, "run", "--mpirun", t.options.mpirun]
    job = t.start(2, "-o", out, *[words] * 50)  # so that it does not end by itself
    lock = os.path.join(out, ".quern-lock")
    t.check(wait_until(lambda: os.path.exists(lock) and os.path.getsize(lock) > 0, 20), "the job does not begin")
    names = ("OMPI_MCA_orte_tmpdir_base", "OMPI_MCA_btl_vader_backing_directory")
    t.check(wait_until(job.rank_pids, 20), "there are no ranks")
    works = [process_env(min(job.rank_pids().values()), name) for name in names]
    run = clean(t, t.path("place"), t.tmp)
    t.check(run.stdout.count(b"left ") == 2 and b"removed" not in run.stdout, "of a living job", run)
    job.kill()
    t.check(os.path.exists(lock), "the job has ended before it was killed", job)
    for work in works:
        os.utime(work, (time.time() - HOUR,) * 2)
    check_places(t, [out], [], t.path("place"))
    run = clean(t, env={"TMPDIR": t.tmp})
    t.check(not [work for work in works if os.path.exists(work)], "still there", run)
    t.check(works[0].startswith(t.tmp) and not os.listdir(t.tmp), "left: %s" % os.listdir(t.tmp))


@test
def misuse_is_told(t):
    t.check(b"quern clean --help" in clean(t, "--nonsense", status=2).stderr, "usage expected")
    t.check(b"/no/where" in clean(t, "/no/where", status=1).stderr, "the name of the directory expected")


if __name__ == "__main__":
    main()
