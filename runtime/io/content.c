/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/assert.h"
#include "runtime/base/file.h"
#include "runtime/data/batch.h"

#define UNIT_NAME_BYTES 64
#define STEP_BYTES      ((size_t)64 << 10)

void qn_content_init(qn_content *content)
{
    *content = (qn_content){.fd = -1};
}

void qn_content_fini(qn_content *content)
{
    if (content->name)
        qn_content_leave(content);
    free(content->joined);
    free(content->unit_name);
    free(content->damage);
    free(content->step);
    content->step = NULL;
    content->joined = content->unit_name = content->damage = NULL;
    content->name = NULL;
}

void qn_content_close(qn_content *content)
{
    content->segment = NULL;
    if (content->unpacker)
        return;
    if (content->fd >= 0)
        close(content->fd);
    content->fd = -1;
}

void qn_content_leave(qn_content *content)
{
    qn_unpacker_destroy(content->unpacker);
    content->unpacker = NULL;
    content->unpacked = NULL;
    content->was_damaged = false;
    qn_content_close(content);
}

void qn_content_forget_damage(qn_content *content)
{
    free(content->damage);
    content->damage = NULL;
}

/* Makes of a failure to unpack an end. */
static quern_status forgive(qn_content *content, qn_error *error)
{
    if (!content->forgives || error->status != QUERN_ERROR_INPUT)
        return error->status;
    qn_content_forget_damage(content);
    content->damage = strdup(error->text);
    if (!content->damage)
        return error->status;
    qn_error_clear(error);
    return QUERN_OK;
}

static quern_status open_file(qn_content *content, const qn_segment *segment, qn_error *error)
{
    content->fd = open(segment->path, O_RDONLY | O_CLOEXEC);
    if (content->fd < 0)
        return qn_error_set(error, QUERN_ERROR_INPUT, errno, "cannot open %s", segment->path);
    return QUERN_OK;
}

/* path/member, with slack behind it. */
static quern_status join_name(qn_content *content, const char *path, const char *member, qn_error *error)
{
    size_t path_bytes = strlen(path), member_bytes = strlen(member);
    char *joined = calloc(1, path_bytes + 1 + member_bytes + 1 + QN_SLACK_BYTES);
    if (!joined)
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory for the name of a member of %s", path);
    memcpy(joined, path, path_bytes);
    joined[path_bytes] = '/';
    memcpy(joined + path_bytes + 1, member, member_bytes);
    free(content->joined);
    content->joined = joined;
    content->name = joined;
    return QUERN_OK;
}

static bool has_decoder(qn_unit_kind kind)
{
    return kind != QN_UNITS_NONE && !qn_units_are_members(kind);
}

/* Whether a whole file is unpacked by its units. Where libarchive would tell the same places it has it, unless it matters where
 * units are; BGZF it does not know. */
static bool is_by_units(const qn_content *content, qn_unit_kind kind)
{
    return qn_units_are_marked(kind) || kind == QN_UNITS_BGZF ||
           (has_decoder(kind) && (content->in_steps || content->member > 0));
}

/* How a segment is unpacked. */
static quern_status choose_part(const qn_content *content, const qn_segment *segment, qn_unit_part *part_out,
                                qn_packing *packing_out, qn_error *error)
{
    qn_unit_kind kind = QN_UNITS_NONE;
    *packing_out = segment->packing;
    *part_out = segment->part;
    if (segment->packing != QN_PACKING_UNKNOWN && segment->packing != QN_PACKING_STREAM)
        return QUERN_OK;
    quern_status status = qn_unpack_examine(content->fd, segment->path, segment->file_bytes, packing_out, &kind, error);
    if (segment->packing == QN_PACKING_STREAM)
        *packing_out = QN_PACKING_STREAM;
    *part_out = (qn_unit_part){.kind = is_by_units(content, kind) ? kind : QN_UNITS_NONE,
                               .behind = {.offset = segment->file_bytes, .logical = QN_BYTES_UNKNOWN}};
    return status;
}

/* Which records are its own: all of an archive's members; of units those that begin behind the first byte, and at that of the next. */
static void set_bounds(qn_content *content, const qn_unit_part *part, uint64_t file_bytes)
{
    bool is_units = !qn_units_are_members(part->kind);
    bool has_base = is_units && part->first.logical != QN_BYTES_UNKNOWN;
    bool has_end = is_units && part->behind.offset < file_bytes;
    content->base = has_base ? part->first.logical : 0;
    content->begin = content->base + (is_units && part->first.offset > 0);
    content->end =
        has_end && has_base && part->behind.logical != QN_BYTES_UNKNOWN ? part->behind.logical + 1 : QN_BYTES_UNKNOWN;
    content->bytes = QN_BYTES_UNKNOWN;
}

