! SPDX-License-Identifier: BSD-3-Clause
! What programs call: see quern.f90.
module quern_calls
    use, intrinsic :: iso_c_binding
    use mpi_f08, only: MPI_Comm
    use quern_prototypes
    use quern_types
    implicit none
    private

    ! ---- what is called

    interface quern_context_create
        module procedure create_on_world, create_on_f08, create_on_handle
    end interface
    interface quern_emit ! of keys and values of character, integer(c_int64_t), real(c_double); or spans of anything
        module procedure emit_spans, emit_text_none, emit_text_text, emit_text_i64, emit_text_f64, &
            emit_i64_none, emit_i64_text, emit_i64_i64, emit_i64_f64, &
            emit_f64_none, emit_f64_text, emit_f64_i64, emit_f64_f64
    end interface
    interface quern_columns_keys ! as a pointer to an array, until quern_columns_free()
        module procedure keys_i32, keys_i64, keys_f32, keys_f64
    end interface
    interface quern_columns_values
        module procedure values_i32, values_i64, values_f32, values_f64
    end interface
    public :: quern_context_create, quern_emit, quern_columns_keys, quern_columns_values
    public :: quern_context_destroy, quern_context_rank, quern_context_size, quern_context_error_text, &
        quern_status_name, &
        quern_exit_status, quern_argument_count, quern_argument
    public :: quern_read_text, quern_read_fixed, quern_read_csv, quern_read_sequences, quern_read_sequence_pairs, &
        quern_read_files, &
        quern_read_hdf5, quern_read_memory, quern_renew_memory
    public :: quern_name, quern_tolerate, quern_dataset_schema, quern_map, quern_flat_map, quern_flat_map_block, &
        quern_filter, &
        quern_key_by, quern_keys, quern_value_as_key, quern_sample, quern_union
    public :: quern_reduce_by_key, quern_reduce_by_key_with, quern_aggregate_by_key, quern_count_by_key, &
        quern_distinct, &
        quern_histogram, quern_top_k_by_key, quern_sort_by_key, quern_group_by_key, quern_cogroup, quern_join, &
        quern_values_next, &
        quern_values_rewind
    public :: quern_cache, quern_uncache, quern_zip_with_index, quern_prefix_sum, quern_quantiles, quern_iterate, &
        quern_iterate_links
    public :: quern_broadcast, quern_shared_data, quern_shared_bytes, quern_shared_is_private, quern_shared_free
    public :: quern_write_text, quern_write_fixed, quern_write_files, quern_write_hdf5, quern_top_k, quern_collect, &
        quern_columns_collect, quern_columns_count, quern_columns_key_text, quern_columns_value_text, &
        quern_columns_free
    public :: quern_note_parameter, quern_note_file
    public :: quern_counter_create, quern_counter_add, quern_counter_value, quern_run, quern_explain
    public :: quern_on_progress, quern_event_text
    public :: quern_fail, quern_fail_because, quern_pair, quern_get_text, quern_get_i64, &
        quern_get_i32, quern_get_f64, quern_get_f32, quern_span_at, &
        quern_block_key, quern_block_value

    type :: c_string
        character(kind=c_char, len=:), pointer :: text => null()
    end type
    type :: c_strings ! as C wants them: pointers, the last one NULL
        type(c_string), allocatable :: texts(:)
        type(c_ptr), pointer :: items(:) => null()
    end type
    type(c_strings), save :: arguments_left ! of the program, without --quern-…
    integer, save :: argument_count_left = -1
    character(kind=c_char), save, target :: nothing = ' '

