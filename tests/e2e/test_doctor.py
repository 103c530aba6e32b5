#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_doctor.py: `quern doctor` finds what is wrong, says what to do, ends in time, and leaves nothing."""
import json
import os
import re
import shutil
import signal
import subprocess
import time

from harness import CORES, Skip, control_group, main, test, wait_until

ERROR_FOUND = 3
LOOK = ("--mpirun", "/nowhere/mpirun")  # no probe is started, and that is an error
# A launcher of another MPI: ranks that know nothing of each other.
SINGLETONS = """#!/bin/sh
[ "$1" = --version ] && { echo "mpirun (Open MPI) %s"; exit; }
n=1; [ "$1" = -n ] && n=$2 && shift 2
while [ $n -gt 0 ]; do "$@" & n=$((n-1)); done; wait
"""
# One that starts nothing, and one whose rank 1 never comes to MPI.
SLOW = """#!/bin/sh
[ "$1" = --version ] || exec sleep 100
"""
LATE = """#!/bin/sh
number=$2; shift 2
exec mpirun -n $number sh -c '[ $OMPI_COMM_WORLD_RANK = 1 ] && sleep 100; exec "$@"' sh "$@"
"""


def script(t, name, text):
    path = t.write(name, text.encode())
    os.chmod(path, 0o755)
    return path


def doctor(t, *args, status=0, env=None, launcher=(), timeout=60):
    """The findings by check, and the run. Nothing is left, and what is printed adds up."""
    t.program = t.options.quern
    before = set(os.listdir(t.tmp))
    run = t.start(None, "doctor", *args, env=env, launcher=launcher).wait(timeout)
    t.check(run.status == status, "status %d expected: %s" % (status, run.stdout.decode(errors="replace")), run)
    t.check(set(os.listdir(t.tmp)) == before, "left: %s" % os.listdir(t.tmp), run)
    return (findings_of_json if "--json" in args else findings_of_text)(t, run), run


def findings_of_text(t, run):
    *lines, empty, counts = run.stdout.decode().splitlines()
    found, last = {}, None
    for line in lines:
        match = re.fullmatch(r"(ok|note|warning|error) +([a-z0-9-]+) +(\S.*)", line)
        if match:
            last = found.setdefault(match.group(2), [])
            last.append([match.group(1), match.group(3), None])
        else:
            t.check(last and line.startswith(" " * 23) and last[-1][2] is None, "an odd line: %r" % line, run)
            last[-1][2] = line.strip()
    each = [one for list_of in found.values() for one in list_of]
    t.check(all((level == "ok") == (remedy is None) for level, _, remedy in each), "a remedy is missing", run)
    said = [int(number) for number in re.findall(r"\d+", counts)]
    t.check(said == [sum(level == name for level, *_ in each) for name in ("ok", "note", "warning", "error")] and not empty, counts, run)
    t.check((said[3] > 0) == (run.status == ERROR_FOUND), "the status", run)
    return {check: list_of[0] for check, list_of in found.items()}


def findings_of_json(t, run):
    page = json.loads(run.stdout)
    t.check(page["version"] == 1 and sum(page["counts"].values()) == len(page["findings"]), "the counts", run)
    return page


def expect(t, found, run, check, level, *texts):
    t.check(check in found and found[check][0] == level, "%s is to be %s: %s" % (check, level, found.get(check)), run)
    said = "%s %s" % (found[check][1], found[check][2])
    for text in texts:
        t.check(text in said, "'%s' is not said of %s: %s" % (text, check, said), run)


def mpi_version(t):
    return re.search(r"\d+\.\d+\.\d+", subprocess.run([t.options.mpirun, "--version"], capture_output=True, text=True).stdout).group(0)


