#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_job.py: the job directory, and the commands quern status and quern cancel that look into it. Jobs of SLURM: ../cluster/test_slurm.py."""
import os
import re
import signal
import subprocess
import time

from harness import load_json, main, process_env, read_file, test, wait_until

TEXT = b"".join(b"word%d\n" % (i % 977) for i in range(200000))


def quern(t, status, *words):
    done = subprocess.run([t.options.quern, *words], cwd=t.dir, capture_output=True, timeout=100)
    t.check(done.returncode == status, "%s: status %d\n%s" % (words, done.returncode, (done.stdout + done.stderr).decode()))
    return (done.stdout + done.stderr).decode()


def works(job):
    path = os.path.join(job, "status.json")
    stage = load_json(path)["stage"] if os.path.exists(path) else None
    return stage and stage["tasks_done"] > 0


def slowly(t, n, *options):
    """A job of minutes, in the midst of its first stage."""
    t.program = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "resumed_job")
    path = t.write("input", TEXT * 10)
    running = t.start(n, "slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", t.path("job"), *options)
    t.check(wait_until(lambda: works(t.path("job")), 30), "it does not work")
    return running


@test
def a_job_leaves_status_report_and_log(t):
    path = t.write("input", TEXT)
    for n in (None, 1, 3):
        job = t.path("job%s" % n)
        run = t.succeed(n, path, "--quern-job", job)
        t.check(sorted(os.listdir(job)) == ["log", "metrics.prom", "ranks.json", "report.html", "report.json", "status.json", "trace.json"], "there are %s" % os.listdir(job), run)
        status, report = load_json(os.path.join(job, "status.json")), load_json(os.path.join(job, "report.json"))
        t.check((status["state"], status["error"], status["ranks"], status["stage"]) == ("done", None, n or 1, None), str(status), run)
        t.check(len(status["stages_over"]) == len(report["stages"]) == status["stages"], "other stages: %s" % status, run)
        t.check(sum(stage["bytes"] for stage in status["stages_over"]) == len(TEXT), "other bytes: %s" % status, run)
        t.check(abs(status["updated"] - time.time()) < 60, "another time", run)
        t.check(read_file(os.path.join(job, "log")).count(b" of %d on node 0" % (n or 1)) == (n or 1), "the log", run)
        t.check(re.search(r"^done: process \d+ on .*, %d ranks on 1 nodes, run 1, stage 2 of 2" % (n or 1), quern(t, 0, "status", job), re.M), "words")


@test
def paths_of_their_own_win_and_the_directory_is_used_again(t):
    path = t.write("input", TEXT)
    for _ in range(2):
        run = t.succeed(2, path, "--quern-job", t.path("job"), "--quern-log", t.path("elsewhere"), env={"QUERN_REPORT": t.path("report")})
        t.check(sorted(os.listdir(t.path("job"))) == ["metrics.prom", "ranks.json", "report.html", "status.json", "trace.json"], "there are %s" % os.listdir(t.path("job")), run)
    load_json(t.path("report"))
    t.write("job/cancel", b"")  # meant for the one before
    t.succeed(2, path, "--quern-job", t.path("job"))
    t.check(not os.path.exists(t.path("job/cancel")), "the wish is still there")


@test
def a_failure_is_told(t):
    run = t.fail(2, "/nowhere\xff", "--quern-job", t.path("job"), naming="/nowhere")
    status = load_json(t.path("job/status.json"))
    t.check(status["state"] == "failed" and "/nowhere" in status["error"], str(status), run)
    t.check("failed: " in quern(t, 0, "status", "job"), "words")
    t.fail(2, t.write("input", TEXT), "--quern-job", t.path("input"), naming="job directory")
    t.fail(2, t.path("input"), "--quern-job", t.path("no/where"), naming="job directory")
    quern(t, 1, "status", "nowhere")
    quern(t, 1, "cancel", "nowhere")
    quern(t, 2, "status")
    quern(t, 2, "cancel", "--wait", "x", "job")


@test
def a_job_ends_when_it_is_asked_to_with_and_without_a_checkpoint(t):
    for n, saved in ((3, True), (2, False), (None, True)):
        running = slowly(t, n, *(("--quern-checkpoint", t.path("saved"), "--quern-resume=on") if saved else ()))
        said = quern(t, 0, "status", "job")
        t.check(re.search(r"^running: .*\n  stage 1 .* of \d+ tasks, .* of ", said, re.M), said)
        began = time.monotonic()
        quern(t, 0, "cancel", "job")
        run = running.wait()
        t.check(time.monotonic() - began < 10, "it took %.1f s" % (time.monotonic() - began), run)
        t.check(run.status in (1, 75) and load_json(t.path("job/status.json"))["state"] == "suspended", "another end", run)
        t.check(not saved or b"epoch" in read_file(t.path("saved/journal")), "nothing was saved", run)
        t.check(not os.path.exists(t.path("out1")) or not os.path.exists(t.path("out1/_SUCCESS")), "an output", run)


