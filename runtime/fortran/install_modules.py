#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Copies the compiled modules, which Meson does not install: usage: install_modules.py FROM TO (a path below the prefix)"""

import glob
import os
import shutil
import sys


def main(where, to):
    target = os.path.join(os.environ["MESON_INSTALL_DESTDIR_PREFIX"], to)
    found = sorted(glob.glob(os.path.join(where, "quern*.mod")))
    os.makedirs(target, exist_ok=True)
    for path in found:
        shutil.copy2(path, target)
    return 0 if found else "install_modules: no modules in %s" % where


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
