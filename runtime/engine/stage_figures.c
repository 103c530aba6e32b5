/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/engine/stage_run.h"

void qn_stage_figures_take_rounds(qn_stage_figures *figures, const qn_rounds *rounds)
{
    figures->shuffle_rounds = rounds->completed;
    figures->exchange_ns = rounds->exchange_ns;
    figures->compress_ns = rounds->compress_ns;
    figures->sent_records = rounds->sent_rows;
    figures->sent_bytes = rounds->sent_bytes;
    figures->sent_plain_bytes = rounds->sent_plain_bytes;
    figures->received_records = rounds->received_rows;
    figures->received_bytes = rounds->received_bytes;
}
