/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/data/link_pages.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/assert.h"
#include "runtime/base/pages.h"

#define MEMORY_STRETCHES 2

static quern_status no_memory(qn_error *error)
{
    return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for links");
}

quern_status qn_link_pages_init(qn_link_pages *pages, const qn_link_pages_config *config, qn_error *error)
{
    *pages = (qn_link_pages){.config = *config};
    qn_spill_init(&pages->spill, config->scratch, QN_BLOCK_PACKED, config->block_bytes);
    pages->memory = qn_pages_reserve(config->memory_bytes_max + 1, true);
    return pages->memory ? QUERN_OK : no_memory(error);
}

static void free_draft(qn_link_page_draft *draft)
{
    free(draft->counts);
    free(draft->sources);
    free(draft->weights);
    *draft = (qn_link_page_draft){0};
}

static void free_keys(qn_link_keys *keys)
{
    free(keys->keys);
    free(keys->weights);
    *keys = (qn_link_keys){0};
}

void qn_link_pages_fini(qn_link_pages *pages)
{
    if (!pages->memory)
        return;
    qn_run_writer_abandon(&pages->writer);
    qn_spill_fini(&pages->spill);
    qn_pages_unreserve(pages->memory, pages->config.memory_bytes_max + 1);
    free_draft(&pages->draft);
    free_keys(&pages->head);
    free(pages->head_pages);
    free(pages->largest);
    *pages = (qn_link_pages){0};
}

/* Room for one more. */
static bool grow(void **items, size_t *capacity, size_t count, size_t item_bytes)
{
    if (count < *capacity)
        return true;
    size_t larger = *capacity > 0 ? 2 * *capacity : 1024;
    void *moved = realloc(*items, larger * item_bytes);
    if (!moved)
        return false;
    *items = moved;
    *capacity = larger;
    return true;
}

/* ---- making a page ---- */

static uint64_t bytes_of(const qn_link_page *page, bool has_weights)
{
    uint64_t words = page->link_count + (page->is_hub ? 0 : (uint64_t)page->vertex_count);
    return sizeof *page + (words + 1) / 2 * 8 + (has_weights ? 8 * (uint64_t)page->link_count : 0);
}

static void encode(const qn_link_page_draft *draft, bool has_weights, uint8_t *to)
{
    const qn_link_page *page = &draft->page;
    uint8_t *end = to + page->bytes;
    memcpy(to, page, sizeof *page);
    to += sizeof *page;
    if (!page->is_hub && page->vertex_count > 0) {
        memcpy(to, draft->counts, 4 * (size_t)page->vertex_count);
        to += 4 * (size_t)page->vertex_count;
    }
    if (page->link_count == 0)
        return;
    memcpy(to, draft->sources, 4 * (size_t)page->link_count);
    if (has_weights)
        memcpy(end - 8 * (size_t)page->link_count, draft->weights, 8 * (size_t)page->link_count);
}

static quern_status put_in_head(qn_link_pages *pages, const qn_link_page_draft *draft, qn_error *error)
{
    uint64_t bytes = pages->head_bytes + draft->page.bytes;
    uint8_t *moved = realloc(pages->head_pages, bytes);
    if (!moved)
        return no_memory(error);
    pages->head_pages = moved;
    encode(draft, pages->config.has_weights, moved + pages->head_bytes);
    pages->head_bytes = bytes;
    return QUERN_OK;
}

static quern_status have_largest(qn_link_pages *pages, uint64_t bytes, qn_error *error)
{
    if (bytes <= pages->largest_bytes)
        return QUERN_OK;
    uint8_t *larger = malloc(bytes);
    if (!larger)
        return no_memory(error);
    free(pages->largest);
    pages->largest = larger;
    pages->largest_bytes = bytes;
    return QUERN_OK;
}

static quern_status put_in_run(qn_link_pages *pages, const qn_link_page_draft *draft, qn_error *error)
{
    quern_status status = have_largest(pages, draft->page.bytes, error);
    if (status == QUERN_OK && !pages->writing) {
        status = qn_run_writer_open(&pages->writer, &pages->spill, error);
        pages->writing = status == QUERN_OK;
    }
    if (status != QUERN_OK)
        return status;
    memset(pages->largest, 0, draft->page.bytes); /* what lies between the columns is written, too */
    encode(draft, pages->config.has_weights, pages->largest);
    return qn_run_writer_put_packed(&pages->writer, pages->largest, draft->page.bytes, error);
}

static quern_status close_page(qn_link_pages *pages, qn_link_page_draft *draft, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (!draft->is_open)
        return status;
    QN_ASSERT(draft->open_links == 0 || draft->page.is_hub);
    draft->page.bytes = bytes_of(&draft->page, pages->config.has_weights);
    if (draft->is_of_head)
        status = put_in_head(pages, draft, error);
    else if (!pages->writing && pages->used_bytes + draft->page.bytes <= pages->config.memory_bytes_max) {
        encode(draft, pages->config.has_weights, pages->memory + pages->used_bytes);
        pages->used_bytes += draft->page.bytes;
    } else
        status = put_in_run(pages, draft, error);
    pages->page_count++;
    draft->is_open = false;
    return status;
}

