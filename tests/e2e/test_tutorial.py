#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_tutorial.py: who types what docs/tutorial.md says gets what it says, from the library as it is installed."""
import os
import re
import subprocess

from harness import main, test

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "tutorial.md")
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BUILDS = re.compile(r"^(?:tools/install-dependencies|meson (?:setup|install)) .*\n", re.MULTILINE)  # in the clone: what was built is there


def steps():
    """Commands, and what they must print: None where the page does not say."""
    with open(PAGE, encoding="utf-8") as file:
        blocks = BLOCK.findall(file.read()) + [("", "")]
    (kind, first), *_ = blocks
    blocks[0] = kind, BUILDS.sub("", first)
    return [(text, following if next_kind == "text" else None)
            for (kind, text), (next_kind, following) in zip(blocks, blocks[1:]) if kind == "sh"]


def install(t, prefix):
    """What the first commands of the page leave there."""
    build = os.path.join(os.path.dirname(os.path.abspath(t.options.quern)), "..", "..")
    staged = t.path("staged")
    done = subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--destdir", staged], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    t.check(done.returncode == 0, "it cannot be installed: %s" % done.stdout.decode(errors="replace"))
    found = {name: os.path.join(where, name) for where, _, names in os.walk(staged) for name in names}
    for name in ("quern", "quern.pc", "libquern.so", "quern.1", "quern-options.7"):
        t.check(name in found, "%s is not installed" % name)
    with open(found["quern.pc"], encoding="utf-8") as file:
        text = file.read()
    with open(found["quern.pc"], "w", encoding="utf-8") as file:
        file.write(re.sub(r"^prefix=.*$", "prefix=" + prefix, text, count=1, flags=re.MULTILINE))
    os.rename(os.path.dirname(os.path.dirname(found["quern"])), prefix)


def script_of(commands):
    """All in one shell, which says where a step begins, and how it ended."""
    return "".join("printf '\\n== %d\\n'\n%s\nprintf '\\n== ended %%d\\n' $?\n" % (number, text) for number, text in enumerate(commands))


@test
def what_the_tutorial_says_happens(t):
    home = t.path("home")
    os.mkdir(home)
    install(t, os.path.join(home, "quern"))
    all_steps = steps()
    t.check(len(all_steps) > 5, "there are only %d steps" % len(all_steps))
    t.check("PKG_CONFIG_PATH" in all_steps[0][0] and "meson" not in all_steps[0][0], "it begins with %s" % all_steps[0][0])
    done = subprocess.run(["bash", "-c", script_of(text for text, _ in all_steps)], cwd=home, env={**t.environment(3, {}, True), "HOME": home},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    told = re.findall(r"^== \d+\n(.*?)\n== ended (\d+)$", done.stdout.decode(), re.MULTILINE | re.DOTALL)
    t.check(len(told) == len(all_steps), "it ended after %d steps: %s" % (len(told), done.stderr.decode(errors="replace")))
    for (commands, wanted), (printed, status) in zip(all_steps, told):
        t.check(status == "0", "status %s of\n%s\n%s" % (status, commands, done.stderr.decode(errors="replace")))
        if wanted is not None:
            t.check(printed == wanted, "this prints\n%s\ninstead of\n%s\n%s" % (printed, wanted, commands))


if __name__ == "__main__":
    main()
