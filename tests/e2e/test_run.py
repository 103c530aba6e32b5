#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_run.py: what `quern run` passes on, what it starts again, and that it leaves nothing. Jobs that are killed: test_killed.py."""
import os
import re
import shutil
import signal
import sys
import time

from harness import Skip, control_group, kill_all, load_json, main, process_env, read_file, test, wait_until

AGAIN = b": starting again, "
# What a launcher does that says that all is well, and takes an option of the job's for the place of its checkpoint.
PARSE = """#!/bin/sh
for word; do case $word in --quern-checkpoint=*) saved=${word#*=};; esac; done
"""


def quern(t, *args, **start):
    t.program = t.options.quern
    return t.start(None, "run", *args, **start)


def ended(t, status, *args, restarts=0, timeout=30, made=(), **start):
    """It ends with this status after so many restarts, and nothing is left."""
    before = set(os.listdir(t.dir))
    job = quern(t, *args, **start)
    run = job.wait(timeout)
    t.check(run.status == status, "status %d expected" % status, run)
    t.check(run.stderr.count(AGAIN) == restarts, "%d restarts expected" % restarts, run)
    left = set(os.listdir(t.dir)) - before - set(made)
    t.check(not left and not os.listdir(t.tmp), "left: %s, %s" % (left, os.listdir(t.tmp)), run)
    return run


def script(t, name, text):
    path = t.write(name, text.encode())
    os.chmod(path, 0o755)
    return path


def shell(text):
    return ("--", "/bin/sh", "-c", text)


@test
def the_jobs_status_is_passed_on_and_errors_in_words_come_once(t):
    wordcount = t.options.wordcount
    words = t.write("words", b"a b a")
    for status in (0, 1, 2, 3, 75, 126, 127, 255):
        ended(t, status, "-n", "1", "--restarts", "3", *shell("exit %d" % status))
    run = ended(t, 0, "-n", "2", "--no-job", "--", wordcount, words)
    t.check(run.stdout == b"2\ta\n1\tb\n", "another output", run)
    run = ended(t, 0, "-n", "3", "--restarts", "3", "--no-job", "--", wordcount, words)
    t.check(run.stdout == b"2\ta\n1\tb\n", "another output", run)
    run = ended(t, 1, "-n", "2", "--restarts", "3", "--no-job", "--", wordcount, "/nowhere")
    t.check(run.stderr.count(b"wordcount: ") == 1, "one message expected", run)
    ended(t, 2, "-n", "2", "--restarts", "3", "--", wordcount, "--quern-nonsense=1", words)


@test
def without_a_number_all_cores_that_may_be_used_are(t):
    run = ended(t, 0, *shell("echo rank"))
    cores = run.stdout.count(b"rank\n")
    t.check(1 <= cores <= len(os.sched_getaffinity(0)), "%d ranks" % cores, run)
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        run = ended(t, 0, *shell("echo rank"))
    finally:
        os.sched_setaffinity(0, allowed)
    t.check(run.stdout == b"rank\n", "one rank on one core", run)


@test
def more_ranks_than_the_cgroup_has_processors_for_are_not_started_unasked_and_told_of(t):
    words, job = t.write("words", b"a b a"), t.path("job")
    with control_group("cpu", ("cpu.cfs_period_us", 50000), ("cpu.cfs_quota_us", 50000)) as start:
        run = ended(t, 0, *shell("echo rank"), launcher=start)
        t.check(run.stdout == b"rank\n", "one rank for one processor", run)
        ended(t, 0, "-n", "2", "--", t.options.wordcount, words, "--quern-job=" + job, launcher=start, made=("job",))
    report = load_json(os.path.join(job, "report.json"))
    t.check([rank["processors_allowed"] for rank in report["ranks"]] == [1.0, 1.0], "allowed: %s" % report["ranks"])
    alerts = [alert for alert in report["alerts"] if alert["kind"] == "processor quota"]
    t.check(len(alerts) == 1 and "2 ranks on " in alerts[0]["text"], "alerts: %s" % report["alerts"])


@test
def misuse_is_told(t):
    t.program = t.options.quern
    for args in ((), ("-n", "2"), ("-n", "0", "true"), ("-n", "x", "true"), ("--restarts", "-1", "true"), ("--nonsense", "true"),
                 ("-n", "99999999999999999999", "true")):
        run = t.run(None, "run", *args)
        t.check(run.status == 2 and b"quern run --help" in run.stderr, "where to look expected for %s" % (args,), run)
    run = ended(t, 127, "--mpirun", "/nowhere/mpirun", "--restarts", "3", "true")
    t.check(b"cannot run /nowhere/mpirun" in run.stderr, "not said", run)
    run = ended(t, 1, "--checkpoint", t.path("a"), "--", "job", "--quern-checkpoint=b")
    t.check(b"of its own" in run.stderr, "not said", run)
    run = ended(t, 1, "--checkpoint", t.path("no", "such"), "--", "job")
    t.check(b"no/such" in run.stderr, "not said", run)


