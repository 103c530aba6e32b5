/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/formats.h: files of formats whose records are more than what stands between delimiters.
 *
 * All take paths, packed files and archives as quern_read_text() does. Plain files are read in splits by all ranks; a record belongs to the
 * split in which it begins, and is given once, wherever the files are cut.
 *
 *     const char *paths[] = {"genome.fa", "reads.fastq.gz"};
 *     quern_sequence_options in_pieces = {.struct_size = sizeof in_pieces, .piece_bases = 65536, .overlap_bases = 20};
 *     quern_dataset *pieces = quern_read_sequences(context, paths, 2, &in_pieces);
 *     quern_write_text(quern_reduce_by_key(pieces, QUERN_COUNT), "pieces-of-each");
 *     quern_status status = quern_run(context);
 *
 * Limits: a record, its key and value together, is no longer than the option record-bytes.
 */
#ifndef QUERN_FORMATS_H
#define QUERN_FORMATS_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quern_sequence_format {
    QUERN_SEQUENCE_ANY = 0,   /* as each file begins: '>' is FASTA, '@' FASTQ */
    QUERN_SEQUENCE_FASTA = 1, /* sequences of any number of lines */
    QUERN_SEQUENCE_FASTQ =
        2, /* four lines each, or sequences and qualities of several lines, which only one rank can read */
    QUERN_SEQUENCE_FASTQ_LINES = 3, /* four lines each; anything else fails */
} quern_sequence_format;

typedef enum quern_sequence_value {
    QUERN_SEQUENCE_BASES = 0, /* the sequence without line breaks */
    QUERN_SEQUENCE_QUALITIES =
        1, /* the sequence and behind it as many qualities: quern_sequence_bases(), quern_sequence_qualities(). FASTQ only */
} quern_sequence_value;

/* Options of sequences. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_sequence_options {
    size_t struct_size; /* sizeof(quern_sequence_options); 0 is refused */
    quern_sequence_format format;
    quern_sequence_value value;
    /* Sequences of FASTA that are longer are given as several records of so many bases, all with the sequence's key; each but the first
     * begins with the last overlap_bases of the one before. Then memory does not grow with sequences, and whatever is no longer than
     * overlap_bases + 1 is whole in exactly one record or a repetition of it. 0: sequences are given whole */
    uint32_t piece_bases;
    uint32_t overlap_bases; /* at most half of piece_bases */
    int interleaved; /* not 0: records are pairs, of equal names: up to the first blank, "/1" and "/2" apart. They are checked, and come in
                      * one block. Files are then not cut */
    int as_stored; /* not 0: files are read as they stand, packed or not */
} quern_sequence_options;

/* FASTA and FASTQ files: key is the header line without its '>' or '@', value the sequence as it stands (either case, any letters) without
 * line breaks, as options.value says; both QUERN_BYTES. Lines end in "\n" or "\r\n"; blank lines between records have no meaning; sequences may be
 * empty. A FASTQ file that begins with records of four lines is cut, and all records of it must be so; one that does not is one task.
 * Packed files are cut between units where they have them (docs/howto/packed-input.md). Local. paths and options are copied; options NULL: all defaults. QUERN_ERROR_INVALID_ARGUMENT: NULL among the paths, a
 * format or value that is none, an overlap of more than half a piece, or options.struct_size not set. At run: QUERN_ERROR_INPUT naming file and byte of what
 * is no record: another first byte, a length of qualities that is not the sequence's, a file that ends within a record, a
 * pair of different names; QUERN_ERROR_RECORD_TOO_LARGE: raise record-bytes, or have pieces. NULL on failure. Since 0.1. Read next:
 * docs/howto/read-formats.md. */
QUERN_API quern_dataset *quern_read_sequences(quern_context *context, const char *const *paths, size_t path_count,
                                              const quern_sequence_options *options);

/* Two files of reads, the first and the second mates, as records of both: the key is a pair of the header lines, QUERN_PAIR(QUERN_BYTES,
 * QUERN_BYTES), the value QUERN_BYTES, for quern_first_mate() and quern_second_mate(), each of which is what quern_read_sequences() gives as
 * value. Record n of the one and of the other are mates: their names must be equal up to the first blank, "/1" and "/2" apart. Either path
 * is a file, packed or not, or a directory, whose files are one behind the other. Files need not have their records at the same bytes, nor be packed
 * alike. The order of the records is that of a reduction by their number. Local; lazy. At run the records of both are stored, on
 * their ranks and out of core, and each is sent once to where its mate is (a shuffle): two to three times what reading packed files costs, ten times what plain ones do. Paths and options
 * are copied; options NULL: all defaults. QUERN_ERROR_INVALID_ARGUMENT: a path is NULL, interleaved or piece_bases is
 * set, or as quern_read_sequences(). At run: QUERN_ERROR_CALLBACK naming both files, the number of a record, from 1, and the names, if names
 * differ or one file has more records; which of several such records is named may differ from run to run; and what
 * quern_read_sequences() fails with: also at bad records, whatever the option bad-records says, since all behind one would get other
 * mates. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_read_sequence_pairs(quern_context *context, const char *first_path,
                                                   const char *second_path, const quern_sequence_options *options);

/* Of a value of quern_read_sequence_pairs(), the first mate. */
static inline quern_span quern_first_mate(quern_span value)
{
    return quern_pair_first(QUERN_PAIR(QUERN_BYTES, QUERN_BYTES), value);
}

