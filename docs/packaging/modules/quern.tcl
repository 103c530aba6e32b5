#%Module1.0
# SPDX-License-Identifier: BSD-3-Clause
# A modulefile for Environment Modules: put it as quern/0.1.0 below a directory of MODULEPATH, with the prefix, the MPI and the
# Python of the installation.
set version 0.1.0
set prefix /opt/quern/$version
set libdir $prefix/lib
# Where the package quern is.
set python $prefix/lib/python3.11/site-packages

proc ModulesHelp {} {
    puts stderr "Quern: MapReduce and dataflow jobs on MPI clusters."
    puts stderr "Compile with: cc job.c \$(pkg-config --cflags --libs quern). Run with quern run, or mpirun."
}
module-whatis "a C library for MapReduce and dataflow jobs on MPI clusters"

# Quern works with the MPI, and the HDF5 of that MPI, that it was built with.
prereq openmpi
prereq hdf5
conflict quern

setenv QUERN_ROOT $prefix
prepend-path PATH $prefix/bin
prepend-path LD_LIBRARY_PATH $libdir
prepend-path LIBRARY_PATH $libdir
prepend-path CPATH $prefix/include
prepend-path PKG_CONFIG_PATH $libdir/pkgconfig
prepend-path CMAKE_PREFIX_PATH $prefix
prepend-path PYTHONPATH $python
prepend-path MANPATH $prefix/share/man
