#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_faults.py: nearly two hundred jobs whose ranks die and whose disks forget give the right answer; a night's worth with E2E_SLOW.

usage: test_faults.py QUERN
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SLOW = bool(os.environ.get("E2E_SLOW"))
RUNS = 20000 if SLOW else 180
FIRST = 1000000 * int(os.environ.get("E2E_SEED", "0")) + 1  # another stretch each night


def faults(*args, status=0):
    done = subprocess.run([sys.argv[1], "sim", "--faults", *args], capture_output=True, text=True)
    assert done.returncode == status, "status %d: %s%s" % (done.returncode, done.stdout[-3000:], done.stderr[-3000:])
    return done


def campaign(*args):
    return json.loads(faults("--json", *args).stdout)


def every_answer_survives():
    found = campaign("--runs", str(RUNS), "--seed", str(FIRST))
    assert found["runs"] == RUNS and found["wrong"] == 0, found
    # The weather is to be rough: nothing is shown by faults that hardly happen.
    assert all(count > RUNS / 30 for count in found["deaths"].values()), found
    assert all(count > RUNS / 30 for count in found["kinds"].values()), found
    assert found["epochs"] > RUNS and found["resumed_epochs"] > RUNS / 4, found
    assert found["torn_files"] > RUNS / 3 and found["damaged_files"] > RUNS / 20 and found["suspended"] > RUNS / 20, found


def seeds_that_once_failed_pass():
    found = campaign("--seeds", os.path.join(HERE, "seeds"))
    assert found["runs"] >= 8 and found["kinds"]["counts"] == 6 and found["wrong"] == 0, found


def jobs_of_one_kind_are_run_alone():
    found = campaign("--runs", "3", "--kind", "store")
    assert found["kinds"]["store"] == 3 and sum(found["kinds"].values()) == 3, found


def the_same_seed_gives_the_same_run_and_another_another():
    first, second, other = (campaign("--runs", "10", "--seed", seed)["trace"] for seed in ("5", "5", "6"))
    assert first == second and first != other, (first, second, other)


def nothing_is_left():
    with tempfile.TemporaryDirectory() as directory:
        campaign("--runs", "2", "--directory", directory)
        assert os.listdir(directory) == [], os.listdir(directory)


def misuse_is_told():
    for args in (("--nonsense",), ("--runs", "x"), ("--seed", "-1"), ("--kind", "none"), ("more",)):
        assert "usage:" in faults(*args, status=2).stderr, args
    assert "cannot read" in faults("--seeds", "/no/where", status=1).stderr
    assert "--runs" in faults("--help").stdout


TESTS = [every_answer_survives, seeds_that_once_failed_pass, jobs_of_one_kind_are_run_alone, the_same_seed_gives_the_same_run_and_another_another, nothing_is_left,
         misuse_is_told]


def main():
    failed = 0
    print("1..%d" % len(TESTS), flush=True)
    for number, test in enumerate(TESTS, 1):
        try:
            test()
            print("ok %d - %s" % (number, test.__name__), flush=True)
        except AssertionError as failure:
            failed += 1
            print("not ok %d - %s" % (number, test.__name__))
            print("".join("# %s\n" % line for line in str(failure).splitlines()), end="", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
