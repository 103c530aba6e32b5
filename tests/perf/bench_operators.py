#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Sort, sum by key, join and PageRank against the best bare C programs for the same work: medians and ratios.

The programs of a job run by turns, so that a noisy machine is noisy for all, each on warm memory and with its input in the
page cache. Start-up is apart: a bare program's clock begins in main, Quern's is the report's elapsed_seconds; of PageRank both clocks
are of one iteration, Quern's by the times in its log. What a program prints as name=value and the bare one as well (groups=, check=, order=) must be the same. A program of Quern that is
not built is left out, and so is DuckDB unless --duckdb names a directory where it is or may be installed."""
import argparse
import collections
import glob
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

# name: kind, rows and options for `generate`; temporary ones are removed after the job.
Input = collections.namedtuple("Input", "kind rows keys choice seed temporary")
INPUTS = {
    "records1g.bin": Input("records", 10e6, 1, "uniform", 1, False),
    "records4g.bin": Input("records", 40e6, 1, "uniform", 4, True),
    "lines1g.txt": Input("lines", 10e6, 1, "uniform", 1, True),
    "introws.bin": Input("ints", 200e6, 100e6, "each", 1, False),
    "zipfrows.bin": Input("ints", 20e6, 1e6, "zipf", 5, True),
    "halfrows.bin": Input("ints", 20e6, 1e6, "half", 6, True),
    "textrows.tsv": Input("text", 20e6, 1e6, "uniform", 1, False),
    "joinleft.bin": Input("ints", 10e6, 10e6, "each", 2, False),
    "joinright.bin": Input("ints", 100e6, 20e6, "uniform", 3, False),
    "edges.txt": Input("edges", 20e6, 1048576, None, 1, False),
}

# {out} is a path of its own for each run, {scratch} a directory, and the names of inputs stand for their paths.
# The ratio is of bare_clock and quern_clock: figures that the programs print, elapsed_seconds of the report, or the time of a step, by the line
# LOGGED of the log ({log}): of all steps, the first one, in which no link is followed, among them.
Job = collections.namedtuple("Job", "name bare quern warm_gib unit size bare_clock quern_clock duckdb")
ELAPSED, ITERATION = "elapsed_seconds", "iteration_seconds"
LOGGED = re.compile(r"^quern [0-9.]+ rank 0: links: .* to load, (\d+) steps in ([0-9.]+) s$", re.MULTILINE)
JOBS = [
    Job("sort", "bare_sort {records1g.bin}", "quern_jobs sort {records1g.bin}", 6, "GB/s", 1e9, "total_s", ELAPSED, None),
    Job("sort_to_file", "bare_sort -o {out} {records1g.bin}", "sortrecords -o {out} {records1g.bin}", 6, "GB/s", 1e9,
        "total_s", ELAPSED, "sort {out} {lines1g.txt}"),
    Job("sort_in_512m", "bare_sort --memory 512M --scratch {scratch} -o {out} {records4g.bin}",
        "sortrecords --quern-memory=512M --quern-scratch={scratch} -o {out} {records4g.bin}", 2, "GB/s", 4e9,
        "total_s", ELAPSED, None),
    Job("groupsum", "bare_groupsum --ints {introws.bin}", "quern_jobs ints {introws.bin}", 8, "M rows/s", 200e6,
        "total_s", ELAPSED, "groupsum 200000000 100000000"),
    Job("groupsum_text", "bare_groupsum --text {textrows.tsv}", "quern_jobs text {textrows.tsv}", 4, "M rows/s", 20e6,
        "total_s", ELAPSED, "groupsum_text {textrows.tsv}"),
    Job("groupsum_to_file", "bare_groupsum -o {out} --text {textrows.tsv}", "groupsum -o {out} {textrows.tsv}", 4, "M rows/s", 20e6,
        "total_s", ELAPSED, None),
    Job("groupsum_zipf", "bare_groupsum --ints {zipfrows.bin}", "quern_jobs ints {zipfrows.bin}", 4, "M rows/s", 20e6,
        "total_s", ELAPSED, None),
    Job("groupsum_half", "bare_groupsum --ints {halfrows.bin}", "quern_jobs ints {halfrows.bin}", 4, "M rows/s", 20e6,
        "total_s", ELAPSED, None),
    Job("join", "bare_join {joinleft.bin} {joinright.bin}", "quern_jobs join {joinleft.bin} {joinright.bin}", 6, "M rows/s", 110e6,
        "total_s", ELAPSED, "join 10000000 100000000 20000000"),
    Job("pagerank", "bare_pagerank -n 20 {edges.txt}",
        "pagerank --iterations 20 --quern-log={log} -o {out} {edges.txt}", 6, "M edges/s", 20e6, "iteration_s", ITERATION,
        None),
    Job("wordcount", None, None, 6, "GB/s", None, None, None, "wordcount {words}"),
]
UNITS = {"GB/s": 1e9, "M rows/s": 1e6, "M edges/s": 1e6}
COMPARED = ("order", "records", "groups", "check", "matches", "vertices")


class Bench:
    def __init__(self, args, scratch):
        self.args, self.scratch = args, scratch
        self.data = args.data or os.path.join(scratch, "data")
        os.makedirs(self.data, exist_ok=True)
        self.warm = os.path.join(args.programs, "warm")

    def input_path(self, name):
        if self.args.scale == 1:
            return os.path.join(self.data, name)
        return os.path.join(self.data, "%g-%s" % (self.args.scale, name))

    def make_input(self, name):
        """An input that is there is taken for the right one."""
        what, path = INPUTS[name], self.input_path(name)
        if os.path.exists(path):
            return path
        command = [os.path.join(self.args.programs, "generate"), what.kind, "-o", path + ".part", "--seed",
                   str(what.seed), "--rows", str(max(1, int(what.rows * self.args.scale))),
                   "--keys", str(max(1, int(what.keys * self.args.scale)))]
        spawn(command + (["--choice", what.choice] if what.choice else []))
        os.rename(path + ".part", path)
        return path

    def words(self, text, out):
        """The words of a command, and the input files in it."""
        paths = {"out": out, "scratch": self.scratch, "words": self.args.words, "log": self.log_path()}
        inputs = []
        for name in re.findall(r"\{([^}]+)\}", text):
            if name in INPUTS:
                paths[name] = self.make_input(name)
                inputs.append(paths[name])
        return re.sub(r"\{([^}]+)\}", lambda match: paths[match.group(1)], text).split(), inputs

    def log_path(self):
        return os.path.join(self.scratch, "log")

    def iteration_seconds(self):
        """The time of a step, by the log of rank 0; None: there are none."""
        if not os.path.exists(self.log_path()):
            return None
        with open(self.log_path(), encoding="utf-8") as file:
            found = LOGGED.search(file.read())
        os.unlink(self.log_path())
        return float(found.group(2)) / int(found.group(1)) if found else None

    def run(self, job, text, wrap):
        """Figures of one run of a command of a job on warm memory. wrap adds what starts it to the words of it."""
        out = os.path.join(self.scratch, "out")
        words, inputs = self.words(text, out)
        for path in inputs:
            read_through(path)
        done = spawn([self.warm, str(max(1, round(job.warm_gib * min(1, self.args.scale)))), *wrap(words)])
        if os.path.isdir(out):
            shutil.rmtree(out)
        elif os.path.exists(out):
            os.unlink(out)
        return dict(re.findall(r"(\w+)=([0-9a-f.]+)", (done.stdout + done.stderr).decode(errors="replace")))

    def run_bare(self, job):
        figures = self.run(job, job.bare, lambda words: [os.path.join(self.args.programs, words[0]), *words[1:]])
        return {"seconds": float(figures[job.bare_clock]), "rss": float(figures["peak_rss_mb"]) * 2**20, **figures}

    def quern_program(self, name):
        """An example, or the program for what no example does; None if it is not built."""
        paths = [os.path.join(directory, name) for directory in (self.args.examples, self.args.programs)]
        return next(filter(os.path.exists, paths), None)

    def run_quern(self, job):
        report = os.path.join(self.scratch, "report.json")
        figures = self.run(job, job.quern, lambda words: [
            self.args.mpirun, "-n", "2", self.quern_program(words[0]), "--quern-report=" + report,
            *words[1:]])
        with open(report, encoding="utf-8") as file:
            whole = json.load(file)
        figures[ELAPSED], figures[ITERATION] = whole["elapsed_seconds"], self.iteration_seconds()
        return {"seconds": float(figures[job.quern_clock]), **figures,
                "rss": sum(row["peak_rss_bytes"] for row in whole["ranks"])}

    def run_duckdb(self, job):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "duckdb_bench.mjs")
        text = job.duckdb if self.args.scale == 1 else scaled(job.duckdb, self.args.scale)
        figures = self.run(job, text, lambda words: ["node", script, self.args.duckdb, *words])
        return {"seconds": float(figures["seconds"])}

    def remove_temporary(self, job):
        for name in re.findall(r"\{([^}]+)\}", " ".join(filter(None, (job.bare, job.duckdb)))):
            if name in INPUTS and INPUTS[name].temporary and os.path.exists(self.input_path(name)):
                os.unlink(self.input_path(name))


def scaled(text, scale):
    return re.sub(r"\b\d{5,}\b", lambda match: str(max(1, int(int(match.group()) * scale))), text)


def spawn(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        sys.exit("failed: %s\n%s" % (" ".join(command), done.stderr.decode(errors="replace")))
    return done


def read_through(path):
    buffer = bytearray(1 << 20)
    with open(path, "rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def median(runs, name="seconds"):
    return statistics.median(run[name] for run in runs)


def agree(job, bare, quern):
    for name in COMPARED:
        if name in bare and name in quern and bare[name] != quern[name]:
            sys.exit("%s: bare C has %s=%s, quern %s" % (job.name, name, bare[name], quern[name]))


def tell(bench, job, runs):
    print("%s, 2 workers, medians of %d (load of the machine %.1f):" % (job.name, bench.args.runs, os.getloadavg()[0]))
    for name, rows in runs.items():
        seconds = median(rows)
        line = "  %-9s %8.3f s" % (name, seconds)
        if job.size:
            line += ", %7.2f %s" % (job.size * bench.args.scale / seconds / UNITS[job.unit], job.unit)
        if "rss" in rows[0]:
            line += ", %.0f MB resident" % (median(rows, "rss") / 1e6)
        print(line)
    for other in "quern", "duckdb":
        if "bare C" in runs and other in runs:
            pairs = [one["seconds"] / two["seconds"] for one, two in zip(runs["bare C"], runs[other])]
            print("  speed of %s over bare C: %.2f, of neighbouring runs %.2f"
                  % (other, median(runs["bare C"]) / median(runs[other]), statistics.median(pairs)))
    sys.stdout.flush()


def programs_of(bench, job):
    """{name: function} of what can run."""
    found = {}
    if job.bare:
        found["bare C"] = bench.run_bare
    if job.quern:
        if bench.quern_program(job.quern.split()[0]):
            found["quern"] = bench.run_quern
        else:
            print("%s: quern is left out: %s is not built" % (job.name, job.quern.split()[0]))
    if job.duckdb and bench.args.duckdb and ("{words}" not in job.duckdb or bench.args.words):
        found["duckdb"] = bench.run_duckdb
    return found


def measure(bench, job):
    programs = programs_of(bench, job)
    runs = {name: [] for name in programs}
    for _ in range(bench.args.runs if programs else 0):
        for name, run in programs.items():
            runs[name].append(run(job))
        if "quern" in runs:
            agree(job, runs["bare C"][-1], runs["quern"][-1])
    bench.remove_temporary(job)
    if programs:
        tell(bench, job, runs)


def why_no_duckdb(directory):
    """Installs DuckDB for node into the directory unless it is there; the reason if that does not work."""
    if glob.glob(os.path.join(directory, "node_modules", "@duckdb", "node-api")):
        return None
    if not shutil.which("node") or not shutil.which("npm"):
        return "there is no node or no npm"
    os.makedirs(directory, exist_ok=True)
    done = subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", directory,
                           "@duckdb/node-api"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return "npm cannot install it: " + (done.stdout.strip().split("\n")[-1] or "no reason given") if done.returncode else None


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", required=True, help="directory of bare_sort, generate, warm, ...")
    parser.add_argument("--examples", required=True, help="directory of Quern's examples")
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="names of jobs, with commas: " + " ".join(job.name for job in JOBS))
    parser.add_argument("--scale", type=float, default=1, help="size of the inputs, 1: as the marks want it")
    parser.add_argument("--data", help="directory where inputs are made and stay; about 7 GB, 4 more for a while")
    parser.add_argument("--duckdb", help="directory outside of the tree in which DuckDB for node is or may be installed")
    parser.add_argument("--words", help="a text whose words DuckDB counts")
    return parser.parse_args()


def main():
    args = parse()
    wanted = [name for name in args.only.split(",") if name]
    unknown = set(wanted) - {job.name for job in JOBS}
    if unknown:
        sys.exit("no such job: " + ", ".join(sorted(unknown)))
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT", "1")
    os.environ.setdefault("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
    reason = why_no_duckdb(args.duckdb) if args.duckdb else None
    if reason:
        print("DuckDB is left out: " + reason)
        args.duckdb = None
    with tempfile.TemporaryDirectory(prefix="quern-bench.", dir=args.data and os.path.dirname(os.path.abspath(args.data))) as scratch:
        bench = Bench(args, scratch)
        for job in JOBS:
            if not wanted or job.name in wanted:
                measure(bench, job)


if __name__ == "__main__":
    main()
