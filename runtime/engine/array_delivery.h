/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/engine/array_delivery.h: rows that wait in parts (runtime/io/array_rows.h) become datasets of HDF5.
 *
 * Every rank learns how many rows each part has, and so where in the whole each row is. A rank's stretch is whole chunks, about as many
 * as the others have, whoever made their rows. One file is written in rounds that all ranks take part in, as many as the longest stretch
 * takes; before each they agree that all are well, so that whoever fails does so between the calls of HDF5 and not in the
 * midst of one.
 */
#ifndef QN_ENGINE_ARRAY_DELIVERY_H
#define QN_ENGINE_ARRAY_DELIVERY_H

#include "runtime/engine/sink.h"

/* Collective. Writes the files under temporary names; the writer's parts are then this rank's file, or its piece of the one file. memory_bytes: what
 * this rank may take. QUERN_ERROR_OUTPUT, QUERN_ERROR_INPUT, QUERN_ERROR_BUDGET, QUERN_ERROR_NO_MEMORY. */
quern_status qn_array_deliver(qn_sink_writer *writer, qn_comm *comm, uint64_t memory_bytes, qn_error *error);

#endif
