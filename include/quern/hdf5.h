/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/hdf5.h: datasets of HDF5 files as records, and records as a dataset.
 *
 *     const char *files[] = {"run-*.h5"};
 *     quern_hdf5_options of = {.struct_size = sizeof of, .dataset = "/grid/run-?/temperature", .record = QUERN_HDF5_ELEMENTS};
 *     quern_dataset *temperatures = quern_read_hdf5(context, files, 1, &of);
 *     double bounds[] = {250, 275, 300};
 *     quern_write_text(quern_histogram(temperatures, bounds, 3), "temperatures");
 *     quern_status status = quern_run(context);
 *
 * What a record is. A row: one index of the first dimension with all that lies below it. An element: a number, a string or a struct.
 * A chunk as it is stored (clipped at the dataset's edges). Its key says where it is: by one number, or in full (a place).
 *
 * Who reads. Rank 0 lists the datasets and cuts them along their chunks; a chunk is read, and decompressed, once and by one rank, each
 * of which opens the files for itself: nothing is collective, and a rank without work keeps nobody waiting. HDF5 is not
 * thread-safe: it is called on the thread that called quern_run(), and no other thread may use HDF5 meanwhile; callbacks may.
 *
 * Limits. Files are trusted as far as the HDF5 library trusts them. A row or a chunk that is a record, and a compressed chunk whatever the
 * record, must be within the option record-bytes. Rank 0 opens every file once before the work begins.
 */
#ifndef QUERN_HDF5_H
#define QUERN_HDF5_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quern_hdf5_record {
    /* The value is QUERN_BYTES: the elements of the row in C order, behind each other, aligned as their type; of a dataset of one dimension one
     * element. */
    QUERN_HDF5_ROWS = 0,
    /* The value is an element, of options.type; with fields QUERN_FIXED. They come box by box, those of a box in C order: boxes are
     * chunks, or several neighbours where they are small. */
    QUERN_HDF5_ELEMENTS = 1,
    /* The value is QUERN_BYTES: the elements of a chunk that are within the dataset, in C order. Of a dataset that is not stored in chunks:
     * stretches of about 1 MiB. */
    QUERN_HDF5_CHUNKS = 2,
} quern_hdf5_record;

typedef enum quern_hdf5_key {
    /* QUERN_U64, from 0: of a row its index; of an element its index in C order in the whole dataset; of a chunk that of its first element.
     * Each dataset begins at 0 again. */
    QUERN_HDF5_INDEX = 0,
    QUERN_HDF5_PLACE =
        1, /* QUERN_BYTES, to be read by quern_hdf5_place_start() and its like: coordinates, dataset and file */
} quern_hdf5_key;

/* Instead of the bytes of a string: as many as each has. To read so, records must be rows of a dataset of one dimension, and the strings stored so. */
#define QUERN_HDF5_VARIABLE UINT32_MAX

/* A member of a compound. */
typedef struct quern_hdf5_field {
    const char *name;
    quern_type
        type; /* a number; or QUERN_BYTES: a string. One that is stored with variable length is read, too: a longer one ends the run */
    uint32_t
        count; /* of numbers, where the member is an array of any rank: how many in all; 0: one. Of QUERN_BYTES: bytes, padded with NUL;
                * or QUERN_HDF5_VARIABLE: a string of variable length has a NUL behind it, if it is not the only field */
} quern_hdf5_field;

/* Which datasets, and what of them. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_hdf5_options {
    size_t struct_size; /* sizeof(quern_hdf5_options); 0 is refused */
    /* Path in the file, "/group/name"; between slashes *, ? and [...] match as in file names: "/run-?/temperature". What is matched and
     * is no dataset is passed over; a file without a match is an error. */
    const char *dataset;
    quern_hdf5_record record;
    quern_hdf5_key key;
    /* Of elements: a number, or QUERN_BYTES for strings, fixed or variable, without their padding (of ELEMENTS only). 0: QUERN_F64.
     * HDF5 converts from any size and order of bytes; enumerations and booleans are integers. With fields it must be 0. */
    quern_type type;
    const quern_hdf5_field
        *fields;        /* [field_count]: elements are structs of these members, in this order, without padding */
    size_t field_count; /* 0: elements are no compounds; at most 64 */
    int convert; /* not 0: numbers that may not fit the type asked for are taken all the same, clipped and rounded as HDF5 does; without it
                  * they are refused by their type, before any work */
    int external; /* not 0: external links, external storage and virtual datasets are followed to other files (where such a source is
                   * missing, HDF5 gives fill values); without it they are refused */
} quern_hdf5_options;

