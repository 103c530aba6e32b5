#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_stream.py: `quern stream`, with commands in Python, awk, Perl and of coreutils, against what sort and Python make of the same lines."""
import collections
import gzip
import os
import random
import struct
import sys

from harness import load_json, main, marked_pids, read_file, test, wait_until

EXAMPLES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "examples", "stream")
WORDS = 15000  # in a file
SMALL = "--quern-split-bytes=64K"  # many tasks of little input


def stream(t, n, *args, status=0, **start):
    """The run, and what it wrote, if it is to succeed."""
    t.program = t.options.quern
    out = t.new_output()
    run = t.run(None, "stream", "-n", str(n), "-o", out, *args, **start)
    t.check(run.status == status, "status %d expected" % status, run)
    if status == 0:
        return t.committed(out, run)
    t.no_output(out, run)
    return run


def example(name):
    return {"py": "%s ", "pl": "perl ", "awk": "awk -f "}[name.split(".")[1]].replace("%s", sys.executable) + \
        os.path.join(EXAMPLES, name)


def script(t, name, text):
    """The command of a program in Python."""
    return "%s %s" % (sys.executable, t.write(name, text.encode()))


def words(seed, count):
    draw = random.Random(seed)
    return [b"w%d" % min(int(draw.expovariate(1 / 300)), 5000) for _ in range(count)]


def text_of(seed, count):
    all_words = words(seed, count)
    return b"".join(b" ".join(all_words[i:i + 9]) + b"\n" for i in range(0, count, 9))


def inputs(t):
    """A directory with files of text, one of them packed, and the right counts in the order of keys."""
    contents = [text_of(seed, WORDS) for seed in range(3)]
    for i, content in enumerate(contents[:2]):
        t.write("in/%d.txt" % i, content)
    t.write("in/2.gz", gzip.compress(contents[2]))
    counts = collections.Counter(b"".join(contents).split())
    return t.path("in"), b"".join(b"%s\t%d\n" % item for item in sorted(counts.items()))


@test
def words_are_counted_in_python_awk_and_perl(t):
    path, expected = inputs(t)
    for suffix in ("py", "awk", "pl"):
        mapper, adder = example("words." + suffix), example("sum." + suffix)
        combiner = () if suffix == "awk" else ("--combine", adder)
        counts = stream(t, 2, "--map", mapper, *combiner, "--reduce", adder, path)
        t.check(counts == expected, "%s counts otherwise" % suffix)


@test
def scratch_is_where_the_library_has_it(t):
    path = t.write("numbers", b"".join(b"%d\n" % i for i in range(1000000)))  # in one task, of which more comes out than is held in memory
    for env in ({"SLURM_TMPDIR": t.path("nowhere")}, {"QUERN_SCRATCH": t.tmp, "TMPDIR": t.path("nowhere")}):
        counts = stream(t, 1, "--map", "cat", path, "--quern-split-bytes=1G", env=env)
        t.check(counts == read_file(path), "other lines with %s" % env)


@test
def the_output_is_the_same_bytes_on_1_2_3_and_7_ranks(t):
    path, expected = inputs(t)
    adder = example("sum.awk")
    lines = None
    for n in (1, 2, 3, 7):
        counts = stream(t, n, "--map", example("words.awk"), "--combine", adder, "--reduce", adder, path, SMALL)
        t.check(counts == expected, "other counts on %d ranks" % n)
    for n in (1, 3):
        mapped = stream(t, n, "--shell", "--map", "tr a-z A-Z | cut -d ' ' -f 1-3", path, SMALL)
        lines = lines or mapped
        t.check(mapped == lines and lines.count(b"\n") > 4000, "other lines on %d ranks" % n)


