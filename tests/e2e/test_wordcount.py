#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_wordcount.py: the counts are right for any bytes, any tree of files, any ranks and any splits.

Many nasty files share one run, since a launch costs more than counting them. When such a run is wrong, the
files are counted again one by one, so that the report names the file. Random inputs come from fixed seeds.

Where a test has ways to launch and things to count, each way and each thing comes by default, and with --slow each way with
each thing; so do more sizes of splits and more seeds.
"""
import os
import random
import socket
import stat
import time

from harness import SEPARATORS, Skip, compare_counts, count_words, main, parse_counts, read_file, test, top_lines

EVERY_N = (None, 1, 2, 3, 4, 7, 8)


# ---------------------------------------------------------------- inputs


def separator_files():
    """Each separator at each place of a word and of a 64-byte vector; each byte that must not separate."""
    files = {}
    for s in (bytes([s]) for s in SEPARATORS):
        name = "sep%02x-" % s[0]
        texts = (s, b"a" + s, s + b"a", b"a" + s + b"b", s + s, b"x" + s + s + b"y", s + b"m" + s + b"n" + s)
        for i, text in enumerate(texts):
            files[name + str(i)] = text
        files[name + "blocks"] = b"".join(b"w" * at + s + b"w" * (63 - at) for at in range(64))
        files[name + "ends"] = b"v" * 63 + s + b"v" * 64 + s + b"v" * 65 + s
    for pad in (0, 1, 7, 15, 16, 31):
        files["each-byte-%02d" % pad] = b"".join(
            b"." * pad + b"L" + bytes([byte]) + b"R " for byte in range(256))
    files["all-bytes"] = bytes(range(256)) * 3
    return files


def small_files():
    """Small enough to be cut into splits of one byte."""
    files = {
        "empty": b"", "empty2": b"", "one-byte": b"z", "one-nul": b"\0", "one-space": b" ", "one-newline": b"\n",
        "nuls": b"\0" * 100, "nul-words": b"\0 \0\0 \0\0\0 a\0 \0a a\0b a a\0\0", "ff": b"\xff" * 33 + b" \xff",
        "crlf": b"one two\r\nthree\r\n\r\nfour\r\n", "cr-only": b"one\rtwo\rthree",
        "no-newline-at-end": b"last words of a file", "no-newline-before": b"first words of a file",
        "only-separators": SEPARATORS * 50, "ends-in-separators": b"tail" + SEPARATORS, "starts": SEPARATORS + b"head",
        "utf8": "caf\u00e9 na\u00efve \u00a0nbsp\u00a0 \u2028line\u2029 \u65e5\u672c\u8a9e \u3000 \U0001f600".encode(),
        "bom": b"\xef\xbb\xbfword word", "bad-utf8": b"\xc3 \xc3( \xe2\x82 \xf0\x9f\x98 \xed\xa0\x80 \xfe\xff \x80",
        "utf16": "some words in utf-16".encode("utf-16"),
        "file-separators": b"a\x1cb\x1dc\x1ed\x1fe\x85f\xa0g\x08h\x0ei",
        "tabs": b"key\tvalue\tkey\n\tkey", "looks-like-output": b"word\t3\nword\t4\n",
        "quotes": b"\"a b\" 'c d' \\n \\t",
        "repeats": b"the cat the dog the " * 40, "line-of-one": b"\n".join([b"x"] * 300),
    }
    files.update(separator_files())
    return files


def length_words():
    """Words of each length about which a table may think differently, in families that share their bytes.

    Each has a count of its own, so that two words that change places are seen."""
    words = []
    for length in [*range(1, 70), 127, 128, 129, 255, 256, 257, 1023, 1024, 1025, 4095, 4096, 4097]:
        family = {b"a" * length, b"a" * (length - 1) + b"b", b"b" + b"a" * (length - 1), b"\0" * length,
                  b"a" * (length - 1) + b"\0", b"\0" + b"a" * (length - 1), b"\xff" * length,
                  b"a" * (length // 2) + b"\0" + b"a" * ((length - 1) // 2),
                  b"prefix--" + b"%d" % length, b"a" + b"\0" * (length - 1)}
        words.extend(sorted(family))
    words = sorted(set(words))
    random.Random(7).shuffle(words)
    return b" ".join(word for i, word in enumerate(words) for _ in range(1 + i % 5))


def buffer_files():
    """Numbered words in files that end just before, at and after likely buffer sizes: a lost byte shows."""
    text = b" ".join(b"%x" % (i * 2654435761 % 2**32) for i in range(260000))
    files = {}
    for size in (4096, 65536, 262144, 1 << 20, 2 << 20):
        for length in (size - 1, size, size + 1):
            files["buffer-%d" % length] = text[:length]
    for size in (4096, 65536, 262144):  # a border in the middle of separators, and at their ends
        for before in (0, 1, 2):
            full = text[:size - before].rsplit(b" ", 1)[0].ljust(size - before - 1, b"w")
            files["gap-%d-%d" % (size, before)] = full + b"\r\n" + text[:100]
    files["only-separators-100000"] = SEPARATORS * 16667
    files["gap-in-the-middle"] = b"left" + b" " * 300000 + b"right"
    return files


def fuzz_files(seed):
    """Random bytes of several kinds: all bytes, few letters, hardly any separators, hardly anything else."""
    rng = random.Random(seed)
    vocabulary = [rng.randbytes(rng.randint(1, 40)) for _ in range(200)]
    vocabulary = [word for word in vocabulary if word.split() == [word]]
    files = {
        "bytes": rng.randbytes(rng.randint(1, 60000)),
        "dense": bytes(rng.choices(b"ab \n", k=rng.randint(1, 40000))),
        "control": bytes(rng.choices(b"\0\x01\x08\x0e\x1c\x1f \t\n\v\f\r\x85\xa0", k=rng.randint(1, 40000))),
        "gaps": bytes(rng.choices(SEPARATORS + b"x", weights=[5, 5, 5, 5, 5, 5, 1], k=rng.randint(1, 40000))),
        "long": bytes(rng.choices(b"0123456789\n", weights=[100] * 10 + [3], k=rng.randint(1, 60000))),
        "text": b"".join(rng.choice(vocabulary) + bytes([rng.choice(SEPARATORS)]) for _ in range(4000)),
    }
    for i in range(20):
        files["tiny%02d" % i] = rng.randbytes(rng.randint(0, 30))
    return {"fuzz-%d-%s" % (seed, name): content for name, content in files.items()}


def write_tree(t, folder, files):
    for name, content in files.items():
        t.write(os.path.join(folder, name), content)
    return t.path(folder)


def count_tree(t, n, folder, files, *args, **start):
    """Counts a directory; if the answer is wrong, finds the files that are wrong alone. Returns the bytes."""
    data = t.count(n, [folder], *args, **start)
    if folder not in t.answers:
        t.answers[folder] = count_words(*files.values())
    difference = t.wrong_counts(t.answers[folder], data)
    if difference is None:
        return data
    culprits, end = [], time.monotonic() + 10
    for name, content in files.items():
        alone = t.count(None, [os.path.join(folder, name)], *args, **start)
        if compare_counts(count_words(content), parse_counts(alone)):
            culprits.append(name)
            if len(culprits) == 5 or time.monotonic() > end:
                break
    what = "wrong alone, too: %s" % culprits if culprits else "no file that was tried is wrong alone"
    t.check(False, "%s\nn=%s, %s; %s" % (difference, n, list(args), what))


# ---------------------------------------------------------------- any bytes, any ranks, any splits


@test
def python_splits_at_these_six_separators_only(t):
    cutting = bytes(byte for byte in range(256) if len((b"a" + bytes([byte]) + b"a").split()) == 2)
    t.check(sorted(cutting) == sorted(SEPARATORS), "the yardstick is wrong: %r" % cutting)


@test
def any_bytes_are_counted_and_the_output_is_the_same_for_every_number_of_ranks(t):
    files = {**small_files(), "lengths": length_words()}
    folder = write_tree(t, "nasty", files)
    outputs = {n: count_tree(t, n, folder, files) for n in EVERY_N}
    for n in EVERY_N[1:]:
        t.check(outputs[n] == outputs[None], "%s ranks and no launcher give the words in different order" % n)


@test
def splits_of_any_size_give_the_same_bytes(t):
    files = small_files()
    folder = write_tree(t, "nasty", files)
    whole = count_tree(t, None, folder, files)
    sizes = [(2, "1"), (3, "2"), (2, "7"), (1, "63"), (2, "64"), (3, "65"), (7, "4K"), (2, "8G")]
    if t.options.slow:
        sizes += [(None, "1"), (2, "3"), (4, "16"), (2, "1000"), (2, "4096"), (2, "1M")]
    for n, split_bytes in sizes:
        data = count_tree(t, n, folder, files, "--quern-split-bytes=" + split_bytes)
        t.check(data == whole, "n=%s with splits of %s bytes gives another order" % (n, split_bytes))


@test
def tasks_in_batches_give_the_same_bytes(t):
    files = small_files()
    folder = write_tree(t, "nasty", files)
    whole = count_tree(t, None, folder, files)
    for n, batch, speculate in ((1, 4, "auto"), (2, 32, "off"), (3, 3, "on"), (7, 8, "auto")):
        data = count_tree(t, n, folder, files, "--quern-split-bytes=32", "--quern-task-batch=%d" % batch, "--quern-speculate=" + speculate)
        t.check(data == whole, "n=%s with batches of %d tasks gives another order" % (n, batch))


@test
def words_that_cross_split_borders_are_counted_once(t):
    rng = random.Random(3)
    words = [b"%d:" % i + b"x" * rng.choice((0, 1, 5, 6, 7, 8, 20, 63, 64, 65, 200)) for i in range(250)]
    separators = [b" ", b"\n", b"\r\n", b"  ", b" \t \v", b"\f" * 9, b" " * 70]
    text = b"".join(word + rng.choice(separators) for word in words)
    files = {"from-%d" % start: text[start:len(text) - start] for start in range(0, 12)}
    folder = write_tree(t, "border", files)
    sizes = ((None, 6), (3, 9), (1, 17), (4, 33), (2, 513), (2, 5), (2, 8), (2, 13), (2, 31), (2, 127))
    for n, split_bytes in sizes if t.options.slow else sizes[:6]:
        count_tree(t, n, folder, files, "--quern-split-bytes=%d" % split_bytes)


@test
def words_of_every_length_are_told_apart(t):
    files = {"lengths": length_words(), "lengths2": length_words()[::-1]}
    folder = write_tree(t, "lengths", files)
    for n, split_bytes in ((2, 64), (4, 4096), (None, 1000)):
        count_tree(t, n, folder, files, "--quern-split-bytes=%d" % split_bytes)


@test
def files_that_end_near_buffer_sizes_are_counted_whole(t):
    files = buffer_files()
    folder = write_tree(t, "buffers", files)
    whole = count_tree(t, None, folder, files)
    for n, split_bytes in ((2, "64K"), (4, "262143"), (3, "1M")):
        data = count_tree(t, n, folder, files, "--quern-split-bytes=" + split_bytes)
        t.check(data == whole, "n=%s with splits of %s bytes gives another order" % (n, split_bytes))


@test
def words_of_megabytes_are_counted_wherever_they_lie(t):
    five = random.Random(5).randbytes(5 << 20).translate(bytes(b if b not in SEPARATORS else 65 for b in range(256)))
    twins = [five, five[:-1] + b"!", b"!" + five[1:], five[:2600000] + b"!" + five[2600001:]]
    files = {
        "alone": five, "at-start": twins[0] + b" after", "at-end": b"before " + twins[1],
        "between": b"before\n" + twins[2] + b"\r\nafter", "two": twins[3] + b" " + five, "shorter": five[:-1] + b" x",
        "nuls": b"\0" * (3 << 20) + b" " + b"\0" * ((3 << 20) + 1),
    }
    folder = write_tree(t, "long", files)
    whole = count_tree(t, None, folder, files)
    for n, split_bytes in ((2, "4096"), (3, "1M"), (2, "7M"), (8, "64K")):
        data = count_tree(t, n, folder, files, "--quern-split-bytes=" + split_bytes)
        t.check(data == whole, "n=%s with splits of %s bytes gives another order" % (n, split_bytes))


@test
def a_word_of_40_MB_is_counted_even_if_splits_are_small(t):
    giant = b"0123456789abcdef" * (40 << 16)
    files = {"middle": b"before " + giant + b" between " + giant + b"\nafter", "other": b"x " + giant[:-1]}
    folder = write_tree(t, "giant", files)
    for n, args in ((None, []), (2, ["--quern-split-bytes=4096"]), (4, ["--quern-split-bytes=3M"])):
        count_tree(t, n, folder, files, *args)


@test
def random_bytes_are_counted_for_each_seed(t):
    rng = random.Random(20)
    ranks = (2, 3, None, 4, 1, 7, 2, 8, 2, 5)
    for i, n in enumerate(ranks if t.options.slow else ranks[:5]):
        files = fuzz_files(100 + i)
        folder = write_tree(t, "fuzz%d" % i, files)
        split_bytes = rng.choice((11, 100, 999, 4096, 30000, 1 << 20))
        count_tree(t, n, folder, files, "--quern-split-bytes=%d" % split_bytes)


@test
def common_words_of_a_large_text_are_summed_over_all_ranks(t):
    rng = random.Random(9)
    vocabulary = [b"%s%x" % (rng.choice((b"", b"w", b"the-", b"a-rather-long-word-")), i) for i in range(50000)]
    weights = [1 / (i + 1) for i in range(len(vocabulary))]
    block = b" ".join(rng.choices(vocabulary, weights, k=400000))
    files = {"text%d" % i: block[i * 1000:] for i in range(6)}
    folder = write_tree(t, "zipf", files)
    outputs = {count_tree(t, n, folder, files) for n in (None, 2, 4)}
    t.check(len(outputs) == 1, "the order of the output depends on the number of ranks")


@test
def one_hot_word_and_no_words_at_all_are_both_right(t):
    hot = t.write("hot", b"k " * 5000000)
    nothing = write_tree(t, "nothing", {"a": b"", "b": b"\n" * 70000, "c": SEPARATORS})
    os.mkdir(t.path("bare"))
    for i, n in enumerate((None, 2, 4)):
        run = t.succeed(n, hot)
        t.check(run.stdout == b"5000000\tk\n", "found %r" % run.stdout[:80], run)
        for j, path in enumerate((nothing, t.path("bare"))):
            if t.options.slow or (i + j) % 2 == 0:
                run = t.succeed(n, path)
                t.check(run.stdout == b"", "words found in nothing: %r" % run.stdout[:80], run)
            if t.options.slow or (i + j) % 2 == 1:
                t.check(t.count(n, [path]) == b"", "words found in nothing")


@test
def the_top_list_is_sorted_by_count_and_then_by_bytes(t):
    ties = [b"\xff", b"\0", b"\0\0", b"a", b"a\0", b"aa", b"B", b"b", b"\x80x", b"~", b"\x7f", b"0", b"00", b"-1"]
    text = b" ".join(ties * 3 + [b"often"] * 12 + [b"z"] * 4 + [b"rare%d" % i for i in range(40)])
    path = t.write("ties", text)
    counts = count_words(text)
    for n, args, k in ((None, [], 20), (2, [], 20), (3, ["--top", "1"], 1), (2, ["--top", "16"], 16),
                       (None, ["--top", "55"], 55), (4, ["--top", "1000"], 1000), (2, ["--top=7"], 7)):
        run = t.succeed(n, *args, path)
        t.check(run.stdout == top_lines(counts, k), "wrong list: %r" % run.stdout[:300], run)
        t.check(not run.messages, "a quiet job said something", run)


@test
def top_words_of_megabytes_are_printed_whole(t):
    giant = b"Q" * (6 << 20)
    content = b" ".join([giant, giant[1:], b"small", giant, giant[1:]])
    path = t.write("giant", content)
    for n in (None, 2):
        run = t.succeed(n, "--top", "2", path)
        t.check(run.stdout == top_lines(count_words(content), 2), "%d bytes came" % len(run.stdout), run)


# ---------------------------------------------------------------- any tree of files


@test
def thousands_of_tiny_files_are_all_counted(t):
    files = {"d%02d/f%04d" % (i % 60, i): (b"", b"w", b"file%d tiny\n" % i, b"a b c d " * 3)[i % 4]
             for i in range(6000)}
    folder = write_tree(t, "tiny", files)
    expected = count_words(*files.values())
    outputs = {t.count(n, [folder], expected=expected) for n in (None, 2, 8)}
    t.check(len(outputs) == 1, "the order of the output depends on the number of ranks")
    names = sorted(os.path.join(folder, name) for name in files)[:3000]
    t.count(2, names, expected=count_words(*(read_file(name) for name in names)))


@test
def file_names_of_any_kind_are_opened(t):
    names = [b"with space", b" ", b"new\nline", b"tab\there", b"\xff\xfe not utf-8", "\u65e5\u672c".encode(), b"-o",
             b"--", b"--top", b"--quern-memory=1K", b".hidden", b".dir/.hidden", b"...", b"n" * 255, b"part-00000",
             b"_SUCCESS", b"a%s%n", b"quote'\"", b"back\\slash", b"*", b"$(false)", b"~", b"x.gz.tmp", b"\x01\x7f"]
    files = {name: b"n%d " % i + b"same name%d" % i for i, name in enumerate(names)}
    paths = [t.write(b"odd/" + name, content) for name, content in files.items()]
    expected = count_words(*files.values())
    relative = [b"./" + name for name in files]
    with_more = [t.path("odd") + "//", t.write("more", b"more")]
    for i, (arguments, cwd, more) in enumerate((([t.path("odd")], None, b""), (paths, None, b""), (relative, t.path("odd"), b""),
                                                (["."], t.path("odd"), b""), (with_more, None, b"more"))):
        for n in (None, 2) if t.options.slow else ((2, None)[i % 2],):
            t.count(n, arguments, expected=expected + count_words(more), cwd=cwd)


@test
def files_deep_in_a_tree_are_found(t):
    parts = ["level-%03d" % i for i in range(300)]
    files = {os.path.join(*parts[:depth], "file"): b"depth%d deep" % depth for depth in (1, 2, 50, 299, 300)}
    folder = write_tree(t, "deep", files)
    for n in (None, 2):
        t.count(n, [folder], expected=count_words(*files.values()))


@test
def a_path_beyond_the_system_limit_is_counted_or_refused_but_not_lost(t):
    start = os.open(t.dir, os.O_RDONLY)
    here = os.getcwd()
    try:
        os.chdir(t.dir)
        for i in range(30):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
        with open("far", "wb") as file:
            file.write(b"away")
        os.fchdir(start)
    finally:
        os.chdir(here)
        os.close(start)
    for n in (None, 2):
        run = t.run(n, "--top", "3", t.path("d" * 200))
        if run.status == 0:
            t.check(run.stdout == b"1\taway\n", "a file was lost in silence", run)
        else:
            t.check(run.status == 1 and len(run.messages) == 1, "no clear error", run)


@test
def links_are_followed_as_arguments_and_not_inside_directories(t):
    t.write("real/file", b"seen once")
    t.write("elsewhere/file", b"not seen")
    os.symlink(t.path("elsewhere"), t.path("real/dirlink"))
    os.symlink(t.path("elsewhere/file"), t.path("real/filelink"))
    os.symlink(t.path("real"), t.path("real/loop"))
    os.symlink("nowhere", t.path("real/dangling"))
    os.symlink("real", t.path("to-dir"))
    os.symlink("real/file", t.path("to-file"))
    os.symlink("to-file", t.path("to-link"))
    once = count_words(b"seen once")
    kinds = ("real", "to-dir", "to-file", "to-link")
    for n, some in ((None, kinds[::2]), (2, kinds[1::2])):
        for argument in kinds if t.options.slow else some:
            t.count(n, [t.path(argument)], expected=once)
        t.count(n, ["to-dir", "to-file"], expected=once + once, cwd=t.dir)


@test
def special_files_are_refused_by_name_and_passed_over_in_directories(t):
    t.write("mixed/file", b"plain")
    os.mkfifo(t.path("mixed/fifo"))
    server = socket.socket(socket.AF_UNIX)
    server.bind(t.path("mixed/socket"))
    for n, special in ((None, (t.path("mixed/fifo"), "/dev/zero", t.path("mixed/socket"))),
                       (2, (t.path("mixed/socket"), t.path("mixed/fifo"), "/dev/zero"))):
        t.count(n, [t.path("mixed")], expected=count_words(b"plain"), timeout=20)
        for path in special if t.options.slow else special[:2]:
            t.fail(n, path, t.path("mixed/file"), naming=path, timeout=20)
    server.close()


@test
def a_missing_path_is_an_error_that_names_it(t):
    present = t.write("present", b"words")
    os.symlink("nowhere", t.path("dangling"))
    for n in (None, 2, 4):
        t.fail(n, present, t.path("missing file"), naming=(t.path("missing file"), "No such file"))
    t.fail(2, t.path("dangling"), naming=t.path("dangling"))
    t.fail(None, t.path("present", "below"), naming=(t.path("present", "below"), "Not a directory"))
    t.fail(None, "", naming="")


@test
def a_file_or_directory_that_may_not_be_read_is_an_error_that_names_it(t):
    user = None
    if os.geteuid() == 0:
        user = 65534  # nobody; without the launcher, since sessions belong to one user
        if not all(os.stat(parent).st_mode & stat.S_IXOTH for parent in parents(t.options.wordcount)):
            raise Skip("root reads everything, and another user cannot run the program here")
        for path in (t.dir, t.tmp, t.logs):
            os.chmod(path, 0o777)
    t.write("tree/good", b"good")
    closed = t.write("tree/closed", b"closed")
    os.chmod(closed, 0)
    t.fail(None, t.path("tree"), naming=(closed, "Permission denied"), user=user)
    t.fail(None, closed, naming=(closed, "Permission denied"), user=user)
    os.remove(closed)
    t.write("tree/dir/file", b"unseen")
    os.chmod(t.path("tree/dir"), 0)
    t.fail(None, t.path("tree"), naming=(t.path("tree/dir"), "Permission denied"), user=user)
    os.chmod(t.path("tree/dir"), 0o700)


def parents(path):
    while path != "/":
        path = os.path.dirname(path)
        yield path


@test
def a_file_of_more_than_4_GiB_is_counted(t):
    if not t.options.slow:
        raise Skip("writes 4.3 GB: run with --slow")
    block = b" ".join(b"word%d" % i for i in range(90000)).ljust((1 << 20) + 3, b" ")
    with open(t.path("large"), "wb") as file:
        for i in range(4300):
            file.write(b"block%d %s" % (i, block))
    expected = count_words(*(b"block%d" % i for i in range(4300)))
    for word, count in count_words(block).items():
        expected[word] += 4300 * count
    for n in (None, 2):
        t.count(n, [t.path("large")], expected=expected, timeout=240)


if __name__ == "__main__":
    main()
