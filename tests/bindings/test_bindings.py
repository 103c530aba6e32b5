#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_bindings.py: Quern from C++, Fortran or Python (BINDING says which) is what it is from C; prints TAP."""
import json
import os
import random
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from harness import Skip, brief, main, read_file, test  # noqa: E402

LANGUAGE = os.environ["BINDING"]
ROOT = os.path.join(HERE, "..", "..")
PYTHONS = ("python3", "/usr/bin/python3")
RANKS = (1, 2, 3)
FEW_RANKS = (1, 3) if LANGUAGE == "python" else RANKS  # which takes half a second to begin


def build_of(t):
    return os.path.dirname(os.path.dirname(t.options.wordcount))


def python():
    """One that has NumPy and mpi4py; and the MPI of the library."""
    for name in PYTHONS:
        if subprocess.run([name, "-c", "import numpy, mpi4py.MPI"], capture_output=True).returncode == 0:
            return name
    raise Skip("no Python here has NumPy and mpi4py")


def run(t, n, job, *args, **start):
    """A program of the language: below examples/, or of tests/bindings/."""
    if LANGUAGE == "python":
        if t.options.sanitized:
            raise Skip("a sanitized library is not for a Python that is not")
        folder = os.path.join(ROOT, "examples", "python") if job != "bound_job" else HERE
        t.program, args = python(), (os.path.join(folder, job + ".py"), *args)
        start["env"] = {"PYTHONPATH": os.path.join(build_of(t), "runtime", "python"), **start.get("env", {})}
    elif job == "bound_job":
        t.program = os.path.join(build_of(t), "tests", "bindings", "bound_job_" + LANGUAGE)
    else:
        t.program = os.path.join(build_of(t), "examples", LANGUAGE, job)
    if not os.path.exists(t.program) and "/" in t.program:
        raise Skip("there is no compiler of %s here, or none that was used" % {"cxx": "C++"}.get(LANGUAGE, LANGUAGE))
    return t.run(n, *args, timeout=100, **start)


def words():
    rng = random.Random(1)
    return bytes(rng.choice(b"abcdefgh \n\t\0\xff") for _ in range(60000))


def with_c(t, job, *args):
    t.use(job)
    return t.succeed(2, *args)


@test
def words_are_counted_as_by_the_program_in_c(t):
    path = t.write("words", words())
    first = with_c(t, "wordcount", "--top", "9", path).stdout
    parts = t.committed(write(t, with_c, "c", path))
    for n in FEW_RANKS:
        t.check(t.committed(write(t, lambda t, *args: run(t, n, *args), str(n), path)) == parts, "other counts on %d ranks" % n)
    done = run(t, 2, "wordcount", "--top=9", path)
    t.check(done.status == 0 and done.stdout == first, "other words: %r, not %r" % (brief(done.stdout), brief(first)), done)


def write(t, how, name, path):
    out = t.path("out-" + name)
    done = how(t, "wordcount", "-o", out, "--quern-split-bytes=5000", path)
    t.check(done.status == 0, "the job failed", done)
    return out


@test
def centres_are_those_of_the_program_in_c(t):
    rng = random.Random(2)
    lines = [" ".join(repr(rng.gauss(center * 10, 2)) for _ in range(3)) for center in list(range(5)) * 80]
    path = t.write("points", ("\n".join(lines + ["", "-0 0 0x0p0", " \t1e2 +1. .5 "]) + "\n").encode())
    expected = with_c(t, "kmeans", "--k", "5", path).stdout
    for n in FEW_RANKS:
        done = run(t, n, "kmeans", "--k", "5", "--quern-split-bytes=2000", path)
        t.check(done.status == 0 and done.stdout == expected, "other centres on %d ranks: %r" % (n, done.stdout), done)


