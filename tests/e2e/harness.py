# SPDX-License-Identifier: BSD-3-Clause
"""harness.py: runs a real program under a real mpirun and prints TAP.

A test is a function whose name is a true sentence. It gets a Case: a fresh directory, ways to run the
program with any number of ranks, and checks that raise Failure. Every process started carries a mark in
its environment, so that nothing that we started can hide from us: Open MPI gives its ranks process groups
of their own, and killing the launcher's group is not enough. Output goes to files and not to pipes, so
that a process left behind cannot hang the test by holding a pipe open.

The answer comes from Python: bytes.split() without arguments cuts at space, \\t, \\n, \\v, \\f and \\r and
at no other byte (unlike str.split(), which also cuts at 0x1c to 0x1f, 0x85 and 0xa0).
"""
import argparse
import atexit
import collections
import contextlib
import ctypes
import itertools
import json
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SEPARATORS = b" \t\n\v\f\r"
MARK = "E2E_MARK"
CORES = len(os.sched_getaffinity(0))
ALONE = os.environ.get("E2E_ALONE", "1") == "1"  # no other test runs
LOCKED_UP_SECONDS = 8  # that mpirun may be there alone
EXCERPT = 400
TESTS = []
_runs = itertools.count(1)
_shared = {}


def lost_in_launching(run):
    """Whether mpirun lost a child before it was one. A rank that had begun would have said that it crashes, and
    KILL is somebody's doing."""
    stderr = run.stderr.lstrip()
    return stderr.startswith(b"-----") and b" with PID 0 " in stderr and b"signal 9 " not in stderr


class Failure(Exception):
    """The program is wrong; the text says how."""


class Skip(Exception):
    """This machine cannot run the test; the text says why."""


def test(function):
    """Registers a test; tests run in the order of the file."""
    TESTS.append(function)
    return function


# ---------------------------------------------------------------- the right answer


def count_words(*contents):
    """The independent answer: a Counter over the words of each content (words do not cross contents)."""
    counts = collections.Counter()
    for content in contents:
        counts.update(content.split())
    return counts


def top_lines(counts, k=20):
    """What the program prints: most frequent first, ties by bytes ascending."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:k]
    return b"".join(b"%d\t%s\n" % (count, word) for word, count in ranked)


def parse_counts(data):
    """Lines of word<TAB>count as a dict; Failure at the first line that is not one, or comes twice."""
    counts = {}
    if data and not data.endswith(b"\n"):
        raise Failure("the output does not end with a newline: ...%s" % brief(data[-60:]))
    for line in data.split(b"\n")[:-1]:
        word, tab, count = line.rpartition(b"\t")
        if not tab or not word or not re.fullmatch(rb"[1-9][0-9]*", count) or word.split() != [word]:
            raise Failure("not a line of word<TAB>count: %s" % brief(line))
        if word in counts:
            raise Failure("a word comes twice in the output: %s" % brief(word))
        counts[word] = int(count)
    return counts


def brief(data):
    """Bytes for a message: repr, the middle left out when long."""
    if len(data) <= 80:
        return repr(data)
    return "%r...%r (%d bytes)" % (data[:40], data[-20:], len(data))


def compare_counts(expected, got):
    """None when equal, else a few of the differences as text."""
    if expected == got:
        return None
    lines = ["%d words expected, %d found" % (len(expected), len(got))]
    for word in sorted(expected.keys() - got.keys(), key=len)[:4]:
        lines.append("missing: %s (%d times)" % (brief(word), expected[word]))
    for word in sorted(got.keys() - expected.keys(), key=len)[:4]:
        lines.append("invented: %s (%d times)" % (brief(word), got[word]))
    wrong = [word for word in expected if word in got and got[word] != expected[word]]
    for word in sorted(wrong, key=len)[:4]:
        lines.append("%s counted %d times, not %d" % (brief(word), got[word], expected[word]))
    return "\n".join(lines)


# ---------------------------------------------------------------- processes


def marked_pids(mark):
    """The processes, zombies apart, that carry our mark in their environment."""
    wanted = ("%s=%s" % (MARK, mark)).encode()
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/environ" % name, "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:
            pass
    return found


def process_env(pid, name):
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            for item in file.read().split(b"\0"):
                if item.startswith(name.encode() + b"="):
                    return os.fsdecode(item.split(b"=", 1)[1])
    except OSError:
        pass
    return None


def process_peak_rss(pid):
    """Bytes, or 0 when the process is gone. Not ru_maxrss, which also sees Python before the exec."""
    try:
        with open("/proc/%d/status" % pid) as file:
            match = re.search(r"VmHWM:\s+(\d+) kB", file.read())
            return int(match.group(1)) * 1024 if match else 0
    except OSError:
        return 0


def open_paths(pid):
    """What the process has open, as paths; unlinked files end in ' (deleted)'."""
    paths = []
    try:
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                paths.append(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
            except OSError:
                pass
    except OSError:
        pass
    return paths


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def wait_until(condition, seconds):
    """Whether the condition came true in time; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.01)


