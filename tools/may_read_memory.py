#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Exits 1 if one process may not read another's memory (process_vm_readv), as ranks of Open MPI do; else 0.

Many containers forbid it. Done as Open MPI does it: between siblings, of which one allows any reader.
"""

import ctypes
import os
import sys

PR_SET_PTRACER = 0x59616D61
PR_SET_PTRACER_ANY = ctypes.c_ulong(-1)


class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


def start(work):
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = work()
        finally:
            os._exit(status)
    return pid


def main():
    libc = ctypes.CDLL(None, use_errno=True)
    data = ctypes.create_string_buffer(b"quern", 8)  # at the same address in both children
    ready_read, ready_write = os.pipe()
    done_read, done_write = os.pipe()

    def owner():
        os.close(done_write)
        libc.prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0)
        os.write(ready_write, b"x")
        os.read(done_read, 1)  # ends when the parent closes done_write
        return 0

    owner_pid = start(owner)

    def reader():
        os.read(ready_read, 1)
        copy = ctypes.create_string_buffer(8)
        local = Iovec(ctypes.addressof(copy), 8)
        remote = Iovec(ctypes.addressof(data), 8)
        got = libc.process_vm_readv(owner_pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        return 0 if got == 8 else 1

    _, status = os.waitpid(start(reader), 0)
    os.close(done_write)
    os.waitpid(owner_pid, 0)
    return 0 if status == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