/* There are no more members than could be found. That is damage of its own, unless it comes from what was found before. */
static quern_status end_segment(qn_content *content, bool *found_out, qn_error *error)
{
    quern_status status = forgive(content, error);
    *found_out = false;
    if (status == QUERN_OK && content->was_damaged)
        qn_content_forget_damage(content);
    return status;
}

static void begin_content(qn_content *content, const qn_segment *segment, const qn_unit_part *part)
{
    content->unpacked = segment;
    content->part = *part;
    set_bounds(content, part, segment->file_bytes);
    content->step_offset = content->base;
    content->step_bytes = 0;
    content->is_last_step = false;
}

/* Where content number `member` of some units begins: at their first, or behind a damaged one. */
static quern_status find_first_unit(qn_content *content, const qn_segment *segment, qn_unit_part *part, uint64_t member,
                                    bool *found_out, qn_error *error)
{
    *found_out = true;
    if (member <= part->first.offset)
        return QUERN_OK;
    return qn_units_next(part->kind, content->fd, segment->path, segment->file_bytes, &part->first, member,
                         &part->first, found_out, error);
}

static quern_status enter_units(qn_content *content, const qn_segment *segment, const qn_unit_part *of, uint64_t member,
                                bool *found_out, qn_error *error)
{
    qn_unit_part part = *of;
    quern_status status = find_first_unit(content, segment, &part, member, found_out, error);
    if (status != QUERN_OK || !*found_out)
        return status;
    qn_unpacker_destroy(content->unpacker);
    content->unpacker = NULL;
    status = qn_unpacker_create(&content->unpacker, content->fd, segment->path, segment->file_bytes, &part, error);
    if (status == QUERN_OK)
        status = qn_unpacker_enter(content->unpacker, 0, found_out, error);
    if (status == QUERN_OK && content->in_steps)
        qn_decoder_take_apart(qn_unpacker_get_decoder(content->unpacker));
    if (status == QUERN_OK)
        begin_content(content, segment, &part);
    return status;
}

/* Enters a member of what is unpacked, from the front again if it is behind. */
static quern_status enter_member(qn_content *content, const qn_segment *segment, const qn_unit_part *part,
                                 uint64_t member, bool *found_out, qn_error *error)
{
    quern_status status = QUERN_OK;
    if (has_decoder(part->kind))
        return enter_units(content, segment, part, member, found_out, error);
    if (content->unpacker && !qn_unpacker_can_enter(content->unpacker, member)) {
        qn_unpacker_destroy(content->unpacker);
        content->unpacker = NULL;
    }
    if (!content->unpacker)
        status = qn_unpacker_create(&content->unpacker, content->fd, segment->path, segment->file_bytes, part, error);
    if (status == QUERN_OK)
        status = qn_unpacker_enter(content->unpacker, member, found_out, error);
    if (status != QUERN_OK)
        return end_segment(content, found_out, error);
    if (!*found_out)
        return status;
    begin_content(content, segment, part);
    const char *path = qn_unpacker_member_path(content->unpacker);
    return path ? join_name(content, segment->path, path, error) : QUERN_OK;
}

static uint64_t clamp(uint64_t offset, const qn_border *border)
{
    uint64_t in = offset > border->data_begin ? offset - border->data_begin : 0;
    return in < border->data_bytes ? in : border->data_bytes;
}

/* The bytes of the file, or of a member that is stored in it as it is. */
static quern_status open_plain(qn_content *content, const qn_segment *segment, bool is_member, qn_error *error)
{
    const qn_border *stored = &segment->part.first;
    content->base = is_member ? stored->data_begin : 0;
    content->begin = is_member ? clamp(segment->begin, stored) : segment->begin;
    content->end = is_member ? clamp(segment->end, stored) : segment->end;
    content->bytes = is_member ? stored->data_bytes : segment->file_bytes;
    content->entry = is_member ? stored->number : 0;
    return is_member ? join_name(content, segment->path, stored->member, error) : QUERN_OK;
}

