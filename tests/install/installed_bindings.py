# SPDX-License-Identifier: BSD-3-Clause
"""Programs of C++, Fortran and Python that know nothing but what is installed; a part of test_install.py."""

import os
import re
import shutil
import subprocess

import test_packaging
from installed import COUNTS, WORDS, Skip, need, run

# What mpirun wants of root and of a machine with less cores than ranks.
LAUNCH = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "PRTE_MCA_prte_allow_run_as_root": "1",
          "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_MCA_plm_rsh_agent": "false"}
COUNT_WORDS = """
import sys
from mpi4py import MPI
import quern
with quern.Context(comm=MPI.COMM_WORLD) as context:
    words = context.read_text(sys.argv[1:], delimiters=b" \\n", skip_empty=True)
    found = words.reduce_by_key(quern.COUNT).top_k(20)
    context.run()
    if context.rank == 0:
        for word, count in found.records:
            print(count, word.decode(), sep="\\t")
        with open("/proc/self/maps") as maps:
            print(*{line.split()[-1] for line in maps if "libquern" in line}, file=sys.stderr)
"""


def needs_cxx(place):
    place.need_kind("shared")
    if not place.cxx:
        raise Skip("there is no compiler of C++ here")


def a_program_of_cxx_is_built_by_pkg_config(place):
    needs_cxx(place)
    program = os.path.join(place.directory, "wordcount-cxx")
    run(place.cxx, "-std=c++17", *place.sanitizers, os.path.join(place.root, "examples", "cxx", "wordcount.cpp"), "-o", program,
        *place.pkg_config("--cflags", "--libs"))
    place.check_counts(program)


def a_project_of_cxx_alone_is_built_by_cmake(place):
    needs_cxx(place)
    built = place.build_with_cmake("CXX", place.cxx, os.path.join(place.root, "examples", "cxx", "wordcount.cpp"))
    place.check_counts(os.path.join(built, "job"))
    for kind in place.kinds:
        place.check_counts(os.path.join(built, "job-" + kind))


def fortran_flags(place):
    """Of pkg-config, where there is Fortran."""
    place.need_kind("shared")
    if not os.path.exists(os.path.join(place.lib, "pkgconfig", "quern-fortran.pc")):
        raise Skip("the modules of Fortran are not built")
    if not shutil.which("mpifort"):
        raise Skip("there is no mpifort here")
    return place.pkg_config("--cflags", "--libs", package="quern-fortran")


def a_program_of_fortran_is_built_by_pkg_config(place):
    program = os.path.join(place.directory, "wordcount-fortran")
    flags = fortran_flags(place)
    run("mpifort", "-std=f2018", "-fwrapv", *place.sanitizers, os.path.join(place.root, "examples", "fortran", "wordcount.f90"), "-o", program,
        *flags, cwd=place.directory)
    place.check_counts(program)


def python_folder(place):
    found = [folder for folder, _, names in os.walk(place.prefix) if folder.endswith("-packages/quern") and "__init__.py" in names]
    if not found:
        raise Skip("the package of Python is not installed (option python)")
    return os.path.dirname(found[0])


def python_with_mpi(place):
    place.need_kind("shared")
    if place.sanitizers:
        raise Skip("a sanitized library is not for a Python that is not")
    for name in ("python3", "/usr/bin/python3"):
        if subprocess.run([name, "-c", "import numpy, mpi4py.MPI"], capture_output=True).returncode == 0:
            return name
    raise Skip("no Python here has NumPy and mpi4py")


def check_python(place, env):
    """Two ranks count words, and say which library they did it with."""
    path = os.path.join(place.directory, "words-of-python")
    with open(path, "wb") as file:
        file.write(WORDS)
    bare = {name: value for name, value in os.environ.items() if name not in ("LD_LIBRARY_PATH", "QUERN_LIBRARY", "PYTHONPATH")}
    done = subprocess.run(["mpirun", "-n", "2", python_with_mpi(place), "-m", "mpi4py", "-c", COUNT_WORDS, path], capture_output=True,
                          env={**bare, **LAUNCH, **env}, timeout=100, cwd=place.directory)
    need(done.returncode == 0 and done.stdout == COUNTS, "status %d, %r and %r" % (done.returncode, done.stdout, done.stderr[-1500:]))
    need(os.path.realpath(place.lib).encode() in done.stderr, "it took another library: %r" % done.stderr)


def the_package_of_python_finds_the_library_that_it_is_installed_with(place):
    check_python(place, {"PYTHONPATH": python_folder(place)})


def environment_of(place, interpreters, script, path, lines):
    """The paths that a modulefile sets when these of its lines are filled in, but for that of programs."""
    interpreter = next((name for name in interpreters if shutil.which(name)), None)
    if not interpreter:
        raise Skip("none of %s is here" % ", ".join(interpreters))
    with open(os.path.join(place.root, path), encoding="utf-8") as file:
        text = file.read()
    for begin, value in lines.items():
        text, count = re.subn(r"^%s\b.*$" % re.escape(begin), lambda _: begin + value, text, flags=re.MULTILINE)
        need(count == 1, "%s has no line %s to fill in" % (path, begin))
    filled = os.path.join(place.directory, os.path.basename(path))
    with open(filled, "w", encoding="utf-8") as file:
        file.write(text)
    stub = subprocess.run([interpreter, "/dev/stdin", filled], input=script, capture_output=True, text=True, check=True)
    said = stub.stdout.replace("{", "").replace("}", "")
    return {name: path for name, path in re.findall(r"^prepend_path (\w+) (\S+)$", said, re.MULTILINE) if name != "PATH"}


def of_lmod(place):
    return environment_of(place, test_packaging.LUAS, test_packaging.LMOD, test_packaging.LUA, {
        "local prefix": ' = "%s"' % place.prefix, "local libdir": ' = "%s"' % place.lib, "local python": ' = "%s"' % python_folder(place)})


def of_environment_modules(place):
    return environment_of(place, test_packaging.TCLS, test_packaging.MODULES, test_packaging.TCL, {
        "set prefix": " " + place.prefix, "set libdir": " " + place.lib, "set python": " " + python_folder(place)})


def a_modulefile_is_enough_for_pkg_config_and_python(place):
    env = of_lmod(place)
    found = run("pkg-config", "--variable=prefix", "quern", env=env)
    need(found.strip() == place.prefix, "pkg-config found %s" % found)
    check_python(place, env)


def both_modulefiles_set_the_same_paths(place):
    one, other = of_lmod(place), of_environment_modules(place)
    need(one == other and "PYTHONPATH" in one, "%s\n%s" % (one, other))


TESTS = [
    a_program_of_cxx_is_built_by_pkg_config,
    a_project_of_cxx_alone_is_built_by_cmake,
    a_program_of_fortran_is_built_by_pkg_config,
    the_package_of_python_finds_the_library_that_it_is_installed_with,
    a_modulefile_is_enough_for_pkg_config_and_python,
    both_modulefiles_set_the_same_paths,
]
