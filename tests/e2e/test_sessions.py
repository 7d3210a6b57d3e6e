# SPDX-License-Identifier: Apache-2.0
"""Whoever is connected to a VM's monitor goes along with an update, in the middle of a sentence if need be."""

import json
import os
import socket
import subprocess
import threading

import pytest
from ferry_cli import ferry, update
from harness import FERRY, end
from qmp import Qmp, QmpError
from test_kill import faulty_binary
from test_orders import Idle

UPDATES = 50


class Talker(threading.Thread):
    """A client that has always a request or two under way and keeps count of the answers."""

    def __init__(self, path, cut=False):
        super().__init__()
        self.qmp = Qmp(path)
        self.cut = cut  # each request in two pieces, the second when the first has long been read
        self.enough = threading.Event()
        self.asked = self.answered = 0
        self.events = []
        self.fault = None

    def receive(self):
        message = self.qmp.receive()
        if "event" in message:
            self.events.append(message)
            return
        assert message["id"] == self.answered and "return" in message, message
        self.answered += 1

    def ask(self):
        text = json.dumps({"execute": "query-status", "id": self.asked}).encode()
        self.asked += 1
        half = len(text) // 2 if self.cut else 0
        self.qmp.socket.sendall(text[:half])
        # So that the half was read: an answer to the request before it.
        while half and self.answered < self.asked - 1:
            self.receive()
        self.qmp.socket.sendall(text[half:])

    def run(self):
        try:
            while not self.enough.is_set():
                self.ask()
                while self.answered < self.asked - 1:
                    self.receive()
            self.ask()  # whose answer comes behind every event so far
            while self.answered < self.asked:
                self.receive()
        except (AssertionError, OSError, ValueError, KeyError) as error:
            self.fault = error

    def finish(self):
        self.enough.set()
        self.join()
        assert self.fault is None, repr(self.fault)
        return [event["event"] for event in self.events]


def test_clients_talk_through_updates(start):
    machine = start(harts=1)
    machine.wait_ready()
    talkers = [Talker(machine.qmp_path, cut) for cut in (False, True)]
    for talker in talkers:
        talker.start()
    pids = [update(machine.name)["pid"] for _ in range(UPDATES)]
    for talker in talkers:
        # Nothing of an update but its own event, and of each exactly one.
        assert talker.finish() == ["FERRY_UPDATED"] * UPDATES
        assert [event["data"]["pid"] for event in talker.events] == pids
        assert all(0 < event["data"]["pause-ns"] < 10**9 for event in talker.events)
        assert talker.answered > UPDATES
    machine.verdict()


def test_commands_find_their_vm_during_updates(start):
    """Each a connection of its own, whatever moment of an update it falls into."""
    machine = start(harts=1)
    machine.wait_ready()
    enough = threading.Event()
    failed, count = [], [0, 0, 0]

    def call(index, *words):
        while not enough.is_set():
            done = ferry(*words)
            count[index] += 1
            if done.status:
                failed.append((words, done.err))

    callers = [
        threading.Thread(target=call, args=(0, "status", machine.name)),
        threading.Thread(target=call, args=(1, "qmp", machine.name, "query-version")),
        threading.Thread(target=call, args=(2, "ls")),
    ]
    for caller in callers:
        caller.start()
    for _ in range(UPDATES):
        update(machine.name)
    enough.set()
    for caller in callers:
        caller.join()
    assert failed == []
    assert min(count) > UPDATES


def test_half_a_request_and_a_file_descriptor(start, tmp_path):
    machine = start(harts=1)
    machine.wait_ready()
    qmp = Qmp(machine.qmp_path)
    with open(tmp_path / "file", "w+b") as file:
        socket.send_fds(qmp.socket, [b'{"execute": "getfd", "arguments": {"fdna'], [file.fileno()])
        ferry("status", machine.name)  # what was sent before has been read
        update(machine.name)
        update(machine.name)
        qmp.socket.sendall(b'me": "f"}, "id": [1, {"a": "\\u00e4"}]}')
    assert qmp.wait_event("FERRY_UPDATED")["data"]["from"] == ferry_version(machine)
    assert qmp.wait_event("FERRY_UPDATED")
    assert qmp.receive() == {"return": {}, "id": [1, {"a": "\u00e4"}]}
    qmp.execute("closefd", fdname="f")


def ferry_version(machine):
    return machine.qmp().execute("query-version")["ferry"]["build"]


