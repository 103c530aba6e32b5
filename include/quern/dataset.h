/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/dataset.h: datasets, operators, outputs, and the call that runs them.
 *
 * Calls on datasets only build a graph; quern_run() does the work. Every rank must build the same graph. A
 * builder that fails returns NULL and leaves its reason in the context; builders take NULL and return NULL, so a chain
 * needs one check only, at quern_run(), which reports the first failure.
 *
 *     const char *paths[] = {"/usr/include"};
 *     quern_text_options words_of = {.struct_size = sizeof words_of, .delimiters = " \t\n\v\f\r", .skip_empty = 1};
 *     quern_dataset *words = quern_read_text(context, paths, 1, &words_of);
 *     quern_dataset *counts = quern_reduce_by_key(words, QUERN_COUNT);
 *     quern_write_text(counts, "counts");
 *     char *plan = NULL;
 *     if (quern_explain(context, QUERN_EXPLAIN_TEXT, &plan) == QUERN_OK && quern_context_rank(context) == 0)
 *         fputs(plan, stdout);
 *     free(plan);
 *     quern_status status = quern_run(context);
 *
 * What runs how often. A reduction is worked out once, however many read its result. What stands between a source or a
 * reduction and an output is not kept: of two outputs of one dataset, or of two that come from it, without a reduction in
 * between, each reads the source and runs the callbacks for itself. quern_cache() (quern/operators.h) keeps it, for later runs too.
 *
 * What callbacks promise. They return 0, or anything else for failure; they never jump out through the library; given
 * the same records they emit the same records (an attempt that failed is continued on another rank from the block of
 * records in which it failed), however those are grouped into blocks; they change nothing of what they are given. They run on the
 * thread that called quern_run(), one at a time on a rank (reductions apart: see quern_reduce_fn). The option check finds callbacks that break
 * these promises, or those of reductions, and names the operator: QUERN_ERROR_CHECK (docs/howto/check-callbacks.md).
 *
 * What the library promises. The output is the same bytes for any number of ranks and any schedule. The order of the
 * records of a reduction is that of an internal 64-bit hash of their keys; it may change between versions.
 */
#ifndef QUERN_DATASET_H
#define QUERN_DATASET_H

#include <quern/options.h>
#include <quern/status.h>
#include <quern/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct quern_context quern_context; /* quern/context.h makes it */
typedef struct quern_dataset quern_dataset;
typedef struct quern_counter quern_counter;

/* What the records of a text source have as their value. */
typedef enum quern_text_value {
    QUERN_TEXT_NO_VALUE = 0, /* QUERN_NONE */
    QUERN_TEXT_PATH = 1,     /* QUERN_BYTES: the file, as it was named, or found below a directory that was */
    QUERN_TEXT_OFFSET = 2,   /* QUERN_U64: the byte of that file at which the record begins */
    QUERN_TEXT_PLACE = 3,    /* QUERN_BYTES: both, to be read by quern_place_offset() and quern_place_path() */
} quern_text_value;

/* Options of a text source. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_text_options {
    size_t struct_size; /* sizeof(quern_text_options); 0 is refused */
    const char *
        delimiters; /* bytes that end a record, each; NULL: "\n". At most 16. Those that are not ASCII are looked for more slowly */
    int skip_empty;         /* not 0: runs of delimiters count as one, so records are the maximal runs of other bytes */
    quern_text_value value; /* of each record */
    int as_stored;          /* not 0: files are read as they stand, packed or not */
    size_t delimiter_count; /* bytes of delimiters, among which may be NUL; 0: up to the first NUL */
} quern_text_options;

/* Text files as records: key is the bytes between delimiters, value what options.value says, without them QUERN_NONE. paths: files, and directories with
 * all regular files below them (symbolic links only where named here), in byte order of their paths; read in splits by all
 * ranks. The last record of a file needs no delimiter. What a file is packed as shows in its content, whatever its name: gzip, bzip2, xz,
 * zstd and lz4 are unpacked, and of archives (tar, zip, 7-Zip, cpio, ISO; compressed or not) each member is a file of its own, whose path is
 * that of the archive, a slash, and that of the member. What is packed in one piece is unpacked by one rank. Local. paths, texts and options are copied; options NULL: lines.
 * QUERN_ERROR_INVALID_ARGUMENT: NULL among the paths, no delimiters or more than 16, an unknown options.value, or options.struct_size not set. At run:
 * QUERN_ERROR_INPUT naming the path. NULL on failure: see above. Since 0.1. */
