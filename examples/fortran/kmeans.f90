! SPDX-License-Identifier: BSD-3-Clause. Clusters points: mpirun -n N kmeans --k K [--iterations 20] PATH
!
! A point is a line of numbers between white space. What is done, and what is printed, is that of ../kmeans.c. Integers wrap in the
! hash: gfortran is told so by -fwrapv.
module clustering
    use, intrinsic :: iso_c_binding
    use, intrinsic :: ieee_arithmetic, only: ieee_is_finite
    use quern
    implicit none
    integer(c_int64_t), parameter :: bucket_count = 64 ! among which ranks divide the choice of the first centres
    integer(c_int64_t), parameter :: hash_key = int(z'9e3779b97f4a7c15', c_int64_t)
    integer :: dimensions_here = 0 ! of the first line that this rank saw; ranks compare them by the first centres
    real(c_double), allocatable :: centers(:, :) ! (dimension, centre)

    interface
        function strtod(text, behind) bind(C) result(number)
            import
            type(c_ptr), value :: text
            type(c_ptr), intent(out) :: behind
            real(c_double) :: number
        end function
        ! printf() for one number, without arguments of any number and type
        integer(c_int) function strfromd(to, room, form, number) bind(C)
            import
            type(c_ptr), value :: to
            integer(c_size_t), value :: room
            character(kind=c_char), intent(in) :: form(*)
            real(c_double), value :: number
        end function
    end interface

