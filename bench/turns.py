# SPDX-License-Identifier: Apache-2.0
"""Machines that take turns: each stands still but for what is measured of it."""

import os
import pathlib

from common import FERRY  # noqa: F401, it says where the harness is

from harness import Machine, find_vmm  # isort: skip


class TurnMachine:
    """A booted guest, stopped until its turn."""

    def __init__(self, vmm, folder, harts=1, disk=False, network=None, options=()):
        folder.mkdir()
        self.machine = Machine(find_vmm(vmm), folder, harts=harts, disk=disk, network=network, options=options,
                               name=f"bench-{os.getpid()}-{folder.name}",
                               append="witness.status=0 witness.mem=4M witness.rate=1M witness.disk=off")
        self.machine.wait_ready()
        self.machine.qmp().execute("stop")
        self.hart = self.machine.qmp().execute("query-cpus-fast")[0]["thread-id"]

    def hart_s(self):
        """CPU time of the first hart's thread: what others do to the host does not count."""
        return self._thread_s(pathlib.Path(f"/proc/{self.hart}"))

    def all_s(self):
        """CPU time of all threads of the VMM."""
        return sum(self._thread_s(task) for task in pathlib.Path(f"/proc/{self.hart}/task").iterdir())

    @staticmethod
    def _thread_s(task):
        return int((task / "schedstat").read_text().split()[0]) / 1e9

    def run(self, workload, argument=""):
        """(seconds by the guest's clock, checksum)"""
        self.machine.qmp().execute("cont")
        found = self.machine.ask(f"bench {workload}{argument}",
                                 rf"witness: bench {workload} ns=(\d+) sum=(\S+)")
        self.machine.qmp().execute("stop")
        return int(found[1]) / 1e9, found[2]

    def close(self):
        self.machine.close()