@test
def examples_say_what_is_wrong_once(t):
    path = t.write("points", b"1 2\n3 x\n")
    for job, args, status, part in (("wordcount", (), 2, b"usage: wordcount"), ("kmeans", ("--k", "0", path), 2, b"usage: kmeans"),
                                    ("wordcount", (t.path("not-there"),), 1, b"not-there"),
                                    ("wordcount", ("--quern-memroy=1G", path), 2, b"memroy"),
                                    ("kmeans", ("--k", "1", path), 1, b"no finite number"),
                                    ("kmeans", ("--k", "9", t.write("few", b"1\n2\n")), 1, b"less different points")):
        if LANGUAGE == "python" and not t.options.slow and job == "wordcount" and status == 2:
            continue
        done = run(t, 2, job, *args)
        t.check(done.status == status and done.stderr.count(part) == 1, "status %d and once %r expected of %s %s" % (
            status, part, job, args), done)


def constants_of_fortran():
    with open(os.path.join(ROOT, "runtime", "fortran", "quern_types.f90"), encoding="utf-8") as file:
        return {name: int(number) for name, number in re.findall(r"\b(QUERN_\w+) = (-?\d+)", file.read())}


def sizes_of_fortran(t):
    done = run(t, None, "bound_job", "layouts")
    t.check(done.status == 0, "no sizes", done)
    return {name: int(size) for name, size in re.findall(r"(\w+) (\d+)", done.stdout.decode())}


SIZES_OF_PYTHON = """
import ctypes, re
from quern import capi, kinds, Status
for name, struct in vars(capi).items():
    if isinstance(struct, type) and issubclass(struct, ctypes.Structure) and hasattr(struct, "_fields_"):
        c_name = "quern_" + re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\\1", name).lower()
        print(c_name, ctypes.sizeof(struct))
        for field, *_ in struct._fields_:
            print(c_name + "." + field, getattr(struct, field).offset)
for name, value in list(vars(kinds).items()):
    if name.isupper() and isinstance(value, (int, kinds.Kind)):
        print("QUERN_" + name, getattr(value, "code", value))
for status in Status:
    print("QUERN_" + ("ERROR_" if status else "") + status.name, int(status))
"""


def layouts_of_python(t):
    env = {**os.environ, "PYTHONPATH": os.path.join(build_of(t), "runtime", "python")}
    done = subprocess.run([python(), "-c", SIZES_OF_PYTHON], capture_output=True, env=env)
    t.check(done.returncode == 0, "no sizes: %s" % done.stderr.decode()[-500:])
    return {name: int(number) for name, number in (line.split() for line in done.stdout.decode().splitlines())}


if LANGUAGE != "cxx":
    @test
    def structs_and_constants_are_those_of_the_headers(t):
        listed = subprocess.run([os.path.join(build_of(t), "tests", "bindings", "layouts")], capture_output=True, check=True)
        right = {name: int(number) for name, number in re.findall(r"^(\S+) (-?\d+)$", listed.stdout.decode(), re.MULTILINE)}
        own = layouts_of_python(t) if LANGUAGE == "python" else {**sizes_of_fortran(t), **constants_of_fortran()}
        wrong = ["%s is %d, not %d" % (name, own[name], number) for name, number in right.items() if own.get(name, number) != number]
        t.check(not wrong, "; ".join(wrong))
        t.check(len(own.keys() & right.keys()) > 80, "only %d are compared" % len(own.keys() & right.keys()))


@test
def all_calls_hold_on_several_numbers_of_ranks(t):
    cases = {"cxx": ["operators", "orders", "iterates", "links", "failures", "lifetimes", "events"], "fortran": [],
             "python": ["operators", "orders", "readers", "failures", "memory", "links", "splits", "threads", "events"]}[LANGUAGE]
    for n in RANKS:
        done = run(t, n, "bound_job", t.dir, *(cases if n == 2 or t.options.slow else cases[:1]))
        t.check(done.status == 0 and b"holds" in done.stdout, "failed on %d ranks" % n, done)


def noted(t):
    """What the last run was given, by name, of the checkpoint that is kept."""
    lines = [json.loads(line[17:]) for line in read_file(t.path("saved", "journal")).splitlines()]
    return [line["names"] for line in lines if line["event"] == "given"][-1]