/* The records of datasets of HDF5 files. paths: files; patterns of file names where no file has that name; and directories with all HDF5 files
 * below them (others there are passed over). Files in byte order of their paths, datasets within a file in that of theirs, records as they are stored.
 * Datasets that have no elements have no records; scalar ones are refused. Unlimited dimensions count as far as they
 * reach when the file is listed. Local. paths and options are copied. QUERN_ERROR_INVALID_ARGUMENT: options NULL or struct_size not set, NULL
 * among the paths, no dataset, types or fields that do not go together, fields of more than QUERN_FIXED_BYTES_MAX bytes for ELEMENTS. At run, naming
 * file and dataset: QUERN_ERROR_INPUT for what is missing, no HDF5, truncated, of another type, or changes while it is read;
 * QUERN_ERROR_RECORD_TOO_LARGE: raise record-bytes. NULL on failure. Since 0.1. */
QUERN_API quern_dataset *quern_read_hdf5(quern_context *context, const char *const *paths, size_t path_count,
                                         const quern_hdf5_options *options);

/*
 * A place: two uint32_t, the rank of the dataset and the bytes of its path; rank uint64_t, where the record begins; rank uint64_t, how far it
 * reaches in each dimension; the path of the dataset; and that of the file.
 */

/* How many dimensions the dataset has. */
static inline uint32_t quern_hdf5_place_rank(quern_span place)
{
    return quern_u32(place);
}

/* The first index of the record in a dimension, which is below the rank. */
static inline uint64_t quern_hdf5_place_start(quern_span place, uint32_t dimension)
{
    return quern_u64(quern_bytes((const char *)place.data + 8 + 8 * (size_t)dimension, 8));
}

/* How many indices the record has in a dimension, which is below the rank. */
static inline uint64_t quern_hdf5_place_count(quern_span place, uint32_t dimension)
{
    return quern_hdf5_place_start(place, quern_hdf5_place_rank(place) + dimension);
}

/* The path of the dataset, as long as the place lives. */
static inline quern_span quern_hdf5_place_dataset(quern_span place)
{
    const char *from = (const char *)place.data;
    return quern_bytes(from + 8 + 16 * (size_t)quern_hdf5_place_rank(place), quern_u32(quern_bytes(from + 4, 4)));
}

/* The path of the file, as long as the place lives. */
static inline quern_span quern_hdf5_place_file(quern_span place)
{
    quern_span dataset = quern_hdf5_place_dataset(place);
    const char *from = (const char *)dataset.data + dataset.bytes;
    return quern_bytes(from, place.bytes - (size_t)(from - (const char *)place.data));
}

/*
 * Writing: the records of a dataset become the elements, or the rows, of one dataset of HDF5.
 *
 *     quern_hdf5_field fields[] = {{"word", QUERN_BYTES, 24}, {"count", QUERN_U64, 0}};
 *     quern_hdf5_write_options as = {.struct_size = sizeof as, .dataset = "/counts", .fields = fields, .field_count = 2,
 *                                    .with_key = 1, .deflate_level = 1, .shuffle = 1};
 *     quern_write_hdf5(quern_reduce_by_key(words, QUERN_SUM), "counts", &as);
 *
 * What an element is. Without fields: the value (of datasets without values the key), which is a number, a string of
 * string_bytes, or a row: numbers of `type`, as many as row_dims say. With fields: a compound of them, without padding; they describe the
 * value's bytes from the first to the last, and with_key the key's before them.
 *
 * Order. Of a sorted dataset the sorted one; of a reduction that of its text output; otherwise that of the input. So the dataset's content is the
 * same whatever the number of ranks.
 *
 * Strings of variable length hold no NUL, and are not in rows. A file with such is written by one rank, since HDF5 cannot write them together with
 * others: choose QUERN_HDF5_PER_RANK where that is too slow.
 *
 * Who writes. The records are first written as they are to files in the output directory, as large together as the dataset is without
 * compression. When the work is done each rank has a stretch of whole chunks, which it reads, compresses and writes: into the
 * one file by collective calls, in which a rank that has no more takes part with nothing, or into a file of its own. The output is then twice on disk
 * until the run ends. HDF5 is called on the thread that called quern_run().
 */

/* Which files there are. */
typedef enum quern_hdf5_files {
    QUERN_HDF5_ONE_FILE = 0, /* part-00000.h5, written by all ranks */
    QUERN_HDF5_PER_RANK =
        1, /* part-00000.h5 and so on, one for each rank: the records of the first come first. A rank without records
                                writes a dataset without rows */
    QUERN_HDF5_AT_PATH =
        2, /* the path is that of the file, which all ranks write. Its manifest is beside it, PATH.manifest.json; until it is
                                whole there is a directory beside it, PATH.unfinished */
} quern_hdf5_files;

