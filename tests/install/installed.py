# SPDX-License-Identifier: BSD-3-Clause
"""A build as it is installed, in a directory that is not the prefix it was configured for."""

import json
import os
import re
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = b"a rose is a rose is a rose\n"
COUNTS = b"3\ta\n3\trose\n2\tis\n"


class Failure(Exception):
    pass


class Skip(Exception):
    pass


def run(*command, env=None, cwd=None):
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})})
    if done.returncode != 0:
        raise Failure("%s: status %d: %s" % (" ".join(command), done.returncode, (done.stdout + done.stderr)[-1500:]))
    return done.stdout


def need(condition, what):
    if not condition:
        raise Failure(what)


def option(build, name):
    return next(item["value"] for item in json.loads(run("meson", "introspect", "--buildoptions", build))
                if item["name"] == name)


class Place:
    """Where the build is installed for this test."""

    def __init__(self, root, build, cc, cxx, directory):
        self.root, self.build, self.cc, self.cxx, self.directory = root, build, cc.split(), cxx, directory
        self.kinds = {"both": ("shared", "static")}.get(option(build, "default_library"),
                                                        (option(build, "default_library"),))
        self.sanitizers = [] if option(build, "b_sanitize") == "none" else \
            ["-fsanitize=" + option(build, "b_sanitize")]
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", os.path.join(directory, "staged"))
        self.prefix = os.path.join(directory, "moved")  # everything has to be found where it is now
        os.rename(os.path.join(directory, "staged", option(build, "prefix").lstrip("/")), self.prefix)
        self.lib = os.path.join(self.prefix, option(build, "libdir"))
        self.move_pkg_config()

    def need_kind(self, kind):
        if kind not in self.kinds:
            raise Skip("the %s library is not built (default_library)" % kind)

    def pkg_config(self, *arguments, package="quern"):
        path = os.path.join(self.lib, "pkgconfig")
        return run("pkg-config", *arguments, package,
                   env={"PKG_CONFIG_PATH": path + ":" + os.environ.get("PKG_CONFIG_PATH", "")}).split()

    def move_pkg_config(self):
        """Its files say where they were installed."""
        folder = os.path.join(self.lib, "pkgconfig")
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                text = file.read()
            with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
                file.write(re.sub("^prefix=.*$", "prefix=" + self.prefix, text, flags=re.MULTILINE))

    def build_with_cmake(self, language, compiler, job):
        """The project in project/, which knows this language alone: the directory with its programs."""
        if not shutil.which("cmake"):
            raise Skip("there is no cmake here")
        built = os.path.join(self.directory, "cmake-" + language)
        run("cmake", "-S", os.path.join(HERE, "project"), "-B", built, "-DCMAKE_PREFIX_PATH=" + self.prefix, "-DJOB_LANGUAGE=" + language,
            "-DCMAKE_%s_COMPILER=%s" % (language, compiler), "-DCMAKE_%s_FLAGS=%s" % (language, " ".join(self.sanitizers)),
            "-DJOB=" + job)
        run("cmake", "--build", built)
        return built

    def is_here(self, flag, flags):
        """pkg-config --static names what other libraries would need if they were static, too, and of some of these no file to link is here."""
        folders = [other[2:] for other in flags if other.startswith("-L")]
        for name in ("lib%s.so" % flag[2:], "lib%s.a" % flag[2:]):
            if os.path.isabs(run(*self.cc, "-print-file-name=" + name).strip()) or \
                    any(os.path.exists(os.path.join(folder, name)) for folder in folders):
                return True
        return not flag.startswith("-l")

    def check_counts(self, program):
        path = os.path.join(self.directory, "words")
        with open(path, "wb") as file:
            file.write(WORDS)
        done = subprocess.run([program, path], capture_output=True, env={**os.environ, "LD_LIBRARY_PATH": self.lib})
        need(done.returncode == 0 and done.stdout == COUNTS, "%s said %r and %r" % (program, done.stdout, done.stderr[-500:]))

    def needs_quern(self, program):
        """Whether it loads the library when it starts."""
        return "libquern.so.0" in re.findall(r"\(NEEDED\).*\[(.*?)\]", run("readelf", "-d", program))
