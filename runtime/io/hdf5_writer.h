/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/hdf5_writer.h: a driver of HDF5 for files that one rank writes, whose writes do not fail.
 *
 * HDF5 (1.10) cannot be told of a full disk. Of a file or dataset that it could not write when it was closed it keeps the identifier, frees what that
 * stands for, and closes it once more, and crashes, in MPI_Finalize(); and a cache that could not be flushed once cannot be flushed again. So
 * it is told that all is well, and we remember what was not.
 */
#ifndef QN_IO_HDF5_WRITER_H
#define QN_IO_HDF5_WRITER_H

#include <hdf5.h>

/* Lets a list of file access use the driver. Whether it can. While quiet. */
bool qn_hdf5_writer_use(hid_t access);

/* Of an open file that uses it: why bytes are missing from it, as errno says, or 0. After H5Fflush() of all that HDF5 was given. While quiet. */
int qn_hdf5_writer_reason(hid_t file);

#endif
