/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/stage_places.h: how much is before each part of the stored results that a stage reads, for operators that number and sum. */
#ifndef QN_ENGINE_STAGE_PLACES_H
#define QN_ENGINE_STAGE_PLACES_H

#include "runtime/engine/stage_run.h"

/* Sets run->places of the legs that need them. Collective; the same outcome on all ranks. */
quern_status qn_stage_places_learn(qn_stage_run *run, qn_error *error);

#endif
