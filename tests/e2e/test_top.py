#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_top.py: a job while it runs: figures of its ranks in the job directory, the page of quern top, and lines of progress."""
import fcntl
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

from harness import MARK, build_path, control_group, load_json, main, marked_pids, nodes, process_env, read_file, test, wait_until

LINES = b"".join(b"word%d\n" % (5 if i % 3 == 0 else i % 977) for i in range(2000000))
BLOCK_MIN = 400  # records, of short lines, while there are more
PATIENCE = 40  # seconds, on a busy machine
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\x7f\r\n\t'"


def quern(t, status, *words, cwd=None):
    done = subprocess.run([t.options.quern, *words], cwd=cwd or t.dir, stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C.UTF-8"})
    t.check(done.returncode == status, "%s: status %d\n%s" % (words, done.returncode, (done.stdout + done.stderr).decode(errors="replace")))
    return done.stdout


def slowly(t, n, *options, **start):
    """A job of minutes."""
    t.program = build_path(t, "resumed_job")
    path = t.path("input")
    if not os.path.exists(path):
        t.write("input", LINES)
    return t.start(n, "slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", t.path("job"), *options, **start)


def ranks_of(job):
    """A dictionary for each rank, or nothing."""
    path = os.path.join(job, "ranks.json")
    if not os.path.exists(path):
        return []
    made = load_json(path)
    return [dict(zip(made["columns"], row)) for row in made["ranks"]]


def all_work(job, n):
    ranks = ranks_of(job)
    return len(ranks) == n and all(rank["records"] > 0 and rank["task"] is not None for rank in ranks)


def is_clean(data):
    """Lines of printable characters."""
    return all(line.isprintable() for line in data.decode().split("\n"))


class Screen:
    """A program at a terminal."""

    def __init__(self, words, cwd, rows=24, columns=100, env=None):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.chdir(cwd)
            os.execvpe(words[0], words, {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
        self.text = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern, seconds=PATIENCE):
        """Forgets what was written before, and takes more until this comes."""
        self.text, end = "", time.monotonic() + seconds
        while not re.search(pattern, self.text, re.S):
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                return False
            try:
                self.text += os.read(self.terminal, 65536).decode(errors="replace")
            except OSError:
                return bool(re.search(pattern, self.text, re.S))
        return True

    def mode(self):
        return termios.tcgetattr(self.terminal)

    def last_page(self):
        return self.text.rsplit("\x1b[H", 1)[-1]

    def end(self):
        """Its exit status, once it has ended."""
        while self.wait_for(r"(?!)", 0.2):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def close(self):
        os.close(self.terminal)


@test
def each_rank_of_a_job_is_seen_from_anywhere_while_it_works(t):
    running = slowly(t, 7)
    t.check(wait_until(lambda: all_work(t.path("job"), 7), PATIENCE), "ranks: %s" % ranks_of(t.path("job")))
    ranks = ranks_of(t.path("job"))
    for rank in ranks:
        t.check(rank["state"] in ("map", "wait", "other", "spill", "shuffle") and rank["attempt"] == 1 and rank["memory_bytes"] > 2**20 and
                rank["work_ms"] > 0 and rank["silent_ms"] == 0, "a rank: %s" % rank)
    t.check(len({rank["task"] for rank in ranks}) == 7, "tasks: %s" % ranks)
    figures = load_json(t.path("job/status.json"))["figures"]
    t.check(figures["records"] > 0 and figures["memory_bytes"] >= 7 * 2**20 and figures["silent_ranks"] == 0, str(figures))
    page = quern(t, 0, "top", "--once", t.path("job"), cwd="/").decode()
    t.check(re.search(r": running, 7 ranks on 1 nodes", page) and len(re.findall(r"^ +\d .* map ", page, re.M)) >= 4, page)
    t.check(wait_until(lambda: figures_of(t)["hot_keys"], PATIENCE) and figures_of(t)["hot_keys"][0]["key"] == "word5", "no hot key")
    t.check("hot keys: 'word5'" in quern(t, 0, "top", cwd=t.path("job")).decode(), "the page")
    t.check(wait_until(lambda: alerts(t, "hot key"), PATIENCE), "no alert")
    time.sleep(1.5)
    t.check(len(alerts(t, "hot key")) == 1 and "'word5'" in alerts(t, "hot key")[0], str(alerts(t, "hot key")))
    t.check(read_file(t.path("job/log")).count(b"hot key: key 'word5'") == 1, "the log")
    running.kill()


def figures_of(t):
    return load_json(t.path("job/status.json"))["figures"]


@test
def ranks_of_other_nodes_are_seen_too(t):
    running = slowly(t, 5, **nodes(t, (2, 3)))
    t.check(wait_until(lambda: all_work(t.path("job"), 5), PATIENCE), "ranks: %s" % ranks_of(t.path("job")))
    ranks = ranks_of(t.path("job"))
    t.check([rank["node"] for rank in ranks] == [0, 0, 1, 1, 1] and not any(rank["silent_ms"] for rank in ranks), str(ranks))
    t.check(wait_until(lambda: figures_of(t)["bytes"] > 0, PATIENCE), str(figures_of(t)))
    running.kill()


@test
def a_rank_that_is_stopped_is_silent_and_so_is_a_job_whose_first_one_is(t):
    running = slowly(t, 3)
    t.check(wait_until(lambda: all_work(t.path("job"), 3), PATIENCE), "it does not work")
    pids = {int(process_env(pid, "OMPI_COMM_WORLD_RANK") or -1): pid for pid in running.pids()}
    os.kill(pids[2], signal.SIGSTOP)
    t.check(wait_until(lambda: figures_of(t)["silent_ranks"] == 1, PATIENCE), "not silent: %s" % ranks_of(t.path("job")))
    ranks = ranks_of(t.path("job"))
    t.check(figures_of(t)["slowest_rank"] == 2 and ranks[2]["silent_ms"] >= 4000 and not ranks[1]["silent_ms"], str(ranks))
    first = quern(t, 0, "top", "--sort=silence", "job").decode().split(" spilled\n")[1]
    t.check(re.match(r" +2 .* \d+ s  ", first), first)
    os.kill(pids[2], signal.SIGCONT)
    t.check(wait_until(lambda: figures_of(t)["silent_ranks"] == 0, PATIENCE), "still silent")
    screen = Screen([t.options.quern, "top", "--interval", "1", "job"], t.dir)
    t.check(screen.wait_for("running"), screen.text)
    os.kill(pids[0], signal.SIGSTOP)
    t.check(screen.wait_for(r"Nothing new came for \d+ s"), screen.last_page())
    running.kill()
    status = load_json(t.path("job/status.json"))
    t.write("job/status.json", json.dumps({**status, "updated": status["updated"] + 3600}).encode())  # a clock that is ahead
    t.check(screen.wait_for("running") and "Nothing new" not in screen.last_page(), screen.last_page())
    screen.type("q")
    t.check(screen.end() == 0, "status")
    screen.close()


@test
def the_page_at_a_terminal_orders_ranks_fits_it_and_leaves_it_as_it_was(t):
    make_files(t, 200)
    screen = Screen([t.options.quern, "top", "made"], t.dir, rows=20, columns=90)
    before = screen.mode()
    t.check(screen.wait_for(r"\x1b\[\?1049h.*q quit"), screen.text)
    t.check(screen.mode()[3] & (termios.ICANON | termios.ECHO) == 0, "the terminal echoes")
    for keys, first in (("m", 199), ("s", 100), ("l", 50), ("r", 0), ("jjk", 10)):
        screen.type(keys)
        pattern = r" silent[^\n]*\n(\x1b\[[0-9;]*m)? +%d " % first
        t.check(screen.wait_for(pattern if keys != "jjk" else r"\n +10 "), "%s: %r" % (keys, screen.last_page()))
    for rows, columns in ((40, 130), (10, 40)):
        screen.wait_for(r"(?!)", 0.3)  # what was drawn for the keys
        screen.resize(rows, columns)
        t.check(screen.wait_for("\x1b\\[H.*q quit.*\x1b\\[J"), screen.text)
        lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.last_page()).split("\r\n")
        t.check(len(lines) <= rows and max(map(len, lines)) <= columns, "%d rows of %d: %s" % (len(lines), max(map(len, lines)), lines))
    screen.type("q")
    t.check(screen.wait_for(r"\x1b\[\?25h\x1b\[\?1049l") and screen.end() == 0, "it does not leave")
    t.check(screen.mode()[:6] == before[:6], "the terminal is another one")
    screen.close()
    for number in (signal.SIGTERM, signal.SIGINT):
        screen = Screen([t.options.quern, "top", "made"], t.dir)
        t.check(screen.wait_for("q quit"), screen.text)
        os.kill(screen.pid, number)
        t.check(screen.wait_for(r"\x1b\[\?1049l") and screen.end() == 0, "it does not end")
        screen.close()


def make_files(t, count, hostile="", **more):
    """A job that ended, of so many ranks, as its files would be."""
    columns = ["node", "state", "task", "attempt", "tasks", "records", "bytes", "sent_bytes", "rounds", "spilled_bytes", "used_bytes",
               "memory_bytes", "work_ms", "silent_ms"]
    rows = [[i // 64, "map" + hostile, i, 1, 2, 3 * i, 4, 5, 6, 7, i, 1000, 10 + (i == 50), int(i == 100) * 9000] for i in range(count)]
    status = {"quern_status": 1, "state": "done", "error": hostile or None, "host": "first" + hostile, "process": 1, "ranks": count,
              "nodes": count // 64 + 1, "started": 1, "updated": 100, "run": 1, "stages": 2, "stage": None,
              "figures": {"records": 10, "hot_keys": [{"key": "k" + hostile, "share": 0.5}], "slowest_rank": 1, "slowest_host": "h" + hostile},
              "stages_over": [{"number": 1, "name": "name" + hostile, "seconds": 1.5, "bytes": 10}],
              "alerts": [{"kind": "kind" + hostile, "text": "text" + hostile}], **more}
    t.write("made/status.json", json.dumps(status).encode())
    t.write("made/ranks.json", json.dumps({"hosts": ["host%d%s" % (i, hostile) for i in range(count // 64 + 1)],
                                           "columns": columns, "ranks": rows}).encode())


def watch_records(t, running):
    """What status.json says of those of the first stage, whenever that is something else."""
    seen = []
    while running.process.poll() is None:
        status = load_json(t.path("job/status.json")) if os.path.exists(t.path("job/status.json")) else {}
        if (status.get("stage") or {}).get("number") == 1 and seen[-1:] != [status["figures"]["records"]]:
            seen.append(status["figures"]["records"])
        time.sleep(0.05)
    return seen


@test
def a_block_of_slow_callbacks_is_seen_to_advance(t):
    t.program = build_path(t, "straggling_job")
    path = t.write("input", b"".join(b"line %d\n" % i for i in range(1100)))
    ways = ((1, ()), (2, ("--quern-isolate=on", "--quern-bad-records=skip:1")), (2, ()), (1, ("--quern-isolate=on",)))
    for n, options in ways if t.options.slow else ways[:2]:
        out, began = t.new_output(), time.monotonic()
        running = t.start(n, "count", out, path, "--quern-job", t.path("job"), *options, env={"STRAGGLE": "0:8000000:8000000"})
        seen = watch_records(t, running)
        run = running.wait()
        print("# %d ranks %s: %s" % (n, " ".join(options), seen))
        t.check(run.status == 0, "the job failed", run)
        first = [records for records in seen if 0 < records < BLOCK_MIN]
        t.check(seen == sorted(seen) and max(seen) <= 1100, "they went back, or beyond the last: %s" % seen, run)
        t.check(len(first) >= 1 and len(seen) >= 5, "in %.1f s they were %s" % (time.monotonic() - began, seen), run)
        stages = load_json(t.path("job/report.json"))["stages"]
        t.check(sum(rank["source_records"] for rank in stages[0]["ranks"]) == 1100, "another sum in the report", run)
        shutil.rmtree(t.path("job"))


@test
def a_stage_that_reads_a_result_shows_how_far_it_is(t):
    stage = {"number": 2, "name": "sort by key", "seconds": 30, "tasks": 0, "tasks_done": 0, "bytes": 0, "bytes_done": 0, "bytes_before": 0}
    figures = {"records": 3000000, "result_records": 4000000}
    make_files(t, 2, state="running", stage=stage, figures=figures, updated=int(time.time()))
    for page in (quern(t, 0, "top", "--once", "made").decode(), quern(t, 0, "status", "made").decode()):
        t.check("75 %" in page and "10 s to go" in page and re.search("of 4000( k|000) records", page), page)


@test
def ten_thousand_ranks_are_shown_at_once(t):
    make_files(t, 10000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    page = quern(t, 0, "top", "--once", "--sort", "memory", "made").decode()
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    t.check(seconds < 2 * t.options.patience, "it took %.1f s of a processor" % seconds)
    ranks = [int(line.split()[0]) for line in page.split(" spilled\n")[1].splitlines()]
    t.check(ranks == list(range(9999, -1, -1)), "the order of ranks")
    t.check("ended, done, 10000 ranks on 157 nodes" in page and "stage 1  name: done in 1.5 s, 10 B read" in page, page[:500])


@test
def nothing_of_hostile_files_reaches_the_terminal_as_a_command(t):
    for more in ({}, {"state": HOSTILE}, {"stage": {"name": HOSTILE, "bytes": -1e308, "bytes_done": 1e308, "seconds": -5, "tasks": HOSTILE}},
                 {"alerts": HOSTILE, "stages_over": {}, "ranks": [], "updated": HOSTILE}, {"figures": [1]}, {"state": "running", "updated": 1e300}):
        make_files(t, 3, HOSTILE, **more)
        for words in (("top", "--once", "made"), ("status", "made")):
            done = subprocess.run([t.options.quern, *words], cwd=t.dir, capture_output=True, timeout=60, env={**os.environ, "LC_ALL": "C.UTF-8"})
            t.check(done.returncode in (0, 1) and is_clean(done.stdout) and is_clean(done.stderr), "%s, %s: %r" % (words, more, done.stdout))
    make_files(t, 3, HOSTILE)
    screen = Screen([t.options.quern, "top", "made"], t.dir)
    t.check(screen.wait_for("q quit.*\x1b\\[J"), screen.text)
    left = re.sub(r"\x1b\[(H|K|J|0m|1m|1;31m|\?1049h|\?25l)", "", screen.text).replace("\r\n", "")
    t.check(left.isprintable(), "%r" % left)
    screen.type("q")
    screen.end()
    screen.close()


@test
def files_that_are_none_are_no_status(t):
    whole = b'{"quern_status": 1, "state": "done", "host": "h"}'
    for data in (b"", whole[:20], whole.replace(b"h\"}", b"\\u0000\"}"), whole.replace(b"h\"}", b"\0\"}"), b"[" * 100000, b"[]", b"7", b'"\xff"'):
        t.write("made/status.json", data)
        said = quern(t, 1, "top", "--once", "made")
        t.check(is_clean(said), "%r: %r" % (data[:50], said))
    os.unlink(t.path("made/status.json"))
    os.mkfifo(t.path("made/status.json"))
    t.check(b"no status.json" in quern(t, 1, "top", "made"), "of a pipe")
    quern(t, 1, "status", "--json", "made")
    quern(t, 1, "top", "nowhere")
    for words in (("--interval", "0"), ("--interval", "x"), ("--sort", "size"), ("made", "--nonsense")):
        quern(t, 2, "top", *words)


@test
def lines_of_progress_in_a_log_are_few_and_plain(t):
    path = t.write("input", LINES[:500000])
    for n in (None, 2):
        run = t.succeed(n, path, "--quern-progress=on")
        said = run.stderr.decode()
        t.check(is_clean(run.stderr) and len(re.findall("^quern: stage 1 of 2 'read text': done in .* tasks, .* records/s, .* sent, .* spilled", said, re.M)) == 1
                and len(re.findall("^quern: stage 2 of 2 .*: done in ", said, re.M)) == 1, said, run)
        t.check(run.stdout and not re.search(r" left,", said), "lines within half a minute", run)


@test
def lines_of_progress_at_a_terminal_are_one_for_each_stage_and_fit(t):
    path = t.write("input", LINES[:3000000])
    screen = Screen([build_path(t, "resumed_job"), "slow", t.path("out1"), t.path("out2"), path, "--quern-progress=on", "--quern-split-bytes=32K"],
                    t.dir, columns=70)
    t.check(screen.wait_for(r"\r\x1b\[Kquern: stage 1 of \d 'read text': \d+ of \d+ tasks, \d+ %"), screen.text)
    t.check(screen.wait_for("(\r\x1b\\[K[^\n]*){5}"), screen.text)
    lines = [line for line in re.split("\r\x1b\\[K|\r\n", screen.text) if line]
    t.check(all(len(line) < 70 and line.isprintable() for line in lines) and "\n" not in screen.text, "%r" % screen.text)
    os.kill(screen.pid, signal.SIGKILL)
    screen.end()
    screen.close()


class Supervised:
    """A slow job under quern run at a terminal."""

    def __init__(self, t, words, columns=70):
        path = t.write("input", LINES[:3000000])
        self.job = [build_path(t, "resumed_job"), "slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", t.path("job")]
        self.env = {**t.environment(2, {}, True), "TERM": "xterm", "LC_ALL": "C.UTF-8", MARK: "supervised.%d" % os.getpid()}
        self.screen = Screen(words(self), t.dir, columns=columns, env=self.env)

    def ranks(self):
        """State of each rank, as a letter."""
        found = [pid for pid in marked_pids(self.env[MARK]) if process_env(pid, "OMPI_COMM_WORLD_RANK") and
                 os.path.basename(os.readlink("/proc/%d/exe" % pid)) == "resumed_job"]
        return "".join(sorted(read_file("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[0].decode() for pid in found))

    def end(self, t):
        self.screen.type("\x03")
        status = self.screen.end()
        self.screen.close()
        t.check(wait_until(lambda: not marked_pids(self.env[MARK]), PATIENCE), "processes are left")
        return status


def supervise(t, supervised, *words):
    return [t.options.quern, "run", "-n", "2", "--mpirun", t.options.mpirun, *words, "--", *supervised.job]


@test
def a_job_under_quern_run_has_a_line_for_the_stage_at_a_terminal(t):
    running = Supervised(t, lambda it: supervise(t, it))
    screen = running.screen
    t.check(screen.wait_for(r"\r\x1b\[Kquern: stage 1 of \d  read text: \d+ s  \[[#.]{20}\] \d+ %, "), screen.text)
    t.check(screen.wait_for("(\r\x1b\\[Kquern: stage 1[^\n]*){2}"), screen.text)
    lines = [line for line in re.split("\r\x1b\\[K|\r\n", screen.text) if line]
    t.check(all(len(line) < 70 and line.isprintable() for line in lines) and "\n" not in screen.text, "%r" % screen.text)
    t.check(running.end(t) != 0 and "\x1b[K" in screen.text, "it does not end")
    for words in (("--progress=off",), ("--progress=on", "--progress=off")):
        running = Supervised(t, lambda it: supervise(t, it, *words))
        t.check(not running.screen.wait_for("quern: stage", 3), running.screen.text)
        running.end(t)


@test
def a_log_has_lines_of_progress_if_they_are_asked_for_or_the_job_is_long(t):
    path, t.program = t.write("input", LINES[:500000]), t.options.quern
    for words, own, lines in ((("--progress=on",), (), 2), ((), (), 0), ((), ("--quern-progress=on",), 0), (("--progress=off",), (), 0)):
        run = t.run(None, "run", "-n", "2", "--job", t.path("job"), *words, "--", t.options.wordcount, path, *own)
        said = run.stderr.decode()
        t.check(run.status == 0 and is_clean(run.stderr) and len(re.findall(r"^quern: stage [12]  .*: done in \S+ s, .* read$", said, re.M)) == lines and
                ("of 2 'read text': done in" in said) == bool(own) and "of 2  " not in said, "%s %s: %s" % (words, own, said), run)
    if t.options.slow:
        job = [build_path(t, "resumed_job"), "slow", t.path("out1"), t.path("out2"), t.write("input", LINES[:12000000]), "--quern-split-bytes=32K"]
        running = t.start(None, "run", "-n", "2", "--job", t.path("long"), "--", *job)
        t.check(wait_until(lambda: b"quern: stage 1 of " in read_file(running.err_path), PATIENCE + 30), "no line of a long job")
        running.kill()


@test
def what_stops_quern_run_at_a_terminal_stops_the_ranks_and_they_go_on_with_it(t):
    shell = Supervised(t, lambda it: ["bash", "--norc", "--noprofile", "-i"], columns=200)
    screen = shell.screen
    screen.type(" ".join(supervise(t, shell)) + "\n")
    t.check(wait_until(lambda: all_work(t.path("job"), 2), PATIENCE), "it does not work: %s" % screen.text)
    for _ in range(2):
        screen.type("\x1a")
        t.check(screen.wait_for("Stopped"), "it does not stop: %s" % screen.text)
        t.check(wait_until(lambda: shell.ranks() == "TT", PATIENCE), "ranks are %s" % shell.ranks())
        time.sleep(0.3)
        t.check(shell.ranks() == "TT", "ranks are %s" % shell.ranks())
        screen.type("fg\n")
        t.check(wait_until(lambda: len(shell.ranks()) == 2 and "T" not in shell.ranks(), PATIENCE), "ranks are %s" % shell.ranks())
    before = load_json(t.path("job/status.json"))["stage"]["tasks_done"]
    t.check(wait_until(lambda: load_json(t.path("job/status.json"))["stage"]["tasks_done"] > before, PATIENCE), "they do not go on")
    screen.type("\x03")
    t.check(wait_until(lambda: not shell.ranks(), PATIENCE), "it does not end")
    screen.type("exit\n")
    screen.end()
    screen.close()


@test
def what_is_striking_is_told_while_the_job_runs_and_once(t):
    t.program = build_path(t, "straggling_job")
    path = t.write("lines", b"".join(b"%d and more text\n" % i for i in range(100000)))
    running = t.start(3, "count", t.path("out"), path, "--quern-job", t.path("job"), "--quern-speculate=off", "--quern-split-bytes=400K",
                      env={"STRAGGLE": "1:300000:0"})
    t.check(wait_until(lambda: alerts(t, "straggler"), PATIENCE), "no straggler: %s" % ranks_of(t.path("job")))
    t.check("rank 1 on " in alerts(t, "straggler")[0] and load_json(t.path("job/status.json"))["state"] == "running", str(alerts(t, "straggler")))
    t.check(b"! straggler: rank 1" in quern(t, 0, "top", "job"), "the page")
    running.kill()
    t.check(read_file(t.path("job/log")).count(b"straggler: rank 1") == 1, "the log")


@test
def a_disk_that_was_full_for_a_while_is_told_of_then_and_at_the_end(t):
    scratch = t.mount_tmpfs("size=16m")
    filler = os.path.join(scratch, "filler")
    with open(filler, "wb") as file:
        file.write(bytes(15900 << 10))
    running = slowly(t, 3, "--quern-scratch", scratch)
    t.check(wait_until(lambda: alerts(t, "disk"), PATIENCE), "no alert")
    t.check(re.fullmatch(r"the scratch file system of \S+ came to be 9[5-9] % full, .* were left", alerts(t, "disk")[0]), str(alerts(t, "disk")))
    os.unlink(filler)
    quern(t, 0, "cancel", "job")
    running.wait()
    for name in ("report", "status"):
        told = [alert["text"] for alert in load_json(t.path("job/%s.json" % name))["alerts"] if alert["kind"] == "disk"]
        t.check(len(told) == 1 and "came to be" in told[0], "%s: %s" % (name, told))
    t.check(read_file(t.path("job/log")).count(b": disk: the scratch file system of ") == 2, "the log")  # then, and with those of the report
    t.check(b"  disk: the scratch" in quern(t, 0, "report", "job"), "made again of the report")


@test
def what_is_known_at_the_begin_is_in_the_log_then(t):
    with control_group("memory", ("memory.limit_in_bytes", 1 << 30)) as start:
        running = slowly(t, 2, launcher=start)
        t.check(wait_until(lambda: alerts(t, "budget cut"), PATIENCE), "no alert")
        t.check(b" rank 0: budget cut: the memory budget is what cgroup v1 allows" in read_file(t.path("job/log")), "the log")
        running.kill()


def alerts(t, kind):
    path = t.path("job/status.json")
    return [alert["text"] for alert in load_json(path)["alerts"] if alert["kind"] == kind] if os.path.exists(path) else []


if __name__ == "__main__":
    main()
