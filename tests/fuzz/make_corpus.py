#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""make_corpus.py: writes the files that the fuzzers begin with, small ones, into corpus/; run where a format or a first byte changes.

usage: make_corpus.py    Files that a fuzzer found (named found-…) stay.
"""
import bz2
import gzip
import io
import lzma
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import zipfile
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
U64 = struct.Struct("<Q").pack
U32 = struct.Struct("<I").pack


def put(fuzzer, name, data):
    directory = os.path.join(HERE, "corpus", fuzzer)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, name), "wb") as file:
        file.write(data)


def text():
    content = b"one two\n\nthree  four\r\n" + b"a" * 40 + b"\nlast"
    for choice in (0, 4, 2, 7, 8, 0xf0, 0xf3, 0xf9):
        put("text", "text-%02x" % choice, bytes([choice, 5 + choice]) + content)


def records():
    fasta = b">one x\nACGT\nACG\n\n>two\r\nA\r\nC\r\n>three\n>\nAC"
    fastq = b"@one x\nACGT\n+\n@@+>\n@two\n\n+\n\n@three\nAC\n+one\n+@\n"
    lines = b"@one/1\nAC\nGT\n+\nII\n@@\n@one/2\nA\n+\n+\n"
    rows = b'\xef\xbb\xbfk,b\n1,"x ""y"" \n z"\n\n"2",\r\n3,4'
    for choice, content in ((0, fasta), (4, fasta), (0x20, fasta), (0xe0, fasta), (2, fastq), (10, fastq), (4, fastq),
                            (6, lines), (14, lines), (20, lines), (1, rows), (0x91, rows), (0x31, rows), (9, rows.replace(b"\n z", b"")),
                            (5, rows), (0x21, rows), (3, rows.replace(b",", b"\t"))):
        put("records", "records-%02x-%d" % (choice, len(content)), bytes([choice, 3 + choice]) + content)


def csv_field():
    for choice in range(4):
        put("csv_field", "fields-%d" % choice, bytes([choice]) + (b'a,"b ""c"" , \n",,"",d"e' if choice % 2 == 0 else b'a\t"b\t""c"""\t\t\n'))
    put("csv_field", "bad", b'\0a,"b"c,d"')


def bgzf(data):
    body = gzip.compress(data, mtime=0)[10:]
    return b"\x1f\x8b\x08\x04" + bytes(5) + b"\xff\x06\x00BC\x02\x00" + struct.pack("<H", 18 + len(body) - 1) + body


def by_program(*command, data):
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout


def zipped(method, contents=None):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for i in range(3):
            archive.writestr(zipfile.ZipInfo("d/%d" % i), contents[i] if contents else b"one %d\ntwo\n" % i * 9, compress_type=method)
    return made.getvalue()


def tarred(form, contents=None):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for i in range(3):
            entry = tarfile.TarInfo("d/%d" % i * (1 + 40 * (i == 1)))
            entry.size = len(contents[i]) if contents else 600 * (i == 2) + 20
            archive.addfile(entry, io.BytesIO(contents[i] if contents else b"one %d\n" % i * 200))
    return made.getvalue()[:5120]


def sevenzip(header, content=bytes(9)):
    start = struct.pack("<QQI", len(content), len(header), zlib.crc32(header))
    return b"7z\xbc\xaf\x27\x1c\0\x04" + struct.pack("<I", zlib.crc32(start)) + start + content + header


def archived(form, options="7zip:compression=store"):
    """By bsdtar, which knows more formats."""
    with tempfile.TemporaryDirectory() as directory:
        for name, content in (("a", b"one\ntwo three\n" * 4), ("b", b"four\nfi"), ("c", b"ve\n")):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(content)
            os.utime(os.path.join(directory, name), (0, 0))
        how = ["--options", options] if options.startswith(form[:3]) else []
        return subprocess.run(["bsdtar", "-c", "-b1", "--format", form, *how, "--uid", "0", "--gid", "0", "-f", "-", "a", "b", "c"], cwd=directory, stdout=subprocess.PIPE,
                              check=True).stdout


