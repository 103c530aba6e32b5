/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/second_run.h: a second attempt at a task that another rank has in hand and takes long for.
 *
 * Nothing of it counts until the master says that it takes over; it says so when the other rank has left the task, at a border of a block. Until
 * then what the attempt gives is kept back: a part under a name of its own; or records in a log, block by block, with what was counted at
 * each border. Told the border at which the other left, it delivers what it has from there on, forgets what was before, and goes on as any attempt. It
 * goes on from the border itself if it has nothing of that, because it has not come so far or its log was full: so a log may be as short as it likes.
 *
 *     SECOND ──► blocks, kept back ──► through, full, or failed: it waits ──► TAKE_OVER ──► deliver, go on, end
 *                                                                        └──► DROP ──► forget
 */
#ifndef QN_ENGINE_SECOND_RUN_H
#define QN_ENGINE_SECOND_RUN_H

#include "runtime/engine/stage_run.h"

/* Until it took over and is done, or was dropped. Inside the gate. */
void qn_second_run(qn_stage_run *run, qn_source *source, const qn_task *task);

#endif
