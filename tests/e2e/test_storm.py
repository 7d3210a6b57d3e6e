# SPDX-License-Identifier: Apache-2.0
"""A guest that asks its machine for something without end: others are answered, and it costs no memory."""

import os
import struct
import subprocess

import pytest
from ferry_cli import ferry, update
from harness import FERRY, end, vmm_pids
from qmp import Qmp

# Every hart, as soon as it starts: ask for a reset, and again.
RESET_STORM = struct.pack(
    "<5I",
    0x001002B7,  # lui  t0, 0x100
    0x00007337,  # lui  t1, 7
    0x77730313,  # addi t1, t1, 0x777
    0x0062A023,  # sw   t1, 0(t0)
    0xFFDFF06F,  # j    .-4
)
RESETS = 100
MEMORY_KIB = 64 << 10


@pytest.fixture
def storm(tmp_path):
    firmware = tmp_path / "firmware"
    firmware.write_bytes(RESET_STORM)
    name = f"storm-{os.getpid()}"
    options = f"-name {name} -M virt -smp 4 -m 64 -serial null -bios {firmware}".split()
    monitor = tmp_path / "qmp"
    with subprocess.Popen([FERRY, "run", *options, "-qmp", f"unix:{monitor},server=on,wait=off"]) as process:
        while not monitor.exists():
            assert process.poll() is None
        try:
            yield name, monitor, vmm_pids(process)[0]
            ferry("quit", name)
        finally:
            end(process)


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def ask_through_resets(qmp):
    qmp.events.clear()
    for _ in range(RESETS):
        qmp.wait_event("RESET")
        qmp.events.clear()
        assert qmp.execute("query-status")["running"]


def test_a_guest_that_resets_without_end_leaves_the_monitor_alone(storm):
    name, monitor, pid = storm
    qmp = Qmp(monitor)
    ask_through_resets(qmp)
    before_kib = resident_kib(pid)
    ask_through_resets(qmp)
    assert resident_kib(pid) - before_kib < MEMORY_KIB
    update(name)
    ask_through_resets(Qmp(monitor))
