#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_report.py: what is to be seen of a job afterwards: the page in a real browser, the trace, the metrics, the verdict, and quern report."""
import copy
import gzip
import html
import json
import os
import random
import re
import shutil
import signal
import subprocess
import time

from harness import Skip, build_path, load_json, main, process_env, read_file, shared_directory, test, wait_until

TEXT = b"".join(b"word%d the\n" % (i % 9973) for i in range(300000))
STATES = {"o": "other", "m": "map", "r": "reduce", "s": "shuffle", "d": "spill", "w": "wait", "i": "idle", "c": "commit", "x": "recover"}
FIGURES = ("tasks", "attempts", "attempts_failed", "input_bytes", "source_records", "end_records", "owned_records", "sent_bytes",
           "received_bytes", "spill_runs", "spilled_bytes", "work_ns", "wait_ns")
HOSTILE = "</script><script>document.title='owned'</script><b id=owned>"


def quern(t, status, *words):
    done = subprocess.run([t.options.quern, *words], cwd=t.dir, capture_output=True, timeout=100)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    t.check(done.returncode == status, "%s: status %d\n%s" % (words, done.returncode, said[:2000]))
    return said


def no_profile(_):
    """The browser fills it, and starts sooner the next time."""


def browse(t, page, *how):
    """Standard output of a browser that opens a page from the file system; none of its scripts has failed."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if not browser:
        raise Skip("there is no Chromium")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-logging=stderr",
         "--user-data-dir=" + shared_directory(no_profile), *how, "file://" + page], cwd=t.dir, capture_output=True, timeout=100)
    t.check(done.returncode == 0, "the browser: %s" % done.stderr[-2000:])
    t.check(b"Uncaught" not in done.stderr and b"CONSOLE" not in done.stderr, "a script failed: %s" % done.stderr[-2000:])
    return done.stdout.decode()


def drawn(t, page):
    """The page's elements once its scripts have run."""
    dom = browse(t, page, "--dump-dom")
    t.check('data-drawn="yes"' in dom, "it was not drawn to its end: %s" % dom[-500:])
    return dom


def job(t, n, *args, text=TEXT, name="job"):
    path = t.write("input", text)
    return t.path(name), t.succeed(n, path, "--quern-job", t.path(name), *args)


