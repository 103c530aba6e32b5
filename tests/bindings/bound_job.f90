! SPDX-License-Identifier: BSD-3-Clause
! The module quern by its calls: usage: bound_job DIRECTORY [notes] | layouts; rank 0 says that all holds.
module bound_callbacks
    use, intrinsic :: iso_c_binding
    use quern
    implicit none
    type(quern_counter) :: odd_ones
    integer :: stages_told = 0
    logical :: run_is_told = .false.

contains

    subroutine count_stages(event, user) bind(C)
        type(quern_event), intent(in) :: event
        type(c_ptr), value :: user

        character(len=:), allocatable :: name

        name = quern_event_text(event%stage_name)
        if (event%kind == QUERN_EVENT_STAGE_ENDED .and. len(name) > 0) stages_told = stages_told + 1
        run_is_told = event%kind == QUERN_EVENT_RUN_ENDED .and. event%status == QUERN_OK
    end subroutine

    integer(c_int) function keep_odd(in, keep, user) bind(C) result(code)
        type(quern_record), intent(in) :: in
        integer(c_int), intent(inout) :: keep
        type(c_ptr), value :: user

        keep = int(iand(quern_get_i64(in%value), 1_c_int64_t), c_int)
        call quern_counter_add(odd_ones, int(keep, c_int64_t))
        code = 0
    end function

    integer(c_int) function larger(into, value, user) bind(C) result(code)
        type(c_ptr), value :: into, value, user
        integer(c_int64_t), pointer :: most, other

        call c_f_pointer(into, most)
        call c_f_pointer(value, other)
        most = max(most, other)
        code = 0
    end function

    integer(c_int) function add_one(in, out, user) bind(C) result(code)
        type(quern_record), intent(in) :: in
        type(quern_record), intent(inout) :: out
        type(c_ptr), value :: user
        integer(c_int64_t), save, target :: number

        number = quern_get_i64(in%value) + 1
        out%value = quern_span(c_loc(number), 8)
        code = 0
    end function

    function step(state, number, user) bind(C) result(next)
        type(c_ptr), value :: state
        integer(c_int64_t), value :: number
        type(c_ptr), value :: user
        type(c_ptr) :: next
        type(quern_dataset) :: made

        made = quern_map(quern_dataset(state), quern_schema(QUERN_I32, QUERN_I64), add_one)
        next = made%raw
    end function

    integer(c_int) function count_values(key, values, out, user) bind(C) result(code)
        type(quern_span), value :: key
        type(c_ptr), value :: values, out, user
        type(quern_span) :: one
        integer(c_int64_t), target :: count

        count = 0
        do
            code = quern_values_next(values, one)
            if (code < 0) return
            if (code == 0) exit
            count = count + 1
        end do
        code = quern_emit(out, key, quern_span(c_loc(count), 8))
    end function

    integer(c_int) function both(key, left, right, out, user) bind(C) result(code)
        type(quern_span), value :: key
        type(c_ptr), value :: left, right, out, user
        integer(c_int64_t), target :: sum

        sum = quern_get_i64(quern_span_at(left))
        if (c_associated(right)) sum = sum + quern_get_i64(quern_span_at(right))
        code = quern_emit(out, key, quern_span(c_loc(sum), 8))
    end function

    integer(c_int) function sum_value(accumulator, value, user) bind(C) result(code)
        type(c_ptr), value :: accumulator
        type(quern_span), value :: value
        type(c_ptr), value :: user
        integer(c_int64_t), pointer :: sum

        call c_f_pointer(accumulator, sum)
        sum = sum + quern_get_i64(value)
        code = 0
    end function

    integer(c_int) function sum_sums(into, value, user) bind(C) result(code)
        type(c_ptr), value :: into, value, user
        integer(c_int64_t), pointer :: sum, other

        call c_f_pointer(into, sum)
        call c_f_pointer(value, other)
        sum = sum + other
        code = 0
    end function

    integer(c_int) function shout(in, out, user) bind(C) result(code)
        type(quern_block), intent(in) :: in
        type(c_ptr), value :: out, user
        integer(c_size_t) :: i

        code = 0
        do i = 0, in%count - 1
            code = quern_emit(out, quern_get_text(quern_block_key(in, i))//'!', int(i, c_int64_t))
            if (code /= 0) return
        end do
    end function

    integer(c_int) function refuse(in, out, user) bind(C) result(code)
        type(quern_record), intent(in) :: in
        type(c_ptr), value :: out, user

        code = quern_fail(out, 'no such station ')
    end function

    ! Lengths along a ring of eight vertices, to the end or until nothing changes.
    integer(c_int) function take_nearer(some, user) bind(C) result(code)
        type(quern_vertices), intent(in) :: some
        type(c_ptr), value :: user
        real(c_double), pointer :: come(:), value(:), send(:), changed(:)
        type(c_ptr), pointer :: totals(:)

        call c_f_pointer(some%come, come, [some%count])
        call c_f_pointer(some%value, value, [some%count])
        call c_f_pointer(some%send, send, [some%count])
        call c_f_pointer(some%totals, totals, [1])
        call c_f_pointer(totals(1), changed, [some%count])
        changed = merge(1, 0, come < value)
        value = min(come, value)
        send = value
        code = 0
    end function

    integer(c_int) function nothing_changed(number, totals, stop, user) bind(C) result(code)
        integer(c_int64_t), value :: number
        real(c_double), intent(in) :: totals(*)
        integer(c_int), intent(inout) :: stop
        type(c_ptr), value :: user

        stop = merge(1, 0, number > 0 .and. nint(totals(1)) == 0)
        code = 0
    end function

    integer(c_int) function refuse_vertices(some, user) bind(C) result(code)
        type(quern_vertices), intent(in) :: some
        type(c_ptr), value :: user

        code = quern_fail_because('no such vertex')
    end function

    integer(c_int) function refuse_result(record, user) bind(C) result(code)
        type(quern_record), intent(in) :: record
        type(c_ptr), value :: user

        code = quern_fail_because('not this one')
    end function
end module

program bound_job
    use, intrinsic :: iso_c_binding
    use, intrinsic :: iso_fortran_env, only: error_unit
    use bound_callbacks
    use mpi_f08
    use quern
    implicit none
    character(len=4096) :: directory, only
    type(quern_context) :: context
    type(quern_dataset) :: data
    integer(c_int32_t), target :: keys(1000)
    integer(c_int64_t), target :: values(1000)
    type(MPI_Comm) :: half
    integer :: i, ranks

    call get_command_argument(1, directory)
    call get_command_argument(2, only)
    if (directory == 'layouts') then
        call print_layouts()
        stop
    end if
    call MPI_Init()
    call MPI_Comm_size(MPI_COMM_WORLD, ranks)
    do i = 1, 1000
        keys(i) = mod(i - 1, 7)
        values(i) = i - 1
    end do
    call quern_context_create(context, MPI_COMM_WORLD, options=[character(24) :: 'memory=64M', 'pin=off'])
    data = read_numbers(context)
    if (only == 'notes') then
        call test_notes()
    else
        call test_operators()
        call test_orders()
        call test_texts()
        call test_failures()
        call test_communicators()
        call test_events()
        call test_links()
        call test_shared()
    end if
    call quern_context_destroy(context)
    call MPI_Comm_rank(MPI_COMM_WORLD, i)
    if (i == 0) print '(a)', 'all holds'
    call MPI_Finalize()

contains

    type(quern_dataset) function read_numbers(on)
        type(quern_context), intent(in) :: on

        read_numbers = quern_read_memory(on, quern_schema(QUERN_I32, QUERN_I64), &
                                         [quern_memory_array(1000, c_loc(keys), 0, c_loc(values), 0)])
    end function

    subroutine expect(holds, what)
        logical, intent(in) :: holds
        character(len=*), intent(in) :: what

        if (holds) return
        write (error_unit, '(3a)') what, ': ', quern_context_error_text(context)
        call MPI_Abort(MPI_COMM_WORLD, 1)
    end subroutine

    ! The value of a key in a dataset of (I32, I64).
    integer(c_int64_t) function value_of(key, of) result(value)
        integer, intent(in) :: key
        type(quern_dataset), intent(in) :: of
        type(quern_columns) :: found
        integer(c_int32_t), pointer :: all_keys(:)
        integer(c_int64_t), pointer :: all_values(:)

        found = quern_columns_collect(of, QUERN_COLLECT_ALL)
        call quern_run(context)
        call quern_columns_keys(found, all_keys)
        call quern_columns_values(found, all_values)
        value = sum(all_values, mask=all_keys == key)
        call quern_columns_free(found)
    end function

    subroutine test_operators()
        type(quern_dataset) :: odd, most, last, sums
        type(quern_aggregation) :: how

        call expect(value_of(6, quern_reduce_by_key(data, QUERN_SUM)) == (6 + 993) * 71 * ranks, 'sum')
        odd_ones = quern_counter_create(context, 'odd ones')
        odd = quern_filter(data, keep_odd)
        most = quern_reduce_by_key_with(odd, larger)
        call expect(value_of(6, most) == 993, 'reduction')
        call expect(quern_counter_value(odd_ones) == 500 * ranks, 'counter')
        call expect(value_of(0, quern_group_by_key(data, quern_schema(QUERN_I32, QUERN_I64), count_values)) == 143 * ranks, &
                    'group')
        call expect(value_of(0, quern_join(quern_reduce_by_key(data, QUERN_MAX), most, QUERN_JOIN_LEFT, &
                                           quern_schema(QUERN_I32, QUERN_I64), both)) == 994 + 987, 'join')
        how%accumulator_bytes = 8
        how%accumulate = c_funloc(sum_value)
        how%merge = c_funloc(sum_sums)
        sums = quern_aggregate_by_key(data, how)
        call expect(value_of(6, sums) == (6 + 993) * 71 * ranks, 'aggregation')
        call quern_iterate(context, quern_reduce_by_key(data, QUERN_MAX), 3_c_int64_t, step, last)
        call expect(value_of(0, quern_cache(last)) == 997, 'iteration')
        call quern_uncache(last)
        call expect(value_of(0, quern_count_by_key(quern_union(data, odd))) == (143 + 71) * ranks, 'union')
    end subroutine

    ! What came of it is in the checkpoint.
    subroutine test_notes()
        call quern_note_parameter(context, 'half', '0.5 ')
        call quern_note_parameter(context, 'text', 'a b')
        call quern_note_file(context, trim(directory)//'/model')
        call quern_write_text(quern_count_by_key(data), trim(directory)//'/noted')
        call quern_run(context)
    end subroutine

    subroutine test_orders()
        type(quern_columns) :: sorted, cut, bins
        integer(c_int32_t), pointer :: order(:)
        integer(c_int64_t), pointer :: numbers(:)

        sorted = quern_columns_collect(quern_sort_by_key(data, descending=.true.), QUERN_COLLECT_ALL)
        cut = quern_columns_collect(quern_quantiles(data, [0.5_c_double]), QUERN_COLLECT_ALL)
        bins = quern_columns_collect(quern_histogram(data, [100.0_c_double, 500.0_c_double]), QUERN_COLLECT_ALL)
        call expect(index(quern_explain(context), 'read memory') > 0, 'plan')
        call quern_run(context)
        call quern_columns_keys(sorted, order)
        call expect(size(order) == 1000 * ranks .and. order(1) == 6 .and. order(size(order)) == 0, 'sort')
        call quern_columns_keys(cut, numbers)
        call expect(size(numbers) == 1 .and. numbers(1) == 499, 'quantiles')
        call quern_columns_values(bins, numbers)
        call expect(all(numbers == [100, 400, 500] * ranks), 'histogram')
        call quern_columns_free(sorted)
        call quern_columns_free(cut)
        call quern_columns_free(bins)
    end subroutine

    ! Names with blanks behind them, keys with blanks and without bytes.
    subroutine test_texts()
        type(quern_dataset) :: lines
        type(quern_columns) :: found
        character(len=4100) :: path
        integer :: unit, rank

        call MPI_Comm_rank(MPI_COMM_WORLD, rank)
        path = trim(directory)//'/lines '//achar(iachar('0') + ranks)
        if (rank == 0) then
            open (newunit=unit, file=path, access='stream', form='unformatted', status='replace')
            write (unit) 'one '//achar(10)//achar(10)//'two'
            close (unit)
        end if
        call MPI_Barrier(MPI_COMM_WORLD)
        lines = quern_read_text(context, [path])
        lines = quern_flat_map_block(lines, quern_schema(QUERN_BYTES, QUERN_I64), shout)
        found = quern_columns_collect(quern_sort_by_key(lines), QUERN_COLLECT_ALL)
        call quern_write_text(quern_keys(lines), trim(path)//'.out   ')
        call quern_run(context)
        call expect(quern_columns_count(found) == 3, 'lines')
        call expect(quern_columns_key_text(found, 1_c_int64_t) == '!', 'empty line')
        call expect(len(quern_columns_key_text(found, 2_c_int64_t)) == 5, 'blank of a line')
        call expect(quern_columns_key_text(found, 3_c_int64_t) == 'two!', 'last line')
        call quern_columns_free(found)
    end subroutine

    subroutine run_fails(expected, part)
        integer, intent(in) :: expected
        character(len=*), intent(in) :: part
        integer :: status

        call quern_run(context, status)
        call expect(status == expected, 'status of '//part)
        call expect(index(quern_context_error_text(context), part) > 0, part)
    end subroutine

    subroutine test_failures()
        call quern_write_text(quern_flat_map(data, quern_schema(QUERN_I32, QUERN_NONE), refuse), trim(directory)//'/no')
        call run_fails(QUERN_ERROR_CALLBACK, 'no such station')
        call quern_collect(data, QUERN_COLLECT_ALL, refuse_result)
        call run_fails(QUERN_ERROR_CALLBACK, 'not this one')
        call quern_write_text(quern_read_text(context, ['/not/there']), trim(directory)//'/no')
        call run_fails(QUERN_ERROR_INPUT, '/not/there')
        call expect(quern_status_name(QUERN_ERROR_INPUT) == 'QUERN_ERROR_INPUT', 'name')
        call expect(quern_exit_status(QUERN_ERROR_INPUT) == 1, 'exit status')
        call quern_run(context)
    end subroutine

    subroutine test_events()
        integer :: rank

        call MPI_Comm_rank(MPI_COMM_WORLD, rank)
        call quern_on_progress(context, count_stages)
        call expect(value_of(0, quern_count_by_key(data)) == 143 * ranks, 'count')
        call quern_on_progress(context)
        call expect(stages_told == merge(2, 0, rank == 0), 'stages that were told')
        call expect(run_is_told .eqv. rank == 0, 'the end of a run')
    end subroutine

    ! A ring in one direction, of which rank 0 has the links: from vertex 0 vertex i is i away.
    subroutine test_links()
        integer(c_int64_t), target :: from(8), to(8), begin(1)
        real(c_double), target :: lengths(8), none(1)
        type(quern_dataset) :: roads, starts
        type(quern_vertex_program) :: nearest
        type(quern_columns) :: found
        integer(c_int64_t), pointer :: vertices(:)
        real(c_double), pointer :: distances(:)
        integer(c_int8_t), target :: keys_of_pairs(16, 8)
        integer(c_size_t) :: count

        from = [(i, i = 0, 7)]
        to = mod(from + 1, 8_c_int64_t)
        lengths = 1
        begin = 0
        none = 0
        do i = 1, 8
            keys_of_pairs(:8, i) = transfer(from(i), keys_of_pairs(:8, i))
            keys_of_pairs(9:, i) = transfer(to(i), keys_of_pairs(9:, i))
        end do
        count = merge(1, 0, quern_context_rank(context) == 0)
        roads = quern_read_memory(context, quern_schema(quern_pair(QUERN_I64, QUERN_I64), QUERN_F64), &
                                  [quern_memory_array(8 * count, c_loc(keys_of_pairs), 0, c_loc(lengths), 0)])
        starts = quern_read_memory(context, quern_schema(QUERN_I64, QUERN_F64), &
                                   [quern_memory_array(count, c_loc(begin), 0, c_loc(none), 0)])
        nearest%combine = QUERN_MIN
        nearest%weight = QUERN_WEIGHT_ADD
        nearest%total_count = 1
        nearest%value = huge(nearest%value)
        nearest%step_count_max = 100
        found = quern_columns_collect(quern_iterate_links(roads, nearest, take_nearer, nothing_changed, starts), QUERN_COLLECT_ALL)
        call quern_run(context)
        call quern_columns_keys(found, vertices)
        call quern_columns_values(found, distances)
        call expect(size(vertices) == 8 .and. all(nint(distances) == vertices), 'distances along links')
        call quern_columns_free(found)
        call quern_collect(quern_iterate_links(roads, nearest, refuse_vertices), QUERN_COLLECT_ALL, refuse_result)
        call run_fails(QUERN_ERROR_CALLBACK, 'no such vertex')
    end subroutine

    subroutine test_shared()
        real(c_double), target :: weights(3)
        real(c_double), pointer :: same(:)
        type(quern_shared) :: model
        integer :: status

        weights = merge([0.5_c_double, 0.25_c_double, 0.125_c_double], 0.0_c_double, quern_context_rank(context) == 0)
        call quern_broadcast(context, c_loc(weights), c_sizeof(weights), model, status)
        call expect(status == QUERN_OK, 'a broadcast')
        call expect(quern_shared_bytes(model) == 24, 'bytes that are shared')
        call c_f_pointer(quern_shared_data(model), same, [3])
        call expect(all(nint(same * 8) == [4, 2, 1]), 'what is shared')
        if (ranks == 1) call expect(.not. quern_shared_is_private(model), 'a copy of one rank')
        call quern_shared_free(model)
        call quern_broadcast(context, c_null_ptr, 0_c_size_t, model)
        call expect(quern_shared_bytes(model) == 0, 'nothing is shared')
        call quern_shared_free(model)
    end subroutine

    ! Both kinds of handles, and a half of the ranks.
    subroutine test_communicators()
        type(quern_context) :: part, wrong
        type(quern_dataset) :: counts
        type(quern_columns) :: found
        integer(c_int64_t), pointer :: numbers(:)
        integer :: rank, half_size, status

        call MPI_Comm_rank(MPI_COMM_WORLD, rank)
        call MPI_Comm_split(MPI_COMM_WORLD, mod(rank, 2), 0, half)
        call MPI_Comm_size(half, half_size)
        call quern_context_create(part, half%MPI_VAL)
        call expect(quern_context_size(part) == half_size, 'size of a half')
        counts = quern_count_by_key(read_numbers(part))
        found = quern_columns_collect(counts, QUERN_COLLECT_ALL)
        call quern_run(part)
        call quern_columns_values(found, numbers)
        call expect(sum(numbers) == 1000 * half_size, 'a half')
        call quern_columns_free(found)
        call quern_context_destroy(part)
        call MPI_Comm_free(half)
        call quern_context_create(wrong, MPI_COMM_WORLD, options=['memroy=1G'], ierr=status)
        call expect(status == QUERN_ERROR_INVALID_OPTION, 'unknown option')
        call expect(index(quern_context_error_text(wrong), 'memroy') > 0, 'text of an unknown option')
        call quern_context_destroy(wrong)
    end subroutine

    subroutine print_layouts()
        type(quern_schema) :: a
        type(quern_record) :: b
        type(quern_block) :: c
        type(quern_memory_array) :: d
        type(quern_text_options) :: e
        type(quern_fixed_options) :: f
        type(quern_csv_options) :: g
        type(quern_sequence_options) :: h
        type(quern_hdf5_options) :: j
        type(quern_hdf5_write_options) :: k
        type(quern_output_options) :: l
        type(quern_aggregation) :: m
        type(quern_sort_options) :: n
        type(quern_group_options) :: o
        type(quern_join_options) :: p
        type(quern_iteration) :: q
        type(quern_event) :: r
        type(quern_vertices) :: s
        type(quern_vertex_program) :: t
        type(quern_hdf5_filter) :: u

        print '(a, i0)', 'quern_schema ', c_sizeof(a), 'quern_record ', c_sizeof(b), 'quern_block ', c_sizeof(c), &
            'quern_memory_array ', c_sizeof(d), 'quern_text_options ', c_sizeof(e), 'quern_fixed_options ', c_sizeof(f), &
            'quern_csv_options ', c_sizeof(g), 'quern_sequence_options ', c_sizeof(h), 'quern_hdf5_options ', c_sizeof(j), &
            'quern_hdf5_write_options ', c_sizeof(k), 'quern_output_options ', c_sizeof(l), 'quern_aggregation ', c_sizeof(m), &
            'quern_sort_options ', c_sizeof(n), 'quern_group_options ', c_sizeof(o), 'quern_join_options ', c_sizeof(p), &
            'quern_iteration ', c_sizeof(q), 'quern_event ', c_sizeof(r), &
            'quern_vertices ', c_sizeof(s), 'quern_vertex_program ', c_sizeof(t), 'quern_hdf5_filter ', c_sizeof(u)
    end subroutine
end program