contains

    ! ---- strings

    function c_text(text) result(made)
        character(len=*), intent(in) :: text
        character(kind=c_char, len=:), allocatable :: made

        made = trim(text)//c_null_char
    end function

    function f_text(from) result(made)
        type(c_ptr), intent(in) :: from
        character(len=:), allocatable :: made

        made = bytes_at(from, c_strlen(from))
    end function

    function bytes_at(from, count) result(made)
        type(c_ptr), intent(in) :: from
        integer(c_size_t), intent(in) :: count
        character(len=:), allocatable :: made
        character(kind=c_char), pointer :: bytes(:)
        integer(c_size_t) :: i

        allocate(character(len=count) :: made)
        if (count == 0) return
        call c_f_pointer(from, bytes, [count])
        do i = 1, count
            made(i:i) = bytes(i)
        end do
    end function

    subroutine add_string(to, index, text)
        type(c_strings), intent(inout) :: to
        integer, intent(in) :: index
        character(len=*), intent(in) :: text

        allocate(character(kind=c_char, len=len(text) + 1) :: to%texts(index)%text)
        to%texts(index)%text = text//c_null_char
        to%items(index) = c_loc(to%texts(index)%text)
    end subroutine

    subroutine make_strings(to, count)
        type(c_strings), intent(inout) :: to
        integer, intent(in) :: count

        call free_strings(to)
        allocate(to%texts(count), to%items(count + 1))
        to%items = c_null_ptr
    end subroutine

    subroutine free_strings(which)
        type(c_strings), intent(inout) :: which
        integer :: i

        if (.not. allocated(which%texts)) return
        do i = 1, size(which%texts)
            if (associated(which%texts(i)%text)) deallocate(which%texts(i)%text)
        end do
        deallocate(which%texts, which%items)
    end subroutine

    subroutine strings_of(paths, made)
        character(len=*), intent(in) :: paths(:)
        type(c_strings), intent(inout) :: made
        integer :: i

        call make_strings(made, size(paths))
        do i = 1, size(paths)
            call add_string(made, i, trim(paths(i)))
        end do
    end subroutine

    ! ---- failures

    ! What a call gave goes to ierr, or ends the program.
    subroutine settle(status, context, ierr)
        integer(c_int), intent(in) :: status
        type(c_ptr), intent(in) :: context
        integer, intent(out), optional :: ierr

        if (present(ierr)) then
            ierr = status
        else if (status /= QUERN_OK) then
            error stop f_text(c_error_text(context))
        end if
    end subroutine

    function quern_status_name(status) result(name)
        integer, intent(in) :: status
        character(len=:), allocatable :: name

        name = f_text(c_status_name(int(status, c_int)))
    end function

    integer function quern_exit_status(status)
        integer, intent(in) :: status

        quern_exit_status = c_exit_status(int(status, c_int))
    end function

    ! ---- the context

    ! argv: the name of the program, options without --quern-, and then its arguments, if they are to be looked at.
    subroutine make_arguments(options, with_arguments, argv, argc)
        character(len=*), intent(in), optional :: options(:)
        logical, intent(in) :: with_arguments
        type(c_strings), intent(inout) :: argv
        integer(c_int), intent(out) :: argc
        character(len=:), allocatable :: text
        integer :: option_count, own, i, length

        option_count = 0
        if (present(options)) option_count = size(options)
        own = 0
        if (with_arguments) own = command_argument_count()
        argc = int(1 + option_count + own, c_int)
        call make_strings(argv, int(argc))
        call add_string(argv, 1, 'fortran')
        do i = 1, option_count
            call add_string(argv, 1 + i, '--quern-'//trim(options(i)))
        end do
        do i = 1, own
            call get_command_argument(i, length=length)
            allocate(character(len=length) :: text)
            if (length > 0) call get_command_argument(i, text)
            call add_string(argv, 1 + option_count + i, text)
            deallocate(text)
        end do
    end subroutine

    ! On all ranks of the launch: MPI is initialised if nobody has. options: 'memory=8G' and so on. Takes --quern-… out of the program's
    ! arguments: the others are quern_argument(1) to quern_argument(quern_argument_count()). Collective.
    subroutine create_on_world(context, options, ierr)
        type(quern_context), intent(out) :: context
        character(len=*), intent(in), optional :: options(:)
        integer, intent(out), optional :: ierr
        integer(c_int) :: argc, status

        call make_arguments(options, .true., arguments_left, argc)
        status = c_create(argc, c_loc(arguments_left%items), c_null_ptr, context%raw)
        argument_count_left = argc - 1
        call settle(status, c_null_ptr, ierr)
    end subroutine

    ! On a duplicate of a communicator. Collective over it.
    subroutine create_on_f08(context, comm, options, ierr)
        type(quern_context), intent(out) :: context
        type(MPI_Comm), intent(in) :: comm
        character(len=*), intent(in), optional :: options(:)
        integer, intent(out), optional :: ierr

        call create_on_handle(context, comm%MPI_VAL, options, ierr)
    end subroutine

    subroutine create_on_handle(context, comm, options, ierr)
        type(quern_context), intent(out) :: context
        integer, intent(in) :: comm
        character(len=*), intent(in), optional :: options(:)
        integer, intent(out), optional :: ierr
        type(c_strings) :: argv
        integer(c_int) :: argc, status

        call make_arguments(options, .false., argv, argc)
        status = c_create_on(int(comm, c_int), argc, c_loc(argv%items), context%raw)
        call free_strings(argv)
        call settle(status, c_null_ptr, ierr)
    end subroutine

    ! Collective. Of a context that could not be created, too.
    subroutine quern_context_destroy(context)
        type(quern_context), intent(inout) :: context

        call c_destroy(context%raw)
        context%raw = c_null_ptr
    end subroutine

    integer function quern_context_rank(context)
        type(quern_context), intent(in) :: context

        quern_context_rank = c_rank(context%raw)
    end function

    integer function quern_context_size(context)
        type(quern_context), intent(in) :: context

        quern_context_size = c_size(context%raw)
    end function

    function quern_context_error_text(context) result(text)
        type(quern_context), intent(in) :: context
        character(len=:), allocatable :: text

        text = f_text(c_error_text(context%raw))
    end function

    integer function quern_argument_count()
        quern_argument_count = argument_count_left
        if (argument_count_left < 0) quern_argument_count = command_argument_count()
    end function

    ! An argument of the program, from 1 on, when options were taken out; '' if there is none.
    function quern_argument(index) result(text)
        integer, intent(in) :: index
        character(len=:), allocatable :: text

        text = ''
        if (index >= 1 .and. index <= argument_count_left) text = f_text(arguments_left%items(1 + index))
    end function

    ! ---- sources

    type(quern_dataset) function quern_read_text(context, paths, delimiters, skip_empty, value, &
        as_stored) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: paths(:)
        character(len=*), intent(in), target, optional :: delimiters
        logical, intent(in), optional :: skip_empty, as_stored
        integer, intent(in), optional :: value
        type(quern_text_options), target :: options
        type(c_strings) :: list

        options%struct_size = c_sizeof(options)
        if (present(delimiters)) then
            options%delimiters = c_loc(delimiters)
            options%delimiter_count = len(delimiters)
        end if
        if (present(skip_empty)) options%skip_empty = merge(1, 0, skip_empty)
        if (present(as_stored)) options%as_stored = merge(1, 0, as_stored)
        if (present(value)) options%value = value
        call strings_of(paths, list)
        made%raw = c_read_text(context%raw, c_loc(list%items), size(paths, kind=c_size_t), c_loc(options))
        call free_strings(list)
    end function

    ! options: the size of it need not be set, in these calls and those that follow.
    type(quern_dataset) function quern_read_fixed(context, paths, options) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: paths(:)
        type(quern_fixed_options), intent(in) :: options
        type(quern_fixed_options), target :: how
        type(c_strings) :: list

        how = options
        how%struct_size = c_sizeof(how)
        call strings_of(paths, list)
        made%raw = c_read_fixed(context%raw, c_loc(list%items), size(paths, kind=c_size_t), c_loc(how))
        call free_strings(list)
    end function

    type(quern_dataset) function quern_read_csv(context, paths, options, key_name) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: paths(:)
        type(quern_csv_options), intent(in), optional :: options
        character(len=*), intent(in), optional :: key_name
        type(quern_csv_options), target :: how
        character(kind=c_char, len=:), allocatable, target :: name
        type(c_strings) :: list

        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        if (present(key_name)) then
            name = c_text(key_name)
            how%key_name = c_loc(name)
        end if
        call strings_of(paths, list)
        made%raw = c_read_csv(context%raw, c_loc(list%items), size(paths, kind=c_size_t), c_loc(how))
        call free_strings(list)
    end function

    type(quern_dataset) function quern_read_sequences(context, paths, options) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: paths(:)
        type(quern_sequence_options), intent(in), optional :: options
        type(quern_sequence_options), target :: how
        type(c_strings) :: list

        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        call strings_of(paths, list)
        made%raw = c_read_sequences(context%raw, c_loc(list%items), size(paths, kind=c_size_t), c_loc(how))
        call free_strings(list)
    end function

    type(quern_dataset) function quern_read_sequence_pairs(context, first_path, second_path, options) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: first_path, second_path
        type(quern_sequence_options), intent(in), optional :: options
        type(quern_sequence_options), target :: how
        character(kind=c_char, len=:), allocatable, target :: first, second

        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        first = c_text(first_path)
        second = c_text(second_path)
        made%raw = c_read_sequence_pairs(context%raw, c_loc(first), c_loc(second), c_loc(how))
    end function

    type(quern_dataset) function quern_read_files(context, paths) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: paths(:)
        type(c_strings) :: list

        call strings_of(paths, list)
        made%raw = c_read_files(context%raw, c_loc(list%items), size(paths, kind=c_size_t), c_null_ptr)
        call free_strings(list)
    end function

    type(quern_dataset) function quern_read_hdf5(context, paths, dataset, options) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: paths(:), dataset
        type(quern_hdf5_options), intent(in), optional :: options
        type(quern_hdf5_options), target :: how
        character(kind=c_char, len=:), allocatable, target :: name
        type(c_strings) :: list

        how%record = QUERN_HDF5_ELEMENTS
        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        name = c_text(dataset)
        how%dataset = c_loc(name)
        call strings_of(paths, list)
        made%raw = c_read_hdf5(context%raw, c_loc(list%items), size(paths, kind=c_size_t), c_loc(how))
        call free_strings(list)
    end function

    ! Arrays of this rank, which are not copied: of TARGETs, [quern_memory_array(n, c_loc(keys), 0, c_loc(values), 0)].
    type(quern_dataset) function quern_read_memory(context, schema, arrays) result(made)
        type(quern_context), intent(in) :: context
        type(quern_schema), intent(in) :: schema
        type(quern_memory_array), intent(in) :: arrays(:)
        type(quern_memory_array), target :: copies(size(arrays) + 1)

        copies(:size(arrays)) = arrays
        made%raw = c_read_memory(context%raw, schema, c_loc(copies), size(arrays, kind=c_size_t))
    end function

    subroutine quern_renew_memory(dataset, arrays)
        type(quern_dataset), intent(in) :: dataset
        type(quern_memory_array), intent(in) :: arrays(:)
        type(quern_memory_array), target :: copies(size(arrays) + 1)
        integer(c_int) :: ignored

        copies(:size(arrays)) = arrays
        ignored = c_renew_memory(dataset%raw, c_loc(copies), size(arrays, kind=c_size_t))
    end subroutine

    ! ---- record by record

    type(quern_dataset) function quern_name(dataset, name) result(made)
        type(quern_dataset), intent(in) :: dataset
        character(len=*), intent(in) :: name
        character(kind=c_char, len=:), allocatable, target :: text

        text = c_text(name)
        made%raw = c_name(dataset%raw, c_loc(text))
    end function

    type(quern_dataset) function quern_tolerate(dataset, policy, bad_count_max) result(made)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int), intent(in) :: policy
        integer(c_int64_t), intent(in) :: bad_count_max

        made%raw = c_tolerate(dataset%raw, policy, bad_count_max)
    end function

    type(quern_schema) function quern_dataset_schema(dataset) result(schema)
        type(quern_dataset), intent(in) :: dataset

        schema = c_schema(dataset%raw)
    end function

    pure type(c_ptr) function given(user)
        type(c_ptr), intent(in), optional :: user

        given = c_null_ptr
        if (present(user)) given = user
    end function

    type(quern_dataset) function quern_map(dataset, schema, fn, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        type(quern_schema), intent(in) :: schema
        procedure(quern_map_fn) :: fn
        type(c_ptr), intent(in), optional :: user

        made%raw = c_map(dataset%raw, schema, c_funloc(fn), given(user))
    end function

    type(quern_dataset) function quern_flat_map(dataset, schema, fn, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        type(quern_schema), intent(in) :: schema
        procedure(quern_flat_map_fn) :: fn
        type(c_ptr), intent(in), optional :: user

        made%raw = c_flat_map(dataset%raw, schema, c_funloc(fn), given(user))
    end function

    type(quern_dataset) function quern_flat_map_block(dataset, schema, fn, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        type(quern_schema), intent(in) :: schema
        procedure(quern_flat_map_block_fn) :: fn
        type(c_ptr), intent(in), optional :: user

        made%raw = c_flat_map_block(dataset%raw, schema, c_funloc(fn), given(user))
    end function

    type(quern_dataset) function quern_filter(dataset, fn, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        procedure(quern_filter_fn) :: fn
        type(c_ptr), intent(in), optional :: user

        made%raw = c_filter(dataset%raw, c_funloc(fn), given(user))
    end function

    ! key_bytes: of keys that are structs, or pairs with such.
    type(quern_dataset) function quern_key_by(dataset, key_type, fn, user, key_bytes) result(made)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int), intent(in) :: key_type
        procedure(quern_key_fn) :: fn
        type(c_ptr), intent(in), optional :: user
        integer(c_int32_t), intent(in), optional :: key_bytes
        integer(c_int32_t) :: bytes

        bytes = 0
        if (present(key_bytes)) bytes = key_bytes
        made%raw = c_key_by(dataset%raw, key_type, bytes, c_funloc(fn), given(user))
    end function

    type(quern_dataset) function quern_keys(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_keys(dataset%raw)
    end function

    type(quern_dataset) function quern_value_as_key(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_value_as_key(dataset%raw)
    end function

    type(quern_dataset) function quern_sample(dataset, fraction, seed) result(made)
        type(quern_dataset), intent(in) :: dataset
        real(c_double), intent(in) :: fraction
        integer(c_int64_t), intent(in) :: seed

        made%raw = c_sample(dataset%raw, fraction, seed)
    end function

    type(quern_dataset) function quern_union(left, right) result(made)
        type(quern_dataset), intent(in) :: left, right

        made%raw = c_union(left%raw, right%raw)
    end function

    ! ---- by key

    type(quern_dataset) function quern_reduce_by_key(dataset, reduction) result(made)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int), intent(in) :: reduction

        made%raw = c_reduce(dataset%raw, reduction)
    end function

    ! fn may be called on a thread of the library's: it only reads what is not its argument.
    type(quern_dataset) function quern_reduce_by_key_with(dataset, fn, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        procedure(quern_reduce_fn) :: fn
        type(c_ptr), intent(in), optional :: user

        made%raw = c_reduce_with(dataset%raw, c_funloc(fn), given(user))
    end function

    ! how: with c_funloc() of its functions.
    type(quern_dataset) function quern_aggregate_by_key(dataset, how, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        type(quern_aggregation), intent(in) :: how
        type(c_ptr), intent(in), optional :: user
        type(quern_aggregation), target :: copy

        copy = how
        copy%struct_size = c_sizeof(copy)
        made%raw = c_aggregate(dataset%raw, c_loc(copy), given(user))
    end function

    type(quern_dataset) function quern_count_by_key(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_count_by_key(dataset%raw)
    end function

    type(quern_dataset) function quern_distinct(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_distinct(dataset%raw)
    end function

    type(quern_dataset) function quern_histogram(dataset, bounds) result(made)
        type(quern_dataset), intent(in) :: dataset
        real(c_double), intent(in) :: bounds(:)
        real(c_double), target :: copy(size(bounds) + 1)

        copy(:size(bounds)) = bounds
        made%raw = c_histogram(dataset%raw, c_loc(copy), size(bounds, kind=c_size_t))
    end function

    type(quern_dataset) function quern_top_k_by_key(dataset, k) result(made)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int64_t), intent(in) :: k

        made%raw = c_top_k_by_key(dataset%raw, k)
    end function

    type(quern_dataset) function quern_sort_by_key(dataset, descending, compare, user) result(made)
        type(quern_dataset), intent(in) :: dataset
        logical, intent(in), optional :: descending
        procedure(quern_compare_fn), optional :: compare
        type(c_ptr), intent(in), optional :: user
        type(quern_sort_options), target :: options

        options%struct_size = c_sizeof(options)
        if (present(descending)) options%descending = merge(1, 0, descending)
        if (present(compare)) options%compare = c_funloc(compare)
        options%user = given(user)
        made%raw = c_sort(dataset%raw, c_loc(options))
    end function

    type(quern_dataset) function quern_group_by_key(dataset, schema, fn, user, options) result(made)
        type(quern_dataset), intent(in) :: dataset
        type(quern_schema), intent(in) :: schema
        procedure(quern_group_fn) :: fn
        type(c_ptr), intent(in), optional :: user
        type(quern_group_options), intent(in), optional :: options
        type(quern_group_options), target :: how

        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        made%raw = c_group(dataset%raw, schema, c_funloc(fn), given(user), c_loc(how))
    end function

    type(quern_dataset) function quern_cogroup(left, right, schema, fn, user) result(made)
        type(quern_dataset), intent(in) :: left, right
        type(quern_schema), intent(in) :: schema
        procedure(quern_cogroup_fn) :: fn
        type(c_ptr), intent(in), optional :: user

        made%raw = c_cogroup(left%raw, right%raw, schema, c_funloc(fn), given(user))
    end function

    type(quern_dataset) function quern_join(left, right, join_type, schema, fn, user, options) result(made)
        type(quern_dataset), intent(in) :: left, right
        integer(c_int), intent(in) :: join_type
        type(quern_schema), intent(in) :: schema
        procedure(quern_join_fn) :: fn
        type(c_ptr), intent(in), optional :: user
        type(quern_join_options), intent(in), optional :: options
        type(quern_join_options), target :: how

        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        made%raw = c_join(left%raw, right%raw, join_type, schema, c_funloc(fn), given(user), c_loc(how))
    end function

    ! 1: value is the next one; 0: there is none; below 0: return that from the callback.
    integer(c_int) function quern_values_next(values, value) result(code)
        type(c_ptr), intent(in) :: values
        type(quern_span), intent(out) :: value

        code = c_values_next(values, value)
    end function

    integer(c_int) function quern_values_rewind(values) result(code)
        type(c_ptr), intent(in) :: values

        code = c_values_rewind(values)
    end function

    ! ---- kept and in order

    type(quern_dataset) function quern_cache(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_cache(dataset%raw)
    end function

    subroutine quern_uncache(dataset)
        type(quern_dataset), intent(in) :: dataset

        call c_uncache(dataset%raw)
    end subroutine

    ! The value becomes the index.
    type(quern_dataset) function quern_zip_with_index(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_zip(dataset%raw, quern_schema(), c_null_ptr, c_null_ptr)
    end function

    type(quern_dataset) function quern_prefix_sum(dataset) result(made)
        type(quern_dataset), intent(in) :: dataset

        made%raw = c_prefix_sum(dataset%raw)
    end function

    type(quern_dataset) function quern_quantiles(dataset, fractions) result(made)
        type(quern_dataset), intent(in) :: dataset
        real(c_double), intent(in) :: fractions(:)
        real(c_double), target :: copy(size(fractions) + 1)

        copy(:size(fractions)) = fractions
        made%raw = c_quantiles(dataset%raw, c_loc(copy), size(fractions, kind=c_size_t))
    end function

    ! Values that flow along links. how: with what is to be set but the callbacks and the size.
    type(quern_dataset) function quern_iterate_links(links, how, step, until, initial, user) result(made)
        type(quern_dataset), intent(in) :: links
        type(quern_vertex_program), intent(in) :: how
        procedure(quern_vertices_fn) :: step
        procedure(quern_totals_fn), optional :: until
        type(quern_dataset), intent(in), optional :: initial
        type(c_ptr), intent(in), optional :: user
        type(quern_vertex_program), target :: copy
        type(c_ptr) :: first

        copy = how
        copy%struct_size = c_sizeof(copy)
        copy%step = c_funloc(step)
        if (present(until)) copy%until = c_funloc(until)
        first = c_null_ptr
        if (present(initial)) first = initial%raw
        made%raw = c_iterate_links(links%raw, first, c_loc(copy), given(user))
    end function

    ! Collective; runs. last: the last state, which is kept.
    subroutine quern_iterate(context, initial, step_count_max, step, last, until, user, ierr)
        type(quern_context), intent(in) :: context
        type(quern_dataset), intent(in) :: initial
        integer(c_int64_t), intent(in) :: step_count_max
        procedure(quern_step_fn) :: step
        type(quern_dataset), intent(inout) :: last
        procedure(quern_until_fn), optional :: until
        type(c_ptr), intent(in), optional :: user
        integer, intent(out), optional :: ierr
        type(quern_iteration), target :: how
        integer(c_int) :: status
        type(c_ptr) :: found

        how%struct_size = c_sizeof(how)
        how%step_count_max = step_count_max
        how%step = c_funloc(step)
        if (present(until)) how%until = c_funloc(until)
        status = c_iterate(context%raw, initial%raw, c_loc(how), given(user), found)
        if (status == QUERN_OK) last%raw = found
        call settle(status, context%raw, ierr)
    end subroutine

    ! ---- outputs: what a run gives; their failures are quern_run()'s

    subroutine quern_write_text(dataset, directory)
        type(quern_dataset), intent(in) :: dataset
        character(len=*), intent(in) :: directory
        character(kind=c_char, len=:), allocatable, target :: path
        integer(c_int) :: ignored

        path = c_text(directory)
        ignored = c_write_text(dataset%raw, c_loc(path))
    end subroutine

    subroutine quern_write_fixed(dataset, directory)
        type(quern_dataset), intent(in) :: dataset
        character(len=*), intent(in) :: directory
        character(kind=c_char, len=:), allocatable, target :: path
        integer(c_int) :: ignored

        path = c_text(directory)
        ignored = c_write_fixed(dataset%raw, c_loc(path))
    end subroutine

    subroutine quern_write_files(dataset, directory, options, names)
        type(quern_dataset), intent(in) :: dataset
        character(len=*), intent(in) :: directory
        type(quern_output_options), intent(in) :: options
        character(len=*), intent(in), optional :: names(:)
        type(quern_output_options), target :: how
        character(kind=c_char, len=:), allocatable, target :: path
        type(c_strings) :: list
        integer(c_int) :: ignored

        how = options
        how%struct_size = c_sizeof(how)
        path = c_text(directory)
        if (present(names)) then
            call strings_of(names, list)
            how%names = c_loc(list%items)
            how%name_count = size(names, kind=c_size_t)
        end if
        ignored = c_write_files(dataset%raw, c_loc(path), c_loc(how))
        if (present(names)) call free_strings(list)
    end subroutine

    subroutine quern_write_hdf5(dataset, path, name, options)
        type(quern_dataset), intent(in) :: dataset
        character(len=*), intent(in) :: path, name
        type(quern_hdf5_write_options), intent(in), optional :: options
        type(quern_hdf5_write_options), target :: how
        character(kind=c_char, len=:), allocatable, target :: file, in_file
        integer(c_int) :: ignored

        if (present(options)) how = options
        how%struct_size = c_sizeof(how)
        in_file = c_text(name)
        how%dataset = c_loc(in_file)
        file = c_text(path)
        ignored = c_write_hdf5(dataset%raw, c_loc(file), c_loc(how))
    end subroutine

    subroutine quern_top_k(dataset, k, fn, user)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int64_t), intent(in) :: k
        procedure(quern_each_fn) :: fn
        type(c_ptr), intent(in), optional :: user
        integer(c_int) :: ignored

        ignored = c_top_k(dataset%raw, k, c_funloc(fn), given(user))
    end subroutine

    subroutine quern_collect(dataset, to, fn, user)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int), intent(in) :: to
        procedure(quern_each_fn) :: fn
        type(c_ptr), intent(in), optional :: user
        integer(c_int) :: ignored

        ignored = c_collect(dataset%raw, to, c_funloc(fn), given(user))
    end subroutine

    ! Records as arrays, after the run.
    type(quern_columns) function quern_columns_collect(dataset, to) result(made)
        type(quern_dataset), intent(in) :: dataset
        integer(c_int), intent(in) :: to

        made%raw = c_columns(dataset%raw, to)
    end function

    integer(c_int64_t) function quern_columns_count(columns) result(count)
        type(quern_columns), intent(in) :: columns

        count = 0
        if (c_associated(columns%raw)) count = c_columns_count(columns%raw)
    end function

    subroutine keys_i32(columns, array)
        type(quern_columns), intent(in) :: columns
        integer(c_int32_t), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_keys(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine keys_i64(columns, array)
        type(quern_columns), intent(in) :: columns
        integer(c_int64_t), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_keys(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine keys_f32(columns, array)
        type(quern_columns), intent(in) :: columns
        real(c_float), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_keys(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine keys_f64(columns, array)
        type(quern_columns), intent(in) :: columns
        real(c_double), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_keys(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine values_i32(columns, array)
        type(quern_columns), intent(in) :: columns
        integer(c_int32_t), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_values(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine values_i64(columns, array)
        type(quern_columns), intent(in) :: columns
        integer(c_int64_t), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_values(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine values_f32(columns, array)
        type(quern_columns), intent(in) :: columns
        real(c_float), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_values(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    subroutine values_f64(columns, array)
        type(quern_columns), intent(in) :: columns
        real(c_double), pointer, intent(out) :: array(:)

        call c_f_pointer(c_columns_values(columns%raw), array, [quern_columns_count(columns)])
    end subroutine

    ! The entry at an index, from 1 on, of a column of bytes.
    function entry_text(data, ends, index) result(text)
        type(c_ptr), intent(in) :: data, ends
        integer(c_int64_t), intent(in) :: index
        character(len=:), allocatable :: text
        character(kind=c_char), pointer :: bytes(:)
        integer(c_int64_t), pointer :: stops(:)
        integer(c_int64_t) :: from

        call c_f_pointer(ends, stops, [index])
        from = 0
        if (index > 1) from = stops(index - 1)
        call c_f_pointer(data, bytes, [max(stops(index), 1_c_int64_t)])
        if (stops(index) > from) then
            text = bytes_at(c_loc(bytes(from + 1)), int(stops(index) - from, c_size_t))
        else
            text = ''
        end if
    end function

    function quern_columns_key_text(columns, index) result(text)
        type(quern_columns), intent(in) :: columns
        integer(c_int64_t), intent(in) :: index
        character(len=:), allocatable :: text

        text = entry_text(c_columns_keys(columns%raw), c_columns_key_ends(columns%raw), index)
    end function

    function quern_columns_value_text(columns, index) result(text)
        type(quern_columns), intent(in) :: columns
        integer(c_int64_t), intent(in) :: index
        character(len=:), allocatable :: text

        text = entry_text(c_columns_values(columns%raw), c_columns_value_ends(columns%raw), index)
    end function

    subroutine quern_columns_free(columns)
        type(quern_columns), intent(inout) :: columns

        call c_columns_free(columns%raw)
        columns%raw = c_null_ptr
    end subroutine

    ! ---- counters, running

    type(quern_counter) function quern_counter_create(context, name) result(made)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: name
        character(kind=c_char, len=:), allocatable, target :: text

        text = c_text(name)
        made%raw = c_counter(context%raw, c_loc(text))
    end function

    subroutine quern_counter_add(counter, amount)
        type(quern_counter), intent(in) :: counter
        integer(c_int64_t), intent(in) :: amount

        call c_counter_add(counter%raw, amount)
    end subroutine

    integer(c_int64_t) function quern_counter_value(counter)
        type(quern_counter), intent(in) :: counter

        quern_counter_value = c_counter_value(counter%raw)
    end function

    ! What the work depends on besides what is known (quern/resume.h), as a text: numbers are written into one before. Local; a failure is the next run's.
    subroutine quern_note_parameter(context, name, value)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: name, value
        character(kind=c_char, len=:), allocatable, target :: label, text

        label = c_text(name)
        text = value//c_null_char ! with blanks at its end, too
        call c_note_parameter(context%raw, c_loc(label), c_loc(text), int(len(value), c_size_t))
    end subroutine

    ! And on the content of a file. The same.
    subroutine quern_note_file(context, path)
        type(quern_context), intent(in) :: context
        character(len=*), intent(in) :: path
        character(kind=c_char, len=:), allocatable, target :: text

        text = c_text(path)
        call c_note_file(context%raw, c_loc(text))
    end subroutine

    ! Collective: the bytes at an address of rank 0, c_loc() of a TARGET, for all ranks; of others data and bytes have no meaning.
    subroutine quern_broadcast(context, data, bytes, shared, ierr)
        type(quern_context), intent(in) :: context
        type(c_ptr), intent(in) :: data
        integer(c_size_t), intent(in) :: bytes
        type(quern_shared), intent(out) :: shared
        integer, intent(out), optional :: ierr

        call settle(c_broadcast(context%raw, data, bytes, shared%raw), context%raw, ierr)
    end subroutine

    ! Where the bytes are, for c_f_pointer(); they can only be read.
    type(c_ptr) function quern_shared_data(shared)
        type(quern_shared), intent(in) :: shared

        quern_shared_data = c_shared_data(shared%raw)
    end function

    integer(c_size_t) function quern_shared_bytes(shared)
        type(quern_shared), intent(in) :: shared

        quern_shared_bytes = c_shared_bytes(shared%raw)
    end function

    logical function quern_shared_is_private(shared)
        type(quern_shared), intent(in) :: shared

        quern_shared_is_private = c_shared_is_private(shared%raw) /= 0
    end function

    ! The same on all ranks.
    subroutine quern_shared_free(shared)
        type(quern_shared), intent(inout) :: shared

        call c_shared_free(shared%raw)
        shared%raw = c_null_ptr
    end subroutine

    ! Collective: does all that was asked for since the last run.
    subroutine quern_run(context, ierr)
        type(quern_context), intent(in) :: context
        integer, intent(out), optional :: ierr

        call settle(c_run(context%raw), context%raw, ierr)
    end subroutine

    ! fn is told what happens from now on, on rank 0; without fn nobody is.
    subroutine quern_on_progress(context, fn, user, ierr)
        type(quern_context), intent(in) :: context
        procedure(quern_progress_fn), optional :: fn
        type(c_ptr), intent(in), optional :: user
        integer, intent(out), optional :: ierr
        type(c_funptr) :: called
        type(c_ptr) :: handed

        called = c_null_funptr
        handed = c_null_ptr
        if (present(fn)) called = c_funloc(fn)
        if (present(user)) handed = user
        call settle(c_on_progress(context%raw, called, handed), context%raw, ierr)
    end subroutine

    ! A text of an event: event%text, say. Within the callback.
    function quern_event_text(from) result(text)
        type(c_ptr), intent(in) :: from
        character(len=:), allocatable :: text

        text = f_text(from)
    end function

    ! The plan as text for people.
    function quern_explain(context, ierr) result(text)
        type(quern_context), intent(in) :: context
        integer, intent(out), optional :: ierr
        character(len=:), allocatable :: text
        type(c_ptr) :: plan
        integer(c_int) :: status

        text = ''
        status = c_explain(context%raw, 1_c_int, plan)
        if (status == QUERN_OK) then
            text = f_text(plan)
            call c_free(plan)
        end if
        call settle(status, context%raw, ierr)
    end function

    ! ---- within callbacks

    integer(c_int) function quern_fail(out, text, record) result(code)
        type(c_ptr), intent(in) :: out
        character(len=*), intent(in) :: text
        integer(c_size_t), intent(in), optional :: record ! of the block, from 0
        character(kind=c_char, len=:), allocatable, target :: why
        integer(c_size_t) :: which

        why = c_text(text)
        which = 0
        if (present(record)) which = record
        code = c_fail(out, which, c_loc(why))
    end function

    integer(c_int) function quern_fail_because(text) result(code)
        character(len=*), intent(in) :: text
        character(kind=c_char, len=:), allocatable, target :: why

        why = c_text(text)
        code = c_fail_because(c_loc(why))
    end function

    ! The type of keys that are two in one.
    pure integer(c_int) function quern_pair(first, second)
        integer(c_int), intent(in) :: first, second

        quern_pair = ior(ishft(1_c_int, 16), ior(ishft(first, 8), second))
    end function

    ! What a span holds, copied.
    function quern_get_text(span) result(text)
        type(quern_span), intent(in) :: span
        character(len=:), allocatable :: text

        text = bytes_at(span%data, span%bytes)
    end function

    integer(c_int32_t) function quern_get_i32(span) result(number)
        type(quern_span), intent(in) :: span
        integer(c_int8_t), pointer :: bytes(:) ! which need not be aligned

        call c_f_pointer(span%data, bytes, [4])
        number = transfer(bytes, number)
    end function

    integer(c_int64_t) function quern_get_i64(span) result(number)
        type(quern_span), intent(in) :: span
        integer(c_int8_t), pointer :: bytes(:) ! which need not be aligned

        call c_f_pointer(span%data, bytes, [8])
        number = transfer(bytes, number)
    end function

    real(c_float) function quern_get_f32(span) result(number)
        type(quern_span), intent(in) :: span
        integer(c_int8_t), pointer :: bytes(:) ! which need not be aligned

        call c_f_pointer(span%data, bytes, [4])
        number = transfer(bytes, number)
    end function

    real(c_double) function quern_get_f64(span) result(number)
        type(quern_span), intent(in) :: span
        integer(c_int8_t), pointer :: bytes(:) ! which need not be aligned

        call c_f_pointer(span%data, bytes, [8])
        number = transfer(bytes, number)
    end function

    ! What left or right of a join point to; of C_NULL_PTR a span without data.
    type(quern_span) function quern_span_at(pointer) result(span)
        type(c_ptr), intent(in) :: pointer
        type(quern_span), pointer :: found

        if (.not. c_associated(pointer)) return
        call c_f_pointer(pointer, found)
        span = found
    end function

    type(quern_span) function span_of(spans, sizes, index) result(span)
        type(c_ptr), intent(in) :: spans, sizes
        integer(c_size_t), intent(in) :: index
        type(c_ptr), pointer :: data(:)
        integer(c_int32_t), pointer :: bytes(:)

        call c_f_pointer(spans, data, [index + 1])
        call c_f_pointer(sizes, bytes, [index + 1])
        span = quern_span(data(index + 1), int(bytes(index + 1), c_size_t))
    end function

    ! Of a block's record, from 0.
    type(quern_span) function quern_block_key(block, record) result(span)
        type(quern_block), intent(in) :: block
        integer(c_size_t), intent(in) :: record

        span = span_of(block%key, block%key_bytes, record)
    end function

    type(quern_span) function quern_block_value(block, record) result(span)
        type(quern_block), intent(in) :: block
        integer(c_size_t), intent(in) :: record

        span = span_of(block%value, block%value_bytes, record)
    end function

    type(quern_span) function text_span(text) result(span)
        character(len=*), target, intent(in) :: text

        span = quern_span(c_loc(nothing), 0)
        if (len(text) > 0) span = quern_span(c_loc(text), len(text))
    end function

    integer(c_int) function emit_spans(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        type(quern_span), intent(in) :: key, value

        code = c_emit(out, key, value)
    end function

    integer(c_int) function emit_text_none(out, key) result(code)
        type(c_ptr), intent(in) :: out
        character(len=*), target, intent(in) :: key

        code = c_emit(out, text_span(key), quern_span(c_loc(nothing), 0))
    end function

    integer(c_int) function emit_text_text(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        character(len=*), target, intent(in) :: key
        character(len=*), target, intent(in) :: value

        code = c_emit(out, text_span(key), text_span(value))
    end function

    integer(c_int) function emit_text_i64(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        character(len=*), target, intent(in) :: key
        integer(c_int64_t), target, intent(in) :: value

        code = c_emit(out, text_span(key), quern_span(c_loc(value), 8))
    end function

    integer(c_int) function emit_text_f64(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        character(len=*), target, intent(in) :: key
        real(c_double), target, intent(in) :: value

        code = c_emit(out, text_span(key), quern_span(c_loc(value), 8))
    end function

    integer(c_int) function emit_i64_none(out, key) result(code)
        type(c_ptr), intent(in) :: out
        integer(c_int64_t), target, intent(in) :: key

        code = c_emit(out, quern_span(c_loc(key), 8), quern_span(c_loc(nothing), 0))
    end function

    integer(c_int) function emit_i64_text(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        integer(c_int64_t), target, intent(in) :: key
        character(len=*), target, intent(in) :: value

        code = c_emit(out, quern_span(c_loc(key), 8), text_span(value))
    end function

    integer(c_int) function emit_i64_i64(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        integer(c_int64_t), target, intent(in) :: key
        integer(c_int64_t), target, intent(in) :: value

        code = c_emit(out, quern_span(c_loc(key), 8), quern_span(c_loc(value), 8))
    end function

    integer(c_int) function emit_i64_f64(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        integer(c_int64_t), target, intent(in) :: key
        real(c_double), target, intent(in) :: value

        code = c_emit(out, quern_span(c_loc(key), 8), quern_span(c_loc(value), 8))
    end function

    integer(c_int) function emit_f64_none(out, key) result(code)
        type(c_ptr), intent(in) :: out
        real(c_double), target, intent(in) :: key

        code = c_emit(out, quern_span(c_loc(key), 8), quern_span(c_loc(nothing), 0))
    end function

    integer(c_int) function emit_f64_text(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        real(c_double), target, intent(in) :: key
        character(len=*), target, intent(in) :: value

        code = c_emit(out, quern_span(c_loc(key), 8), text_span(value))
    end function

    integer(c_int) function emit_f64_i64(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        real(c_double), target, intent(in) :: key
        integer(c_int64_t), target, intent(in) :: value

        code = c_emit(out, quern_span(c_loc(key), 8), quern_span(c_loc(value), 8))
    end function

    integer(c_int) function emit_f64_f64(out, key, value) result(code)
        type(c_ptr), intent(in) :: out
        real(c_double), target, intent(in) :: key
        real(c_double), target, intent(in) :: value

        code = c_emit(out, quern_span(c_loc(key), 8), quern_span(c_loc(value), 8))
    end function
end module