def packed_file():
    parts = [b"one\ntwo three\n" * 4, b"four\nfi", b"ve\n" + b"s" * 300 + b"\n"]
    made = {
        "plain": b"".join(parts), "gzip": b"".join(gzip.compress(part, mtime=0) for part in parts), "bgzf": b"".join(map(bgzf, parts + [b""])),
        "bgzf-and-gzip": bgzf(parts[0]) + gzip.compress(parts[1], mtime=0) + bgzf(parts[2]) + bgzf(b"") + bytes(5), "bgzf-cut": bgzf(parts[0]) + bgzf(parts[1]),
        "bzip2": b"".join(map(bz2.compress, parts)), "xz": b"".join(map(lzma.compress, parts)),
        "zstd": b"".join(by_program("zstd", "-q", "-c", data=part) for part in parts),
        "zstd-skipped": b"".join(b"\x50\x2a\x4d\x18\x03\0\0\0abc" + by_program("zstd", "-q", "-c", "--check", data=part) for part in parts),
        "lz4": b"".join(by_program("lz4", "-q", "-c", "-BX", data=part) for part in parts),
        "zip": zipped(zipfile.ZIP_DEFLATED), "zip-stored": zipped(zipfile.ZIP_STORED),
        "ustar": tarred(tarfile.USTAR_FORMAT), "gnu": tarred(tarfile.GNU_FORMAT), "pax": tarred(tarfile.PAX_FORMAT),
        "7z": archived("7zip"), "7z-lzma2": archived("7zip", "7zip:compression=lzma2"), "cpio": archived("newc"), "odc": archived("odc"),
        "iso": archived("iso9660", "iso9660:!pad,!joliet,!rockridge"),
        "tar.gz": gzip.compress(tarred(tarfile.USTAR_FORMAT), mtime=0), "tars.gz": gzip.compress(tarred(tarfile.USTAR_FORMAT) * 2 + bytes(99), mtime=0),
        "tars": tarred(tarfile.GNU_FORMAT) + bytes(2048) + tarred(tarfile.PAX_FORMAT) + bytes(700), "tar-and-more": tarred(tarfile.USTAR_FORMAT) + b"more",
        "cpios": archived("newc") + archived("odc"),
        # A dictionary of 1 GiB; streams of BCJ2 of 8 GiB; more members than memory.
        "7z-wide": sevenzip(b"\x01\x04\x06\0\x01\x09\x05\0\x07\x0b\x01\0\x01\x23\x03\x01\x01\x05\x5d\0\0\0\x40\x0c\x09\0\0\x05\x01\x11\x05\0a\0\0\0\0\0"),
        "7z-bcj2": sevenzip(b"\x01\x04\x06\0\x04\x09\x05\x01\x01\x01\0\x07\x0b\x01\0\x04\x01\0\x01\0\x01\0\x14\x03\x03\x01\x1b\x04\x01\x05\x02\x04\x01\x03\0\x02\x01\0\x06\x0c"
                            b"\xff" + U64(1 << 33) + b"\x09\x09\x09\0\0\0"),
        "7z-members": sevenzip(b"\x01\x05\xff" + U64(10 ** 8) + b"\0\0"),
        "like-bzip2": b"BZh is text\n", "like-cpio": b"070701 is text\n",
    }
    for name, data in made.items():
        put("packed_file", name, b"\0\0" + data)
        if name in ("bgzf", "zstd", "ustar", "tars", "zip"):
            put("packed_file", name + "-wide", b"\x60\0" + data)
        if name in ("bgzf", "bgzf-and-gzip", "zstd", "bzip2", "xz", "ustar", "tars", "tar-and-more", "zip"):
            put("packed_file", name + "-bad", b"\0\x08" + data)
    fastq, rows = b"@one\nACGT\n+\n@@+>\n@two\n\n+\n\n" * 5, b'a b\n"c ""d" e\n\nf' * 9
    for i, (name, content) in enumerate((("sequences", fastq), ("rows", rows), ("files", fastq), ("fixed", bytes(range(63)) * 2)), 1):
        parts = [content[:50], content[50:61], content[61:]]
        for kind, data in (("bgzf", b"".join(map(bgzf, parts + [b""]))), ("xz", b"".join(map(lzma.compress, parts))), ("tar", tarred(tarfile.USTAR_FORMAT, parts)),
                           ("bad-zip", zipped(zipfile.ZIP_DEFLATED, parts)), ("bad-bgzf", b"".join(map(bgzf, parts + [b""])))):
            put("packed_file", "%s-%s" % (name, kind), bytes([0, i | (8 if "bad" in kind else 0)]) + data)
        put("packed_file", name + "-bad-plain", bytes([0, i | 8]) + content)


def span(data):
    return U64(len(data)) + data


def segment(packing, rest=b""):
    return U64(0) + U64(5) + U64(9) + U64(1) + U32(packing) + span(b"path\0") + rest


def border(member):
    return b"".join(map(U64, range(6))) + U32(member is not None) + span((member or b"") + b"\0")


def messages():
    put("messages", "split-plain", b"\0" + U32(2) + segment(0) + segment(0x80000001))
    put("messages", "split-units", b"\0" + U32(1) + segment(3, U32(1) + border(None) + border(None)))
    put("messages", "split-members", b"\0" + U32(1) + segment(4, U32(6) + border(b"member") + border(None)))
    put("messages", "split-piece", b"\0" + U32(1) + segment(5, span(b"piece") + U64(7) + span(b"told")))
    for choice in (0, 1, 4, 5, 0x10, 0x30, 0x25, 0x35):
        put("messages", "records-%02x" % choice, bytes([1, choice]) + (U32(3) + U32(2) + bytes(range(16))) * 3)


