/* SPDX-License-Identifier: BSD-3-Clause. Rows of a dataset in order: mpirun -n N h5sort --dataset NAME --by FIELD [--descending] -o OUT.h5 FILE... */
/*
 * FIELD is the name of a member where the rows are compounds; else the number of a column, from 0 (of all elements of a row, in C order). Rows
 * become one dataset of the same name, type, attributes, chunks and filters as in the first file; what of these cannot be kept is said. FILE may be a
 * directory of HDF5 files. All must have the same type and the same row.
 *
 * Equal rows stay in the order in which they came: files in byte order of their paths, rows as they stand. NaN comes last, whichever way is
 * sorted, and -0.0 is equal to 0.0. Strings are compared as bytes.
 *
 * How. A row gets a key whose bytes are in the order wanted, and behind them the place of the row. So no two keys are equal, and the sort is
 * that of bytes.
 *
 * Rank 0 looks at the files and tells the others what they are, or what is wrong: so all ranks do the same, whatever one of them could open.
 */
#include <ftw.h>
#include <getopt.h>
#include <hdf5.h>
#include <math.h>
#include <quern/quern.h>
#include <stdio.h>
#include <stdlib.h>

#define FIELD_COUNT_MAX 64
#define KEY_BYTES_MAX   65536
#define CHUNK_BYTES_MAX (64u << 20) /* of the rows of a chunk */
#define FILTERS_MAX     32
#define VALUES_MAX      64 /* of a filter */

typedef struct job {
    const char *dataset, *by;
    int descending;
    /* of the first file */
    quern_hdf5_field fields[FIELD_COUNT_MAX];
    size_t field_count;
    quern_hdf5_field element; /* without fields: the type, and the bytes of strings */
    uint64_t row_dims[H5S_MAX_RANK], chunk_dims[H5S_MAX_RANK], row_bytes, chunk_rows;
    uint32_t row_rank;
    quern_hdf5_filter filters[FILTERS_MAX];
    uint32_t filter_values[FILTERS_MAX][VALUES_MAX];
    size_t filter_count;
    /* where in a row the key is */
    quern_hdf5_field key;
    size_t key_offset; /* in rows without fields */
    size_t key_number; /* of its field */
    size_t key_bytes;  /* that sort; 0: as many as the string has */
    int has_places;    /* there are several files */
} job;

static char problem[1024]; /* what was wrong with the input or the arguments */

static int refuse(const char *file, const char *dataset, const char *what)
{
    snprintf(problem, sizeof problem, "%s: dataset %s: %s", file, dataset, what);
    return 0;
}

/* ---- files, by rank 0 ---- */

static char **paths;
static size_t path_count;

static int add_path(const char *path, const struct stat *about, int kind, struct FTW *where)
{
    (void)about;
    if (kind != FTW_F || (where->level > 0 && H5Fis_hdf5(path) <= 0))
        return 0;
    char **more = realloc(paths, (path_count + 1) * sizeof *paths);
    if (!more || !(more[path_count] = strdup(path)))
        return 1;
    paths = more;
    path_count++;
    return 0;
}

