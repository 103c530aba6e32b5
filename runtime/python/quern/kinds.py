# SPDX-License-Identifier: BSD-3-Clause
"""Types of keys and values, and how records become objects of Python and the other way round."""

import array
import ctypes
import struct

import numpy

from . import capi

# The numbers of quern/*.h; tests/bindings compares them.
TEXT_NO_VALUE, TEXT_PATH, TEXT_OFFSET, TEXT_PLACE = 0, 1, 2, 3
COUNT, SUM, MIN, MAX, SUM_PLAIN, MEAN = 1, 2, 3, 4, 5, 6
COLLECT_ROOT, COLLECT_ALL, COLLECT_LOCAL = 1, 2, 3
JOIN_INNER, JOIN_LEFT, JOIN_RIGHT, JOIN_FULL, JOIN_SEMI, JOIN_ANTI = 1, 2, 3, 4, 5, 6
JOIN_AUTO, JOIN_SORT, JOIN_BROADCAST_LEFT, JOIN_BROADCAST_RIGHT = 0, 1, 2, 3
JOIN_OUTER_AUTO, JOIN_OUTER_LEFT, JOIN_OUTER_RIGHT = 0, 1, 2
WEIGHT_NONE, WEIGHT_ADD, WEIGHT_MULTIPLY = 0, 1, 2
FORM_TEXT, FORM_CSV, FORM_FIXED, FORM_TSV = 0, 1, 2, 3
NOT_COMPRESSED, GZIP, ZSTD, LZ4 = 0, 1, 2, 3
NO_ARCHIVE, TAR, ZIP = 0, 1, 2
SEQUENCE_ANY, SEQUENCE_FASTA, SEQUENCE_FASTQ, SEQUENCE_FASTQ_LINES = 0, 1, 2, 3
SEQUENCE_BASES, SEQUENCE_QUALITIES = 0, 1
HDF5_ROWS, HDF5_ELEMENTS, HDF5_CHUNKS = 0, 1, 2
HDF5_INDEX, HDF5_PLACE = 0, 1
HDF5_ONE_FILE, HDF5_PER_RANK, HDF5_AT_PATH = 0, 1, 2
HDF5_VARIABLE = 0xffffffff
(EVENT_RUN_BEGUN, EVENT_STAGE_BEGUN, EVENT_PROGRESS, EVENT_STAGE_ENDED, EVENT_RETRY, EVENT_LOSS, EVENT_CHECKPOINT,
 EVENT_ALERT, EVENT_NOTE, EVENT_PLAN, EVENT_RUN_ENDED) = range(1, 12)
BAD_DEFAULT, BAD_FAIL, BAD_SKIP, BAD_QUARANTINE = 0, 1, 2, 3
AUTO = 0

FIXED_CODE, PAIR_BASE = 4, 1 << 16
FIXED_BYTES_MAX = 256
_NUMBERS = {2: ("q", "<i8"), 3: ("Q", "<u8"), 5: ("i", "<i4"), 6: ("I", "<u4"), 7: ("f", "<f4"), 8: ("d", "<f8")}
_CTYPES = {2: ctypes.c_int64, 3: ctypes.c_uint64, 5: ctypes.c_int32, 6: ctypes.c_uint32, 7: ctypes.c_float,
           8: ctypes.c_double}
_OPAQUE = numpy.dtype("V1")