@test
def what_a_program_notes_is_in_its_checkpoint(t):
    t.write("saved/keep", b"")
    os.chmod(t.path("saved"), 0o700)
    t.write("model", b"weights")
    done = run(t, 2, "bound_job", t.dir, "notes", env={"QUERN_CHECKPOINT": t.path("saved")})
    t.check(done.status == 0 and b"holds" in done.stdout, "failed", done)
    own = {"file '%s'" % os.path.realpath(os.path.join(HERE, "bound_job.py"))} if LANGUAGE == "python" else set()
    expected = {"command line", "parameter 'half'", "parameter 'text'", "file '%s'" % t.path("model"), *own}
    t.check(set(noted(t)) == expected, "noted: %s" % noted(t), done)


if LANGUAGE == "python":
    @test
    def another_text_of_the_script_or_of_its_modules_is_other_work(t):
        t.write("saved/keep", b"")
        os.chmod(t.path("saved"), 0o700)
        t.write("words", b"a b\nc\n")
        t.write("part.py", b"def change(line): return line.upper()\n")
        script = t.write("job.py", b"import sys\nimport quern\nimport part\n"
                                   b"with quern.Context(argv=sys.argv) as context:\n"
                                   b"    lines = context.read_text(sys.argv[1])\n"
                                   b"    lines.map(bytes, lambda key, value: part.change(key)).count_by_key().write_text(sys.argv[2])\n"
                                   b"    context.run()\n")
        t.program = python()
        if t.options.sanitized:
            raise Skip("a sanitized library is not for a Python that is not")
        env = {"PYTHONPATH": os.path.join(build_of(t), "runtime", "python"), "QUERN_CHECKPOINT": t.path("saved"), "QUERN_RESUME": "on",
               "QUERN_PROGRESS": "on"}
        args = (script, t.path("words"), t.path("out"))
        t.succeed(2, *args, env=env)
        t.check(b"run 1 was done" in t.succeed(2, *args, env=env).stderr, "it is not known as the same work")
        t.write("part.py", b"def change(line): return line[::-1]\n")
        shutil.rmtree(t.path("out"))
        done = t.succeed(2, *args, env=env)
        t.check(b"run 1 is run again: the file '%s' is another one" % t.path("part.py").encode() in done.stderr, "not said", done)
        t.check(sorted(t.committed(t.path("out"), done).splitlines()) == [b"b a\t1", b"c\t1"], "the earlier module's answer", done)

    @test
    def the_program_on_the_page_of_graphs_gives_distances(t):
        with open(os.path.join(ROOT, "docs", "howto", "graphs.md"), encoding="utf-8") as page:
            program = re.search(r"^```python\n(.*?)^```$", page.read(), re.MULTILINE | re.DOTALL).group(1)
        t.write("roads.csv", b"Uppsala,Stockholm,70\nStockholm,Malmo,600\nMalmo,Uppsala,680\nX,Y,1\n")
        t.program = python()
        done = t.run(2, "-c", program.replace('"roads.csv"', repr(t.path("roads.csv"))).replace('"distances"', repr(t.path("distances"))),
                     timeout=100, env={"PYTHONPATH": os.path.join(build_of(t), "runtime", "python")})
        t.check(done.status == 0, "it failed", done)
        lines = sorted(t.committed(t.path("distances")).splitlines())
        t.check(lines == [b"Malmo\t670", b"Stockholm\t70", b"Uppsala\t0", b"X\tinf", b"Y\tinf"], "it wrote %r" % lines)

    @test
    def a_library_that_is_not_there_is_named_with_the_variable_that_says_where(t):
        env = {**os.environ, "PYTHONPATH": os.path.join(build_of(t), "runtime", "python"), "QUERN_LIBRARY": "/not/there.so"}
        done = subprocess.run([python(), "-c", "import quern"], capture_output=True, env=env)
        t.check(done.returncode == 1 and b"/not/there.so" in done.stderr and b"QUERN_LIBRARY" in done.stderr,
                "said %s" % done.stderr.decode()[-300:])


if __name__ == "__main__":
    main()
