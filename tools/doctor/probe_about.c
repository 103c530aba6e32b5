/* SPDX-License-Identifier: BSD-3-Clause */
/* What quern-probe, and so a job, is linked with. Versions of two times: of the headers, and of the libraries that the loader found. So it asks MPI
 * itself: runtime/comm would have to pass on every word of it, for nobody else. */
#define OMPI_SKIP_MPICXX  1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <dlfcn.h>
#include <hdf5.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/doctor/probe.h"

#define LIBRARY_COUNT_MAX 8
#define TEXT_OF(number)   TEXT_OF_(number)
#define TEXT_OF_(number)  #number

static const char *built_with(void)
{
#if defined(OMPI_MAJOR_VERSION)
    return "Open MPI " TEXT_OF(OMPI_MAJOR_VERSION) "." TEXT_OF(OMPI_MINOR_VERSION) "." TEXT_OF(OMPI_RELEASE_VERSION);
#elif defined(I_MPI_VERSION)
    return "Intel MPI " I_MPI_VERSION;
#elif defined(MPICH_VERSION)
    return "MPICH " MPICH_VERSION;
#else
    return "an MPI that does not say its name";
#endif
}

static bool has_ulfm(void)
{
#ifdef QN_HAS_ULFM
    return true;
#else
    return false;
#endif
}

/* The first line of what the library says of itself. */
static void read_library(char text[MPI_MAX_LIBRARY_VERSION_STRING])
{
    int length = 0;
    if (MPI_Get_library_version(text, &length) != MPI_SUCCESS)
        *text = 0;
    text[strcspn(text, "\n")] = 0;
}

/* Libraries of MPI in this process: where HDF5 brings another one, there are two. */
static json_t *list_libraries(void)
{
    json_t *paths = json_array();
    char line[PATH_MAX + 128];
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && paths && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/'), *name = strrchr(line, '/');
        if (!path || (strncmp(name, "/libmpi.so", 10) != 0 && strncmp(name, "/libmpich.so", 12) != 0))
            continue;
        path[strcspn(path, "\n")] = 0;
        size_t count = json_array_size(paths);
        bool is_new = count == 0 || strcmp(json_string_value(json_array_get(paths, count - 1)), path) != 0;
        if (is_new && count < LIBRARY_COUNT_MAX)
            json_array_append_new(paths, json_string(path));
    }
    if (maps)
        fclose(maps);
    return paths;
}

static const char *path_of_mpi(char path[PATH_MAX])
{
    Dl_info about;
    union { /* of a function, as data: what dladdr() wants and C does not give */
        int (*function)(void);
        void *address;
    } finalize = {.function = MPI_Finalize};
    if (!dladdr(finalize.address, &about) || !about.dli_fname || !realpath(about.dli_fname, path))
        strcpy(path, "?");
    return path;
}

json_t *quern_probe_about(void)
{
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "", path[PATH_MAX], hdf5_built[32], hdf5[32];
    unsigned major = 0, minor = 0, release = 0;
    read_library(library);
    snprintf(hdf5_built, sizeof hdf5_built, "%d.%d.%d", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
    H5get_libversion(&major, &minor, &release);
    snprintf(hdf5, sizeof hdf5, "%u.%u.%u", major, minor, release);
#ifdef H5_HAVE_PARALLEL
    bool is_parallel = true;
#else
    bool is_parallel = false;
#endif
    return json_pack("{ss ss ss ss so sb ss ss sb}", "quern", QUERN_COMMAND_VERSION, "mpi_built", built_with(), "mpi",
                     library, "mpi_path", path_of_mpi(path), "mpi_libraries", list_libraries(), "has_ulfm", has_ulfm(),
                     "hdf5_built", hdf5_built, "hdf5", hdf5, "hdf5_is_parallel", is_parallel);
}

json_t *quern_probe_mpi(void)
{
    static const struct {
        int level;
        const char *name;
    } levels[] = {{MPI_THREAD_SINGLE, "SINGLE"},
                  {MPI_THREAD_FUNNELED, "FUNNELED"},
                  {MPI_THREAD_SERIALIZED, "SERIALIZED"},
                  {MPI_THREAD_MULTIPLE, "MULTIPLE"}};
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int is_initialised = 0, threads = 0, version = 0, subversion = 0;
    const char *name = NULL;
    read_library(library);
    library[strcspn(library, ",")] = 0; /* and then how it was packaged */
    MPI_Get_version(&version, &subversion);
    MPI_Initialized(&is_initialised);
    if (is_initialised)
        MPI_Query_thread(&threads);
    for (size_t i = 0; is_initialised && i < sizeof levels / sizeof *levels; i++)
        if (levels[i].level == threads)
            name = levels[i].name;
    return json_pack("{ss si si ss*}", "mpi", library, "standard", version, "substandard", subversion, "threads", name);
}