def _is_removed(directory):
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def control_group(controller, *limits):
    """A cgroup (v1) with limits, each a file's name and its number: gives the words that start a program in it. Skip where that cannot be."""
    path = "/sys/fs/cgroup/%s/quern-test-%d" % (controller, os.getpid())
    try:
        os.mkdir(path)
        for name, number in limits:
            with open(os.path.join(path, name), "w") as file:
                file.write(str(number))
    except OSError as error:
        raise Skip("needs root and cgroups of version 1 for a limit: %s" % error)
    try:
        yield ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', path]
    finally:
        wait_until(lambda: _is_removed(path), 5)


def without_launcher_noise(text):
    """Drops what mpirun itself says about a failed rank: paragraphs between lines of dashes, and what its libevent says
    when it still watches a pipe that another of its threads has closed, and that the agent for another host was quicker than mpirun."""
    kept, inside = [], False
    for line in text.split(b"\n"):
        if re.fullmatch(rb"-{30,}", line):
            inside = not inside
        elif not inside and line.strip() and not re.match(rb"\[[^\]]*:\d+\] \d+ more process", line) \
                and b"orte_base_help_aggregate" not in line and not re.match(rb"\[warn\] Epoll (ADD|MOD|DEL)\(", line) \
                and b"plm:rsh: Warning: setpgid(" not in line:
            kept.append(line)
    return kept


class Told(str):
    """An argument that the job gets by its environment (told.h): a job that goes on from its checkpoint has the same command."""


def tell(args, env):
    """The arguments as they stand in the command, and the environment with those that do not."""
    told = {"JOB_ARGUMENT_%d" % i: str(word) for i, word in enumerate(args, 1) if isinstance(word, Told)}
    return ["-" if isinstance(word, Told) else word for word in args], {**told, **(env or {})}