def simulated(ranks, stages=2, seconds=100.0):
    """A report of as many ranks as wanted, of the form that jobs write."""
    chance = random.Random(ranks)
    figures = [{figure: chance.randrange(10 ** 9) for figure in FIGURES} for _ in range(64)]
    for one in figures:
        one["attempts_failed"], one["work_ns"] = 0, 90 * 10 ** 9
    lines = ["".join(chance.choice("mmmmmmmmsswir") for _ in range(512)) for _ in range(64)]
    one_stage = {"name": "read text", "end": "reduce by key", "status": "QUERN_OK", "start_seconds": 0.0, "seconds": seconds / stages,
                 "load": {"busiest_rank": 0, "busiest_to_mean": 1.02}, "hottest_keys": [{"key": "the", "share": 0.02}], "bad_records": [],
                 "legs": [{"reads_stage": None, "input": "/data", "read_bytes": 1, "first_edge": 0, "operators": 0}],
                 "one_reader": {"files": 0, "largest": None, "largest_bytes": 0},
                 "edges": [{"name": name, "records_in": 5, "records_out": 5, "records_dropped": 0} for name in ("read text", "reduce by key")]}
    report = {"quern_report": 1, "status": "QUERN_OK", "error": None, "elapsed_seconds": seconds, "input_bytes": 10 ** 12,
              "memory_bytes_per_node": 64 << 30, "memory_source": "physical memory", "recoveries": [], "counters": {},
              "timeline": {"seconds": seconds, "columns": 512, "states": STATES}, "stages": [], "ranks": [],
              "exchanged_bytes": [[chance.randrange(10 ** 9) for _ in range(min(ranks, 64))] for _ in range(min(ranks, 64))]}
    for number in range(stages):
        stage = copy.deepcopy(one_stage)
        stage["start_seconds"] = number * seconds / stages
        stage["legs"][0]["reads_stage"] = number or None
        stage["ranks"] = [figures[rank % 64] for rank in range(ranks)]
        report["stages"].append(stage)
    for rank in range(ranks):
        report["ranks"].append({
            **figures[rank % 64], "rank": rank, "host": "node%05d" % (rank // 64), "node": rank // 64, "core_sharers": 1,
            "pinned": "core %d, PU %d, package 0, NUMA 0" % (rank % 64, rank % 64), "peak_rss_bytes": 10 ** 8, "line": lines[rank % 64],
            "state_seconds": {name: seconds * lines[rank % 64].count(letter) / 512 for letter, name in STATES.items()},
            "resident_bytes": [10 ** 8 + rank * i for i in range(64)], "clock_error_seconds": 0.0, "scratch_bytes": 10 ** 12,
            "scratch_free_bytes": 9 * 10 ** 11})
    return report


def pages_of(t, report, name="simulated"):
    """The directory of what quern report makes, and what it says."""
    path = t.write(name + "/report.json", json.dumps(report).encode())
    return os.path.dirname(path), quern(t, 0, "report", path)


@test
def a_browser_shows_what_bounded_a_job(t):
    directory, run = job(t, 3, "-o", t.new_output())
    page, verdict = os.path.join(directory, "report.html"), load_json(os.path.join(directory, "report.json"))["verdict"]
    t.check(b"http://" not in read_file(page).replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in read_file(page), "it names the network", run)
    dom = drawn(t, page)
    for text in (verdict["text"], verdict["change"], "reduce by key", "write text", "3 ranks on", "the"):
        t.check(html.escape(text, quote=False) in dom, "not on the page: %s" % text, run)
    browse(t, page, "--window-size=1000,900", "--screenshot=" + t.path("page.png"))
    png = read_file(t.path("page.png"))
    t.check(png.startswith(b"\x89PNG") and len(png) > 30000, "a picture of %d bytes is nearly blank" % len(png), run)


@test
def texts_of_the_data_stay_texts(t):
    word = HOSTILE.replace(" ", "/").encode() + b"\xff\\\"'&"
    path = t.write(os.fsencode("in" + HOSTILE.replace("/", "")), (word + b"\n") * 1000 + b"other words\n")
    run = t.succeed(2, path, "--quern-job", t.path("job"))
    t.check(load_json(t.path("job/report.json"))["stages"][0]["hottest_keys"][0]["key"].startswith("</script>"), "it is not the hottest", run)
    report = load_json(t.path("job/report.json"))
    for hostile in (report, report["stages"][0], report["ranks"][0], report["stages"][0]["legs"][0], report["stages"][0]["edges"][0]):
        for field in ("error", "host", "name", "end", "input", "pinned", "memory_source"):
            if field in hostile:
                hostile[field] = HOSTILE
    report["counters"][HOSTILE] = 1
    made, _ = pages_of(t, report)
    for page in (t.path("job/report.html"), os.path.join(made, "report.html")):
        t.check(read_file(page).count(b"</script>") == 2, "a text ends a script")
    dom = drawn(t, os.path.join(made, "report.html"))
    t.check(dom.count("<script") == 2 and "<b id=" not in dom and "<title>owned" not in dom, "a text became an element")
    t.check(html.escape("</script>") in dom, "the text is not there")
    events(t, os.path.join(made, "trace.json"))
    metrics(t, os.path.join(made, "metrics.prom"))


@test
def what_failed_or_was_killed_has_a_page(t):
    t.fail(2, "/nowhere", "--quern-job", t.path("failed"), naming="/nowhere")
    quern(t, 0, "report", t.path("failed"))
    t.check(b"/nowhere" in read_file(t.path("failed/report.html")), "it does not say why")
    t.program = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "resumed_job")
    path = t.write("input", TEXT * 4)
    running = t.start(2, "slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", t.path("job"))
    status = t.path("job/status.json")
    t.check(wait_until(lambda: os.path.exists(status) and (load_json(status)["stage"] or {}).get("tasks_done", 0) > 0, 30), "it does not work")
    t.check("it runs" in quern(t, 0, "report", t.path("job")), "a job that runs")
    running.kill()
    old = json.dumps({**load_json(status), "updated": int(time.time()) - 100}).encode()
    t.write("job/status.json", old)
    said = quern(t, 0, "report", t.path("job"))
    t.check(re.search(r"was killed after \S+ s, in stage 1", said), said)
    t.check("it was killed" in drawn(t, t.path("job/report.html")), "the page does not say it")
    t.check("cannot read" in quern(t, 1, "report", t.path("logs")), "no report")
    t.supervisor = [t.options.quern, "run"]
    running = t.start(2, "slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", t.path("run"))
    status = t.path("run/status.json")
    t.check(wait_until(lambda: os.path.exists(status) and (load_json(status)["stage"] or {}).get("tasks_done", 0) > 0, 30), "it does not work")
    os.kill([pid for pid in running.pids() if process_env(pid, "OMPI_COMM_WORLD_RANK") == "1"][0], signal.SIGKILL)
    running.wait()
    t.check(b"it was killed after" in read_file(t.path("run/report.html")), "quern run does not say it")