def others():
    for kind in range(6):
        put("spill", "changed-%d" % kind, bytes([kind, 0, 1, 7, 3, 200, 0, 16, 0, 255]))
        put("spill", "same-%d" % kind, bytes([kind]))
    for kind in range(4):
        put("journal", "plain-%d" % kind, bytes([kind]) + b'667abe77ac4ea01b {"event":"start","attempt":1}\n')
        put("journal", "signed-%d" % kind, bytes([kind]) + b'0123456789abcdef0123456789abcdef {"number":1}\n{}\n')
    saved = b'{"name":"saved","stamp":"%s","rank":0,"ranks":1,"words":%d,"offset":0,"bytes":%d,"rows":400,"block_bytes":%d,"unpacked_bytes":%d,' \
        b'"number":0,"records":400,"layout":[%s]}'
    for i, values in enumerate(((1, 2000, 2000, 4096, b"1,3,0,0,8,4"), (1, 1 << 40, 1 << 40, 1 << 31, b"1,3,0,0,8,4"), (0xffffffff, 2000, 2000, 0, b"2,1,1,8,0,15"),
                                (0, 9, 2, 0, b"9,9,9,9,9,9"), (77, 2000, 1000, 1, b""))):
        put("cat", "line-%d" % i, b'\1{"event":"stage","stage":0,"files":[' + saved % (b"0" * 32, *values) + b"]}")
    for i in range(3):
        put("cat", "changed-%d" % i, bytes([2] + [0, 1 + i * 16, 7] * i))
    block = U32(0x314b4251) + U32(0) + U32(1) + U32(1) + U64(16) + U64(0) + U64(0) + U64(0x6102) + U64(5)
    for name, content in (("block", block), ("packed", block[:12] + U32(0xffffffff) + block[16:]), ("envelope", U32(0x31454251) + bytes(60)),
                          ("journal", b'667abe77ac4ea01b {"event":"start","attempt":1}\n'), ("json", b'{"quern_status":1,"alerts":[{},"\\u001b"]}'),
                          ("manifest", b'{"quern_manifest":1,"parts":[{"name":"part-0"}]}')):
        put("cat", "file-" + name, b"\0" + content)
    with open(os.path.join(HERE, "corpus", "packed_file", "zip"), "rb") as file:
        put("cat", "file-zip", b"\0" + file.read()[2:])
    for i, lines in enumerate((b"--quern-memory=64M\nfile\n--quern-split-bytes\n1000", b"--quern-progress=on\n--\n--quern-nothing",
                               b"--quern-memory=1e99", b"--quern-report=x\n\n-o\ny", b"--quern-pin=off\n--quern-retries=3")):
        put("options", "options-%d" % i, lines)
    part = b'{"name":"part-0","bytes":7,"records":1,"checksum":"xxh3:%s"}'
    for i, parts in enumerate((part % b"0" * 1, b"", b'{"name":"part-0","bytes":7,"pieces":[%s]}' % (part % b"1"), b'{"name":"../part-0","bytes":-1}')):
        put("manifest", "manifest-%d" % i, b'{"quern_manifest":1,"parts":[%s]}' % parts)


def saved():
    piece = struct.Struct("<6Q").pack
    for i, pieces in enumerate(((), (piece(0, 200, 1, 0, 100, 100),), (piece(0, 200, 3, 0, 100, 100), piece(200, 2**63, 3, 1, 2**62, 2**63)))):
        put("saved", "table-%d" % i, b"\0" + U64(len(pieces)) + U64(3 * len(pieces)) + U64(1) + U64(8) + piece(*[0] * 6) + b"".join(pieces))
    for i, changes in enumerate((b"", b"\0\1", b"\x50\x10\x58\xff", b"\x60\x00", b"\x30\x09\x90\x80", b"\x97\xff\x9f\x7f")):
        put("saved", "changed-%d" % i, bytes([1 + i % 2]) + changes)
    line = b"%d 70 3 00000000deadbeef 70 12345 -4 9223372036854775807"
    for i, lines in enumerate((line % 1, line % 5 + b"\n" + line % 2 + b"\n" + line % 5, line % 1000, b"1 2 3", b"", line % 1 + b" 4", b"-1 -1 -1 -1 -1 -1 -1 -1")):
        put("saved", "parts-%d" % i, b"\3" + lines)


def main():
    for root, _, names in os.walk(os.path.join(HERE, "corpus")):
        for name in names:
            if not name.startswith("found-"):
                os.remove(os.path.join(root, name))
    for write in (text, records, csv_field, packed_file, messages, others, saved):
        write()


if __name__ == "__main__":
    assert all(map(shutil.which, ("zstd", "lz4", "bsdtar"))), "zstd, lz4 and bsdtar are needed"
    main()
