# SPDX-License-Identifier: BSD-3-Clause
"""The library on a set of ranks: where datasets come from, and what runs them."""

import atexit
import ctypes
import os
import re
import sys
import types

import numpy

from . import callbacks, capi, kinds
from .capi import lib
from .dataset import Counter, Dataset, Shared, fields_of
from .errors import Error

OPTIONS_BYTES = 4096  # more than quern_options will ever have
_open = []


def _close_all():
    """At the end of the program; but where one rank alone may be at its end, others would be waited for."""
    if isinstance(getattr(sys, "last_value", None), (Error, type(None))):
        while _open:
            _open[-1].close()
        lib.quern_context_destroy(None)


atexit.register(_close_all)


def _argument(name, value):
    text = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
    return os.fsencode("--quern-%s=%s" % (name.replace("_", "-"), os.fspath(text) if hasattr(text, "__fspath__") else text))


def _one_mpi():
    """Two libraries of MPI in one process crash sooner or later: refuses them."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        found = {line.split(None, 5)[-1].strip() for line in maps if re.search(r"/libmpi(ch)?\.so", line)}
    found = {os.path.realpath(path) for path in found}
    if len(found) > 1:
        raise ImportError("mpi4py and libquern were built with different MPIs: %s" % ", ".join(sorted(found)))


def _paths(paths):
    paths = [paths] if isinstance(paths, (str, bytes, os.PathLike)) else list(paths)
    return capi.texts(paths), len(paths)


def _as_namespace(event):
    fields = {name: getattr(event, name) for name, _ in event._fields_[1:]}
    told = {name: os.fsdecode(value) if isinstance(value, bytes) else value for name, value in fields.items()}
    told["slowest_rank"] = None if event.slowest_rank == 0xffffffff else event.slowest_rank
    told["seconds_left"] = None if event.seconds_left < 0 else event.seconds_left
    return types.SimpleNamespace(**told)


def program_files():
    """The script's file, and those of modules that lie below its directory, installed packages left out; in order."""
    script = getattr(sys.modules.get("__main__"), "__file__", None)
    if not script:
        return []
    top = os.path.join(os.path.dirname(os.path.realpath(script)), "")
    found = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        path = os.path.realpath(path) if isinstance(path, str) else ""
        inside = path.startswith(top) and not {"site-packages", "dist-packages"} & set(path[len(top):].split(os.sep))
        if (inside or module is sys.modules["__main__"]) and os.path.isfile(path):
            found.add(path)
    return sorted(found)


