#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_hosts.py: jobs by mpirun on four hosts (virtual_cluster.py without SLURM), whose cables are cut and whose power fails.

Each host sees a /tmp of its own, so everything is below /var/tmp."""
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import Skip, compare_counts, count_words, main, parse_counts, read_file, test, wait_until  # noqa: E402
from mortal_jobs import PROGRAMS, make_inputs  # noqa: E402
import virtual_cluster  # noqa: E402
from hosts_kit import ALL, NODE_LOST, hosts  # noqa: E402
from slow_job import LINES, check_outputs, slow_job  # noqa: E402

@test
def word_counts_and_sorts_over_four_hosts_have_the_bytes_of_one(t):
    here = hosts(t)
    choose = random.Random(5)
    here.write("words", b" ".join(b"%x" % int(choose.expovariate(1) * 2000) for _ in range(200000)))
    here.write("records", choose.randbytes(100 * 30000))
    for name, source in (("wordcount", "words"), ("sortrecords", "records")):
        for hosts_given, out in ((ALL, "four"), ("n1:2", "one")):
            here.run("--hosts", hosts_given, "--", here.program(name), "-o", name + out, source, "--quern-log=" + name + out + ".log",
                     "--quern-round-bytes=128K")
        t.check(t.committed(here.path(name + "four")) == t.committed(here.path(name + "one")) != b"", "%s: other bytes" % name)
        log = read_file(here.path(name + "four.log"))
        t.check(b"rank 7 of 8 on node 3 of 4" in log and log.count(b"what other ranks send is checked") == 8, log.decode())
        t.check(b"node 3 is on one machine with 3 others, which MPI keeps apart: they divide its memory" in log, log.decode())
        log = read_file(here.path(name + "one.log"))
        t.check(b"rank 1 of 2 on node 0 of 1" in log and log.count(b"what other ranks send is trusted") == 2, log.decode())


@test
def what_each_host_has_for_itself_is_read_there_and_all_of_it_counts(t):
    here = hosts(t)
    contents = {1: LINES[:9000], 2: b"only on two\n" * 4000, 4: LINES[5000:]}
    for number, content in contents.items():
        here.cluster.write(number, "/tmp/scratch/in", content)
    here.cluster.write(4, "/tmp/scratch/more", LINES)
    here.write("shared", LINES)
    words = ("--hosts", ALL, "--", here.program("wordcount"), "--quern-split-bytes=8K")
    here.end(here.start(*words, "-o", "out", "--quern-node-local=/tmp/scratch", "--quern-report=report.json", "/tmp/scratch"), 40)
    counts = parse_counts(t.committed(here.path("out")))
    difference = compare_counts(count_words(*contents.values(), LINES), counts)
    t.check(difference is None, difference)
    ranks = json.loads(read_file(here.path("report.json")))["stages"][0]["ranks"]
    for number in (1, 2, 3, 4):
        there = ranks[2 * number - 2:2 * number]
        t.check(all(rank["local_tasks"] == rank["tasks"] for rank in there), "ranks: %s" % there)
        read = sum(rank["input_bytes"] for rank in there)
        there = len(contents.get(number, b"")) + (number == 4) * len(LINES)
        t.check(read >= there and (read > 0) == (there > 0), "n%d read %d bytes" % (number, read))
    said = here.end(here.start(*words, "-o", "out2", "--quern-node-local=/tmp/scratch", "/tmp/scratch/nowhere"), 40, 1)
    t.check("no node has /tmp/scratch/nowhere" in said, said)
    for number in (*contents, 3):
        here.cluster.remove(number, "/tmp/scratch")
    here.nothing_is_left()


@test
def what_each_host_has_for_itself_is_gone_on_with_there(t):
    if not t.options.slow:
        raise Skip("takes half a minute: --slow")
    here = hosts(t)
    program = slow_job(t, here.dir, 4, 8)[0]
    lines = read_file(here.path("input")).splitlines(True)
    for number in (1, 2, 3, 4):
        here.cluster.write(number, "/tmp/scratch/in", b"".join(lines[number - 1::4]))
    options = ["/tmp/scratch/in", "--quern-node-local=/tmp/scratch", "--quern-split-bytes=32K", "--quern-progress=on"]
    job = here.start("--hosts", ALL, "--checkpoint", "saved", "--", program, "slow", "out1", "out2", *options, "--quern-checkpoint-every=1s")
    here.wait_for_epoch(job)
    here.cluster.cut(3)
    here.end(job, 30, NODE_LOST)
    here.nothing_is_left(20, beside={"scratch"})
    here.cluster.join(3)
    said = here.end(here.start("--hosts", "n1:1,n2:2,n3:1,n4:2", "--checkpoint", "saved", "--", program, "slow", "out1", "out2", *options, "--quern-checkpoint-every=1s"), 60)
    t.check("stage 0 of run 1 goes on with" in said, said)
    check_outputs(t, here.dir, [program])
    for number in (1, 2, 3, 4):
        here.cluster.remove(number, "/tmp/scratch")
    here.nothing_is_left()


@test
def a_small_side_of_a_join_is_once_on_each_host_and_crosses_its_cable_once(t):
    here = hosts(t)
    choose = random.Random(7)
    here.write("small", b"".join(b"%d\t%s\n" % (i, choose.randbytes(20).hex().encode()) for i in range(80000)))
    here.write("large", b"".join(b"%d\t%d\n" % (choose.randrange(10 ** 6), i) for i in range(300000)))
    words = [here.program("join"), "--left", "large", "--right", "small", "-o"]
    before = {number: here.cluster.received_bytes(number) for number in here.cluster.inits}
    here.run("--hosts", ALL, "--", *words, "out", "--quern-report=report.json", "--quern-split-bytes=256K")
    received = {number: here.cluster.received_bytes(number) - before[number] for number in here.cluster.inits}
    stages = json.loads(read_file(here.path("report.json")))["stages"]
    tables = [sum(rank["broadcast_bytes"] for rank in ranks) for ranks in
              (stage["ranks"][2 * number - 2:2 * number] for stage in stages for number in here.cluster.inits)]
    table = max(tables)
    print("# a table of %d bytes; received: %s" % (table, received))
    # A half of it is the index, which each host makes by itself; and what it brought itself, more or less of it, does not come back.
    t.check(table > 2 << 20 and tables.count(table) == 4, "tables: %s" % tables)
    t.check(max(received.values()) < 0.75 * table and sum(received.values()) > 1.2 * table, "received: %s of %d" % (received, table))
    done = subprocess.run([*words, "one"], cwd=here.dir, env=here.environment(), capture_output=True)
    t.check(done.returncode == 0 and t.committed(here.path("out")) == t.committed(here.path("one")) != b"", "other bytes")


@test
def a_host_that_is_half_as_fast_gets_half_the_work(t):
    if not t.options.slow:
        raise Skip("takes 12 s; --slow")
    here = hosts(t)
    words = slow_job(t, here.dir, 5, 4) + ["--quern-split-bytes=8K", "--quern-report=report.json"]
    words[words.index("out2")] = "-"
    job = here.start("--hosts", "n1,n2,n3,n4", "--", *words)
    with here.cluster.throttled(2, os.path.basename(words[0])):
        here.end(job, 60)
    ranks = json.loads(read_file(here.path("report.json")))["stages"][0]["ranks"]
    tasks = [rank["tasks"] for rank in ranks]
    others = sum(tasks[:1] + tasks[2:]) / 3
    print("# tasks of the four ranks, the second one half as fast: %s; left to others: %s" % (tasks, [rank["tasks_left"] for rank in ranks]))
    t.check(0.3 * others < tasks[1] < 0.7 * others, "tasks: %s" % tasks)


@test
def the_doctor_looks_at_every_host(t):
    here = hosts(t)
    found = here.doctor("-n", "4", "--hosts", "n1,n2,n3,n4", "--scratch", here.dir)
    said = {check: text for check, _, host, text in found if host is None}
    t.check("4 ranks on 4 nodes" in said["ranks"] and "wrote and read" in said["hdf5-file"] and "of 4 nodes" in said["clocks"], "found: %s" % found)
    for number in (1, 2, 3, 4):
        there = {check: level for check, level, host, _ in found if host == "n%d" % number}
        t.check(there.get("scratch") == "ok" and {"memory", "shm", "open-files", "scratch-mode"} <= set(there), "of n%d: %s" % (number, there))
    here.nothing_is_left()
    for number in (1, 2, 4):
        here.cluster.write(number, "/tmp/scratch/here", b"")
    found = here.doctor("-n", "4", "--hosts", "n1,n2,n3,n4", "--scratch", "/tmp/scratch", status=3)
    bad = [host for check, level, host, text in found if check == "scratch" and level == "error" and "No such file" in text]
    t.check(bad == [None, "n3"], "scratch is missing on %s: %s" % (bad, found))
    t.check(any(check == "hdf5-file" and "not all ranks see" in text for check, _, _, text in found), "found: %s" % found)
    for number in (1, 2, 4):
        here.cluster.remove(number, "/tmp/scratch")
    here.cluster.cut(4)
    began = time.monotonic()
    found = here.doctor("-n", "2", "--hosts", "n1,n4", "--timeout", "10", status=3)
    t.check(any(check == "ranks" and level == "error" for check, level, _, _ in found), "found: %s" % found)
    t.check(time.monotonic() - began < 40, "it took %.1f s" % (time.monotonic() - began))
    here.cluster.join(4)
    here.nothing_is_left(20)


@test
def a_job_whose_cable_is_cut_ends_and_can_be_gone_on_with(t):
    here = hosts(t)
    words = slow_job(t, here.dir, 4, 8) + ["--quern-split-bytes=32K", "--quern-checkpoint-every=1s", "--quern-job=job"]
    job = here.start("--hosts", ALL, "--checkpoint", "saved", "--", *words)
    here.wait_for_epoch(job)
    here.cluster.cut(3)
    began = time.monotonic()
    here.end(job, 30, NODE_LOST)
    t.check(time.monotonic() - began < 20, "it took %.1f s to notice" % (time.monotonic() - began))
    here.nothing_is_left(20)
    here.cluster.join(3)
    here.run("--hosts", "n1:2,n2:2,n4:2", "--checkpoint", "saved", "--", *words)
    check_outputs(t, here.dir, words)


LISTENER = """import socket
there = socket.create_server(("10.99.0.3", 7777)).accept()[0]
while there.recv(100):
    pass
