/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tests/plan/dot_reader.h: reads the part of dot's language that plans are written in, and nothing else: one digraph with
 * attributes, nodes, edges and subgraphs, each ended by a semicolon. Stricter than dot: a node is declared once and before
 * its edges, and texts are UTF-8 without control characters, in which only ", \ and the end of a line are escaped.
 */
#ifndef TESTS_DOT_READER_H
#define TESTS_DOT_READER_H

#include <stdint.h>

typedef struct dot_graph {
    uint32_t clusters, nodes, edges;
} dot_graph;

/* Fails the test, naming the place, where the text is not of that language. */
dot_graph dot_read(const char *text);

#endif
