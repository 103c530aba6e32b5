#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_packed.py: words of compressed files and of archives, which other programs made, are those of what is in them; prints TAP.

Of splits and ways to write an archive each comes by default, with --slow each with each.
"""
import io
import json
import lzma
import os
import random
import struct
import subprocess
import tarfile
import zipfile
import zlib

from harness import count_words, main, test

KEPT = ("one", "sub/two", "sub/deep/three", "empty", "long")


def text(rng, words):
    return b"".join(b"%s%s" % (rng.choice((b"alpha", b"beta", b"gamma-%d" % rng.randrange(999))),
                               rng.choice((b" ", b"\n", b"\t"))) for _ in range(words))


def run(*command, stdin=None, cwd=None):
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, check=True, cwd=cwd).stdout


def streams(data):
    """One text compressed by every program; several streams one behind the other as well."""
    half = len(data) // 2
    return {
        "gzip": run("gzip", "-c", stdin=data), "pigz": run("pigz", "-c", stdin=data),
        "bgzip": run("bgzip", "-c", stdin=data), "bzip2": run("bzip2", "-c", stdin=data),
        "lbzip2": run("lbzip2", "-c", stdin=data), "xz": run("xz", "-c", stdin=data),
        "xz-blocks": run("xz", "-c", "-T2", "--block-size=100000", stdin=data),
        "zstd": run("zstd", "-c", stdin=data), "pzstd": run("pzstd", "-q", "-c", stdin=data),
        "lz4": run("lz4", "-c", stdin=data), "pbzip2": run("pbzip2", "-c", "-b1", stdin=data),
        "gzip-twice": run("gzip", "-c", stdin=data[:half]) + run("gzip", "-9", "-c", stdin=data[half:]),
        "bzip2-twice": run("bzip2", "-c", stdin=data[:half]) + run("bzip2", "-c", stdin=data[half:]),
        "xz-twice": run("xz", "-c", stdin=data[:half]) + run("xz", "-c", stdin=data[half:]),
        "zstd-twice": run("zstd", "-c", stdin=data[:half]) + run("zstd", "-c", stdin=data[half:]),
        "lz4-twice": run("lz4", "-c", stdin=data[:half]) + run("lz4", "-c", stdin=data[half:]),
    }


def tree(t):
    rng = random.Random(3)
    files = {"one": text(rng, 500), "sub/two": text(rng, 3000), "sub/deep/three": b"no newline at the end",
             "empty": b"", "long": text(rng, 60000), "two words.gz": b"not compressed at all"}
    for name, content in files.items():
        t.write(os.path.join("tree", name), content)
    os.symlink("/etc/passwd", t.path("tree", "link"))
    os.link(t.path("tree", "one"), t.path("tree", "another-name"))
    return files


def archives(t):
    where = t.path("tree")
    made = {}
    for name, options in {"tar": ["--format", "ustar"], "pax": ["--format", "pax"], "gnutar": ["--format", "gnutar"],
                          "tar.gz": ["--format", "ustar", "-z"], "tar.zst": ["--format", "pax", "--zstd"],
                          "tar.xz": ["--format", "ustar", "-J"], "tar.bz2": ["--format", "ustar", "-j"],
                          "tar.lz4": ["--format", "ustar", "--lz4"], "cpio": ["--format", "newc"],
                          "odc": ["--format", "odc"], "iso": ["--format", "iso9660"]}.items():
        made[name] = t.path("archives", name)
        os.makedirs(t.path("archives"), exist_ok=True)
        run("bsdtar", "-c", *options, "-f", made[name], ".", cwd=where)
    made["zip"] = t.path("archives", "a.zip")
    run("zip", "-q", "-r", "-y", made["zip"], ".", cwd=where)
    made["stored.zip"] = t.path("archives", "stored.zip")
    run("zip", "-q", "-0", "-r", "-y", made["stored.zip"], ".", cwd=where)
    made["7z"] = t.path("archives", "a.7z")
    run("7z", "a", "-bd", "-snl", made["7z"], ".", cwd=where)
    return made


@test
def compressed_files_are_counted_as_what_is_in_them(t):
    rng = random.Random(1)
    data = text(rng, 120000) + b"x" * 300000 + b" end"
    paths = {name: t.write("streams/" + name + ".txt", content) for name, content in streams(data).items()}
    everything = count_words(*[data] * len(paths))
    t.check(len(paths) == 16, "all programs are there")
    for n, split in ((None, 1 << 20), (1, 1 << 20), (2, 1000), (3, 50000), (7, 1000)):
        t.count(n, [t.path("streams")], "--quern-split-bytes=%d" % split, expected=everything)


@test
def pieces_of_one_file_are_lent_and_come_back(t):
    rng = random.Random(4)
    data = text(rng, 400000) + b"y" * 500000 + b"\n" + text(rng, 1000)
    path = t.write("lent.gz", run("pigz", "-c", stdin=data))
    expected = count_words(data)
    for n, options in ((2, []), (3, ["--quern-memory=64M"]), (7, ["--quern-split-bytes=1000"])):
        report = t.path("report.json")
        t.count(n, [path], "--quern-split-bytes=1000", "--quern-report=" + report, *options, expected=expected)
        with open(report) as file:
            attempts = [rank["attempts"] for rank in json.load(file)["stages"][0]["ranks"]]
        t.check(sum(count > 0 for count in attempts) > 1, "only one rank worked: %s" % attempts)


@test
def members_of_archives_are_files(t):
    files = tree(t)
    once = count_words(*files.values())
    twice = count_words(files["one"])  # by its second name, where the format stores bytes again
    made = archives(t)
    for name, path in made.items():
        has_both = name in ("zip", "stored.zip", "7z", "odc")
        expected = once + twice if has_both else once
        for n in (1, 2) if name in ("tar", "zip") else (2,):
            t.count(n, [path], expected=expected)


@test
def giant_and_odd_members_of_a_tar_are_cut_or_not_and_read_the_same(t):
    """Holes, long names of both kinds, names that are not UTF-8, and a member larger than many splits."""
    import tarfile
    rng = random.Random(4)
    files = {b"giant": text(rng, 60000), b"n" * 180: b"long name", b"\xff\xfe": b"odd name", b"empty": b""}
    for number in range(60):
        files[b"small-%d" % number] = text(rng, 200)
    files[b"last"] = text(rng, 60000)
    for name, content in files.items():
        with open(os.path.join(os.fsencode(t.path()), b"tree." + name), "wb") as file:
            file.write(content)
    sparse = t.write("holes", b"begin ")
    with open(sparse, "r+b") as file:
        file.seek(300000)
        file.write(b" end")
    expected = count_words(*files.values(), b"begin " + b"\0" * (300000 - 6) + b" end")
    for i, (kind, form) in enumerate((("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT))):
        path = t.path("odd." + kind)
        with tarfile.open(path, "w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
            for name in files:
                member = os.path.join(t.path(), "tree." + os.fsdecode(name))
                archive.add(member, os.fsdecode(name))
            archive.add(sparse, "holes")
        launches = ((1, 5000), (2, 70000), (7, 1000), (3, 1 << 20))
        for n, split in launches if t.options.slow else launches[i::2]:
            t.count(n, [path], "--quern-split-bytes=%d" % split, expected=expected)
    run("bsdtar", "-c", "--format", "pax", "-f", t.path("sparse.pax"), "holes", "tree.giant", "tree.last", cwd=t.path())
    t.count(2, [t.path("sparse.pax")], "--quern-split-bytes=9000",
            expected=count_words(files[b"giant"], files[b"last"], b"begin " + b"\0" * (300000 - 6) + b" end"))


@test
def what_has_one_reader_says_so_once_and_why(t):
    rng = random.Random(6)
    data = text(rng, 60000)
    for name, content, says in (("one.gz", run("gzip", "-c", stdin=data), "1 reader"),
                                ("many.gz", run("bgzip", "-c", stdin=data), None)):
        path = t.write(name, content)
        out = t.new_output()
        said = t.succeed(2, "-o", out, "--quern-progress=on", "--quern-split-bytes=20000", path).stderr
        t.check(said.count(b"1 reader") == (1 if says else 0), "said: %r" % said)


@test
def a_window_larger_than_allowed_is_refused_with_its_remedy(t):
    rng = random.Random(7)
    data = text(rng, 300)
    big = run("zstd", "-c", "--long=31", "--ultra", "-1", "--single-thread", stdin=data)
    path = t.write("wide.zst", big)
    t.fail(2, "-o", t.new_output(), path, naming=[path, "128 MiB"])


@test
def a_bomb_is_refused(t):
    """Compressed twice, so that a few bytes are gigabytes."""
    line = b"a\n" * (1 << 20)
    once = b"".join([run("zstd", "-c", "-19", stdin=line)] * 4096)
    path = t.write("bomb.zst", run("zstd", "-c", "-19", stdin=once))
    t.check(os.path.getsize(path) < 100000, "a small file")
    t.fail(2, "-o", t.new_output(), path, naming=[path, "10000 times"])


def zip_of_copies(plain, count, shift):
    """Entries that all say the same bytes; the directory is said to be `shift` bytes before where it is."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(plain) + packer.flush()
    about = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 0x21, zlib.crc32(plain), len(packed), len(plain), 1, 0)
    member = b"PK\3\4" + about + b"a" + packed
    entries = (b"PK\1\2" + struct.pack("<H", 20) + about + bytes(14) + b"a") * count
    return member + entries + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), len(member) - shift, 0)