QUERN_API quern_dataset *quern_read_text(quern_context *context, const char *const *paths, size_t path_count,
                                         const quern_text_options *options);

/* Where key and value are in records of one length. The struct grows at its end; struct_size is handled as in quern_options. Types left
 * all 0 are defaults: the key is bytes, and so is the value, if there is one. */
typedef struct quern_fixed_options {
    size_t struct_size;    /* sizeof(quern_fixed_options); 0 is refused */
    uint32_t record_bytes; /* of each record, 1 … 2^31 - 1, within the option record-bytes; 0 is refused */
    uint32_t key_offset;   /* within the record */
    uint32_t key_bytes; /* 0: those of its type; of bytes, to the record's end: with key_offset 0, the whole record */
    uint32_t value_offset; /* within the record; 0, and value_bytes too: behind the key. Value and key may overlap */
    uint32_t value_bytes;  /* 0: those of its type; of bytes, to the record's end */
    quern_schema schema;   /* types; with a key type and value QUERN_NONE there is no value */
    uint64_t header_bytes; /* to be skipped at the begin of each file */
    int as_stored;         /* not 0: files are read as they stand, packed or not */
} quern_fixed_options;

/* Binary files of records of one length, without anything between them. paths, and packed files: as quern_read_text(). Numbers are in the
 * machine's order; QUERN_FIXED is structs as they stand there. Keys and values are not copied from what was read, unless a value that is a
 * number or a struct is not 8-byte aligned in the file or not of whole words, or a key has floating-point numbers. Files of no bytes
 * at all have no records, nor a header. Local. paths and options are copied. QUERN_ERROR_INVALID_ARGUMENT: options NULL or struct_size not
 * set, NULL among the paths, a field that is not within the record, is not of its type's size, or is a pair with QUERN_BYTES. At run:
 * QUERN_ERROR_INPUT, of files that are not packed before any work, naming file, size and remainder, if one is not a header and whole records;
 * QUERN_ERROR_RECORD_TOO_LARGE: raise record-bytes. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_read_fixed(quern_context *context, const char *const *paths, size_t path_count,
                                          const quern_fixed_options *options);

/* Gives the operator that made this dataset a name for messages, the plan and the report. Local. Copies. Returns dataset. Since 0.1. */
QUERN_API quern_dataset *quern_name(quern_dataset *dataset, const char *name);

/* The types of a dataset's records. Local, cannot fail; all 0 for NULL. Since 0.1. */
QUERN_API quern_schema quern_dataset_schema(const quern_dataset *dataset);

/* One record to one record. out starts as a copy of in; what it points to afterwards is copied, and must live until
 * the callback is called again or quern_run() returns. */
typedef int (*quern_map_fn)(const quern_record *in, quern_record *out, void *user);
/* One record to any number, through quern_emit(). in lives until return. */
typedef int (*quern_flat_map_fn)(const quern_record *in, quern_emitter *out, void *user);
/* Sets *keep_out to 1 (as preset) or 0 to drop the record. */
typedef int (*quern_filter_fn)(const quern_record *in, int *keep_out, void *user);
/* The same for a block of records at once: shapes are [in->count]. Faster: one call for some hundred records. How records
 * are grouped into blocks has no meaning. */
typedef int (*quern_flat_map_block_fn)(const quern_block *in, quern_emitter *out, void *user);
typedef int (*quern_filter_block_fn)(const quern_block *in, uint8_t *keep_out, void *user);

/* Records that come one behind the other to one rank: a task of a source, or a piece of one that was left and goes on elsewhere; a rank's part of
 * a result. Where one ends and the next begins has no meaning. */
typedef struct quern_stretch {
    uint32_t task;    /* of the source's, from 0; of a result or of memory: the part's number */
    uint32_t attempt; /* from 1 */
} quern_stretch;

