/* SPDX-License-Identifier: BSD-3-Clause */
/* What quern.f90 cannot do itself: a communicator's handle of Fortran is C's only through a macro. */
#include <quern/quern.h>

/* argv: options as arguments. Else as quern_context_create_on(). */
QUERN_API quern_status quern_fortran_create_on(MPI_Fint comm, int argc, char **argv, quern_context **context_out);

quern_status quern_fortran_create_on(MPI_Fint comm, int argc, char **argv, quern_context **context_out)
{
    quern_options options;
    quern_options_init(&options);
    quern_status status = quern_options_read_argv(&options, &argc, argv);
    return status == QUERN_OK ? quern_context_create_on(MPI_Comm_f2c(comm), &options, context_out) : status;
}
