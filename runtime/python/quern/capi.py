# SPDX-License-Identifier: BSD-3-Clause
"""The library by ctypes: structs, prototypes of functions, prototypes of callbacks.

ctypes and not cffi: it comes with Python, so that the package needs nothing but NumPy, and what makes calls from C dear,
the crossing itself, happens once for a block of records either way. What is declared here is compared with
the headers by tests/bindings. Nothing here is called with the interpreter's lock held (CDLL gives it away), because the library's thread
may be waiting for it while it holds a lock of the library's.
"""

import ctypes
import os
from ctypes import (CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint8,
                    c_uint32, c_uint64, c_void_p)

VARIABLE = "QUERN_LIBRARY"


def _paths():
    if os.environ.get(VARIABLE):
        yield os.environ[VARIABLE]
        return
    try:
        from .place import BESIDE, LIBRARY  # written by the build
        yield os.path.join(os.path.dirname(os.path.realpath(__file__)), BESIDE)
        yield LIBRARY
    except ImportError:
        pass
    yield "libquern.so.0"


def _load():
    failures = []
    for path in _paths():
        try:
            return ctypes.CDLL(path)
        except OSError as failure:
            failures.append(str(failure))
    raise ImportError("libquern cannot be loaded (%s says where it is): %s" % (VARIABLE, "; ".join(failures)))


lib = _load()


class Schema(Structure):
    _fields_ = [("key", c_int), ("value", c_int), ("value_bytes", c_uint32), ("key_bytes", c_uint32)]


class Span(Structure):
    _fields_ = [("data", c_void_p), ("bytes", c_size_t)]


class Record(Structure):
    _fields_ = [("key", Span), ("value", Span)]


class Block(Structure):
    _fields_ = [("count", c_size_t), ("key", c_void_p), ("key_bytes", c_void_p), ("value", c_void_p),
                ("value_bytes", c_void_p)]


class MemoryArray(Structure):
    _fields_ = [("count", c_size_t), ("key", c_void_p), ("key_stride", c_size_t), ("value", c_void_p),
                ("value_stride", c_size_t)]


class Sized(Structure):
    """Structs that begin with their size."""

    def __init__(self, **fields):
        super().__init__(ctypes.sizeof(type(self)))
        for name, value in fields.items():
            setattr(self, name, value)


class TextOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("delimiters", c_char_p), ("skip_empty", c_int), ("value", c_int),
                ("as_stored", c_int), ("delimiter_count", c_size_t)]


class FixedOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("record_bytes", c_uint32), ("key_offset", c_uint32), ("key_bytes", c_uint32),
                ("value_offset", c_uint32), ("value_bytes", c_uint32), ("schema", Schema), ("header_bytes", c_uint64),
                ("as_stored", c_int)]


class SequenceOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("format", c_int), ("value", c_int), ("piece_bases", c_uint32),
                ("overlap_bases", c_uint32), ("interleaved", c_int), ("as_stored", c_int)]


class CsvOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("separator", c_char), ("no_quotes", c_int), ("no_quoted_newlines", c_int),
                ("header", c_int), ("key_column", c_uint32), ("key_name", c_char_p), ("ragged", c_int),
                ("as_stored", c_int)]


class FileOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("as_stored", c_int)]


class Hdf5Field(Structure):
    _fields_ = [("name", c_char_p), ("type", c_int), ("count", c_uint32)]


class Hdf5Options(Sized):
    _fields_ = [("struct_size", c_size_t), ("dataset", c_char_p), ("record", c_int), ("key", c_int), ("type", c_int),
                ("fields", POINTER(Hdf5Field)), ("field_count", c_size_t), ("convert", c_int), ("external", c_int)]


class Hdf5Filter(Structure):
    _fields_ = [("number", c_int), ("values", POINTER(c_uint32)), ("value_count", c_size_t)]


