#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What is installed is enough for other people's programs: usage: test_install.py ROOT BUILD CC CXX; prints TAP.

Installs the build into a fresh directory, which is not the prefix it was configured for, and looks at it from there: what is found through
pkg-config and CMake has to lead to the files where they are. The programs are examples/wordcount.c and its like in other languages
(installed_bindings.py), and a project of CMake in project/.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import installed_bindings
from installed import HERE, Failure, Place, Skip, need, run


def headers_libraries_manuals_and_completions_are_there(place):
    with open(os.path.join(place.root, "include", "meson.build"), encoding="utf-8") as file:
        headers = re.findall(r"'(quern/\w+\.h(?:pp)?)'", file.read())
    files = ["include/" + name for name in headers]
    libdir = os.path.relpath(place.lib, place.prefix)
    files += [libdir + "/" + name for name in ("pkgconfig/quern.pc", "cmake/Quern/QuernConfig.cmake",
                                               "cmake/Quern/QuernConfigVersion.cmake")]
    files += [libdir + "/libquern.so.0"] * ("shared" in place.kinds) + [libdir + "/libquern.a"] * ("static" in place.kinds)
    files += ["bin/quern", "share/man/man1/quern.1", "share/man/man1/quern-run.1", "share/man/man7/quern-options.7",
              "share/bash-completion/completions/quern.bash"]
    missing = [name for name in files if not os.path.exists(os.path.join(place.prefix, name))]
    need(not missing, "not installed: %s" % missing)
    present = sorted(name for name in os.listdir(os.path.join(place.prefix, "include", "quern"))
                     if not name.endswith(".mod"))  # of Fortran, where it is built
    need(present == sorted(os.path.basename(name) for name in headers), "other headers: %s" % present)


def the_shared_library_has_its_name_and_version(place):
    place.need_kind("shared")
    about = run("readelf", "-d", "-V", os.path.join(place.lib, "libquern.so"))
    need(re.search(r"\(SONAME\).*\[libquern\.so\.0\]", about), "no SONAME libquern.so.0")
    need("Name: QUERN_0" in about, "no version QUERN_0")


def a_program_is_built_by_pkg_config_against(kind):
    def test(place):
        place.need_kind(kind)
        flags = place.pkg_config("--cflags", "--libs", *(["--static"] if kind == "static" else []))
        if kind == "static":
            flags = ["-l:libquern.a" if flag == "-lquern" else flag for flag in flags if place.is_here(flag, flags)]
        program = os.path.join(place.directory, "wordcount-" + kind)
        run(*place.cc, "-std=c11", "-D_GNU_SOURCE", *place.sanitizers, os.path.join(place.root, "examples", "wordcount.c"),
            "-o", program, *flags)
        need(place.needs_quern(program) == (kind == "shared"), "linked against another library")
        place.check_counts(program)

    test.__name__ = "a_program_is_built_by_pkg_config_against_the_%s_library" % kind
    return test


def cmake_finds_quern_and_builds_against_both_libraries(place):
    built = place.build_with_cmake("C", place.cc[-1], os.path.join(place.root, "examples", "wordcount.c"))
    for kind in ("shared", "static"):
        program = os.path.join(built, "job-" + kind)
        need(os.path.exists(program) == (kind in place.kinds), "job-%s: the target quern::quern_%s is not as built" % (kind, kind))
        if kind in place.kinds:
            need(place.needs_quern(program) == (kind == "shared"), "job-%s is linked against another library" % kind)
            place.check_counts(program)
    place.check_counts(os.path.join(built, "job"))


def cmake_refuses_a_version_that_is_not_here(place):
    if not shutil.which("cmake"):
        raise Skip("there is no cmake here")
    source = os.path.join(place.directory, "later")
    os.makedirs(source)
    for wanted, fits in (("0.1", True), ("0.1.0", True), ("0", True), ("0.2", False), ("0.1.99", False), ("1", False)):
        with open(os.path.join(source, "CMakeLists.txt"), "w", encoding="utf-8") as file:
            file.write("cmake_minimum_required(VERSION 3.18)\nproject(later LANGUAGES NONE)\nset(CMAKE_SIZEOF_VOID_P 8)\n"
                       "set(PACKAGE_FIND_VERSION %s)\nstring(REPLACE . \";\" parts ${PACKAGE_FIND_VERSION})\n"
                       "list(LENGTH parts PACKAGE_FIND_VERSION_COUNT)\nlist(GET parts 0 PACKAGE_FIND_VERSION_MAJOR)\n"
                       "if(PACKAGE_FIND_VERSION_COUNT GREATER 1)\nlist(GET parts 1 PACKAGE_FIND_VERSION_MINOR)\nendif()\n"
                       "include(%s)\nmessage(\"fits: ${PACKAGE_VERSION_COMPATIBLE}\")\n" %
                       (wanted, os.path.join(place.lib, "cmake", "Quern", "QuernConfigVersion.cmake")))
        said = subprocess.run(["cmake", "-S", source, "-B", os.path.join(source, "built")], capture_output=True, text=True)
        need(("fits: TRUE" in said.stderr) == fits, "version %s: %s" % (wanted, said.stderr[-300:]))


def the_command_finds_its_other_programs(place):
    """Those that link MPI; one of them says so."""
    done = subprocess.run([os.path.join(place.prefix, "bin", "quern"), "doctor", "-n", "1", "--json"], capture_output=True, text=True)
    need(done.returncode in (0, 3), "status %d: %s" % (done.returncode, done.stderr))
    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    need(found["library"]["level"] == "ok", found["library"])
    for name in ("quern-stream", "quern-faults"):
        need(os.path.exists(os.path.join(place.prefix, "libexec", "quern", name)), "not installed: %s" % name)


TESTS = [
    headers_libraries_manuals_and_completions_are_there,
    the_shared_library_has_its_name_and_version,
    the_command_finds_its_other_programs,
    a_program_is_built_by_pkg_config_against("shared"),
    a_program_is_built_by_pkg_config_against("static"),
    cmake_finds_quern_and_builds_against_both_libraries,
    cmake_refuses_a_version_that_is_not_here,
    *installed_bindings.TESTS,
]


def tell(number, test, place):
    try:
        test(place)
    except Skip as skip:
        print("ok %d - %s # SKIP %s" % (number, test.__name__, skip))
    except Failure as failure:
        print("not ok %d - %s" % (number, test.__name__))
        print("".join("#   %s\n" % line for line in str(failure).splitlines()), end="")
        return False
    else:
        print("ok %d - %s" % (number, test.__name__))
    return True


def main(root, build, cc, cxx):
    directory = tempfile.mkdtemp(prefix="qinstall.")
    try:
        place = Place(root, build, cc, cxx, directory)
        print("1..%d" % len(TESTS))
        results = [tell(number, test, place) for number, test in enumerate(TESTS, 1)]
    except Failure as failure:
        print("1..1\nnot ok 1 - the build is installed")
        print("".join("#   %s\n" % line for line in str(failure).splitlines()), end="")
        return 1
    finally:
        shutil.rmtree(directory)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