/* A piece is of any member. */
static quern_status open_inline(qn_content *content, const qn_segment *segment, bool *found_out)
{
    content->base = 0;
    content->begin = segment->begin;
    content->end = content->bytes = segment->end;
    content->entry = segment->entry;
    content->piece = segment;
    *found_out = true;
    return QUERN_OK;
}

static quern_status open_packing(qn_content *content, const qn_segment *segment, uint64_t member, bool *found_out,
                                 qn_error *error)
{
    if (segment->packing == QN_PACKING_INLINE)
        return open_inline(content, segment, found_out);
    qn_packing packing = QN_PACKING_NONE;
    qn_unit_part part;
    quern_status status = content->fd < 0 ? open_file(content, segment, error) : QUERN_OK;
    if (status == QUERN_OK)
        status = choose_part(content, segment, &part, &packing, error);
    if (status != QUERN_OK)
        return status;
    bool is_stored_member = packing == QN_PACKING_MEMBERS && part.first.member;
    if (packing != QN_PACKING_NONE && !is_stored_member)
        return enter_member(content, segment, &part, member, found_out, error);
    *found_out = member == 0;
    return open_plain(content, segment, is_stored_member, error);
}

quern_status qn_content_open(qn_content *content, const qn_segment *segment, uint64_t member, bool *found_out,
                             qn_error *error)
{
    *found_out = false;
    qn_content_forget_damage(content);
    if (content->unpacked != segment)
        qn_content_leave(content);
    content->segment = segment;
    content->file = segment->file;
    content->member = member;
    content->name = segment->path;
    bool is_unpacked = content->unpacker && !qn_content_has_units(content);
    content->next_member = 0;
    content->piece = NULL;
    quern_status status = is_unpacked ? enter_member(content, segment, &content->part, member, found_out, error)
                                      : open_packing(content, segment, member, found_out, error);
    if (status == QUERN_OK && !*found_out && content->damage)
        return QUERN_OK; /* to be told of this segment, which the caller then leaves */
    if (status != QUERN_OK || !*found_out)
        qn_content_leave(content);
    return status;
}

static quern_status read_file(const qn_content *content, void *to, uint64_t offset, size_t bytes, size_t *got_out,
                              qn_error *error)
{
    uint64_t left = offset < content->bytes ? content->bytes - offset : 0;
    size_t wanted = bytes < left ? bytes : (size_t)left;
    quern_status status = qn_file_read_at(content->fd, to, wanted, content->base + offset, content->name,
                                          QUERN_ERROR_INPUT, got_out, error);
    if (status == QUERN_OK && *got_out < wanted)
        status =
            qn_error_set(error, QUERN_ERROR_INPUT, 0, "%s ends at byte %llu; it had %llu bytes when the job began",
                         content->name, (unsigned long long)(offset + *got_out), (unsigned long long)content->bytes);
    return status;
}

/* Brings what is unpacked to a byte of the member. */
static quern_status seek_unpacked(qn_content *content, uint64_t offset, qn_error *error)
{
    bool found = true;
    size_t got = 0;
    quern_status status = QUERN_OK;
    if (content->base + qn_unpacker_get_offset(content->unpacker) > offset) {
        uint64_t bytes = content->bytes, end = content->end;
        qn_unit_part part = content->part;
        status = enter_member(content, content->segment, &part, content->member, &found, error);
        content->bytes = bytes;
        content->end = end;
    }
    uint64_t at = content->base + qn_unpacker_get_offset(content->unpacker);
    return status == QUERN_OK && found && offset > at
               ? qn_unpacker_read(content->unpacker, NULL, offset - at, &got, error)
               : status;
}

static quern_status fail_length(const qn_content *content, uint64_t border, const char *more, qn_error *error)
{
    return qn_error_set(
        error, QUERN_ERROR_INPUT, 0,
        "%s is damaged: from its byte %llu to its byte %llu it unpacks to %s%llu bytes, not to %llu as it "
        "says",
        content->name, (unsigned long long)content->part.first.offset, (unsigned long long)content->part.behind.offset,
        more, (unsigned long long)border, (unsigned long long)(content->end - 1 - content->base));
}

/* Came by the border at the segment's end? Then it is known where that is, and if headers said it before, they have to be right: also who stops
 * reading behind that place has to have come by. */
