# SPDX-License-Identifier: Apache-2.0
"""The balloon: memory that a guest gives back is the host's, through updates and moves, and comes back."""

import os
from pathlib import Path

import pytest
from ferry_cli import update
from qmp import QmpError

MIB = 1 << 20
BALLOON = ["-device", "virtio-balloon-device,id=balloon0,free-page-reporting=on"]
LOAD = "shell modprobe virtio_balloon && echo load''ed"
RAM_MIB = 256


def ram_on_host(pid):
    """Bytes that guest RAM takes of the host: the largest memfd of the process."""
    sizes = [0]
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(fd).startswith("/memfd:"):
                sizes.append(fd.stat().st_blocks * 512)
        except FileNotFoundError:
            continue
    return max(sizes)


def wait_actual(qmp, bytes_):
    while qmp.execute("query-balloon")["actual"] != bytes_:
        qmp.wait_event("BALLOON_CHANGE")


@pytest.fixture
def machine(start):
    made = start(harts=1, mem_mib=RAM_MIB, append="witness.mem=8M", options=BALLOON)
    made.wait_ready()
    made.console.send(LOAD)
    made.console.wait("loaded")
    return made


def test_memory_is_given_back_and_taken_again(machine):
    qmp = machine.qmp()
    qmp.execute("balloon", value=(RAM_MIB - 96) * MIB)
    wait_actual(qmp, (RAM_MIB - 96) * MIB)
    pid = update(machine.name)["pid"]
    # What is in the balloon is nowhere: not there before, not because another process looked at it.
    assert ram_on_host(pid) < (RAM_MIB - 96) * MIB
    assert machine.qmp().execute("query-balloon")["actual"] == (RAM_MIB - 96) * MIB
    machine.verdict()
    qmp.execute("balloon", value=RAM_MIB * MIB)
    wait_actual(qmp, RAM_MIB * MIB)
    update(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


def test_pages_that_nobody_uses_are_reported(machine):
    """A file in the guest's memory, removed again: Linux reports the free pages within some seconds."""
    pid = update(machine.name)["pid"]
    machine.ask("shell dd if=/dev/urandom of=/tmp/file bs=1048576 count=64", "witness: shell ended")
    used = ram_on_host(pid)
    assert used > 64 * MIB
    machine.ask("shell rm /tmp/file", "witness: shell ended")
    while ram_on_host(pid) >= used - 32 * MIB:
        machine.console.wait("witness: t=")  # a line a second
    machine.verdict()


def test_a_machine_without_one_says_so(start):
    machine = start(harts=1, mem_mib=RAM_MIB)
    machine.wait_ready()
    for command, arguments in (("query-balloon", {}), ("balloon", {"value": MIB})):
        with pytest.raises(QmpError) as refused:
            machine.qmp().execute(command, **arguments)
        assert "DeviceNotActive" in str(refused.value)
        assert "No balloon device has been activated" in str(refused.value)
