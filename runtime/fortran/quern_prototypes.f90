! SPDX-License-Identifier: BSD-3-Clause
! The functions of the library, and two of C.
module quern_prototypes
    use, intrinsic :: iso_c_binding
    use quern_types
    implicit none

    interface
        function c_create(argc, argv, options, context) bind(C, name='quern_context_create') result(given)
            import
            integer(c_int), intent(inout) :: argc
            type(c_ptr), value :: argv, options
            type(c_ptr), intent(out) :: context
            integer(c_int) :: given
        end function
        function c_create_on(comm, argc, argv, context) bind(C, name='quern_fortran_create_on') result(given)
            import
            integer(c_int), value :: comm, argc
            type(c_ptr), value :: argv
            type(c_ptr), intent(out) :: context
            integer(c_int) :: given
        end function
        subroutine c_destroy(context) bind(C, name='quern_context_destroy')
            import
            type(c_ptr), value :: context
        end subroutine
        function c_rank(context) bind(C, name='quern_context_rank') result(given)
            import
            type(c_ptr), value :: context
            integer(c_int) :: given
        end function
        function c_size(context) bind(C, name='quern_context_size') result(given)
            import
            type(c_ptr), value :: context
            integer(c_int) :: given
        end function
        function c_error_text(context) bind(C, name='quern_context_error_text') result(given)
            import
            type(c_ptr), value :: context
            type(c_ptr) :: given
        end function
        function c_status_name(status) bind(C, name='quern_status_name') result(given)
            import
            integer(c_int), value :: status
            type(c_ptr) :: given
        end function
        function c_exit_status(status) bind(C, name='quern_exit_status') result(given)
            import
            integer(c_int), value :: status
            integer(c_int) :: given
        end function
        function c_read_text(context, paths, count, options) bind(C, name='quern_read_text') result(given)
            import
            type(c_ptr), value :: context, paths
            integer(c_size_t), value :: count
            type(c_ptr), value :: options
            type(c_ptr) :: given
        end function
        function c_read_fixed(context, paths, count, options) bind(C, name='quern_read_fixed') result(given)
            import
            type(c_ptr), value :: context, paths
            integer(c_size_t), value :: count
            type(c_ptr), value :: options
            type(c_ptr) :: given
        end function
        function c_read_csv(context, paths, count, options) bind(C, name='quern_read_csv') result(given)
            import
            type(c_ptr), value :: context, paths
            integer(c_size_t), value :: count
            type(c_ptr), value :: options
            type(c_ptr) :: given
        end function
        function c_read_sequences(context, paths, count, options) bind(C, name='quern_read_sequences') result(given)
            import
            type(c_ptr), value :: context, paths
            integer(c_size_t), value :: count
            type(c_ptr), value :: options
            type(c_ptr) :: given
        end function
        function c_read_sequence_pairs(context, one, other, options) bind(C, &
            name='quern_read_sequence_pairs') result(given)
            import
            type(c_ptr), value :: context, one, other, options
            type(c_ptr) :: given
        end function
        function c_read_files(context, paths, count, options) bind(C, name='quern_read_files') result(given)
            import
            type(c_ptr), value :: context, paths
            integer(c_size_t), value :: count
            type(c_ptr), value :: options
            type(c_ptr) :: given
        end function
        function c_read_hdf5(context, paths, count, options) bind(C, name='quern_read_hdf5') result(given)
            import
            type(c_ptr), value :: context, paths
            integer(c_size_t), value :: count
            type(c_ptr), value :: options
            type(c_ptr) :: given
        end function
        function c_read_memory(context, schema, arrays, count) bind(C, name='quern_read_memory') result(given)
            import
            type(c_ptr), value :: context
            type(quern_schema), value :: schema
            type(c_ptr), value :: arrays
            integer(c_size_t), value :: count
            type(c_ptr) :: given
        end function
        function c_renew_memory(dataset, arrays, count) bind(C, name='quern_renew_memory') result(given)
            import
            type(c_ptr), value :: dataset, arrays
            integer(c_size_t), value :: count
            integer(c_int) :: given
        end function
        function c_name(dataset, text) bind(C, name='quern_name') result(given)
            import
            type(c_ptr), value :: dataset, text
            type(c_ptr) :: given
        end function
        function c_tolerate(dataset, policy, most) bind(C, name='quern_tolerate') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int), value :: policy
            integer(c_int64_t), value :: most
            type(c_ptr) :: given
        end function
        function c_schema(dataset) bind(C, name='quern_dataset_schema') result(given)
            import
            type(c_ptr), value :: dataset
            type(quern_schema) :: given
        end function
        function c_map(dataset, schema, fn, user) bind(C, name='quern_map') result(given)
            import
            type(c_ptr), value :: dataset
            type(quern_schema), value :: schema
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_flat_map(dataset, schema, fn, user) bind(C, name='quern_flat_map') result(given)
            import
            type(c_ptr), value :: dataset
            type(quern_schema), value :: schema
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_flat_map_block(dataset, schema, fn, user) bind(C, name='quern_flat_map_block') result(given)
            import
            type(c_ptr), value :: dataset
            type(quern_schema), value :: schema
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_filter(dataset, fn, user) bind(C, name='quern_filter') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_key_by(dataset, type, bytes, fn, user) bind(C, name='quern_key_by') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int), value :: type
            integer(c_int32_t), value :: bytes
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_keys(dataset) bind(C, name='quern_keys') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_ptr) :: given
        end function
        function c_value_as_key(dataset) bind(C, name='quern_value_as_key') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_ptr) :: given
        end function
        function c_sample(dataset, fraction, seed) bind(C, name='quern_sample') result(given)
            import
            type(c_ptr), value :: dataset
            real(c_double), value :: fraction
            integer(c_int64_t), value :: seed
            type(c_ptr) :: given
        end function
        function c_union(left, right) bind(C, name='quern_union') result(given)
            import
            type(c_ptr), value :: left, right
            type(c_ptr) :: given
        end function
        function c_reduce(dataset, reduction) bind(C, name='quern_reduce_by_key') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int), value :: reduction
            type(c_ptr) :: given
        end function
        function c_reduce_with(dataset, fn, user) bind(C, name='quern_reduce_by_key_with') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_aggregate(dataset, how, user) bind(C, name='quern_aggregate_by_key') result(given)
            import
            type(c_ptr), value :: dataset, how, user
            type(c_ptr) :: given
        end function
        function c_count_by_key(dataset) bind(C, name='quern_count_by_key') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_ptr) :: given
        end function
        function c_distinct(dataset) bind(C, name='quern_distinct') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_ptr) :: given
        end function
        function c_histogram(dataset, bounds, count) bind(C, name='quern_histogram') result(given)
            import
            type(c_ptr), value :: dataset, bounds
            integer(c_size_t), value :: count
            type(c_ptr) :: given
        end function
        function c_top_k_by_key(dataset, k) bind(C, name='quern_top_k_by_key') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int64_t), value :: k
            type(c_ptr) :: given
        end function
        function c_sort(dataset, options) bind(C, name='quern_sort_by_key') result(given)
            import
            type(c_ptr), value :: dataset, options
            type(c_ptr) :: given
        end function
        function c_group(dataset, schema, fn, user, options) bind(C, name='quern_group_by_key') result(given)
            import
            type(c_ptr), value :: dataset
            type(quern_schema), value :: schema
            type(c_funptr), value :: fn
            type(c_ptr), value :: user, options
            type(c_ptr) :: given
        end function
        function c_cogroup(left, right, schema, fn, user) bind(C, name='quern_cogroup') result(given)
            import
            type(c_ptr), value :: left, right
            type(quern_schema), value :: schema
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            type(c_ptr) :: given
        end function
        function c_join(left, right, type, schema, fn, user, options) bind(C, name='quern_join_with') result(given)
            import
            type(c_ptr), value :: left, right
            integer(c_int), value :: type
            type(quern_schema), value :: schema
            type(c_funptr), value :: fn
            type(c_ptr), value :: user, options
            type(c_ptr) :: given
        end function
        function c_values_next(values, span) bind(C, name='quern_values_next') result(given)
            import
            type(c_ptr), value :: values
            type(quern_span), intent(out) :: span
            integer(c_int) :: given
        end function
        function c_values_rewind(values) bind(C, name='quern_values_rewind') result(given)
            import
            type(c_ptr), value :: values
            integer(c_int) :: given
        end function
        function c_cache(dataset) bind(C, name='quern_cache') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_ptr) :: given
        end function
        subroutine c_uncache(dataset) bind(C, name='quern_uncache')
            import
            type(c_ptr), value :: dataset
        end subroutine
        function c_zip(dataset, schema, fn, user) bind(C, name='quern_zip_with_index') result(given)
            import
            type(c_ptr), value :: dataset
            type(quern_schema), value :: schema
            type(c_ptr), value :: fn, user
            type(c_ptr) :: given
        end function
        function c_prefix_sum(dataset) bind(C, name='quern_prefix_sum') result(given)
            import
            type(c_ptr), value :: dataset
            type(c_ptr) :: given
        end function
        function c_quantiles(dataset, fractions, count) bind(C, name='quern_quantiles') result(given)
            import
            type(c_ptr), value :: dataset, fractions
            integer(c_size_t), value :: count
            type(c_ptr) :: given
        end function
        function c_iterate(context, initial, how, user, last) bind(C, name='quern_iterate') result(given)
            import
            type(c_ptr), value :: context, initial, how, user
            type(c_ptr), intent(out) :: last
            integer(c_int) :: given
        end function
        function c_iterate_links(links, initial, program, user) bind(C, name='quern_iterate_links') result(given)
            import
            type(c_ptr), value :: links, initial, program, user
            type(c_ptr) :: given
        end function
        function c_broadcast(context, data, bytes, shared) bind(C, name='quern_broadcast') result(given)
            import
            type(c_ptr), value :: context, data
            integer(c_size_t), value :: bytes
            type(c_ptr), intent(out) :: shared
            integer(c_int) :: given
        end function
        function c_shared_data(shared) bind(C, name='quern_shared_data') result(given)
            import
            type(c_ptr), value :: shared
            type(c_ptr) :: given
        end function
        function c_shared_bytes(shared) bind(C, name='quern_shared_bytes') result(given)
            import
            type(c_ptr), value :: shared
            integer(c_size_t) :: given
        end function
        function c_shared_is_private(shared) bind(C, name='quern_shared_is_private') result(given)
            import
            type(c_ptr), value :: shared
            integer(c_int) :: given
        end function
        subroutine c_shared_free(shared) bind(C, name='quern_shared_free')
            import
            type(c_ptr), value :: shared
        end subroutine
        function c_write_text(dataset, path) bind(C, name='quern_write_text') result(given)
            import
            type(c_ptr), value :: dataset, path
            integer(c_int) :: given
        end function
        function c_write_fixed(dataset, path) bind(C, name='quern_write_fixed') result(given)
            import
            type(c_ptr), value :: dataset, path
            integer(c_int) :: given
        end function
        function c_write_files(dataset, path, options) bind(C, name='quern_write_files') result(given)
            import
            type(c_ptr), value :: dataset, path, options
            integer(c_int) :: given
        end function
        function c_write_hdf5(dataset, path, options) bind(C, name='quern_write_hdf5') result(given)
            import
            type(c_ptr), value :: dataset, path, options
            integer(c_int) :: given
        end function
        function c_top_k(dataset, k, fn, user) bind(C, name='quern_top_k') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int64_t), value :: k
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            integer(c_int) :: given
        end function
        function c_collect(dataset, to, fn, user) bind(C, name='quern_collect') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int), value :: to
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            integer(c_int) :: given
        end function
        function c_columns(dataset, to) bind(C, name='quern_columns_collect') result(given)
            import
            type(c_ptr), value :: dataset
            integer(c_int), value :: to
            type(c_ptr) :: given
        end function
        function c_columns_count(columns) bind(C, name='quern_columns_count') result(given)
            import
            type(c_ptr), value :: columns
            integer(c_size_t) :: given
        end function
        function c_columns_keys(columns) bind(C, name='quern_columns_keys') result(given)
            import
            type(c_ptr), value :: columns
            type(c_ptr) :: given
        end function
        function c_columns_key_ends(columns) bind(C, name='quern_columns_key_ends') result(given)
            import
            type(c_ptr), value :: columns
            type(c_ptr) :: given
        end function
        function c_columns_values(columns) bind(C, name='quern_columns_values') result(given)
            import
            type(c_ptr), value :: columns
            type(c_ptr) :: given
        end function
        function c_columns_value_ends(columns) bind(C, name='quern_columns_value_ends') result(given)
            import
            type(c_ptr), value :: columns
            type(c_ptr) :: given
        end function
        subroutine c_columns_free(columns) bind(C, name='quern_columns_free')
            import
            type(c_ptr), value :: columns
        end subroutine
        function c_counter(context, name) bind(C, name='quern_counter_create') result(given)
            import
            type(c_ptr), value :: context, name
            type(c_ptr) :: given
        end function
        subroutine c_counter_add(counter, amount) bind(C, name='quern_counter_add')
            import
            type(c_ptr), value :: counter
            integer(c_int64_t), value :: amount
        end subroutine
        function c_counter_value(counter) bind(C, name='quern_counter_value') result(given)
            import
            type(c_ptr), value :: counter
            integer(c_int64_t) :: given
        end function
        function c_run(context) bind(C, name='quern_run') result(given)
            import
            type(c_ptr), value :: context
            integer(c_int) :: given
        end function
        subroutine c_note_parameter(context, name, value, bytes) bind(C, name='quern_note_parameter')
            import
            type(c_ptr), value :: context, name, value
            integer(c_size_t), value :: bytes
        end subroutine
        subroutine c_note_file(context, path) bind(C, name='quern_note_file')
            import
            type(c_ptr), value :: context, path
        end subroutine
        function c_on_progress(context, fn, user) bind(C, name='quern_on_progress') result(given)
            import
            type(c_ptr), value :: context
            type(c_funptr), value :: fn
            type(c_ptr), value :: user
            integer(c_int) :: given
        end function
        function c_explain(context, form, text) bind(C, name='quern_explain') result(given)
            import
            type(c_ptr), value :: context
            integer(c_int), value :: form
            type(c_ptr), intent(out) :: text
            integer(c_int) :: given
        end function
        function c_emit(out, key, value) bind(C, name='quern_emit') result(given)
            import
            type(c_ptr), value :: out
            type(quern_span), value :: key, value
            integer(c_int) :: given
        end function
        function c_fail(out, record, text) bind(C, name='quern_fail') result(given)
            import
            type(c_ptr), value :: out
            integer(c_size_t), value :: record
            type(c_ptr), value :: text
            integer(c_int) :: given
        end function
        function c_fail_because(text) bind(C, name='quern_fail_because') result(given)
            import
            type(c_ptr), value :: text
            integer(c_int) :: given
        end function
        subroutine c_free(memory) bind(C, name='free')
            import
            type(c_ptr), value :: memory
        end subroutine
        function c_strlen(text) bind(C, name='strlen') result(given)
            import
            type(c_ptr), value :: text
            integer(c_size_t) :: given
        end function
    end interface
end module