@test
def a_job_that_always_dies_is_started_so_many_times(t):
    for number, status in ((9, 137), (11, 139), (6, 134)):
        run = ended(t, status, "-n", "1", "--restarts", "2", restarts=2, *shell("kill -%d $$" % number))
        t.check(b"signal %d (" % number in run.stderr and b"1 of 2 times" in run.stderr and b"2 of 2 times" in run.stderr and
                b"it was started 3 times" in run.stderr, "not said", run)
    ended(t, 137, "-n", "1", *shell("kill -9 $$"))
    run = ended(t, 76, "-n", "1", "--restarts", "1", restarts=1, *shell("exit 76"))
    t.check(b"a rank hung" in run.stderr, "not said", run)


@test
def a_launcher_that_says_that_all_is_well_is_not_believed(t):
    lies = script(t, "lies", PARSE + 'echo start >>"$saved/journal"; : >"$saved/lock"')
    run = ended(t, 1, "--mpirun", lies, "--restarts", "1", "job", restarts=1)
    t.check(b"but the job did not end" in run.stderr, "not said", run)
    well = script(t, "well", PARSE + 'echo start >>"$saved/journal"; : >"$saved/run-1"')
    ended(t, 0, "--mpirun", well, "--restarts", "1", "job")
    t.write("saved/mine", b"")
    ended(t, 0, "--mpirun", well, "--checkpoint", t.path("saved"), "job")
    t.check(os.listdir(t.path("saved")) == ["mine"], "in the checkpoint: %s" % os.listdir(t.path("saved")))
    late = script(t, "late", PARSE + 'test -e "$saved/run-1" && exit 0; : >"$saved/run-1"; kill -9 $$')
    ended(t, 0, "--mpirun", late, "--restarts", "1", "job", restarts=1)


@test
def what_the_job_said_of_its_end_counts_and_not_what_the_launcher_says(t):
    """Open MPI 5's ends a job that lost a host, lets it save what there is, and says that all is well."""
    says = PARSE + 'echo start >>"$saved/journal"; echo %s >"$saved/keep"'
    ends = script(t, "ends", says % "QUERN_ERROR_SUSPENDED")
    run = quern(t, "--mpirun", ends, "--restarts", "1", "--checkpoint", t.path("saved"), "job").wait()
    t.check(run.status == 75 and run.stderr.count(AGAIN) == 1 and b"but the job did not end" in run.stderr, "it is believed", run)
    t.check(read_file(t.path("saved", "journal")) == b"start\nstart\n", "what was saved is gone", run)
    shutil.rmtree(t.path("saved"))
    lost = script(t, "lost", says % "QUERN_ERROR_MPI" + '; test -e "%s" && echo QUERN_OK >"$saved/keep"; : >"%s"' % ((t.path("tried"),) * 2))
    ended(t, 0, "--mpirun", lost, "--restarts", "1", "job", restarts=1, made=("tried",))
    # What a job took for no reason to fail is the job's business, and what an attempt said is not said for the next one.
    ended(t, 0, "--mpirun", script(t, "fine", says % "QUERN_ERROR_CALLBACK"), "--restarts", "1", "job")
    once = script(t, "once", PARSE + 'test -e "$saved/run-1" && exit 0; : >"$saved/run-1"; echo QUERN_ERROR_SUSPENDED >"$saved/keep"')
    ended(t, 0, "--mpirun", once, "--restarts", "2", "job", restarts=1)