@test
def a_machine_that_is_well_has_no_errors(t):
    subprocess.run([t.options.quern, "clean", "/dev/shm"], capture_output=True)  # what others left
    found, run = doctor(t, "-n", "2", "--mpirun", t.options.mpirun)
    expect(t, found, run, "ranks", "ok", "2 ranks on 1 node")
    for check in ("library", "hdf5", "cores", "mpi", "threads", "clocks", "hdf5-file", "scratch-mode", "litter"):
        expect(t, found, run, check, "ok")
    expect(t, found, run, "scratch", "ok", t.tmp)
    expect(t, found, run, "launcher", "ok", mpi_version(t))


@test
def one_rank_and_seven_are_worlds_too(t):
    found, run = doctor(t, "-n", "1", env={"QUERN_PIN": "off"})
    expect(t, found, run, "ranks", "ok", "1 rank on 1 node")
    expect(t, found, run, "binding", "note", "--quern-pin=on")
    found, run = doctor(t, "-n", "7", env={"OMPI_MCA_mpi_yield_when_idle": "1"})
    expect(t, found, run, "ranks", "ok", "7 ranks on 1 node")
    expect(t, found, run, "hdf5-file", "ok", "224 KiB")


@test
def json_has_findings_and_the_figures_of_every_rank(t):
    page, run = doctor(t, "-n", "3", "--json")
    t.check([rank["rank"] for rank in page["ranks"]] == [0, 1, 2], "ranks", run)
    t.check(page["world"]["size"] == 3 and page["world"]["exchange"]["many_bytes"] == 2 << 20, "the world", run)
    t.check(all(rank["rank_memory"] * 3 <= rank["node_memory"] and rank["sees_directory"] for rank in page["ranks"]), "memory", run)
    t.check(page["library"]["mpi"] and all(one["found"] for one in page["findings"]), "the library", run)
    t.check(all(("remedy" in one) == (one["level"] != "ok") for one in page["findings"]), "remedies", run)


@test
def a_launcher_of_another_mpi_is_an_error(t):
    major = int(mpi_version(t).split(".")[0])
    wrong = script(t, "other/mpirun", SINGLETONS % ("%d.0.0" % (major + 1)))
    found, run = doctor(t, "-n", "3", "--mpirun", wrong, status=ERROR_FOUND)
    expect(t, found, run, "launcher", "error", "Open MPI %d.0.0" % (major + 1), "PATH")
    expect(t, found, run, "ranks", "error", "started 3 processes, and each of them is alone", "--mpirun")
    found, run = doctor(t, "-n", "2", status=ERROR_FOUND, env={"PATH": t.path("other") + ":" + os.environ["PATH"]})
    expect(t, found, run, "launcher", "error", wrong)
    t.check("PATH has another mpirun" in run.stdout.decode(), "the other one is not named", run)
    lying = script(t, "lying/mpirun", SINGLETONS % mpi_version(t))
    found, run = doctor(t, "-n", "2", "--mpirun", lying, status=ERROR_FOUND)
    expect(t, found, run, "launcher", "ok")
    expect(t, found, run, "ranks", "error", "rank 0 of 1")


@test
def ranks_that_srun_promises_and_mpi_does_not_see_are_an_error(t):
    wrong = script(t, "srun-like/mpirun", "#!/bin/sh\nshift 2\nexport SLURM_NTASKS=4 SLURM_PROCID=0\nexec \"$@\"\n")
    found, run = doctor(t, "-n", "4", "--mpirun", wrong, status=ERROR_FOUND)
    expect(t, found, run, "ranks", "error", "SLURM_NTASKS promises 4 ranks", "--mpirun")


@test
def without_a_launcher_everything_else_is_looked_at(t):
    os.mkdir(t.path("empty"))
    found, run = doctor(t, status=ERROR_FOUND, env={"PATH": t.path("empty")})
    expect(t, found, run, "launcher", "error", "no mpirun in PATH", "--mpirun")
    expect(t, found, run, "scratch", "ok")
    t.check("ranks" not in found, "a probe without a launcher", run)
    found, run = doctor(t, "-n", "2", "--mpirun", script(t, "bad/mpirun", "#!/bin/sh\necho 'there are not enough slots' >&2; exit 9\n"), status=ERROR_FOUND)
    expect(t, found, run, "ranks", "error", "status 9", "not enough slots", "--hosts n1:8")