class Hdf5WriteOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("dataset", c_char_p), ("files", c_int), ("type", c_int),
                ("string_bytes", c_uint32), ("fields", POINTER(Hdf5Field)), ("field_count", c_size_t),
                ("with_key", c_int), ("row_dims", POINTER(c_uint64)), ("row_rank", c_uint32), ("chunk_rows", c_uint64),
                ("deflate_level", c_int), ("shuffle", c_int), ("attributes", c_void_p), ("attribute_count", c_size_t),
                ("like_file", c_char_p), ("like_dataset", c_char_p), ("like_type", c_int),
                ("chunk_dims", POINTER(c_uint64)), ("fletcher32", c_int), ("filters", POINTER(Hdf5Filter)),
                ("filter_count", c_size_t)]


class OutputOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("form", c_int), ("compression", c_int), ("level", c_int),
                ("one_file", c_int), ("archive", c_int), ("names", POINTER(c_char_p)), ("name_count", c_size_t),
                ("separator", c_char), ("rows", c_int), ("row_separator", c_char), ("row_no_quotes", c_int)]


_span = POINTER(Span)
_record = POINTER(Record)
BLOCK_FN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
MAP_FN = CFUNCTYPE(c_int, _record, _record, c_void_p)
FILTER_BLOCK_FN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
KEY_FN = CFUNCTYPE(c_int, _record, _span, c_void_p)
REDUCE_FN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
INIT_FN = CFUNCTYPE(c_int, c_void_p, c_void_p)
ACCUMULATE_FN = CFUNCTYPE(c_int, c_void_p, Span, c_void_p)
COMPARE_FN = CFUNCTYPE(c_int, Span, Span, c_void_p)
GROUP_FN = CFUNCTYPE(c_int, Span, c_void_p, c_void_p, c_void_p)
COGROUP_FN = CFUNCTYPE(c_int, Span, c_void_p, c_void_p, c_void_p, c_void_p)
JOIN_FN = CFUNCTYPE(c_int, Span, _span, _span, c_void_p, c_void_p)
EACH_FN = CFUNCTYPE(c_int, _record, c_void_p)
STEP_FN = CFUNCTYPE(c_void_p, c_void_p, c_uint64, c_void_p)
UNTIL_FN = CFUNCTYPE(c_int, c_uint64, POINTER(c_int), c_void_p)


class Aggregation(Sized):
    _fields_ = [("struct_size", c_size_t), ("accumulator_bytes", c_uint32), ("init", INIT_FN),
                ("accumulate", ACCUMULATE_FN), ("merge", REDUCE_FN), ("finish", MAP_FN), ("schema", Schema)]


class SortOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("descending", c_int), ("compare", COMPARE_FN), ("user", c_void_p),
                ("whole_keys", c_int)]


class GroupOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("values_descending", c_int), ("compare_values", COMPARE_FN),
                ("compare_user", c_void_p)]


class JoinOptions(Sized):
    _fields_ = [("struct_size", c_size_t), ("strategy", c_int), ("outer", c_int)]


class Iteration(Sized):
    _fields_ = [("struct_size", c_size_t), ("step_count_max", c_uint64), ("step", STEP_FN), ("until", UNTIL_FN)]


class Event(Sized):
    _fields_ = [("struct_size", c_size_t), ("kind", c_int), ("status", c_int), ("run", c_uint32), ("stage", c_uint32),
                ("stage_count", c_uint32), ("slowest_rank", c_uint32), ("slowest_is_silent", c_int),
                ("slowest_to_mean", c_double), ("seconds", c_double), ("seconds_left", c_double),
                ("tasks_done", c_uint64), ("tasks_all", c_uint64), ("bytes_done", c_uint64), ("bytes_all", c_uint64),
                ("records", c_uint64), ("read_bytes", c_uint64), ("sent_bytes", c_uint64), ("spilled_bytes", c_uint64),
                ("alert_count", c_uint64), ("passed_over", c_uint64), ("stage_name", c_char_p),
                ("slowest_host", c_char_p), ("topic", c_char_p), ("text", c_char_p), ("records_all", c_uint64)]


class Vertices(Structure):
    _fields_ = [("count", c_size_t), ("step", c_uint64), ("vertex_count", c_uint64), ("first", c_uint64),
                ("links", c_void_p), ("come", c_void_p), ("value", c_void_p), ("send", c_void_p),
                ("totals", POINTER(c_void_p)), ("totals_before", c_void_p), ("failed", POINTER(c_size_t))]


