# SPDX-License-Identifier: Apache-2.0
"""A VM for tests of the processes around a guest: its guest is one jump to itself, so it is there at once."""

import os
import select
import signal
import subprocess
import time
from pathlib import Path

from ferry_cli import running
from harness import FERRY, end, vmm_pids

SAFETY_NET_S = 60


def wait_for(condition, what):
    """Something that no event tells of, as what a process is."""
    deadline = time.monotonic() + SAFETY_NET_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what() if callable(what) else what}"
        time.sleep(0.01)


def program_of(pid):
    return os.readlink(f"/proc/{pid}/exe")


def wait_ended(pidfd):
    assert select.select([pidfd], [], [], SAFETY_NET_S)[0], "it lives on"
    os.close(pidfd)


class Bare:
    def __init__(self, folder, *options, program=FERRY, name=None):
        self.name = name or f"bare-{os.getpid()}-{folder.name}"
        guest = folder / "loop"
        guest.write_bytes(bytes.fromhex("6f000000"))  # j .
        self.errors = open(folder / "stderr", "w+", encoding="utf-8")
        words = [program, "run", "-name", self.name, "-m", "64", "-serial", "null", "-bios", guest, *options]
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stderr=self.errors,
                                        start_new_session=True)
        wait_for(lambda: running(self.name), self.stderr)

    @property
    def supervisor(self):
        return self.process.pid

    def vmms(self):
        return vmm_pids(self.process)

    def vmm(self):
        (pid,) = self.vmms()
        return pid

    def signal_vmm(self, number):
        os.kill(self.vmm(), number)

    def stderr(self):
        return Path(self.errors.name).read_text(encoding="utf-8")

    def wait_exit(self):
        return self.process.wait(SAFETY_NET_S)

    def close(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGCONT)
        end(self.process)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what it may have left
        except ProcessLookupError:
            pass
        self.errors.close()