class Kind:
    """A type: its code of quern_type, the bytes of it that are no number, and the dtype of an array of it (None: of any length)."""

    def __init__(self, code, dtype=None, parts=None):
        self.code, self.parts = code, parts
        self.dtype = dtype
        self.fixed_bytes = dtype.itemsize if code == FIXED_CODE else sum(part.fixed_bytes for part in parts or ())
        self.has_length = bool(parts) and not any(part.code in _NUMBERS for part in parts)

    def __repr__(self):
        if self.parts:
            return "pair(%r, %r)" % self.parts
        return {0: "NONE", 1: "BYTES", FIXED_CODE: "fixed(%r)" % self.dtype}.get(self.code, str(self.dtype))

    def same_bytes(self, other):
        return self.code == other.code and self.fixed_bytes == other.fixed_bytes

    # ---- one at a time

    def read(self, address, count):
        """The object that stands in `count` bytes at an address."""
        number = _CTYPES.get(self.code)
        if number:
            return number.from_address(address).value
        return self.of_bytes(ctypes.string_at(address, count))

    def of_bytes(self, data):
        if self.parts:
            return self._split(data)
        if self.code == FIXED_CODE and self.dtype.names:
            return numpy.frombuffer(data, self.dtype)[0]
        if self.code in _NUMBERS:
            return struct.unpack("=" + _NUMBERS[self.code][0], data)[0]
        return None if self.code == 0 else data

    def to_bytes(self, item):
        """The bytes of one object."""
        if self.parts:
            return self._join(*item)
        if self.code in _NUMBERS:
            return struct.pack("=" + _NUMBERS[self.code][0], item)
        if self.code == 1:
            return item.encode() if isinstance(item, str) else bytes(item)
        if self.code == FIXED_CODE:
            data = bytes(item) if isinstance(item, (bytes, bytearray, memoryview)) else numpy.array(item, self.dtype).tobytes()
            if len(data) != self.fixed_bytes:
                raise ValueError("a struct of %d bytes where %d are wanted" % (len(data), self.fixed_bytes))
            return data
        return b""

    def _join(self, first, second):
        one, two = self.parts[0].to_bytes(first), self.parts[1].to_bytes(second)
        return (struct.pack("=I", len(one)) if self.has_length else b"") + one + two

    def _split(self, data):
        first, second = self.parts
        if self.has_length:
            end = 4 + struct.unpack_from("=I", data)[0]
            return first.of_bytes(data[4:end]), second.of_bytes(data[end:])
        end = first.dtype.itemsize if first.dtype is not None else len(data) - second.dtype.itemsize
        return first.of_bytes(data[:end]), second.of_bytes(data[end:])

    # ---- many

    def column(self, data, ends):
        """The entries of a column (uint8, and where each ends if they vary): an array, or a list of objects."""
        if self.code == 0:
            return None
        if self.code in _NUMBERS or self.code == FIXED_CODE:
            return data.view(self.dtype)
        whole = data.tobytes()
        if ends is None:
            step = self.dtype.itemsize
            return [self._split(whole[at:at + step]) for at in range(0, len(whole), step)]
        stops = ends.tolist()
        cut = [whole[begin:end] for begin, end in zip([0] + stops, stops)]
        return [self._split(piece) for piece in cut] if self.parts else cut

    def objects(self, column, count):
        """A column as a list, for functions of single records."""
        if column is None:
            return [None] * count
        return column if isinstance(column, list) or self.code == FIXED_CODE else column.tolist()

    def encode(self, items):
        """(what keeps the memory, address of each entry, bytes of each) of a list or an array."""
        if isinstance(items, numpy.ndarray) and self.code in _NUMBERS:
            data = numpy.ascontiguousarray(items.astype(self.dtype, casting="same_kind", copy=False))
        elif self.code in _NUMBERS:
            data = numpy.frombuffer(array.array(_NUMBERS[self.code][0], items), self.dtype)
        elif self.code == FIXED_CODE and isinstance(items, numpy.ndarray):
            data = numpy.ascontiguousarray(items.astype(self.dtype, casting="equiv", copy=False))
        else:
            return self._encode_bytes(items)
        count, step = len(data), self.dtype.itemsize
        return data, data.ctypes.data + step * numpy.arange(count, dtype=numpy.uintp), numpy.full(count, step, numpy.uint32)

    def _encode_bytes(self, items):
        if isinstance(items, numpy.ndarray):
            items = items.tolist()
        pieces = items if self.code == 1 and all(type(item) is bytes for item in items) else [self.to_bytes(i) for i in items]
        sizes = numpy.fromiter(map(len, pieces), numpy.uint32, len(pieces))
        data = numpy.frombuffer(b"".join(pieces) or b"\0", numpy.uint8)
        starts = numpy.zeros(len(pieces), numpy.uintp)
        numpy.cumsum(sizes[:-1], out=starts[1:])
        return data, data.ctypes.data + starts, sizes


NONE, BYTES = Kind(0), Kind(1)
I64, U64, I32, U32, F32, F64 = (Kind(code, numpy.dtype("=" + _NUMBERS[code][1][1:])) for code in (2, 3, 5, 6, 7, 8))
_BY_CODE = {kind.code: kind for kind in (NONE, BYTES, I64, U64, I32, U32, F32, F64)}
_BY_DTYPE = {kind.dtype: kind for kind in (I64, U64, I32, U32, F32, F64)}


def fixed(of):
    """Structs: of so many bytes, or of a dtype of NumPy, as which they are then read."""
    dtype = numpy.dtype("V%d" % of) if isinstance(of, int) else numpy.dtype(of)
    if not 1 <= dtype.itemsize <= FIXED_BYTES_MAX or dtype.hasobject:
        raise ValueError("a struct has 1 to %d bytes, and no objects" % FIXED_BYTES_MAX)
    return Kind(FIXED_CODE, dtype)


def pair(first, second):
    """Keys of two parts, each BYTES, a struct or a number."""
    parts = kind_of(first), kind_of(second)
    for part in parts:
        if part.code not in (1, FIXED_CODE) and part.code not in _NUMBERS:
            raise TypeError("a pair is of BYTES, structs and numbers, not of %r" % part)
    made = Kind(PAIR_BASE | parts[0].code << 8 | parts[1].code, None, parts)
    if made.fixed_bytes > FIXED_BYTES_MAX:
        raise ValueError("the structs of a pair have at most %d bytes together" % FIXED_BYTES_MAX)
    if all(part.dtype is not None for part in parts):
        made.dtype = numpy.dtype("V%d" % (sum(part.dtype.itemsize for part in parts) + (4 if made.has_length else 0)))
    return made


def kind_of(what):
    """A Kind; or bytes, str, int, float or a dtype, as the Kind that it stands for."""
    if isinstance(what, Kind):
        return what
    if what is None:
        return NONE
    if what in (bytes, str):
        return BYTES
    if isinstance(what, tuple):
        return pair(*what)
    dtype = numpy.dtype(what)
    return _BY_DTYPE.get(dtype) or fixed(dtype)


def kind_of_code(code, fixed_bytes):
    if code & PAIR_BASE:
        codes = code >> 8 & 0xff, code & 0xff
        if codes == (FIXED_CODE, FIXED_CODE):  # each key says where the first ends
            first_bytes = fixed_bytes // 2
            return pair(fixed(first_bytes), fixed(fixed_bytes - first_bytes))
        return pair(*(fixed(fixed_bytes) if one == FIXED_CODE else _BY_CODE[one] for one in codes))
    return fixed(fixed_bytes) if code == FIXED_CODE else _BY_CODE[code]


def schema_of(types):
    """(key kind, value kind, quern_schema) of a type, or a tuple or list of one or two of them."""
    types = list(types) if isinstance(types, (tuple, list)) else [types]
    if not 1 <= len(types) <= 2:
        raise TypeError("a schema is a key type, or a key type and a value type")
    key, value = kind_of(types[0]), kind_of(types[1]) if len(types) == 2 else NONE
    return key, value, capi.Schema(key.code, value.code, value.fixed_bytes, key.fixed_bytes)