VERTICES_FN = CFUNCTYPE(c_int, POINTER(Vertices), c_void_p)
TOTALS_FN = CFUNCTYPE(c_int, c_uint64, POINTER(c_double), POINTER(c_int), c_void_p)


class VertexProgram(Sized):
    _fields_ = [("struct_size", c_size_t), ("combine", c_int), ("weight", c_int), ("both_ways", c_int),
                ("total_count", c_uint32), ("value", c_double), ("step_count_max", c_uint64), ("step", VERTICES_FN),
                ("until", TOTALS_FN)]


PROGRESS_FN = CFUNCTYPE(None, POINTER(Event), c_void_p)

_paths_of = [c_void_p, POINTER(c_char_p), c_size_t]
_PROTOTYPES = {
    "quern_status_name": (c_char_p, [c_int]),
    "quern_status_text": (c_char_p, [c_int]),
    "quern_exit_status": (c_int, [c_int]),
    "quern_options_init": (None, [c_void_p]),
    "quern_options_read_argv": (c_int, [c_void_p, POINTER(c_int), POINTER(c_char_p)]),
    "quern_options_help": (c_char_p, []),
    "quern_context_create": (c_int, [POINTER(c_int), POINTER(c_char_p), c_void_p, POINTER(c_void_p)]),
    "quern_context_destroy": (None, [c_void_p]),
    "quern_context_rank": (c_int, [c_void_p]),
    "quern_context_size": (c_int, [c_void_p]),
    "quern_context_error_text": (c_char_p, [c_void_p]),
    "quern_read_text": (c_void_p, _paths_of + [POINTER(TextOptions)]),
    "quern_read_fixed": (c_void_p, _paths_of + [POINTER(FixedOptions)]),
    "quern_read_csv": (c_void_p, _paths_of + [POINTER(CsvOptions)]),
    "quern_read_sequences": (c_void_p, _paths_of + [POINTER(SequenceOptions)]),
    "quern_read_sequence_pairs": (c_void_p, [c_void_p, c_char_p, c_char_p, POINTER(SequenceOptions)]),
    "quern_read_files": (c_void_p, _paths_of + [POINTER(FileOptions)]),
    "quern_read_hdf5": (c_void_p, _paths_of + [POINTER(Hdf5Options)]),
    "quern_read_memory": (c_void_p, [c_void_p, Schema, POINTER(MemoryArray), c_size_t]),
    "quern_renew_memory": (c_int, [c_void_p, POINTER(MemoryArray), c_size_t]),
    "quern_name": (c_void_p, [c_void_p, c_char_p]),
    "quern_tolerate": (c_void_p, [c_void_p, c_int, c_uint64]),
    "quern_dataset_schema": (Schema, [c_void_p]),
    "quern_map_block": (c_void_p, [c_void_p, Schema, BLOCK_FN, c_void_p]),
    "quern_flat_map_block": (c_void_p, [c_void_p, Schema, BLOCK_FN, c_void_p]),
    "quern_filter_block": (c_void_p, [c_void_p, FILTER_BLOCK_FN, c_void_p]),
    "quern_emit_block": (c_int, [c_void_p, POINTER(Block)]),
    "quern_fail": (c_int, [c_void_p, c_size_t, c_char_p]),
    "quern_fail_because": (c_int, [c_char_p]),
    "quern_pack_spans": (c_size_t, [c_void_p, c_void_p, c_size_t, c_void_p]),
    "quern_reduce_by_key": (c_void_p, [c_void_p, c_int]),
    "quern_reduce_by_key_with": (c_void_p, [c_void_p, REDUCE_FN, c_void_p]),
    "quern_aggregate_by_key": (c_void_p, [c_void_p, POINTER(Aggregation), c_void_p]),
    "quern_keys": (c_void_p, [c_void_p]),
    "quern_key_by": (c_void_p, [c_void_p, c_int, c_uint32, KEY_FN, c_void_p]),
    "quern_value_as_key": (c_void_p, [c_void_p]),
    "quern_sample": (c_void_p, [c_void_p, c_double, c_uint64]),
    "quern_count_by_key": (c_void_p, [c_void_p]),
    "quern_histogram": (c_void_p, [c_void_p, c_void_p, c_size_t]),
    "quern_distinct": (c_void_p, [c_void_p]),
    "quern_union": (c_void_p, [c_void_p, c_void_p]),
    "quern_sort_by_key": (c_void_p, [c_void_p, POINTER(SortOptions)]),
    "quern_group_by_key": (c_void_p, [c_void_p, Schema, GROUP_FN, c_void_p, POINTER(GroupOptions)]),
    "quern_values_next": (c_int, [c_void_p, _span]),
    "quern_values_rewind": (c_int, [c_void_p]),
    "quern_top_k_by_key": (c_void_p, [c_void_p, c_uint64]),
    "quern_cogroup": (c_void_p, [c_void_p, c_void_p, Schema, COGROUP_FN, c_void_p]),
    "quern_join_with": (c_void_p, [c_void_p, c_void_p, c_int, Schema, JOIN_FN, c_void_p, POINTER(JoinOptions)]),
    "quern_cache": (c_void_p, [c_void_p]),
    "quern_uncache": (None, [c_void_p]),
    "quern_zip_with_index": (c_void_p, [c_void_p, Schema, c_void_p, c_void_p]),
    "quern_prefix_sum": (c_void_p, [c_void_p]),
    "quern_quantiles": (c_void_p, [c_void_p, c_void_p, c_size_t]),
    "quern_iterate": (c_int, [c_void_p, c_void_p, POINTER(Iteration), c_void_p, POINTER(c_void_p)]),
    "quern_iterate_links": (c_void_p, [c_void_p, c_void_p, POINTER(VertexProgram), c_void_p]),
    "quern_write_text": (c_int, [c_void_p, c_char_p]),
    "quern_write_fixed": (c_int, [c_void_p, c_char_p]),
    "quern_write_files": (c_int, [c_void_p, c_char_p, POINTER(OutputOptions)]),
    "quern_write_hdf5": (c_int, [c_void_p, c_char_p, POINTER(Hdf5WriteOptions)]),
    "quern_top_k": (c_int, [c_void_p, c_uint64, EACH_FN, c_void_p]),
    "quern_columns_collect": (c_void_p, [c_void_p, c_int]),
    "quern_columns_count": (c_size_t, [c_void_p]),
    "quern_columns_keys": (c_void_p, [c_void_p]),
    "quern_columns_key_ends": (c_void_p, [c_void_p]),
    "quern_columns_values": (c_void_p, [c_void_p]),
    "quern_columns_value_ends": (c_void_p, [c_void_p]),
    "quern_columns_free": (None, [c_void_p]),
    "quern_counter_create": (c_void_p, [c_void_p, c_char_p]),
    "quern_counter_add": (None, [c_void_p, c_int64]),
    "quern_counter_value": (c_int64, [c_void_p]),
    "quern_run": (c_int, [c_void_p]),
    "quern_on_progress": (c_int, [c_void_p, PROGRESS_FN, c_void_p]),
    "quern_explain": (c_int, [c_void_p, c_int, POINTER(c_void_p)]),
    "quern_broadcast": (c_int, [c_void_p, c_void_p, c_size_t, POINTER(c_void_p)]),
    "quern_note_parameter": (None, [c_void_p, c_char_p, c_char_p, c_size_t]),
    "quern_note_file": (None, [c_void_p, c_char_p]),
    "quern_shared_data": (c_void_p, [c_void_p]),
    "quern_shared_bytes": (c_size_t, [c_void_p]),
    "quern_shared_free": (None, [c_void_p]),
}
for _name, (_result, _arguments) in _PROTOTYPES.items():
    _function = getattr(lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


def texts(items):
    """An array of C strings, NULL at the end."""
    return (c_char_p * (len(items) + 1))(*[os.fsencode(item) for item in items], None)


def memory_at(address, count, owner=None):
    """`count` bytes at an address, for NumPy; owner stays as long as somebody has them."""
    memory = (c_uint8 * count).from_address(address)
    memory.owner = owner
    return memory
