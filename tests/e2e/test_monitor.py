# SPDX-License-Identifier: Apache-2.0
"""Migrations as scripts drive QEMU: with file descriptors that they send, with what people would type."""

import socket

import pytest
from ferry_cli import ferry
from qmp import QmpError

SMALL = {"harts": 1, "mem_mib": 128, "append": "witness.mem=16M", "disk": False}


def events_on(machine):
    machine.qmp().execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    return machine


def wait_completed(qmp):
    while (status := qmp.wait_event("MIGRATION")["data"]["status"]) != "completed":
        assert status != "failed", qmp.execute("query-migrate")


def wait_monitor(machine):
    """Before the guest says anything."""
    while ferry("status", machine.name).status:
        assert machine.process.poll() is None, machine.stderr()


def wait_for_guest(start, *options):
    machine = start(**SMALL, options=("-incoming", "defer", *options))
    wait_monitor(machine)
    return events_on(machine)


def fd_channel(name):
    return [{"channel-type": "main", "addr": {"transport": "socket", "type": "fd", "str": name}}]


def test_moves_into_a_set_and_over_a_named_socket(start, tmp_path):
    source = start(**SMALL)
    source.wait_ready()
    first, second = wait_for_guest(start), wait_for_guest(start)
    here, there = events_on(source).qmp(), first.qmp()

    # A stopped guest into a file that only this test can open, and back out of it.
    here.execute("stop")
    with open(tmp_path / "file", "wb+") as file:
        there.execute("add-fd", fds=[file.fileno()], fdset_id=7)
        here.execute("add-fd", fds=[file.fileno()], fdset_id=7, opaque="of the test")
        here.execute("migrate", uri="file:/dev/fdset/7")
        wait_completed(here)
    there.execute("migrate-incoming", uri="file:/dev/fdset/7")
    wait_completed(there)
    assert there.execute("query-status")["status"] == "paused"
    there.execute("cont")
    first.verdict()

    # Running, over a socket that has only a name.
    ends = socket.socketpair()
    second.qmp().execute("getfd", fds=[ends[0].fileno()], fdname="in")
    there.execute("getfd", fds=[ends[1].fileno()], fdname="out")
    for end in ends:
        end.close()
    second.qmp().execute("migrate-incoming", channels=fd_channel("in"))
    there.execute("migrate", uri="fd:out")
    wait_completed(there)
    wait_completed(second.qmp())
    second.verdict()
    for qmp, name in ((there, "out"), (second.qmp(), "in")):
        with pytest.raises(QmpError, match=f"File descriptor named '{name}' not found"):
            qmp.execute("closefd", fdname=name)


def statuses(qmp):
    """What has happened to the migration, in order."""
    shown = {"MIGRATION": "status", "MIGRATION_PASS": "pass"}
    return [event["data"][shown[event["event"]]] if event["event"] in shown else event["event"] for event in qmp.events]


def test_as_a_person_would_type_it(start):
    source = start(**SMALL)
    source.wait_ready()
    target = wait_for_guest(start, "-S")
    here, there = events_on(source).qmp(), target.qmp()

    def typed(line):
        return here.execute("human-monitor-command", command_line=line)

    there.execute("cont")  # it shall run when it has come, whatever -S said
    there.execute("migrate-incoming", uri="tcp:localhost:0")  # which is looked up meanwhile
    while not (addresses := there.execute("query-migrate").get("socket-address")):
        pass
    address = addresses[0]
    assert typed("info status") == "VM status: running\r\n"
    assert typed("migrate_set_parameter max-bandwidth 1k") == ""
    assert typed(f"migrate -d tcp:localhost:{address['port']}") == ""
    while "active" not in statuses(here):
        here.events.append(here.receive())
    assert "Migration status: active\r\n" in typed("info migrate")
    assert [thread["name"] for thread in here.execute("query-migrationthreads")] == ["mig/src/main"]
    assert "cannot be changed while a migration is in progress" in typed("migrate_set_parameter multifd-channels 9")
    assert typed("migrate_set_parameter max-bandwidth 1G") == ""
    while "completed" not in statuses(here):
        here.events.append(here.receive())
    order = statuses(here)
    passes = [event for event in order if isinstance(event, int)]
    assert passes == list(range(1, len(passes) + 1)) and passes[-1] == here.execute("query-migrate")["ram"]["dirty-sync-count"]
    assert order[:3] == ["setup", 1, "active"] and order[-4:] == ["STOP", "device", passes[-1], "completed"], order
    while "completed" not in statuses(there):
        there.events.append(there.receive())
    assert statuses(there) == ["setup", "active", "RESUME", "completed"]
    assert "downtime: " in typed("info migrate") and typed("info status") == "VM status: paused (postmigrate)\r\n"
    target.verdict()


def test_what_is_refused(start):
    source = start(**SMALL)
    wait_monitor(source)
    qmp = events_on(source).qmp()
    with pytest.raises(QmpError, match="File descriptor named 'nope' has not been found"):
        qmp.execute("migrate", channels=fd_channel("nope"))
    # A migration that could not begin has failed, too, and another may.
    assert "nope" in qmp.execute("query-migrate")["error-desc"]
    assert [qmp.wait_event("MIGRATION")["data"]["status"] for _ in range(2)] == ["setup", "failed"]
    with pytest.raises(QmpError, match="Could not create '/nowhere/file'"):
        qmp.execute("migrate", uri="file:/nowhere/file")
    with pytest.raises(QmpError, match="'-incoming' was not specified on the command line"):
        qmp.execute("migrate-incoming", uri="foo:bar")
    with pytest.raises(QmpError, match="unknown migration protocol: foo:bar"):
        qmp.execute("migrate", uri="foo:bar")
    with pytest.raises(QmpError, match="No file descriptor supplied via SCM_RIGHTS"):
        qmp.execute("getfd", fdname="a")
