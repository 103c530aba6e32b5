! SPDX-License-Identifier: BSD-3-Clause
! Constants, structs and callbacks, as in quern/*.h. tests/bindings compares them.
module quern_types
    use, intrinsic :: iso_c_binding
    implicit none
    private

    integer(c_int), parameter, public :: QUERN_OK = 0, QUERN_ERROR_INVALID_ARGUMENT = 1, QUERN_ERROR_NO_MEMORY = 2, &
        QUERN_ERROR_INVALID_OPTION = 3, QUERN_ERROR_INVALID_PLAN = 4, QUERN_ERROR_PLAN_MISMATCH = 5, &
        QUERN_ERROR_INPUT = 20, &
        QUERN_ERROR_OUTPUT = 21, QUERN_ERROR_OUTPUT_EXISTS = 22, QUERN_ERROR_CORRUPT = 23, QUERN_ERROR_SCRATCH = 24, &
        QUERN_ERROR_RECORD_TOO_LARGE = 25, QUERN_ERROR_BAD_RECORDS = 26, QUERN_ERROR_CHECKPOINT = 27, &
        QUERN_ERROR_SUSPENDED = 28, QUERN_ERROR_NOT_RUN = 29, &
        QUERN_ERROR_CALLBACK = 30, QUERN_ERROR_BUDGET = 31, QUERN_ERROR_OVERFLOW = 32, &
        QUERN_ERROR_IMBALANCE = 33, QUERN_ERROR_CHECK = 34, QUERN_ERROR_LAUNCHER = 50, QUERN_ERROR_MPI = 51, &
        QUERN_ERROR_TOPOLOGY = 52, QUERN_ERROR_SYSTEM = 53, QUERN_ERROR_INTERNAL = 99
    integer(c_int), parameter, public :: QUERN_NONE = 0, QUERN_BYTES = 1, QUERN_I64 = 2, QUERN_U64 = 3, &
        QUERN_FIXED = 4, &
        QUERN_I32 = 5, QUERN_U32 = 6, QUERN_F32 = 7, QUERN_F64 = 8
    integer(c_int), parameter, public :: QUERN_COUNT = 1, QUERN_SUM = 2, QUERN_MIN = 3, QUERN_MAX = 4, &
        QUERN_SUM_PLAIN = 5, &
        QUERN_MEAN = 6
    integer(c_int), parameter, public :: QUERN_COLLECT_ROOT = 1, QUERN_COLLECT_ALL = 2, QUERN_COLLECT_LOCAL = 3
    integer(c_int), parameter, public :: QUERN_JOIN_INNER = 1, QUERN_JOIN_LEFT = 2, QUERN_JOIN_RIGHT = 3, &
        QUERN_JOIN_FULL = 4, &
        QUERN_JOIN_SEMI = 5, QUERN_JOIN_ANTI = 6
    integer(c_int), parameter, public :: QUERN_TEXT_NO_VALUE = 0, QUERN_TEXT_PATH = 1, QUERN_TEXT_OFFSET = 2, &
        QUERN_TEXT_PLACE = 3
    integer(c_int), parameter, public :: QUERN_FORM_TEXT = 0, QUERN_FORM_CSV = 1, QUERN_FORM_FIXED = 2, &
        QUERN_FORM_TSV = 3
    integer(c_int), parameter, public :: QUERN_NOT_COMPRESSED = 0, QUERN_GZIP = 1, QUERN_ZSTD = 2, QUERN_LZ4 = 3
    integer(c_int), parameter, public :: QUERN_NO_ARCHIVE = 0, QUERN_TAR = 1, QUERN_ZIP = 2
    integer(c_int), parameter, public :: QUERN_SEQUENCE_ANY = 0, QUERN_SEQUENCE_FASTA = 1, QUERN_SEQUENCE_FASTQ = 2, &
        QUERN_SEQUENCE_FASTQ_LINES = 3, QUERN_SEQUENCE_BASES = 0, QUERN_SEQUENCE_QUALITIES = 1
    integer(c_int), parameter, public :: QUERN_HDF5_ROWS = 0, QUERN_HDF5_ELEMENTS = 1, QUERN_HDF5_CHUNKS = 2, &
        QUERN_HDF5_INDEX = 0, QUERN_HDF5_PLACE = 1
    integer(c_int), parameter, public :: QUERN_HDF5_ONE_FILE = 0, QUERN_HDF5_PER_RANK = 1, QUERN_HDF5_AT_PATH = 2
    integer(c_int), parameter, public :: QUERN_HDF5_VARIABLE = -1
    integer(c_int), parameter, public :: QUERN_BAD_DEFAULT = 0, QUERN_BAD_FAIL = 1, QUERN_BAD_SKIP = 2, &
        QUERN_BAD_QUARANTINE = 3

    integer(c_int), parameter, public :: QUERN_EVENT_RUN_BEGUN = 1, QUERN_EVENT_STAGE_BEGUN = 2, &
        QUERN_EVENT_PROGRESS = 3, QUERN_EVENT_STAGE_ENDED = 4, QUERN_EVENT_RETRY = 5, QUERN_EVENT_LOSS = 6, &
        QUERN_EVENT_CHECKPOINT = 7, QUERN_EVENT_ALERT = 8, QUERN_EVENT_NOTE = 9, QUERN_EVENT_PLAN = 10, &
        QUERN_EVENT_RUN_ENDED = 11
    integer(c_int), parameter, public :: QUERN_WEIGHT_NONE = 0, QUERN_WEIGHT_ADD = 1, QUERN_WEIGHT_MULTIPLY = 2
    integer(c_int32_t), parameter, public :: QUERN_EVENT_NO_RANK = -1 ! 4294967295 in C

    ! ---- handles; a dataset and a counter end with their context

    type, public :: quern_context
        type(c_ptr) :: raw = c_null_ptr
    end type
    type, public :: quern_dataset
        type(c_ptr) :: raw = c_null_ptr
    end type
    type, public :: quern_counter
        type(c_ptr) :: raw = c_null_ptr
    end type
    type, public :: quern_columns
        type(c_ptr) :: raw = c_null_ptr
    end type
    type, public :: quern_shared
        type(c_ptr) :: raw = c_null_ptr
    end type

    ! ---- structs of C

    type, bind(C), public :: quern_schema
        integer(c_int) :: key = 0, value = 0
        integer(c_int32_t) :: value_bytes = 0, key_bytes = 0
    end type
    type, bind(C), public :: quern_span
        type(c_ptr) :: data = c_null_ptr
        integer(c_size_t) :: bytes = 0
    end type
    type, bind(C), public :: quern_record
        type(quern_span) :: key, value
    end type
    type, bind(C), public :: quern_block
        integer(c_size_t) :: count = 0
        type(c_ptr) :: key = c_null_ptr, key_bytes = c_null_ptr, value = c_null_ptr, value_bytes = c_null_ptr
    end type
    type, bind(C), public :: quern_memory_array
        integer(c_size_t) :: count = 0
        type(c_ptr) :: key = c_null_ptr
        integer(c_size_t) :: key_stride = 0
        type(c_ptr) :: value = c_null_ptr
        integer(c_size_t) :: value_stride = 0
    end type
    type, bind(C), public :: quern_text_options
        integer(c_size_t) :: struct_size = 0
        type(c_ptr) :: delimiters = c_null_ptr
        integer(c_int) :: skip_empty = 0, value = 0, as_stored = 0
        integer(c_size_t) :: delimiter_count = 0
    end type
    type, bind(C), public :: quern_fixed_options
        integer(c_size_t) :: struct_size = 0
        integer(c_int32_t) :: record_bytes = 0, key_offset = 0, key_bytes = 0, value_offset = 0, value_bytes = 0
        type(quern_schema) :: schema
        integer(c_int64_t) :: header_bytes = 0
        integer(c_int) :: as_stored = 0
    end type
    type, bind(C), public :: quern_csv_options
        integer(c_size_t) :: struct_size = 0
        character(kind=c_char) :: separator = c_null_char
        integer(c_int) :: no_quotes = 0, no_quoted_newlines = 0, header = 0
        integer(c_int32_t) :: key_column = 0
        type(c_ptr) :: key_name = c_null_ptr
        integer(c_int) :: ragged = 0, as_stored = 0
    end type
    type, bind(C), public :: quern_sequence_options
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: format = 0, value = 0
        integer(c_int32_t) :: piece_bases = 0, overlap_bases = 0
        integer(c_int) :: interleaved = 0, as_stored = 0
    end type
    type, bind(C), public :: quern_hdf5_options
        integer(c_size_t) :: struct_size = 0
        type(c_ptr) :: dataset = c_null_ptr
        integer(c_int) :: record = 0, key = 0, type = 0
        type(c_ptr) :: fields = c_null_ptr
        integer(c_size_t) :: field_count = 0
        integer(c_int) :: convert = 0, external = 0
    end type
    type, bind(C), public :: quern_hdf5_write_options
        integer(c_size_t) :: struct_size = 0
        type(c_ptr) :: dataset = c_null_ptr
        integer(c_int) :: files = 0, type = 0
        integer(c_int32_t) :: string_bytes = 0
        type(c_ptr) :: fields = c_null_ptr
        integer(c_size_t) :: field_count = 0
        integer(c_int) :: with_key = 0
        type(c_ptr) :: row_dims = c_null_ptr
        integer(c_int32_t) :: row_rank = 0
        integer(c_int64_t) :: chunk_rows = 0
        integer(c_int) :: deflate_level = 0, shuffle = 0
        type(c_ptr) :: attributes = c_null_ptr
        integer(c_size_t) :: attribute_count = 0
        type(c_ptr) :: like_file = c_null_ptr, like_dataset = c_null_ptr
        integer(c_int) :: like_type = 0
        type(c_ptr) :: chunk_dims = c_null_ptr
        integer(c_int) :: fletcher32 = 0
        type(c_ptr) :: filters = c_null_ptr
        integer(c_size_t) :: filter_count = 0
    end type
    type, bind(C), public :: quern_hdf5_filter
        integer(c_int) :: number = 0
        type(c_ptr) :: values = c_null_ptr
        integer(c_size_t) :: value_count = 0
    end type
    ! The texts are C's; a copy of one is quern_event_text().
    type, bind(C), public :: quern_event
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: kind = 0, status = 0
        integer(c_int32_t) :: run = 0, stage = 0, stage_count = 0, slowest_rank = -1
        integer(c_int) :: slowest_is_silent = 0
        real(c_double) :: slowest_to_mean = 0, seconds = 0, seconds_left = 0
        integer(c_int64_t) :: tasks_done = 0, tasks_all = 0, bytes_done = 0, bytes_all = 0, records = 0, &
            read_bytes = 0, sent_bytes = 0, spilled_bytes = 0, alert_count = 0, passed_over = 0
        type(c_ptr) :: stage_name = c_null_ptr, slowest_host = c_null_ptr, topic = c_null_ptr, text = c_null_ptr
        integer(c_int64_t) :: records_all = 0
    end type
    type, bind(C), public :: quern_output_options
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: form = 0, compression = 0, level = 0, one_file = 0, archive = 0
        type(c_ptr) :: names = c_null_ptr
        integer(c_size_t) :: name_count = 0
        character(kind=c_char) :: separator = c_null_char
        integer(c_int) :: rows = 0
        character(kind=c_char) :: row_separator = c_null_char
        integer(c_int) :: row_no_quotes = 0
    end type
    type, bind(C), public :: quern_aggregation
        integer(c_size_t) :: struct_size = 0
        integer(c_int32_t) :: accumulator_bytes = 0
        type(c_funptr) :: init = c_null_funptr, accumulate = c_null_funptr, merge = c_null_funptr, &
            finish = c_null_funptr
        type(quern_schema) :: schema
    end type
    type, bind(C), public :: quern_sort_options
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: descending = 0
        type(c_funptr) :: compare = c_null_funptr
        type(c_ptr) :: user = c_null_ptr
        integer(c_int) :: whole_keys = 0
    end type
    type, bind(C), public :: quern_group_options
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: values_descending = 0
        type(c_funptr) :: compare_values = c_null_funptr
        type(c_ptr) :: compare_user = c_null_ptr
    end type
    type, bind(C), public :: quern_join_options
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: strategy = 0, outer = 0
    end type
    type, bind(C), public :: quern_iteration
        integer(c_size_t) :: struct_size = 0
        integer(c_int64_t) :: step_count_max = 0
        type(c_funptr) :: step = c_null_funptr, until = c_null_funptr
    end type

    ! Columns are arrays of count elements: c_f_pointer(some%value, value, [some%count]); totals: pointers to such arrays.
    type, bind(C), public :: quern_vertices
        integer(c_size_t) :: count = 0
        integer(c_int64_t) :: step = 0, vertex_count = 0, first = 0
        type(c_ptr) :: links = c_null_ptr, come = c_null_ptr, value = c_null_ptr, send = c_null_ptr, &
            totals = c_null_ptr, totals_before = c_null_ptr, failed = c_null_ptr
    end type
    type, bind(C), public :: quern_vertex_program
        integer(c_size_t) :: struct_size = 0
        integer(c_int) :: combine = 0, weight = 0, both_ways = 0
        integer(c_int32_t) :: total_count = 0
        real(c_double) :: value = 0
        integer(c_int64_t) :: step_count_max = 0
        type(c_funptr) :: step = c_null_funptr, until = c_null_funptr
    end type

    ! ---- callbacks

    abstract interface
        integer(c_int) function quern_map_fn(in, out, user) bind(C)
            import
            type(quern_record), intent(in) :: in
            type(quern_record), intent(inout) :: out
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_flat_map_fn(in, out, user) bind(C)
            import
            type(quern_record), intent(in) :: in
            type(c_ptr), value :: out, user
        end function
        integer(c_int) function quern_flat_map_block_fn(in, out, user) bind(C)
            import
            type(quern_block), intent(in) :: in
            type(c_ptr), value :: out, user
        end function
        integer(c_int) function quern_filter_fn(in, keep, user) bind(C)
            import
            type(quern_record), intent(in) :: in
            integer(c_int), intent(inout) :: keep
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_key_fn(in, key, user) bind(C)
            import
            type(quern_record), intent(in) :: in
            type(quern_span), intent(inout) :: key
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_reduce_fn(into, value, user) bind(C)
            import
            type(c_ptr), value :: into, value, user
        end function
        integer(c_int) function quern_init_fn(accumulator, user) bind(C)
            import
            type(c_ptr), value :: accumulator, user
        end function
        integer(c_int) function quern_accumulate_fn(accumulator, value, user) bind(C)
            import
            type(c_ptr), value :: accumulator
            type(quern_span), value :: value
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_compare_fn(left, right, user) bind(C)
            import
            type(quern_span), value :: left, right
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_group_fn(key, values, out, user) bind(C)
            import
            type(quern_span), value :: key
            type(c_ptr), value :: values, out, user
        end function
        integer(c_int) function quern_cogroup_fn(key, left, right, out, user) bind(C)
            import
            type(quern_span), value :: key
            type(c_ptr), value :: left, right, out, user
        end function
        ! left and right point to a quern_span, or are C_NULL_PTR: see quern_span_at()
        integer(c_int) function quern_join_fn(key, left, right, out, user) bind(C)
            import
            type(quern_span), value :: key
            type(c_ptr), value :: left, right, out, user
        end function
        integer(c_int) function quern_each_fn(record, user) bind(C)
            import
            type(quern_record), intent(in) :: record
            type(c_ptr), value :: user
        end function
        ! state and the result are quern_dataset%raw
        function quern_step_fn(state, step, user) bind(C) result(next)
            import
            type(c_ptr), value :: state
            integer(c_int64_t), value :: step
            type(c_ptr), value :: user
            type(c_ptr) :: next
        end function
        integer(c_int) function quern_until_fn(step, stop, user) bind(C)
            import
            integer(c_int64_t), value :: step
            integer(c_int), intent(inout) :: stop
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_vertices_fn(some, user) bind(C)
            import
            type(quern_vertices), intent(in) :: some
            type(c_ptr), value :: user
        end function
        integer(c_int) function quern_totals_fn(step, totals, stop, user) bind(C)
            import
            integer(c_int64_t), value :: step
            real(c_double), intent(in) :: totals(*)
            integer(c_int), intent(inout) :: stop
            type(c_ptr), value :: user
        end function
        ! By a thread of the library's, on rank 0.
        subroutine quern_progress_fn(event, user) bind(C)
            import
            type(quern_event), intent(in) :: event
            type(c_ptr), value :: user
        end subroutine
    end interface
    public :: quern_map_fn, quern_flat_map_fn, quern_flat_map_block_fn, quern_filter_fn, quern_key_fn, &
        quern_reduce_fn, &
        quern_init_fn, quern_accumulate_fn, quern_compare_fn, quern_group_fn, quern_cogroup_fn, quern_join_fn, &
        quern_each_fn, &
        quern_step_fn, quern_until_fn, quern_progress_fn, quern_vertices_fn, quern_totals_fn
end module