@test
def reducers_see_keys_in_the_order_of_bytes_and_lines_as_they_were(t):
    lines = [b"b\t2", b"a\0c\tx\0", b"", b"a", b"a\t", b"\tno key", b"\xff\xfe\t\x80", b"a b\t1", b"b\t10", b"b\t2", b"\r"]
    path = t.write("lines", b"\n".join(lines))
    def order(line):
        key, tab, rest = line.partition(b"\t")
        return key, tab + rest
    expected = b"".join(line + b"\n" for line in sorted(lines, key=order))
    for n in (1, 2, 3):
        t.check(stream(t, n, "--map", "cat", "--reduce", "cat", path) == expected, "other lines on %d ranks" % n)
    t.check(stream(t, 2, "--map", "cat", "--combine", "cat", "--reduce", "cat", path) == expected, "other lines, combined")
    t.check(stream(t, 2, "--map", "cat", path) == b"\n".join(lines) + b"\n", "map alone gives other lines")


@test
def all_lines_of_a_key_come_to_one_process_however_many_they_are(t):
    path = t.write("hot", b"".join(b"%s\t%d\n" % (b"hot" if i % 8 else b"k%d" % i, i) for i in range(200000)))
    count = script(t, "count.py", """
import collections, sys
counts = collections.Counter(line.split(b"\\t")[0] for line in sys.stdin.buffer)
for key in sorted(counts):
    print(key.decode(), counts[key])
""")
    got = stream(t, 3, "--map", "cat", "--reduce", count, path, SMALL, "--quern-memory=64M").splitlines()
    t.check(len(got) == 25001 and b"hot 175000" in got, "%d lines" % len(got))


@test
def records_with_lengths_hold_any_bytes(t):
    read = """
import struct, sys
def records():
    while head := sys.stdin.buffer.read(8):
        lengths = struct.unpack(">II", head)
        yield [sys.stdin.buffer.read(length) for length in lengths]
def put(key, value):
    sys.stdout.buffer.write(struct.pack(">II", len(key), len(value)) + key + value)
"""
    mapper = script(t, "map.py", read + """
for _, line in records():
    put(line[:1], line[1:] + b"\\n\\t\\0")
    put(b"\\n\\0", line)
""")
    reducer = script(t, "reduce.py", read + """
for key, value in records():
    put(key, value)
""")
    lines = [b"x" * i + bytes([i]) for i in range(256) if i != 10]
    path = t.write("bytes", b"".join(line + b"\n" for line in lines))
    records = [(line[:1], line[1:] + b"\n\t\0") for line in lines] + [(b"\n\0", line) for line in lines]
    expected = b"".join(struct.pack(">II", len(key), len(value)) + key + value for key, value in sorted(records))
    for n in (1, 3):
        got = stream(t, n, "--format", "lengths", "--map", mapper, "--combine", reducer, "--reduce", reducer, path)
        t.check(got == expected, "other records on %d ranks" % n)
    cut = script(t, "cut.py", "import sys; sys.stdin.read(); sys.stdout.write('\\0\\0\\0\\5')")
    run = stream(t, 2, "--format", "lengths", "--map", cut, path, status=1)
    t.check(b"ends within a record" in run.stderr, "another message", run)


@test
def a_command_that_fails_is_named_with_its_input_and_what_it_said(t):
    path = t.write("text", text_of(1, 999))
    report = t.path("report")
    failing = script(t, "fail.py", """
import os, signal, sys
sys.stderr.write("first\\n" * 999 + "cannot go on:\\t\\x1b\\xff\\n" + "x" * 40 + "\\n")
sys.stderr.flush()
if sys.argv[1] == "exit":
    sys.exit(3)
os.kill(os.getpid(), signal.SIGSEGV)
""")
    run = stream(t, 2, "--map", failing + " exit", path, "--quern-report=" + report, status=1)
    for text in (b"'map': from byte 0 of ", b"text on: it ended with exit status 3; its standard error ends with \"",
                 b"cannot go on:\\t\\x1b\\xc3\\xbf\\n" + b"x" * 40 + b"\"", b"(attempt 4)"):
        t.check(text in run.stderr, "the message lacks %r" % text, run)
    t.check("exit status 3" in str(load_json(report)) and "cannot go on" in str(load_json(report)), "not in the report", run)
    run = stream(t, 2, "--map", "cat", "--reduce", failing + " signal", path, status=1)
    t.check(b"'reduce': signal 11 (Segmentation fault) ended it" in run.stderr, "another message", run)
    run = stream(t, 2, "--map", "cat", "--combine", failing + " exit", "--reduce", "cat", path, status=1)
    t.check(b"combine: it ended with exit status 3" in run.stderr, "another message", run)
    for timeout in (("--timeout", "1"), ("--quern-task-timeout=1",)):
        run = stream(t, 2, "--map", "sleep 60", *timeout, path, "--quern-attempts=1", status=1)
        t.check(b"it neither read nor wrote for 1 s" in run.stderr, "another message", run)


