# SPDX-License-Identifier: BSD-3-Clause
"""mortal_jobs.py: jobs of the examples that are short and take all ways through the library, for tests in which they lose ranks or hosts."""
import random

# Program: its arguments, but for the output; make_inputs() writes the files.
PROGRAMS = {
    "wordcount": ("words",),
    "sortrecords": ("records",),
    "join": ("--type", "full", "--left", "left", "--right", "right"),
    "pagerank": ("--iterations", "4", "edges"),
}


def make_inputs(write, size=1):
    """write(name, bytes) is called for each; the same every time."""
    chance = random.Random(5)
    write("words", b" ".join(b"%x" % int(chance.paretovariate(0.3)) for _ in range(150000 * size)))
    write("records", chance.randbytes(100 * 20000 * size))
    for name in ("left", "right"):
        write(name, b"".join(b"%d\t%s %d\n" % (chance.randrange(20000), name.encode(), i) for i in range(15000 * size)))
    write("edges", b"".join(b"%d %d\n" % (chance.randrange(3000), int(chance.paretovariate(0.5)) % 3000) for _ in range(15000 * size)))