/* An operator that keeps something from one record to the next, or can say only at the end what it gives: a compressor, a process that is fed.
 * Callbacks return 0, or anything else for failure. Between begin and the end of the stretch there is no other stretch on this rank of the same
 * operator. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_stretch_operator {
    size_t struct_size; /* sizeof(quern_stretch_operator); 0 is refused */
    int (*begin)(const quern_stretch *stretch, quern_emitter *out, void *user); /* emits nothing; NULL: nothing to do */
    quern_flat_map_block_fn take;                                               /* emits nothing */
    int (*end)(quern_emitter *out, void *user); /* emits all that there is of the stretch */
    void (*drop)(void *user);                   /* a stretch that began will not have an end; NULL: nothing to do */
} quern_stretch_operator;

/* Applies fn to each record. Local; lazy. schema: the types of the result, and what fn must give. user: borrowed until
 * quern_run() returns. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_map(quern_dataset *in, quern_schema schema, quern_map_fn fn, void *user);

/* Applies fn to each record, which emits any number of records of the schema. Local; lazy. As quern_map(). Since 0.1. */
QUERN_API quern_dataset *quern_flat_map(quern_dataset *in, quern_schema schema, quern_flat_map_fn fn, void *user);

/* Keeps the records that fn wants. Local; lazy. Dropped records are counted in the report. Since 0.1. */
QUERN_API quern_dataset *quern_filter(quern_dataset *in, quern_filter_fn fn, void *user);

/* One record to one record, block-wise: fn must emit exactly in->count records. Local; lazy. Since 0.1. */
QUERN_API quern_dataset *quern_map_block(quern_dataset *in, quern_schema schema, quern_flat_map_block_fn fn,
                                         void *user);

/* Any number of records from a block of records. Local; lazy. Since 0.1. */
QUERN_API quern_dataset *quern_flat_map_block(quern_dataset *in, quern_schema schema, quern_flat_map_block_fn fn,
                                              void *user);

/* Any number of records from a stretch of records, when it has ended. A stretch that fails before it emitted anything is taken again from its begin,
 * as a new one, and nothing of the failed one is in the answer; else the job fails. So, unlike other callbacks, these need not give the same
 * records each time. The callbacks of the operators beside it are not isolated (option isolate), and no record is left out because they fail. What
 * waits for the end is the callbacks' own, and not counted against the budget. Not before quern_sample(), unless a result is between:
 * QUERN_ERROR_INVALID_PLAN. QUERN_ERROR_INVALID_ARGUMENT: take or end is NULL, or struct_size. Copies the struct; user is borrowed until
 * quern_run() returns. Local; lazy. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_flat_map_stretch(quern_dataset *in, quern_schema schema,
                                                const quern_stretch_operator *callbacks, void *user);

/* Keeps the records whose keep_out is not 0 (preset 1). Local; lazy. Since 0.1. */
QUERN_API quern_dataset *quern_filter_block(quern_dataset *in, quern_filter_block_fn fn, void *user);

/* Puts a record out of a callback; copies it. Local; only inside the callback it was given to. Returns 0, or not 0 when the job
 * is ending: then return that at once. A key or value that does not fit the schema ends the job. Since 0.1. */
QUERN_API int quern_emit(quern_emitter *out, quern_span key, quern_span value);

/* Says why a callback fails: then return what this returns, which is not 0. The message of the run is the operator's name, this text, and file and
 * byte (or key) of the record. record: its index in the block, for callbacks of blocks; else 0. Copies text. Local; only inside the callback that
 * `out` was given to. As after every failure there are other attempts first. Since 0.1. */
QUERN_API int quern_fail(quern_emitter *out, size_t record, const char *text);

/* Says why a callback fails that has no emitter to tell (a map, filter, key, reduction, comparison, or one that is handed results): then return
 * what this returns, which is 1. The message of the run has the text, up to 511 bytes, instead of the code. Copies text. Local; only inside
 * the callback, on the thread it was called on. Since 0.1. */
QUERN_API int quern_fail_because(const char *text);