def zip_of_xz(plain, said_bytes):
    """A member that is packed by xz, and says so many bytes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a", lzma.compress(plain))
    data = bytearray(made.getvalue())
    for begin, method_at in ((0, 8), (data.rindex(b"PK\1\2"), 10)):
        struct.pack_into("<H", data, begin + method_at, 95)
        struct.pack_into("<I", data, begin + method_at + 6, zlib.crc32(plain))
        struct.pack_into("<I", data, begin + method_at + 14, said_bytes)
    return bytes(data)


@test
def members_that_overlap_or_want_much_memory_are_refused(t):
    plain = b"one two\n" * 1000
    t.count(1, [t.write("once.zip", zip_of_copies(plain, 1, 0))], expected=count_words(plain))
    for shift in (0, 1):
        t.fail(1, "-o", t.new_output(), t.write("overlap.zip", zip_of_copies(plain, 30, shift)), naming="overlap")
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", plain)
    good = made.getvalue()
    wide = good[:36] + struct.pack("<I", 0x7fffffff) + good[40:]  # the dictionary
    t.count(2, [t.write("lzma.zip", good), t.write("xz.zip", zip_of_xz(plain, len(plain)))], expected=count_words(plain, plain))
    for name, content in (("wide.zip", wide), ("wide.zip.gz", run("gzip", "-c", stdin=good)), ("wide-xz.zip", zip_of_xz(plain, 0x30000000))):
        t.fail(1, "-o", t.new_output(), t.write(name, content), naming=[name, "128 MiB"])


@test
def encrypted_and_lying_members_are_errors(t):
    rng = random.Random(9)
    t.write("tree/one", text(rng, 3000))
    run("zip", "-q", "-P", "secret", "-r", t.path("secret.zip"), "tree", cwd=t.path())
    t.fail(2, "-o", t.new_output(), t.path("secret.zip"), naming="secret.zip")
    run("zip", "-q", "-0", "-r", t.path("lie.zip"), "tree", cwd=t.path())
    with open(t.path("lie.zip"), "rb") as file:
        data = bytearray(file.read())
    for sizes_at in (data.rindex(b"PK\1\2") + 20, data.rindex(b"PK\3\4") + 18):  # in the directory, before the member
        for field in (0, 4):
            data[sizes_at + field + 1] ^= 1
    t.fail(2, "-o", t.new_output(), t.write("lie.zip", bytes(data)), naming="lie.zip")


def quern(t, *arguments, **how):
    return subprocess.run([os.path.realpath(t.options.quern), *arguments], capture_output=True, cwd=t.path(), **how)


@test
def what_quern_packs_is_read_as_the_files_were(t):
    files = tree(t)
    rng = random.Random(8)
    for number in range(3000):
        files["many/%d/%d" % (number % 10, number)] = content = text(rng, rng.randrange(40))
        t.write("tree/many/%d/%d" % (number % 10, number), content)
    expected = count_words(*files.values(), files["one"])  # by its second name too
    launches = ((1, 1 << 20), (2, 10000), (3, 3000))
    for i, options in enumerate(([], ["--store"])):
        done = quern(t, "pack", *options, "-o", "packed.zip", "tree")
        t.check(done.returncode == 0 and not done.stderr, "pack: %r" % done.stderr)
        run("unzip", "-tqq", t.path("packed.zip"))
        for n, split in launches if t.options.slow else launches[i::2]:
            t.count(n, [t.path("packed.zip")], "--quern-split-bytes=%d" % split, expected=expected)
    os.symlink("one", t.path("tree", "named"))
    linked = quern(t, "pack", "-o", "linked.zip", "tree/named")
    t.check(linked.returncode == 0 and run("unzip", "-p", t.path("linked.zip")) == files["one"], "a named link: %r" % linked.stderr)
    os.symlink("nowhere", t.path("dangling"))
    t.check(quern(t, "pack", "-o", "linked.zip", "dangling").returncode == 1, "a link to nothing was left out")
    again = quern(t, "pack", "-o", "tree/itself.zip", "tree")
    t.check(again.returncode == 0 and "tree/itself.zip" not in run("unzip", "-Z1", t.path("tree/itself.zip")).decode(),
            "an archive was put into itself")
    failed = quern(t, "pack", "-o", "bad.zip", "tree", "not-there")
    t.check(failed.returncode == 1 and b"not-there" in failed.stderr, "a missing file was not told: %r" % failed.stderr)
    t.check(not [name for name in os.listdir(t.path()) if name.startswith("bad.zip")], "a failed archive was left")


@test
def quern_verify_finds_what_is_missing_or_changed(t):
    path = t.write("words", text(random.Random(1), 3000))
    out = t.new_output()
    t.succeed(2, "-o", out, path)
    t.check(quern(t, "verify", out).returncode == 0, "a whole output is whole")
    part = os.path.join(out, "part-00000")
    with open(part, "rb") as file:
        whole = file.read()
    for damaged, says in ((whole[:-1], b"bytes"), (b"X" + whole[1:], b"checksum"), (None, b"part-00000")):
        if damaged is None:
            os.remove(part)
        else:
            t.write(part, damaged)
        done = quern(t, "verify", out)
        t.check(done.returncode == 1 and says in done.stderr, "not found: %r" % done.stderr)
    os.remove(os.path.join(out, "_SUCCESS"))
    t.check(b"_SUCCESS" in quern(t, "verify", out).stderr, "a job that failed was not told")
    t.check(quern(t, "verify").returncode == 2 and quern(t).returncode == 2, "misuse is told")


@test
def quern_verify_looks_at_each_piece_of_one_file(t):
    out = t.new_output()
    t.succeed(3, "-o", out, t.write("words", text(random.Random(2), 3000)))
    with open(os.path.join(out, "_MANIFEST.json")) as file:
        manifest = json.load(file)
    whole, pieces = b"", []
    for part in manifest["parts"]:  # as an output with one_file: docs/output.md
        path = os.path.join(out, part.pop("name"))
        pieces.append(dict(part, offset=len(whole)))
        with open(path, "rb") as file:
            whole += file.read()
        os.remove(path)
    manifest["parts"] = [{"name": "part-00000", "bytes": len(whole), "records": 0, "pieces": pieces}]
    t.write(os.path.join(out, "_MANIFEST.json"), json.dumps(manifest).encode())
    part, last = os.path.join(out, "part-00000"), len(whole) - 1
    for content, says in ((whole, None), (whole[:-1], b"bytes"), (whole + b"x", b"bytes"),
                          (whole[:last] + bytes([whole[last] ^ 1]), b"checksum"), (b"X" + whole[1:], b"checksum")):
        t.write(part, content)
        done = quern(t, "verify", out)
        t.check(done.returncode == (says is not None) and (says or b"") in done.stderr, "%s: %r" % (says, done.stderr))


@test
def quern_verify_looks_at_the_members_of_archives(t):
    out = t.new_output()
    t.succeed(3, "-o", out, t.write("words", text(random.Random(2), 3000)))
    manifest_path = os.path.join(out, "_MANIFEST.json")
    with open(manifest_path) as file:
        manifest = json.load(file)
    tar, members = os.path.join(out, "part-00000.tar"), []
    with tarfile.open(tar, "w") as archive:  # as an output with archive: docs/output.md
        for part in manifest["parts"]:
            path = os.path.join(out, part["name"])
            archive.add(path, part["name"])
            members.append(dict(part, content_bytes=part["bytes"]))
            os.remove(path)
    with tarfile.open(tar) as archive:
        for member in members:
            member["offset"] = archive.getmember(member["name"]).offset_data
    with open(tar, "rb") as file:
        whole = file.read()

    def verify(content, listed):
        t.write(tar, content)
        parts = [{"name": "part-00000.tar", "bytes": len(whole), "records": 0, "members": listed}]
        t.write(manifest_path, json.dumps(dict(manifest, parts=parts)).encode())
        return quern(t, "verify", out)

    at = members[-1]["offset"]
    for content, listed, says in (
            (whole, members, None), (whole[:-1], members, b"bytes"),
            (whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:], members, b"checksum"),
            (whole[:at - 512] + b"X" + whole[at - 511:], members, b"cannot read"),
            (whole, members[:-1], b"member"),
            (whole, members[:-1] + [dict(members[-1], name="another")], b"another"),
            (whole, members[:-1] + [dict(members[-1], content_bytes=1)], b"bytes")):
        done = verify(content, listed)
        t.check(done.returncode == (says is not None) and (says or b"") in done.stderr, "%s: %r" % (says, done.stderr))


@test
def flipped_bytes_of_members_are_errors(t):
    rng = random.Random(12)
    t.write("tree/one", bytes(rng.choice(b"abcdefghij \n") for _ in range(60000)))
    made = {"a." + kind: ["bsdtar", "-c", "-a", "-f"] for kind in ("tar.gz", "tar.xz", "tar.bz2", "tar.lz4")}
    run("bsdtar", "-c", "-f", t.path("bare.tar"), "tree/one", cwd=t.path())
    made["a.tar.zst"] = ["zstd", "-q", "--check", t.path("bare.tar"), "-o"]  # bsdtar's has no checksums
    made.update({"stored.zip": ["zip", "-q", "-0"], "deflated.zip": ["zip", "-q"], "a.7z": ["7z", "a", "-bd"]})
    for name, command in made.items():
        run(*command, t.path(name), *([] if name == "a.tar.zst" else ["tree/one"]), cwd=t.path())
        with open(t.path(name), "rb") as file:
            whole = bytearray(file.read())
        whole[len(whole) // 2] ^= 4
        t.fail(1, "-o", t.new_output(), t.write(name, bytes(whole)), naming=name)


@test
def nothing_is_ever_written_where_an_archive_says(t):
    import tarfile
    import io
    path = t.path("hostile.tar")
    with tarfile.open(path, "w") as archive:
        for name in ("../../climbs", "/tmp/absolute-quern-test", "good"):
            member = tarfile.TarInfo(name)
            member.size = 5
            archive.addfile(member, io.BytesIO(b"words"))
        for kind, name in ((tarfile.SYMTYPE, "link"), (tarfile.CHRTYPE, "device"), (tarfile.FIFOTYPE, "pipe"),
                           (tarfile.LNKTYPE, "hard")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
    t.count(2, [path], expected={b"words": 3})
    t.check(not os.path.exists("/tmp/absolute-quern-test") and not os.path.exists(t.path("..", "..", "climbs")),
            "a member was extracted")


@test
def what_only_looks_packed_is_text(t):
    contents = (b"BZh is how a line may begin", b"BZh", b"070701 is a number, " * 40, b"070707", b"\x1f\x8b", b"PK",
                b"7z is a program", b"", b"\0" * 600)
    for n, content in enumerate(contents):
        t.write("odd/%d" % n, content)
    t.count(2, [t.path("odd")], expected=count_words(*contents))


@test
def truncated_and_damaged_ones_are_errors_that_name_them(t):
    rng = random.Random(2)
    data = text(rng, 60000)
    for name in ("gzip", "bzip2", "xz", "zstd", "lz4"):
        whole = run(name, "-c", stdin=data)
        middle = len(whole) // 2
        damaged = whole[:middle] + bytes([whole[middle] ^ 0x55]) + whole[middle + 1:]
        for kind, content in (("truncated", whole[:-len(whole) // 3]), ("damaged", damaged)):
            path = t.write("%s.%s" % (kind, name), content)
            out = t.new_output()
            run_of = t.fail(2, "-o", out, path, naming=path)
            t.no_output(out, run_of)
    tree(t)
    run("zip", "-q", "-r", "-y", t.path("whole.zip"), ".", cwd=t.path("tree"))
    with open(t.path("whole.zip"), "rb") as file:
        whole = file.read()
    t.fail(2, "-o", t.new_output(), t.write("cut.zip", whole[:len(whole) // 2]), naming="cut.zip")


@test
def what_was_cut_between_members_or_blocks_is_truncated_and_can_pass(t):
    words = text(random.Random(13), 9000)
    t.write("both/a", words)
    t.write("both/b", words)
    run("tar", "-cf", t.path("whole.tar"), "-b1", "a", "b", cwd=t.path("both"))
    with tarfile.open(t.path("whole.tar")) as archive:
        second = archive.getmember("b").offset
    with open(t.path("whole.tar"), "rb") as file:
        tar = file.read()
    block = run("bgzip", "-c", stdin=words)
    empty = run("bgzip", "-c", stdin=b"")
    for name, cut, end in (("cut.tar", tar[:second], b"\0" * 1024), ("cut.tar.gz", run("gzip", "-c", stdin=tar[:second]), None),
                           ("cut.tar.zst", run("zstd", "-c", stdin=tar[:second]), None), ("cut.bgzf", block[:-len(empty)], empty)):
        path = t.write(name, cut)
        t.fail(2, "-o", t.new_output(), path, naming=[path, "truncated"])
        t.count(2, [path], "--quern-bad-records=skip:1", expected=count_words(words))
        if end:
            t.count(2, [t.write(name, cut + end)], "--quern-split-bytes=5000", expected=count_words(words))
    t.count(2, [t.path("whole.tar"), t.write("empty.tar", b""), t.write("lone.tar", tar[:-512])], expected=count_words(*[words] * 4))
    both = t.write("both.gz", block + run("gzip", "-c", stdin=words) + block + b"\0" * 100)
    for split in (100000, 3000):
        t.count(2, [both], "--quern-split-bytes=%d" % split, expected=count_words(*[words] * 3))


def tars(t):
    """By three programs, with ends of other lengths: {name: (bytes, words of its members)}"""
    rng = random.Random(16)
    made = {}
    for name, sizes in (("gnu", (9000, 300, 40000)), ("bsd", (50, 20000)), ("python", (100, 100, 100)), ("bare", (7000,))):
        files = [text(rng, size) for size in sizes]
        for i, content in enumerate(files):
            t.write("%s/member-%d" % (name, i), content)
        path, names = t.path(name + ".tar"), ["member-%d" % i for i in range(len(files))]
        if name == "python":
            with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
                for each in ["."] + names:  # a directory comes first
                    archive.add(t.path(name, each), each, recursive=False)
        else:
            how = {"gnu": ["tar", "-c"], "bsd": ["bsdtar", "-c", "--format", "pax"], "bare": ["tar", "-c", "-b1"]}[name]
            run(*how, "-f", path, *names, cwd=t.path(name))
        with open(path, "rb") as file:
            made[name] = file.read(), files
    return made


@test
def tars_one_behind_the_other_are_all_read(t):
    made = tars(t)
    lone = made["bare"][0][:-512], made["bare"][1]
    zeros = b"\0" * 512
    orders = [[made[name] for name in order] for order in (("gnu", "bsd"), ("bsd", "python", "gnu"), ("python", "bare", "gnu"), ("gnu", "gnu"))]
    orders += [[lone, made["bsd"]], [made["bare"], (zeros * 3000, []), lone, (zeros[:300], [])]]
    for number, order in enumerate(orders):
        joined = b"".join(tar for tar, _ in order)
        files = [content for _, each in order for content in each]
        path, expected = t.write("joined-%d.tar" % number, joined), count_words(*files)
        for n, split in ((1, 1 << 20), (2, 3000), (4, 700)):
            t.count(n, [path], "--quern-split-bytes=%d" % split, expected=expected)
        packers = (["gzip", "-c"], ["bgzip", "-c"], ["zstd", "-c"], ["xz", "-c"], ["bzip2", "-c"], ["lz4", "-c"])
        for packer in packers if t.options.slow else packers[number % 3::3]:
            t.count(2, [t.write("joined." + packer[0], run(*packer, stdin=joined))], "--quern-split-bytes=9000", expected=expected)
        shown = quern(t, "cat", path)
        members = b"  %d members of" % (len(files) + sum(each is made["python"] for each in order))
        t.check(shown.returncode == 0 and members in shown.stdout, "%r" % shown.stdout[-300:])
    apart = b"".join(run("gzip", "-c", stdin=made[name][0]) for name in ("gnu", "bsd"))
    t.count(2, [t.write("apart.tar.gz", apart)], expected=count_words(*made["gnu"][1], *made["bsd"][1]))


@test
def what_is_behind_a_tar_and_no_tar_is_an_error_and_can_pass(t):
    made = tars(t)
    whole, files = made["gnu"]
    at = len(whole)
    for name, behind in (("signature", b"-----BEGIN SIGNATURE-----\n"), ("text", b"words " * 300), ("far", b"\0" * 5120 + b"x" * 512),
                         ("unaligned", b"\0" * 100 + made["bsd"][0])):
        where = b"at byte %d" % (at + (5120 if name == "far" else 0))
        for kind, content in ((".tar", whole + behind), (".tar.gz", run("gzip", "-c", stdin=whole + behind))):
            path = t.write(name + kind, content)
            for n, split in ((1, 1 << 20), (3, 3000)):
                t.fail(n, "-o", t.new_output(), path, "--quern-split-bytes=%d" % split, naming=[path, where.decode()])
                t.count(n, [path], "--quern-split-bytes=%d" % split, "--quern-bad-records=skip:1", expected=count_words(*files))
        shown = quern(t, "cat", t.path(name + ".tar"))
        t.check(shown.returncode == 3 and b"DAMAGED: behind member 3, " + where in shown.stdout, "%r" % shown.stdout[-300:])
    # Directories alone do not make a tar text, whatever is behind them.
    t.fail(2, "-o", t.new_output(), t.write("directory.tar", made["python"][0][:1536] + b"x" * 5000), naming="directory.tar")


@test
def a_tar_that_was_cut_between_the_headers_of_a_member_is_truncated(t):
    """Times in pax headers, so that three blocks stand before each member."""
    whole, files = tars(t)["bsd"]
    t.write("x", whole)
    with tarfile.open(t.path("x")) as archive:
        second = archive.getmembers()[1]
    t.check(second.offset_data - second.offset >= 1536, "no extended header")
    for cut in range(second.offset, second.offset_data, 512):
        path = t.write("cut-%d.tar" % cut, whole[:cut])
        t.fail(2, "-o", t.new_output(), path, naming=[path, "runcated"])
        t.count(2, [path], "--quern-bad-records=skip:1", expected=count_words(files[0]))


def sevenzip_number(number):
    """As 7-Zip writes them, in nine bytes."""
    return b"\xff" + struct.pack("<Q", number)


def sevenzip(header, content=b"", packed=None):
    """A file of that header, which is packed itself if `packed` is a filter of LZMA."""
    if packed:
        inner = lzma.compress(header, lzma.FORMAT_RAW, filters=[packed])
        properties = bytes([packed["lc"] + 9 * (packed["lp"] + 5 * packed["pb"])]) + struct.pack("<I", packed["dict_size"])
        at, content = len(content), content + inner
        header = (b"\x17\x06" + sevenzip_number(at) + b"\x01\x09" + sevenzip_number(len(inner)) + b"\0" +
                  b"\x07\x0b\x01\0\x01\x23\x03\x01\x01\x05" + properties + b"\x0c" + sevenzip_number(len(header)) + b"\0\0")
    start = struct.pack("<QQI", len(content), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", zlib.crc32(start)) + start + content + header


@test
def archives_of_7_zip_are_read_however_they_are_packed(t):
    rng = random.Random(18)
    files = [text(rng, rng.randrange(3000)) for _ in range(40)] + [b""]
    for i, content in enumerate(files):
        t.write("in/%d" % i, content)
    for number, how in enumerate((["-mx=0"], ["-mhc=off"], ["-m0=lzma"], ["-m0=bzip2"], ["-m0=deflate"], ["-ms=off"], ["-mx=9"], ["-md=1g"],
                                  ["-m0=delta:4", "-m1=lzma2"], ["-m0=bcj2", "-m1=lzma", "-m2=lzma", "-m3=lzma", "-mb0:1", "-mb0s1:2", "-mb0s2:3"])):
        path = t.path("%d.7z" % number)
        run("7z", "a", "-bd", *how, path, "in", cwd=t.path())
        t.count(2, [path], expected=count_words(*files))
    for number, how in enumerate(("store", "lzma1", "lzma2", "bzip2")):
        path = t.path("bsd-%d.7z" % number)
        run("bsdtar", "-c", "--format", "7zip", "--options", "7zip:compression=" + how, "-f", path, "in", cwd=t.path())
        t.count(2, [path], expected=count_words(*files))
    run("7z", "a", "-bd", "-psecret", "-mhe=on", t.path("secret.7z"), "in", cwd=t.path())
    t.fail(2, "-o", t.new_output(), t.path("secret.7z"), naming=["secret.7z", "encrypted"])


@test
def archives_of_7_zip_that_ask_for_too_much_memory_are_refused(t):
    """What 7z makes of a stream whose length it does not know, and what nobody makes but who means harm."""
    words = text(random.Random(19), 3000)
    good = t.write("good", words)
    asks = [(t.path("lzma2.7z"), "384 MiB"), (t.path("ppmd.7z"), "1024 MiB")]
    for (path, _), how in zip(asks, (["-md=384m", "-mx=1", "-mmt=1"], ["-m0=ppmd:mem=1g"])):
        run("7z", "a", "-bd", "-sione", *how, path, stdin=words)
    lz = {"id": lzma.FILTER_LZMA1, "dict_size": 1 << 16, "lc": 3, "lp": 0, "pb": 2}
    one = b"\x01\x04\x06\0\x01\x09\x05\0\x07\x0b\x01\0"  # up to the coders of a folder
    wide = one + b"\x01\x23\x03\x01\x01\x05\x5d\0\0\0\x40\x0c\x09\0\0\x05\x01\x11\x05\0a\0\0\0\0\0"
    members = b"\x01\x05" + sevenzip_number(10 ** 8) + b"\x0e" + sevenzip_number(10 ** 8 // 8) + b"\xff" * (10 ** 8 // 8) + b"\0\0"
    folders = b"\x01\x04\x07\x0b" + sevenzip_number(10 ** 6) + b"\0" + b"\x01\x01\0" * 10 ** 6 + b"\x0c"
    substreams = one + b"\x01\x01\0\x0c\x09\0\x08\x0d" + sevenzip_number(10 ** 9)
    bcj2 = (b"\x01\x04\x06\0\x04\x09\x05\x01\x01\x01\0\x07\x0b\x01\0\x04\x01\0\x01\0\x01\0\x14\x03\x03\x01\x1b\x04\x01" +
            b"\x05\x02\x04\x01\x03\0\x02\x01\0\x06\x0c" + sevenzip_number(1 << 33) + b"\x09\x09\x09\0\0\0")
    for name, header, says in (("wide", wide, "1024 MiB"), ("members", members, "table of members"), ("folders", folders, "table of members"),
                               ("substreams", substreams, "table of members"), ("bcj2", bcj2, "8192 MiB")):
        asks += [(t.write(name + ".7z", sevenzip(header, bytes(9))), says), (t.write(name + "-packed.7z", sevenzip(header, bytes(9), lz)), says)]
    asks.append((t.write("itself.7z", sevenzip(wide, bytes(9), dict(lz, dict_size=1 << 29))), "512 MiB"))
    for cut in (33, 40):
        asks.append((t.write("cut-%d.7z" % cut, sevenzip(wide, bytes(9))[:cut]), "makes no sense"))
    for path, says in asks:
        t.fail(1, "-o", t.new_output(), path, naming=[path, says])
    t.count(2, [good] + [path for path, _ in asks], "--quern-bad-records=skip:%d" % len(asks), expected=count_words(words))

@test
def a_cpio_behind_another_is_an_error_and_zeros_are_none(t):
    words = text(random.Random(17), 4000)
    t.write("in/one", words)
    for form in ("newc", "odc"):
        one = run("bsdtar", "-c", "--format", form, "-f", "-", "one", cwd=t.path("in"))
        t.count(2, [t.write("one.cpio", one + b"\0" * 3001)], expected=count_words(words))
        for name, content in (("two.cpio", one + one), ("two.cpio.gz", run("gzip", "-c", stdin=one + one))):
            t.fail(2, "-o", t.new_output(), t.write(name, content), naming=[name, "behind the end of the cpio"])
            t.count(2, [t.path(name)], "--quern-bad-records=skip:1", expected=count_words(words))


@test
def every_example_gives_the_same_answer_of_packed_files(t):
    """Packed in place, since an index names its files."""
    rng = random.Random(15)
    edges = b"".join(b"%d %d\n" % (rng.randrange(300), rng.randrange(300)) for _ in range(3000))
    sums = b"".join(b"k%d\t%d\n" % (rng.randrange(200), rng.randrange(-99, 999)) for _ in range(3000))
    points = b"".join(b"%d %d\n" % (rng.randrange(99), rng.randrange(99)) for _ in range(900))
    where = os.path.dirname(t.program)
    for name, data, packer, options in (("invertedindex", text(rng, 3000), ["bgzip", "-c"], []), ("groupsum", sums, ["pigz", "-c"], []),
                                        ("pagerank", edges, ["xz", "-c"], ["--iterations=3"]), ("components", edges, ["lz4", "-c"], []),
                                        ("join", sums, ["zstd", "-c"], None), ("kmeans", points, ["bzip2", "-c"], ["--k=3"])):
        t.program = os.path.join(where, name)
        path, answers = t.path("input"), []
        for content in (data, run(*packer, stdin=data)):
            t.write("input", content)
            given = ["--left", path, "--right", path] if options is None else options + [path]
            out = [] if name == "kmeans" else ["-o", t.new_output()]
            done = t.succeed(2, *out, *given, "--quern-split-bytes=3000")
            answers.append(t.committed(out[1], done) if out else done.stdout)
        t.check(answers[0] == answers[1] and answers[0], "%s: another answer of what is packed" % name)


@test
def a_bad_member_is_named(t):
    files = tree(t)
    run("zip", "-q", "-r", t.path("bad.zip"), "long", "sub", cwd=t.path("tree"))
    with open(t.path("bad.zip"), "r+b") as file:
        file.seek(2000)
        file.write(b"\0\xff" * 20)
    t.fail(2, "-o", t.new_output(), t.path("bad.zip"), naming="bad.zip/long")
    t.check(files["long"], "the tree has it")


if __name__ == "__main__":
    main()
