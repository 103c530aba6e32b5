#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench_hdf5.py: rows of HDF5 datasets by Quern beside a bare loop of H5Dread(), as ratios of medians; on 1 rank and on 2.

By hand: it needs h5py (start it with the Python that has it) and memory for the file, which is read from the page cache:
    tests/perf/bench_hdf5.py --programs BUILD/tests/perf [--mib 640] [--runs 5]
"""
import argparse
import os
import statistics
import subprocess
import tempfile

import h5py
import numpy

SHAPES = (("plain", 1000, {}), ("plain narrow", 8, {}), ("chunked", 1000, {"chunks": (128, 1000)}),
          ("deflate", 1000, {"chunks": (128, 1000), "compression": "gzip", "compression_opts": 1, "shuffle": True}))


def make(path, mib):
    rng = numpy.random.default_rng(1)
    with h5py.File(path, "w") as file:
        for name, columns, options in SHAPES:
            rows = (mib << 20) // 8 // columns // (4 if name == "deflate" else 1)
            data = rng.integers(0, 1 << 20, (rows, columns)).astype("f8") / 1024
            file.create_dataset(name.replace(" ", "-"), data=data, **options)


def seconds(mpirun, n, program, path, dataset):
    command = ["chrt", "-f", "10", mpirun, "-n", str(n), program, path, "/" + dataset]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    return float(done.stdout.split(b"\n")[0].split(b"\t")[2])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--programs", required=True)
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--mib", type=int, default=640)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        path = os.path.join(directory, "bench.h5")
        make(path, options.mib)
        for name, _, _ in SHAPES:
            for n in (1, 2):
                taken = {"bare_hdf5": [], "quern_hdf5": []}
                for _ in range(options.runs):
                    for program, times in taken.items():
                        times.append(seconds(options.mpirun, n, os.path.join(options.programs, program), path,
                                             name.replace(" ", "-")))
                bare, quern = (statistics.median(times) for times in taken.values())
                print("%-13s %d ranks: bare %.3f s, quern %.3f s: %.2f of bare's speed" % (name, n, bare, quern, bare / quern),
                      flush=True)


if __name__ == "__main__":
    main()