typedef enum quern_reduction {
    QUERN_COUNT = 1, /* how many records; any value type; gives QUERN_U64 */
    /* Of numbers. Signed integers give QUERN_I64, unsigned ones QUERN_U64; beyond 64 bits the job fails and names the key, whatever the
     * order of signs. Floating-point numbers give QUERN_F64, the same bits for any number of ranks and any order: see below. */
    QUERN_SUM = 2,
    /* Of numbers; gives their type. NaN counts only if there is nothing else; -0.0 is less than 0.0. */
    QUERN_MIN = 3,
    QUERN_MAX = 4,
    QUERN_SUM_PLAIN =
        5, /* of QUERN_F32 or QUERN_F64, in doubles; gives QUERN_F64. Faster, but its last bits, or with cancellation more,
                            are those of the order of additions, which differs from run to run */
    QUERN_MEAN =
        6, /* of numbers; gives QUERN_F64: the sum, as QUERN_SUM but of any size, divided by the number of values */
} quern_reduction;

/*
 * Sums of floating-point numbers. For n finite values, m the largest of their magnitudes, the result of QUERN_SUM is the nearest double of
 * a number that differs from the exact sum by less than n * 2^-78 * m. It is the exact sum, rounded once, where no value but 0 is smaller
 * than m / 2^26. Too large a sum is infinity; what is too large only on the way does no harm. NaN, or infinities of both signs,
 * give NaN. Each key takes 40 bytes in tables and messages, 8 with QUERN_SUM_PLAIN; one key can have 2^37 values, with
 * more the job fails. Read next: docs/explanation/sums.md.
 */

/* One record for each distinct key, its value the reduction of all values of that key. Local; lazy; a shuffle at run. Keys
 * are equal as quern/types.h says. Any number of distinct keys: beyond the memory budget they are spilled. Since 0.1. */
QUERN_API quern_dataset *quern_reduce_by_key(quern_dataset *in, quern_reduction reduction);

/* Combines value into the accumulator `into` (the first value of a key is its first accumulator). Both have the size of the
 * value type, 8-byte aligned. Must be associative and commutative, and must not change value. Unlike other callbacks it may be called
 * on a thread of the library's while another callback runs (records of other ranks arrive while this one works): it
 * must touch nothing but its arguments, and only read what user points to. */
typedef int (*quern_reduce_fn)(void *into, const void *value, void *user);

/* As quern_reduce_by_key() with a reduction of the user's, for values of numbers or QUERN_FIXED. Local; lazy.
 * user is borrowed until quern_run() returns. With the option isolate a shuffle of all records, whose groups are combined apart. Since 0.1. */
QUERN_API quern_dataset *quern_reduce_by_key_with(quern_dataset *in, quern_reduce_fn fn, void *user);

/* How values of any type become one fixed-size accumulator for each key, and that a value. The struct grows at its end; struct_size is
 * handled as in quern_options. All callbacks return 0, or anything else for failure. They get user as given to
 * quern_aggregate_by_key(); merge, and no other, may be called as quern_reduce_fn says. */
typedef struct quern_aggregation {
    size_t struct_size;         /* sizeof(quern_aggregation); 0 is refused */
    uint32_t accumulator_bytes; /* 1 … QUERN_FIXED_BYTES_MAX */
    /* Makes an empty accumulator of zero bytes, 8-byte aligned; NULL: it is one. */
    int (*init)(void *accumulator, void *user);
    /* Puts a value into it; value.bytes is 0 for QUERN_NONE. The order of values has no meaning. */
    int (*accumulate)(void *accumulator, quern_span value, void *user);
    quern_reduce_fn merge; /* one accumulator into another, which are never empty */
    /* Makes the result: in is the key and its accumulator; out as in quern_map(). NULL: the accumulator is the value. */
    quern_map_fn finish;
    quern_schema schema; /* of the result, with finish */
} quern_aggregation;

