# SPDX-License-Identifier: Apache-2.0
"""A guest that is restored from a file is told, by another generation ID; moves, updates and resets keep it."""

import json
import time
import uuid

import pytest
from ferry_cli import ferry, update
from moving import SMALL, check_moved, migrate


def id_of(call, name):
    done = call("qmp", name, "query-vm-generation-id")
    assert done.status == 0, done.err
    return json.loads(done.out)["guid"]


def seeds(console):
    """How often the kernel was told."""
    line = console.ask("shell dmesg | grep -c 'reseeded due to virtual machine fork'; echo", r"^(\d+)$")
    console.wait("witness: shell ended")
    return int(line[1])


def draws(there):
    """What the guest's kernel gives as a random UUID."""
    found = there.console.ask("shell cat /proc/sys/kernel/random/uuid", r"^([0-9a-f-]{36})$")
    return found[1]


def test_only_a_restore_changes_it(start, target, tmp_path):
    machine = start(disk=False, **SMALL)
    machine.wait_ready()
    first = id_of(ferry, machine.name)
    assert uuid.UUID(first).int != 0
    machine.qmp().execute("system_reset")
    machine.qmp().wait_event("RESET")
    machine.wait_ready()
    update(machine.name)
    assert id_of(ferry, machine.name) == first
    assert seeds(machine.console) == 0
    assert ferry("stop", machine.name).status == 0
    assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
    assert ferry("cont", machine.name).status == 0
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    migrate(machine, there.listening())
    assert id_of(there.ferry, machine.name) == first
    assert seeds(there.console) == 0
    check_moved(machine, there)
    ids, uuids = {first}, set()
    for name in ("one", "two"):
        there = target(machine, "run", "--restore", tmp_path / "file", "--name", name)
        there.name = name
        there.wait_status("paused")
        ids.add(id_of(there.ferry, name))
        assert there.ferry("cont", name).status == 0
        uuids.add(draws(there))
        there.console.wait("witness: shell ended")
        assert seeds(there.console) == 1
        there.close()
    assert len(ids) == 3
    assert len(uuids) == 2


def test_an_id_can_be_given_or_declined(start):
    given = "324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87"
    machine = start(options=["-device", f"vmgenid,guid={given}"], **SMALL)
    machine.wait_ready()
    assert id_of(ferry, machine.name) == given
    assert ferry("quit", machine.name).status == 0
    for words in (["-M", "virt,vmgenid=off"], ["-M", "virt,compat=qemu-10.0.2"]):
        machine = start(options=words, **SMALL)
        machine.wait_ready()
        done = ferry("qmp", machine.name, "query-vm-generation-id")
        assert "VM Generation ID device not found" in done.err
        assert ferry("quit", machine.name).status == 0


def chip(console):
    """What the clock chip says, in seconds."""
    line = console.ask("shell mount -t sysfs sys /sys 2>&-; cat /sys/class/rtc/rtc0/since_epoch", r"^(\d+)$")
    console.wait("witness: shell ended")
    return int(line[1])


@pytest.mark.parametrize("clock", ["host", "vm"])
def test_the_clock_chip_after_a_restore(start, target, tmp_path, clock):
    """The host's time, or what it would have been if the guest had not stood still: as the operator has chosen."""
    machine = start(disk=False, options=["-rtc", f"clock={clock}"], **SMALL)
    machine.wait_ready()
    assert ferry("stop", machine.name).status == 0
    stopped = time.time()
    assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
    assert ferry("quit", machine.name).status == 0
    time.sleep(10)  # what the two differ in
    there = target(machine, "run", "--restore", tmp_path / "file")
    there.wait_status("paused")
    stood = time.time() - stopped
    assert there.ferry("cont", machine.name).status == 0
    behind = time.time() - chip(there.console)
    assert (abs(behind - stood) < abs(behind)) == (clock == "vm"), (behind, stood)