class Job:
    """One running launch of the program, with or without mpirun."""

    def __init__(self, case, n, args, env, cwd, fast, launcher, user, stdout):
        self.case, self.n = case, n
        args, env = tell(args, env)
        self.mark = "%d.%d" % (os.getpid(), next(_runs))
        self.command = case.command(n, args, launcher)
        self.out_path = os.path.join(case.logs, self.mark + ".out")
        self.err_path = os.path.join(case.logs, self.mark + ".err")
        self.peaks = {}
        self.started = time.monotonic()
        self.next_look = self.alone_since = self.started + LOCKED_UP_SECONDS
        environment = case.environment(n, env, fast)
        environment[MARK] = self.mark
        target = stdout or self.out_path
        with open(target, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd or case.dir,
                env=environment, start_new_session=True,
                **({"user": user, "group": user, "extra_groups": []} if user is not None else {}))

    def pids(self):
        return marked_pids(self.mark)

    def rank_pids(self):
        """Rank to process, for the ranks that already run the program itself."""
        ranks = {}
        for pid in self.pids():
            try:
                if os.path.samefile("/proc/%d/exe" % pid, self.case.options.rank_exe):
                    ranks[int(process_env(pid, "OMPI_COMM_WORLD_RANK") or 0)] = pid
            except OSError:
                pass
        return ranks

    def note_memory(self):
        for pid in self.rank_pids().values():
            self.peaks[pid] = max(self.peaks.get(pid, 0), process_peak_rss(pid))

    def wait(self, timeout=60, watch_memory=False):
        """Waits, kills what is still there after the timeout, and fails if anything is left behind."""
        end = time.monotonic() + timeout * self.case.options.patience
        while self.process.poll() is None and time.monotonic() < end:
            if watch_memory:
                self.note_memory()
            self.end_locked_up()
            time.sleep(0.02 if watch_memory else 0.005)
        seconds = time.monotonic() - self.started
        hung = self.process.poll() is None
        wait_until(lambda: hung or not self.pids(), 4)
        left = [] if hung else self.pids()
        stacks = " ".join(process_state(pid) for pid in self.pids())
        self.kill()
        run = Run(self, seconds)
        if hung:
            raise Failure("no end within %d s: %s\n%s" % (seconds, stacks, run.describe()))
        if left:
            raise Failure("processes left behind: %s\n%s" % (stacks, run.describe()))
        return run

    def end_locked_up(self):
        """Open MPI's mpirun sometimes stays for ever when its ranks were killed: nothing of ours waits then."""
        now = time.monotonic()
        if self.n is None or now < self.next_look:
            return
        self.next_look = now + 1
        if self.pids() != [self.process.pid]:
            self.alone_since = now
        elif now - self.alone_since > LOCKED_UP_SECONDS:
            print("# mpirun stayed without ranks and was killed")
            self.process.kill()

    def kill(self):
        kill_all(self.pids())
        if self.process.poll() is None:
            try:
                os.killpg(self.process.pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()


def process_state(pid):
    try:
        with open("/proc/%d/status" % pid) as file:
            fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
            return "%s(%d, %s)" % (fields["Name"], pid, fields["State"])
    except (OSError, KeyError):
        return ""


class Run:
    """The result of one launch."""

    def __init__(self, job, seconds):
        self.command, self.seconds = job.command, seconds
        self.status = job.process.returncode
        self.peak_rss_bytes = sum(job.peaks.values())
        self.stdout = read_file(job.out_path) if os.path.exists(job.out_path) else b""
        self.stderr = read_file(job.err_path)
        self.messages = without_launcher_noise(self.stderr)

    def describe(self):
        err = self.stderr
        if len(err) > 2 * EXCERPT:  # what a program says comes first, and what mpirun says of it last
            err = err[:EXCERPT] + b"\n[...]\n" + err[-EXCERPT:]
        err = err.decode("utf-8", "backslashreplace")
        return "command: %s\nstatus %s after %.1f s; stderr: %s" % (
            shlex.join(os.fsdecode(arg) for arg in self.command)[:EXCERPT * 3], self.status, self.seconds, err)


# ---------------------------------------------------------------- a test's surroundings


class Case:
    """What a test gets: a directory of its own, the program, and checks."""

    def __init__(self, options, name):
        self.options = options
        self.program = options.wordcount
        self.supervisor = None  # what goes before `-n RANKS -- PROGRAM` instead of mpirun
        self.dir = tempfile.mkdtemp(prefix="qe2e.")
        self.logs = os.path.join(self.dir, "logs")
        self.tmp = os.path.join(self.dir, "tmp")
        os.mkdir(self.logs)
        os.mkdir(self.tmp)
        self.name, self.jobs, self.mounts, self.outputs = name, [], [], itertools.count(1)
        self.answers = {}  # what a test keeps of what is long to compute
        self.right = {}  # what was found right once is not read again: by an answer's identity, it and the bytes

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def write(self, name, content):
        """A file below the test's directory, its directories made as needed; returns its path."""
        if isinstance(name, bytes):
            path = os.path.join(os.fsencode(self.dir), name)
        else:
            path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        return path

    def use(self, name):
        """From here on another example is run, which was built beside the program."""
        self.program = os.path.join(os.path.dirname(self.options.wordcount), name)

    def new_output(self):
        return self.path("out%d" % next(self.outputs))

    def command(self, n, args, launcher):
        program = [self.program, *args]
        if n is None:
            return [*launcher, *program]
        if self.supervisor:
            return [*self.supervisor, "-n", str(n), "--", *program]
        mpirun = [self.options.mpirun, "-n", str(n)]
        if n > CORES or not ALONE:
            mpirun += ["--oversubscribe", "--bind-to", "none"]
        return mpirun + list(launcher) + program

    def environment(self, n, extra, fast):
        """Ours, less what another launcher left in it.

        fast: skip the search for network drivers, and when a rank has failed do not give the others the
        second that they should not need. What hangs on that second must run with fast=False."""
        dropped = re.compile(r"(QUERN|SLURM|PMIX|PMI|OMPI_COMM_WORLD|OMPI_UNIVERSE|OMPI_APP_CTX)_")
        env = {name: value for name, value in os.environ.items() if not dropped.match(name)}
        env.update(TMPDIR=self.tmp, LC_ALL="C", OMPI_MCA_btl_base_warn_component_unused="0",
                   OMPI_MCA_rmaps_base_oversubscribe="1", OMPI_MCA_plm_rsh_agent="false")
        if os.geteuid() == 0:
            env.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        if not ALONE:
            env.update(QUERN_PIN="off")
        if n is not None and (n > CORES or not ALONE):
            env.update(OMPI_MCA_mpi_yield_when_idle="1", OMPI_MCA_hwloc_base_binding_policy="none")
        if fast:
            env.update(OMPI_MCA_pml="ob1", OMPI_MCA_btl="self,vader", OMPI_MCA_odls_base_sigkill_timeout="0")
        env.update(extra or {})
        return env

    def start(self, n, *args, env=None, cwd=None, fast=True, launcher=(), user=None, stdout=None):
        """Starts the program on n ranks (None: without a launcher); the caller waits for the Job."""
        job = Job(self, n, args, env, cwd, fast, launcher, user, stdout)
        self.jobs.append(job)
        return job

    def run(self, n, *args, timeout=60, watch_memory=False, **start):
        run = self.start(n, *args, **start).wait(timeout, watch_memory)
        if lost_in_launching(run):
            print("# mpirun failed to launch, once more")
            run = self.start(n, *args, **start).wait(timeout, watch_memory)
        self.no_temporary_files(run)
        return run

    def no_temporary_files(self, run):
        """TMPDIR is the default place for spills: nothing but Open MPI's own may be left there."""
        left = [name for name in os.listdir(self.tmp) if not re.match(r"(ompi|openmpi|pmix|PMIX|prterun|vader)", name)]
        self.check(not left, "left in TMPDIR: %s" % left, run)

    def succeed(self, n, *args, **start):
        run = self.run(n, *args, **start)
        self.check(run.status == 0, "the job failed", run)
        return run

    def fail(self, n, *args, naming=(), status=1, **start):
        """The job must fail with this status and exactly one line on stderr that holds each of `naming`."""
        run = self.run(n, *args, **start)
        self.check(run.status == status, "status %d expected" % status, run)
        self.check(len(run.messages) == 1, "one line on stderr expected, not %d" % len(run.messages), run)
        for text in [naming] if isinstance(naming, (str, bytes)) else naming:
            text = os.fsencode(text)
            self.check(text in run.stderr, "the message does not name %r" % text, run)
        return run

    def check(self, condition, message, run=None):
        if not condition:
            raise Failure(message + ("\n" + run.describe() if run else ""))

    def count(self, n, paths, *args, expected=None, **start):
        """Runs with -o, checks the committed directory (and the counts); returns the parts' bytes."""
        out = self.new_output()
        run = self.succeed(n, "-o", out, *args, *paths, **start)
        data = self.committed(out, run)
        if expected is not None:
            difference = self.wrong_counts(expected, data)
            self.check(difference is None, difference, run)
        shutil.rmtree(out)
        return data

    def wrong_counts(self, expected, data):
        """How the counts in the bytes of an output differ; None if they do not."""
        if self.right.get(id(expected)) == (expected, data):
            return None
        difference = compare_counts(expected, parse_counts(data))
        if difference is None:
            self.right[id(expected)] = expected, data
        return difference

    def committed(self, out, run=None):
        """Checks that a directory is a whole output; returns the parts' bytes in order."""
        names = sorted(os.listdir(out))
        parts = [name for name in names if name.startswith("part-")]
        self.check("_SUCCESS" in names, "no _SUCCESS in %s" % names[:9], run)
        self.check("_MANIFEST.json" in names, "no _MANIFEST.json in %s" % names[:9], run)
        self.check(parts == ["part-%05d" % i for i in range(len(parts))], "part files are %s" % parts, run)
        strange = set(names) - set(parts) - {"_SUCCESS", "_MANIFEST.json"}
        self.check(not strange, "not an output file: %s" % sorted(strange), run)
        return b"".join(read_file(os.path.join(out, name)) for name in parts)

    def no_output(self, out, run=None, kept=False):
        """Checks that nothing was committed: no directory, or the empty one that was there before."""
        if kept:
            self.check(os.path.isdir(out), "the job removed a directory that it had not made", run)
            self.check(not os.listdir(out), "left in the output: %s" % os.listdir(out)[:9], run)
        elif os.path.exists(out):
            raise Failure("the failed job left %s with %s\n%s" % (out, os.listdir(out)[:9], run.describe()))

    def mount_tmpfs(self, options):
        """A file system of its own, or Skip."""
        if os.geteuid() != 0:
            raise Skip("needs root to mount a tmpfs")
        path = tempfile.mkdtemp(prefix="mnt.", dir=self.dir)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], capture_output=True)
        if done.returncode != 0:
            raise Skip("mounting a tmpfs is not allowed here")
        self.mounts.append(path)
        return path

    def close(self):
        for job in self.jobs:
            job.kill()
        for path in self.mounts:
            subprocess.run(["umount", "-l", path], capture_output=True)
        if self.options.keep:
            print("# kept: %s" % self.dir)
        else:
            remove_tree(self.dir)


