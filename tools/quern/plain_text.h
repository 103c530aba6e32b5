/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tools/quern/plain_text.h: texts that anybody may have written, made fit for a terminal.
 *
 * Names of files and of hosts, keys and messages come from data and from other machines. What a terminal would take for a command to it, and what
 * is not one column wide, is a question mark in what is shown.
 */
#ifndef QUERN_TOOLS_PLAIN_TEXT_H
#define QUERN_TOOLS_PLAIN_TEXT_H

#include <stddef.h>

/* Writes at most so many columns of the text to to[bytes], in the locale's character set; returns how many. bytes > 0. */
size_t quern_plain_text(const char *text, size_t columns, char *to, size_t bytes);

#endif