contains

    pure logical function is_space(letter)
        character, intent(in) :: letter

        is_space = letter == ' ' .or. (iachar(letter) >= 9 .and. iachar(letter) <= 13)
    end function

    ! How many numbers the text is, which ends with a NUL; -1: it is something else.
    integer function read_numbers(text, numbers) result(count)
        character(kind=c_char, len=*), target, intent(in) :: text
        real(c_double), intent(out) :: numbers(:)
        type(c_ptr) :: behind
        integer :: at, next

        count = 0
        at = 1
        do
            do while (is_space(text(at:at)))
                at = at + 1
            end do
            if (at == len(text)) return
            numbers(count + 1) = strtod(c_loc(text(at:at)), behind) + 0.0_c_double ! there is one zero only
            next = int(transfer(behind, 0_c_intptr_t) - transfer(c_loc(text(1:1)), 0_c_intptr_t)) + 1
            if (next == at .or. .not. ieee_is_finite(numbers(count + 1))) exit
            if (next < len(text) .and. .not. is_space(text(next:next))) exit
            count = count + 1
            at = next
        end do
        count = -1
    end function

    ! A line becomes the bytes of its numbers.
    integer(c_int) function parse_line(line, out, user) bind(C) result(code)
        type(quern_record), intent(in) :: line
        type(c_ptr), value :: out, user
        real(c_double), target :: point(line%key%bytes / 2 + 1)
        integer :: count

        code = 0
        count = read_numbers(quern_get_text(line%key)//c_null_char, point)
        if (count == 0) return
        if (count < 0) then
            code = quern_fail(out, 'the line has something that is no finite number')
            return
        end if
        if (dimensions_here == 0) dimensions_here = count
        if (count /= dimensions_here) then
            code = quern_fail(out, 'the line has more or less numbers than others')
        else
            code = quern_emit(out, quern_span(c_loc(point), 8 * count), quern_span(c_loc(point), 0))
        end if
    end function

    pure integer(c_int64_t) function hash_of(data) result(hash)
        character(len=*), intent(in) :: data
        integer :: i

        hash = len(data) * hash_key
        do i = 1, len(data)
            hash = ieor(ieor(hash, int(iachar(data(i:i)), c_int64_t)) * hash_key, ishft(hash, -29))
        end do
        hash = ieor(hash, ishft(hash, -32)) * hash_key
        hash = ieor(hash, ishft(hash, -29))
    end function

    ! A point under its bucket, behind its hash: compared as bytes, so with the high one first.
    integer(c_int) function rank_point(point, out, user) bind(C) result(code)
        type(quern_record), intent(in) :: point
        type(c_ptr), value :: out, user
        character(len=:), allocatable :: bytes
        character(len=8) :: high_first
        integer(c_int64_t) :: hash
        integer :: i

        bytes = quern_get_text(point%key)
        hash = hash_of(bytes)
        do i = 1, 8
            high_first(i:i) = achar(ibits(hash, 64 - 8 * i, 8))
        end do
        code = quern_emit(out, iand(hash, bucket_count - 1), high_first//bytes)
    end function

    integer(c_int) function into_one_bucket(in, key, user) bind(C) result(code)
        type(quern_record), intent(in) :: in
        type(quern_span), intent(inout) :: key
        type(c_ptr), value :: user
        integer(c_int64_t), save, target :: one = 0

        key = quern_span(c_loc(one), 8)
        code = 0
    end function

    integer function nearest_center(point) result(nearest)
        real(c_double), intent(in) :: point(:)
        real(c_double) :: distance, least
        integer :: center, i

        nearest = 1
        least = huge(least)
        do center = 1, size(centers, 2)
            distance = 0
            do i = 1, size(point)
                distance = distance + (point(i) - centers(i, center)) * (point(i) - centers(i, center))
            end do
            if (distance < least) then
                least = distance
                nearest = center
            end if
        end do
    end function

    ! Each coordinate under its place in the sums, and 1 under that of the number of points.
    integer(c_int) function assign_point(in, out, user) bind(C) result(code)
        type(quern_record), intent(in) :: in
        type(c_ptr), value :: out, user
        real(c_double) :: point(size(centers, 1))
        integer(c_int64_t) :: place
        integer :: i

        if (in%key%bytes /= 8 * size(point)) then
            code = quern_fail(out, 'the line has more or less numbers than others')
            return
        end if
        point = transfer(quern_get_text(in%key), point)
        place = (nearest_center(point) - 1) * (size(point) + 1)
        do i = 1, size(point)
            code = quern_emit(out, place, point(i))
            if (code /= 0) return
            place = place + 1
        end do
        code = quern_emit(out, place, 1.0_c_double)
    end function

    ! The k different points whose bytes have the largest hash: a choice as if by lot that is always the same.
    subroutine choose_centers(context, points, k, status, failure)
        type(quern_context), intent(in) :: context
        type(quern_dataset), intent(in) :: points
        integer, intent(in) :: k
        integer, intent(out) :: status
        character(len=:), allocatable, intent(out) :: failure
        type(quern_dataset) :: ranked
        type(quern_columns) :: chosen
        character(len=:), allocatable :: bytes
        integer(c_int64_t) :: i

        failure = ''
        ranked = quern_flat_map(quern_distinct(points), quern_schema(QUERN_U64, QUERN_BYTES), rank_point)
        ranked = quern_key_by(quern_top_k_by_key(ranked, int(k, c_int64_t)), QUERN_U64, into_one_bucket)
        chosen = quern_columns_collect(quern_top_k_by_key(ranked, int(k, c_int64_t)), QUERN_COLLECT_ALL)
        call quern_run(context, status)
        if (status /= QUERN_OK) return
        if (quern_columns_count(chosen) < k) then
            failure = 'there are less different points than centres'
        else
            do i = 1, k
                bytes = quern_columns_value_text(chosen, i)
                if (i == 1) allocate (centers(len(bytes) / 8 - 1, k))
                if (len(bytes) / 8 - 1 /= size(centers, 1)) failure = 'not all lines have the same number of numbers'
                if (failure == '') centers(:, i) = transfer(bytes(9:), centers(:, i))
            end do
        end if
        call quern_columns_free(chosen)
    end subroutine

    ! Each point goes to the nearest centre, and each centre to the mean of its points, until nothing moves.
    subroutine improve_centers(context, points, iterations, status)
        type(quern_context), intent(in) :: context
        type(quern_dataset), intent(in) :: points
        integer, intent(in) :: iterations
        integer, intent(out) :: status
        type(quern_dataset) :: sums
        type(quern_columns) :: found
        logical :: moved
        integer :: i

        sums = quern_flat_map(points, quern_schema(QUERN_U64, QUERN_F64), assign_point)
        sums = quern_reduce_by_key(sums, QUERN_SUM)
        status = QUERN_OK
        moved = .true.
        do i = 1, iterations
            if (.not. moved .or. status /= QUERN_OK) exit
            found = quern_columns_collect(sums, QUERN_COLLECT_ALL)
            call quern_run(context, status)
            if (status == QUERN_OK) call move_centers(found, moved)
            call quern_columns_free(found)
        end do
    end subroutine

    subroutine move_centers(found, moved)
        type(quern_columns), intent(in) :: found
        logical, intent(out) :: moved
        integer(c_int64_t), pointer :: places(:)
        real(c_double), pointer :: numbers(:)
        real(c_double), target :: sums(0:size(centers, 1), 0:size(centers, 2) - 1)
        real(c_double) :: mean
        integer :: center, i, width
        integer(c_int64_t) :: n

        call quern_columns_keys(found, places)
        call quern_columns_values(found, numbers)
        sums = 0
        width = size(centers, 1) + 1
        do n = 1, size(places)
            sums(mod(places(n), int(width, c_int64_t)), places(n) / width) = numbers(n)
        end do
        moved = .false.
        do center = 1, size(centers, 2)
            if (.not. sums(width - 1, center - 1) > 0) cycle
            do i = 1, size(centers, 1)
                mean = sums(i - 1, center - 1) / sums(width - 1, center - 1) + 0.0_c_double
                moved = moved .or. abs(mean - centers(i, center)) > 0
                centers(i, center) = mean
            end do
        end do
    end subroutine

    subroutine print_centers()
        character(len=32), target :: text
        character(len=:), allocatable :: line
        integer :: center, i, bytes

        do center = 1, size(centers, 2)
            line = ''
            do i = 1, size(centers, 1)
                bytes = strfromd(c_loc(text), 32_c_size_t, '%.17g'//c_null_char, centers(i, center))
                line = line//text(:bytes)
                if (i < size(centers, 1)) line = line//' '
            end do
            write (*, '(a)') line
        end do
    end subroutine
end module

program kmeans
    use, intrinsic :: iso_c_binding
    use, intrinsic :: iso_fortran_env, only: error_unit, output_unit
    use clustering
    use quern
    implicit none
    type(quern_context) :: context
    type(quern_dataset) :: points
    character(len=:), allocatable :: path, failure
    integer :: k = 0, iterations = 20, status, code
    logical :: misused

    failure = ''
    call quern_context_create(context, ierr=status)
    call read_arguments()
    misused = misused .or. status == QUERN_ERROR_INVALID_OPTION
    if (.not. misused .and. status == QUERN_OK) then
        points = quern_read_text(context, [path])
        points = quern_flat_map(points, quern_schema(QUERN_BYTES, QUERN_NONE), parse_line)
        points = quern_cache(quern_name(points, 'point of a line')) ! read once, for all iterations
        call choose_centers(context, points, k, status, failure)
        if (status == QUERN_OK .and. failure == '') call improve_centers(context, points, iterations, status)
    end if
    code = merge(1, 0, status /= QUERN_OK .or. failure /= '')
    if (misused) code = 2
    if (quern_context_rank(context) == 0) call tell()
    call quern_context_destroy(context)
    if (code /= 0) stop code, quiet=.true.

contains

    subroutine tell()
        if (code == 0) then
            call print_centers()
            flush (output_unit)
        else if (misused) then
            write (error_unit, '(a)') 'usage: kmeans --k K [--iterations N] PATH'
        else
            if (failure == '') failure = quern_context_error_text(context)
            write (error_unit, '(2a)') 'kmeans: ', failure
        end if
    end subroutine

    ! A number from 0 on. -1: the text is none.
    integer function read_count(text)
        character(len=*), intent(in) :: text
        integer :: failed

        read_count = -1
        if (len(text) > 0 .and. verify(text, '0123456789') == 0) read (text, *, iostat=failed) read_count
    end function

    ! The value behind --name=, or in the next argument; '' if this is another one.
    function option_value(name, at) result(value)
        character(len=*), intent(in) :: name
        integer, intent(inout) :: at
        character(len=:), allocatable :: value

        value = ''
        if (quern_argument(at) == name) then
            at = at + 1
            value = quern_argument(at)
        else if (index(quern_argument(at), name//'=') == 1) then
            value = quern_argument(at)
            value = value(len(name) + 2:)
        end if
    end function

    subroutine read_arguments()
        integer :: at, path_count

        at = 0
        path_count = 0
        path = ''
        misused = .false.
        do while (at < quern_argument_count())
            at = at + 1
            if (index(quern_argument(at), '--k') == 1) then
                k = read_count(option_value('--k', at))
            else if (index(quern_argument(at), '--iterations') == 1) then
                iterations = read_count(option_value('--iterations', at))
            else
                path = quern_argument(at)
                path_count = path_count + 1
            end if
        end do
        misused = path_count /= 1 .or. k < 1 .or. k > 100000 .or. iterations < 0
    end subroutine
end program
