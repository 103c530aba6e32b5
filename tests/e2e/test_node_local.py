#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_node_local.py: input that is the node's own, on one node. Several: ../cluster/test_hosts.py."""
import random

from harness import count_words, main, test


@test
def what_is_the_nodes_own_is_read_once_by_any_number_of_ranks(t):
    choose = random.Random(11)
    contents = [b" ".join(b"%x" % choose.randrange(5000) for _ in range(20000)) for _ in range(3)]
    for i, content in enumerate(contents):
        t.write("own/%d" % i, content)
    t.write("own/empty", b"")
    expected = count_words(*contents)
    whole = t.count(None, [t.path("own")], expected=expected)
    for ranks in (None, 1, 2, 3, 7):
        got = t.count(ranks, [t.path("own")], "--quern-split-bytes=16K", "--quern-node-local=/nowhere:" + t.path("own") + "/", expected=expected)
        t.check(got == whole, "other bytes on %s ranks" % ranks)
    t.check(t.count(2, [t.path("own/0")], "--quern-node-local=" + t.path("ow"), expected=count_words(contents[0])) != b"", "a name's begin")


@test
def what_cannot_be_is_named(t):
    t.write("own/a", b"a b")
    t.write("other", b"c")
    local = "--quern-node-local=" + t.path("own")
    t.fail(2, local, t.path("own"), t.path("other"), naming=("node-local", t.path("own")))
    t.fail(2, local, t.path("own"), t.path("own/b"), naming=("no node has", t.path("own/b")))


if __name__ == "__main__":
    main()
