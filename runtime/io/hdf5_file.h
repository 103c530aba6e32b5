/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/hdf5_file.h: HDF5 with our errors: files, and datasets as they are wanted.
 *
 * HDF5 keeps one stack of errors for the process, and prints it unless told otherwise. Whoever calls HDF5 here is quiet meanwhile, and leaves
 * things as they were, since the program may use HDF5 too. Of a stack the innermost line is the reason.
 *
 * Files are opened with the driver of POSIX calls: opening and reading by MPI-IO, if only on MPI_COMM_SELF, calls MPI, which may not be
 * called outside of the engine's gate, where tasks are read. HDF5's very first call looks at MPI too: qn_hdf5_start().
 */
#ifndef QN_IO_HDF5_FILE_H
#define QN_IO_HDF5_FILE_H

#include <hdf5.h>

#include "runtime/base/status.h"
#include "runtime/data/array_form.h"
#include "runtime/io/hdf5_grid.h"

#define QN_HDF5_NONE ((hid_t)-1)

/* The library's own handling of errors, put aside. */
typedef struct qn_hdf5_quiet {
    H5E_auto2_t report;
    void *user;
} qn_hdf5_quiet;

void qn_hdf5_quiet_begin(qn_hdf5_quiet *quiet);
void qn_hdf5_quiet_end(const qn_hdf5_quiet *quiet);

/* Whoever is going to use HDF5 outside of the gate calls this inside of it first. QUERN_ERROR_SYSTEM. */
quern_status qn_hdf5_start(qn_error *error);

/* Records a text, and behind it HDF5's reason. */
quern_status qn_hdf5_failed(qn_error *error, quern_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What follows is called while quiet. */

/* How files are opened: with the driver of POSIX calls, unless another is set, and a small cache of metadata. */
hid_t qn_hdf5_access_create(void);

/* Opens for reading: *file_out is to be given to H5Fclose(). QUERN_ERROR_INPUT. */
quern_status qn_hdf5_file_open(const char *path, hid_t *file_out, qn_error *error);

/* How links are followed while something is opened. */
typedef struct qn_hdf5_links {
    hid_t list;   /* of the class of datasets' access */
    bool refused; /* there was one into another file */
} qn_hdf5_links;

/* The struct must not move until it is closed. QUERN_ERROR_NO_MEMORY. */
quern_status qn_hdf5_links_open(qn_hdf5_links *links, bool external, qn_error *error);
void qn_hdf5_links_close(qn_hdf5_links *links);
/* What could not be opened, with the reason. */
quern_status qn_hdf5_links_failed(const qn_hdf5_links *links, const char *file, const char *path, qn_error *error);

typedef struct qn_hdf5_dataset {
    hid_t id; /* QN_HDF5_NONE: closed */
    hid_t space;
    hid_t memory_type;
    uint32_t rank;
    uint64_t dims[QN_HDF5_RANK_MAX], chunk[QN_HDF5_RANK_MAX];
    bool is_chunked;
    uint64_t chunk_bytes;   /* in the file, of a compressed one; else 0 */
    uint64_t address;       /* in the file, of one that is stored in one piece; else 0 */
    uint32_t stored_bytes;  /* of an element, in the file */
    uint32_t element_bytes; /* in memory; of variable strings a pointer, of fixed ones their length */
    bool is_variable;       /* strings are */
    uint64_t
        variable_fields; /* bit i: field i of the compound is one; it is a pointer in an element as HDF5 gives it, of raw_bytes */
    uint32_t raw_bytes;
    H5T_str_t padding; /* of strings */
} qn_hdf5_dataset;

/* Opens a dataset that is as wanted, with a cache of no more than one chunk: all reading is by whole chunks. file_path is for messages. QUERN_ERROR_INPUT,
 * QUERN_ERROR_NO_MEMORY. */
quern_status qn_hdf5_dataset_open(qn_hdf5_dataset *dataset, hid_t file, const char *file_path, const char *path,
                                  const qn_array_form *form, qn_error *error);
void qn_hdf5_dataset_close(qn_hdf5_dataset *dataset); /* takes a closed one */

#endif
