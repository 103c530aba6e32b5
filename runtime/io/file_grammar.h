/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * runtime/io/file_grammar.h: whole contents for record_source.h: the name is the key, all bytes are the value. They are never cut.
 */
#ifndef QN_IO_FILE_GRAMMAR_H
#define QN_IO_FILE_GRAMMAR_H

#include "runtime/io/record_source.h"

extern const qn_grammar qn_file_grammar;

#endif