static int compare_paths(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static int find_files(char **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (nftw(names[i], add_path, 16, 0) != 0)
            return snprintf(problem, sizeof problem, "cannot read %s", names[i]), 0;
    if (path_count == 0)
        return snprintf(problem, sizeof problem, "there are no HDF5 files"), 0;
    qsort(paths, path_count, sizeof *paths, compare_paths);
    return 1;
}

/* ---- what rows are ---- */

/* What a number or a string is taken as. */
static int understand_plain(hid_t type, quern_hdf5_field *to)
{
    H5T_class_t class = H5Tget_class(type);
    size_t bytes = H5Tget_size(type);
    int is_float = class == H5T_FLOAT;
    if (class == H5T_STRING) {
        int varies = H5Tis_variable_str(type) > 0;
        to->type = QUERN_BYTES;
        to->count = varies ? QUERN_HDF5_VARIABLE : (uint32_t)bytes;
        return varies || bytes <= KEY_BYTES_MAX;
    }
    if ((!is_float && class != H5T_INTEGER && class != H5T_ENUM) || bytes > 8)
        return 0;
    hid_t whole = class == H5T_ENUM ? H5Tget_super(type) : H5Tcopy(type);
    int is_signed = !is_float && H5Tget_sign(whole) == H5T_SGN_2;
    H5Tclose(whole);
    to->type = is_float    ? bytes > 4 ? QUERN_F64 : QUERN_F32
               : is_signed ? bytes > 4 ? QUERN_I64 : QUERN_I32
               : bytes > 4 ? QUERN_U64
                           : QUERN_U32;
    to->count = 1;
    return 1;
}

static int understand(hid_t type, quern_hdf5_field *to)
{
    if (H5Tget_class(type) != H5T_ARRAY)
        return understand_plain(type, to);
    hid_t base = H5Tget_super(type);
    int known = understand_plain(base, to) && to->type != QUERN_BYTES;
    if (known)
        to->count = (uint32_t)(H5Tget_size(type) / H5Tget_size(base));
    H5Tclose(base);
    return known;
}

static int is_variable(const quern_hdf5_field *field)
{
    return field->type == QUERN_BYTES && field->count == QUERN_HDF5_VARIABLE;
}

/* In a row; of strings of variable length in the file. */
static size_t bytes_of(const quern_hdf5_field *field)
{
    if (is_variable(field))
        return 16;
    return field->count * (field->type == QUERN_BYTES ? 1 : quern_number_bytes(field->type));
}

static int understand_fields(job *of, hid_t type)
{
    int count = H5Tget_nmembers(type);
    if (count > FIELD_COUNT_MAX)
        return refuse(paths[0], of->dataset, "there are more than 64 fields");
    for (int i = 0; i < count; i++) {
        quern_hdf5_field *field = &of->fields[of->field_count++];
        hid_t member = H5Tget_member_type(type, (unsigned)i);
        int known = understand(member, field);
        H5Tclose(member);
        field->name = H5Tget_member_name(type, (unsigned)i);
        if (!known)
            return refuse(paths[0], field->name,
                          "this field is neither a number, nor an array of numbers, nor a string "
                          "of at most 65536 bytes");
        if (strcmp(field->name, of->by) == 0) {
            of->key = *field;
            of->key_number = (size_t)i;
        }
        of->row_bytes += bytes_of(field);
    }
    if (!of->key.type || (of->key.type != QUERN_BYTES && of->key.count > 1))
        return refuse(paths[0], of->dataset, "no field has the name that --by says, or it is an array");
    return 1;
}

static int understand_columns(job *of, hid_t type)
{
    char *end = NULL;
    uint64_t column = strtoull(of->by, &end, 10), columns = 1;
    if (!understand_plain(type, &of->element) || (of->element.type == QUERN_BYTES && of->row_rank > 0))
        return refuse(paths[0], of->dataset,
                      "rows are neither compounds nor numbers, nor strings of at most 65536 bytes");
    for (uint32_t d = 0; d < of->row_rank; d++)
        columns *= of->row_dims[d];
    if (*end || end == of->by || column >= columns)
        return refuse(paths[0], of->dataset, "--by must be the number of a column, from 0");
    of->key = of->element;
    of->key_offset = column * bytes_of(&of->element);
    of->row_bytes = columns * bytes_of(&of->element);
    return 1;
}

/* ---- how they are stored, and the sorted ones are to be ---- */

static void learn_chunk(job *of, const hsize_t *chunk)
{
    uint64_t rows_max = of->row_bytes < CHUNK_BYTES_MAX ? CHUNK_BYTES_MAX / of->row_bytes : 1;
    of->chunk_rows = chunk[0] < rows_max ? chunk[0] : rows_max;
    for (uint32_t d = 0; d < of->row_rank; d++)
        of->chunk_dims[d] = chunk[1 + d];
    if (of->chunk_rows < chunk[0])
        fprintf(stderr, "h5sort: chunks get %llu rows instead of %llu: so many are more than %u MiB\n",
                (unsigned long long)of->chunk_rows, (unsigned long long)chunk[0], CHUNK_BYTES_MAX >> 20);
}

/* Why the sorted rows cannot go through a filter; NULL: they can. Numbers that it rounds would be rounded again, and integers of a fixed number of bits
 * may lose some, since other rows are then in a chunk. */
static const char *why_not(H5Z_filter_t number, const unsigned *values, size_t count)
{
    unsigned config = 0;
    if (H5Zget_filter_info(number, &config) < 0 || !(config & H5Z_FILTER_CONFIG_ENCODE_ENABLED))
        return "HDF5 here can only read what went through it";
    if (count > VALUES_MAX && number != H5Z_FILTER_NBIT)
        return "it has too many values";
    if (number == H5Z_FILTER_SCALEOFFSET && (count < 2 || values[0] != H5Z_SO_INT || values[1] != 0))
        return "numbers would be rounded once more";
    return NULL;
}

/* What n-bit and shuffle are given depends on the type alone, and HDF5 finds it. */
static void keep_filter(job *of, H5Z_filter_t number, const unsigned *values, size_t count)
{
    int has_none = number == H5Z_FILTER_NBIT || number == H5Z_FILTER_SHUFFLE || number == H5Z_FILTER_FLETCHER32;
    quern_hdf5_filter *filter = &of->filters[of->filter_count];
    *filter = (quern_hdf5_filter){.number = number, .value_count = has_none ? 0 : count};
    for (size_t i = 0; i < filter->value_count; i++)
        of->filter_values[of->filter_count][i] = values[i];
    of->filter_count++;
}

static int learn_filter(job *of, hid_t list, unsigned at)
{
    unsigned flags, config, values[VALUES_MAX] = {0};
    size_t count = VALUES_MAX;
    char name[64] = "";
    H5Z_filter_t number = H5Pget_filter2(list, at, &flags, &count, values, sizeof name, name, &config);
    if (H5Zfilter_avail(number) <= 0)
        return snprintf(problem, sizeof problem,
                        "%s: dataset %s needs the filter '%s' (number %d), which HDF5 lacks: install it as a plugin",
                        paths[0], of->dataset, name, number),
               0;
    const char *why = why_not(number, values, count);
    if (why || of->filter_count == FILTERS_MAX)
        fprintf(stderr, "h5sort: the filter '%s' (number %d) is left out: %s\n", name, number, why ? why : "too many");
    else
        keep_filter(of, number, values, count);
    return 1;
}

static int learn_layout(job *of, hid_t dataset)
{
    hid_t list = H5Dget_create_plist(dataset);
    hsize_t chunk[H5S_MAX_RANK];
    int known = 1;
    if (H5Pget_layout(list) == H5D_CHUNKED && H5Pget_chunk(list, H5S_MAX_RANK, chunk) > 0) {
        learn_chunk(of, chunk);
        for (int i = 0; i < H5Pget_nfilters(list) && known; i++)
            known = learn_filter(of, list, (unsigned)i);
    }
    H5Pclose(list);
    return known;
}

static int understand_first(job *of, hid_t dataset, hid_t type, int rank)
{
    int is_compound = H5Tget_class(type) == H5T_COMPOUND;
    if (is_compound && rank != 1)
        return refuse(paths[0], of->dataset, "compounds must have one dimension");
    if (!(is_compound ? understand_fields(of, type) : understand_columns(of, type)))
        return 0;
    if (!is_variable(&of->key))
        of->key_bytes = of->key.type == QUERN_BYTES ? of->key.count : 8;
    return learn_layout(of, dataset);
}

/* The first file says what rows are, the others must have the same. */
static int look_at(job *of, size_t file_number, hid_t *first_type)
{
    const char *path = paths[file_number];
    hsize_t dims[H5S_MAX_RANK] = {0};
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t dataset = file >= 0 ? H5Dopen2(file, of->dataset, H5P_DEFAULT) : -1;
    hid_t space = dataset >= 0 ? H5Dget_space(dataset) : -1, type = dataset >= 0 ? H5Dget_type(dataset) : -1;
    int rank = space >= 0 ? H5Sget_simple_extent_dims(space, dims, NULL) : -1, fits = 0;
    if (rank < 1)
        refuse(path, of->dataset, file < 0 ? "the file is no HDF5" : "there is no such dataset, or it has no rows");
    else if (file_number == 0) {
        of->row_rank = (uint32_t)rank - 1;
        memcpy(of->row_dims, dims + 1, of->row_rank * sizeof *dims);
        *first_type = H5Tcopy(type);
        fits = understand_first(of, dataset, type, rank);
    } else {
        fits = of->row_rank == (uint32_t)rank - 1 && H5Tequal(type, *first_type) > 0 &&
               memcmp(of->row_dims, dims + 1, of->row_rank * sizeof *dims) == 0;
        if (!fits)
            refuse(path, of->dataset, "the type or the shape of rows is not that of the first file");
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(dataset);
    H5Fclose(file);
    return fits;
}

static int look_at_all(job *of)
{
    hid_t first_type = -1;
    int fits = 1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    for (size_t i = 0; i < path_count && fits; i++)
        fits = look_at(of, i, &first_type);
    H5Tclose(first_type);
    of->has_places = path_count > 1;
    return fits;
}

/* ---- keys ---- */

static unsigned char room[KEY_BYTES_MAX + 8192]; /* of the last key */

static void put_big_endian(unsigned char *to, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        to[i] = (unsigned char)(number >> (56 - 8 * i));
}

/* Floating-point numbers as integers in the same order; NaN is all ones. */
static uint64_t order_of_double(double number)
{
    uint64_t bits;
    if (isnan(number))
        return UINT64_MAX;
    number = number == 0 ? 0 : number;
    memcpy(&bits, &number, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t order_of(quern_type type, quern_span at)
{
    const uint64_t sign = UINT64_C(1) << 63;
    switch ((int)type) {
    case QUERN_I32:
        return (uint64_t)(int64_t)quern_i32(at) ^ sign;
    case QUERN_I64:
        return (uint64_t)quern_i64(at) ^ sign;
    case QUERN_U32:
        return quern_u32(at);
    case QUERN_U64:
        return quern_u64(at);
    case QUERN_F32:
        return order_of_double((double)quern_f32(at));
    default:
        return order_of_double(quern_f64(at));
    }
}

/* The bytes of the field to sort by: strings of variable length end with NUL, but where they are the whole row. */
static quern_span find_key(const job *of, quern_span row)
{
    const char *at = (const char *)row.data, *end = at + row.bytes;
    for (size_t i = 0; i < of->key_number; i++)
        at += is_variable(&of->fields[i]) ? strnlen(at, (size_t)(end - at)) + 1 : bytes_of(&of->fields[i]);
    at += of->key_offset;
    size_t bytes = is_variable(&of->key) ? strnlen(at, (size_t)(end - at)) : bytes_of(&of->key);
    return quern_bytes(at, bytes < (size_t)(end - at) ? bytes : (size_t)(end - at));
}

/* Shorter strings are filled with NUL; those of variable length, which hold none, end with one. Returns the bytes; 0: it is too long. */
static size_t put_text(const job *of, quern_span text)
{
    size_t bytes = of->key_bytes ? of->key_bytes : text.bytes + 1;
    if (bytes > KEY_BYTES_MAX)
        return 0;
    memset(room, 0, bytes);
    memcpy(room, text.data, text.bytes);
    for (size_t i = 0; i < bytes && of->descending; i++)
        room[i] = (unsigned char)~room[i];
    return bytes;
}

/* The bytes of the key field, ascending or descending. Returns how many. */
static size_t put_order(const job *of, quern_span row)
{
    quern_span key = find_key(of, row);
    int is_float = of->key.type == QUERN_F32 || of->key.type == QUERN_F64;
    if (of->key.type == QUERN_BYTES)
        return put_text(of, key);
    uint64_t order = order_of(of->key.type, key);
    int is_nan = is_float && order == UINT64_MAX;
    put_big_endian(room, of->descending && !is_nan ? ~order : order);
    return 8;
}

static int add_key(const quern_record *in, quern_record *out, void *user)
{
    job *of = user;
    size_t used = put_order(of, in->value);
    if (used == 0)
        return quern_fail_because("a string to sort by has more than 65535 bytes");
    if (of->has_places) {
        quern_span file = quern_hdf5_place_file(in->key);
        if (file.bytes > sizeof room - used - 9)
            return quern_fail_because("the path of the file is too long for a key");
        memcpy(room + used, file.data, file.bytes);
        used += file.bytes;
        room[used++] = 0;
    }
    put_big_endian(room + used, of->has_places ? quern_hdf5_place_start(in->key, 0) : quern_u64(in->key));
    out->key = quern_bytes(room, used + 8);
    return 0;
}

/* ---- what rank 0 tells the others: the problem, the job, the names of its fields, the paths ---- */

typedef struct letter {
    char *text;
    size_t bytes;
    int failed;
} letter;

static void append(letter *to, const void *data, size_t bytes)
{
    char *more = to->failed ? NULL : realloc(to->text, to->bytes + bytes);
    if (!more) {
        to->failed = 1;
        return;
    }
    memcpy(more + to->bytes, data, bytes);
    to->text = more;
    to->bytes += bytes;
}

static letter write_letter(const job *of)
{
    letter to = {0};
    append(&to, problem, sizeof problem);
    append(&to, of, sizeof *of);
    for (size_t i = 0; i < of->field_count; i++)
        append(&to, of->fields[i].name, strlen(of->fields[i].name) + 1);
    for (size_t i = 0; i < path_count; i++)
        append(&to, paths[i], strlen(paths[i]) + 1);
    return to;
}

/* All names and paths are those of the letter. A rank without memory for the paths has none, which quern_run() finds out. */
static void read_letter(job *of, const char *text, size_t bytes)
{
    const job asked = *of;
    const char *at = text + sizeof problem + sizeof *of, *end = text + bytes;
    memcpy(problem, text, sizeof problem);
    memcpy(of, text + sizeof problem, sizeof *of);
    of->dataset = asked.dataset;
    of->by = of->key.name = asked.by;
    for (size_t i = 0; i < of->field_count; i++, at += strlen(at) + 1)
        of->fields[i].name = at;
    for (path_count = 0; at < end; at += strlen(at) + 1) {
        char **more = realloc(paths, (path_count + 1) * sizeof *paths);
        if (!more) {
            path_count = 0;
            return;
        }
        paths = more;
        paths[path_count++] = (char *)at;
    }
}

static void forget_files(job *of)
{
    for (size_t i = 0; i < of->field_count; i++)
        H5free_memory((char *)of->fields[i].name);
    for (size_t i = 0; i < path_count; i++)
        free(paths[i]);
    path_count = of->field_count = 0;
}

/* Collective: all ranks know the same. */
static quern_status look(quern_context *context, job *of, char **names, size_t count, quern_shared **letter_out)
{
    letter to = {0};
    if (quern_context_rank(context) == 0) {
        if (find_files(names, count))
            look_at_all(of);
        to = write_letter(of);
        forget_files(of);
    }
    quern_status status = quern_broadcast(context, to.text, to.failed ? 0 : to.bytes, letter_out);
    free(to.text);
    if (status != QUERN_OK)
        return status;
    if (quern_shared_bytes(*letter_out) == 0)
        return QUERN_ERROR_NO_MEMORY;
    read_letter(of, quern_shared_data(*letter_out), quern_shared_bytes(*letter_out));
    return *problem ? QUERN_ERROR_INPUT : QUERN_OK;
}

/* ---- the job ---- */

static quern_status sort(quern_context *context, job *of, const char *output)
{
    int is_text = of->element.type == QUERN_BYTES;
    quern_hdf5_options from = {.struct_size = sizeof from,
                               .dataset = of->dataset,
                               .record = is_text ? QUERN_HDF5_ELEMENTS : QUERN_HDF5_ROWS,
                               .key = of->has_places ? QUERN_HDF5_PLACE : QUERN_HDF5_INDEX,
                               .type = of->element.type,
                               .fields = of->fields,
                               .field_count = of->field_count};
    quern_hdf5_write_options as = {.struct_size = sizeof as,
                                   .dataset = of->dataset,
                                   .files = QUERN_HDF5_AT_PATH,
                                   .type = of->element.type,
                                   .string_bytes = is_text ? of->element.count : 0,
                                   .fields = of->fields,
                                   .field_count = of->field_count,
                                   .row_dims = of->row_dims,
                                   .row_rank = of->row_rank,
                                   .chunk_rows = of->chunk_rows,
                                   .like_file = paths[0],
                                   .like_dataset = of->dataset,
                                   .like_type = 1,
                                   .chunk_dims = of->chunk_dims,
                                   .filters = of->filters,
                                   .filter_count = of->filter_count};
    for (size_t i = 0; i < of->filter_count; i++)
        of->filters[i].values = of->filter_values[i];
    quern_schema keyed = {.key = QUERN_BYTES, .value = QUERN_BYTES};
    if (!of->has_places && of->key_bytes > 0 && of->key_bytes + 8 <= QUERN_FIXED_BYTES_MAX) {
        keyed.key = QUERN_FIXED;
        keyed.key_bytes = (uint32_t)of->key_bytes + 8;
    }
    quern_dataset *rows = quern_read_hdf5(context, (const char *const *)paths, path_count, &from);
    quern_write_hdf5(quern_sort_by_key(quern_map(rows, keyed, add_key, of), NULL), output, &as);
    return quern_run(context);
}

int main(int argc, char **argv)
{
    static const struct option names[] = {{"dataset", required_argument, NULL, 'd'},
                                          {"by", required_argument, NULL, 'b'},
                                          {"descending", no_argument, NULL, 'r'},
                                          {0}};
    static job of;
    quern_shared *said = NULL;
    const char *values[128] = {0};
    quern_context *context = NULL;
    quern_status status = quern_context_create(&argc, argv, NULL, &context);
    int speaks = quern_context_rank(context) == 0, option;
    for (opterr = 0; (option = getopt_long(argc, argv, "o:", names, NULL)) != -1;)
        values[option] = optarg ? optarg : "";
    int misused = status == QUERN_ERROR_INVALID_OPTION || values['?'] || optind == argc || !values['d'] ||
                  !values['b'] || !values['o'];
    if (!misused && status == QUERN_OK) {
        of.dataset = values['d'];
        of.by = values['b'];
        of.descending = values['r'] != NULL;
        status = look(context, &of, argv + optind, (size_t)(argc - optind), &said);
        if (status == QUERN_OK)
            status = sort(context, &of, values['o']);
    }
    if (speaks && (misused || status != QUERN_OK))
        fprintf(stderr, "h5sort: %s\n%s", *problem ? problem : quern_context_error_text(context),
                misused ? "usage: h5sort --dataset NAME --by FIELD [--descending] -o OUT.h5 FILE...\n" : "");
    free(paths);
    quern_shared_free(said);
    quern_context_destroy(context);
    return misused ? 2 : quern_exit_status(status);
}
