#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_slurm.py: jobs by quern submit on nodes of a real SLURM (virtual_cluster.py), which are looked at, told to end, queued again and cancelled.

The nodes are virtual, and each sees a /tmp of its own, so everything is below /var/tmp."""
import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import Skip, main, read_file, test, wait_until  # noqa: E402
import virtual_cluster  # noqa: E402
from slow_job import LINES, check_outputs, slow_job  # noqa: E402

NODES = 4
EVERY = ["--quern-split-bytes=32K", "--quern-checkpoint-every=2s"]
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "DEADLINE", "OUT_OF_MEMORY")


class Slurm:
    """The cluster of all tests, a directory that its nodes see, and SLURM's words on a job."""

    cluster = None

    def __init__(self, t):
        self.t = t
        if not Slurm.cluster:
            Slurm.cluster = virtual_cluster.Cluster(NODES).__enter__()
            atexit.register(Slurm.cluster.close)
        self.dir = tempfile.mkdtemp(prefix="work.", dir=self.cluster.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def environment(self):
        return {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "TMPDIR": "/tmp",
                "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "QUERN_PIN": "off",
                "OMPI_MCA_btl_tcp_if_include": "10.99.0.0/24", "OMPI_MCA_oob_tcp_if_include": "10.99.0.0/24"}

    def quern(self, *words, status=0):
        """What it prints."""
        done = subprocess.run([self.t.options.quern, *words], cwd=self.dir, env=self.environment(), stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=120)
        self.t.check(done.returncode == status, "%s: status %d, %s" % (words[0], done.returncode, (done.stdout + done.stderr).decode()))
        return done.stdout.decode()

    def submit(self, *words):
        return self.quern("submit", *words).strip()

    def field(self, number, name):
        done = subprocess.run(["scontrol", "show", "job", "--oneliner", number], capture_output=True)
        found = re.search(r"\b%s=(\S*)" % name, done.stdout.decode())
        return found.group(1) if found else ""

    def wait_for(self, number, seconds, *states):
        if not wait_until(lambda: self.field(number, "JobState") in (states or ENDED), seconds):
            self.fail(number, "it is %s after %d s" % (self.field(number, "JobState"), seconds))

    def fail(self, number, why):
        log = self.path("quern-%s.log" % number)
        self.t.check(False, "job %s: %s\n%s" % (number, why, read_file(log).decode(errors="replace") if os.path.exists(log) else "no log"))

    def done(self, number, seconds=60):
        self.wait_for(number, seconds)
        if (self.field(number, "JobState"), self.field(number, "ExitCode")) != ("COMPLETED", "0:0"):
            self.fail(number, "%s, %s" % (self.field(number, "JobState"), self.field(number, "ExitCode")))

    def status(self, number):
        return json.loads(self.quern("status", "--json", number))

    def wait_for_work(self, number):
        """Some tasks of its first stage are done."""
        path = self.path("quern-%s/status.json" % number)

        def works():
            stage = json.loads(read_file(path))["stage"] if os.path.exists(path) else None
            return stage and stage["tasks_done"] > 0

        if not wait_until(works, 60):
            self.fail(number, "it does not work")


def slurm(t):
    reason = virtual_cluster.why_not()
    if reason:
        raise Skip(reason)
    return Slurm(t)


@test
def jobs_run_on_nodes_by_either_launcher_one_after_another_and_as_arrays(t):
    cluster = slurm(t)
    for number in (1, 2):
        with open(cluster.path("in.%d" % number), "wb") as file:
            file.write(LINES * number)
    wordcount = os.path.realpath(t.options.wordcount)
    first = cluster.submit("--nodes", "2", "--tasks-per-node", "2", "--time", "5", "--mem", "1G", "--", wordcount, "-o", "it's 1", "in.1")
    second = cluster.submit("--nodes", str(NODES), "--launcher", "srun", "--after", first, "--", wordcount, "-o", "out 2", "in.1")
    third = cluster.submit("--array", "1-2", "--", wordcount, "-o", "of %a", "in.%a")
    cluster.done(first)
    status = cluster.status(first)
    t.check((status["state"], status["ranks"], status["nodes"]) == ("done", 4, 2), "status %s" % status)
    t.check("done" in cluster.quern("status", first), "status in words")
    log = read_file(cluster.path("quern-%s/log" % first))
    t.check(b"rank 3 of 4 on node 1 of 2" in log, log.decode())
    report = json.loads(read_file(cluster.path("quern-%s/report.json" % first)))
    t.check(report["status"] == "QUERN_OK", report["status"])
    cluster.done(second)
    t.check((cluster.status(second)["ranks"], cluster.status(second)["nodes"]) == (NODES, NODES), "srun")
    for task in ("1", "2"):
        cluster.done(third + "_" + task)
        t.check(cluster.status(third + "_" + task)["state"] == "done", "an array's task")
    t.check(os.listdir(cluster.path("quern-%s/checkpoint" % first)) == [], "left in the checkpoint")
    parts = [t.committed(cluster.path(name)) for name in ("it's 1", "out 2", "of 1", "of 2")]
    t.check(parts[0] and sorted(parts[0].splitlines()) == sorted(parts[1].splitlines()) == sorted(parts[2].splitlines()), "another answer")
    t.check(len(parts[3]) > len(parts[2]), "an array's tasks have the same input")
    cluster.quern("status", "9999", status=1)
    cluster.quern("cancel", "9999", status=1)


@test
def ranks_that_each_take_themselves_for_the_only_one_refuse_and_say_why(t):
    cluster = slurm(t)
    with open(cluster.path("in"), "wb") as file:
        file.write(LINES)
    wordcount = os.path.realpath(t.options.wordcount)
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}

    def run(*words):
        return subprocess.run(["srun", "--nodes=2", "--ntasks=2", "--mpi=none", *words], cwd=cluster.dir, env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    done = run(wordcount, "-o", "out", "in")
    t.check(done.returncode == 1 and done.stderr.count(b"promises 2 ranks but MPI sees 1") == 2 and b"srun --mpi=pmix" in done.stderr,
            "status %d: %s" % (done.returncode, done.stderr.decode()))
    t.check(not os.path.exists(cluster.path("out")), "it wrote")


@test
def a_job_that_is_cancelled_saves_what_it_has_and_is_not_queued_again(t):
    cluster = slurm(t)
    words = slow_job(t, cluster.dir, 12, 4) + EVERY
    number = cluster.submit("--nodes", "2", "--tasks-per-node", "2", "--requeue", "--", *words)
    waiting = cluster.submit("--after", number, "--", *words)
    cluster.wait_for_work(number)
    t.check(re.search(r"running: process .* 4 ranks on 2 nodes, run 1, stage 1 of", cluster.quern("status", number)), "status")
    began = time.monotonic()
    cluster.quern("cancel", number)
    t.check(time.monotonic() - began < 20, "it took %.1f s to end" % (time.monotonic() - began))
    cluster.wait_for(number, 30)
    t.check(cluster.status(number)["state"] == "suspended", str(cluster.status(number)))
    t.check("epoch" in read_file(cluster.path("quern-%s/checkpoint/journal" % number)).decode(), "nothing was saved")
    cluster.wait_for(waiting, 30)
    t.check(not os.path.exists(cluster.path("out1")), "an output")
    again = cluster.submit("--job", "quern-" + number, "--nodes", "3", "--", *words)
    cluster.done(again, 90)
    check_outputs(t, cluster.dir, words)
    killed = cluster.submit("--job", "another-%j", "--no-checkpoint", "--", *words[:2], "out3", "out4", *words[4:5])
    cluster.wait_for(killed, 30, "RUNNING")
    cluster.quern("cancel", "--now", killed)
    cluster.wait_for(killed, 30, "CANCELLED")


@test
def a_job_that_is_told_that_its_time_is_over_is_queued_again_and_goes_on(t):
    cluster = slurm(t)
    words = slow_job(t, cluster.dir, 12, 4) + EVERY
    number = cluster.submit("--nodes", "2", "--tasks-per-node", "2", "--requeue", "--", *words)
    cluster.wait_for_work(number)
    subprocess.run(["scancel", "--batch", "--signal=USR1", number], check=True)
    if not wait_until(lambda: cluster.field(number, "Restarts") == "1", 30):
        cluster.fail(number, "it was not queued again")
    cluster.done(number, 120)
    log = read_file(cluster.path("quern-%s.log" % number))
    t.check(b"quern: status 75, the job is queued again" in log, log.decode())
    check_outputs(t, cluster.dir, words)


@test
def a_walltime_that_ends_is_known_without_a_signal(t):
    if not t.options.slow:
        raise Skip("takes minutes; --slow")
    cluster = slurm(t)
    words = slow_job(t, cluster.dir, 75, 4) + EVERY
    number = cluster.submit("--nodes", "2", "--tasks-per-node", "2", "--time", "1", "--ahead", "1", "--requeue", "--", *words)
    cluster.done(number, 300)
    t.check(int(cluster.field(number, "Restarts")) >= 1, "it was not queued again")
    log = read_file(cluster.path("quern-%s.log" % number))
    t.check(b"quern: status 75, the job is queued again" in log, log.decode())
    check_outputs(t, cluster.dir, words)


@test
def the_doctor_looks_at_the_nodes_of_its_job_by_either_launcher(t):
    cluster = slurm(t)
    command = "%s doctor --scratch %s --launcher " % (os.path.realpath(t.options.quern), cluster.dir)
    for launcher in ("mpirun", "srun"):
        done = subprocess.run(["sbatch", "--parsable", "--nodes", "2", "--ntasks-per-node", "2", "--time", "5", "--output", "doctor.log", "--wrap",
                               "SLURM_PMIX_FENCE=ring exec " + command + launcher], cwd=cluster.dir, capture_output=True, env=cluster.environment())
        number = done.stdout.decode().strip()
        cluster.wait_for(number, 90)
        said = read_file(cluster.path("doctor.log")).decode(errors="replace")
        t.check((cluster.field(number, "JobState"), cluster.field(number, "ExitCode")) == ("COMPLETED", "0:0"), said)
        for text in ("4 ranks on 2 nodes came up as one world, by %s" % launcher, "this is its job %s on n[1-2]" % number, "all ranks wrote and read", "n2: "):
            t.check(text in said, "'%s' is not said: %s" % (text, said))


@test
def the_last_task_of_an_array_knows_its_own_end(t):
    cluster = slurm(t)
    script = """name=${SLURM_ARRAY_JOB_ID}
[ $SLURM_ARRAY_TASK_ID = 2 ] || { scontrol update jobid=${name}_1 timelimit=40; scontrol requeuehold ${name}_1; sleep 60; }
until squeue --noheader --format=%%t --jobs ${name}_1 | grep -q PD; do sleep 0.2; done
echo "own number $SLURM_JOB_ID"
exec %s doctor --scratch %s -n 1""" % (os.path.realpath(t.options.quern), cluster.dir)
    done = subprocess.run(["sbatch", "--parsable", "--array", "1-2", "--time", "5", "--output", "array.%a.log", "--wrap", script], cwd=cluster.dir,
                          capture_output=True, env=cluster.environment())
    number = done.stdout.decode().strip()
    cluster.wait_for(number + "_2", 60)
    said = read_file(cluster.path("array.2.log")).decode(errors="replace")
    t.check("own number %s\n" % number in said, "SLURM has another number for the last task: %s" % said)
    t.check(re.search(r"which ends in [345] minutes", said), "its end is not known: %s" % said)
    subprocess.run(["scancel", number], check=True)


@test
def a_job_whose_node_dies_goes_on_elsewhere(t):
    if not t.options.slow:
        raise Skip("takes minutes; --slow")
    cluster = slurm(t)
    words = slow_job(t, cluster.dir, 12, 4) + EVERY
    number = cluster.submit("--nodes", "2", "--tasks-per-node", "2", "--requeue", "--", *words)
    cluster.wait_for_work(number)
    time.sleep(3)
    cluster.cluster.kill(2)
    if not wait_until(lambda: cluster.field(number, "Restarts") == "1", 60):
        cluster.fail(number, "it was not queued again")
    cluster.done(number, 180)
    cluster.cluster.boot(2)
    check_outputs(t, cluster.dir, words)


if __name__ == "__main__":
    tempfile.tempdir = "/var/tmp"
    virtual_cluster.enter()
    main()