/* One record for each distinct key, its value made of all values of that key through an accumulator: what is sent, spilled and merged is
 * one accumulator for each key, however many values it has and whatever their type; but with the option isolate as quern_reduce_by_key_with(). Local; lazy; a shuffle at run. Copies the
 * struct; user is borrowed until quern_run() returns. QUERN_ERROR_INVALID_ARGUMENT: accumulate or merge missing, or sizes out of range.
 * NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_aggregate_by_key(quern_dataset *in, const quern_aggregation *aggregation, void *user);

/* The records without their values: the type of these becomes QUERN_NONE. Local; lazy. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_keys(quern_dataset *in);

/* Sets *key_out (preset to the old key) to the record's new key. It may point into the record; it is copied, and must live until
 * the callback is called again or quern_run() returns. */
typedef int (*quern_key_fn)(const quern_record *in, quern_span *key_out, void *user);

/* Each record under the key that fn gives. The value stays as it is, and is not copied; a record without one gets its old key as its
 * value, of the old key's type. Local; lazy. key_type: of the new keys; key_bytes: those of its structs (QUERN_FIXED), else 0. user:
 * borrowed until quern_run() returns. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_key_by(quern_dataset *in, quern_type key_type, uint32_t key_bytes, quern_key_fn fn,
                                      void *user);

/* The values as keys, without values: what quern_keys() leaves out. Local; lazy. QUERN_ERROR_INVALID_PLAN: there are no values. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_value_as_key(quern_dataset *in);

/* Keeps each record with the probability `fraction`, 0 (none) … 1 (all), independently of all others: equal records at different places are
 * decided on one by one. The same seed gives the same sample of the same input, for any number of ranks, schedule and number of attempts;
 * records of files are known by the file's place among those of the source and by their byte in it, those of a reduction by their key. Of
 * two samples of one dataset with one seed the larger one holds the smaller; use different seeds for
 * independent ones. Callbacks of blocks before a sample get blocks of one record. Local; lazy. Dropped records are counted in the report.
 * QUERN_ERROR_INVALID_ARGUMENT: fraction is below 0, above 1 or no number. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_sample(quern_dataset *in, double fraction, uint64_t seed);

/* How many records each distinct key has: quern_reduce_by_key() with QUERN_COUNT. Local; lazy; a shuffle at run. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_count_by_key(quern_dataset *in);

/* How many values fall between bounds: the key is a bin (QUERN_U64), the value how many records have a value in it. Bin 0 is what lies
 * below bounds[0], bin i what is at or above bounds[i - 1] and below bounds[i], bin bound_count what is at or above the last. Bins
 * without records are left out. Values are numbers, compared exactly; NaN is above infinity. bounds: 1 … 65536 numbers, ascending, copied. Local;
 * lazy; a shuffle at run. QUERN_ERROR_INVALID_ARGUMENT: other bounds. QUERN_ERROR_INVALID_PLAN: values of another type. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_histogram(quern_dataset *in, const double *bounds, size_t bound_count);

/* Each distinct key once, without a value. Local; lazy; a shuffle at run. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_distinct(quern_dataset *in);

/* Writes key<TAB>value lines (or key lines for QUERN_NONE) to part files in directory, which must not exist, or be empty
 * but for what a killed job left there (docs/output.md).
 * The parts in the order of their names are the whole; _MANIFEST.json lists them; _SUCCESS comes last. Bytes are written as they
 * are, and keys of QUERN_FIXED; integers in decimal; floating-point numbers with 9 or 17 significant digits, which read back as they were;
 * pairs as two fields. QUERN_FIXED values cannot be written. Local; lazy; copies. QUERN_ERROR_OUTPUT_EXISTS (before any
 * work) and QUERN_ERROR_OUTPUT come from quern_run(). Since 0.1. */
QUERN_API quern_status quern_write_text(quern_dataset *in, const char *directory);

/* What a record is in a file. */
typedef enum quern_form {
    QUERN_FORM_TEXT = 0, /* as quern_write_text() */
    QUERN_FORM_CSV =
        1, /* key,value or key alone, by RFC 4180: fields with separators, quotes or line breaks in quotes; lines end with CR LF */
    QUERN_FORM_FIXED = 2, /* as quern_write_fixed() */
    QUERN_FORM_TSV =
        3, /* key<TAB>value or key alone, without quotes: in fields tab, line feed, carriage return and backslash are \t, \n, \r, \\ */
} quern_form;