static quern_status look_for_end(qn_content *content, qn_error *error)
{
    const qn_decoder *decoder = qn_unpacker_get_decoder(content->unpacker);
    uint64_t border = decoder ? qn_decoder_get_border(decoder) : QN_BYTES_UNKNOWN;
    uint64_t given = qn_unpacker_get_offset(content->unpacker);
    bool is_told = content->end != QN_BYTES_UNKNOWN;
    if (border == QN_BYTES_UNKNOWN)
        return !decoder || !is_told || content->forgives || content->base + given < content->end
                   ? QUERN_OK
                   : fail_length(content, given, "at least ", error);
    uint64_t end = content->base + border + 1;
    if (!is_told)
        content->end = end;
    return content->end == end || content->forgives ? QUERN_OK : fail_length(content, border, "", error);
}

/* Something of the unit that the decoder is in, or comes to, cannot be unpacked: where reading can go on in the segment. */
static quern_status find_next_content(qn_content *content, qn_error *error)
{
    const qn_decoder *decoder = qn_unpacker_get_decoder(content->unpacker);
    const qn_segment *segment = content->unpacked;
    if (!decoder || content->resumes == QN_RESUMES_NEVER)
        return QUERN_OK;
    bool found = false;
    qn_mark unit = qn_decoder_get_unit(decoder);
    qn_border at = {.offset = unit.offset, .logical = QN_BYTES_UNKNOWN};
    if (qn_content_knows_offsets(content))
        at.logical = content->base + unit.unpacked;
    quern_status status = qn_units_next(content->part.kind, content->fd, segment->path, segment->file_bytes, &at,
                                        unit.offset + 1, &at, &found, error);
    bool is_usable = content->resumes == QN_RESUMES_ANYWHERE || at.logical != QN_BYTES_UNKNOWN;
    if (status == QUERN_OK && found && is_usable && at.offset < content->part.behind.offset)
        content->next_member = at.offset;
    return status;
}

/* The next step, if there is one. Of units a step may be shorter than others. */
static quern_status read_step(qn_content *content, qn_error *error)
{
    if (!content->step && !(content->step = malloc(STEP_BYTES)))
        return qn_error_set(error, QUERN_ERROR_NO_MEMORY, 0, "no memory to unpack %s", content->name);
    content->step_offset += content->step_bytes;
    quern_status status = qn_unpacker_read(content->unpacker, content->step, STEP_BYTES, &content->step_bytes, error);
    size_t least = qn_content_has_units(content) ? 1 : STEP_BYTES;
    content->is_last_step = status != QUERN_OK || content->step_bytes < least;
    if (status != QUERN_OK) {
        status = forgive(content, error);
        content->was_damaged = true;
        if (status == QUERN_OK)
            status = find_next_content(content, error);
    }
    return status == QUERN_OK ? look_for_end(content, error) : status;
}

static quern_status read_steps(qn_content *content, uint8_t *to, uint64_t offset, size_t bytes, size_t *got_out,
                               qn_error *error)
{
    bool found = true;
    quern_status status = QUERN_OK;
    if (offset < content->step_offset) {
        qn_unit_part part = content->part;
        uint64_t whole = content->bytes, border = content->end;
        status = enter_member(content, content->segment, &part, content->member, &found, error);
        content->bytes = whole;
        content->end = border;
    }
    while (status == QUERN_OK && found && *got_out < bytes) {
        uint64_t at = offset + *got_out, end = content->step_offset + content->step_bytes;
        if (at < end) {
            size_t left = (size_t)(end - at), count = bytes - *got_out < left ? bytes - *got_out : left;
            memcpy(to + *got_out, content->step + (at - content->step_offset), count);
            *got_out += count;
        } else if (content->is_last_step) {
            content->bytes = end;
            break;
        } else {
            status = read_step(content, error);
        }
    }
    return status;
}

quern_status qn_content_read(qn_content *content, void *to, uint64_t offset, size_t bytes, size_t *got_out,
                             qn_error *error)
{
    *got_out = 0;
    if (content->segment->packing == QN_PACKING_INLINE) {
        uint64_t left = offset < content->bytes ? content->bytes - offset : 0;
        QN_ASSERT(offset >= content->segment->begin);
        *got_out = bytes < left ? bytes : (size_t)left;
        memcpy(to, content->segment->data + (offset - content->segment->begin), *got_out);
        return QUERN_OK;
    }
    if (!content->unpacker)
        return read_file(content, to, offset, bytes, got_out, error);
    if (content->in_steps)
        return read_steps(content, to, offset, bytes, got_out, error);
    quern_status status = seek_unpacked(content, offset, error);
    if (status == QUERN_OK)
        status = qn_unpacker_read(content->unpacker, to, bytes, got_out, error);
    if (status == QUERN_OK)
        status = look_for_end(content, error);
    if (status == QUERN_OK && *got_out < bytes)
        content->bytes = offset + *got_out;
    return status;
}

