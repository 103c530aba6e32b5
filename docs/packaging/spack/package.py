# SPDX-License-Identifier: BSD-3-Clause
# A recipe for Spack: put this directory as `packages/quern` into a repository of packages of yours (`spack repo create`), fill in homepage and
# git, then `spack install quern`.
from spack.package import *


class Quern(MesonPackage):
    """A library for MapReduce and dataflow jobs on MPI clusters."""

    homepage = "https://example.org/quern"
    git = "https://example.org/quern.git"

    license("BSD-3-Clause")

    version("main", branch="main")

    variant("tests", default=False, description="Build the tests, which need Check")
    variant("libs", default="shared,static", values=("shared", "static"), multi=True, description="Libraries to build")

    depends_on("c", type="build")
    depends_on("meson@1.0.1:", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("python@3.9:", type="build")
    depends_on("check", type="build", when="+tests")

    depends_on("mpi@3:", type=("build", "link", "run"))
    depends_on("hdf5@1.10.7:+mpi")
    depends_on("hwloc@2:")
    depends_on("jansson")
    depends_on("libarchive@3.6: compression=bz2lib,lz4,lzma,zlib,zstd")
    depends_on("isa-l")
    depends_on("libdeflate")
    depends_on("libsodium@1.0.18:")
    depends_on("xxhash")
    depends_on("bzip2")
    depends_on("lz4")
    depends_on("xz@5.4:")
    depends_on("zlib-api")
    depends_on("zstd")

    def meson_args(self):
        both = self.spec.satisfies("libs=shared,static")
        only = "shared" if self.spec.satisfies("libs=shared") else "static"
        return [
            "-Dtests=" + ("true" if self.spec.satisfies("+tests") else "false"),
            "-Ddefault_library=" + ("both" if both else only),
            "-Dbuildtype=release",
        ]
