#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_ulfm_hosts.py: jobs on four hosts (virtual_cluster.py) where MPI tells of ranks that died: those of a host, a host, its daemon, its cable.

The other ranks go on where the launcher lets them. Open MPI 5's ends the job if it loses one of its daemons; then it ends soon, nothing is taken for done that is
not, and `quern run --restarts` goes on. Elsewhere all of it is skipped; tools/trixie runs it in a Debian 13.
"""
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import Skip, main, process_env, read_file, test, wait_until  # noqa: E402
import virtual_cluster  # noqa: E402
from hosts_kit import ALL, NODE_LOST, hosts, open_mpi_version  # noqa: E402
from slow_job import check_outputs, slow_job  # noqa: E402

SEED = int(os.environ.get("E2E_SEED") or random.SystemRandom().randrange(1 << 32))
BEGUN_SECONDS = 2  # by then a rank has
END_SECONDS = 400  # also if a rank died before that, and once more if MPI hangs while ranks are lost
ENDED_SECONDS = 20  # from a loss on; keepalives of the launcher take six
GOES_ON = re.compile(r"^quern: ranks? ([\d, ]+) lost: the other (\d+) go on after", re.MULTILINE)
AGAIN = ": starting again, "


def hosts_with_ulfm(t):
    if open_mpi_version(t) < 5:
        raise Skip("this MPI tells of no dead ranks; tools/trixie has one that does")
    return hosts(t)


def start(here, words, *options):
    """Once something of the job is saved."""
    job = here.start(*options, "-n", "8", "--hosts", ALL, "--", *words)
    here.wait_for_epoch(job)
    return job


def slow_words(t, here, seconds=4):
    return slow_job(t, here.dir, seconds, 8) + ["--quern-split-bytes=32K", "--quern-checkpoint-every=500ms", "--quern-job=job"]


def age_of(pid):
    """In seconds."""
    began = int(read_file("/proc/%d/stat" % pid).rpartition(b")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return float(read_file("/proc/uptime").split()[0]) - began


def kill_on(here, number, program, rank=None, seconds=0):
    """A process of that name on that host, of that rank, and as old; whether there was one."""
    for pid, command in here.cluster.processes(number).items():
        is_it = os.path.basename(command.split(" ")[0]) == program and age_of(pid) >= seconds
        if is_it and (rank is None or process_env(pid, "OMPI_COMM_WORLD_RANK") == str(rank)):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def remove_outputs(here):
    for name in ("out1", "out2", "job"):
        shutil.rmtree(here.path(name), ignore_errors=True)


@test
def the_others_go_on_when_a_rank_of_another_host_dies(t):
    here = hosts_with_ulfm(t)
    words = slow_words(t, here)
    for number, rank in ((2, 3), (1, 0)):
        job = start(here, words, "--restarts", "2")
        t.check(kill_on(here, number, "resumed_job", rank), "nobody was killed")
        said = here.end(job, 60)
        t.check(GOES_ON.findall(said) == [(str(rank), "7")] and AGAIN not in said, "it did not go on in place: %s" % said)
        here.nothing_is_left(10)
        check_outputs(t, here.dir, words)
        remove_outputs(here)


@test
def the_others_go_on_when_ranks_of_several_hosts_die(t):
    here = hosts_with_ulfm(t)
    words = slow_words(t, here)
    job = start(here, words, "--restarts", "2")
    for number in (2, 4, 3):
        t.check(kill_on(here, number, "resumed_job"), "nobody was killed on n%d: %s" % (number, here.cluster.processes(number)))
        time.sleep(1.5)  # to shrink takes a moment over a network, and Open MPI 5.0.7 may hang if another rank dies in it
    said = here.end(job, 60)
    lost = sum(len(ranks.split(",")) for ranks, _ in GOES_ON.findall(said))
    t.check(lost == 3 and AGAIN not in said, "it did not go on in place: %s" % said)
    t.check(json.loads(read_file(here.path("job/status.json")))["ranks"] == 5, "another number of ranks")
    here.nothing_is_left(10)
    check_outputs(t, here.dir, words)


def lose(here, number, how):
    {"host": lambda: here.cluster.kill(number), "cable": lambda: here.cluster.cut(number),
     "daemon": lambda: here.t.check(kill_on(here, number, "prted"), "there is no daemon")}[how]()


def mend(here, number, how):
    if how == "host":
        here.give_power(number)
    elif how == "cable":
        here.cluster.join(number)


@test
def a_job_that_loses_a_host_ends_soon_and_goes_on_by_being_started_again(t):
    """The launcher ends it, and says that all is well."""
    here = hosts_with_ulfm(t)
    words = slow_words(t, here)
    for how, number in (("host", 2), ("cable", 3), ("daemon", 4), ("host", 1)):
        job = start(here, words, "--restarts", "2")
        lose(here, number, how)
        said = here.end(job, 90)
        t.check(said.count(AGAIN) == 1, "%s: it was to be started once more: %s" % (how, said))
        t.check((how == "daemon") != ("n%d does not answer: it is left out" % number in said), "%s: %s" % (how, said))
        ranks = json.loads(read_file(here.path("job/status.json")))["ranks"]
        t.check(ranks == (8 if how == "daemon" else 6), "%s: %d ranks" % (how, ranks))
        mend(here, number, how)
        here.nothing_is_left(60)
        check_outputs(t, here.dir, words)
        remove_outputs(here)


@test
def a_job_that_loses_a_host_and_is_not_started_again_has_not_succeeded_and_can_be_gone_on_with(t):
    here = hosts_with_ulfm(t)
    words = slow_words(t, here)
    for how, number in (("host", 2), ("cable", 3)):
        job = start(here, words, "--checkpoint", "saved")
        began = time.monotonic()
        lose(here, number, how)
        said = here.end(job, 60, (NODE_LOST, 137, 143, 75))
        seconds = time.monotonic() - began
        print("# %s: status %d after %.1f s" % (how, job.returncode, seconds))
        t.check(seconds < ENDED_SECONDS, "%s: it took %.1f s: %s" % (how, seconds, said))
        t.check(not os.path.exists(here.path("out1/_SUCCESS")), "%s: it says that it succeeded: %s" % (how, said))
        left = [name for name in ("n1", "n2", "n3", "n4") if name != "n%d" % number]
        mend(here, number, how)
        here.nothing_is_left(60)
        said = here.run("--hosts", ",".join(name + ":2" for name in left), "--checkpoint", "saved", "--", *words, "--quern-log=log", seconds=60)
        t.check(b"goes on with" in read_file(here.path("log")), "%s: it began again: %s" % (how, said))
        check_outputs(t, here.dir, words)
        remove_outputs(here)
        os.unlink(here.path("log"))


def end_daemons(here):
    """Of a launcher that lost two others, one may stay for ever when its ranks have ended; nothing of ours does."""
    def are_there():
        return any(os.path.basename(command.split(" ")[0]) in ("prted", "resumed_job") for number in here.cluster.inits
                   for command in here.cluster.processes(number).values())

    if wait_until(lambda: not are_there(), 20):
        return
    for number in here.cluster.inits:
        while kill_on(here, number, "prted"):
            print("# a daemon was left on n%d" % number)
            time.sleep(0.2)
        for name in here.cluster.files(number, "/tmp"):
            here.cluster.remove(number, "/tmp/" + name)


@test
def hosts_and_ranks_that_are_lost_at_random_moments_cost_no_answer(t):
    here, chance = hosts_with_ulfm(t), random.Random(SEED)
    words = slow_words(t, here, 3)
    print("# E2E_SEED=%d" % SEED)
    for turn in range(20 if t.options.slow else 2):
        job = here.start("--restarts", "5", "-n", "8", "--hosts", ALL, "--", *words)
        losses = [(chance.randrange(1, 5), chance.choice(("host", "cable", "daemon", "rank", "rank")), chance.uniform(0, 4)) for _ in range(2)]
        for number, how, moment in losses:
            time.sleep(moment)
            if number not in here.cluster.inits or os.path.exists(here.cluster.path("run", "n%d.cut" % number)):
                continue
            if how in ("daemon", "rank"):
                # Of a rank that dies in MPI_Init nobody is told: the others end after five minutes.
                kill_on(here, number, *(("prted",) if how == "daemon" else ("resumed_job", None, BEGUN_SECONDS)))
            else:
                lose(here, number, how)
        said = here.end(job, END_SECONDS)
        print("# %s: %d in place, started again %d times" % (losses, len(GOES_ON.findall(said)), said.count(AGAIN)), flush=True)
        for number in range(1, 5):
            if number not in here.cluster.inits:
                here.give_power(number)
            elif os.path.exists(here.cluster.path("run", "n%d.cut" % number)):
                here.cluster.join(number)
        end_daemons(here)
        here.nothing_is_left(20)
        check_outputs(t, here.dir, words)
        remove_outputs(here)


if __name__ == "__main__":
    tempfile.tempdir = "/var/tmp"
    virtual_cluster.enter(slurm=False)
    main()
