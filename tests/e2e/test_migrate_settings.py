# SPDX-License-Identifier: Apache-2.0
"""What the operator sets before or during a migration has the effect that it says."""

import json

import pytest
from ferry_cli import ferry
from moving import SMALL, check_moved, check_unharmed, migrate
from qmp import QmpError

BUSY = {**SMALL, "disk": False, "append": "witness.mem=4M witness.rate=4G witness.status=0"}


def capabilities(qmp, *names):
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names])


def until(qmp, condition, status=("setup", "active")):
    """query-migrate's answer, as soon as it is so."""
    while True:
        info = qmp.execute("query-migrate")
        if condition(info):
            return info
        assert info["status"] in status, info


def completed(qmp):
    return until(qmp, lambda info: info["status"] == "completed", ("setup", "active", "device"))


def transferred(info):
    return info["ram"]["transferred"] if "ram" in info else 0


def test_a_guest_that_writes_too_fast_is_slowed_down(start, target):
    """Near the end of the first round the link becomes slower than the guest."""
    machine = start(**BUSY)
    machine.wait_ready()
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    qmp = machine.qmp()
    capabilities(qmp, "auto-converge", "events")
    qmp.execute("migrate-set-parameters", max_bandwidth=32 << 20, downtime_limit=0)
    # However slow this host is: too much is what exceeds a hundredth of what is sent.
    qmp.execute("migrate-set-parameters", throttle_trigger_threshold=1)
    qmp.execute("migrate-set-parameters", cpu_throttle_initial=50, cpu_throttle_increment=45)
    qmp.execute("migrate", uri=there.listening())
    until(qmp, lambda info: transferred(info) > 36 << 20)
    qmp.execute("migrate-set-parameters", max_bandwidth=4 << 20)
    until(qmp, lambda info: info.get("cpu-throttle-percentage") == 50)
    until(qmp, lambda info: info.get("cpu-throttle-percentage") == 95)
    qmp.execute("migrate-set-parameters", downtime_limit=300)
    info = completed(qmp)
    assert "cpu-throttle-percentage" not in info
    check_moved(machine, there)


def test_a_snapshot_needs_nobody_afterwards(small, target, tmp_path):
    """The process itself lets the guest go on; a snapshot of a paused guest leaves it paused."""
    qmp = small.qmp()
    with pytest.raises(QmpError, match="a snapshot goes to file:PATH"):
        qmp.execute("ferry-snapshot", uri="tcp:127.0.0.1:1")
    qmp.execute("ferry-snapshot", uri=f"file:{tmp_path}/one")
    completed(qmp)
    qmp.wait_event("STOP")
    qmp.wait_event("RESUME")
    small.verdict()
    qmp.execute("stop")
    qmp.execute("ferry-snapshot", uri=f"file:{tmp_path}/two")
    completed(qmp)
    assert qmp.execute("query-status")["status"] == "paused"
    qmp.execute("cont")
    there = target(small, "receive", "tcp:127.0.0.1:0")
    migrate(small, there.listening())
    check_moved(small, there)


UUIDS = [f"0a0b0c0d-0000-4000-8000-00000000000{digit}" for digit in (1, 2)]


def test_validate_uuid(start, target, tmp_path):
    machine = start(**SMALL, options=("-uuid", UUIDS[0]))
    machine.wait_ready()
    uri = f"unix:{tmp_path}/move"
    capabilities(machine.qmp(), "validate-uuid")
    for uuid in reversed(UUIDS):
        words = [uuid if word == UUIDS[0] else word for word in machine.command[2:]]
        words = [word.replace(str(machine.qmp_path), str(tmp_path / f"qmp{uuid[-1]}")) for word in words]
        there = target(machine, "run", *words, "-incoming", "defer")
        there.wait_status("inmigrate")
        on = {"capabilities": [{"capability": "validate-uuid", "state": True}]}
        for command, arguments in (("migrate-set-capabilities", on), ("migrate-incoming", {"uri": uri})):
            done = there.ferry("qmp", machine.name, command, json.dumps(arguments))
            assert done.status == 0, done.err
        if uuid == UUIDS[0]:
            migrate(machine, uri)
            check_moved(machine, there)
            break
        done = ferry("migrate", machine.name, uri)
        assert done.status == 1
        assert there.process.wait(20) == 1
        for text in (done.err, there.stderr()):
            assert UUIDS[0] in text and UUIDS[1] in text, text
        machine.verdict()


def test_pause_before_switchover_and_migrate_continue(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0")
    uri = there.listening()
    qmp = small.qmp()
    capabilities(qmp, "pause-before-switchover", "events")
    for cancelled in (True, False):
        qmp.execute("migrate", uri=uri)
        until(qmp, lambda info: info["status"] == "pre-switchover")
        assert qmp.execute("query-status")["running"] is False
        with pytest.raises(QmpError, match="not in expected state"):
            qmp.execute("migrate-continue", state="device")
        if cancelled:
            qmp.execute("migrate_cancel")
            until(qmp, lambda info: info["status"] == "cancelled", ("cancelling", "pre-switchover"))
            assert there.process.wait(20) == 1
            small.verdict()
            there = target(small, "receive", "tcp:127.0.0.1:0")
            uri = there.listening()
    qmp.execute("migrate-continue", state="pre-switchover")
    completed(qmp)
    check_moved(small, there)


def test_bandwidth_changed_on_the_way(small, target):
    """At a byte per second it would take a year."""
    there = target(small, "receive", "tcp:127.0.0.1:0")
    qmp = small.qmp()
    qmp.execute("migrate-set-parameters", max_bandwidth=1)
    qmp.execute("migrate", uri=there.listening())
    until(qmp, lambda info: info["status"] == "active")
    qmp.execute("migrate-set-parameters", max_bandwidth=0)
    completed(qmp)
    check_moved(small, there)
