/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/plan/dot_reader.h"

#include <check.h>
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "runtime/base/utf8.h"

#define NODE_COUNT_MAX 8192
#define WORD_BYTES_MAX 32

typedef struct reader {
    const char *at;
    dot_graph graph;
} reader;

static char declared[NODE_COUNT_MAX][WORD_BYTES_MAX];

static void refuse(const reader *from, const char *why)
{
    ck_abort_msg("%s at '%.60s'", why, from->at);
}

static void skip_space(reader *from)
{
    while (*from->at == ' ' || *from->at == '\n')
        from->at++;
}

static bool takes(reader *from, const char *token)
{
    skip_space(from);
    if (strncmp(from->at, token, strlen(token)) != 0)
        return false;
    from->at += strlen(token);
    return true;
}

static void expect(reader *from, const char *token)
{
    if (!takes(from, token))
        refuse(from, token);
}

/* A name without quotes. */
static void read_word(reader *from, char word[WORD_BYTES_MAX])
{
    size_t bytes = 0;
    skip_space(from);
    while (isalnum((unsigned char)*from->at) || *from->at == '_') {
        word[bytes++] = *from->at++;
        if (bytes == WORD_BYTES_MAX)
            refuse(from, "a long name");
    }
    word[bytes] = 0;
    if (bytes == 0 || isdigit((unsigned char)word[0]))
        refuse(from, "no name");
}

static void read_quoted(reader *from)
{
    while (*from->at != '"') {
        size_t bytes = qn_utf8_character_bytes(from->at);
        if (bytes == 0 || (unsigned char)*from->at < 0x20)
            refuse(from, "no character of a text");
        if (*from->at == '&' && strncmp(from->at, "&amp;", 5) != 0)
            refuse(from, "an entity");
        if (*from->at == '\\' && (from->at++, !strchr("\"\\n", *from->at) || !*from->at))
            refuse(from, "an unknown escape");
        from->at += bytes;
    }
    from->at++;
}

static void read_value(reader *from)
{
    char word[WORD_BYTES_MAX];
    expect(from, "=");
    if (takes(from, "\""))
        read_quoted(from);
    else
        read_word(from, word);
}

static bool is_declared(const reader *from, const char *name)
{
    for (uint32_t i = 0; i < from->graph.nodes; i++)
        if (strcmp(declared[i], name) == 0)
            return true;
    return false;
}

static void read_attribute_list(reader *from)
{
    char name[WORD_BYTES_MAX];
    read_word(from, name);
    read_value(from);
    expect(from, "]");
}

static void read_edge(reader *from, const char *name)
{
    char into[WORD_BYTES_MAX];
    read_word(from, into);
    if (!is_declared(from, name) || !is_declared(from, into))
        refuse(from, "an edge of an unknown node");
    if (takes(from, "["))
        read_attribute_list(from);
    from->graph.edges++;
}

static void read_node(reader *from, const char *name)
{
    expect(from, "[");
    read_attribute_list(from);
    if (strcmp(name, "node") == 0)
        return; /* what all nodes are like */
    if (is_declared(from, name) || from->graph.nodes == NODE_COUNT_MAX)
        refuse(from, "a node declared again, or one too many");
    strcpy(declared[from->graph.nodes++], name);
}

static void read_body(reader *from, int depth);

static void read_statement(reader *from, int depth)
{
    char name[WORD_BYTES_MAX];
    read_word(from, name);
    if (strcmp(name, "subgraph") == 0) {
        read_word(from, name);
        if (depth > 0 || strncmp(name, "cluster_", 8) != 0)
            refuse(from, "no cluster of the graph");
        from->graph.clusters++;
        read_body(from, depth + 1);
        return;
    }
    skip_space(from);
    if (takes(from, "->"))
        read_edge(from, name);
    else if (*from->at == '=')
        read_value(from);
    else
        read_node(from, name);
    expect(from, ";");
}

static void read_body(reader *from, int depth)
{
    expect(from, "{");
    while (!takes(from, "}"))
        read_statement(from, depth);
}

dot_graph dot_read(const char *text)
{
    reader from = {.at = text};
    expect(&from, "digraph quern");
    read_body(&from, 0);
    if (strcmp(from.at, "\n") != 0)
        refuse(&from, "something behind the graph");
    return from.graph;
}