/* The other one. */
static inline quern_span quern_second_mate(quern_span value)
{
    return quern_pair_second(QUERN_PAIR(QUERN_BYTES, QUERN_BYTES), value);
}

/* The first half of a value of QUERN_SEQUENCE_QUALITIES. */
static inline quern_span quern_sequence_bases(quern_span value)
{
    return quern_bytes(value.data, value.bytes / 2);
}

/* The other half: a quality for each base, as it stands. */
static inline quern_span quern_sequence_qualities(quern_span value)
{
    return quern_bytes((const char *)value.data + value.bytes / 2, value.bytes / 2);
}

/* Options of rows. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_csv_options {
    size_t struct_size; /* sizeof(quern_csv_options); 0 is refused */
    char separator;     /* of fields, an ASCII byte, no quote and no line break; 0: ',' */
    int no_quotes; /* not 0: '"' is a letter like others, as in plain TSV; fields hold neither separators nor line breaks */
    int no_quoted_newlines; /* not 0: no field holds a line break. Then files need not be read beforehand; a field that does fails */
    int header;          /* not 0: the first row of each file names the columns, and is no record */
    uint32_t key_column; /* from 0: the field of it is a row's key */
    const char *
        key_name; /* the column by its name, unquoted, which may be another one in each file; needs header. NULL: by key_column */
    int ragged;    /* not 0: rows may have other numbers of fields than the first of their file */
    int as_stored; /* not 0: files are read as they stand, packed or not */
} quern_csv_options;

/* Rows of CSV (RFC 4180) or, with another separator, TSV: key is a field, unquoted; value the whole row as it stands, without its line
 * break, for quern_csv_next_field(). Both QUERN_BYTES. Rows end in "\n" or "\r\n"; empty lines are skipped, and so is the byte order mark of UTF-8. Files are cut
 * anywhere, in the middle of quoted fields too: before a stage reads files that are to be cut, the ranks count the quotes in them, a
 * share each, unless there are none or they hold no line breaks. Local. paths and options are copied; options NULL: all
 * defaults. QUERN_ERROR_INVALID_ARGUMENT: NULL among the paths, a separator that cannot be one, key_name without header, or
 * options.struct_size not set. At run: QUERN_ERROR_INPUT naming file and byte of a quote within a field that does not begin with one, of something
 * behind a closing quote, of quotes that are not closed, of a row without the key's column or, unless ragged, with another number of fields, and of
 * a header without key_name; QUERN_ERROR_RECORD_TOO_LARGE: raise record-bytes. NULL on failure. Since 0.1. Read next: docs/howto/read-formats.md. */
QUERN_API quern_dataset *quern_read_csv(quern_context *context, const char *const *paths, size_t path_count,
                                        const quern_csv_options *options);

/* Where one is in a row. {row.data, row.bytes, separator, no_quotes}, the rest 0, is its begin. */
typedef struct quern_csv_cursor {
    const char *data;
    size_t bytes;
    char separator;
    int no_quotes;
    size_t at;
    int ended;
} quern_csv_cursor;

/* The next field of a row, unquoted: 1 and *field_out; 0 at the end of the row; below 0 if it is no field of RFC 4180, which a row of
 * quern_read_csv() never has. A field with doubled quotes is written to room, which has as many bytes as the row; the others are
 * where they stand in it. Local; any thread. Since 0.1. */
QUERN_API int quern_csv_next_field(quern_csv_cursor *cursor, void *room, quern_span *field_out);

/* Options of whole files. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_file_options {
    size_t struct_size; /* sizeof(quern_file_options); 0 is refused */
    int as_stored;      /* not 0: files are read as they stand, packed or not, and archives as one file */
} quern_file_options;

/* Whole files as records: key is the path, as it was named or found below a directory, and of a member of an archive that of the archive, a slash,
 * and that of the member; value is all its bytes, unpacked. Both QUERN_BYTES. Files and members of no bytes have no record. Each is
 * read by one rank. Local. paths and options are copied; options NULL: all defaults. QUERN_ERROR_INVALID_ARGUMENT: NULL among the paths, or
 * options.struct_size not set. At run: QUERN_ERROR_INPUT naming the path; QUERN_ERROR_RECORD_TOO_LARGE: raise record-bytes. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_read_files(quern_context *context, const char *const *paths, size_t path_count,
                                          const quern_file_options *options);

#ifdef __cplusplus
}
#endif
#endif
