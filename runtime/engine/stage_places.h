/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/stage_places.h: what is before each part of the stored results that legs of a stage read. */
#ifndef QN_ENGINE_STAGE_PLACES_H
#define QN_ENGINE_STAGE_PLACES_H

#include "runtime/engine/stage_run.h"

/* Fills run->places of the legs whose chains need them. Collective; the same outcome on all ranks. QUERN_ERROR_NO_MEMORY, QUERN_ERROR_MPI. */
quern_status qn_stage_learn_places(qn_stage_run *run, qn_error *error);

#endif
