/* SPDX-License-Identifier: BSD-3-Clause */
/* tools/quern/manual.h: the tables of commands and of the library's options as pages. */
#ifndef QUERN_TOOLS_MANUAL_H
#define QUERN_TOOLS_MANUAL_H

#include <stdio.h>

#include "tools/quern/commands.h"

/* Pages for man(1): of a command; quern(1), which lists them; quern-options(7), which lists the options of every job. */
void quern_manual_print(FILE *to, const quern_command *command);
void quern_manual_print_all(FILE *to);
void quern_manual_print_options(FILE *to);

/* docs/commands.md. */
void quern_manual_print_markdown(FILE *to);

#endif
