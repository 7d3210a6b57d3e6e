# SPDX-License-Identifier: Apache-2.0
"""Debian's Linux boots, works on all its devices, powers off and reboots."""

import pytest
from network import Numbered


@pytest.mark.parametrize("harts", [1, 2, 4])
def test_boots_works_and_powers_off(start, network, harts):
    machine = start(harts=harts, network=network)
    ready = machine.wait_ready()
    assert ready.groups() == (str(harts), "yes", "10.0.2.15/24")

    numbered = Numbered(network.peer())
    sizes = (0, 100, 1400, 4000) if network.fragments else (0, 1, 100, 1400)
    for size in sizes:
        numbered.exchange(b"x" * size)
    assert numbered.unanswered == []
    if network.name == "tap":
        assert network.ping(5) == 5

    machine.wait_status("disk_ok", at_least=50)
    verdict = machine.verdict()
    assert verdict["mem_pages"] > 0
    assert verdict["mem_verified"] > 0
    assert verdict["disk_writes"] > 0
    assert verdict["disk_reads"] > 0
    assert verdict["timers"] > 0
    assert verdict["rng"] > 0
    assert verdict["steps_back"] == 0
    assert (verdict["udp_rx"], verdict["udp_lost"], verdict["udp_dup"]) == (4, 0, 0)

    assert machine.power_off() == 0


def test_reboots(start, network):
    machine = start(network=network)
    machine.wait_ready()
    machine.console.send("reboot")
    machine.wait_ready()
    machine.wait_status("disk_ok", at_least=10)
    machine.verdict()
    assert machine.power_off() == 0


def test_reset_and_quit_by_the_monitor(start):
    machine = start()
    machine.wait_ready()
    machine.qmp().execute("system_reset")
    machine.qmp().wait_event("RESET")
    machine.wait_ready()
    machine.verdict()
    machine.qmp().execute("quit")
    assert machine.wait_exit() == 0


def test_stop_and_cont(start):
    machine = start()
    machine.wait_ready()
    machine.wait_status("disk_ok", at_least=10)
    qmp = machine.qmp()
    assert qmp.execute("query-status")["running"] is True
    qmp.execute("stop")
    qmp.wait_event("STOP")
    assert qmp.execute("query-status")["status"] == "paused"
    qmp.execute("cont")
    qmp.wait_event("RESUME")
    machine.verdict()
    assert machine.power_off() == 0


def test_small_machine_without_disk_and_network(start):
    machine = start(harts=1, mem_mib=128, disk=False, append="witness.mem=16M")
    assert machine.wait_ready().groups() == ("1", "no", "no")
    machine.wait_status("mem_verified", at_least=100)
    assert machine.verdict()["disk_writes"] == 0
    assert machine.power_off() == 0


def test_no_disk_is_written_to_unless_it_is_said(start):
    """The guest is a shell for whoever just starts it; the witness wants one whole word."""
    machine = start(harts=1, mem_mib=128, witness="")
    machine.console.wait("Here is a shell")
    machine.console.send("echo $((6 * 7)) of $(grep -c vda /proc/partitions)")
    machine.console.wait("42 of 1")
    machine.console.send("exit")
    assert machine.wait_exit() == 0
    assert machine.disk.stat().st_blocks == 0
    for words, says in (("witness", "witness: ready"), ("witness.disk=on", "witness.disk cannot be 'on'")):
        machine = start(harts=1, mem_mib=128, witness=words, append="witness.mem=4M")
        machine.console.wait(says)
        machine.wait_status("mem_verified", at_least=100)
        assert machine.verdict()["disk_writes"] == 0
        assert machine.power_off() == 0
        assert machine.disk.stat().st_blocks == 0
