# SPDX-License-Identifier: Apache-2.0
"""A console on a pseudo terminal, and what it said in a file: both the same in whatever process."""

import os
import re
import socket

from ferry_cli import ferry, update
from qmp import Qmp


class Terminal:
    """Whoever has opened the other side."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self.said = b""

    def until(self, pattern):
        while not (found := re.search(pattern, self.said)):
            self.said += os.read(self.fd, 65536)
        self.said = self.said[found.end() :]
        return found

    def send(self, text):
        os.write(self.fd, text)

    def close(self):
        os.close(self.fd)


def pty_of(name):
    shown = ferry("qmp", name, "query-chardev").out
    return re.search(r'"(?:disconnected:)?pty:(/dev/pts/\d+)"', shown)[1]


def test_console_on_a_pty_with_a_log(start, tmp_path):
    log = tmp_path / "console.log"
    options = ("-chardev", f"pty,id=con,logfile={log}")
    machine = start(harts=1, serial="chardev:con", options=options)
    # It is made before anything runs, and says where.
    while not (path := re.search(r'"con" is on (/dev/pts/\d+)', machine.stderr())):
        assert machine.process.poll() is None, machine.stderr()
    terminal = Terminal(path[1])
    terminal.until(rb"witness: ready")
    for turn in range(5):
        terminal.send(b"ver")
        update(machine.name)
        assert pty_of(machine.name) == path[1]
        terminal.send(b"dict\n")
        assert terminal.until(rb"witness: verdict (OK|FAIL)")[1] == b"OK", turn
    # Somebody else comes later.
    terminal.close()
    update(machine.name)
    terminal = Terminal(path[1])
    terminal.send(b"verdict\n")
    terminal.until(rb"witness: verdict OK")
    terminal.send(b"poweroff\n")
    assert machine.process.wait(60) == 0
    terminal.close()
    said = log.read_bytes()
    assert said.count(b"witness: verdict OK") == 6
    assert len(re.findall(rb"witness: ready", said)) == 1


def test_a_monitor_on_a_pty(start):
    machine = start(harts=1, options=("-qmp", "pty"))
    machine.wait_ready()
    terminal = Terminal(pty_of(machine.name))
    terminal.until(rb'"QMP"')
    terminal.send(b'{"execute": "qmp_capabilities"}{"execute": "query-st')
    terminal.until(rb'"return"')
    update(machine.name)
    terminal.send(b'atus", "id": 5}')
    assert terminal.until(rb'(?s).*"id": 5')[0].count(b"FERRY_UPDATED") == 1
    terminal.close()
    # The next one is greeted.
    terminal = Terminal(pty_of(machine.name))
    terminal.until(rb'"QMP"')
    terminal.close()
    assert Qmp(machine.qmp_path).execute("query-status")["running"]


def test_a_person_at_a_monitor(start, tmp_path):
    path = tmp_path / "monitor"
    machine = start(harts=1, options=("-monitor", f"unix:{path},server=on,wait=off"))
    machine.wait_ready()
    with socket.socket(socket.AF_UNIX) as person:
        person.connect(str(path))
        lines = person.makefile("rb")
        assert lines.readline().startswith(b"ferry ")
        for _ in range(3):
            person.sendall(b"info status\ninfo sta")
            assert lines.readline() == b"(qemu) VM status: running\r\n"
            update(machine.name)
            person.sendall(b"tus\n")
            assert lines.readline() == b"(qemu) VM status: running\r\n"
        person.sendall(b"info migrate\n")
        while lines.readline() != b"Migration status: completed\r\n":
            continue
