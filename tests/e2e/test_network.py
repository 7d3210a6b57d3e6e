# SPDX-License-Identifier: Apache-2.0
"""A guest's network on this host: its peer goes and comes back, an operator takes its link down, and it moves."""

import re

import pytest
from ferry_cli import ferry
from moving import SMALL, check_moved, migrate
from network import Numbered, Passt
from qmp import QmpError

AGAIN_MS = 50


@pytest.fixture
def passt(tmp_path):
    made = Passt(tmp_path, reconnect_ms=AGAIN_MS)
    yield made
    made.close()


@pytest.fixture
def machine(start, passt):
    made = start(network=passt, **SMALL)
    made.wait_ready()
    return made


def netdev_line(name):
    return re.search(r"^netdev +(.*)$", ferry("status", name).out, re.MULTILINE)[1]


def check_network(passt):
    numbered = Numbered(passt.peer())
    numbered.exchange()
    assert numbered.unanswered == []


def check_no_network(passt):
    numbered = Numbered(passt.peer(), timeout_s=1)
    numbered.exchange()
    assert numbered.unanswered == [0]


def lose_and_find(machine, passt, qmp):
    passt.stop()
    lost = qmp.wait_event("NETDEV_STREAM_DISCONNECTED")
    assert lost["data"] == {"netdev-id": "n0"}
    line = netdev_line(machine.name)
    assert f"stream {passt.path}, not connected" in line and f"tried every {AGAIN_MS} ms" in line
    assert line.endswith("link down")
    passt.start()
    found = qmp.wait_event("NETDEV_STREAM_CONNECTED")
    assert found["data"] == {"netdev-id": "n0", "addr": {"type": "unix", "path": str(passt.path)}}
    assert re.search(r", connected for \d+ s; link up$", netdev_line(machine.name))
    check_network(passt)


def test_a_peer_that_comes_back(machine, passt):
    check_network(passt)
    qmp = machine.qmp()
    lose_and_find(machine, passt, qmp)
    assert f"n0: index=0,type=stream,unix:{passt.path}" in qmp.execute("human-monitor-command",
                                                                     command_line="info network")
    lose_and_find(machine, passt, qmp)
    assert ferry("update", machine.name).status == 0
    qmp.close()
    machine.monitor = None
    # The next process asks the same supervisor, also when the peer was lost before it came.
    lose_and_find(machine, passt, machine.qmp())
    passt.stop()
    machine.qmp().wait_event("NETDEV_STREAM_DISCONNECTED")
    machine.qmp().close()
    machine.monitor = None
    assert ferry("update", machine.name).status == 0
    qmp = machine.qmp()
    passt.start()
    qmp.wait_event("NETDEV_STREAM_CONNECTED")
    check_network(passt)
    machine.verdict()


def test_a_peer_that_comes_late(start, passt):
    passt.stop()
    machine = start(network=passt, **SMALL)
    machine.wait_ready()
    assert "it is tried again every" in machine.stderr()
    qmp = machine.qmp()
    passt.start()
    qmp.wait_event("NETDEV_STREAM_CONNECTED")
    check_network(passt)


def test_without_reconnect_it_stays_lost(start, tmp_path):
    passt = Passt(tmp_path)
    try:
        machine = start(network=passt, **SMALL)
        machine.wait_ready()
        qmp = machine.qmp()
        passt.stop()
        qmp.wait_event("NETDEV_STREAM_DISCONNECTED")
        assert re.search(r", not connected for \d+ s; link down$", netdev_line(machine.name))
    finally:
        passt.close()


def test_a_link_that_is_down(machine, passt):
    check_network(passt)
    qmp = machine.qmp()
    with pytest.raises(QmpError, match="Device 'n1' not found") as refused:
        qmp.execute("set_link", name="n1", up=False)
    assert refused.value.error_class == "DeviceNotFound"
    qmp.execute("set_link", name="n0", up=False)
    assert netdev_line(machine.name).endswith("link down (set_link)")
    check_no_network(passt)
    assert ferry("update", machine.name).status == 0
    qmp.close()
    machine.monitor = None
    assert netdev_line(machine.name).endswith("link down (set_link)")
    check_no_network(passt)
    assert machine.qmp().execute("human-monitor-command", command_line="set_link n0 on") == ""
    assert netdev_line(machine.name).endswith("link up")
    check_network(passt)
    machine.verdict()


def test_a_link_that_is_down_moves(machine, target, passt):
    machine.qmp().execute("set_link", name="n0", up=False)
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--net-socket", f"n0={passt.path},reconnect-ms={AGAIN_MS}")
    migrate(machine, there.listening())
    there.wait_status("running")
    assert "link down (set_link)" in there.status()
    there.ferry("qmp", machine.name, "set_link", '{"name": "n0", "up": true}')
    there.wait_until(lambda: "link up" in there.status())
    check_network(passt)
    check_moved(machine, there)


def test_a_move_on_one_host_to_the_same_peer(machine, target, passt):
    """Who has the guest has the peer: here until the switch, there after it."""
    check_network(passt)
    qmp = machine.qmp()
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--net-socket", f"n0={passt.path},reconnect-ms={AGAIN_MS}")
    migrate(machine, there.listening())
    qmp.wait_event("NETDEV_STREAM_DISCONNECTED")
    there.wait_until(lambda: "link up" in there.status())
    check_network(passt)
    assert "not connected" in netdev_line(machine.name)
    check_moved(machine, there)


def test_a_peer_that_two_would_have(machine, target, passt):
    """Without reconnect-ms here nobody would let it go: said by a dry run and by the move, and nothing happens."""
    for options in (["--dry-run"], []):
        there = target(machine, "receive", "tcp:127.0.0.1:0", "--net-socket", f"n0={passt.path}")
        done = ferry("migrate", machine.name, there.listening(), *options)
        assert done.status == 1
        assert f'netdev "n0": the VM has {passt.path} on this same host' in done.err
        assert "'ferry update'" in done.err and "--net-socket n0=PATH" in done.err
    check_network(passt)
    machine.verdict()