@test
def the_time_that_is_left_is_as_this_attempt_takes(t):
    saved = ("--quern-checkpoint", t.path("saved"), "--quern-resume=on")
    status = lambda: load_json(t.path("job/status.json"))
    running = slowly(t, 2, *saved)
    t.check(wait_until(lambda: status()["stage"]["tasks_done"] > 20, 60), "it does not work")
    quern(t, 0, "cancel", "job")
    running.wait()
    running = t.start(2, "slow", t.path("out1"), t.path("out2"), t.path("input"), "--quern-split-bytes=32K", "--quern-job", t.path("job"), *saved)
    t.check(wait_until(lambda: works(t.path("job")) and status()["stage"]["bytes_done"] > status()["stage"]["bytes_before"], 30), "it does not go on")
    first = status()["stage"]
    said, now = quern(t, 0, "top", "--once", "job") + quern(t, 0, "status", "job"), status()["stage"]
    t.check(now["bytes_before"] > 20 * 32000, str(now))
    least = first["seconds"] * (now["bytes"] - now["bytes_done"]) / (now["bytes_done"] - now["bytes_before"]) - 1
    for left in re.findall(r"about (?:(\d+):(\d\d):(\d\d)|(\d+) s) to go", said):
        t.check(int(left[3] or 0) + int(left[0] or 0) * 3600 + int(left[1] or 0) * 60 + int(left[2] or 0) >= least, "%s: at least %.0f s of %s" % (left, least, now))
    t.check(said.count(" to go") == 2, said)
    running.kill()


@test
def a_job_of_many_runs_lives_between_them(t):
    points = t.write("points", b"".join(b"%d\n" % i for i in range(20000)))  # centres on a line move for hundreds of runs
    t.use("kmeans")
    running = t.start(2, "--k", "200", "--iterations", "1000000", points, "--quern-job", t.path("job"))
    status = t.path("job/status.json")
    t.check(wait_until(lambda: os.path.exists(status) and load_json(status)["run"] > 20, 30), "it does not run")
    for _ in range(20):
        t.check(load_json(status)["state"] == "running", str(load_json(status)))
        time.sleep(0.1)
    quern(t, 0, "cancel", "job")
    run = running.wait()
    t.check(run.status in (1, 75) and load_json(status)["state"] == "suspended", "another end", run)


@test
def a_signal_to_any_rank_ends_a_job_that_saves_nothing(t):
    for rank in (0, 1):
        running = slowly(t, 2)
        mine = [pid for pid in running.pids() if process_env(pid, "OMPI_COMM_WORLD_RANK") == str(rank)]
        t.check(len(mine) == 1, "rank %d is %s" % (rank, mine))
        os.kill(mine[0], signal.SIGTERM)
        run = running.wait(20)
        t.check(run.status != 0 and load_json(t.path("job/status.json"))["state"] == "suspended", "another end", run)


@test
def a_job_that_was_killed_is_seen_by_its_silence(t):
    running = slowly(t, 2)
    running.kill()
    status = t.path("job/status.json")
    quern(t, 0, "status", "job")
    data = re.sub(rb'"updated": \d+', b'"updated": 1', read_file(status))
    with open(status, "wb") as file:
        file.write(data)
    t.check("It has said nothing for" in quern(t, 1, "status", "job"), "words")
    t.check("has not ended" in quern(t, 1, "cancel", "--wait", "1", "job"), "words")


@test
def a_batch_script_is_one_that_a_shell_takes(t):
    words = ["it's", "a $b `c`", "", "%a", "new\nline", "-x"]
    script = t.path("script")
    for more, expected in (((), words), (("--array", "1-2"), [word.replace("%a", "7") for word in words])):
        quern(t, 0, "submit", *more, "--nodes", "2", "--requeue", "--dry-run", "-o", script, "--", "/bin/printf", "%s|", *words)
        path = t.write("mpirun", b'#!/bin/sh\nshift 2\nexec "$@"\n')
        os.chmod(path, 0o755)
        done = subprocess.run(["bash", script], cwd=t.dir, capture_output=True, timeout=20, env={
            **os.environ, "PATH": t.dir + ":" + os.environ["PATH"], "SLURM_JOB_ID": "5", "SLURM_ARRAY_JOB_ID": "5", "SLURM_ARRAY_TASK_ID": "7"})
        t.check(done.returncode == 0 and done.stdout.decode() == "".join(word + "|" for word in expected), str(done))
        t.check(os.path.isdir(t.path("quern-5_7" if more else "quern-5")), "no job directory")
    for bad in ("2 --wrap=x", "", "2\n#SBATCH --x", "`x`"):
        quern(t, 1, "submit", "--nodes", bad, "--dry-run", "--", "true")
    quern(t, 2, "submit", "--dry-run")
    quern(t, 2, "submit", "--launcher", "x", "--", "true")


if __name__ == "__main__":
    main()
