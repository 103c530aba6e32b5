#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_kmercount.py: k-mers of FASTA and FASTQ files by the example, against Python and, where it is installed, Jellyfish; prints TAP.

With --slow also k of more lengths, and every content packed in every form.
"""
import collections
import json
import os
import random
import shutil
import subprocess

import harness
from example_kit import check_lines, output, output_of_all, refuses_misuse
from harness import test

COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def kmers_of(sequences, k):
    """Canonical k-mers, letter by letter."""
    counts = collections.Counter()
    for sequence in sequences:
        sequence = sequence.upper()
        for at in range(len(sequence) - k + 1):
            kmer = sequence[at:at + k]
            if not kmer.strip(b"ACGT"):
                counts[min(kmer, kmer.translate(COMPLEMENT)[::-1])] += 1
    return [b"%s\t%d" % item for item in counts.items()]


def bases(rng, count, letters=b"ACGT"):
    return bytes(rng.choices(letters, k=count))


def wrap(text, width, end):
    return b"".join(text[at:at + width] + end for at in range(0, len(text), width))


def fasta(rng, sequences, end=b"\n"):
    return b"".join(b">%d > name" % i + end + wrap(sequence, rng.choice((1, 7, 60, 10**7)), end)
                    for i, sequence in enumerate(sequences))


def fastq(rng, sequences, end=b"\n", width=10**7):
    return b"".join(b"@%d" % i + end + (wrap(sequence, width, end) or end) + b"+" + end +
                    (wrap(bytes(rng.choices(b"@+>I#", k=len(sequence))), width, end) or end)
                    for i, sequence in enumerate(sequences))


def sequences_of(rng, count, longest):
    letters = (b"ACGT", b"ACGTacgt", b"ACGTN", b"ACGTNacgtn-*", b"A")
    return [bases(rng, rng.choice((0, 1, 30, rng.randint(0, longest))), rng.choice(letters)) for _ in range(count)]


def write_all(t):
    """One file of each form; returns the paths and the sequences that are in them."""
    rng = random.Random(4)
    sets = [sequences_of(rng, 60, 400) for _ in range(6)] + [[bases(rng, 150000, b"ACGTACGTacgtN")]]
    files = {
        "a.fa": fasta(rng, sets[0]), "b.fasta": fasta(rng, sets[1], b"\r\n")[:-2], "c.fq": fastq(rng, sets[2]),
        "d.fastq": fastq(rng, sets[3], b"\r\n"), "e.fq": fastq(rng, sets[4], width=9),
        "f.gz": subprocess.run(["gzip", "-c"], input=fastq(rng, sets[5]), stdout=subprocess.PIPE, check=True).stdout,
        "long.fa": fasta(rng, sets[6]), "empty": b"",
    }
    return [t.write(name, content) for name, content in files.items()], [one for some in sets for one in some]


def check(t, k):
    t.use("kmercount")
    paths, sequences = write_all(t)
    check_lines(t, output_of_all(t, "-k", str(k), *paths), kmers_of(sequences, k))


@test
def kmers_of_one_word_are_counted_on_any_number_of_ranks(t):
    check(t, 21)


@test
def kmers_of_several_words_are_counted_on_any_number_of_ranks(t):
    check(t, 71)


@test
def kmers_of_every_length_about_those_of_words_are_counted(t):
    t.use("kmercount")
    rng = random.Random(9)
    sequences = sequences_of(rng, 30, 300) + [b"ACGT" * 40, b"T" * 200, bases(rng, 1100)]
    path = t.write("x", fastq(rng, sequences))
    for k in (1, 2, 3, 4, 16, 31, 32, 33, 63, 64, 65, 96, 100, 1024) if t.options.slow else (1, 4, 31, 32, 33, 64, 65, 1024):
        check_lines(t, output(t, 2, "-k", str(k), path), kmers_of(sequences, k))


@test
def kmers_over_the_pieces_of_a_long_sequence_are_counted_once(t):
    t.use("kmercount")
    rng = random.Random(10)
    sequence = bases(rng, 400000 if t.options.slow else 150000)
    path = t.write("x", b">x\n" + wrap(sequence, 61, b"\n"))
    for k in (30, 1024):
        check_lines(t, output(t, 2, "--quern-split-bytes=20000", "-k", str(k), path), kmers_of([sequence], k))


def packed_forms(t, name, content):
    """The same file packed in every way: as one stream, in units that end anywhere in it, and as members of archives."""
    third = len(content) // 3
    parts = content[:third], content[third:2 * third], content[2 * third:]
    def run(*command, stdin=None, cwd=None):
        return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, cwd=cwd).stdout

    directory = t.path("packed")
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(directory)
    for i in (1, 2):  # members, one of them large enough to be cut by bytes
        with open(os.path.join(directory, "%d%s" % (i, name)), "wb") as file:
            file.write(content if i == 1 else b"")
    t.write("packed.tar", run("tar", "-C", directory, "-cf", "-", "."))
    if os.path.exists(t.path("packed.zip")):  # zip would add to it
        os.remove(t.path("packed.zip"))
    run("zip", "-q", "-r", t.path("packed.zip"), ".", cwd=directory)
    return {
        "gzip": t.write("x.gz", run("gzip", "-c", stdin=content)),
        "bgzip": t.write("x.bgzf", run("bgzip", "-c", stdin=content)),
        "zstd": t.write("x.zst", b"".join(run("zstd", "-c", "-q", stdin=part) for part in parts)),
        "lz4": t.write("x.lz4", b"".join(run("lz4", "-c", "-q", stdin=part) for part in parts)),
        "bzip2": t.write("x.bz2", b"".join(run("bzip2", "-c", stdin=part) for part in parts)),
        "xz": t.write("x.xz", run("xz", "-c", "--block-size=20000", stdin=content)),
        "tar": t.path("packed.tar"), "zip": t.path("packed.zip"),
        "tar.gz": t.write("x.tar.gz", run("gzip", "-c", stdin=run("tar", "-C", directory, "-cf", "-", "."))),
    }


@test
def kmers_of_packed_files_are_the_same_on_any_number_of_ranks(t):
    t.use("kmercount")
    rng = random.Random(12)
    reads = [bases(rng, rng.randint(0, 300)) for _ in range(400)]
    long = [bases(rng, 120000), bases(rng, 10)]
    contents = ((".fq", fastq(rng, reads), reads), (".fq", fastq(rng, reads, width=50), reads), (".fa", fasta(rng, reads), reads),
                (".fa", fasta(rng, long), long))
    for i, (name, content, sequences) in enumerate(contents):
        expected = kmers_of(sequences, 21)
        for j, (how, path) in enumerate(packed_forms(t, name, content).items()):
            if t.options.slow:
                ranks = (1, 3, 7) if i < 2 and how in ("gzip", "zstd") else (2,)
            else:
                ranks = ((2, 7, 1, 3)[j // 2 % 4],) if (i + j) % 2 == 0 else ()
            for n in ranks:
                split = rng.choice((500, 5000, 50000))
                check_lines(t, output(t, n, "--quern-split-bytes=%d" % split, "-k", "21", path), expected)


@test
def one_packed_file_is_work_for_all_ranks(t):
    t.use("kmercount")
    rng = random.Random(13)
    reads = [bases(rng, 200) for _ in range(12000)]
    content = fastq(rng, reads)
    forms = packed_forms(t, ".fq", content)
    for how in ("gzip", "bgzip", "zstd", "tar"):
        report = t.path("report.json")
        output(t, 3, "--quern-split-bytes=100000", "--quern-report=" + report, "-k", "21", forms[how])
        with open(report) as file:
            attempts = [rank["attempts"] for rank in json.load(file)["stages"][0]["ranks"]]
        t.check(sum(count > 0 for count in attempts) > 1, "%s: only one rank worked: %s" % (how, attempts))


@test
def kmers_are_those_of_jellyfish(t):
    if not shutil.which("jellyfish"):
        print("# jellyfish is not installed")
        return
    t.use("kmercount")
    rng = random.Random(11)
    genome = bases(rng, 30000)
    reads = [genome[at:at + 100] if rng.random() < 0.5 else genome[at:at + 60] + b"N" + genome[at + 61:at + 90].lower()
             for at in (rng.randrange(len(genome)) for _ in range(3000))]
    for name, content in (("x.fq", fastq(rng, reads)), ("x.fa", fasta(rng, reads))):
        path = t.write(name, content)
        for k in (5, 21, 31, 32):
            counts = t.path("counts.jf")
            subprocess.run(["jellyfish", "count", "-C", "-m", str(k), "-s", "1M", "-o", counts, path], check=True)
            lines = subprocess.run(["jellyfish", "dump", "-c", "-t", counts], stdout=subprocess.PIPE, check=True).stdout
            check_lines(t, output(t, 3, "-k", str(k), path), lines.split(b"\n")[:-1])


@test
def what_is_no_sequence_is_named(t):
    t.use("kmercount")
    path = t.write("x.fq", b"@a\nACGT\n+\nIIII\n@b\nACGT\n+\nIII\n")
    run = t.run(2, "-k", "3", "-o", t.new_output(), path)
    t.check(run.status == 1 and b"byte 15 of" in run.stderr, "byte 15 expected", run)


@test
def kmercount_refuses_misuse(t):
    t.use("kmercount")
    path = t.write("x", b">a\nA\n")
    refuses_misuse(t, b"usage: kmercount", (), (path,), ("-o", "out", path), ("-k", "0", "-o", "out", path),
                   ("-k", "1025", "-o", "out", path), ("-k", "3x", "-o", "out", path), ("-k", "3", "-o", "out"))


if __name__ == "__main__":
    harness.main()