@test
def a_launcher_that_ends_while_it_is_loaded_is_started_again_and_one_that_is_not_there_is_not(t):
    """The loader ends it with 127 if it is killed or fails under it; what the attempt before left says that there is something to go on with."""
    lock = ': >"$saved/lock"; '
    loads = PARSE + 'echo start >>"$saved/journal"; case $(wc -l <"$saved/journal") in 1) ' + lock + 'kill -9 $$;; 2) exit 127;; esac; rm "$saved/lock"'
    run = ended(t, 0, "--mpirun", script(t, "loads", loads), "-n", "2", "--restarts", "3", "job", restarts=2)
    t.check(b"ended with status 127, but the job did not end: starting again, 2 of 3 times" in run.stderr, "not said", run)
    broken = script(t, "broken", PARSE + lock + "exit 127")
    run = quern(t, "--mpirun", broken, "--restarts", "2", "--checkpoint", t.path("saved"), "job").wait()
    t.check(run.status == 127 and run.stderr.count(AGAIN) == 2 and b"it was started 3 times" in run.stderr, "another number of times", run)
    # The lock of a job that was killed is still there.
    for name in ("/nowhere/mpirun", "no-such-launcher", t.write("no-program", b"")):
        run = quern(t, "--mpirun", name, "--restarts", "2", "--checkpoint", t.path("saved"), "job").wait()
        t.check(run.status == 127 and AGAIN not in run.stderr, "it was looked for again", run)
        t.check(run.stderr.count(b"cannot run " + name.encode()) == 1, "one message expected", run)
        t.check(os.path.exists(t.path("saved", "lock")), "what was saved is gone", run)


@test
def what_was_done_is_kept_if_the_job_cannot_be_ended(t):
    works = script(t, "works", PARSE + 'printf "start\\nstage\\n" >>"$saved/journal"; kill -9 $$')
    run = quern(t, "--mpirun", works, "--restarts", "0", "--checkpoint", t.path("saved"), "job").wait()
    t.check(run.status == 137 and read_file(t.path("saved", "journal")) == b"start\nstage\n", "not kept", run)
    run = quern(t, "--mpirun", works, "--restarts", "1", "job").wait()
    kept = [name for name in os.listdir(t.dir) if name.startswith("quern-checkpoint.")]
    t.check(len(kept) == 1 and kept[0].encode() in run.stderr, "it is not said where", run)


@test
def the_checkpoint_comes_before_what_the_job_takes_as_it_is(t):
    shows = script(t, "shows", '#!/bin/sh\necho "ran $*"\n')
    run = ended(t, 0, "--mpirun", shows, "-n", "2", "--hosts", "a,b", "--checkpoint", t.path("tmp"), "job", "x", "--", "y")
    t.check(run.stdout == b"ran -n 2 --host a,b job x --quern-checkpoint=%s --quern-resume=on -- y\n" %
            os.path.realpath(t.path("tmp")).encode(), "another command: %r" % run.stdout, run)
    run = ended(t, 0, "--mpirun", shows, "-n", "2", "job", "x", "--quern-checkpoint", t.path("tmp"))
    t.check(run.stdout == b"ran -n 2 job x --quern-checkpoint %s --quern-resume=on\n" % t.path("tmp").encode(), "another command", run)
    run = ended(t, 0, "--mpirun", shows, "-n", "2", "job", "x")
    t.check(run.stdout == b"ran -n 2 job x\n", "another command", run)


@test
def the_checkpoint_that_the_environment_names_is_used(t):
    works = script(t, "works", PARSE + 'echo "in $saved"; echo start >>"$saved/journal"; : >"$saved/run-1"')
    for args, name in ((("--restarts", "1"), "set"), (("--restarts", "1", "--checkpoint", t.path("given")), "given")):
        run = ended(t, 0, "--mpirun", works, *args, "job", env={"QUERN_CHECKPOINT": t.path("set")}, made=("set", "given"))
        t.check(run.stdout == b"in %s\n" % os.path.realpath(t.path(name)).encode(), "another checkpoint: %r" % run.stdout, run)
    run = ended(t, 0, "--mpirun", script(t, "shows", '#!/bin/sh\necho "ran $*"\n'), "-n", "2", "ls", env={"QUERN_CHECKPOINT": t.path("set")})
    t.check(run.stdout == b"ran -n 2 ls\n", "another command", run)


def directories(t):
    """Job directories that have been made where the job began, whose names are of our choice."""
    return [name for name in os.listdir(t.dir) if re.fullmatch(r"quern-\d{8}-\d{6}-\d+", name)]