@test
def the_page_of_a_program_that_leaves_behind_its_last_run_is_that_of_the_run(t):
    t.program = build_path(t, "resumed_job")
    t.supervisor = [t.options.quern, "run"]
    path = t.write("input", TEXT)
    for where in ("leave", "linger"):
        job = t.path("job" + where)
        run = t.start(2, where, t.path("out" + where), "-", path, "--quern-job", job).wait()
        t.check(load_json(os.path.join(job, "status.json"))["state"] in ("starting", "running"), "it said that it was over", run)
        t.check(load_json(os.path.join(job, "report.json"))["status"] == "QUERN_OK", "the run failed", run)
        for told in (None, (), ("--ended",)):
            said = quern(t, 0, "report", *told, job) if told is not None else ""
            t.check("killed" not in said and b"it was killed after" not in read_file(os.path.join(job, "report.html")) and
                    metrics(t, os.path.join(job, "metrics.prom"))["quern_run_ok", None] == 1, "%s, %s: %s" % (where, told, said), run)


@test
def a_failure_at_the_begin_is_not_covered_by_the_report_of_another_job(t):
    directory, _ = job(t, 2)
    path = t.path("input")
    for number, (options, text) in enumerate(((("--quern-report", t.path("no/where")), "cannot write the report"),
                                              (("--quern-checkpoint", path), "cannot use"))):
        t.check(job(t, 2)[0] and load_json(t.path("job/report.json"))["status"] == "QUERN_OK", "it did not succeed")
        run = t.fail(2, path, "--quern-job", directory, *options, naming=text)
        said = quern(t, 0, "report", directory)
        t.check("The run failed, " in said and text in said, said, run)
        t.check(text.encode() in read_file(t.path("job/report.html")) and text in str(load_json(t.path("job/status.json"))), "the page or the status", run)
        t.check(number == 0 or load_json(t.path("job/report.json"))["ranks"] == [], "the report", run)
    drawn(t, t.path("job/report.html"))
    metrics(t, t.path("job/metrics.prom"))
    job(t, 2)
    t.program = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "resumed_job")
    running = t.start(2, "slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", directory)
    status = t.path("job/status.json")
    t.check(wait_until(lambda: load_json(status)["stage"], 30), "it does not work")
    left = {name for name in os.listdir(directory) if name in ("report.html", "trace.json", "metrics.prom")}
    t.check(not left and not os.path.getsize(t.path("job/report.json")), "of the job before: %s" % left)
    running.kill()


