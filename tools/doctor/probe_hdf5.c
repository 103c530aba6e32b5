/* SPDX-License-Identifier: BSD-3-Clause */
/* One file, one dataset, a part of each rank: written, closed, opened, read and compared by all ranks together, as jobs write HDF5. */
#include <hdf5.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "tools/doctor/probe.h"

#define FILE_NAME    "probe.h5"
#define DATASET      "numbers"
#define NUMBER_COUNT 4096 /* of a rank */

typedef struct part {
    hid_t access, transfer, file, dataset, all, mine;
} part;

static void close_all(part *open)
{
    if (open->mine >= 0)
        H5Sclose(open->mine);
    if (open->all >= 0)
        H5Sclose(open->all);
    if (open->dataset >= 0)
        H5Dclose(open->dataset);
    if (open->file >= 0)
        H5Fclose(open->file);
    if (open->transfer >= 0)
        H5Pclose(open->transfer);
    if (open->access >= 0)
        H5Pclose(open->access);
}

/* Collective. What could not be opened is below 0. */
static part open_part(const qn_comm *comm, const char *path, bool is_new)
{
    part open = {-1, -1, -1, -1, -1, -1};
    hsize_t count = NUMBER_COUNT, all = (hsize_t)comm->size * NUMBER_COUNT, first = (hsize_t)comm->rank * NUMBER_COUNT;
    open.access = H5Pcreate(H5P_FILE_ACCESS);
    open.transfer = H5Pcreate(H5P_DATASET_XFER);
    open.all = H5Screate_simple(1, &all, NULL);
    open.mine = H5Screate_simple(1, &count, NULL);
    if (open.access < 0 || open.all < 0 || !qn_comm_share_hdf5(comm, open.access))
        return open;
#ifdef H5_HAVE_PARALLEL
    if (comm->size > 1)
        H5Pset_dxpl_mpio(open.transfer, H5FD_MPIO_COLLECTIVE);
#endif
    H5Sselect_hyperslab(open.all, H5S_SELECT_SET, &first, NULL, &count, NULL);
    open.file =
        is_new ? H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, open.access) : H5Fopen(path, H5F_ACC_RDONLY, open.access);
    if (open.file >= 0)
        open.dataset =
            is_new ? H5Dcreate2(open.file, DATASET, H5T_NATIVE_UINT64, open.all, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)
                   : H5Dopen2(open.file, DATASET, H5P_DEFAULT);
    return open;
}

static bool write_part(const qn_comm *comm, const char *path, const uint64_t *numbers)
{
    part open = open_part(comm, path, true);
    bool is_done = open.dataset >= 0 &&
                   H5Dwrite(open.dataset, H5T_NATIVE_UINT64, open.mine, open.all, open.transfer, numbers) >= 0;
    close_all(&open);
    return is_done;
}

static bool read_part(const qn_comm *comm, const char *path, uint64_t *numbers)
{
    part open = open_part(comm, path, false);
    bool is_done =
        open.dataset >= 0 && H5Dread(open.dataset, H5T_NATIVE_UINT64, open.mine, open.all, open.transfer, numbers) >= 0;
    close_all(&open);
    return is_done;
}

static quern_status fail_if(bool failed, const char *what, const char *path, qn_error *error)
{
    return failed ? qn_error_set(error, QUERN_ERROR_OUTPUT, 0, "HDF5 cannot %s %s together with the other ranks", what,
                                 path)
                  : QUERN_OK;
}

quern_status quern_probe_hdf5(qn_comm *comm, const char *directory, json_t **figures_out, qn_error *error)
{
    static uint64_t numbers[NUMBER_COUNT], found[NUMBER_COUNT];
    char path[PATH_MAX];
    *figures_out = NULL;
    snprintf(path, sizeof path, "%s/" FILE_NAME, directory);
    for (uint64_t i = 0; i < NUMBER_COUNT; i++)
        numbers[i] = comm->rank * NUMBER_COUNT + i;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    uint64_t begin_ns = qn_clock_ns();
    fail_if(!write_part(comm, path, numbers), "write", path, error);
    quern_status status = qn_comm_agree(comm, error);
    if (status == QUERN_OK) {
        fail_if(!read_part(comm, path, found), "read", path, error);
        fail_if(error->status == QUERN_OK && memcmp(numbers, found, sizeof numbers) != 0, "read what it wrote to", path,
                error);
        status = qn_comm_agree(comm, error);
    }
    if (status == QUERN_OK && comm->rank == 0)
        *figures_out = json_pack("{sI sI}", "took_ns", (json_int_t)(qn_clock_ns() - begin_ns), "bytes",
                                 (json_int_t)(sizeof numbers * comm->size));
    if (comm->rank == 0)
        unlink(path);
    return status;
}
