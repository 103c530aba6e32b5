/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern verify: whether an output is whole: _SUCCESS is there, and each part has the bytes and the checksum that _MANIFEST.json says. A part that
 * was joined of pieces has a checksum for each of them; an archive one for each of its members, as they are stored, and is read from its begin to
 * its end. A file that is an output by itself has its manifest beside it.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "tools/quern/archive_content.h"
#include "tools/quern/commands.h"

#define PIECE_BYTES   ((size_t)1 << 20)
#define PATH_BYTES    4096
#define CHECKSUM_TEXT 17

/* The checksum of the next bytes_max bytes, or of what there is. */
static int sum_bytes(int fd, const char *path, uint64_t bytes_max, uint64_t *bytes_out, char checksum[CHECKSUM_TEXT])
{
    static char room[PIECE_BYTES];
    XXH3_state_t *state = XXH3_createState();
    ssize_t got = state ? 1 : -1;
    *bytes_out = 0;
    if (state)
        XXH3_64bits_reset(state);
    while (got > 0 && *bytes_out < bytes_max) {
        uint64_t left = bytes_max - *bytes_out;
        do {
            got = read(fd, room, left < sizeof room ? (size_t)left : sizeof room);
        } while (got < 0 && errno == EINTR);
        if (got > 0)
            XXH3_64bits_update(state, room, (size_t)got);
        *bytes_out += got > 0 ? (uint64_t)got : 0;
    }
    int number = errno;
    if (state)
        snprintf(checksum, CHECKSUM_TEXT, "%016" PRIx64, (uint64_t)XXH3_64bits_digest(state));
    XXH3_freeState(state);
    return got < 0 ? quern_command_fail(number, "cannot read %s", path) : 0;
}

/* What comes next in the file against what the manifest says of it: of a part, or of a piece of one. */
static int verify_bytes(int fd, const char *path, const json_t *said)
{
    const char *checksum_said = json_string_value(json_object_get(said, "xxh3_64"));
    const json_t *bytes_said = json_object_get(said, "bytes");
    char checksum[CHECKSUM_TEXT];
    uint64_t bytes = 0;
    if (!checksum_said || !json_is_integer(bytes_said))
        return quern_command_fail(0, "the manifest has no bytes or no checksum of %s", path);
    if (sum_bytes(fd, path, (uint64_t)json_integer_value(bytes_said), &bytes, checksum) != 0)
        return 1;
    if (bytes != (uint64_t)json_integer_value(bytes_said))
        return quern_command_fail(0, "%s has %" PRIu64 " bytes, not %" PRIu64 " as its manifest says", path, bytes,
                                  (uint64_t)json_integer_value(bytes_said));
    if (strcmp(checksum, checksum_said) != 0)
        return quern_command_fail(0, "%s has the checksum %s, not %s as its manifest says", path, checksum,
                                  checksum_said);
    return 0;
}

/* The bytes of each member, compressed or not, at the place that the manifest says. */
static int verify_members(int fd, const char *path, const json_t *members)
{
    int status = 0;
    for (size_t i = 0; status == 0 && i < json_array_size(members); i++) {
        const json_t *member = json_array_get(members, i);
        if (lseek(fd, (off_t)json_integer_value(json_object_get(member, "offset")), SEEK_SET) < 0)
            status = quern_command_fail(errno, "cannot read %s", path);
        else
            status = verify_bytes(fd, path, member);
    }
    return status;
}

static int verify_entry(struct archive *archive, struct archive_entry *entry, const char *path, const json_t *member)
{
    const char *name = json_string_value(json_object_get(member, "name")), *got = archive_entry_pathname(entry);
    if (!name || !got || strcmp(name, got) != 0)
        return quern_command_fail(0, "%s has the member %s, not %s as its manifest says", path, got ? got : "?",
                                  name ? name : "?");
    int64_t bytes = quern_archive_count(archive);
    if (bytes < 0)
        return quern_command_fail(0, "cannot read %s in %s: %s", name, path, archive_error_string(archive));
    if (bytes == json_integer_value(json_object_get(member, "content_bytes")))
        return 0;
    return quern_command_fail(0, "%s in %s has %lld bytes, not what its manifest says", name, path, (long long)bytes);
}

static int verify_entries(struct archive *archive, const char *path, const json_t *members)
{
    struct archive_entry *entry;
    size_t count = 0;
    int result = ARCHIVE_OK, status = 0;
    while (status == 0 && (result = archive_read_next_header(archive, &entry)) == ARCHIVE_OK)
        status = verify_entry(archive, entry, path, json_array_get(members, count++));
    if (status == 0 && result != ARCHIVE_EOF)
        return quern_command_fail(0, "cannot read %s: %s", path, archive_error_string(archive));
    if (status == 0 && count != json_array_size(members))
        return quern_command_fail(0, "%s has %zu members, not %zu as its manifest says", path, count,
                                  json_array_size(members));
    return status;
}