@test
def what_an_attempt_saved_keeps_its_report_until_the_next_has_one(t):
    t.program = os.path.join(os.path.dirname(t.options.wordcount), "..", "tests", "e2e", "resumed_job")
    path, status = t.write("input", TEXT * 4), t.path("job/status.json")
    words = ("slow", t.path("out1"), t.path("out2"), path, "--quern-split-bytes=32K", "--quern-job", t.path("job"), "--quern-checkpoint",
             t.path("saved"), "--quern-resume=on")
    for attempt in range(2):
        running = t.start(2, *words)
        t.check(wait_until(lambda: os.path.exists(status) and load_json(status)["state"] == "running" and load_json(status)["stage"], 30), "it does not work")
        t.check(os.path.exists(t.path("job/report.html")) == (attempt > 0), "the report of attempt %d" % attempt)
        quern(t, 0, "cancel", "job")
        running.wait()


@test
def why_an_attempt_failed_is_kept_though_another_succeeded(t):
    path = t.write("input", b"a b\n" * 1000)
    once = "if mkdir %s 2>/dev/null; then cat >/dev/null; echo it broke %s >&2; exit 3; fi; cat"
    t.program = t.options.quern
    run = t.run(None, "stream", "-n", "2", "-o", t.path("out"), "--shell", "--map", once % (t.path("one"), "here"), "--reduce",
                once % (t.path("other"), "there"), path, "--quern-job=" + t.path("job"), "--quern-progress=on")
    t.check(run.status == 0, "it did not succeed", run)
    report, log = load_json(t.path("job/report.json")), read_file(t.path("job/log"))
    failed = report["failed_attempts"]
    t.check(len(failed) == 1 and "it broke here" in failed[0].pop("reason"), str(report["failed_attempts"]), run)
    t.check(failed[0].pop("rank") in (0, 1) and failed[0] == {"stage": 1, "task": 0, "attempt": 1}, str(failed), run)
    t.check(log.count(b"it broke here") == log.count(b"it broke there") == 1, "the log: %s" % log, run)
    t.check(len(re.findall(rb"^quern: stage 1 of .*task 0 failed on rank . \(attempt 1\): .*it broke here", run.stderr, re.M)) == 1, "no line", run)
    t.check("it broke here" in drawn(t, t.path("job/report.html")), "the page", run)


@test
def the_timeline_of_every_rank_adds_up(t):
    for n in (None, 1, 2, 3, 7):
        directory, run = job(t, n, "--quern-memory=%dM" % (64 * (n or 1)), "-o", t.new_output(), name="job%s" % n)
        report = load_json(os.path.join(directory, "report.json"))
        whole = report["timeline"]["seconds"]
        t.check(report["timeline"]["states"] == STATES and report["timeline"]["columns"] == 512, "other states", run)
        t.check(abs(whole - report["elapsed_seconds"]) < 0.05 * whole + 0.05, "another time than the run's", run)
        for rank in report["ranks"]:
            t.check(abs(sum(rank["state_seconds"].values()) - whole) < 0.02 * whole + 0.02, "rank %d has %s of %s" % (rank["rank"], rank["state_seconds"], whole), run)
            t.check(len(rank["line"]) == 512 and set(rank["line"]) <= {*STATES, " "} and rank["line"].strip().count(" ") == 0, "the line %s" % rank["line"], run)
            work = sum(stage["ranks"][rank["rank"]]["work_ns"] for stage in report["stages"]) / 1e9
            inside = sum(rank["state_seconds"][name] for name in ("map", "reduce"))
            t.check(0 < inside <= work + 0.02, "%s s of work, and %s" % (work, rank["state_seconds"]), run)
            t.check(0 < max(rank["resident_bytes"]) <= rank["peak_rss_bytes"] * 1.02 + 65536, "memory", run)
        sent = sum(rank["sent_bytes"] for rank in report["ranks"])
        t.check(len(report["exchanged_bytes"]) == (n or 1) and sum(map(sum, report["exchanged_bytes"])) == sent, "bytes of pairs", run)
        for stage, after in zip(report["stages"], report["stages"][1:]):
            t.check(stage["start_seconds"] + stage["seconds"] <= after["start_seconds"] + 1e-3, "stages overlap", run)
        t.check([leg["reads_stage"] for stage in report["stages"] for leg in stage["legs"]] == [None, 1], "the plan", run)