/* How a file is compressed; its name says so. */
typedef enum quern_compression {
    QUERN_NOT_COMPRESSED = 0,
    QUERN_GZIP = 1, /* .gz */
    QUERN_ZSTD = 2, /* .zst */
    QUERN_LZ4 = 3,  /* .lz4 */
} quern_compression;

/* Whether parts are members of one file. */
typedef enum quern_archive {
    QUERN_NO_ARCHIVE = 0,
    QUERN_TAR = 1, /* .tar; compressed: .tar.gz, .tar.zst, .tar.lz4 */
    QUERN_ZIP = 2, /* .zip, with zip64 where it has to be; its members are stored or, with QUERN_GZIP, deflated */
} quern_archive;

/* How to write files. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_output_options {
    size_t struct_size; /* sizeof(quern_output_options); 0 is refused */
    quern_form form;
    quern_compression compression;
    int level;    /* of the compression; 0: its own default */
    int one_file; /* not 0: all ranks write their parts into one, at places that they work out from the sizes */
    quern_archive archive; /* not 0: the same, with each part a member, part-00000 and so on */
    /* Of CSV and TSV only: */
    const char *const
        *names; /* [name_count] of the columns: the first row of each file, or of the one file; NULL: there is none */
    size_t name_count;
    char separator; /* of fields in CSV, an ASCII byte, no quote and no line break; 0: ',' */
    int rows; /* not 0: the value, QUERN_BYTES, is a row as quern_read_csv() gives it, whose fields are written; the key is not */
    char row_separator; /* of fields in these rows, as quern_csv_options.separator was; 0: ',' */
    int row_no_quotes; /* not 0: quotes mean nothing in them, as with quern_csv_options.no_quotes; TSV then has their fields as they stand */
} quern_output_options;

/* quern_write_text() with these options. Directory, manifest and errors are the same. The parts of a compressed output can be put one behind the other,
 * too, so one file of them is a compressed file. one_file and archive take the output's size on disk twice for a moment. Local; lazy; copies. options NULL: all
 * defaults. Names of columns are in every part (in every member of an archive), so that each is a table that quern_read_csv() reads with header; of one_file the first row alone has them.
 * QUERN_ERROR_INVALID_ARGUMENT: struct_size, a value that there is not, a zip with a compression other than QUERN_GZIP, or what
 * only CSV and TSV have with another form. QUERN_ERROR_INVALID_PLAN: rows of another type. From quern_run(): a level that the compression does not
 * know; QUERN_ERROR_OUTPUT: a value that is no row. Since 0.1. */
QUERN_API quern_status quern_write_files(quern_dataset *in, const char *directory, const quern_output_options *options);

/* Writes the bytes of key and value, as they are in memory, with nothing before, between or behind them: binary records of one length, if keys and
 * values have one. Parts, directory and errors as quern_write_text(). Local; lazy; copies. Since 0.1. */
QUERN_API quern_status quern_write_fixed(quern_dataset *in, const char *directory);

/* Called with each record of a result, in order. The record lives until return. */
typedef int (*quern_each_fn)(const quern_record *record, void *user);

/* Hands the k records with the largest values (numbers) to fn, on rank 0, largest first, equal values by
 * ascending key. NaN is above infinity and comes without its payload; -0.0 is below 0.0. Local; lazy. k: 1 … 2^31. Takes memory for k records on every rank, and
 * for those of all ranks on rank 0 at the end: QUERN_ERROR_BUDGET from quern_run() where that is too much. Since 0.1. */
QUERN_API quern_status quern_top_k(quern_dataset *in, uint64_t k, quern_each_fn fn, void *user);

/* Who gets the records of quern_collect(). */
typedef enum quern_collect_to {
    QUERN_COLLECT_ROOT = 1, /* rank 0 gets all of them */
    QUERN_COLLECT_ALL = 2,  /* every rank gets all of them */
    QUERN_COLLECT_LOCAL =
        3, /* every rank gets those that are there already: of the tasks that it ran, or its part of a reduction.
                                Nothing is sent. Which rank has which record differs from run to run */
} quern_collect_to;

