#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The recipes of docs/packaging can be read and are in step with the build: usage: test_packaging.py ROOT VERSION; prints TAP."""

import ast
import os
import re
import shutil
import subprocess
import sys

FOLDER = "docs/packaging"
SPACK = FOLDER + "/spack/package.py"
EASYBUILD = FOLDER + "/easybuild/Quern-%s-foss-2023b.eb"
LUA = FOLDER + "/modules/quern.lua"
TCL = FOLDER + "/modules/quern.tcl"
LUAS, TCLS = ("lua5.4", "lua5.3", "lua"), ("tclsh",)

# What meson.build asks for, and its names in Spack and in EasyBuild, where these have one.
PACKAGES = {
    "mpi": ("mpi", None), "mpi-c": (None, None), "threads": (None, None), "hwloc": ("hwloc", "hwloc"),
    "jansson": ("jansson", "Jansson"), "libarchive": ("libarchive", "libarchive"), "hdf5-openmpi": ("hdf5", "HDF5"),
    "libxxhash": ("xxhash", "xxHash"), "libsodium": ("libsodium", "libsodium"), "liblz4": ("lz4", "lz4"),
    "zlib": ("zlib-api", "zlib"), "libdeflate": ("libdeflate", "libdeflate"), "libzstd": ("zstd", "zstd"),
    "liblzma": ("xz", "XZ"), "libisal": ("isa-l", None), "bzip2": ("bzip2", "bzip2"),
}
LMOD = """
function pathJoin(a, b) return a .. "/" .. b end
for _, name in ipairs({"help", "whatis", "depends_on", "conflict", "setenv", "prepend_path"}) do
  _G[name] = function(...) print(name .. " " .. table.concat({...}, " ")) end
end
dofile(arg[1])
"""
MODULES = """
foreach name {module-whatis prereq conflict setenv prepend-path} {
    proc $name args "puts \\"[string map {- _} $name] \\$args\\""
}
source [lindex $argv 0]
"""


class Skip(Exception):
    pass


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def options_of(text):
    return set(re.findall(r"-D(\w+)=", text))


def known_options(root):
    return set(re.findall(r"^option\('(\w+)'", read(root, "meson_options.txt"), re.MULTILINE)) | \
        {"default_library", "buildtype"}


def wanted(root, place):
    asked = re.findall(r"^\w+_dep = dependency\('([\w-]+)'", read(root, "meson.build"), re.MULTILINE)
    unknown = [name for name in asked if name not in PACKAGES]
    return [PACKAGES[name][place] for name in asked if name in PACKAGES and PACKAGES[name][place]], \
        ["meson.build asks for %s, which the recipes and this test do not know" % name for name in unknown]


def spack_recipe(root, _version):
    text = read(root, SPACK)
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)]
    names = re.findall(r'depends_on\("([\w-]+)', text)
    packages, problems = wanted(root, 0)
    problems += ["%s does not depend on %s" % (SPACK, name) for name in packages if name not in names]
    problems += ["%s sets an unknown option %s" % (SPACK, name) for name in options_of(text) - known_options(root)]
    return problems + ([] if [node.name for node in classes] == ["Quern"] else ["no class Quern in " + SPACK])


def easyconfig(root, version):
    path = EASYBUILD % version
    if not os.path.exists(os.path.join(root, path)):
        return ["there is no %s: rename it with the version" % path]
    text, values = read(root, path), {}
    for node in ast.parse(text).body:  # assignments of what is written there, and nothing else
        if not isinstance(node, ast.Assign):
            return ["%s:%d: not an assignment" % (path, node.lineno)]
        values[node.targets[0].id] = ast.literal_eval(node.value)
    packages, problems = wanted(root, 1)
    names = [item[0] for item in values["dependencies"]]
    problems += ["%s does not depend on %s" % (path, name) for name in packages if name not in names]
    problems += ["%s sets an unknown option %s" % (path, name) for name in options_of(text) - known_options(root)]
    missing = {"easyblock", "name", "version", "homepage", "description", "toolchain", "moduleclass"} - set(values)
    return problems + ["%s: no %s" % (path, name) for name in missing] + \
        ([] if values.get("version") == version else ["%s: version %s" % (path, values.get("version"))])


def says(root, interpreters, script, path, version):
    """What a modulefile does, read by its own language with functions that only tell."""
    interpreter = next((name for name in interpreters if shutil.which(name)), None)
    if not interpreter:
        raise Skip("none of %s is here" % ", ".join(interpreters))
    stub = subprocess.run([interpreter, "/dev/stdin", os.path.join(root, path)], input=script, capture_output=True, text=True)
    if stub.returncode != 0:
        return ["%s: %s" % (path, stub.stderr.strip())]
    said = stub.stdout.replace("{", "").replace("}", "").replace("_path", "").replace("_", " ")
    needed = ["prepend PATH /opt/quern/%s/bin" % version, "prepend PKG CONFIG PATH", "prepend LD LIBRARY PATH", "prepend MANPATH",
              "prepend CMAKE PREFIX PATH", "prepend CPATH", "prepend PYTHONPATH /opt/quern/%s/lib/python" % version, "conflict quern", "openmpi"]
    return ["%s: %r is not in what it does:\n%s" % (path, line, said) for line in needed if line not in said]


def citation(root, version):
    text = read(root, "CITATION.cff")
    keys = set(re.findall(r"^([\w-]+):", text, re.MULTILINE))
    said = re.search(r"^version: (\S+)$", text, re.MULTILINE)
    return ["CITATION.cff: no %s" % key for key in sorted({"cff-version", "message", "title", "authors"} - keys)] + \
        ([] if said and said.group(1) == version else ["CITATION.cff: not version " + version])


def lua_modulefile(root, version):
    return says(root, LUAS, LMOD, LUA, version)


def tcl_modulefile(root, version):
    return says(root, TCLS, MODULES, TCL, version)


TESTS = {
    "the Spack recipe is Python and names what the build needs": spack_recipe,
    "the easyconfig is assignments and names what the build needs": easyconfig,
    "the citation has what its format wants, and this version": citation,
    "the modulefile for Lmod runs and sets what programs look for": lua_modulefile,
    "the modulefile for Environment Modules runs and sets what programs look for": tcl_modulefile,
}


def main(root, version):
    failed = 0
    print("1..%d" % len(TESTS))
    for number, (sentence, test) in enumerate(TESTS.items(), 1):
        try:
            problems, note = test(root, version), ""
        except Skip as skip:
            problems, note = [], " # SKIP %s" % skip
        failed += bool(problems)
        print("%sok %d - %s%s" % ("not " if problems else "", number, sentence, note))
        print("".join("#   %s\n" % line for problem in problems for line in problem.splitlines()), end="")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
