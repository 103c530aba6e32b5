# SPDX-License-Identifier: BSD-3-Clause
"""slow_job.py: a job that takes so long that something can happen to it, and whether its outputs are what they are without that."""
import os
import subprocess

LINES = b"".join(b"%d\n" % (i * i % 1009) for i in range(30000))
LINE_SECONDS = 120e-6


def slow_job(t, directory, seconds, rank_count):
    """For about so long on so many ranks, in a directory, where it makes out1 and out2 of input; its words."""
    with open(os.path.join(directory, "input"), "wb") as file:
        file.write(LINES * (int(seconds * rank_count / LINE_SECONDS) // 30000 + 1))
    program = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "resumed_job")
    return [os.path.realpath(program), "slow", "out1", "out2", "input"]


def check_outputs(t, directory, words):
    """As the same program makes them without the waiting, without a launcher."""
    names = [t.new_output(), t.new_output()]
    run = subprocess.run([words[0], "none", *names, os.path.join(directory, "input")], capture_output=True,
                         env={**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"})
    t.check(run.returncode == 0, run.stderr.decode())
    for ours, expected in zip(("out1", "out2"), names):
        t.check(t.committed(os.path.join(directory, ours)) == t.committed(expected) != b"", "another answer in %s" % ours)