def test_what_was_negotiated_stays(start):
    machine = start(harts=1)
    machine.wait_ready()
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(str(machine.qmp_path))
        lines = raw.makefile("r", encoding="utf-8")
        json.loads(lines.readline())
        update(machine.name)
        # It has been greeted, once, and has not negotiated.
        raw.sendall(b'{"execute": "query-status"}')
        assert json.loads(lines.readline())["error"]["class"] == "CommandNotFound"
        raw.sendall(b'{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}')
        assert json.loads(lines.readline()) == {"return": {}}
        update(machine.name)
        assert json.loads(lines.readline())["event"] == "FERRY_UPDATED"
        raw.sendall(b'{"exec-oob": "query-status", "id": 1}')
        # oob: the monitor knows that it may, this command does not.
        assert "OOB" in json.loads(lines.readline())["error"]["desc"]


def test_whoever_asks_is_answered(start):
    """The answer comes over the connection that asked, from the process that runs the guest."""
    machine = start(harts=1)
    machine.wait_ready()
    qmp = Qmp(machine.qmp_path)
    for _ in range(3):
        ledger = qmp.execute("ferry-update")
        assert qmp.execute("query-status")["running"]
        assert [event["event"] for event in qmp.events] == ["FERRY_UPDATED"]
        assert qmp.events.pop()["data"] == {
            "from": ferry_version(machine),
            "to": ferry_version(machine),
            "pause-ns": ledger["total-ns"],
            "pid": ledger["pid"],
        }


def test_a_monitor_on_stdio_goes_on(start, tmp_path):
    machine = start(harts=1)
    machine.wait_ready()
    name = f"{machine.name}-stdio"
    vm = subprocess.Popen(
        [FERRY, "run", "-name", name, "-M", "virt", "-m", "64", "-serial", "none", "-qmp", "stdio", "-S"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)  # fmt: skip
    try:
        assert "QMP" in json.loads(vm.stdout.readline())
        vm.stdin.write('{"execute": "qmp_capabilities"} {"execute": "query-st')
        vm.stdin.flush()
        assert json.loads(vm.stdout.readline()) == {"return": {}}
        update(name)
        vm.stdin.write('atus"}')
        vm.stdin.flush()
        assert json.loads(vm.stdout.readline())["event"] == "FERRY_UPDATED"
        assert json.loads(vm.stdout.readline())["return"]["running"] is False
    finally:
        ferry("quit", name)
        assert vm.wait() == 0


@pytest.mark.parametrize("local", [True, False])
def test_the_monitor_of_a_target_is_the_vms_when_that_has_come(tmp_path, local):
    """By a handover, or as a stream: `receive -qmp` serves a VM, and nobody who is connected sees a break."""
    (tmp_path / "run").mkdir()
    env = dict(os.environ) if local else {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "run")}
    monitor, uri = tmp_path / "qmp", f"unix:{tmp_path / 'guest'}"
    # A name from here on; the next process is in another directory.
    words = [FERRY, "receive", "-qmp", "unix:qmp,server=on,wait=off", "--allow-path", tmp_path]
    vm = Idle(tmp_path / "source")
    there = subprocess.Popen(words, env=env, cwd=tmp_path)
    try:
        while not monitor.exists():
            assert there.poll() is None
        qmp, source = Qmp(monitor), Qmp(vm.monitor)
        qmp.execute("migrate-incoming", uri=uri)
        source.execute("migrate-set-parameters", local=local)
        source.execute("migrate", uri=uri)
        qmp.wait_event("RESUME")
        for side in qmp, source:  # the source's guest may be the only one until it has heard that it is not
            while (status := side.execute("query-migrate"))["status"] != "completed":
                assert status["status"] in ("active", "device"), status
        source.execute("quit")
        chardevs = sorted(c["label"] for c in qmp.execute("query-chardev"))
        assert len(chardevs) == len(set(chardevs))
        for _ in range(2):
            done = ferry("update", vm.name, env=env)
            assert done.status == 0, done.err
            assert qmp.wait_event("FERRY_UPDATED")
            assert qmp.execute("query-status")["running"]
            assert sorted(c["label"] for c in qmp.execute("query-chardev")) == chardevs
        # And it listens.
        Qmp(monitor).execute("quit")
        assert there.wait() == 0
        assert not monitor.exists()
    finally:
        end(there)
        end(vm.process)


@pytest.mark.parametrize("point", ["built", "state-received", "loaded-sent"])
def test_nothing_is_noticed_of_an_update_that_fails(start, tmp_path, point):
    machine = start(harts=1)
    machine.wait_ready()
    talker = Talker(machine.qmp_path, cut=True)
    talker.start()
    qmp = machine.qmp()
    for _ in range(3):
        with pytest.raises(QmpError):
            qmp.execute("ferry-update", binary=str(faulty_binary(tmp_path, f"{point}=kill")))
    assert talker.finish() == []
    assert qmp.execute("query-status")["running"] and qmp.events == []
    # And goes along with the next one that does not.
    update(machine.name)
    assert qmp.execute("query-status")["running"]
    assert [event["event"] for event in qmp.events] == ["FERRY_UPDATED"]
    machine.verdict()
