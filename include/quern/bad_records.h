/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * quern/bad_records.h: what a job does about records that are bad: fail, skip them, or set them apart, up to a bound.
 *
 *     const char *paths[] = {"measurements"};
 *     quern_dataset *rows = quern_tolerate(quern_read_csv(context, paths, 1, NULL), QUERN_BAD_SKIP, 100);
 *     quern_write_text(quern_reduce_by_key(quern_keys(rows), QUERN_COUNT), "rows-of-each");
 *     quern_status status = quern_run(context);
 *
 * What is bad. What the source's call names as QUERN_ERROR_INPUT or QUERN_ERROR_RECORD_TOO_LARGE of a record; what is behind the last whole
 * record of one length; what cannot be unpacked, as one bad item from the first record on that is not whole to where reading can go
 * on, or to the end of its file or member; and
 * a record of a source on which a callback fails in the last attempt. Not bad, but failures as ever: files that
 * cannot be listed or opened, the first row of a CSV file, a file that is neither FASTA nor FASTQ, anything in HDF5 files, and
 * failures of callbacks on what is read from a result (reductions, sorts, groups) or in a reduction.
 *
 * What is certain. Nothing of a bad record reaches an answer. Which records are bad, and so the answer, is the same for any number of
 * ranks and any splits. Each is counted once, whatever is tried again.
 *
 * What it costs. Archives, and packed sequences, rows and whole files, have one reader each, so that damage means the same everywhere; compressed files of text and of
 * records of one length are cut as ever. FASTQ has to be of four lines a record. What callbacks emit is held back until the block of records that it comes from went through. Nothing of this without a
 * policy. Read next: docs/howto/bad-records.md.
 */
#ifndef QUERN_BAD_RECORDS_H
#define QUERN_BAD_RECORDS_H

#include <quern/dataset.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum quern_bad_policy {
    QUERN_BAD_DEFAULT = 0, /* as the option bad-records says, which is fail if nothing is set */
    QUERN_BAD_FAIL = 1,
    QUERN_BAD_SKIP = 2,       /* left out, counted, and the first of them listed in the report */
    QUERN_BAD_QUARANTINE = 3, /* the same, and written to files in the directory of the option quarantine */
} quern_bad_policy;

/* Says what is to be done about bad records of a source. Local. Returns dataset. bad_count_max: the most there may be in one reading of the
 * source, over all ranks, above 0; of DEFAULT and FAIL it has no meaning. QUERN_ERROR_INVALID_ARGUMENT: dataset is no source, or an argument is none
 * of these. At run: QUERN_ERROR_BAD_RECORDS names how many there were and the last one, if they are more: look at the records that
 * the report lists; raise the bound if they are to be left out. QUERN_ERROR_INVALID_OPTION: QUARANTINE without the option quarantine. NULL for NULL,
 * and on failure. Since 0.1. */
QUERN_API quern_dataset *quern_tolerate(quern_dataset *dataset, quern_bad_policy policy, uint64_t bad_count_max);

#ifdef __cplusplus
}
#endif
#endif
