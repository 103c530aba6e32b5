# SPDX-License-Identifier: BSD-3-Clause
"""Failures: the statuses of quern/status.h, and the exception that carries them."""

import enum
import os
import traceback

from . import capi

_CODES_MAX = 128


def _statuses():
    for code in range(_CODES_MAX):
        name = capi.lib.quern_status_name(code).decode()
        if name != "QUERN_ERROR_UNKNOWN":
            yield name.replace("QUERN_ERROR_", "").replace("QUERN_", ""), code


Status = enum.IntEnum("Status", list(_statuses()))


class Error(RuntimeError):
    """A call failed: `status` (a Status), `text`, and `rank` of this process."""

    def __init__(self, status, text, rank=0):
        super().__init__(text or capi.lib.quern_status_text(status).decode())
        self.status, self.text, self.rank = Status(status), self.args[0], rank

    @property
    def exit_status(self):
        """What the program is to exit with."""
        return capi.lib.quern_exit_status(self.status)


def describe(exception):
    """The last line of a traceback, and where it was raised."""
    line = "".join(traceback.format_exception_only(type(exception), exception)).strip().splitlines()[-1]
    frames = traceback.extract_tb(exception.__traceback__)
    own = os.path.dirname(os.path.abspath(__file__))
    places = [frame for frame in frames if os.path.dirname(os.path.abspath(frame.filename)) != own]
    return "%s (%s, line %d)" % (line, os.path.basename(places[-1].filename), places[-1].lineno) if places else line
