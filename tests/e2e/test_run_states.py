# SPDX-License-Identifier: Apache-2.0
"""A guest that stands moves as it stands: why it does, and what may be done with it, is the same where it arrives."""

import errno

import pytest
from faults import wait_for
from ferry_cli import ferry, run_state
from harness import make_disk
from moving import SMALL


def shut_down(start):
    machine = start(options=("-no-shutdown",), **SMALL)
    machine.wait_ready()
    machine.console.send("poweroff")
    wait_for(lambda: run_state(machine.name) == "shutdown")
    return machine


def not_started(start):
    machine = start(options=("-S",), **SMALL)
    wait_for(lambda: run_state(machine.name) == "prelaunch")
    return machine


MADE = {"shutdown": shut_down, "prelaunch": not_started}


def check_stands(cont, now, state):
    """What may be done with it is what could be done before."""
    assert now() == state
    done = cont()
    if state == "shutdown":
        assert done.status == 1 and "Resetting the Virtual Machine is required" in done.err
        assert now() == state
    else:
        assert done.status == 0, done.err
        assert now() == "running"


@pytest.mark.parametrize("state", MADE)
def test_by_an_update(start, state):
    machine = MADE[state](start)
    for _ in range(2):
        assert ferry("update", machine.name).status == 0
        assert run_state(machine.name) == state
    check_stands(lambda: ferry("cont", machine.name), lambda: run_state(machine.name), state)


@pytest.mark.parametrize("state", MADE)
def test_by_a_stream(start, target, state):
    machine = MADE[state](start)
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    assert ferry("migrate", machine.name, there.listening()).status == 0
    there.wait_status(state)
    check_stands(lambda: there.ferry("cont", machine.name), there.state, state)


@pytest.mark.parametrize("state", MADE)
def test_by_a_file(start, target, tmp_path, state):
    machine = MADE[state](start)
    assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
    assert run_state(machine.name) == state
    assert ferry("quit", machine.name).status == 0
    machine.process.wait()
    there = target(machine, "run", "--restore", tmp_path / "file")
    there.wait_status(state)
    check_stands(lambda: there.ferry("cont", machine.name), there.state, state)


def test_cont_while_it_arrives_is_an_order(start, target, tmp_path):
    """It was paused where it came from; whoever says cont here, wherever it is on its way, wants it to run."""
    machine = start(**SMALL)
    machine.wait_ready()
    assert ferry("stop", machine.name).status == 0
    assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
    assert ferry("quit", machine.name).status == 0
    machine.process.wait()
    there = target(machine, "run", "--restore", tmp_path / "file")
    there.wait_until(lambda: there.ferry("cont", machine.name).status == 0)
    there.wait_status("running")
    there.verdict()


def test_a_shut_down_guest_is_reset_where_it_arrives(start, target):
    machine = shut_down(start)
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    assert ferry("migrate", machine.name, there.listening()).status == 0
    there.wait_status("shutdown")
    assert there.ferry("qmp", machine.name, "system_reset").status == 0
    there.wait_status("paused")
    assert there.ferry("cont", machine.name).status == 0
    there.console.wait(r"witness: ready ")


def test_a_failed_disk_by_a_stream(start, target, faults, tmp_path):
    """The request goes along, and is done there by cont."""
    disk = make_disk(tmp_path / "d.img")
    faults.watch("disk", disk)
    machine = start(vmm=faults.vmm, harts=1, mem_mib=128, disk=False, append="witness.mem=8M witness.disk_iops=200",
                    options=("-drive", f"file={disk},if=none,id=d0,format=raw,werror=stop",
                             "-device", "virtio-blk-device,drive=d0"))
    machine.wait_ready()
    faults.fail("write", errno.EIO)
    wait_for(lambda: run_state(machine.name) == "io-error")
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    assert ferry("migrate", machine.name, there.listening()).status == 0
    there.wait_status("io-error")
    assert there.ferry("cont", machine.name).status == 0
    there.verdict()