@test
def what_cannot_be_run_is_told_before_any_work(t):
    path = t.write("text", b"a\n")
    plain = t.write("plain", b"not a program")
    for command in ("no-such-program x", "/no/such/program", plain, t.dir, "'no such' program"):
        for args in (("--map", command), ("--map", "cat", "--reduce", command)):
            run = stream(t, 2, *args, path, status=127)
            t.check(run.stderr.startswith(b"quern: stream: --") and run.stderr.count(b"\n") == 1, "another message", run)
    for args in (("--map", "cat 'x"), ("--map", " "), ("--map", "cat", "--combine", "cat"), ("--map", "cat", "--format", "x"),
                 ("--reduce", "cat"), ("--map", "cat", "--timeout", "0"), ("--map", "cat", "--nonsense")):
        stream(t, 2, *args, path, status=2)
    t.check(stream(t, 2, "--map", "'cat' \"-\" ''-", path) == b"a\n", "quotes are read otherwise")
    run = stream(t, 2, "--map", "cat", path, "--quern-nonsense=1", status=2)
    t.check(run.stderr.count(b"quern-nonsense") == 1, "another message", run)
    run = stream(t, 2, "--map", "cat", path, "--quern-encrypt=" + plain, status=2)
    t.check(b"encrypt" in run.stderr, "another message", run)


@test
def commands_may_leave_input_unread_and_children_behind(t):
    content = text_of(2, 200000)
    path = t.write("text", content)
    first = content.split(b"\n")[0] + b"\n"
    one_task = "--quern-split-bytes=64M"
    t.check(stream(t, 2, "--map", "head -n 1", path, one_task) == first, "head gave something else")
    t.check(stream(t, 2, "--map", "cat", "--reduce", "head -n 1", path, one_task, "--quern-progress=off").count(b"\n") <= 2,
            "head of the order gave too much")
    t.check(stream(t, 2, "--map", "true", "--reduce", "cat", path, SMALL) == b"", "true gave something")
    t.check(stream(t, 2, "--shell", "--map", "sleep 600 & sleep 600 >&- 2>&- & echo x", path, one_task) == b"x\n",
            "a child that stayed changed the output")
    run = stream(t, 2, "--map", "sh -c 'exec 0<&-; sleep 0.2; exit 1'", path, one_task, "--quern-attempts=1", status=1)
    t.check(b"exit status 1" in run.stderr, "another message", run)


@test
def nothing_of_a_failed_attempt_is_in_the_output(t):
    path, expected = inputs(t)
    flaky = script(t, "flaky.py", """
import os, sys
stage, task = os.environ["QUERN_STREAM_STAGE"], os.environ["QUERN_STREAM_TASK"]
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
sys.stdout.flush()
if int(os.environ["QUERN_STREAM_ATTEMPT"]) < 3 and (stage == "reduce" or int(task) % 3 == 1):
    sys.stdout.buffer.write(b"never\\t1\\n")
    sys.stdout.flush()
    os.abort()
""")
    wanted = sorted(b"".join(text_of(seed, WORDS) for seed in range(3)).split(b"\n"))
    for n in (1, 3):
        got = stream(t, n, "--shell", "--map", "%s | %s" % (example("words.awk"), flaky), "--reduce", example("sum.awk"), path, SMALL)
        t.check(got == expected, "other counts on %d ranks" % n)
    lines = stream(t, 2, "--map", flaky, "--reduce", flaky, path, SMALL)
    t.check(sorted(lines.split(b"\n")) == wanted, "%d lines" % lines.count(b"\n"))


