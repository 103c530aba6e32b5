/* SPDX-License-Identifier: BSD-3-Clause */
#define OMPI_SKIP_MPICXX  1
#define MPICH_SKIP_MPICXX 1
#include "runtime/comm/loss_mpi.h"

#ifdef QN_HAS_ULFM

#include <mpi-ext.h>

bool qn_loss_is_told(void)
{
    int is_there = 0;
    int *is_on = NULL;
    return MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_FT, &is_on, &is_there) == MPI_SUCCESS && is_there && *is_on;
}

bool qn_loss_is_code(int code)
{
    int kind = MPI_SUCCESS;
    MPI_Error_class(code, &kind);
    return kind == MPIX_ERR_PROC_FAILED || kind == MPIX_ERR_PROC_FAILED_PENDING || kind == MPIX_ERR_REVOKED;
}

bool qn_loss_is_seen(MPI_Comm comm)
{
    int is_revoked = 0, count = 0;
    MPI_Group failed;
    if (MPIX_Comm_is_revoked(comm, &is_revoked) == MPI_SUCCESS && is_revoked)
        return true;
    if (MPIX_Comm_get_failed(comm, &failed) != MPI_SUCCESS)
        return false;
    MPI_Group_size(failed, &count);
    MPI_Group_free(&failed);
    return count > 0;
}

/* The dead are few, and asked for one after the other. */
int qn_loss_lowest_living(MPI_Comm comm)
{
    MPI_Group all, failed;
    int size = 0, lowest = 0, place = MPI_UNDEFINED;
    MPIX_Comm_get_failed(comm, &failed);
    MPI_Comm_group(comm, &all);
    MPI_Group_size(all, &size);
    for (; lowest < size; lowest++) {
        MPI_Group_translate_ranks(all, 1, &lowest, failed, &place);
        if (place == MPI_UNDEFINED)
            break;
    }
    MPI_Group_free(&all);
    MPI_Group_free(&failed);
    return lowest;
}

void qn_loss_revoke(MPI_Comm comm)
{
    if (comm != MPI_COMM_NULL)
        MPIX_Comm_revoke(comm);
}

int qn_loss_agree_start(MPI_Comm comm, int *flags, MPI_Request *request)
{
    return MPIX_Comm_iagree(comm, flags, request);
}

int qn_loss_shrink(MPI_Comm comm, MPI_Comm *shrunk_out)
{
    return MPIX_Comm_shrink(comm, shrunk_out);
}

#else

bool qn_loss_is_told(void)
{
    return false;
}

bool qn_loss_is_code(int code)
{
    (void)code;
    return false;
}

bool qn_loss_is_seen(MPI_Comm comm)
{
    (void)comm;
    return false;
}

int qn_loss_lowest_living(MPI_Comm comm)
{
    (void)comm;
    return 0;
}

void qn_loss_revoke(MPI_Comm comm)
{
    (void)comm;
}

int qn_loss_agree_start(MPI_Comm comm, int *flags, MPI_Request *request)
{
    (void)comm, (void)flags, (void)request;
    return MPI_ERR_OTHER;
}

int qn_loss_shrink(MPI_Comm comm, MPI_Comm *shrunk_out)
{
    (void)comm, (void)shrunk_out;
    return MPI_ERR_OTHER;
}

#endif