def events(t, path):
    """The events of a trace, each of which is what the viewers ask for."""
    trace = load_json(path)
    for event in trace["traceEvents"]:
        t.check(event["ph"] in "XMC" and isinstance(event["name"], str) and isinstance(event["pid"], int) and isinstance(event["tid"], int), str(event))
        if event["ph"] == "X":
            t.check(event["ts"] >= -1 and event["dur"] >= 0, str(event))
        elif event["ph"] == "M":
            t.check(event["name"] in ("process_name", "thread_name") and isinstance(event["args"]["name"], str), str(event))
        else:
            t.check(event["ts"] >= 0 and event["args"]["bytes"] >= 0, str(event))
    return trace["traceEvents"]


@test
def the_trace_has_a_thread_for_each_rank(t):
    directory, run = job(t, 3)
    found = events(t, os.path.join(directory, "trace.json"))
    seconds = load_json(os.path.join(directory, "report.json"))["timeline"]["seconds"]
    t.check([event["args"]["name"] for event in found if event["name"] == "thread_name"] == ["rank 0", "rank 1", "rank 2"], "the threads", run)
    for rank in range(3):
        slices = [event for event in found if event["ph"] == "X" and event["tid"] == rank and event["pid"] == 0]
        t.check({"map"} <= {event["name"] for event in slices} <= set(STATES.values()), "the states", run)
        filled = sum(event["dur"] for event in slices) / 1e6
        # ranks do not end at the same moment, where one waits for a core
        t.check(abs(filled - seconds) < 0.02 * seconds + 0.02, "they fill %.3f of %.3f s" % (filled, seconds), run)
        t.check(all(one["ts"] + one["dur"] <= two["ts"] + 0.01 for one, two in zip(slices, slices[1:])), "they overlap", run)


SAMPLE = re.compile(r'([a-z_][a-z0-9_]*)(?:\{([a-z_]+="(?:[^"\\\n]|\\["\\n])*"(?:,[a-z_]+="(?:[^"\\\n]|\\["\\n])*")*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?|NaN)')


def metrics(t, path):
    """Samples by name and labels; every line is one of OpenMetrics: families in one piece, their type first, no sample twice."""
    text = read_file(path).decode()
    t.check(text.endswith("\n# EOF\n"), "it does not end")
    samples, families, current = {}, set(), None
    for line in text.split("\n")[:-2]:
        if line.startswith("# TYPE "):
            _, _, current, kind = line.split(" ")
            t.check(kind == "gauge" and current not in families, line)
            families.add(current)
        elif line.startswith("# UNIT "):
            t.check(line.split(" ")[2] == current and current.endswith("_" + line.split(" ")[3]), line)
        elif line.startswith("# HELP "):
            t.check(line.split(" ")[2] == current, line)
        else:
            match = SAMPLE.fullmatch(line)
            t.check(match and match.group(1) == current and match.group(1, 2) not in samples, line)
            samples[match.group(1, 2)] = float(match.group(3))
    return samples


@test
def the_metrics_are_those_of_the_report(t):
    directory, run = job(t, 2)
    found, report = metrics(t, os.path.join(directory, "metrics.prom")), load_json(os.path.join(directory, "report.json"))
    t.check(found["quern_run_ok", None] == 1 and found["quern_ranks", None] == 2, "the run", run)
    for figure in ("input_bytes", "sent_bytes", "source_records", "shuffle_rounds"):
        t.check(found["quern_" + figure, None] == sum(rank[figure] for rank in report["ranks"]), figure, run)
    for name in STATES.values():
        t.check(abs(found["quern_state_seconds", 'state="%s"' % name] - sum(rank["state_seconds"][name] for rank in report["ranks"])) < 1e-3, name, run)
    t.fail(2, "/nowhere", "--quern-job", t.path("failed"), naming="/nowhere")
    t.check(metrics(t, t.path("failed/metrics.prom"))["quern_run_ok", None] == 0, "it failed")


