/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/doctor/scratch_look.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runtime/base/file.h"

#define WRITTEN_BYTES  ((size_t)1 << 20)
#define FREE_BYTES_MIN ((double)((uint64_t)1 << 30))
#define ANOTHER        "name another directory: --quern-scratch=DIR, or QUERN_SCRATCH"

typedef struct disk_name {
    unsigned long magic;
    quern_disk_kind kind;
    const char *name;
} disk_name;

/* linux/magic.h has some of them. */
static const disk_name disk_names[] = {
    {0x01021994, QUERN_DISK_MEMORY, "tmpfs"},   {0x858458f6, QUERN_DISK_MEMORY, "ramfs"},
    {0x6969, QUERN_DISK_NETWORK, "NFS"},        {0x517b, QUERN_DISK_NETWORK, "SMB"},
    {0xff534d42, QUERN_DISK_NETWORK, "CIFS"},   {0xfe534d42, QUERN_DISK_NETWORK, "SMB2"},
    {0x0bd00bd0, QUERN_DISK_NETWORK, "Lustre"}, {0x47504653, QUERN_DISK_NETWORK, "GPFS"},
    {0x00c36400, QUERN_DISK_NETWORK, "Ceph"},   {0x19830326, QUERN_DISK_NETWORK, "BeeGFS"},
    {0x5346414f, QUERN_DISK_NETWORK, "AFS"},    {0x01021997, QUERN_DISK_NETWORK, "9p"},
    {0xaad7aaea, QUERN_DISK_NETWORK, "PanFS"},  {0x20030528, QUERN_DISK_NETWORK, "OrangeFS"},
    {0x65735546, QUERN_DISK_NETWORK, "FUSE"},   {0x794c7630, QUERN_DISK_LAYERED, "overlay"},
    {0xef53, QUERN_DISK_LOCAL, "ext4"},         {0x58465342, QUERN_DISK_LOCAL, "XFS"},
    {0x9123683e, QUERN_DISK_LOCAL, "Btrfs"},    {0x2fc12fc1, QUERN_DISK_LOCAL, "ZFS"},
    {0xf2f52010, QUERN_DISK_LOCAL, "F2FS"},
};

quern_disk_kind quern_scratch_disk_kind(unsigned long magic, const char **name_out)
{
    for (size_t i = 0; i < sizeof disk_names / sizeof *disk_names; i++)
        if (disk_names[i].magic == (magic & UINT32_MAX)) {
            *name_out = disk_names[i].name;
            return disk_names[i].kind;
        }
    *name_out = "a file system that we do not know";
    return QUERN_DISK_UNKNOWN;
}

/* A file without a name, or nearly so, and some bytes in it. `left_out`: the file system keeps names of open files. False: there is a finding. */
static bool write_some(quern_findings *all, const char *directory, bool *keeps_names_out)
{
    qn_error error = {0};
    char *left = NULL, *bytes = calloc(1, WRITTEN_BYTES);
    int fd = -1;
    if (!bytes) {
        all->is_short = true;
        return false;
    }
    memset(bytes, 'q', WRITTEN_BYTES);
    bool is_written = qn_file_open_scratch(directory, &fd, &left, &error) == QUERN_OK &&
                      qn_file_write_at(fd, bytes, WRITTEN_BYTES, 0, directory, QUERN_ERROR_SCRATCH, &error) == QUERN_OK;
    int reason = is_written && fdatasync(fd) != 0 ? errno : 0;
    *keeps_names_out = left != NULL;
    if (fd >= 0)
        close(fd);
    qn_file_remove_scratch(left);
    free(bytes);
    if (is_written && reason == 0)
        return true;
    quern_findings_add(all, QUERN_LEVEL_ERROR, "scratch", "nothing can be written there: %s",
                       is_written ? strerror(reason) : error.text);
    quern_findings_remedy(all, "remove what killed jobs left (quern clean %s), or " ANOTHER, directory);
    return false;
}