"""
LAUNCHER = """#!/usr/bin/env python3
import os, socket, time
there = socket.create_connection(("10.99.0.3", 7777))
open("is-there", "w").close()
while not os.path.exists("is-cut"):
    time.sleep(0.05)
there.send(b"words")
time.sleep(900)
"""


@test
def a_launcher_whose_words_do_not_arrive_is_ended(t):
    """The system probes only a connection on which nothing is on its way: mpirun would wait for a quarter of an hour."""
    here = hosts(t)
    launcher = here.write("launcher", LAUNCHER.encode())
    os.chmod(launcher, 0o755)
    listener = subprocess.Popen([here.cluster.path("agent"), "n3", "python3", here.write("listener", LISTENER.encode())])
    job = None
    try:
        time.sleep(1)
        job = here.start("--hosts", "n3", "--no-job", "--mpirun", launcher, "--", here.program("wordcount"))
        t.check(wait_until(lambda: os.path.exists(here.path("is-there")), 20), "no connection")
        here.cluster.cut(3)
        here.write("is-cut", b"")
        began = time.monotonic()
        said = here.end(job, 60, NODE_LOST)
        t.check("a host does not take what %s tells it" % launcher in said, said)
        t.check(time.monotonic() - began > 10, "it cannot know as soon as that")
    finally:
        here.cluster.join(3)
        for pid in here.cluster.processes(3):
            os.kill(pid, signal.SIGKILL)
        listener.wait()


@test
def a_job_whose_host_dies_goes_on_on_the_others(t):
    here = hosts(t)
    words = slow_job(t, here.dir, 4, 8) + ["--quern-split-bytes=32K", "--quern-checkpoint-every=1s", "--quern-job=job"]
    job = here.start("--restarts", "2", "-n", "8", "--hosts", ALL, "--", *words)
    here.wait_for_epoch(job)
    here.cluster.kill(2)
    said = here.end(job, 60)
    t.check("n2 does not answer: it is left out" in said and "starting again, 1 of 2" in said and "2 of 2" not in said, said)
    t.check(json.loads(read_file(here.path("job/status.json")))["ranks"] == 6, "ranks")
    here.nothing_is_left()
    here.give_power(2)
    check_outputs(t, here.dir, words)


@test
def hosts_that_are_lost_at_random_moments_cost_no_answer(t):
    """A host dies, or its cable is cut, at any time of a job, which goes on on the others."""
    here, seed = hosts(t), int(os.environ.get("E2E_SEED") or random.SystemRandom().randrange(1 << 32))
    chance = random.Random(seed)
    make_inputs(here.write, 2)
    names = list(PROGRAMS) * 3 if t.options.slow else [chance.choice(list(PROGRAMS))]
    expected = {}
    for turn, name in enumerate(names):
        words = ["--", here.program(name), *PROGRAMS[name], "--quern-split-bytes=64K", "-o"]
        if name not in expected:
            began = time.monotonic()
            here.run("--hosts", ALL, *words, "whole." + name)
            expected[name] = t.committed(here.path("whole." + name)), time.monotonic() - began
        number, loss, moment = chance.randrange(1, 5), chance.choice(("kill", "cut")), chance.random() * 1.1 * expected[name][1]
        told = "seed %d: %s: %s n%d after %.2f of %.2f s" % (seed, name, loss, number, moment, expected[name][1])
        job = here.start("--hosts", ALL, "--checkpoint", "saved%d" % turn, "--restarts", "3", *words, "out%d" % turn, "--quern-checkpoint-every=300ms")
        time.sleep(moment)
        is_over = job.poll() is not None
        getattr(here.cluster, loss)(number)
        print("# " + told, flush=True)
        said = here.end(job, 180)
        left_out = "n%d does not answer: it is left out" % number in said
        print("#   it was over" if is_over else "#   it went on on the others" if left_out else "#   it ended all the same", flush=True)
        t.check(t.committed(here.path("out%d" % turn)) == expected[name][0] != b"", "%s: other bytes: %s" % (told, said))
        if loss == "cut":
            here.cluster.join(number)
        here.nothing_is_left(20 if loss == "kill" else 120)  # what was cut off may still be waiting to say something again
        if loss == "kill":
            here.give_power(number)


if __name__ == "__main__":
    tempfile.tempdir = "/var/tmp"
    virtual_cluster.enter(slurm=False)
    main()