@test
def the_dashboard_asks_for_metrics_that_there_are(t):
    report = simulated(2)
    report["memory_source"] = "cgroup v2"  # an alert
    found = metrics(t, os.path.join(pages_of(t, report)[0], "metrics.prom"))
    labels = {name: set(re.findall(r'([a-z_]+)="', of or "")) for name, of in found}
    asked = []
    json.loads(read_file(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "howto", "grafana-dashboard.json")),
               object_hook=lambda one: asked.append(one["expr"]) if "expr" in one else None)
    t.check(len(asked) > 5, "questions: %s" % asked)
    for question in asked:
        names = set(re.findall(r"\bquern_[a-z_]+\b(?!\()", question))
        for group, end in re.findall(r"quern_\(([a-z|]+)\)(_[a-z]+)", question):
            names |= {"quern_" + one + end for one in group.split("|")}
        names -= {"quern_"}
        t.check(names and names <= set(labels), "%s: there are no %s" % (question, names - set(labels)))
        by = {label for list_ in re.findall(r"by \(([^)]*)\)", question) for label in list_.split(", ")} - {"instance"}  # Prometheus adds that
        t.check(all(by <= labels[name] for name in names), "%s: no labels %s" % (question, by))


@test
def a_page_of_a_thousand_ranks_is_small_and_of_ten_thousand_bounded(t):
    for ranks, stages, page_bytes, trace_bytes in ((1000, 8, 2e6, 40e6), (10000, 2, 2.5e6, 40e6)):
        directory, _ = pages_of(t, simulated(ranks, stages), "of%d" % ranks)
        size = os.path.getsize(os.path.join(directory, "report.html"))
        t.check(size < page_bytes, "%d ranks: a page of %d bytes" % (ranks, size))
        t.check(os.path.getsize(os.path.join(directory, "trace.json")) < trace_bytes, "the trace")
        threads = sum(event["name"] == "thread_name" for event in load_json(os.path.join(directory, "trace.json"))["traceEvents"])
        t.check(threads == ranks, "%d threads" % threads)
        t.check(ranks > 1000 or "1000 ranks on" in drawn(t, os.path.join(directory, "report.html")), "it does not say how many")
        metrics(t, os.path.join(directory, "metrics.prom"))


def waits_in(report, part):
    for rank in report["ranks"]:
        rank["state_seconds"] = {**dict.fromkeys(STATES.values(), 0.0), "wait": 100.0 * part, "map": 100.0 * (1 - part)}


def made_hot(report):
    waits_in(report, 0.4)
    report["stages"][0]["hottest_keys"][0]["share"] = 0.12
    report["stages"][0]["load"] = {"busiest_rank": 5, "busiest_to_mean": 2.5}


def made_of_one_file(report):
    waits_in(report, 0.4)
    report["stages"][0]["one_reader"] = {"files": 1, "largest": "/data/all.gz", "largest_bytes": sum(rank["input_bytes"] for rank in report["stages"][0]["ranks"])}


def made_slow(report):
    waits_in(report, 0.4)
    report["stages"][0]["ranks"] = [dict(rank, work_ns=10 ** 10 * (5 if i == 5 else 1)) for i, rank in enumerate(report["stages"][0]["ranks"])]


def made_of_few_tasks(report):
    waits_in(report, 0.4)
    report["stages"][0]["ranks"] = [dict(rank, tasks=1) for rank in report["stages"][0]["ranks"]]


def made_of_little(report):
    waits_in(report, 0.4)
    for stage in report["stages"]:
        stage["seconds"] = 1.0


def made_crowded(report):
    waits_in(report, 0.4)
    report["ranks"][3]["core_sharers"] = 2


def made_throttled(report):
    waits_in(report, 0.4)
    for rank in report["ranks"]:
        rank["processors_allowed"] = 1.5


def made_spilling(report):
    waits_in(report, 0.1)
    for rank in report["ranks"]:
        rank["state_seconds"]["spill"] = 30.0


def made_exchanging(report):
    waits_in(report, 0.1)
    for rank in report["ranks"]:
        rank["state_seconds"]["shuffle"] = 80.0


def made_to_fail(report):
    report.update(status="QUERN_ERROR_INPUT", error="cannot read /data")


