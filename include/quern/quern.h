/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/quern.h: everything public. Needs the MPI compiler flags (pkg-config quern gives them).
 *
 *     quern_context *context = NULL;
 *     quern_status status = quern_context_create(&argc, argv, NULL, &context);
 *     const char *paths[] = {"/usr/include"};
 *     quern_dataset *lines = quern_read_text(context, paths, 1, NULL);
 *     quern_write_text(quern_reduce_by_key(lines, QUERN_COUNT), "line-counts");
 *     status = quern_run(context);
 *     quern_context_destroy(context);
 */
#ifndef QUERN_QUERN_H
#define QUERN_QUERN_H

#include <quern/bad_records.h>
#include <quern/broadcast.h>
#include <quern/columns.h>
#include <quern/context.h>
#include <quern/dataset.h>
#include <quern/events.h>
#include <quern/formats.h>
#include <quern/hdf5.h>
#include <quern/links.h>
#include <quern/memory.h>
#include <quern/operators.h>
#include <quern/options.h>
#include <quern/resume.h>
#include <quern/status.h>
#include <quern/types.h>

#endif
