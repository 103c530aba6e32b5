/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/sim_plot.h: the curves of a simulated run as a picture, which gnuplot draws. */
#ifndef QUERN_TOOLS_SIM_PLOT_H
#define QUERN_TOOLS_SIM_PLOT_H

#include "scheduler/sim/cluster.h"

/* path: .svg or .png. The exit status; says what is wrong. */
int quern_sim_plot(const char *path, const qn_cluster_result *result, double rank_count);

#endif
