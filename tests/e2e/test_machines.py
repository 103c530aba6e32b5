#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_machines.py: an output that a job on another machine had is taken over if that job is dead, and only then; who was taken over
and goes on commits nothing and damages nothing.

A machine is a mount and a UTS namespace with a host name and a boot id of its own, and flock() that reaches no other machine (local_flock.c). The
program is written_job.c.
"""
import os
import re
import signal
import subprocess

from harness import Skip, main, read_file, tell, test, wait_until
from written_kit import OFTEN, Job, parts_of, taken_up

SETUP = """hostname "$1" && mount --bind "$2" /proc/sys/kernel/random/boot_id && export LD_PRELOAD="$3" && shift 3 && exec "$@"
"""


class Machine:
    """Starts jobs as if they ran there."""

    def __init__(self, t, name):
        self.t, self.name = t, name
        boot = t.write(name + ".boot", b"%08d-1111-2222-3333-444444444444\n" % (sum(name.encode()) * 7919 % 10 ** 8))
        shim = os.path.join(os.path.dirname(t.options.wordcount), "liblocal_flock.so")
        self.prefix = ["unshare", "--mount", "--uts", "sh", "-c", SETUP, "sh", name, boot, shim]
        if subprocess.run([*self.prefix, "true"], capture_output=True).returncode != 0:
            raise Skip("namespaces for mounts and host names are not allowed here")

    def start(self, n, *args):
        launch = [self.t.options.mpirun, "-n", str(n), "--oversubscribe", "--bind-to", "none"] if n else []
        program, self.t.program = self.t.program, self.prefix[0]
        args, env = tell(args, None)
        try:
            return self.t.start(None, *self.prefix[1:], *launch, program, *args, env=env)
        finally:
            self.t.program = program


def start_first(t, job, machine, n):
    """A job that has finished some parts, and is far from its end."""
    running = machine.start(n, *job.args("slow", OFTEN))
    begins = wait_until(lambda: os.path.exists(job.out) and len(parts_of(job)) > 5, 30)
    t.check(begins, "it does not begin")
    return running


def send_all(running, which):
    for pid in running.pids():
        os.kill(pid, which)


def job_in(t, name, **how):
    """Another job with the same input."""
    job = Job(t, **how)
    job.saved, job.out = t.path(name + ".saved"), t.path(name + ".out")
    return job


def is_refused(t, run):
    t.check(run.status != 0 and b"is being written by another job (process" in run.stderr and b"on there" in run.stderr,
            "it was not refused", run)


def is_taken_over(t, run):
    t.check(run.status == 0, "it was not taken over", run)
    t.check(re.search(rb"output: .* is taken over from process \d+ on there", run.stderr), "not said", run)


def contents(job):
    return {name: read_file(os.path.join(job.out, name)) for name in os.listdir(job.out)}


@test
def a_live_job_elsewhere_is_respected_and_one_that_was_taken_over_commits_nothing(t):
    here, there = Machine(t, "here"), Machine(t, "there")
    live, stopped, behind = (job_in(t, name, count=30000, split="4K") for name in ("live", "stopped", "behind"))
    expected = live.expected()[0]
    first = start_first(t, stopped, there, None)
    second = start_first(t, behind, there, 2)
    for running in (first, second):
        send_all(running, signal.SIGSTOP)

    # All at once, since each watches for some seconds.
    takers = [here.start(n, *job.args("none", checkpoint=False)) for n, job in ((None, stopped), (2, behind))]
    owner = there.start(None, *live.args("slow", checkpoint=False))
    t.check(wait_until(lambda: os.path.exists(live.out) and parts_of(live), 20), "it does not begin")
    is_refused(t, here.start(None, *live.args("none", checkpoint=False)).wait())
    run = owner.wait()
    t.check(run.status == 0, "the job that had it", run)
    t.check(contents(live) == expected, "its output is another one", run)

    for job, old, running in ((stopped, first, takers[0]), (behind, second, takers[1])):
        run = running.wait()
        is_taken_over(t, run)
        send_all(old, signal.SIGCONT)
        late = old.wait()
        t.check(late.status != 0 and b"took over the output directory" in late.stderr, "it went on", late)
        t.check(contents(job) == expected, "the output is another one: %s" % sorted(contents(job))[:9], run)


@test
def parts_of_a_job_that_died_or_was_stopped_elsewhere_are_taken_up(t):
    if not t.options.slow:
        raise Skip("takes half a minute, for checkpoint and output are watched: --slow")
    here, there = Machine(t, "here"), Machine(t, "there")
    for n, which in ((None, signal.SIGKILL), (3, signal.SIGSTOP)):
        job = Job(t, count=60000, split="8K")
        expected = job.expected()
        first = start_first(t, job, there, 2)
        send_all(first, which)
        if which == signal.SIGKILL:
            first.wait()
        run = here.start(n, *job.args("none", "--quern-resume=on")).wait()
        is_taken_over(t, run)
        t.check(re.search(rb"checkpoint: .* is taken over from process \d+ on there", run.stderr), "not said", run)
        t.check(taken_up(run) and taken_up(run)[0] > 0, "no parts were kept", run)
        if which == signal.SIGSTOP:
            send_all(first, signal.SIGCONT)
            t.check(first.wait().status != 0, "who was taken over ended well", run)
        job.as_ever(expected, run)


if __name__ == "__main__":
    main()
