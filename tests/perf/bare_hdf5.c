/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bare_hdf5 FILE DATASET: the sum of all numbers of a dataset by H5Dread() and nothing else, each rank its share of bands of chunks.
 *
 * Prints the sum, the rows and the seconds from opening the file to the end of the slowest rank.
 */
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#define BAND_BYTES ((hsize_t)1 << 20)

static double sum_of(const double *numbers, hsize_t count)
{
    double sum = 0;
    for (hsize_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}

int main(int argc, char **argv)
{
    int rank, size;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Barrier(MPI_COMM_WORLD);
    double start = MPI_Wtime(), mine = 0, sum = 0;
    hid_t file = H5Fopen(argv[1], H5F_ACC_RDONLY, H5P_DEFAULT), dataset = H5Dopen2(file, argv[2], H5P_DEFAULT);
    hid_t space = H5Dget_space(dataset), list = H5Dget_create_plist(dataset);
    hsize_t dims[32], chunk[32];
    int dimensions = H5Sget_simple_extent_dims(space, dims, NULL);
    hsize_t row = 1;
    for (int d = 1; d < dimensions; d++)
        row *= dims[d];
    if (H5Pget_layout(list) != H5D_CHUNKED || H5Pget_chunk(list, 32, chunk) < 0)
        chunk[0] = BAND_BYTES / (row * sizeof(double)) + 1;
    double *numbers = malloc(chunk[0] * row * sizeof *numbers);
    hsize_t bands = (dims[0] + chunk[0] - 1) / chunk[0];
    for (hsize_t band = bands * (hsize_t)rank / (hsize_t)size; band < bands * (hsize_t)(rank + 1) / (hsize_t)size;
         band++) {
        hsize_t at[32] = {band * chunk[0]}, count[32];
        for (int d = 0; d < dimensions; d++)
            count[d] = dims[d];
        count[0] = chunk[0] < dims[0] - at[0] ? chunk[0] : dims[0] - at[0];
        hsize_t elements = count[0] * row;
        hid_t memory = H5Screate_simple(dimensions, count, NULL);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, at, NULL, count, NULL);
        if (H5Dread(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, numbers) < 0)
            return 1;
        H5Sclose(memory);
        mine += sum_of(numbers, elements);
    }
    MPI_Reduce(&mine, &sum, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        printf("%.17g\t%llu\t%.6f\n", sum, (unsigned long long)dims[0], MPI_Wtime() - start);
    MPI_Finalize();
    return 0;
}
