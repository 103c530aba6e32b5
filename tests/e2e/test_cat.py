#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_cat.py: `quern cat` shows what jobs left, and says where it is damaged. tests/fuzz/fuzz_cat.c has the hostile files.

The programs are resumed_job.c and ordered_job.c, which die and leave checkpoints.
"""
import collections
import os
import random
import re
import shutil
import subprocess

from harness import build_path, main, read_file, test

CHECKPOINT = ("--quern-split-bytes=4K", "--quern-checkpoint-every=1h")


def cat(t, status, *args):
    done = subprocess.run([t.options.quern, "cat", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
    t.check(done.returncode == status, "status %d expected of %s, not %d: %s %s" % (
        status, args, done.returncode, done.stdout.decode()[-500:], done.stderr.decode()[-500:]))
    t.check(all(byte == 10 or byte == 9 or 32 <= byte < 127 for byte in done.stdout), "bytes for no terminal: %s" % (args,))
    return done.stdout.decode()


def saved_files(directory):
    return sorted(os.path.join(directory, name) for name in os.listdir(directory) if name.startswith("run-"))


def die_counting(t, *options):
    """A checkpoint with the counts of lines."""
    t.program = build_path(t, "resumed_job")
    chance = random.Random(3)
    lines = [b"line %d\t\\\xff" % chance.randrange(3000) for _ in range(20000)]
    lines.append(b"die")
    path = t.write("counted", b"\n".join(lines) + b"\n")
    saved = t.path("saved")
    run = t.run(2, "second", t.path("out1"), t.path("out2"), path, "--quern-checkpoint", saved, *CHECKPOINT, *options)
    t.check(run.status not in (0, 1, 2) and saved_files(saved), "it was not killed", run)
    return saved, collections.Counter(lines)


def escaped(data):
    return "".join("\\\\" if byte == 92 else chr(byte) if 32 <= byte < 127 else "\\x%02x" % byte for byte in data)


def records_of(text):
    return [line[2:] for line in text.split("\n")[1:] if line.startswith("  ") and "\t" in line]


@test
def the_counts_of_a_killed_job_are_in_its_files(t):
    saved, counts = die_counting(t)
    text = cat(t, 0, saved)
    t.check(re.match(r"\S+/journal: journal of a checkpoint, \d+ lines of \d+ bytes, checksums right\n  1 \{\"event\":\"start\"", text), text[:300])
    t.check(len(re.findall(r"^    run-\S+: rank \d of 2, \d+ records, checksums right$", text, re.M)) == len(saved_files(saved)), text)
    found = collections.defaultdict(list)
    for path in saved_files(saved):
        stage = re.search(r"run-1.stage-(\d+)", path).group(1)
        text = cat(t, 0, "--all", path)
        t.check("saved file of a reduction, of rank" in text and "records, checksums right" in text, text[-300:])
        found[stage] += records_of(text)
        t.check(len(records_of(cat(t, 0, "--records", "3", path))) == 3 and not records_of(cat(t, 0, "--records=0", path)), "their number")
    t.check(sorted(found["0"]) == sorted("%s\t%d" % (escaped(line), count) for line, count in counts.items()), "other counts")
    # Without the journal the blocks are there, and keys are bytes.
    alone = t.path("alone")
    shutil.copy(saved_files(saved)[0], alone)
    text = cat(t, 0, "--all", alone)
    t.check("which no journal beside it names" in text and re.search(r"  \d+ records in \d+ blocks in 1 runs, checksums right$", text.rstrip()), text[-300:])
    t.check(sorted(records_of(text)) == sorted(records_of(cat(t, 0, "--all", saved_files(saved)[0]))), "other records without the journal")


@test
def damage_is_found_wherever_it_is_and_told_with_a_status_of_its_own(t):
    saved, _ = die_counting(t)
    path = saved_files(saved)[0]
    whole, alone = read_file(path), t.path("alone")
    chance, used = random.Random(7), len(whole.rstrip(b"\0"))  # behind that nothing is read
    for at in [0, 4, 17, 39, used - 1] + [chance.randrange(used) for _ in range(8)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << chance.randrange(8)
        for where in (path, alone):
            with open(where, "wb") as file:
                file.write(changed)
            if where == path or at > 3:  # else it is of no kind any more
                t.check("DAMAGED: " in cat(t, 3, where), "byte %d" % at)
    for length in (0, 1, 39, 40, 41, used // 2, used - 1):
        for where in (path, alone):
            with open(where, "wb") as file:
                file.write(whole[:length])
            cat(t, 3 if where == path or length >= 4 else 1, where)
    t.check("DAMAGED" in cat(t, 3, saved) and re.search("shorter than it was written|truncated", cat(t, 3, saved)), "by the journal")
    os.remove(path)
    journal = os.path.join(saved, "journal")
    lines = read_file(journal)
    with open(journal, "wb") as file:
        file.write(lines[:-9] + b"X" + lines[-8:])
    t.check("are no line" in cat(t, 3, saved), "a changed line")
    for args in ((t.path("nowhere"),), ("/dev/null",), (t.write("text", b"words of no kind\n"),), (t.dir,)):
        cat(t, 1, *args)
    for args in ((), ("--records", "x", saved), ("--records=-1", saved), ("--nonsense", saved)):
        cat(t, 2, *args)


@test
def an_order_that_was_saved_has_its_records(t):
    t.program = build_path(t, "ordered_job")
    chance = random.Random(4)
    lines = [b"k%d\tleft %d" % (chance.randrange(500), i) for i in range(20000)]
    path, saved = t.write("left", b"\n".join(lines + [b"die\t"]) + b"\n"), t.path("saved")
    run = t.run(2, "sort", "after", t.path("out"), path, path, "--quern-checkpoint", saved, *CHECKPOINT)
    t.check(run.status not in (0, 1, 2) and saved_files(saved), "it was not killed", run)
    texts = [cat(t, 0, "--all", one) for one in saved_files(saved)]
    t.check(all("saved file of an order, of rank" in text for text in texts), texts[0][:200])
    shown = sorted(record.split("\t")[0] for text in texts for record in records_of(text))
    t.check(shown == sorted(line.split(b"\t")[0].decode() for line in lines + [b"die\t"]), "other keys: %s" % shown[:5])
    alone = t.path("alone")
    shutil.copy(saved_files(saved)[0], alone)
    t.check(re.search(r"^  \d+ packed records in \d+ bytes: ", cat(t, 0, alone), re.M), "packed records")


@test
def what_is_encrypted_is_shown_to_who_has_the_key(t):
    key, other = t.write("key", random.Random(1).randbytes(32)), t.write("other", random.Random(2).randbytes(32))
    for path in (key, other):
        os.chmod(path, 0o600)
    saved, counts = die_counting(t, "--quern-encrypt", key)
    t.check("signatures right" in cat(t, 0, saved, "--quern-encrypt", key), "no signatures")
    paths = [path for path in saved_files(saved) if "stage-0" in path]
    shown = [record for path in paths for record in records_of(cat(t, 0, "--all", "--quern-encrypt", key, path))]
    t.check(sorted(shown) == sorted("%s\t%d" % (escaped(line), count) for line, count in counts.items()), "other counts")
    for args in ((saved,), (saved, "--quern-encrypt", other)):
        t.check("line" not in cat(t, 1, *args), "a journal without its key")
    t.check("it is encrypted" in cat(t, 3, paths[0]), "a file without its key")
    cat(t, 1, saved, "--quern-encrypt", t.path("nowhere"))


@test
def outputs_jobs_and_archives_are_shown(t):
    path = t.write("words", b"to be or not to be\n" * 50)
    out, job = t.path("out"), t.path("job")
    t.succeed(2, "-o", out, "--quern-job", job, path)
    text = cat(t, 0, out, job, os.path.join(job, "report.json"))
    t.check(all(part in text for part in ("_MANIFEST.json: manifest of an output, version 1", "part-00000", "status of a job, version 1",
                                          '  state: "done"', "report of a job, ")), text[:3000])
    cut = t.write("cut.json", read_file(os.path.join(job, "report.json"))[:-20])
    t.check("DAMAGED: at byte" in cat(t, 3, cut), "a report that is cut short")
    packed = t.path("packed.zip")
    subprocess.run([t.options.quern, "pack", "-o", packed, path, out], check=True, stdout=subprocess.DEVNULL)
    text = cat(t, 0, packed)
    t.check("950\t" in text and "words" in text and re.search(r"^  \d members of \d+ bytes$", text, re.M), text)
    data = bytearray(read_file(packed))
    data[200] ^= 4
    t.check("DAMAGED: member 1" in cat(t, 3, t.write("bad.zip", bytes(data))), "a damaged member")


@test
def what_other_fuzzers_begin_with_ends_no_process(t):
    corpus, count = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "corpus"), 0
    for fuzzer in sorted(os.listdir(corpus)):
        paths = []
        for name in sorted(os.listdir(os.path.join(corpus, fuzzer))):
            data = read_file(os.path.join(corpus, fuzzer, name))
            # The first bytes choose what a fuzzer does with the others.
            paths += [t.write("%s/%d-%s" % (fuzzer, skipped, name), data[skipped:]) for skipped in range(3)]
        done = subprocess.run([t.options.quern, "cat", *paths], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=60)
        t.check(done.returncode in (1, 3), "status %d of %s: %s" % (done.returncode, fuzzer, done.stderr.decode(errors="replace")[-300:]))
        t.check(all(byte in (9, 10) or 32 <= byte < 127 for byte in done.stdout), "bytes for no terminal, of %s" % fuzzer)
        count += len(paths)
    t.check(count > 200, "only %d files" % count)


if __name__ == "__main__":
    main()
