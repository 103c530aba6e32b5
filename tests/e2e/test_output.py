#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_output.py: an output is whole or absent, options mean what they say, and failures say one clear thing."""
import os
import re
import subprocess

from harness import (Failure, Skip, compare_counts, count_words, load_json, main, parse_counts, read_file, test,
                     top_lines, xxh3_64_or_none)

TEXT = b"the cat sat on the mat\nand the dog sat on the cat\n" * 50
SOME_N = (None, 2, 4)


def many_words(count):
    return b" ".join(b"word-number-%07d" % i for i in range(count))


def tree_state(path):
    """Names, contents and times of all that is below a directory."""
    state = {}
    for folder, _, names in os.walk(path):
        for name in names:
            file = os.path.join(folder, name)
            state[file] = (read_file(file), os.stat(file).st_mtime_ns)
    return state


# ---------------------------------------------------------------- commit


@test
def an_output_directory_holds_parts_manifest_and_success_and_nothing_else(t):
    path = t.write("text", TEXT)
    for n in SOME_N:
        for args in ([], ["--quern-split-bytes=100"]):
            out = t.new_output()
            run = t.succeed(n, "-o", out, *args, path)
            difference = compare_counts(count_words(TEXT), parse_counts(t.committed(out, run)))
            t.check(difference is None, difference, run)
            t.check(run.stdout == b"", "-o without --top printed something", run)
            t.check(not run.messages, "a quiet job said something", run)
            t.check(os.path.getsize(os.path.join(out, "_SUCCESS")) < 4096, "_SUCCESS should be a marker", run)


@test
def the_manifest_agrees_with_the_parts(t):
    hash_of = xxh3_64_or_none()
    path = t.write("text", many_words(30000))
    for n in SOME_N:
        out = t.new_output()
        run = t.succeed(n, "-o", out, path)
        parts = load_json(os.path.join(out, "_MANIFEST.json"))["parts"]
        present = sorted(name for name in os.listdir(out) if name.startswith("part-"))
        t.check([part["name"] for part in parts] == present, "the manifest lists %s" % parts, run)
        for part in parts:
            data = read_file(os.path.join(out, part["name"]))
            t.check(part["bytes"] == len(data), "%s has %d bytes" % (part, len(data)), run)
            t.check(part["records"] == data.count(b"\n"), "%s has %d records" % (part, data.count(b"\n")), run)
            if hash_of:
                given = part["xxh3_64"]
                value = int(given.removeprefix("0x"), 16) if isinstance(given, str) else given
                t.check(value == hash_of(data), "%s hashes to %016x" % (part, hash_of(data)), run)
        t.check(sum(part["records"] for part in parts) == 30000, "the manifest counts other records", run)
    if not hash_of:
        print("# no XXH3 here: bytes and records checked, hashes not")


@test
def output_and_top_list_can_be_had_together(t):
    path = t.write("text", TEXT)
    counts = count_words(TEXT)
    for n in SOME_N:
        out = t.new_output()
        run = t.succeed(n, "-o", out, "--top", "3", path)
        t.check(run.stdout == top_lines(counts, 3), "wrong list: %r" % run.stdout, run)
        t.check(parse_counts(t.committed(out, run)) == counts, "wrong counts", run)


@test
def an_existing_directory_is_used_when_empty_and_refused_untouched_when_not(t):
    path = t.write("text", TEXT)
    t.write("full/_SUCCESS", b"")
    t.write("full/part-00000", b"old result\t1\n")
    t.write("hidden/.keep", b"")
    t.write("nested/dir/file", b"x")
    t.write("file", b"I am a file")
    for n in SOME_N:
        out = t.new_output()
        os.mkdir(out)
        run = t.succeed(n, "-o", out, path)
        t.check(parse_counts(t.committed(out, run)) == count_words(TEXT), "wrong counts", run)
        t.fail(n, "-o", out, path, naming=out)
        before = tree_state(t.dir)
        for name in ("full", "hidden", "nested", "file"):
            run = t.fail(n, "-o", t.path(name), path, naming=t.path(name))
        after = {file: state for file, state in tree_state(t.dir).items() if not file.startswith((t.logs, t.tmp))}
        before = {file: state for file, state in before.items() if not file.startswith((t.logs, t.tmp))}
        t.check(before == after, "a refused directory was changed: %s" % sorted(before.keys() ^ after.keys()), run)


@test
def a_refusal_comes_before_any_work(t):
    with open(t.path("large"), "wb") as file:
        file.truncate(64 << 30)  # a hole: a minute of reading
    t.write("full/file", b"")
    for n in (None, 2):
        t.fail(n, "-o", t.path("full"), t.path("large"), naming=t.path("full"), timeout=15)


