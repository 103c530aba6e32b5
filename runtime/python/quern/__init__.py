# SPDX-License-Identifier: BSD-3-Clause
"""Quern from Python: MapReduce and dataflow jobs on MPI clusters, with functions of Python as callbacks.

    import sys
    import quern

    with quern.Context(argv=sys.argv) as context:
        words = context.read_text(sys.argv[1:], delimiters=b" \\t\\n\\v\\f\\r", skip_empty=True)
        found = words.reduce_by_key(quern.COUNT).top_k(20)
        context.run()
        for word, count in found.records:
            print(count, word.decode())

Types. A key or value is bytes (BYTES), an int or float (I32, U32, I64, U64, F32, F64), bytes or a numpy.void (fixed()), or a tuple
of two of these (pair(), keys only). A schema is (key type,) or (key type, value type); types of NumPy stand for themselves.

Blocks. Callbacks are called with some hundred records at a time from C, so that what record-wise functions cost is Python's own
loop; flat_map_block() hands them on as arrays. Arrays live as long as anybody has them.

Threads. quern_run() gives the interpreter's lock away and takes it back for each callback. Callbacks run on the thread that called
run(); those of reductions, merges of aggregations and comparisons may come on another one, the library's own, while
another callback waits for something: they must only read what is not their argument.

Failures. What fails raises quern.Error on every rank, with status and text. An exception in a callback makes the run fail: its last line
is in the text, and on the rank where it was raised it is the __cause__. Ending a context is collective, also by `with`.
"""

from .callbacks import Vertices
from .context import Context
from .dataset import Collected, Counter, Dataset, Shared, Top
from .errors import Error, Status
from .kinds import (AUTO, BAD_DEFAULT, BAD_FAIL, BAD_QUARANTINE, BAD_SKIP, BYTES, COLLECT_ALL, COLLECT_LOCAL,
                    COLLECT_ROOT, COUNT, EVENT_ALERT, EVENT_CHECKPOINT, EVENT_LOSS, EVENT_NOTE, EVENT_PLAN,
                    EVENT_PROGRESS, EVENT_RETRY, EVENT_RUN_BEGUN, EVENT_RUN_ENDED, EVENT_STAGE_BEGUN,
                    EVENT_STAGE_ENDED, F32, F64, FORM_CSV, FORM_FIXED, FORM_TEXT, GZIP, HDF5_AT_PATH, HDF5_CHUNKS,
                    HDF5_ELEMENTS, HDF5_INDEX, HDF5_ONE_FILE, HDF5_PER_RANK, HDF5_PLACE, HDF5_ROWS, HDF5_VARIABLE, I32,
                    I64, JOIN_ANTI, JOIN_AUTO, JOIN_BROADCAST_LEFT, JOIN_BROADCAST_RIGHT, JOIN_FULL, JOIN_INNER, JOIN_LEFT,
                    JOIN_OUTER_AUTO, JOIN_OUTER_LEFT, JOIN_OUTER_RIGHT, JOIN_RIGHT, JOIN_SEMI, JOIN_SORT, LZ4, MAX, MEAN,
                    MIN, NO_ARCHIVE, NONE, NOT_COMPRESSED, SEQUENCE_ANY, SEQUENCE_BASES, SEQUENCE_FASTA,
                    SEQUENCE_FASTQ, SEQUENCE_FASTQ_LINES, SEQUENCE_QUALITIES, SUM, SUM_PLAIN, TAR, TEXT_NO_VALUE,
                    TEXT_OFFSET, TEXT_PATH, TEXT_PLACE, U32, U64, WEIGHT_ADD, WEIGHT_MULTIPLY, WEIGHT_NONE, ZIP, ZSTD,
                    fixed, pair)

__all__ = [name for name in dir() if not name.startswith("_")]