@test
def the_verdict_names_what_bounded_the_run(t):
    cases = ((made_hot, "hot key", ["key 'the' holds about 12 %", "rank 5 has 2.5 times", "hot key: "]),
             (made_of_one_file, "one reader", ["/data/all.gz cannot be split", "unsplittable input: "]),
             (made_slow, "straggler", ["rank 5 on node00000, which worked 50.00 s", "straggler: rank 5"]),
             (made_of_few_tasks, "few tasks", ["8 tasks for 8 ranks"]),
             (made_of_little, "set-up", ["were before, between and behind stages"]),
             (made_crowded, "oversubscribed cores", ["several ranks share a core"]),
             (made_throttled, "oversubscribed cores", ["processor quota: 8 ranks on node00000 share 1.50 processors"]),
             (lambda report: waits_in(report, 0.4), "waiting", ["ranks waited 40 % of the time"]),
             (made_spilling, "scratch", ["Writing to scratch took"]), (made_exchanging, "exchange", ["Exchanging records took"]),
             (lambda report: waits_in(report, 0.0), "map", ["reading and mapping took 100 %"]),
             (lambda report: report.update(elapsed_seconds=0.1), "short", ["took 0.100 s"]),
             (made_to_fail, "failure", ["QUERN_ERROR_INPUT: cannot read /data"]))
    for change, bound_by, texts in cases:
        report = simulated(8)
        change(report)
        directory, said = pages_of(t, report)
        for text in texts:
            t.check(text in said, "%s: not %s in %s" % (bound_by, text, said))
        t.check('"bound_by":"%s"' % bound_by in read_file(os.path.join(directory, "report.html")).decode(), "%s: %s" % (bound_by, said))


@test
def what_is_striking_is_an_alert(t):
    def crowded(report):
        for rank in report["ranks"]:
            rank.update(core_sharers=2, scratch_free_bytes=10 ** 10, peak_rss_bytes=9 << 30)
        report["ranks"][0]["attempts_failed"] = 3
        report["memory_source"] = "cgroup v2"
        report["recoveries"] = [{"lost_ranks": [3], "lost_count": 1, "survivors": 8, "seconds": 1.0, "from_checkpoint": True}]
        report["alerts"] = [{"kind": "silent rank", "text": "rank 3 has not run"}, {"kind": "straggler", "text": "of before"},
                            {"kind": "disk", "text": "the scratch file system of node00000 came to be 97 % full, of before"},
                            {"kind": "disk", "text": "the scratch file system of node00007 came to be 96 % full"}, {"kind": "disk", "text": "another"}]
    report = simulated(8)
    crowded(report)
    _, said = pages_of(t, report)
    for text in ("oversubscribed core: 2 ranks on node00000 share core 0", "disk: the scratch file system of node00000 is 99 % full", "memory: the ranks on node00000 came to need",
                 "file system of node00007 came to be 96", "disk: another", "failed attempts: 3", "budget cut: ", "lost ranks: 1", "silent rank: rank 3 has not run"):
        t.check(said.count(text) == 1, "%s in %s" % (text, said))
    t.check("of before" not in said, said)
    t.check("  " not in pages_of(t, simulated(8))[1], "there are alerts of a job that has nothing")


def dealt_in_turn(ranks, nodes):
    """As launchers with --map-by node, or srun with cyclic, place them."""
    report = simulated(ranks)
    for rank in report["ranks"]:
        rank.update(node=rank["rank"] % nodes, host="node%05d" % (rank["rank"] % nodes))
    return report