class Context:
    """The library on all ranks of the launch (comm None: MPI is initialised if nobody has), or on those of an mpi4py communicator, of
    which it takes a duplicate. Collective.

    argv: a list, sys.argv for one, out of which --quern-… arguments are taken. Options are given by name, as on the command line with _
    for -: memory="8G", progress=True."""

    def __init__(self, comm=None, argv=None, **options):
        self._raw = ctypes.c_void_p()
        self._kept, self._kept_for_run = [], []
        self._listener = None
        self.failures = callbacks.Failures()
        self._lent = {}
        self.lent = []
        self._noted, self._module_count = set(), 0
        given = [_argument(name, value) for name, value in options.items() if value is not None]
        program = argv if argv else [""]
        texts = [os.fsencode(program[0])] + given + [os.fsencode(text) for text in program[1:]]
        count, vector = ctypes.c_int(len(texts)), (ctypes.c_char_p * (len(texts) + 1))(*texts, None)
        status = self._create(comm, count, vector)
        if status != 0:
            raise Error(status, self._text(None), lib.quern_context_rank(None))
        if argv is not None:
            argv[:] = [os.fsdecode(vector[i]) for i in range(count.value)]
        _open.append(self)

    def _create(self, comm, count, vector):
        if comm is None:
            return lib.quern_context_create(ctypes.byref(count), vector, None, ctypes.byref(self._raw))
        from mpi4py import MPI
        _one_mpi()
        memory = ctypes.create_string_buffer(OPTIONS_BYTES)
        lib.quern_options_init(memory)
        status = lib.quern_options_read_argv(memory, ctypes.byref(count), vector)
        if status != 0:
            return status
        handle = ctypes.c_void_p if MPI._sizeof(MPI.Comm) == ctypes.sizeof(ctypes.c_void_p) else ctypes.c_int
        create = lib.quern_context_create_on
        create.argtypes = [handle, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
        return create(handle.from_address(MPI._addressof(comm)), memory, ctypes.byref(self._raw))

    @staticmethod
    def _text(raw):
        return os.fsdecode(lib.quern_context_error_text(raw))

    # ---- its life

    def close(self):
        """Collective. Datasets and counters end with it, collected records do not."""
        if self._raw:
            lib.quern_context_destroy(self._raw)
            self._raw = ctypes.c_void_p()
            _open.remove(self)
        self._kept, self._kept_for_run, self._lent, self.lent = [], [], {}, []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def is_open(self):
        return bool(self._raw)

    @property
    def rank(self):
        return lib.quern_context_rank(self.raw)

    @property
    def size(self):
        return lib.quern_context_size(self.raw)

    @property
    def raw(self):
        if not self._raw:
            raise ValueError("the context is closed")
        return self._raw

    # ---- what datasets ask of it

    def check(self, raw):
        """The handle of a dataset of this context, if that is open."""
        return raw if self.raw else None

    def keep(self, callback):
        self._kept.append(callback)
        return callback

    def keep_for_run(self, one):
        self._kept_for_run.append(one)
        return one

    def is_pending(self, collected):
        return any(one is collected for one in self._kept_for_run)

    def lend(self, dataset_raw, lent):
        """Arrays that a dataset of memory reads stay as long as it does: [(begin, end, array)]."""
        self._lent[dataset_raw] = lent
        self.lent = [item for items in self._lent.values() for item in items]

    # ---- sources

    def _read(self, call, paths, how):
        vector, count = _paths(paths)
        return Dataset(self, call(self.raw, vector, count, how and ctypes.byref(how)))

    def read_text(self, paths, delimiters=b"\n", skip_empty=False, value=kinds.TEXT_NO_VALUE, as_stored=False):
        how = capi.TextOptions(delimiters=delimiters, delimiter_count=len(delimiters), skip_empty=int(skip_empty),
                               value=value, as_stored=int(as_stored))
        return self._read(lib.quern_read_text, paths, how)

    def read_fixed(self, paths, record_bytes, types=None, key_offset=0, key_bytes=0, value_offset=0, value_bytes=0,
                   header_bytes=0, as_stored=False):
        how = capi.FixedOptions(record_bytes=record_bytes, key_offset=key_offset, key_bytes=key_bytes,
                                value_offset=value_offset, value_bytes=value_bytes, header_bytes=header_bytes,
                                as_stored=int(as_stored))
        key = value = None
        if types is not None:
            key, value, how.schema = kinds.schema_of(types)
        vector, count = _paths(paths)
        return Dataset(self, lib.quern_read_fixed(self.raw, vector, count, ctypes.byref(how)), key, value)

    def read_csv(self, paths, separator=b",", key_column=0, key_name=None, header=False, quotes=True, quoted_newlines=True,
                 ragged=False, as_stored=False):
        how = capi.CsvOptions(separator=separator, no_quotes=int(not quotes), no_quoted_newlines=int(not quoted_newlines),
                              header=int(header), key_column=key_column, key_name=key_name and key_name.encode(),
                              ragged=int(ragged), as_stored=int(as_stored))
        return self._read(lib.quern_read_csv, paths, how)

    def read_sequences(self, paths, **how):
        """how: the fields of quern_sequence_options."""
        return self._read(lib.quern_read_sequences, paths, capi.SequenceOptions(**how))

    def read_sequence_pairs(self, first_path, second_path, **how):
        made = capi.SequenceOptions(**how)
        return Dataset(self, lib.quern_read_sequence_pairs(self.raw, os.fsencode(first_path), os.fsencode(second_path),
                                                           ctypes.byref(made)))

    def read_files(self, paths, as_stored=False):
        return self._read(lib.quern_read_files, paths, capi.FileOptions(as_stored=int(as_stored)))

    def read_hdf5(self, paths, dataset, record=kinds.HDF5_ELEMENTS, key=kinds.HDF5_INDEX, dtype=numpy.float64, convert=False,
                  external=False):
        """dtype: of an element; a structured one asks for these members of a compound."""
        how = capi.Hdf5Options(dataset=dataset.encode(), record=record, key=key, convert=int(convert), external=int(external))
        value_kind = kinds.kind_of(dtype)
        if value_kind.dtype is not None and value_kind.dtype.names:
            fields = fields_of(value_kind.dtype)
            how.fields, how.field_count = fields, len(fields)
        else:
            how.type = value_kind.code
        vector, count = _paths(paths)
        return Dataset(self, lib.quern_read_hdf5(self.raw, vector, count, ctypes.byref(how)), None, value_kind)

    def read_memory(self, keys, values=None):
        """Arrays of one dimension of this rank as records, structured ones as structs; not copied, whatever their stride. They stay as long as
        the context, or until renew_memory(), and must not change while it runs. Every rank calls it, with arrays of the same dtype."""
        key_kind = kinds.kind_of(numpy.asarray(keys).dtype)
        value_kind = kinds.kind_of(numpy.asarray(values).dtype) if values is not None else kinds.NONE
        here, lent = self.arrays_of(key_kind, value_kind, keys, values)
        raw = lib.quern_read_memory(self.raw, kinds.schema_of([key_kind, value_kind])[2], here, len(here))
        self.lend(raw, lent)
        return Dataset(self, raw, key_kind, value_kind)

    @staticmethod
    def arrays_of(key_kind, value_kind, keys, values):
        """(quern_memory_array[], what was lent)."""
        here, lent = capi.MemoryArray(), []
        for name, kind, array in (("key", key_kind, keys), ("value", value_kind, values)):
            if (array is None) != (kind.code == 0):
                raise TypeError("there is a %s without a type, or a type without it" % name)
            if array is None:
                continue
            array = numpy.asarray(array)
            if array.ndim != 1 or array.dtype != kind.dtype:
                raise TypeError("the %ss are an array of shape %s and %s" % (name, array.shape, array.dtype))
            if array.strides[0] <= 0 and len(array) > 1:
                raise ValueError("the %ss are an array that goes backwards, or nowhere" % name)
            setattr(here, name, array.ctypes.data)
            setattr(here, name + "_stride", array.strides[0] if len(array) > 1 else 0)
            if name == "value" and len(array) != here.count:
                raise ValueError("%d keys and %d values" % (here.count, len(array)))
            here.count = len(array)
            end = array.ctypes.data + array.strides[0] * (len(array) - 1) + array.itemsize if len(array) else 0
            lent.append((array.ctypes.data, end, array))
        return (capi.MemoryArray * 1)(here), lent

    # ---- running

    def counter(self, name):
        return Counter(lib.quern_counter_create(self.raw, name.encode()))

    def broadcast(self, data=None):
        """The bytes, or array, of rank 0 for all ranks: gives a Shared. Collective."""
        own = numpy.frombuffer(data, numpy.uint8) if isinstance(data, (bytes, bytearray, memoryview)) and len(data) else None
        if isinstance(data, numpy.ndarray):
            own = numpy.ascontiguousarray(data)
        made = ctypes.c_void_p()
        size = own.nbytes if own is not None else 0
        self._raise(lib.quern_broadcast(self.raw, own.ctypes.data if size else None, size, ctypes.byref(made)))
        return Shared(self, made)

    def note_parameter(self, name, value):
        """What the work depends on besides what is known: bytes, an array, or what has a repr() that says all of it (numbers, texts, tuples and
        lists of them). See quern/resume.h. Local; a failure is the next run's."""
        if isinstance(value, numpy.ndarray):
            value = repr((value.shape, value.dtype.str)).encode() + numpy.ascontiguousarray(value).tobytes()
        elif not isinstance(value, (bytes, bytearray, memoryview)):
            value = repr(value).encode()
        value = bytes(value)
        lib.quern_note_parameter(self.raw, name.encode(), value, len(value))

    def note_file(self, path):
        """That the work depends on the content of a file. See quern/resume.h. Local; a failure is the next run's."""
        lib.quern_note_file(self.raw, os.fsencode(path))

    def _note_modules(self):
        """The interpreter is the same for all programs: the script, and modules of its directory that were imported by now, are what is run."""
        if self.rank != 0 or len(sys.modules) == self._module_count:
            return
        self._module_count = len(sys.modules)
        for path in program_files():
            if path not in self._noted:
                self._noted.add(path)
                self.note_file(path)

    def run(self):
        """Does all that was asked for since the last run. Collective; raises the same Error on all ranks."""
        self._begin()
        status = lib.quern_run(self.raw)
        self._kept_for_run = []
        self._raise(status)

    def on_progress(self, fn):
        """Has fn(event) called on rank 0 with what happens while runs work; None: no more. Local; by a thread of the library's, with the
        interpreter's lock. event has the fields of quern_event (quern/events.h), texts as str; kind is one of EVENT_…; slowest_rank and
        seconds_left are None where there is none. fn calls nothing of the context; what it raises goes to sys.unraisablehook."""
        def call(event, _):
            fn(_as_namespace(event[0]))

        prototype = capi.PROGRESS_FN(call) if fn else capi.PROGRESS_FN()
        self._raise(lib.quern_on_progress(self.raw, prototype, None))
        self._listener = prototype

    def iterate(self, initial, step_count_max, step, until=None):
        """step(dataset, number) gives the dataset of the next state; until(number) says, on all ranks alike, whether to end. Gives the last
        state, which is kept."""
        def call_step(raw, number, _):
            try:
                return step(Dataset(self, raw, initial.key_kind, initial.value_kind), number).raw
            except BaseException as exception:
                self.failures.tell(exception)
                return None

        def decide(number, stop, _):
            stop[0] = bool(until(number))

        how = capi.Iteration(step_count_max=step_count_max, step=capi.STEP_FN(call_step))
        if until:
            how.until = self.failures.guarded(capi.UNTIL_FN, decide)
        last = ctypes.c_void_p()
        self._begin()
        status = lib.quern_iterate(self.raw, initial.raw, ctypes.byref(how), None, ctypes.byref(last))
        self._kept_for_run = []
        self._raise(status)
        return Dataset(self, last.value, initial.key_kind, initial.value_kind)

    def explain(self, as_graph=False):
        text = ctypes.c_void_p()
        self._raise(lib.quern_explain(self.raw, 2 if as_graph else 1, ctypes.byref(text)))
        plan = ctypes.string_at(text.value).decode()
        _free(text)
        return plan

    def _begin(self):
        self.failures.last = self.failures.in_comparison = None
        self._note_modules()

    def _raise(self, status):
        if self.failures.in_comparison is not None and status == 0:
            raise RuntimeError("a comparison raised, so that the order means nothing") from self.failures.in_comparison
        if status == 0:
            return
        if isinstance(self.failures.last, (KeyboardInterrupt, SystemExit)):
            raise self.failures.last
        raise Error(status, self._text(self.raw), self.rank) from self.failures.last


_free = ctypes.CDLL(None).free
_free.argtypes, _free.restype = [ctypes.c_void_p], None