static void open_page(qn_link_page_draft *draft, uint64_t key)
{
    draft->page = (qn_link_page){.first = qn_link_target(key), .is_hub = qn_link_is_to_hub(key)};
    draft->open_links = 0;
    draft->is_open = true;
}

/* Whether the page ends between units. */
static bool is_full(const qn_link_page_draft *draft, uint64_t key)
{
    bool other_hub = draft->page.is_hub && qn_link_target(key) != draft->page.first;
    return other_hub || draft->page.is_hub != qn_link_is_to_hub(key) || draft->page.link_count >= QN_LINK_PAGE_LINKS ||
           draft->page.vertex_count >= QN_LINK_PAGE_VERTICES;
}

/* The vertex itself: all its links have come. */
static bool add_vertex(qn_link_pages *pages, qn_link_page_draft *draft, uint32_t vertex)
{
    qn_link_page *page = &draft->page;
    if (!page->is_hub) {
        if (!grow((void **)&draft->counts, &draft->count_capacity, page->vertex_count, sizeof *draft->counts))
            return false;
        draft->counts[page->vertex_count] = draft->open_links;
    }
    page->vertex_count++;
    draft->open_links = 0;
    draft->chunk_count = 0;
    if (pages->vertex_count++ == 0 || vertex < pages->first_vertex)
        pages->first_vertex = vertex;
    return true;
}

static bool add_link(qn_link_pages *pages, qn_link_page_draft *draft, uint32_t source, double weight)
{
    qn_link_page *page = &draft->page;
    if (page->link_count == UINT32_MAX ||
        !grow((void **)&draft->sources, &draft->source_capacity, page->link_count, sizeof *draft->sources))
        return false;
    draft->sources[page->link_count] = source;
    if (pages->config.has_weights) {
        if (!grow((void **)&draft->weights, &draft->weight_capacity, page->link_count, sizeof *draft->weights))
            return false;
        draft->weights[page->link_count] = weight;
    }
    page->link_count++;
    draft->open_links++;
    pages->link_count++;
    return true;
}

static void count_chunk(qn_link_page_draft *draft, uint64_t key, bool is_cut)
{
    bool is_same_hub = draft->chunk_count > 0 && qn_link_target(key) == qn_link_target(draft->last);
    if (!qn_link_is_to_hub(key))
        draft->chunk_count = 0;
    else if (!is_same_hub)
        draft->chunk_count = 1;
    else
        draft->chunk_count += is_cut;
}

static bool ends_unit(const qn_link_pages *pages, uint64_t last, uint64_t copy_count, uint64_t key)
{
    return key == last ? qn_link_is_cut_in_copies(key, copy_count)
                       : qn_link_is_cut(last, key, pages->config.chunk_bits);
}

static quern_status place(qn_link_pages *pages, qn_link_page_draft *draft, uint64_t key, double weight, qn_error *error)
{
    quern_status status = QUERN_OK;
    bool is_cut = draft->is_open && ends_unit(pages, draft->last, draft->copy_count, key);
    if (is_cut && is_full(draft, key))
        status = close_page(pages, draft, error);
    if (status != QUERN_OK)
        return status;
    if (!draft->is_open)
        open_page(draft, key);
    count_chunk(draft, key, is_cut);
    draft->copy_count = key == draft->last ? draft->copy_count + 1 : 1;
    draft->last = key;
    uint32_t source = qn_link_source(key);
    bool has_room = source == QN_LINK_NO_SOURCE ? add_vertex(pages, draft, qn_link_target(key))
                                                : add_link(pages, draft, source, weight);
    return has_room ? QUERN_OK : no_memory(error);
}

/* ---- heads and tails ---- */

static quern_status hold_back(qn_link_pages *pages, uint64_t key, double weight, qn_error *error)
{
    qn_link_keys *head = &pages->head;
    size_t capacity = head->capacity;
    if (pages->config.has_weights && !grow((void **)&head->weights, &capacity, head->count, sizeof *head->weights))
        return no_memory(error);
    if (!grow((void **)&head->keys, &head->capacity, head->count, sizeof *head->keys))
        return no_memory(error);
    head->keys[head->count] = key;
    if (pages->config.has_weights)
        head->weights[head->count] = weight;
    head->count++;
    return QUERN_OK;
}

quern_status qn_link_pages_put(qn_link_pages *pages, uint64_t key, double weight, qn_error *error)
{
    if (pages->key_count++ == 0)
        pages->first_key = key;
    else if (!pages->has_cut)
        pages->has_cut = ends_unit(pages, pages->last_key, pages->copy_count, key);
    pages->copy_count = key == pages->last_key ? pages->copy_count + 1 : 1;
    pages->last_key = key;
    return pages->has_cut ? place(pages, &pages->draft, key, weight, error) : hold_back(pages, key, weight, error);
}