@test
def root_is_told_what_mpirun_wants_of_it(t):
    if os.geteuid() != 0:
        raise Skip("needs root")
    found, run = doctor(t, status=ERROR_FOUND, env={"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "", "OMPI_ALLOW_RUN_AS_ROOT": ""})
    t.check("ranks" not in found, "a probe that mpirun refuses", run)
    expect(t, found, run, "user", "error", "export OMPI_ALLOW_RUN_AS_ROOT=1")


@test
def who_is_silent_is_named_in_time(t):
    begin = time.monotonic()
    found, run = doctor(t, "-n", "2", "--timeout", "1", "--mpirun", script(t, "slow/mpirun", SLOW), status=ERROR_FOUND)
    expect(t, found, run, "ranks", "error", "started no rank within 1 s")
    found, run = doctor(t, "-n", "2", "--timeout", "5", "--mpirun", script(t, "late/start", LATE), status=ERROR_FOUND)
    expect(t, found, run, "ranks", "error", "of 2 that were to be there 1 never began", "rank 0", "in the start of MPI")
    t.check(time.monotonic() - begin < 25 * t.options.patience, "it took %.0f s" % (time.monotonic() - begin), run)


@test
def who_interrupts_it_waits_for_nothing_and_nothing_is_left(t):
    t.program = t.options.quern
    for number in (signal.SIGINT, signal.SIGTERM):
        job = t.start(None, "doctor", "-n", "2", "--mpirun", script(t, "slow/mpirun", SLOW))
        t.check(wait_until(lambda: os.listdir(t.tmp), 20), "the probe does not begin")
        time.sleep(0.2)
        job.process.send_signal(number)
        run = job.wait(20)
        t.check(run.status == 128 + number and not run.stdout, "status %d" % run.status, run)
        t.check(not os.listdir(t.tmp), "left: %s" % os.listdir(t.tmp), run)


@test
def a_rank_that_dies_is_told_with_where_it_was(t):
    dying = script(t, "dying/start", "#!/bin/sh\nnumber=$2; shift 2\nexec mpirun -n $number sh -c '[ $OMPI_COMM_WORLD_RANK = 1 ] && exit 5; exec \"$@\"' sh \"$@\"\n")
    found, run = doctor(t, "-n", "2", "--mpirun", dying, status=ERROR_FOUND)
    t.check(found["ranks"][0] == "error" and ("never began" in found["ranks"][1] or "started no rank" in found["ranks"][1]), found["ranks"], run)


@test
def scratch_that_jobs_cannot_use_is_an_error(t):
    found, run = doctor(t, "-n", "2", "--scratch", t.path("nowhere"), status=ERROR_FOUND)
    expect(t, found, run, "scratch", "error", "No such file or directory", "--quern-scratch")
    expect(t, found, run, "set-up", "error", "nowhere")
    found, run = doctor(t, *LOOK, "--scratch", t.write("file", b""), status=ERROR_FOUND)
    expect(t, found, run, "scratch", "error", "Not a directory")
    found, run = doctor(t, *LOOK, status=ERROR_FOUND, env={"QUERN_SCRATCH": t.path("nowhere")})
    expect(t, found, run, "scratch", "error", "nowhere")


@test
def scratch_in_memory_and_with_little_room_is_a_warning_and_a_full_one_an_error(t):
    small = t.mount_tmpfs("size=8m")
    found, run = doctor(t, "-n", "2", "--scratch", small)
    expect(t, found, run, "scratch-disk", "warning", "tmpfs", "memory", "--quern-scratch")
    expect(t, found, run, "scratch", "warning", "free of 8.0 MiB")
    t.check(not os.listdir(small), "left: %s" % os.listdir(small), run)
    with open(os.path.join(small, "all"), "wb") as file:
        file.write(b"x" * (8 << 20))
    found, run = doctor(t, *LOOK, "--scratch", small, status=ERROR_FOUND)
    expect(t, found, run, "scratch", "error", "No space left on device")
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    found, run = doctor(t, *LOOK, "--scratch", small, status=ERROR_FOUND)
    expect(t, found, run, "scratch", "error", "Read-only file system")


@test
def a_temporary_directory_in_memory_is_passed_over_unless_it_is_asked_for(t):
    if subprocess.run(["stat", "-f", "-c", "%T", "/var/tmp"], capture_output=True).stdout.strip() in (b"tmpfs", b"ramfs"):
        raise Skip("/var/tmp is memory")
    small = t.mount_tmpfs("size=100m")
    for env, place in (({"TMPDIR": small}, "/var/tmp"), ({"TMPDIR": t.tmp, "SLURM_TMPDIR": small}, t.tmp), ({"TMPDIR": small, "SLURM_TMPDIR": t.tmp}, t.tmp),
                       ({"TMPDIR": small, "QUERN_SCRATCH": small}, small)):
        found, run = doctor(t, *LOOK, env=env, status=ERROR_FOUND)
        level, said, _ = found["scratch-disk"]
        t.check(said.startswith(place + " is on ") and (level == "warning") == (place == small), "%s: %s, %s" % (env, level, said), run)
        t.program = t.options.wordcount
        run = t.succeed(2, "--quern-progress=on", "/etc/passwd", env=env)
        t.check((b"scratch: %s is memory" % small.encode() in run.stderr) == (place == small), "said of %s" % env, run)


@test
def a_directory_in_which_all_may_remove_is_a_warning(t):
    os.mkdir(t.path("open"))
    os.chmod(t.path("open"), 0o777)
    found, run = doctor(t, *LOOK, "--scratch", t.path("open"), status=ERROR_FOUND)
    expect(t, found, run, "scratch-mode", "warning", "0777", "chmod 0700")
    os.chmod(t.path("open"), 0o1777)
    expect(t, *doctor(t, *LOOK, "--scratch", t.path("open"), status=ERROR_FOUND), "scratch-mode", "ok")


@test
def what_killed_jobs_left_is_counted(t):
    path = t.path("scratch", "quern-run.abcdef")
    os.makedirs(path)
    os.utime(path, (time.time() - 3600,) * 2)
    found, run = doctor(t, *LOOK, "--scratch", t.path("scratch"), status=ERROR_FOUND)
    expect(t, found, run, "litter", "note", "quern clean")
    t.check(os.path.isdir(path), "it was removed", run)


@test
def ranks_on_one_core_are_a_warning(t):
    found, run = doctor(t, "-n", "2", launcher=["taskset", "-c", str(min(os.sched_getaffinity(0)))], env={"QUERN_PIN": "on"})
    expect(t, found, run, "binding", "warning", "2 of 2 ranks share a core", "ranks 0, 1")
    expect(t, found, run, "cores", "ok", "1 of ")
    found, run = doctor(t, "-n", str(CORES + 1), env={"QUERN_PIN": "on", "OMPI_MCA_mpi_yield_when_idle": "1"})
    expect(t, found, run, "binding", "warning", "of %d ranks share a core" % (CORES + 1), "fewer ranks")


@test
def limits_of_a_process_are_seen(t):
    shell = ["sh", "-c", "ulimit -v 6000000; ulimit -n 200; exec \"$@\"", "sh"]
    if t.options.sanitized:
        raise Skip("sanitizers need address space")
    found, run = doctor(t, "-n", "1", launcher=shell)
    expect(t, found, run, "memory", "warning", "5.7 GiB", "ulimit -v unlimited", "--quern-memory")
    expect(t, found, run, "open-files", "warning", "200 files", "ulimit -n")


@test
def a_limit_of_a_cgroup_is_what_jobs_divide(t):
    with control_group("memory", ("memory.limit_in_bytes", 900 << 20)) as words:
        found, run = doctor(t, "-n", "2", launcher=words)
    expect(t, found, run, "memory", "warning", "900 MiB may be used (cgroup v1)", "630 MiB")
    expect(t, found, run, "budget", "ok", "315 MiB", "cgroup v1")
    with control_group("cpu", ("cpu.cfs_period_us", 100000), ("cpu.cfs_quota_us", 50000)) as words:
        found, run = doctor(t, *LOOK, launcher=words, timeout=120, status=ERROR_FOUND)
    expect(t, found, run, "cores", "warning", "0.5", "-n 1")


@test
def what_a_job_cannot_begin_with_is_an_error(t):
    found, run = doctor(t, "-n", "2", status=ERROR_FOUND, env={"QUERN_MEMORY": "1M"})
    expect(t, found, run, "set-up", "error", "too small")
    found, run = doctor(t, "-n", "2", status=ERROR_FOUND, env={"QUERN_MEMORY": "nonsense"})
    expect(t, found, run, "ranks", "error", "QUERN_MEMORY")
    job = t.path("job")
    doctor(t, "-n", "2", env={"QUERN_JOB": job, "QUERN_CHECKPOINT": job, "QUERN_REPORT": job, "QUERN_LOG": job, "QUERN_DEADLINE": "1"})
    t.check(not os.path.exists(job), "it writes where jobs do")


@test
def programs_that_do_not_start_are_an_error(t):
    if t.options.sanitized:
        raise Skip("the command is copied without its surroundings")
    os.makedirs(t.path("bin"))
    shutil.copy(t.options.quern, t.path("bin", "quern"))
    t.options.quern, kept = t.path("bin", "quern"), t.options.quern
    try:
        found, run = doctor(t, status=ERROR_FOUND)
        expect(t, found, run, "library", "error", "there is no", "meson install")
        script(t, "bin/quern-probe", "#!/bin/sh\necho 'quern-probe: error while loading shared libraries: libmpi.so.40' >&2\nexit 127\n")
        found, run = doctor(t, status=ERROR_FOUND)
        expect(t, found, run, "library", "error", "libmpi.so.40", "LD_LIBRARY_PATH")
        for built, text in (("Open MPI 1.2.3", "error"), ("Open MPI %s" % mpi_version(t), "ok")):
            about = {"quern": "0", "mpi_built": built, "mpi": "Open MPI v%s" % mpi_version(t), "mpi_path": "/lib/libmpi.so", "mpi_libraries": ["/lib/libmpi.so"],
                     "has_ulfm": False, "hdf5_built": "1.10.8", "hdf5": "1.10.9", "hdf5_is_parallel": False}
            script(t, "bin/quern-probe", "#!/bin/sh\n[ $1 = --about ] && echo '%s'\n" % json.dumps(about))
            found, run = doctor(t, *LOOK, status=ERROR_FOUND)
            expect(t, found, run, "library", text)
            expect(t, found, run, "hdf5", "error", "1.10.8", "1.10.9")
        script(t, "bin/quern-probe", "#!/bin/sh\n[ $1 = --about ] && echo '%s'\n" % json.dumps({**about, "mpi_libraries": ["/a/libmpi.so.1", "/b/libmpi.so.2"]}))
        found, run = doctor(t, *LOOK, status=ERROR_FOUND)
        expect(t, found, run, "library", "error", "/a/libmpi.so.1 and /b/libmpi.so.2")
    finally:
        t.options.quern = kept


@test
def misuse_is_told(t):
    t.program = t.options.quern
    for args in (("-n", "0"), ("--timeout", "soon"), ("--launcher", "ssh"), ("--launcher", "srun", "--hosts", "n1")):
        run = t.start(None, "doctor", *args).wait()
        t.check(run.status == 2 and run.stderr and not run.stdout, "misuse", run)


if __name__ == "__main__":
    main()
