# SPDX-License-Identifier: Apache-2.0
"""A host that hangs, fails, or does less than it was asked for, when the test says so: faults.c, preloaded.

What the two share is a file that a VMM maps before it locks itself in. An update's target inherits the environment
of its source, and so maps it as well: a fault holds for every process that gets the guest.
"""

import mmap
import os
import struct
import subprocess
import time
from pathlib import Path

from harness import FERRY, Vmm

SAFETY_NET_S = 60
FILES = {"disk": 0, "log": 16}
KINDS = ("read", "write", "sync", "allocate", "log", "lookup")
FAULT = ("hang", "hung", "failures", "errnum", "at_most")
FIRST = 32
ALWAYS = (1 << 32) - 1


def build_library(folder):
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-shared", "-fPIC", "-O1", "-o", library, source],
                   check=True)
    return library


class Faults:
    """Of these kinds of calls:

    read, write, sync, allocate   of the file that is the disk
    log                           write(2) to the file that is the log
    lookup                        of a name that is no number
    """

    def __init__(self, folder, library):
        path = folder / "faults"
        path.write_bytes(bytes(mmap.PAGESIZE))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 0)
        self.words = ["env", f"LD_PRELOAD={library}", f"FERRY_FAULTS={path}"]
        self.vmm = Vmm("ferry", [*self.words, str(FERRY), "run"], [])

    def watch(self, what, path):
        """This file is the disk, or the log."""
        found = os.stat(path)
        struct.pack_into("=QQ", self.memory, FILES[what], found.st_dev, found.st_ino)

    def place(self, kind, field):
        return FIRST + 4 * (KINDS.index(kind) * len(FAULT) + FAULT.index(field))

    def set(self, kind, field, value):
        struct.pack_into("=I", self.memory, self.place(kind, field), value)

    def hang(self, kind):
        self.set(kind, "hung", 0)
        self.set(kind, "hang", 1)

    def wait_hung(self, kind):
        """A call of this kind does hang."""
        wait_for(lambda: struct.unpack_from("=I", self.memory, self.place(kind, "hung"))[0])

    def fail(self, kind, errnum, times=ALWAYS):
        self.set(kind, "errnum", errnum)
        self.set(kind, "failures", times)

    def shorten(self, kind, bytes_):
        """No call does more in one go."""
        self.set(kind, "at_most", bytes_)

    def heal(self, *kinds):
        """These, or all of them."""
        for kind in kinds or KINDS:
            for field in ("hang", "failures", "at_most"):
                self.set(kind, field, 0)

    def close(self):
        self.heal()
        self.memory.close()


def wait_for(condition):
    deadline = time.monotonic() + SAFETY_NET_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