static quern_status place_head(qn_link_pages *pages, qn_link_page_draft *draft, qn_error *error)
{
    const qn_link_keys *head = &pages->head;
    quern_status status = QUERN_OK;
    for (size_t i = 0; i < head->count && status == QUERN_OK; i++)
        status = place(pages, draft, head->keys[i], head->weights ? head->weights[i] : 0, error);
    return status;
}

/* Without a cut the head is all that there is, and what others give comes behind it. */
quern_status qn_link_pages_settle_head(qn_link_pages *pages, bool keeps, qn_error *error)
{
    quern_status status = QUERN_OK;
    qn_link_page_draft own = {.is_of_head = true};
    if (keeps && pages->head.count > 0 && pages->has_cut) {
        status = place_head(pages, &own, error);
        if (status == QUERN_OK)
            status = close_page(pages, &own, error);
        pages->has_head_of_hub = qn_link_is_to_hub(pages->first_key);
        pages->head_hub = qn_link_target(pages->first_key);
    } else if (keeps)
        status = place_head(pages, &pages->draft, error);
    free_draft(&own);
    free_keys(&pages->head);
    pages->has_cut = true;
    return status;
}

quern_status qn_link_pages_finish(qn_link_pages *pages, qn_error *error)
{
    const qn_link_page_draft *draft = &pages->draft;
    if (draft->chunk_count > 0) {
        pages->tail_hub = qn_link_target(draft->last);
        pages->tail_count = draft->chunk_count;
        pages->tail_count += pages->has_head_of_hub && pages->head_hub == pages->tail_hub;
    }
    quern_status status = close_page(pages, &pages->draft, error);
    free_draft(&pages->draft);
    if (status == QUERN_OK && pages->writing) {
        status = qn_run_writer_close(&pages->writer, &pages->run, error);
        pages->has_run = status == QUERN_OK;
    }
    return status;
}

/* ---- reading ---- */

void qn_link_reader_open(qn_link_reader *reader, qn_link_pages *pages)
{
    *reader = (qn_link_reader){.pages = pages,
                               .at = pages->head_pages,
                               .end = pages->head_pages ? pages->head_pages + pages->head_bytes : NULL};
}

void qn_link_reader_close(qn_link_reader *reader)
{
    if (reader->run.spill)
        qn_run_reader_close(&reader->run);
    *reader = (qn_link_reader){0};
}

/* Takes the next stretch of memory, or the next block of the run. False: there is nothing any more. */
static bool go_on(qn_link_reader *reader, qn_error *error)
{
    qn_link_pages *pages = reader->pages;
    uint64_t bytes = 0;
    quern_status status = QUERN_OK;
    if (++reader->stretch < MEMORY_STRETCHES) {
        reader->at = pages->memory;
        reader->end = pages->memory + pages->used_bytes;
        return true;
    }
    if (!pages->has_run)
        return false;
    if (!reader->run.spill)
        status = qn_run_reader_open(&reader->run, &pages->spill, &pages->run, error);
    if (status == QUERN_OK)
        status = qn_run_reader_next_block(&reader->run, &reader->at, &bytes, error);
    reader->end = reader->at + bytes;
    return status == QUERN_OK && bytes > 0;
}

/* Blocks of a run are not aligned; what they have is what was written, since they have checksums. */
static quern_status take_from_run(qn_link_reader *reader, const qn_link_page **page_out, qn_error *error)
{
    uint64_t bytes = 0, left_bytes = (uint64_t)(reader->end - reader->at);
    if (left_bytes >= sizeof(qn_link_page))
        memcpy(&bytes, reader->at, sizeof bytes);
    if (bytes < sizeof(qn_link_page) || bytes > left_bytes || bytes > reader->pages->largest_bytes)
        return qn_error_set(error, QUERN_ERROR_CORRUPT, 0, "a spill file of links is damaged");
    memcpy(reader->pages->largest, reader->at, bytes);
    reader->at += bytes;
    *page_out = (const qn_link_page *)(const void *)reader->pages->largest;
    return QUERN_OK;
}

quern_status qn_link_reader_next(qn_link_reader *reader, const qn_link_page **page_out, qn_error *error)
{
    qn_error failure = {0};
    *page_out = NULL;
    while (reader->at == reader->end)
        if (!go_on(reader, &failure))
            return failure.status == QUERN_OK ? QUERN_OK : qn_error_set(error, failure.status, 0, "%s", failure.text);
    if (reader->stretch >= MEMORY_STRETCHES)
        return take_from_run(reader, page_out, error);
    *page_out = (const qn_link_page *)(const void *)reader->at;
    reader->at += (*page_out)->bytes;
    return QUERN_OK;
}
