! SPDX-License-Identifier: BSD-3-Clause. Counts words: mpirun -n N wordcount [-o DIR] [--top K] PATH...
module counted_words
    use, intrinsic :: iso_c_binding
    use quern
    implicit none

contains

    integer(c_int) function print_word(word, user) bind(C) result(code)
        type(quern_record), intent(in) :: word
        type(c_ptr), value :: user
        integer :: failed

        write (*, '(i0, 2a)', iostat=failed) quern_get_i64(word%value), achar(9), quern_get_text(word%key)
        code = 0
        if (failed /= 0) code = quern_fail_because('standard output cannot be written')
    end function
end module

program wordcount
    use, intrinsic :: iso_c_binding
    use, intrinsic :: iso_fortran_env, only: error_unit, output_unit
    use counted_words
    use quern
    implicit none
    character(len=4096), allocatable :: paths(:)
    character(len=4096) :: directory = ''
    integer(c_int64_t) :: top = 20
    logical :: prints = .false., misused
    type(quern_context) :: context
    type(quern_dataset) :: counts
    integer :: status, code

    call quern_context_create(context, ierr=status)
    call read_arguments(misused)
    misused = misused .or. status == QUERN_ERROR_INVALID_OPTION
    if (.not. misused .and. status == QUERN_OK) then
        counts = quern_read_text(context, paths, delimiters=' '//achar(9)//achar(10)//achar(11)//achar(12)//achar(13), &
                                 skip_empty=.true.)
        counts = quern_reduce_by_key(counts, QUERN_COUNT)
        if (directory /= '') call quern_write_text(counts, directory)
        if (prints .or. directory == '') call quern_top_k(counts, top, print_word)
        call quern_run(context, status)
        flush (output_unit)
    end if
    code = merge(2, quern_exit_status(status), misused)
    if (quern_context_rank(context) == 0 .and. code /= 0) call explain()
    call quern_context_destroy(context)
    if (code /= 0) stop code, quiet=.true.

contains

    subroutine explain()
        if (quern_context_error_text(context) /= '') write (error_unit, '(2a)') 'wordcount: ', quern_context_error_text(context)
        if (misused) write (error_unit, '(a)') 'usage: wordcount [-o DIR] [--top K] PATH...'
    end subroutine

    ! Options come before, between or behind paths.
    subroutine read_arguments(misused)
        logical, intent(out) :: misused
        character(len=:), allocatable :: text
        integer :: at, failed

        allocate (paths(0))
        misused = .false.
        at = 0
        do while (at < quern_argument_count())
            at = at + 1
            text = quern_argument(at)
            if (text == '-o') then
                at = at + 1
                directory = quern_argument(at)
                misused = misused .or. directory == ''
            else if (text == '--top' .or. index(text, '--top=') == 1) then
                if (text == '--top') at = at + 1
                if (text == '--top') text = '--top='//quern_argument(at)
                prints = .true.
                read (text(7:), *, iostat=failed) top
                misused = misused .or. failed /= 0 .or. top < 1
            else if (index(text, '-') == 1) then
                misused = .true.
            else
                paths = [character(len=4096) :: paths, text]
            end if
        end do
        misused = misused .or. size(paths) == 0
    end subroutine
end program