static void judge_space(quern_findings *all, const char *directory, const char *name, const struct statfs *disk)
{
    double all_bytes = (double)disk->f_blocks * (double)disk->f_bsize,
           free_bytes = (double)disk->f_bavail * (double)disk->f_bsize;
    bool is_little = free_bytes < FREE_BYTES_MIN;
    quern_findings_add(all, is_little ? QUERN_LEVEL_WARNING : QUERN_LEVEL_OK, "scratch",
                       "%s can be written, and has %s free of %s (%s)", directory, quern_bytes_text(free_bytes),
                       quern_bytes_text(all_bytes), name);
    if (is_little)
        quern_findings_remedy(all,
                              "a job that does not fit its memory writes about the size of its data there: " ANOTHER);
}

static void judge_disk(quern_findings *all, const char *directory, quern_disk_kind kind, const char *name)
{
    static const char *const words[] = {
        [QUERN_DISK_LOCAL] = "a disk of this machine",
        [QUERN_DISK_MEMORY] = "which is memory: what is spilled there takes what spilling is to free",
        [QUERN_DISK_NETWORK] = "over a network: spills are slow, and load it for others",
        [QUERN_DISK_LAYERED] = "the layer of a container: slower than a disk that is mounted into it",
        [QUERN_DISK_UNKNOWN] = "of which we know nothing",
    };
    bool is_memory = kind == QUERN_DISK_MEMORY, is_slow = kind == QUERN_DISK_NETWORK || kind == QUERN_DISK_LAYERED;
    quern_findings_add(all,
                       is_memory ? QUERN_LEVEL_WARNING
                       : is_slow ? QUERN_LEVEL_NOTE
                                 : QUERN_LEVEL_OK,
                       "scratch-disk", "%s is on %s, %s", directory, name, words[kind]);
    if (is_memory || is_slow)
        quern_findings_remedy(all, "a disk of the node is best: --quern-scratch=DIR, or QUERN_SCRATCH");
}

/* Files there have no names, and are 0600; what is wrong is a directory in which others may remove and rename. */
static void judge_mode(quern_findings *all, const char *directory, const struct stat *about, bool keeps_names)
{
    bool is_open = (about->st_mode & S_IWOTH) && !(about->st_mode & S_ISVTX);
    quern_level level = is_open ? QUERN_LEVEL_WARNING : keeps_names ? QUERN_LEVEL_NOTE : QUERN_LEVEL_OK;
    quern_findings_add(all, level, "scratch-mode", "%s is %04o, of user %u; %s", directory,
                       (unsigned)(about->st_mode & 07777), (unsigned)about->st_uid,
                       keeps_names ? "files that are open keep a name there, and may be left by killed jobs"
                                   : "files of jobs have no name there, so that nothing is left of them");
    if (is_open)
        quern_findings_remedy(all, "anybody may remove anybody's files there: chmod 0700 %s, or 1777 if it is shared",
                              directory);
    else if (keeps_names)
        quern_findings_remedy(all, "quern clean %s removes what was left", directory);
}

void quern_scratch_look(quern_findings *all, const char *directory)
{
    struct stat about;
    struct statfs disk;
    const char *name = NULL;
    bool keeps_names = false;
    if (stat(directory, &about) != 0 || (errno = ENOTDIR, !S_ISDIR(about.st_mode)) ||
        access(directory, W_OK | X_OK) != 0 || statfs(directory, &disk) != 0) {
        quern_findings_add(all, QUERN_LEVEL_ERROR, "scratch", "%s cannot be used: %s", directory, strerror(errno));
        quern_findings_remedy(all, "make it, on every node, or " ANOTHER);
        return;
    }
    quern_disk_kind kind = quern_scratch_disk_kind((unsigned long)disk.f_type, &name);
    if (write_some(all, directory, &keeps_names))
        judge_space(all, directory, name, &disk);
    judge_disk(all, directory, kind, name);
    judge_mode(all, directory, &about, keeps_names);
}