def build_path(t, name):
    """A program of tests/e2e, beside whatever is tested."""
    return os.path.join(os.path.dirname(t.options.quern), "..", "..", "tests", "e2e", name)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def load_json(path):
    with open(path, "rb") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise Failure("%s is not JSON: %s" % (path, error))


def shared_directory(make, *args):
    """A directory that make(path, *args) fills once, for all tests of this program: they only read it."""
    key = (make, args)
    if key not in _shared:
        path = tempfile.mkdtemp(prefix="qe2e.")
        atexit.register(remove_tree, path)
        make(path, *args)
        _shared[key] = path
    return _shared[key]


def nodes(t, sizes, env=None, *launcher):
    """How run() and start() of a case do it on as many nodes: daemons of mpirun on this machine, each with a TMPDIR of its own, which know each other
    by TCP only."""
    agent = t.path("agent")
    if not os.path.exists(agent):
        t.write("agent", b"""#!/bin/sh
directory=$(dirname "$0")/nodes/$1
shift
mkdir -p "$directory"
export TMPDIR="$directory" OMPI_MCA_btl_vader_backing_directory="$directory" OMPI_MCA_btl_sm_backing_directory="$directory"
exec sh -c "$*"
""")
        os.chmod(agent, 0o755)
    hosts = ",".join("node%d:%d" % node for node in enumerate(sizes))
    return {"launcher": ("--host", hosts, *launcher),
            "env": {"OMPI_MCA_plm_rsh_agent": agent, "PRTE_MCA_plm_ssh_agent": agent, "OMPI_MCA_btl": "self,vader,tcp",
                    "OMPI_MCA_btl_tcp_if_include": "127.0.0.0/8", "OMPI_MCA_mpi_yield_when_idle": "1",
                    "OMPI_MCA_hwloc_base_binding_policy": "none", "QUERN_PIN": "off", **(env or {})}}