@test
def a_job_has_a_directory_and_a_program_that_is_none_leaves_nothing(t):
    words = t.write("words", b"a b a")
    run = quern(t, "-n", "2", "--", t.options.wordcount, words).wait()
    made = directories(t)
    t.check(run.status == 0 and len(made) == 1, "directories: %s" % made, run)
    t.check({"status.json", "report.json", "report.html", "log"} <= set(os.listdir(t.path(made[0]))), "in it: %s" % os.listdir(t.path(made[0])))
    t.check(run.stderr.decode() == "quern: run: the job directory is %s: see quern top %s\n" % (made[0], made[0]), "it is not said where", run)
    shutil.rmtree(t.path(made[0]))
    run = quern(t, "-n", "1", "--job", "here-%j", "--", t.options.wordcount, words, env={"SLURM_JOB_ID": ""}).wait()
    made = [name for name in os.listdir(t.dir) if name.startswith("here--")]
    t.check(run.status == 0 and len(made) == 1 and os.path.exists(t.path(made[0], "report.json")), "in %s" % made, run)
    for args in (("--no-job", "--", t.options.wordcount, words), ("--", t.options.wordcount, words, "--quern-job=" + t.path("own")), shell("exit 0"),
                 ("--", t.options.wordcount, "--quern-nonsense=1")):
        run = ended(t, 0 if "nonsense" not in args[-1] else 2, "-n", "1", *args, made=("own",))
        t.check(b"job directory" not in run.stderr, "said: %r" % run.stderr, run)
    agent = script(t, "agent", '#!/bin/sh\nshift\nexec env -i "PATH=$PATH" "HOME=$HOME" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 sh -c "$*"\n')
    run = quern(t, "-n", "1", "--hosts", "elsewhere", "--", t.options.wordcount, words, env={"OMPI_MCA_plm_rsh_agent": agent}).wait()
    made = directories(t)
    t.check(run.status == 0 and len(made) == 1 and os.path.exists(t.path(made[0], "report.json")), "ranks elsewhere: %s" % made, run)
    for args in (("--job", "a"), ("--no-job",)):
        run = ended(t, 1, *args, "--", "job", "--quern-job=b")
        t.check(b"a --quern-job of its own" in run.stderr, "not said", run)


@test
def what_a_job_is_told_of_its_directory_is_the_same_for_all_attempts(t):
    tell = 'echo "$QUERN_JOB"; '
    for args, env, right in (((), {}, r"%s/quern-\d{8}-\d{6}-\d+" % re.escape(os.path.realpath(t.dir))), (("--job", "/a/%j/b"), {}, r"/a/\d{8}-\d{6}-\d+/b"),
                             ((), {"QUERN_JOB": "given"}, "given"), (("--job", "/b"), {"QUERN_JOB": "given"}, "/b"), (("--no-job",), {"QUERN_JOB": "given"}, "")):
        run = ended(t, 137, "-n", "1", "--restarts", "1", *args, *shell(tell + "kill -9 $$"), restarts=1, env=env)
        told = run.stdout.decode().splitlines()
        t.check(len(told) == 2 and told[0] == told[1] and re.fullmatch(right, told[0]), "told %s" % told, run)
    run = ended(t, 0, "-n", "1", *shell(tell), cwd="/proc")
    t.check(run.stdout == b"\n" and b"there is no job directory, since none can be made here: " in run.stderr, "not said", run)


@test
def hosts_that_do_not_answer_are_left_out_of_a_start_and_said(t):
    shows = script(t, "shows", '#!/bin/sh\necho "ran $*"\ntest -s %s || { echo >%s; kill -9 $$; }\n' % (t.path("ran"), t.path("ran")))
    agent = script(t, "agent", '#!/bin/sh\ntest "$1" = -q && test "$3" = true && test -e %s/$2\n' % t.dir)
    for name in ("a", "b", "c"):
        t.write(name, b"")

    def run(hosts, ranks, kept, *said, times=1):
        done = ended(t, 0, "--mpirun", shows, "-n", str(ranks), "--restarts", "1", "--hosts", hosts, "job", restarts=times - 1,
                     env={"OMPI_MCA_plm_rsh_agent": agent + " -q : ssh"})
        t.check(all(b"%s does not answer: it is left out" % name in done.stderr for name in said) and
                done.stderr.count(b"left out") == times * len(said), "not said", done)
        t.check(done.stdout.count(b"-n %s --host %s job" % kept) == times, "started otherwise: %r" % done.stdout, done)

    t.write("ran", b"")
    run("a:2,x,b:2", 5, (b"4", b"a:2,b:2"), b"x", times=2)
    run("a:2,b:2,c", 5, (b"5", b"a:2,b:2,c"))
    run("a:2,x:2,c", 5, (b"3", b"a:2,c"), b"x")
    run("a:2,x:2,c", 2, (b"2", b"a:2,c"), b"x")
    run("a,x,y,c", 8, (b"4", b"a,c"), b"x", b"y")
    run("x,localhost,b", 3, (b"2", b"localhost,b"), b"x")
    run("x,localhost,y", 3, (b"3", b"x,localhost,y"))  # is that the way to reach them at all?
    done = ended(t, 0, "--mpirun", shows, "--restarts", "1", "--hosts", "a,x", "job", "--quern-node-local=/scratch",
                 env={"OMPI_MCA_plm_rsh_agent": agent + " -q"})
    t.check(b"--host a,x job" in done.stdout, "a host is left out that has input: %r" % done.stdout, done)
    run("+n1,x,b", 3, (b"2", b"+n1,b"), b"x")
    run("-qx,x,b", 3, (b"2", b"-qx,b"), b"x")  # no option of the agent's: it is not asked


