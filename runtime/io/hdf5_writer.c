/* SPDX-License-Identifier: BSD-3-Clause */
#include "runtime/io/hdf5_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ADDRESS_MAX ((haddr_t)INT64_MAX)

typedef struct writer {
    H5FD_t base; /* HDF5's own, and first */
    int fd;
    int reason;
    haddr_t end_allocated, end_written;
    struct stat identity;
} writer;

static H5FD_t *writer_open(const char *name, unsigned flags, hid_t access, haddr_t address_max)
{
    int mode = (flags & H5F_ACC_RDWR ? O_RDWR : O_RDONLY) | (flags & H5F_ACC_TRUNC ? O_TRUNC : 0) |
               (flags & H5F_ACC_CREAT ? O_CREAT : 0) | (flags & H5F_ACC_EXCL ? O_EXCL : 0);
    writer *self = calloc(1, sizeof *self);
    (void)access, (void)address_max;
    if (!self)
        return NULL;
    self->fd = open(name, mode | O_CLOEXEC, 0666);
    if (self->fd >= 0 && fstat(self->fd, &self->identity) == 0) {
        self->end_written = (haddr_t)self->identity.st_size;
        return &self->base;
    }
    if (self->fd >= 0)
        close(self->fd);
    free(self);
    return NULL;
}

static herr_t writer_close(H5FD_t *file)
{
    writer *self = (writer *)file;
    close(self->fd);
    free(self);
    return 0;
}

static int compare(uint64_t left, uint64_t right)
{
    return (left > right) - (left < right);
}

static int writer_compare(const H5FD_t *left_file, const H5FD_t *right_file)
{
    const struct stat *left = &((const writer *)left_file)->identity, *right = &((const writer *)right_file)->identity;
    int order = compare(left->st_dev, right->st_dev);
    return order != 0 ? order : compare(left->st_ino, right->st_ino);
}

static herr_t writer_query(const H5FD_t *file, unsigned long *features)
{
    (void)file;
    *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
                H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t writer_end_allocated(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const writer *)file)->end_allocated;
}

static herr_t writer_allocate(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((writer *)file)->end_allocated = end;
    return 0;
}

static haddr_t writer_end(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const writer *)file)->end_written;
}

static herr_t writer_handle(H5FD_t *file, hid_t access, void **handle)
{
    (void)access;
    *handle = file;
    return 0;
}

/* Beyond what was written there are zeros, as in a file with holes. */
static herr_t writer_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t bytes, void *room)
{
    writer *self = (writer *)file;
    char *next = room;
    (void)type, (void)transfer;
    while (bytes > 0) {
        ssize_t taken = pread(self->fd, next, bytes, (off_t)address);
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken < 0)
            return -1;
        if (taken == 0) {
            memset(next, 0, bytes);
            return 0;
        }
        next += taken;
        address += (haddr_t)taken;
        bytes -= (size_t)taken;
    }
    return 0;
}

static void lose(writer *self, int reason)
{
    if (self->reason == 0)
        self->reason = reason;
}

static herr_t writer_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t bytes,
                           const void *content)
{
    writer *self = (writer *)file;
    const char *next = content;
    haddr_t end = address + bytes;
    (void)type, (void)transfer;
    while (bytes > 0) {
        ssize_t put = pwrite(self->fd, next, bytes, (off_t)address);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            lose(self, put < 0 ? errno : EIO);
            break;
        }
        next += put;
        address += (haddr_t)put;
        bytes -= (size_t)put;
    }
    if (end > self->end_written)
        self->end_written = end;
    return 0;
}

static herr_t writer_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    writer *self = (writer *)file;
    (void)transfer, (void)closing;
    if (self->end_allocated == self->end_written)
        return 0;
    if (ftruncate(self->fd, (off_t)self->end_allocated) != 0)
        lose(self, errno);
    self->end_written = self->end_allocated;
    return 0;
}

static const H5FD_class_t writer_class = {
#ifdef H5FD_CLASS_VERSION
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)511, /* the last of those that are nobody's */
#endif
    .name = "quern_writer",
    .maxaddr = ADDRESS_MAX,
    .fc_degree = H5F_CLOSE_WEAK,
    .open = writer_open,
    .close = writer_close,
    .cmp = writer_compare,
    .query = writer_query,
    .get_eoa = writer_end_allocated,
    .set_eoa = writer_allocate,
    .get_eof = writer_end,
    .get_handle = writer_handle,
    .read = writer_read,
    .write = writer_write,
    .truncate = writer_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* Registered once: HDF5 calls a driver's close function after it has let go of the driver. The program may have closed HDF5 since. */
bool qn_hdf5_writer_use(hid_t access)
{
    static hid_t driver = -1;
    if (driver < 0 || H5Iget_type(driver) != H5I_VFL)
        driver = H5FDregister(&writer_class);
    return driver >= 0 && H5Pset_driver(access, driver, NULL) >= 0;
}

int qn_hdf5_writer_reason(hid_t file)
{
    void *handle = NULL;
    return H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) >= 0 ? ((const writer *)handle)->reason : EIO;
}
