# SPDX-License-Identifier: Apache-2.0
"""What a Debian kernel finds on PCI, and that it stays there when the VMM is replaced and the guest moves."""

from ferry_cli import ferry, update
from moving import SMALL, check_moved, migrate

HOST_BRIDGE = r"witness: pci 0000:00:00.0 1b36:0008 class=060000 driver=none"


def walk(console):
    """The witness's lines, and how many there were."""
    console.ask("pci", HOST_BRIDGE)
    return int(console.wait(r"witness: pci devices=(\d+)")[1])


def test_the_host_bridge_is_found_and_stays(start, target):
    machine = start(harts=2, mem_mib=256)
    machine.wait_ready()
    assert walk(machine.console) == 1
    for _ in range(20):
        update(machine.name)
    assert walk(machine.console) == 1
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    migrate(machine, there.listening())
    there.wait_status("running")
    assert walk(there.console) == 1
    check_moved(machine, there)


def test_a_machine_can_be_without(start):
    machine = start(options=["-M", "virt,pci=off"], disk=False, **SMALL)
    machine.wait_ready()
    assert machine.ask("pci", r"witness: pci devices=(\d+)")[1] == "0"
    assert ferry("quit", machine.name).status == 0