@test
def ranks_that_are_dealt_out_in_turn_are_judged_by_their_nodes(t):
    report = dealt_in_turn(8, 2)
    waits_in(report, 0.4)
    for rank in report["ranks"]:
        rank.update(peak_rss_bytes=(20 << 30) - (rank["node"] << 33), scratch_free_bytes=10 ** 10, core_sharers=2 - rank["node"],
                    processors_allowed=(1.5, 4.0)[rank["node"]])
    directory, said = pages_of(t, report)
    for text in ("memory: the ranks on node00000 came to need", "disk: the scratch file system of node00000 is", "disk: the scratch file system of node00001 is",
                 "oversubscribed core: 2 ranks on node00000", "processor quota: 4 ranks on node00000 share 1.50 processors"):
        t.check(said.count(text) == 1, "%s in %s" % (text, said))
    t.check("memory: the ranks on node00001" not in said and "quota: 4 ranks on node00001" not in said, said)
    t.check('"bound_by":"oversubscribed cores"' in read_file(os.path.join(directory, "report.html")).decode(), said)
    names = [event["pid"] for event in events(t, os.path.join(directory, "trace.json")) if event["name"] == "process_name"]
    t.check(sorted(names) == [0, 1, 2], "processes of the trace: %s" % names)
    report = dealt_in_turn(8, 2)
    for rank in report["ranks"]:
        rank["processors_allowed"] = 1.5
    waits_in(report, 0.4)
    directory, said = pages_of(t, report)
    t.check('"bound_by":"oversubscribed cores"' in read_file(os.path.join(directory, "report.html")).decode(), said)
    report = dealt_in_turn(1000, 4)
    for rank in report["ranks"]:
        rank.update(scratch_free_bytes=10 ** 10, core_sharers=2)
    report["memory_source"] = "cgroup v2"
    _, said = pages_of(t, report)
    t.check(said.count("disk: ") == said.count("oversubscribed core: ") == 4 and "budget cut: " in said, said)


@test
def an_input_that_cannot_be_split_is_an_alert_everywhere(t):
    path = t.write("input.gz", gzip.compress(TEXT * 3, 1))
    run = t.succeed(2, path, "--quern-job", t.path("job"))
    found = [alert["text"] for alert in load_json(t.path("job/report.json"))["alerts"] if alert["kind"] == "unsplittable input"]
    t.check(len(found) == 1 and "input.gz" in found[0], str(found), run)
    t.check(found[0] in [alert["text"] for alert in load_json(t.path("job/status.json"))["alerts"]], "the status", run)
    log = read_file(t.path("job/log"))
    t.check(b"alert: unsplittable input: " + found[0].encode() in log, "the log", run)
    t.check(0 < log.find(b" rank 0: unsplittable input: ") < log.find(b"stage 1: "), "not before the stage is over", run)


@test
def two_runs_are_compared(t):
    first, _ = job(t, 1, name="first")
    second, _ = job(t, 2, name="second")
    said = quern(t, 0, "report", "first", "second")
    t.check(re.search(r"^ranks +1 +2 +2\.00 x$", said, re.M) and re.search(r"^input_bytes +(\S+ MB) +\1 +=$", said, re.M), said)
    t.check("elapsed seconds" in said and "seconds of stage 1" in said and "seconds of ranks: map" in said, said)
    for words in (["report"], ["report", "a", "b", "c"], ["report", "-o", "x", "a", "b"], ["report", "-x"]):
        quern(t, 2, *words)
    quern(t, 1, "report", "first", "nowhere")


@test
def any_file_is_a_report_or_none(t):
    def twisted(value, chance):
        kinds = (None, True, -1, 10 ** 18, 1e308, "", HOSTILE, "\u0000x", "é" * 300, [], {}, [[]], [None], {"a": 1})
        if chance.random() < 0.02:
            return chance.choice(kinds)
        if isinstance(value, dict):
            return {key: twisted(one, chance) for key, one in value.items()}
        return [twisted(one, chance) for one in value] if isinstance(value, list) else value
    for seed in range(60):
        report = twisted(simulated(3), random.Random(seed))
        if not isinstance(report, dict) or not isinstance(report.get("ranks"), list):
            continue
        directory, _ = pages_of(t, report)
        t.check(read_file(os.path.join(directory, "report.html")).count(b"</script>") == 2, "seed %d: a text ends a script" % seed)
        json.loads(read_file(os.path.join(directory, "trace.json")))
        if seed == 2:
            drawn(t, os.path.join(directory, "report.html"))
    for content in (b"", b"{", b"[]", b"{}", b'{"ranks": 5}', b"\xff" * 100, b"[" * 100000):
        quern(t, 1, "report", t.write("odd", content))


if __name__ == "__main__":
    main()
