! SPDX-License-Identifier: BSD-3-Clause
!
! quern.f90: the library from Fortran 2018, with communicators of mpi_f08 and of mpi.
!
!     use quern
!     type(quern_context) :: context
!     type(quern_dataset) :: words
!     call quern_context_create(context)
!     words = quern_read_text(context, ['/usr/include'], delimiters=' '//achar(10), skip_empty=.true.)
!     call quern_write_text(quern_reduce_by_key(words, QUERN_COUNT), 'counts')
!     call quern_run(context)
!     call quern_context_destroy(context)
!
! What each call means is said in the headers of C, quern/*.h, whose names these are.
!
! Failures. ierr is QUERN_OK or a status, the same on all ranks, and quern_context_error_text() has the text. Where ierr is left out a failure ends the
! program with the text, as a failure of ALLOCATE without STAT does. Calls on datasets keep the first failure for quern_run().
!
! Strings. Names and paths lose their trailing blanks, also as elements of an array. Keys and values do not.
!
! Callbacks are functions with BIND(C) of one of the interfaces below. They return 0, or what quern_fail() and quern_fail_because() give. user is what was
! given with the function, C_LOC of the program's own, and has to stay. Memory of records lives until the callback returns. Numbers
! without sign are those with one: the bits are the same.
module quern
    use quern_calls
    use quern_types
    implicit none
end module
