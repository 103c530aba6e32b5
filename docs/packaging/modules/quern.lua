-- SPDX-License-Identifier: BSD-3-Clause
-- A modulefile for Lmod: put it as quern/0.1.0.lua below a directory of MODULEPATH, with the prefix, the MPI and the Python of the installation.
local version = "0.1.0"
local prefix = "/opt/quern/" .. version
local libdir = pathJoin(prefix, "lib")
local python = pathJoin(prefix, "lib/python3.11/site-packages") -- where the package quern is

help([[Quern: MapReduce and dataflow jobs on MPI clusters.
Compile with `cc job.c $(pkg-config --cflags --libs quern)`, run with `quern run` or mpirun.]])
whatis("Name: Quern")
whatis("Version: " .. version)
whatis("Description: a C library for MapReduce and dataflow jobs on MPI clusters")

-- Quern works with the MPI, and the HDF5 of that MPI, that it was built with.
depends_on("openmpi", "hdf5")
conflict("quern")

setenv("QUERN_ROOT", prefix)
prepend_path("PATH", pathJoin(prefix, "bin"))
prepend_path("LD_LIBRARY_PATH", libdir)
prepend_path("LIBRARY_PATH", libdir)
prepend_path("CPATH", pathJoin(prefix, "include"))
prepend_path("PKG_CONFIG_PATH", pathJoin(libdir, "pkgconfig"))
prepend_path("CMAKE_PREFIX_PATH", prefix)
prepend_path("PYTHONPATH", python)
prepend_path("MANPATH", pathJoin(prefix, "share/man"))