@test
def a_failed_job_leaves_no_output(t):
    path = t.write("text", TEXT)
    for n in SOME_N:
        out = t.new_output()
        run = t.fail(n, "-o", out, path, t.path("missing"), naming=t.path("missing"))
        t.no_output(out, run)
        os.mkdir(out)
        run = t.fail(n, "-o", out, path, t.path("missing"), naming=t.path("missing"))
        t.no_output(out, run, kept=True)


@test
def odd_names_of_output_directories_work(t):
    path = t.write("text", TEXT)
    for n, name in ((None, b"with space"), (2, b"new\nline"), (2, b"\xff\xfe"), (None, b"100%s"), (2, b"trailing/"),
                    (None, b"./dot/../dotted"), (2, b"-dash")):
        os.makedirs(t.path("dot"), exist_ok=True)
        run = t.succeed(n, "-o", name, path, cwd=t.dir)
        data = t.committed(os.path.join(t.dir, os.fsdecode(name)), run)
        t.check(parse_counts(data) == count_words(TEXT), "wrong counts", run)


@test
def an_output_inside_the_input_is_not_counted(t):
    t.write("data/text", TEXT)
    for n in (None, 2):
        out = t.path("data/zz-out%s" % n)
        run = t.succeed(n, "-o", out, t.path("data"))
        t.check(parse_counts(t.committed(out, run)) == count_words(TEXT), "the job counted its own output", run)
        subprocess.run(["rm", "-r", out], check=True)


@test
def a_parent_that_is_missing_or_read_only_is_a_clear_error(t):
    path = t.write("text", TEXT)
    t.write("file", b"")
    for n in (None, 2):
        out = t.path("no/such/parent")
        run = t.run(n, "-o", out, path)
        if run.status == 0:  # making the parents is as good
            t.check(parse_counts(t.committed(out, run)) == count_words(TEXT), "wrong counts", run)
            subprocess.run(["rm", "-r", t.path("no")], check=True)
        else:
            t.check(run.status == 1 and len(run.messages) == 1 and b"no/such" in run.stderr, "no clear error", run)
            t.check(not os.path.exists(t.path("no")), "left something behind", run)
        run = t.fail(n, "-o", t.path("file/below"), path, naming=t.path("file/below"))
    if os.geteuid() == 0:
        parent = t.mount_tmpfs("size=1m")
        subprocess.run(["mount", "-o", "remount,ro", parent], check=True, capture_output=True)
    else:
        parent = t.path("closed")
        os.mkdir(parent, 0o555)
    for n in (None, 2):
        run = t.fail(n, "-o", os.path.join(parent, "out"), path, naming=os.path.join(parent, "out"))
        t.check(re.search(b"Read-only|Permission denied", run.stderr), "the cause is not named", run)


@test
def a_full_disk_is_a_clear_error_and_leaves_no_output(t):
    path = t.write("text", many_words(400000))
    disk = t.mount_tmpfs("size=2m")
    for n in (None, 2, 4):
        for made_before in (False, True):
            out = os.path.join(disk, "out")
            if made_before:
                os.mkdir(out)
            run = t.fail(n, "-o", out, path, naming=("No space left", disk), timeout=30)
            t.no_output(out, run, kept=made_before)
            if made_before:
                os.rmdir(out)
    run = t.succeed(2, "-o", os.path.join(disk, "out"), t.write("small", TEXT))
    t.committed(os.path.join(disk, "out"), run)


@test
def a_list_that_cannot_be_printed_is_an_error(t):
    path = t.write("text", TEXT)
    if not os.path.exists("/dev/full"):
        raise Skip("no /dev/full")
    run = t.run(None, path, stdout="/dev/full")
    t.check(run.status == 1 and run.messages, "the list was lost in silence", run)


# ---------------------------------------------------------------- options and usage


@test
def wrong_usage_exits_with_2_and_a_usage_line(t):
    path = t.write("text", TEXT)
    cases = [[], ["--no-such-option", path], ["-z", path], [path, "-o"], [path, "--top"], ["--top", "many", path],
             ["--top", "-1", path], ["--top", "3x", path], ["--quern-no-such=1", path], ["--quern-memory=lots", path],
             ["--quern-memory=", path], ["--quern-memory=-5", path], ["--quern-split-bytes=1Q", path],
             ["--quern-progress=maybe", path], [path, "--quern-report"], ["-o", t.path("out")]]
    for i, args in enumerate(cases):
        for n in ([None, 2] if i in (0, 1, 5, 8, 9) else [None]):
            run = t.run(n, *args)
            t.check(run.status == 2, "status 2 expected", run)
            t.check(b"usage" in run.stderr.lower(), "no usage line", run)
            t.check(run.stdout == b"", "a failed job printed to stdout", run)
            t.check(len(set(run.messages)) == len(run.messages), "several ranks said the same", run)
            t.check(not os.path.exists(t.path("out")), "wrong usage made a directory", run)