def remove_tree(path):
    """rm copes with directories deeper than the longest path; shutil.rmtree recurses too deep."""
    subprocess.run(["rm", "-rf", "--", path])


def xxh3_64_or_none():
    """XXH3 by a module or by the system's library (apt brings it), as a function; None when neither is there."""
    try:
        import xxhash
        return lambda data: xxhash.xxh3_64_intdigest(data)
    except ImportError:
        pass
    try:
        function = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    except (OSError, AttributeError):
        return None
    function.restype, function.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
    return lambda data: function(data, len(data))


# ---------------------------------------------------------------- TAP


def is_sanitized(path):
    """Whether the program was built with a sanitizer: slower, and its memory says nothing."""
    done = subprocess.run(["ldd", path], capture_output=True)
    data = read_file(path)
    return any(name in done.stdout for name in (b"libasan", b"libtsan", b"libubsan")) or b"__asan_init" in data


def parse_options():
    parser = argparse.ArgumentParser(description="End-to-end tests of word count; prints TAP.")
    parser.add_argument("--wordcount", required=True, help="the program")
    parser.add_argument("--quern", help="the command quern")
    parser.add_argument("--mpirun", default="mpirun", help="the launcher")
    parser.add_argument("--keep", action="store_true", help="keep the tests' directories")
    parser.add_argument("--slow", action="store_true", default=os.environ.get("E2E_SLOW") == "1",
                        help="also run what takes minutes or gigabytes (or E2E_SLOW=1)")
    parser.add_argument("only", nargs="*", help="run tests whose name has one of these in it")
    options = parser.parse_args()
    options.wordcount = os.path.realpath(options.wordcount)
    options.quern = options.quern and os.path.realpath(options.quern)
    return options