quern_status qn_content_read_front(qn_content *content, void *to, size_t bytes, size_t *got_out, qn_error *error)
{
    if (!qn_content_is_behind_units(content))
        return qn_content_read(content, to, 0, bytes, got_out, error);
    const qn_segment *segment = content->segment;
    qn_unit_part all = {.kind = content->part.kind, .behind.offset = segment->file_bytes};
    qn_unpacker *unpacker = NULL;
    bool found = false;
    quern_status status = qn_unpacker_create(&unpacker, content->fd, segment->path, segment->file_bytes, &all, error);
    if (status == QUERN_OK)
        status = qn_unpacker_enter(unpacker, 0, &found, error);
    if (status == QUERN_OK)
        status = qn_unpacker_read(unpacker, to, bytes, got_out, error);
    qn_unpacker_destroy(unpacker);
    return status;
}

uint64_t qn_content_next_member(const qn_content *content)
{
    return qn_content_is_member(content) ? content->member + 1 : content->next_member;
}

double qn_content_get_share(const qn_content *content)
{
    uint64_t at = content->unpacker ? qn_unpacker_get_packed(content->unpacker) : 0;
    uint64_t bytes = content->unpacked ? content->unpacked->file_bytes : 0;
    return bytes == 0 ? 0 : at >= bytes ? 1 : (double)at / (double)bytes;
}

void qn_content_append_marks(const qn_content *content, uint64_t begin, uint64_t end, qn_buffer *to)
{
    const qn_decoder *decoder = content->unpacker ? qn_unpacker_get_decoder(content->unpacker) : NULL;
    size_t count = 0;
    const qn_mark *marks = decoder ? qn_decoder_marks(decoder, &count) : NULL;
    for (size_t i = 0; i < count; i++) {
        qn_mark mark = {marks[i].offset, content->base + marks[i].unpacked};
        bool is_behind = i + 1 < count && content->base + marks[i + 1].unpacked <= begin;
        if (!is_behind && mark.unpacked < end)
            qn_buffer_append(to, &mark, sizeof mark);
    }
}

/* Of a piece. */
static qn_content_place find_in_piece(const qn_segment *segment, uint64_t offset)
{
    qn_mark found = {0, 0}, mark;
    for (size_t at = 0; at + sizeof mark <= segment->marks_bytes; at += sizeof mark) {
        memcpy(&mark, (const uint8_t *)segment->marks + at, sizeof mark);
        if (mark.unpacked <= offset)
            found = mark;
    }
    return (qn_content_place){.entry = segment->entry, .unit = found.offset, .offset = offset - found.unpacked};
}

qn_content_place qn_content_place_of(const qn_content *content, uint64_t offset)
{
    const qn_decoder *decoder = content->unpacker ? qn_unpacker_get_decoder(content->unpacker) : NULL;
    if (decoder && qn_units_are_marked(content->part.kind)) {
        qn_mark mark = qn_decoder_mark_of(decoder, offset - content->base);
        return (qn_content_place){.unit = mark.offset, .offset = offset - content->base - mark.unpacked};
    }
    if (content->unpacker)
        return (qn_content_place){.entry = qn_unpacker_get_entry(content->unpacker), .offset = offset};
    if (content->piece)
        return find_in_piece(content->piece, offset);
    return (qn_content_place){.entry = content->entry, .offset = offset};
}

const char *qn_content_name_of(qn_content *content, const qn_content_place *place)
{
    if (place->unit == 0)
        return content->name;
    size_t bytes = strlen(content->name) + UNIT_NAME_BYTES;
    free(content->unit_name);
    content->unit_name = malloc(bytes);
    if (!content->unit_name)
        return content->name;
    snprintf(content->unit_name, bytes, "what is unpacked from byte %llu on of %s", (unsigned long long)place->unit,
             content->name);
    return content->unit_name;
}

void qn_content_forget(qn_content *content, uint64_t offset)
{
    qn_decoder *decoder = content->unpacker ? qn_unpacker_get_decoder(content->unpacker) : NULL;
    if (decoder && offset > content->base)
        qn_decoder_forget(decoder, offset - content->base);
}