/* Hands every record of a dataset to fn, within quern_run(), when all work of the run succeeded, but for the last step of
 * writing files. fn is called on rank 0 or on all ranks, as `to` says; what it was given counts only if quern_run() then
 * returns QUERN_OK. Failure of fn on any rank ends the run on all of them; there is no second attempt.
 *
 * Order: records of a reduction, and what comes from them without another, in the reduction's order; all others in the
 * order of the input: files as quern_read_text() says, records as they stand there. So ROOT and ALL give the same sequence for any
 * number of ranks, and each record once, whatever attempts failed. Every rank's part of LOCAL is in that order too;
 * those of a reduction, rank after rank, are the whole in order.
 *
 * Keys and values of any type and length. Local; lazy. fn must be given on all ranks; user: borrowed until quern_run() returns.
 * Memory: a rank keeps the records packed (4 bytes more for each key and value of QUERN_BYTES or a pair with it) within a part of its
 * budget, and ROOT and ALL need room for those of all ranks at the end; nothing is spilled. QUERN_ERROR_BUDGET from
 * quern_run() where that is too much: raise memory, reduce or filter first, use QUERN_COLLECT_LOCAL, or
 * quern_write_text(), which has no bound (docs/explanation/memory.md). QUERN_ERROR_INVALID_ARGUMENT: NULL, or another `to`.
 * Since 0.1. */
QUERN_API quern_status quern_collect(quern_dataset *in, quern_collect_to to, quern_each_fn fn, void *user);

/* A named number that callbacks add to. Local; the same names in the same order on all ranks. Owned by the context. NULL on failure.
 * Since 0.1. */
QUERN_API quern_counter *quern_counter_create(quern_context *context, const char *name);

/* Adds to it. Local; inside callbacks. What a failed attempt added is taken back. NULL: nothing. Since 0.1. */
QUERN_API void quern_counter_add(quern_counter *counter, int64_t amount);

/* The sum over all ranks of what the last quern_run() added, 0 if that failed: the same on every rank. Callbacks before a cache are not called in
 * later runs, and add nothing there. Local, cannot fail. Since 0.1. */
QUERN_API int64_t quern_counter_value(const quern_counter *counter);

/* Runs everything that was asked for with quern_write_text(), quern_top_k() and quern_collect() since the last run. Collective; returns the same
 * status on every rank; after a failure no output is left. Datasets and counters stay usable for a next run. The text
 * of a failure names task, file and byte, or operator and key in what reads a result. QUERN_ERROR_NOT_RUN: the option explain asks for the plan only, which was shown. Takes NULL: returns the status of the quern_context_create() that failed. Since 0.1. */
QUERN_API quern_status quern_run(quern_context *context);

/* Gives the plan as text: stages in the order in which they run, each with its source, its operators and its end, and which stage
 * reads which. Of what was asked for since the last run, as it would be run; if nothing was, of what the last run did (of
 * one that failed too, but for a graph that was refused), then with the records that passed each operator, the bytes that
 * were read, sent and spilled, and the seconds of each stage: sums over all ranks, on every rank; the seconds are this
 * rank's own. The size of the input is foretold where it is at most 4,096 entries, directories looked through.
 * Local, from the thread that calls quern_run(), not inside a callback; changes nothing, so that a rank may ask alone, to see
 * where ranks differ for one. form: QUERN_EXPLAIN_TEXT or QUERN_EXPLAIN_DOT. Gives *text_out: valid UTF-8, NUL at the
 * end; release it with free(). Without outputs the plan is one of no stages. The same calls give the same text; its form
 * may change between versions. Names of the user's are quoted, whatever bytes they hold.
 * QUERN_ERROR_INVALID_ARGUMENT: correct the argument; NULL instead of a context gives the status of the
 * quern_context_create() that failed. QUERN_ERROR_INVALID_PLAN: the graph has too many stages or operators, which
 * quern_run() will refuse too. QUERN_ERROR_NO_MEMORY. The failure of a builder since the last run is returned
 * as quern_run() will return it, and kept for it. Since 0.1. Read next: docs/howto/see-the-plan.md. */
QUERN_API quern_status quern_explain(quern_context *context, quern_explain_form form, char **text_out);

#ifdef __cplusplus
}
#endif
#endif