def bail_out_without(options):
    for what, path in (("the program", options.wordcount), ("the launcher", shutil.which(options.mpirun))):
        if not path or not os.access(path, os.X_OK):
            print("Bail out! %s is not there or cannot be run: %s" % (what, path), flush=True)
            sys.exit(1)


def rank_exe(path):
    """What /proc/PID/exe of a rank shows: the program, or the interpreter if it is a script."""
    first = read_file(path)[:200].split(b"\n")[0]
    if first.startswith(b"#!"):
        words = os.fsdecode(first[2:]).split()
        return shutil.which(words[-1] if words[0].endswith("env") else words[0])
    return path


def processor_seconds():
    """What we and all that we started and that ended have used."""
    return sum(usage.ru_utime + usage.ru_stime
               for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def run_test(options, function):
    """Result, detail of one test; nothing that it started or made stays."""
    case = Case(options, function.__name__)
    try:
        function(case)
        return "ok", ""
    except Skip as reason:
        return "skip", str(reason)
    except Failure as failure:
        return "not ok", str(failure)
    except Exception as error:  # a test that cannot go on is a failed test
        line = error.__traceback__
        while line.tb_next:
            line = line.tb_next
        return "not ok", "%s: %s (line %d)" % (type(error).__name__, error, line.tb_lineno)
    finally:
        case.close()


def main():
    """Runs the registered tests; exits 1 if one failed."""
    sys.stdout.reconfigure(errors="backslashreplace", line_buffering=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a test that is ended still cleans up
    options = parse_options()
    bail_out_without(options)
    options.sanitized = is_sanitized(options.wordcount)
    options.patience = 6 if options.sanitized else 1
    options.rank_exe = rank_exe(options.wordcount)
    chosen = [function for function in TESTS
              if not options.only or any(part in function.__name__ for part in options.only)]
    failed = 0
    print("1..%d" % len(chosen))
    for number, function in enumerate(chosen, 1):
        start, busy, launched = time.monotonic(), processor_seconds(), next(_runs)
        result, detail = run_test(options, function)
        seconds = time.monotonic() - start
        failed += result == "not ok"
        title = "%d - %s" % (number, function.__name__)
        if result == "skip":
            print("ok %s # SKIP %s" % (title, detail))
            continue
        print("%s %s" % (result, title))
        print("# %.2f s, %.2f s of processors, %d launches" % (seconds, processor_seconds() - busy,
                                                              next(_runs) - launched - 1))
        for line in detail.splitlines():
            print("#   " + line)
    sys.exit(1 if failed else 0)
