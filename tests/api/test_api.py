#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_api.py: the programs of this directory under the real mpirun, on many numbers of ranks; prints TAP.

A program is many cases. It runs all of them in one launch, since launching takes longer than most of them;
if that fails, each case runs again alone, and those that fail are named. Every successful run of a program
leaves its report in reports/, and all of them must add up. What the programs print are digests of outputs:
they must be the same on any number of ranks.

By default a program runs without a launcher and on some of the numbers of ranks, others for each program, and with the
option check on one more; with --slow (or E2E_SLOW=1) each runs on all of ALL_RANKS.

--wordcount names the program (the word is the harness's).
"""
import collections
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))
from harness import TESTS, Failure, load_json, main  # noqa: E402

ALL_RANKS = (None, 1, 2, 3, 4, 7, 8)
SLOW = "--slow" in sys.argv or os.environ.get("E2E_SLOW") == "1"  # everything on every number of ranks


def ranks(*few):
    return [(n, ()) for n in (ALL_RANKS if SLOW else few)]


# Program: (ranks, further arguments) of each launch, seconds for one, and whether what it prints is comparable.
Plan = collections.namedtuple("Plan", "launches seconds comparable")
PLANS = {
    "api_operators": Plan(ranks(None, 2, 4, 7), 60, True),
    "api_aggregate": Plan(ranks(None, 2), 60, True),
    "api_types": Plan(ranks(None, 2, 7), 90, True),
    "api_per_record": Plan(ranks(None, 3, 7), 60, True),
    "api_hdf5": Plan(ranks(None, 2, 7), 60, True),
    "api_formats": Plan(ranks(None, 3, 4), 90, True),
    "api_memory": Plan(ranks(None, 2, 7), 90, True),
    "api_in_situ": Plan([(2, ())], 280, False),
    "api_pairs": Plan(ranks(None, 3, 7), 90, True),
    "api_bad_records": Plan(ranks(None, 2, 7), 240, True),
    "api_places": Plan(ranks(None, 3), 60, True),
    "api_sample": Plan(ranks(None, 3, 7), 90, True),
    "api_collect": Plan(ranks(None, 3, 7), 90, True),
    "api_columns": Plan(ranks(None, 3), 60, False),
    "api_outputs": Plan(ranks(None, 2, 7), 60, False),
    "api_keep": Plan(ranks(None, 2, 4), 240, True),
    "api_iterate": Plan(ranks(None, 3), 240, True),
    "api_distinct": Plan(ranks(None, 3), 240, False),
    "api_sorted": Plan(ranks(None, 2, 4, 7), 90, True),
    "api_groups": Plan(ranks(None, 1, 4, 7), 90, True),
    "api_joins": Plan(ranks(None, 1, 3, 7), 120, True),
    "api_kept_joins": Plan(ranks(None, 2, 7), 120, True),
    "api_broadcast": Plan(ranks(None, 2, 7), 90, True),
    "api_broadcast_join": Plan(ranks(None, 3), 150, True),
    "api_retry": Plan(ranks(None, 2, 3, 4, 8), 60, True),
    "api_stretch": Plan(ranks(None, 2, 3, 7), 90, True),
    "api_failures": Plan(ranks(None, 1, 2, 7), 40, False),
    "api_stalls": Plan(ranks(None, 2, 8), 90, False),
    "api_context": Plan([(None, ("single",)), (1, ("single",)), (2, ("funneled",)), (2, ("multiple",)),
                         (3, ("serialized",)), (4, ("single",)), (7, ("multiple",)), (8, ("multiple",))], 60, False),
    "api_explain": Plan(ranks(None, 1, 3), 60, False),
    "api_events": Plan(ranks(None, 3), 90, False),
    "api_options": Plan([(None, ())], 60, False),
    "api_check": Plan(ranks(None, 1, 2, 3), 60, False),
    "api_check_groups": Plan(ranks(None, 2, 3, 7), 60, False),
    "api_links": Plan(ranks(None, 2, 3, 4, 7), 120, True),
    "api_lending": Plan(ranks(None, 2, 3, 7), 120, True),
    "api_load": Plan(ranks(2, 7), 200, False),
}
# Programs whose callbacks keep what callbacks promise: (ranks, cases) of launches with the option check, which changes no byte.
CHECKED = {
    "api_operators": (3, ()),
    "api_collect": (2, ()),
    "api_groups": (3, ()),
    "api_joins": (2, ()),
    "api_sorted": (3, ("lines_sort_as_the_model_does", "keys_descend_and_their_values_ascend",
                       "a_users_comparison_orders_and_bytes_decide_what_it_calls_equal",
                       "results_are_sorted_and_sorted_again", "load_of_a_sort_with_a_hot_key",
                       "unions_are_reduced_and_sorted")),
    "api_memory": (3, ("the_arrays_of_all_ranks_are_reduced_as_one", "elements_are_numbered_rank_after_rank",
                       "members_of_structs_are_keys_and_values", "windows_may_overlap",
                       "a_failed_attempt_is_repeated_where_the_elements_are")),
    "api_pairs": (2, ("every_pair_comes_once_however_files_are_packed",)),
    "api_places": (3, ()),
    "api_retry": (3, ()),
    "api_lending": (3, ("what_is_written_has_the_order_of_the_input", "records_are_numbered_in_the_order_of_the_input")),
    "api_broadcast_join": (2, ("keys_of_bytes_of_any_length", "keys_that_are_numbers")),
    "api_aggregate": (3, ("values_of_any_length_become_accumulators_of_one",
                          "accumulators_that_do_not_fit_the_memory_are_spilled_and_merged",
                          "an_accumulator_without_finish_is_the_value", "distinct_keys_come_once_and_without_values")),
}
printed = {}


# ---------------------------------------------------------------- reports


def total(figures, name):
    """The sum over the ranks."""
    return sum(rank[name] for rank in figures)


COLLATED = ("sort by key", "gather groups", "gather both sides", "keep in order")  # all records are kept


def legs_of(edges, results):
    """The steps before the end: a leg begins at the first one, and where a text, an earlier stage's result or a kept dataset is read."""
    legs = [[edges[0]]]
    for edge in edges[1:-1]:
        if edge["name"] in ("read text", "read fixed", "read memory", "read sequences", "store") or edge["name"] in results:
            legs.append([])
        legs[-1].append(edge)
    return legs


def edges_add_up(t, where, legs, end):
    for leg in legs:
        for before, after in zip(leg, leg[1:]):
            t.check(before["records_out"] == after["records_in"], "%s: %s gives %d records, %s takes %d" % (
                where, before["name"], before["records_out"], after["name"], after["records_in"]))
        for edge in leg[1:]:
            if edge["name"] in ("map", "map block", "filter", "filter block", "key by", "value as key", "sample", "bin"):
                t.check(edge["records_in"] == edge["records_out"] + edge["records_dropped"],
                        "%s: %s does not add up: %s" % (where, edge["name"], edge))
    left = sum(leg[-1]["records_out"] for leg in legs)
    t.check(left == end["records_in"], "%s: the legs give %d records, %s takes %d" % (where, left, end["name"],
                                                                                      end["records_in"]))


def load_adds_up(t, where, stage):
    owned = [rank["owned_records"] for rank in stage["ranks"]]
    loads = owned if any(owned) else [rank["source_records"] for rank in stage["ranks"]]
    mean = sum(loads) / len(loads)
    said = stage["load"]
    t.check(abs(said["busiest_to_mean"] - (max(loads) / mean if mean else 1)) < 1e-6,
            "%s: the load is said to be %s: %s" % (where, said["busiest_to_mean"], loads))
    t.check(loads[said["busiest_rank"]] == max(loads), "%s: not the busiest rank: %s of %s" % (where, said, loads))
    shares = [hot["share"] for hot in stage["hottest_keys"]]
    t.check(shares == sorted(shares, reverse=True) and sum(shares) <= 1.000001, "%s: shares %s" % (where, shares))


def owned_by(stages, end):
    return [total(stage["ranks"], "owned_records") for stage in stages if stage["end"] == end]


def stage_adds_up(t, where, stage, earlier):
    edges, figures = stage["edges"], stage["ranks"]
    legs = legs_of(edges, {before["end"] for before in earlier})
    edges_add_up(t, where, legs, edges[-1])
    load_adds_up(t, where, stage)
    t.check(total(figures, "source_records") == sum(leg[0]["records_out"] for leg in legs),
            where + ": source_records and the first edges")
    t.check(total(figures, "end_records") == edges[-1]["records_in"], where + ": end_records and the last edge")
    t.check(total(figures, "sent_records") == total(figures, "received_records"), where + ": sent and received records")
    t.check(total(figures, "sent_bytes") == total(figures, "received_bytes"), where + ": sent and received bytes")
    t.check(len({rank["shuffle_rounds"] for rank in figures}) == 1, where + ": the ranks made different rounds")
    t.check(all(rank["attempts"] >= rank["tasks"] for rank in figures), where + ": more tasks than attempts")
    if stage["end"] in COLLATED:
        kept, came = total(figures, "owned_records"), total(figures, "end_records")
        t.check(kept == came or (kept > came and stage["end"] == "gather both sides"),
                "%s: %d records came and %d are kept" % (where, came, kept))
    for leg in legs:
        made = owned_by(earlier, leg[0]["name"])
        if leg[0]["name"] in COLLATED:
            beside = owned_by(earlier, "keep in order")  # a side that this run brought into order, or an earlier one
            kept = total(figures, "cached_records")
            came = leg[0]["records_out"] - kept
            t.check(kept > 0 and len(legs) > 1 or came in made or came in [one + two for one in made for two in beside],
                    "%s: %d records were read of %s and %s" % (where, came, made, beside))


def hot_key_is_shared(t, where, stage, n):
    """Of a case named load_…: about half of the records of its first shuffle have the key 4242."""
    load, hot = stage["load"]["busiest_to_mean"], stage["hottest_keys"]
    t.check(load <= 1.2, "%s: the busiest of %s ranks has %.3f of the mean" % (where, n, load))
    t.check(hot and hot[0]["key"] == "4242" and 0.3 < hot[0]["share"] < 0.6, "%s: hottest keys %s" % (where, hot))


def is_chance(t, load):
    """Cuts are by a sample of what ranks had when it was taken: on a busy machine one stage of hundreds is cut by little of it."""
    t.uneven_count = getattr(t, "uneven_count", 0) + 1
    return t.uneven_count == 1 and load <= 1.5


def report_adds_up(t, path, n):
    report = load_json(path)
    name = os.path.basename(path)
    t.check(report["status"] == "QUERN_OK" and report["error"] is None, "%s: %s" % (name, report["status"]))
    t.check(len(report["ranks"]) == (n or 1), "%s is of %d ranks" % (name, len(report["ranks"])))
    made = None
    for number, stage in enumerate(report["stages"]):
        where = "%s, stage %d" % (name, number)
        stage_adds_up(t, where, stage, report["stages"][:number])
        if name.startswith("load_") and number == 0:
            hot_key_is_shared(t, where, stage, n)
        if name.startswith("even_") and number == 0:
            load = stage["load"]["busiest_to_mean"]
            t.check(load <= 1.2 or is_chance(t, load), "%s: the busiest of %s ranks has %.3f of the mean" % (where, n, load))
        if name.startswith("even_") and number == 1 and total(stage["ranks"], "end_records"):
            pairs = [rank["end_records"] for rank in stage["ranks"]]
            t.check(max(pairs) <= 1.25 * sum(pairs) / len(pairs), "%s: the ranks made pairs: %s" % (where, pairs))
        if name.startswith("nearly_even_") and number == 0:
            load = stage["load"]["busiest_to_mean"]
            t.check(load <= 1.3, "%s: the busiest of %s ranks has %.3f of the mean" % (where, n, load))
        has_many_copies = name.startswith("copies_")  # those of one link are one rank's
        if stage["end"] == "iterate links" and total(stage["ranks"], "owned_records") >= 100000 and not has_many_copies:
            load = stage["load"]["busiest_to_mean"]
            t.check(load <= 1.2, "%s: the busiest of %s ranks has %.3f of the mean" % (where, n, load))
        if stage["end"] == "reduce by key":
            made = stage
        elif made and len(report["stages"]) == 2 and stage["name"] == "reduce by key":
            keys = total(made["ranks"], "end_records") - total(made["ranks"], "merged_records")
            got = stage["edges"][0]["records_out"]
            t.check(got <= keys, "%s: %d keys became %d records" % (where, keys, got))
    for figure in ("tasks", "source_records", "end_records", "sent_bytes", "spill_runs"):
        by_stage = sum(total(stage["ranks"], figure) for stage in report["stages"])
        t.check(total(report["ranks"], figure) == by_stage, "%s: %s of ranks and stages differ" % (name, figure))


# ---------------------------------------------------------------- programs


def environment(t):
    env = {"QUERN_REPORT": t.path("report.json")}
    if t.options.patience > 1:
        env["KIT_PATIENCE"] = str(t.options.patience)
    return env


def launch(t, n, arguments, seconds, **variables):
    """Runs the program in a fresh directory of its own."""
    for name in os.listdir(t.dir):
        if name not in ("logs", "tmp"):
            subprocess.run(["rm", "-rf", "--", t.path(name)], check=True)
    os.mkdir(t.path("reports"))
    return t.run(n, t.dir, *arguments, env=dict(environment(t), **variables), timeout=seconds)


def failing_cases(t, n, arguments, seconds):
    """Each case alone: the messages of those that fail."""
    listed = t.run(None, t.dir, *arguments, "list", timeout=20)
    messages = []
    for case in listed.stdout.decode().split():
        run = None
        try:
            run = launch(t, n, [*arguments, case], seconds)
        except Failure as failure:
            messages.append("%s: %s" % (case, str(failure).splitlines()[0]))
        if run and run.status != 0:
            told = [line for line in run.stderr.decode(errors="backslashreplace").splitlines()
                    if "rank " in line and " of " in line]
            messages.append("%s: status %s: %s" % (case, run.status, (told or ["nothing was said"])[0]))
    return messages


def holds(program, plan, n, arguments):
    def test(t):
        try:
            run = launch(t, n, arguments, plan.seconds)
        except Failure:
            run = None
        if not run or run.status != 0:
            messages = failing_cases(t, n, arguments, plan.seconds)
            raise Failure("\n".join(messages) or "failed, though each case alone does not\n" +
                          (run.describe() if run else "no end in time"))
        for name in sorted(os.listdir(t.path("reports"))):
            report_adds_up(t, t.path("reports", name), n)
        if plan.comparable:
            t.check(run.stdout, "no digest was printed", run)
            first = printed.setdefault(program, run.stdout)
            different = set(first.splitlines()) ^ set(run.stdout.splitlines())
            t.check(not different, "other bytes than on fewer ranks: %s" % sorted(different)[:6], run)

    where = "without_a_launcher" if n is None else "on_%d_rank%s" % (n, "" if n == 1 else "s")
    test.__name__ = "_".join([program, "holds", where, *arguments])
    return test


def holds_in_check_mode(program, n, cases):
    def test(t):
        run = launch(t, n, cases, PLANS[program].seconds, QUERN_CHECK="on")
        t.check(run.status == 0, "failed with the option check", run)
        unknown = set(run.stdout.splitlines()) - set(printed.get(program, run.stdout).splitlines())
        t.check(run.stdout and not unknown, "other bytes than without the option: %s" % sorted(unknown)[:6], run)

    test.__name__ = "%s_holds_in_check_mode_on_%d_ranks" % (program, n)
    return test


# ---------------------------------------------------------------- options of a job binary


def job(t, n, *arguments, **start):
    """A job that counts lines; what it said, as a dict of its lines' first words."""
    t.write("lines", b"".join(b"%04d\n" % i for i in range(800)))
    shutil.rmtree(t.path("out"), ignore_errors=True)
    run = t.run(n, t.dir, "job", *arguments, timeout=20, **start)
    t.check(run.status == 0, "the job failed", run)
    said = collections.defaultdict(list)
    for line in run.stdout.decode().splitlines():
        word, _, rest = line.partition(" ")
        said[word].append(rest)
    return said, run


def a_launched_job_takes_its_arguments_and_leaves_the_others(t):
    report = t.path("job.json")
    said, run = job(t, 3, "--quern-memory", "77M", "x", "--quern-report=" + report, "--", "--quern-memory=1",
                    env={"QUERN_MEMORY": "99M"})
    t.check(said["status"] == ["QUERN_OK "] and said["size"] == ["3"], "said %s" % dict(said), run)
    t.check(said["arguments"] == ["DIRECTORY job x -- --quern-memory=1"], "left %s" % said["arguments"], run)
    t.check(load_json(report)["memory_bytes_per_node"] == 77 << 20, "not the argument's memory", run)
    report_adds_up(t, report, 3)


def fields_win_over_variables_in_a_launched_job(t):
    report = t.path("job.json")
    for arguments, mib in (((), 88), (("--quern-memory=77M",), 77)):
        said, run = job(t, 2, *arguments, env={"QUERN_MEMORY": "99M", "QUERN_REPORT": report,
                                               "KIT_MEMORY": str(88 << 20)})
        t.check(said["status"] == ["QUERN_OK "], "said %s" % dict(said), run)
        t.check(load_json(report)["memory_bytes_per_node"] == mib << 20, "not %d MiB" % mib, run)


def bad_options_of_a_launched_job_are_told_once_and_hang_nobody(t):
    for arguments, env, part in ((("--quern-x=1",), {}, "--quern-x"), (("--quern-attempts",), {}, "--quern-attempts"),
                                 ((), {"QUERN_PIN": "perhaps"}, "QUERN_PIN"), (("--quern-memory=1K",), {}, "at least"),
                                 (("--quern-explain=svg",), {}, "--quern-explain"),
                                 ((), {"QUERN_EXPLAIN": "on"}, "QUERN_EXPLAIN"),
                                 (("--quern-round-bytes=900M", "--quern-memory=64M"), {}, "at least"),
                                 (("--quern-scratch=/not/there",), {}, "/not/there")):
        said, run = job(t, 3, *arguments, env=env)
        t.check(len(said["status"]) == 1 and part in said["status"][0], "said %s" % dict(said), run)
        t.check("QUERN_OK" not in said["status"][0], "said %s" % dict(said), run)


def a_singleton_is_alone_under_any_launcher(t):
    said, run = job(t, 1, "--quern-singleton=on", env={"OMPI_COMM_WORLD_SIZE_": "4"})
    t.check(said["size"] == ["1"] and said["status"] == ["QUERN_OK "], "said %s" % dict(said), run)
    said, run = job(t, None, env={"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "QUERN_SINGLETON": "on"})
    t.check(said["size"] == ["1"] and said["status"] == ["QUERN_OK "], "said %s" % dict(said), run)


def a_singleton_of_several_processes_is_refused_once_with_the_remedy(t):
    for arguments, env in ((["--quern-singleton=on"], {}), ([], {"QUERN_SINGLETON": "on"})):
        said, run = job(t, 3, *arguments, env=env)
        t.check(len(said["status"]) == 1 and said["status"][0].startswith("QUERN_ERROR_LAUNCHER"),
                "said %s" % dict(said), run)
        t.check("3 processes" in said["status"][0] and "without mpirun" in said["status"][0], "no remedy", run)
        t.check(not os.path.exists(t.path("out")), "worked all the same", run)


def progress_and_log_appear_only_when_asked_for(t):
    said, run = job(t, 2)
    t.check(not run.messages, "a quiet job said something", run)
    said, run = job(t, 2, "--quern-progress=on")
    t.check(b"done" in run.stderr, "no progress was shown", run)
    log = t.path("log")
    said, run = job(t, 2, "--quern-log=" + log)
    t.check(not run.messages, "a job that logs to a file said something", run)
    with open(log, "rb") as file:
        lines = file.read()
    t.check(b"rank 0 of 2" in lines and b"rank 1 of 2" in lines, "not every rank logged", run)


def a_plan_is_shown_once_by_rank_0_in_the_form_asked_for(t):
    for arguments, env, begin in ((("--quern-explain=text",), {}, b"plan: 2 stages, 1 output; run: QUERN_OK\nstage 1"),
                                  (("--quern-explain", "dot"), {"QUERN_EXPLAIN": "text"}, b"digraph quern {\n"),
                                  ((), {"QUERN_EXPLAIN": "text"}, b"plan: 2 stages"),
                                  (("--quern-explain=off",), {"QUERN_EXPLAIN": "text"}, b"")):
        said, run = job(t, 3, *arguments, env=env)
        t.check(run.stderr.startswith(begin) and bool(run.stderr) == bool(begin), "said %s" % run.stderr, run)
        t.check(run.stderr.count(b"run: QUERN_OK") == bool(begin), "said %s" % run.stderr, run)
        t.check(said["status"] == ["QUERN_OK "], "said %s" % dict(said), run)


# ---------------------------------------------------------------- C++


def a_program_in_cxx_gives_the_right_answer(t):
    chance = random.Random(3)
    words = [bytes(chance.choice(b"abcdefgh") for _ in range(chance.randint(1, 9))) for _ in range(20000)]
    t.write("words", b" ".join(words[:9000]) + b"\n" + b"\n".join(words[9000:]))
    found = collections.defaultdict(list)
    for word in words:
        found[word[:1]].append(len(word))
    numbers = {key: len(lengths) * 10000 + min(lengths) * 100 + max(lengths) for key, lengths in found.items()}
    expected = b"".join(b"%s %d\n" % (key, number)
                        for key, number in sorted(numbers.items(), key=lambda item: (-item[1], item[0])))
    for n in (None, 1, 2, 4):
        run = t.run(n, t.dir, timeout=20)
        t.check(run.status == 0 and run.stdout == expected, "wrong answer on %s ranks: %s" % (n, run.stdout[:200]), run)


def choose(program):
    if program == "api_cxx":
        TESTS.append(a_program_in_cxx_gives_the_right_answer)
        return
    plan = PLANS[program]
    for n, arguments in plan.launches:
        TESTS.append(holds(program, plan, n, arguments))
    if program in CHECKED:
        TESTS.append(holds_in_check_mode(program, *CHECKED[program]))
    if program == "api_options":
        TESTS.extend([a_launched_job_takes_its_arguments_and_leaves_the_others,
                      fields_win_over_variables_in_a_launched_job,
                      bad_options_of_a_launched_job_are_told_once_and_hang_nobody,
                      a_singleton_is_alone_under_any_launcher,
                      a_singleton_of_several_processes_is_refused_once_with_the_remedy, progress_and_log_appear_only_when_asked_for,
                      a_plan_is_shown_once_by_rank_0_in_the_form_asked_for])


if __name__ == "__main__":
    choose(os.path.basename(sys.argv[sys.argv.index("--wordcount") + 1]))
    main()