@test
def options_are_taken_from_arguments_and_from_the_environment(t):
    path = t.write("text", TEXT)
    ways = [(["--quern-report=" + t.path("r0")], {}), (["--quern-report", t.path("r1")], {}),
            ([], {"QUERN_REPORT": t.path("r2")}),
            (["--quern-report=" + t.path("r3")], {"QUERN_REPORT": t.path("not-this")})]
    for n in (None, 2):
        for i, (args, env) in enumerate(ways):
            run = t.succeed(n, *args, path, env=env)
            t.check(os.path.exists(t.path("r%d" % i)), "no report by way %d" % i, run)
            load_json(t.path("r%d" % i))
            os.remove(t.path("r%d" % i))
            t.check(not os.path.exists(t.path("not-this")), "the environment beat the argument", run)
        run = t.succeed(n, path, "--quern-split-bytes", "10", "--top", "2", env={"QUERN_MEMORY": "1G"})
        t.check(run.stdout == top_lines(count_words(TEXT), 2), "wrong list: %r" % run.stdout, run)
    run = t.run(None, path, env={"QUERN_SPLIT_BYTES": "nonsense"})
    t.check(run.status == 2 and b"nonsense" in run.stderr, "a bad value in the environment is not named", run)


@test
def progress_and_log_do_not_touch_the_answer(t):
    path = t.write("text", TEXT * 2000)
    expected = top_lines(count_words(TEXT * 2000))
    for n in (None, 2):
        run = t.succeed(n, "--quern-progress=on", path)
        t.check(run.stdout == expected, "progress changed stdout: %r" % run.stdout[:200], run)
        run = t.succeed(n, "--quern-progress=off", "--quern-pin=off", path)
        t.check(run.stdout == expected and not run.messages, "not quiet", run)
        run = t.succeed(n, "--quern-log=" + t.path("log"), path)
        t.check(run.stdout == expected and not run.messages, "not quiet", run)
        t.check(os.path.getsize(t.path("log")) > 0, "the log is empty", run)
        run = t.succeed(n, "--quern-log=-", path)
        t.check(run.stdout == expected, "the log changed stdout", run)
        t.check(run.messages, "nothing was logged to stderr", run)


@test
def a_report_or_log_that_cannot_be_written_is_a_clear_error(t):
    path = t.write("text", TEXT)
    for n in (None, 2):
        for name in ("report", "log"):
            target = t.path("no", "such", name)
            run = t.run(n, "--quern-%s=%s" % (name, target), path)
            if run.status == 0:
                raise Failure("the %s was lost in silence\n%s" % (name, run.describe()))
            t.check(target.encode() in run.stderr, "the message does not name the file", run)


@test
def a_report_that_cannot_be_written_ends_the_job_before_any_work(t):
    with open(t.path("large"), "wb") as file:
        file.truncate(64 << 30)  # a hole: a minute of reading
    for n in (None, 2):
        out = t.new_output()
        for target in (t.path("no", "such", "report"), t.dir):
            run = t.fail(n, "--quern-report=" + target, "-o", out, t.path("large"), naming=target, timeout=15)
            t.no_output(out, run)


@test
def a_report_is_written_over_an_older_one_and_to_what_is_no_file(t):
    path = t.write("text", TEXT)
    for n in (None, 2):
        for target in ("old", "link", "link to nowhere"):
            t.write("old", b"x" * 100000)
            for link, to in (("link", "old"), ("link to nowhere", "new%s" % n)):
                if not os.path.islink(t.path(link)):
                    os.symlink(t.path(to), t.path(link))
            t.succeed(n, "--quern-report=" + t.path(target), path)
            t.check(load_json(t.path(target))["status"] == "QUERN_OK", "no report in %s" % target)
        os.remove(t.path("link to nowhere"))
        run = t.succeed(n, "--quern-report=/dev/stderr", path)
        t.check(b'"quern_report": 1' in run.stderr, "no report on a pipe", run)
        if os.path.exists("/dev/full"):
            out = t.new_output()
            run = t.fail(n, "--quern-report=/dev/full", "-o", out, path, naming=("/dev/full", "No space left"))
            t.no_output(out, run)


if __name__ == "__main__":
    main()