@test
def tasks_that_rest_for_epochs_or_go_to_another_rank_are_whole_all_the_same(t):
    path, expected = inputs(t)
    slow = script(t, "slow.py", """
import sys, time
for line in sys.stdin.buffer:
    for word in line.split():
        sys.stdout.buffer.write(word + b"\\t1\\n")
    time.sleep(2e-5)
""")
    for args in (("--checkpoint", t.path("ck"), "--quern-checkpoint-every=20ms"), ("--quern-speculate=on",)):
        got = stream(t, 3, "--map", slow, "--reduce", example("sum.awk"), path, "--quern-split-bytes=100K", *args)
        t.check(got == expected, "other counts with %s" % (args,))


@test
def commands_find_what_they_work_on_in_variables(t):
    for i in range(20):
        t.write("in/f%02d" % i, b"line\n" * 3)
    show = script(t, "show.py", """
import os, sys
lines = sys.stdin.read().count("\\n")
names = ("STAGE", "INPUT_FILE", "INPUT_OFFSET", "ATTEMPT", "FORMAT")
print(*(os.environ.get("QUERN_STREAM_" + name) for name in names), lines, "PMIX_RANK" in os.environ)
""")
    got = stream(t, 2, "--per-file", "--map", show, t.path("in")).decode()
    expected = "".join("map %s/f%02d 0 1 lines 3 False\n" % (t.path("in"), i) for i in range(20))
    t.check(got == expected, "other variables: %s" % got[:300])


@test
def long_lines_and_much_output_take_little_memory(t):
    path = t.write("long", b"short\n" + b"x" * 20_000_000 + b"\nend")
    for args in (("--map", "cat"), ("--map", "cat", "--combine", "cat", "--reduce", "cat")):
        got = stream(t, 2, *args, path)
        t.check(sorted(got.split(b"\n")) == sorted(read_file(path).split(b"\n") + [b""]), "other lines")
    seed = t.write("seed", b"".join(b"%d\n" % i for i in range(8)))
    t.program = os.path.join(os.path.dirname(t.options.quern), "..", "stream", "quern-stream")
    t.options.rank_exe, before = t.program, t.options.rank_exe
    try:
        out = t.new_output()
        run = t.run(2, "--map", "sh -c 'cat; seq 2000000 | tr 5 \"\\t\"'", "--reduce", "cat", "-o", out, "--quern-memory=64M",
                    "--quern-scratch=" + t.path(), seed, watch_memory=True)
    finally:
        t.options.rank_exe = before
    t.check(run.status == 0 and t.committed(out).count(b"\n") == 2000008, "other lines", run)
    t.check(0 < run.peak_rss_bytes < 300 << 20, "%d MiB" % (run.peak_rss_bytes >> 20), run)


@test
def nothing_is_left_when_the_launcher_is_killed(t):
    path = t.write("text", text_of(3, 9999))
    t.program = os.path.join(os.path.dirname(t.options.quern), "..", "stream", "quern-stream")
    for kill in ("terminate", "kill"):
        job = t.start(2, "--shell", "--map", "sleep 600 & sleep 600", "-o", t.new_output(), path)
        sleeping = lambda: sum(b"sleep" == read_comm(pid) for pid in marked_pids(job.mark)) >= 2
        t.check(wait_until(sleeping, 20), "no command began")
        getattr(job.process, kill)()
        t.check(wait_until(lambda: not job.pids(), 10), "left behind: %s" % job.pids())
        job.wait()


def read_comm(pid):
    try:
        return read_file("/proc/%d/comm" % pid).strip()
    except OSError:
        return b""


if __name__ == "__main__":
    sys.exit(main())
