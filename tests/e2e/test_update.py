# SPDX-License-Identifier: Apache-2.0
"""The VMM under a running guest is replaced, again and again, and the guest does not notice."""

import json
import subprocess

import pytest
from ferry_cli import ferry, run_state, running, update
from harness import FERRY, end
from network import Numbered
from qmp import Qmp


def sum_of_phases(ledger):
    return sum(phase["duration-ns"] for phase in ledger["phases"])


def test_updates_under_load(start, network):
    machine = start(harts=2, network=network)
    machine.wait_ready()
    machine.wait_status("disk_ok", at_least=20)
    numbered = Numbered(network.peer())
    pids = {machine.process.pid}
    for _ in range(10):
        ledger = update(machine.name)
        assert sum_of_phases(ledger) == ledger["total-ns"]
        assert ledger["pid"] not in pids
        pids.add(ledger["pid"])
        numbered.exchange()
        assert running(machine.name)
    # The console, the disk and the network still work in the tenth process.
    verdict = machine.verdict()
    assert verdict["steps_back"] == 0
    assert (verdict["udp_lost"], verdict["udp_dup"]) == (0, 0)
    assert numbered.unanswered == []
    # The process that was started first is the one that ends last, with the guest's status.
    assert machine.process.poll() is None
    assert machine.power_off() == 0


def test_four_harts(start):
    machine = start(harts=4)
    machine.wait_ready()
    for _ in range(5):
        update(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


def test_a_paused_guest_stays_paused(start):
    machine = start(harts=1)
    machine.wait_ready()
    assert ferry("stop", machine.name).status == 0
    update(machine.name)
    assert run_state(machine.name) == "paused"
    assert ferry("cont", machine.name).status == 0
    machine.verdict()
    assert machine.power_off() == 0


def test_reboots_after_an_update(start):
    """Boot images travel as fds: a reset needs none of the paths the source was given."""
    machine = start(harts=2)
    machine.wait_ready()
    update(machine.name)
    machine.console.send("reboot")
    machine.wait_ready()
    update(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


def test_by_hand_with_receive_and_qmp(start, tmp_path):
    """QEMU's way: a target listens, the source is told where; it stays in postmigrate."""
    machine = start(harts=1)
    machine.wait_ready()
    socket = tmp_path / "handover"
    qmp = machine.qmp()
    target = subprocess.Popen([FERRY, "receive", f"unix:{socket}"])
    try:
        qmp.execute("migrate-set-parameters", local=True)
        qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        while not socket.exists():
            assert target.poll() is None
        qmp.execute("migrate", uri=f"unix:{socket}")
        while qmp.wait_event("MIGRATION")["data"]["status"] != "completed":
            pass
        assert qmp.execute("query-status")["status"] == "postmigrate"
        assert qmp.execute("query-migrate")["status"] == "completed"
        qmp.execute("quit")
        machine.verdict()
        machine.console.send("poweroff")
        assert target.wait(60) == 0
    finally:
        end(target)


def test_a_target_with_a_monitor_of_its_own(start, tmp_path):
    """It answers before anything has arrived, and is told by QMP where to listen."""
    machine = start(harts=1)
    machine.wait_ready()
    socket, monitor = tmp_path / "handover", tmp_path / "target-qmp"
    target = subprocess.Popen([FERRY, "receive", "-qmp", f"unix:{monitor},server=on,wait=off"])
    try:
        while not monitor.exists():
            assert target.poll() is None
        there = Qmp(monitor)
        assert there.execute("query-status") == {"status": "inmigrate", "running": False}
        there.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
        there.execute("migrate-incoming", uri=f"unix:{socket}")
        here = machine.qmp()
        here.execute("migrate-set-parameters", local=True)
        here.execute("migrate", uri=f"unix:{socket}")
        there.wait_event("RESUME")
        while there.wait_event("MIGRATION")["data"]["status"] != "completed":
            pass
        assert there.execute("query-status")["running"] is True
        here.execute("quit")
        machine.verdict()
        machine.console.send("poweroff")
        assert target.wait(60) == 0
    finally:
        end(target)


@pytest.mark.parametrize(
    "binary, says",
    [
        ("/nonexistent/ferry", "/nonexistent/ferry"),
        ("/bin/true", "(exit status 0); is it a ferry?"),
        ("/bin/false", "exit status 1"),
    ],
)
def test_a_bad_binary_is_a_sentence_and_nothing_else(start, binary, says):
    machine = start(harts=1)
    machine.wait_ready()
    done = ferry("update", machine.name, "--binary", binary)
    assert done.status == 1
    assert says in done.err
    assert running(machine.name)
    machine.verdict()
    update(machine.name)
    assert machine.power_off() == 0


def test_the_ledger_is_readable(start):
    machine = start(harts=1)
    machine.wait_ready()
    done = ferry("update", machine.name)
    assert done.status == 0
    for word in ("stop harts", "save", "send", "load", "adopt", "commit", "start"):
        assert word in done.out
    listed = ferry("ls")
    assert machine.name in listed.out
    assert json.loads(ferry("qmp", machine.name, "query-name").out)["name"] == machine.name
    assert machine.power_off() == 0
    assert machine.name not in ferry("ls").out