@test
def a_host_that_hangs_is_not_waited_for(t):
    if not t.options.slow:
        raise Skip("takes 20 s; --slow")
    agent = script(t, "agent", '#!/bin/sh\ntest "$1" = a || sleep 1000\n')
    run = ended(t, 0, "--mpirun", "/bin/echo", "--restarts", "1", "--hosts", "a,b", "job", env={"OMPI_MCA_plm_rsh_agent": agent})
    t.check(b"b does not answer" in run.stderr, "not said", run)


@test
def signals_reach_the_job_and_then_it_is_not_started_again(t):
    text = "trap 'echo told >>%s; exit 75' USR1; echo ready; while :; do sleep 0.05; done" % t.path("told")
    job = quern(t, "-n", "1", "--restarts", "3", *shell(text))
    t.check(wait_until(lambda: read_file(job.out_path) == b"ready\n", 20), "it does not begin")
    os.kill(job.process.pid, signal.SIGUSR1)
    run = job.wait(20)
    t.check(run.status == 75 and read_file(t.path("told")) == b"told\n" and AGAIN not in run.stderr, "USR1", run)
    os.remove(t.path("told"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        job = quern(t, "-n", "2", "--restarts", "3", *shell("echo ready; trap '' TERM; while :; do sleep 0.05; done"))
        t.check(wait_until(lambda: read_file(job.out_path).count(b"ready\n") == 2, 20), "it does not begin")
        os.kill(job.process.pid, number)
        run = job.wait(20)
        t.check(run.status != 0 and AGAIN not in run.stderr, "%s" % number, run)
        t.check(not os.listdir(t.tmp), "left: %s" % os.listdir(t.tmp), run)


@test
def a_launcher_that_does_not_end_when_told_is_killed(t):
    deaf = script(t, "deaf", "#!/bin/sh\ntrap '' TERM INT\necho ready\nwhile :; do sleep 0.05; done\n")
    job = quern(t, "--mpirun", deaf, "--restarts", "3", "job")
    t.check(wait_until(lambda: read_file(job.out_path) == b"ready\n", 20), "it does not begin")
    os.kill(job.process.pid, signal.SIGTERM)
    began = time.monotonic()
    run = job.wait(40)
    t.check(run.status == 137 and 5 < time.monotonic() - began < 30 and AGAIN not in run.stderr, "status 137 expected", run)


@test
def a_launcher_that_locked_itself_up_is_killed(t):
    stuck = script(t, "stuck", "#!/bin/sh\nsleep 0.1 &\nexec sleep 100\n")  # whose child nobody asks about
    run = ended(t, 137, "--mpirun", stuck, "--restarts", "1", "job", restarts=1, timeout=60)
    t.check(b"did not end though" in run.stderr, "not said", run)


@test
def what_the_job_left_running_is_ended(t):
    for status in (0, 137):
        end = "exit 0" if status == 0 else "kill -9 $$"
        leaves = script(t, "leaves", "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM HUP; sleep 100 & sleep 100' &\nsleep 0.2; %s\n" % end)
        ended(t, status, "--mpirun", leaves, "job")  # the harness looks for what is left


@test
def children_from_before_are_left_alone(t):
    before = script(t, "before", "#!/bin/sh\nsleep 100 &\necho $! >%s\nexec %s run -n 1 -- /bin/true\n" % (t.path("pid"), t.options.quern))
    t.program = before
    job = t.start(None)
    job.process.wait(20)
    pid = int(read_file(t.path("pid")))
    lives = os.path.exists("/proc/%d" % pid)
    kill_all([pid])
    t.check(lives and job.process.returncode == 0, "the child from before was ended, or the job failed")


@test
def nothing_outlives_a_supervisor_that_is_killed(t):
    job = quern(t, "-n", "2", "--restarts", "3", *shell("echo ready; while :; do sleep 0.05; done"))
    t.check(wait_until(lambda: read_file(job.out_path).count(b"ready\n") == 2, 20), "it does not begin")
    memory = process_env(max(job.pids()), "OMPI_MCA_btl_vader_backing_directory")
    os.kill(job.process.pid, signal.SIGKILL)
    shutil.rmtree(memory)
    t.check(wait_until(lambda: not job.pids(), 10), "processes are left: %s" % job.pids())
    job.wait()


if __name__ == "__main__":
    sys.exit(main())
