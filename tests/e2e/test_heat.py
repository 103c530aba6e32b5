#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_heat.py: the simulation that analyses itself, against the same scheme in numpy; prints TAP.

numpy does the arithmetic of a cell in the order of the program's, so that temperatures are the same to the last bit.
"""
import functools
import hashlib
import json
import os
import subprocess

from harness import Skip, main, read_file, test

PYTHONS = ("python3", "/usr/bin/python3")
FRACTIONS = (0, 0.25, 0.5, 0.75, 0.9, 0.99, 1)
EXPECTED = r"""
import json, sys, h5py, numpy as np
cells, steps, every, top, directory = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
place = (np.arange(cells) + 0.5) / cells
y, x = place[:, None], place[None, :]
field = np.zeros((cells + 2, cells + 2))
field[1:-1, 1:-1] = np.where((x - 0.75) * (x - 0.75) + (y - 0.7) * (y - 0.7) < 0.01, 0.5, 0)
field[1:-1, 1:-1][(x - 0.3) * (x - 0.3) + (y - 0.4) * (y - 0.4) < 0.04] = 1
wrong = []

def check(step):
    here = field[1:-1, 1:-1].ravel()
    counts = np.bincount(np.searchsorted(np.arange(1, 32) / 32, here, side="right"), minlength=32)
    ordered = np.sort(here)
    ranks = [max(int(np.ceil(f * here.size)) - 1, 0) for f in %s]
    hottest = np.lexsort((np.arange(here.size), -here))[:top]
    want = {"histogram": [(b, c) for b, c in enumerate(counts.tolist()) if c],
            "quantiles": sorted((float(ordered[r]), i) for i, r in enumerate(ranks)),
            "hottest": [(int(i) // cells, int(i) %% cells, float(here[i])) for i in hottest]}
    for name, rows in want.items():
        with h5py.File("%%s/%%s-%%08d.h5" %% (directory, name, step)) as file:
            got = [tuple(row) for row in file[name][:].tolist()]
        if got != rows:
            wrong.append("%%s at step %%d: %%s, not %%s" %% (name, step, got[:5], rows[:5]))

check(0)
for step in range(1, steps + 1):
    now = field[1:-1, 1:-1]
    near = (field[:-2, 1:-1] + field[2:, 1:-1]) + (field[1:-1, :-2] + field[1:-1, 2:])
    field[1:-1, 1:-1] = now + 0.2 * (near - 4 * now)
    if step %% every == 0:
        check(step)
print(json.dumps(wrong))
""" % (FRACTIONS,)


@functools.cache
def python():
    for name in PYTHONS:
        if subprocess.run([name, "-c", "import h5py, numpy"], capture_output=True).returncode == 0:
            return name
    raise Skip("no Python here has h5py and numpy")


def simulate(t, n, name, cells=61, steps=60, every=20, top=12):
    t.program = os.path.join(os.path.dirname(t.options.wordcount), "heat")
    run = t.run(n, "--cells", str(cells), "--steps", str(steps), "--every", str(every), "--top", str(top), "-o",
                t.path(name), timeout=60)
    t.check(run.status == 0, "the simulation failed", run)
    t.check(not run.messages and not run.stdout, "something was said", run)
    done = subprocess.run([python(), "-c", EXPECTED, *map(str, (cells, steps, every, top)), t.path(name)],
                          capture_output=True, text=True)
    t.check(done.returncode == 0, "numpy does not get through: " + done.stderr[-400:], run)
    wrong = json.loads(done.stdout)
    t.check(not wrong, "; ".join(wrong[:3]), run)
    return {file: hashlib.sha256(read_file(t.path(name, file))).hexdigest()
            for file in sorted(os.listdir(t.path(name))) if file.endswith(".h5")}


@test
def what_a_simulation_finds_in_its_field_is_what_numpy_finds_and_its_bytes_do_not_depend_on_ranks(t):
    python()
    digests = {n: simulate(t, n, "on%d" % n) for n in (1, 2, 4)}
    t.check(len(digests[1]) == 4 * 3, "there are other files: %s" % sorted(digests[1]))
    for n in (2, 4):
        different = [file for file in digests[1] if digests[n].get(file) != digests[1][file]]
        t.check(digests[n] == digests[1], "other bytes on %d ranks: %s" % (n, different[:4]))


@test
def parts_of_unequal_size_and_more_hot_cells_than_there_are_come_out_right(t):
    python()
    simulate(t, 3, "uneven", cells=7, steps=2, every=1, top=100)


@test
def misuse_and_a_directory_that_cannot_be_used_are_told_once(t):
    t.program = os.path.join(os.path.dirname(t.options.wordcount), "heat")
    for arguments, status, part in ((["--cells", "0", "-o", t.path("a")], 2, b"usage"), ([], 2, b"usage"),
                                    (["--steps", "x", "-o", t.path("a")], 2, b"usage"),
                                    (["--quern-nothing=1", "-o", t.path("a")], 2, b"--quern-nothing"),
                                    (["--cells", "8", "-o", t.path("not", "there")], 1, t.path("not").encode())):
        run = t.run(2, *arguments, timeout=20)
        t.check(run.status == status, "status %s for %s" % (run.status, arguments), run)
        t.check(run.stderr.count(b"heat: ") == 1 and part in run.stderr, "said %s" % run.stderr, run)


@test
def a_rank_without_memory_for_its_cells_ends_all_of_them(t):
    heat = os.path.join(os.path.dirname(t.options.wordcount), "heat")
    arguments = ["--cells", "32768", "--steps", "0", "-o", t.path("out")]
    t.program = t.options.mpirun
    run = t.run(None, "-n", "1", heat, *arguments, ":", "-n", "1", "sh", "-c", 'ulimit -v 2000000; exec "$0" "$@"', heat, *arguments, timeout=30,
                env={"MALLOC_PERTURB_": "0"})  # by which calloc() would touch all of it
    t.check(run.status == 1 and b"heat: no memory for the cells\n" in run.stderr and not os.path.exists(t.path("out")), "it does not fail", run)


if __name__ == "__main__":
    main()
