/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/stage_places.h: what comes before each part of the stored results that a stage reads, where operators need it. */
#ifndef QN_ENGINE_STAGE_PLACES_H
#define QN_ENGINE_STAGE_PLACES_H

#include "runtime/engine/stage_run.h"

/* Collective. QUERN_ERROR_NO_MEMORY. */
quern_status qn_stage_learn_places(qn_stage_run *run, qn_error *error);

#endif
