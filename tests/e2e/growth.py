# SPDX-License-Identifier: Apache-2.0
"""A file that somebody else writes, waited for as the kernel tells of it (inotify(7))."""

import ctypes
import os
import select
import time
from pathlib import Path

SAFETY_NET_S = 60
IN_MODIFY, IN_CREATE = 0x2, 0x100
LIBC = ctypes.CDLL(None, use_errno=True)


def wait_growth(path, condition):
    """Until condition() is true: its value. It is asked whenever something was written to the file, which may not be there yet."""
    deadline = time.monotonic() + SAFETY_NET_S
    told = LIBC.inotify_init1(os.O_CLOEXEC)
    # Of the folder: the file is made, or another takes its place.
    if told < 0 or LIBC.inotify_add_watch(told, os.fsencode(Path(path).parent), IN_MODIFY | IN_CREATE) < 0:
        raise OSError(ctypes.get_errno(), f"cannot watch {path}")
    try:
        while not (found := condition()):
            assert select.select([told], [], [], max(0, deadline - time.monotonic()))[0], f"{path} does not grow"
            os.read(told, 65536)
        return found
    finally:
        os.close(told)


def read_written(path):
    """The words of a file with one line, which a command writes."""

    def words():
        text = path.read_text() if path.exists() else ""
        return text.endswith("\n") and text.split()

    return wait_growth(path, words)