/* A number or a text that says something of a dataset. */
typedef struct quern_hdf5_attribute {
    const char *name;
    quern_type type; /* QUERN_I64, QUERN_F64 or QUERN_BYTES: which of the next three it is */
    int64_t integer;
    double number;
    const char *text; /* UTF-8; becomes a string of fixed length */
} quern_hdf5_attribute;

/* A filter of HDF5 that each chunk goes through. */
typedef struct quern_hdf5_filter {
    int number; /* as HDF5 knows it, of one that is built in or found as a plugin: 1 deflate, 2 shuffle, 3 Fletcher32, 4 szip, 5 n-bit,
                 * 6 scale and offset; above 255 those of others */
    const uint32_t *
        values; /* [value_count], what H5Pset_filter() takes: of deflate the level, of szip its mask and the pixels of a block */
    size_t value_count;
} quern_hdf5_filter;

/* How to write. The struct grows at its end; struct_size is handled as in quern_options. */
typedef struct quern_hdf5_write_options {
    size_t struct_size;  /* sizeof(quern_hdf5_write_options); 0 is refused */
    const char *dataset; /* path in the file, "/group/name"; its groups are made */
    quern_hdf5_files files;
    /* Of elements without fields: a number, or QUERN_BYTES for strings. 0: that of the records, which must then be numbers. */
    quern_type type;
    uint32_t
        string_bytes; /* of QUERN_BYTES; shorter ones are padded with NUL, longer ones end the run. QUERN_HDF5_VARIABLE: each has its own length */
    const quern_hdf5_field *fields; /* [field_count]: elements are compounds. A single field for a key or a value of
                                       QUERN_BYTES is padded, as strings are; several need exactly their bytes. A string of
                                       variable length, if it is not the only field, has a NUL behind it, the last one at will */
    size_t field_count;             /* at most 64 */
    int with_key;                   /* not 0: the first field is the key */
    const uint64_t *row_dims; /* [row_rank]: the value is a row of so many elements in C order; NULL: one element */
    uint32_t row_rank;        /* at most 31; the dataset has one dimension more */
    uint64_t
        chunk_rows; /* of a chunk; 0: chunks of about 1 MiB. So many rows are at most 64 MiB, and a chunk is no larger than the dataset */
    int deflate_level;                      /* 1 to 9: chunks are compressed; 0: not */
    int shuffle;                            /* not 0: bytes of equal weight together, which helps compression */
    const quern_hdf5_attribute *attributes; /* [attribute_count], of the dataset */
    size_t attribute_count;
    /* This dataset of this file is the model. Its attributes are copied, before the others, which replace those of the same name; references to
     * objects, as those of netCDF-4's dimensions, mean nothing in another file and are left out. NULL: there is none. */
    const char *like_file, *like_dataset;
    int like_type; /* not 0: elements are stored in the model's type, and converted as HDF5 does: numbers of other sizes and orders of
                    * bytes, enumerations, members by their names */
    const uint64_t *
        chunk_dims; /* [row_rank]: how far a chunk reaches in each of row_dims; 0 among them: as far as the row. NULL: chunks are of
                                   whole rows */
    int fletcher32; /* not 0: each chunk has a checksum, which is compared when it is read */
    /* [filter_count]: these, in this order, instead of shuffle, deflate_level and fletcher32, which must be 0. A chunk that a filter cannot make
     * smaller is stored without it. One file with others than deflate, shuffle and Fletcher32 is written by one rank, as HDF5 (1.10), when
     * ranks write together, does not keep which chunks those are. */
    const quern_hdf5_filter *filters;
    size_t filter_count; /* at most 32 */
} quern_hdf5_write_options;

/* Writes a dataset of HDF5. path: a directory, which must not exist, or be empty but for what a killed job left there (docs/output.md); it then has a
 * file, or files, _MANIFEST.json and _SUCCESS, as all outputs, and quern_read_hdf5() takes it. Or, as options.files says, a file, which must not
 * exist. Whole or absent. Local; lazy; copies. QUERN_ERROR_INVALID_ARGUMENT: options NULL or struct_size not set, no dataset, types, fields or sizes that do not
 * go together or do not fit the records, a filter that HDF5 here cannot apply. At run: QUERN_ERROR_OUTPUT_EXISTS (before any work); QUERN_ERROR_INPUT for the file of
 * the model; QUERN_ERROR_OUTPUT for a disk that is full, a record that has not the bytes of a row or is longer than its string, and one file on
 * several ranks where HDF5 was built without MPI (write a file per rank); QUERN_ERROR_BUDGET: a chunk takes more than memory allows. Since 0.1. */
QUERN_API quern_status quern_write_hdf5(quern_dataset *in, const char *path, const quern_hdf5_write_options *options);

#ifdef __cplusplus
}
#endif
#endif
