/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/comm/backend.h"

static uint64_t number_of(const char *name)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : 0;
}

/* Open MPI's own launcher is believed before everything else: below SLURM, mpirun -n 1 on an allocation of many tasks is
 * one rank by the user's wish, while SLURM's variables still speak of the allocation. */
qn_launch qn_launch_query(void)
{
    const char *fault_tolerance = getenv("OMPI_MCA_mpi_ft_enable"); /* of mpirun --with-ft ulfm */
    qn_launch launch = {.lets_live = fault_tolerance && strcmp(fault_tolerance, "1") == 0};
    if (getenv("OMPI_COMM_WORLD_SIZE")) {
        launch.launched = true;
        launch.promise = "OMPI_COMM_WORLD_SIZE";
        launch.rank_count = number_of("OMPI_COMM_WORLD_SIZE");
        launch.node_rank_count = number_of("OMPI_COMM_WORLD_LOCAL_SIZE");
        launch.one_node = launch.node_rank_count == launch.rank_count;
        return launch;
    }
    launch.launched = getenv("PMIX_RANK") || getenv("PMI_RANK") || getenv("MPI_LOCALNRANKS");
    launch.promise = getenv("PMI_SIZE")               ? "PMI_SIZE"
                     : getenv("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS"
                                                      : "SLURM_NTASKS";
    launch.rank_count = number_of(launch.promise);
    return launch;
}

/* Unless the program does something about them. */
static void ignore_broken_pipes(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        signal(SIGPIPE, SIG_IGN);
}

void qn_launch_tune(const qn_launch *launch)
{
    bool user_chose = getenv("OMPI_MCA_pml") || getenv("OMPI_MCA_btl") || getenv("OMPI_MCA_mtl");
    if (launch->one_node && !user_chose) {
        setenv("OMPI_MCA_pml", "ob1", 0);
        setenv("OMPI_MCA_btl", qn_launch_shared_memory_transport(), 0);
    }
    /* Open MPI's words about a crash may wait for ever for a lock that the crashed thread holds. Ours (crash.h) are ended in time. */
    setenv("OMPI_MCA_opal_signal", "", 0);
    /* Nobody could wait for the dead there; and a connection that they break must not end the living. Collectives by nodes (5.0.7) crash in all who are left if another
     * rank dies while they make the communicators that they use. */
    if (launch->lets_live) {
        setenv("OMPI_MCA_async_mpi_finalize", "1", 0);
        setenv("OMPI_MCA_coll_han_priority", "-1", 0);
        ignore_broken_pipes();
    }
    long core_count = sysconf(_SC_NPROCESSORS_ONLN);
    if (core_count > 0 && launch->node_rank_count > (uint64_t)core_count)
        setenv("OMPI_MCA_mpi_yield_when_idle", "1", 0);
}

quern_status qn_launch_check(const qn_launch *launch, uint64_t rank_count, qn_error *error)
{
    if (launch->rank_count <= rank_count || rank_count > 1)
        return QUERN_OK;
    return qn_error_set(error, QUERN_ERROR_LAUNCHER, 0,
                        "%s promises %llu ranks but MPI sees 1: start with mpirun, or srun --mpi=pmix, of the MPI that "
                        "Quern was built with%s",
                        launch->promise, (unsigned long long)launch->rank_count,
                        launch->launched ? "" : " (or set QUERN_SINGLETON=on to run on one rank)");
}