/* As any other program reads it. */
static int verify_archive(const char *path, const json_t *members)
{
    struct archive *archive = archive_read_new();
    if (!archive)
        return quern_command_fail(ENOMEM, "cannot read %s", path);
    archive_read_support_filter_all(archive);
    archive_read_support_format_all(archive);
    int status = archive_read_open_filename(archive, path, PIECE_BYTES) == ARCHIVE_OK
                     ? verify_entries(archive, path, members)
                     : quern_command_fail(0, "cannot read %s: %s", path, archive_error_string(archive));
    archive_read_free(archive);
    return status;
}

/* Nothing is behind the last byte, which is that of the part's length. */
static int verify_end(int fd, const char *path, const json_t *part)
{
    off_t bytes = lseek(fd, 0, SEEK_END);
    json_int_t said = json_integer_value(json_object_get(part, "bytes"));
    return bytes == said ? 0
                         : quern_command_fail(0, "%s has %lld bytes, not %" JSON_INTEGER_FORMAT " as its manifest says",
                                              path, (long long)bytes, said);
}

static int verify_part(const char *directory, const json_t *part)
{
    const char *name = json_string_value(json_object_get(part, "name"));
    const json_t *pieces = json_object_get(part, "pieces"), *members = json_object_get(part, "members");
    char path[PATH_BYTES];
    int status = 0;
    if (!name || strchr(name, '/') || snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path)
        return quern_command_fail(0, "%s/_MANIFEST.json has a part that is not one", directory);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return quern_command_fail(errno, "cannot read %s", path);
    for (size_t i = 0; status == 0 && i < json_array_size(pieces); i++)
        status = verify_bytes(fd, path, json_array_get(pieces, i));
    if (members)
        status = verify_members(fd, path, members);
    else if (!pieces)
        status = verify_bytes(fd, path, part);
    if (status == 0)
        status = verify_end(fd, path, part);
    close(fd);
    return status == 0 && members ? verify_archive(path, members) : status;
}

static int verify_parts(const char *directory, const json_t *manifest)
{
    const json_t *parts = json_object_get(manifest, "parts"), *version = json_object_get(manifest, "quern_manifest");
    uint64_t bytes = 0;
    if (!json_is_array(parts) || json_integer_value(version) != 1)
        return quern_command_fail(0, "%s/_MANIFEST.json is not a manifest of this version", directory);
    for (size_t i = 0; i < json_array_size(parts); i++) {
        const json_t *part = json_array_get(parts, i);
        if (verify_part(directory, part) != 0)
            return 1;
        bytes += (uint64_t)json_integer_value(json_object_get(part, "bytes"));
    }
    printf("%s: %zu parts of %" PRIu64 " bytes are as they were written\n", directory, json_array_size(parts), bytes);
    return 0;
}

static int verify_file(const char *file)
{
    char path[PATH_BYTES], directory[PATH_BYTES];
    json_error_t error;
    if (snprintf(path, sizeof path, "%s.manifest.json", file) >= (int)sizeof path)
        return quern_command_fail(ENAMETOOLONG, "%s", file);
    json_t *manifest = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!manifest)
        return quern_command_fail(0, "cannot read %s: %s", path, error.text);
    snprintf(directory, sizeof directory, "%s", file);
    int status = verify_parts(dirname(directory), manifest);
    json_decref(manifest);
    return status;
}

static int verify(const char *directory)
{
    char path[PATH_BYTES];
    struct stat about;
    if (stat(directory, &about) == 0 && S_ISREG(about.st_mode))
        return verify_file(directory);
    json_error_t error;
    if (snprintf(path, sizeof path, "%s/_SUCCESS", directory) >= (int)sizeof path)
        return quern_command_fail(ENAMETOOLONG, "%s", directory);
    if (access(path, F_OK) != 0)
        return quern_command_fail(errno, "%s is not there, so the job did not end well", path);
    snprintf(path, sizeof path, "%s/_MANIFEST.json", directory);
    json_t *manifest = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!manifest)
        return quern_command_fail(0, "cannot read %s: %s", path, error.text);
    int status = verify_parts(directory, manifest);
    json_decref(manifest);
    return status;
}

static const struct argp_option options[] = {{0}};

static int run(int argc, char **argv)
{
    int status = 0;
    for (int i = quern_command_parse(&quern_command_verify, argc, argv, NULL, NULL); i < argc; i++)
        status |= verify(argv[i]);
    return status;
}

const quern_command quern_command_verify = {
    .name = "verify",
    .operands = "DIR...",
    .what = "compares outputs with their manifests",
    .about = "An output is whole if _SUCCESS is there, and each part has the bytes and the checksum that "
             "_MANIFEST.json says; so it reads "
             "all of it. An output that is one file may be named as well, or one archive, whose manifest is beside it.",
    .options = options,
    .examples = "  quern verify counts && rm -r input\n",
    .see = "quern-clean(1)",
    .run = run,
};
