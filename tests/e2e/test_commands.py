#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_commands.py: what the tables of the commands say is said by --help, by the manual, and by shells that complete words."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

from harness import Skip, main, test

PATIENCE = 20  # seconds for a shell to answer


def quern(t, *args, status=0):
    done = subprocess.run([t.options.quern, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    t.check(done.returncode == status, "status %d expected of %s, not %d: %r" % (status, args, done.returncode, done.stderr))
    return done.stdout.decode(), done.stderr.decode()


def commands(t):
    listed = re.findall(r"^  (\w+) ", quern(t, "--help")[0], re.MULTILINE)
    t.check("run" in listed and "verify" in listed and listed == sorted(listed), "listed: %s" % listed)
    return listed


def options_of(t, command):
    """The long ones, by the page of the manual."""
    page = quern(t, "help", "--man", command)[0].replace("\\-", "-")
    return re.findall(r"^\.B .*?(--[a-z-]+)", page, re.MULTILINE)


@test
def every_command_says_what_it_takes(t):
    for command in commands(t):
        text, _ = quern(t, command, "--help")
        t.check(text == quern(t, "help", command)[0], "quern help %s says something else" % command)
        missing = [option for option in options_of(t, command) if option not in text]
        t.check(not missing and "Exit status:" in text, "%s does not tell of %s" % (command, missing))
        t.check(all(len(line) < 100 for line in text.split("\n")), "long lines of %s" % command)


@test
def misuse_has_a_status_of_its_own_and_says_where_to_look(t):
    for command in commands(t):
        for args in (("--nonsense",), ("--nonsense=1", "x")):
            said = quern(t, command, *args, status=2)[1]
            t.check("quern %s --help" % command in said and "nonsense" in said, "said: %s" % said)
    t.check("'nonsense'" in quern(t, "nonsense", status=2)[1], "an unknown command is not named")
    quern(t, status=2)
    for args in (("help", "nonsense"), ("help", "--man", "nonsense"), ("completion", "nonsense")):
        t.check("nonsense" in quern(t, *args, status=1)[1], "not named by %s" % (args,))


@test
def the_version_is_told(t):
    t.check(re.fullmatch(r"quern \d+\.\d+\.\d+\n", quern(t, "--version")[0]), "no version")


@test
def pages_of_the_manual_are_without_warnings(t):
    if not shutil.which("groff"):
        raise Skip("there is no groff")
    for command in [None, "options"] + commands(t):
        page = quern(t, "help", "--man", *([command] if command else []))[0]
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-b"], input=page.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              check=False, env={"PATH": os.environ["PATH"], "GROFF_NO_SGR": "1"})
        t.check(done.returncode == 0 and not done.stderr, "of %s: %s" % (command, done.stderr.decode()))
        text = re.sub(".\b", "", done.stdout.decode())
        t.check("NAME" in text and "SEE ALSO" in text and "\\" not in text, "of %s: %s" % (command, text[:500]))


@test
def a_new_project_has_its_name_and_is_made_once(t):
    path = t.path("my-job_2")
    quern(t, "new", path)
    t.check(sorted(os.listdir(path)) == ["README.md", "meson.build", "my-job_2.c"], "made: %s" % os.listdir(path))
    for name in os.listdir(path):
        with open(os.path.join(path, name), encoding="utf-8") as file:
            text = file.read()
        t.check("@NAME@" not in text and "my-job_2" in text, "the name is not in %s" % name)
    t.check("File exists" in quern(t, "new", path, status=1)[1], "it is made again")
    for bad in ("a b", "../x/-y", "a.b", "", "x" * 65, t.path("no", "where")):
        quern(t, "new", bad, status=1)


class Shell:
    """An interactive shell at a terminal."""

    def __init__(self, t, words, env):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(t.dir)
            os.execvpe(words[0], words, env)

    def type(self, text):
        os.write(self.terminal, text.encode())

    def wait_for(self, pattern):
        """What it has written since; a shell draws what it likes between letters."""
        text, end = "", time.monotonic() + PATIENCE
        while not re.search(pattern, text):
            if not select.select([self.terminal], [], [], max(0, end - time.monotonic()))[0]:
                return None
            try:
                text += os.read(self.terminal, 4096).decode(errors="replace")
            except OSError:
                return None
        return text

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


CASES = (("quern su", "quern submit"), ("quern submit --req", "quern submit --requeue"), ("quern submit --launcher m", "mpirun"),
         ("quern run -- ./jo", "quern run -- ./job-program"), ("quern run -- ./job-program --quern-mem", "--quern-memory"),
         ("quern pack -o packe", "quern pack -o packed.zip"))


def check_shell(t, words, prepare, env):
    """Each case: what is typed, a tab, and an end of line that the command `quern`, a function here, gets as its words."""
    t.write("packed.zip", b"")
    os.chmod(t.write("job-program", b"#!/bin/sh\n"), 0o755)
    shell = Shell(t, words, {**os.environ, "TERM": "dumb", "QUERN": t.options.quern, **env})
    try:
        shell.type(prepare)
        t.check(shell.wait_for("READY-[0-9]+"), "%s does not begin" % words[0])
        for typed, wanted in CASES:
            shell.type(typed + "\t")
            time.sleep(0.3)
            shell.type("\n")
            said = shell.wait_for(r"GOT:[^\r\n]*:END")
            t.check(said and wanted.split("quern ")[-1] in re.search("GOT:([^\r\n]*):END", said).group(1),
                    "%s: '%s' is not completed to '%s': %r" % (words[0], typed, wanted, said))
    finally:
        shell.close()


@test
def bash_completes(t):
    check_shell(t, ["bash", "--norc", "--noprofile", "-i"],
                'PS1=; bind "set bell-style none"; source <("$QUERN" completion bash); '
                "quern() { printf 'GOT:%s:EN''D\\n' \"$*\"; }; echo READY-$((40+2))\n", {})


@test
def zsh_completes(t):
    if not shutil.which("zsh"):
        raise Skip("there is no zsh")
    check_shell(t, ["zsh", "-f", "-i"],
                'PS1=; unsetopt beep; autoload -U compinit; compinit -u -D; source <("$QUERN" completion zsh); '
                "quern() { printf 'GOT:%s:EN''D\\n' \"$*\"; }; echo READY-$((40+2))\n", {"HOME": t.dir})


@test
def fish_completes(t):
    """It tells what it would offer without a terminal."""
    if not shutil.which("fish"):
        raise Skip("there is no fish")
    t.write("packed.zip", b"")
    for typed, wanted in CASES:
        if "./jo" in typed and "--quern" not in typed:
            continue  # of a file in the directory it offers nothing behind --
        done = subprocess.run(["fish", "--no-config", "-c", '"$QUERN" completion fish | source; complete -C $TYPED'], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, cwd=t.dir,
                              env={**os.environ, "HOME": t.dir, "QUERN": t.options.quern, "TYPED": typed})
        offered = [line.split("\t")[0] for line in done.stdout.decode().split("\n")]
        t.check(any(one.startswith(wanted.split(" ")[-1]) for one in offered) and not done.stderr, "'%s': %s %r" % (typed, offered, done.stderr))


@test
def shells_are_offered_all_that_there_is(t):
    for shell in ("bash", "zsh", "fish"):
        script = quern(t, "completion", shell)[0]
        for command in commands(t):
            names = [option[2:] for option in options_of(t, command) if option != "--help"]
            missing = [name for name in names if name not in script]
            t.check(not missing, "%s is not offered %s of %s" % (shell, missing, command))
        t.check("--quern-checkpoint-every" in script, "%s is not offered the options of jobs" % shell)


if __name__ == "__main__":
    main()
