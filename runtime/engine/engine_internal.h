/* SPDX-License-Identifier: BSD-3-Clause */
/* runtime/engine/engine_internal.h: what the engine is set up with, and is again when ranks were lost. */
#ifndef QN_ENGINE_ENGINE_INTERNAL_H
#define QN_ENGINE_ENGINE_INTERNAL_H

#include "runtime/engine/engine.h"

/* On rank 0, where somebody wants to see ranks: a board, if there is none yet, or else room on it. Local. */
quern_status qn_engine_open_board(qn_engine *engine, qn_error *error);
/* The ranks are to be shown from now on, since somebody asked for it after the engine was created. Collective. QUERN_ERROR_NO_MEMORY. */
quern_status qn_engine_show_ranks(qn_engine *engine, qn_error *error);
/* What somebody should look at: in the log, in the status, and to those who listen. A qn_board_alert_fn, of an engine. */
void qn_engine_tell_alert(void *user, const char *kind, const char *text);
/* What is known of the place before anything is done; the plan, once, when the run is over, if it is wanted. Rank 0; elsewhere nothing happens. */
void qn_engine_tell_place(qn_engine *engine);
void qn_engine_show_plan(qn_engine *engine);
/* Of a run, or before the first one. Local. */
void qn_engine_start_progress(qn_engine *engine);
/* Collective; the same outcome on all ranks. */
quern_status qn_engine_learn_nodes(qn_engine *engine, qn_error *error);
quern_status qn_engine_open_checkpoint(qn_engine *engine, qn_error *error);

#endif
