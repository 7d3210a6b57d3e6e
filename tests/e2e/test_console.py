# SPDX-License-Identifier: Apache-2.0
"""`ferry console` on a terminal: who has it, who takes it over, what is kept of it, and the terminal afterwards."""

import os
import re
import signal
import stat
import subprocess
import termios

import pytest
from ferry_cli import ferry, update
from harness import FERRY
from moving import SMALL


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def machine(start, tmp_path):
    made = start(**SMALL, serial=f"unix:{tmp_path}/serial,server=on,wait=off")
    while ferry("status", made.name).status:
        assert made.process.poll() is None, made.stderr()
    return made


class Person:
    """`ferry console` in a terminal of its own."""

    def __init__(self, *words):
        self.terminal, side = os.openpty()
        self.before = termios.tcgetattr(side)
        self.process = subprocess.Popen([FERRY, "console", *words], stdin=side, stdout=side, stderr=side)
        self.side = side  # kept, or what it said last could be lost with it
        self.said = b""

    def until(self, pattern):
        while not (found := re.search(pattern, self.said)):
            self.said += os.read(self.terminal, 65536)
        self.said = self.said[found.end() :]
        return found

    def type(self, text):
        os.write(self.terminal, text)

    def attached(self):
        """It has the line: what is typed is answered."""
        self.type(b"verdict\n")
        self.until(rb"witness: verdict OK")
        return self

    def end(self):
        """Its status. The terminal is as it was."""
        status = self.process.wait(60)
        assert termios.tcgetattr(self.side) == self.before
        return status

    def close(self):
        self.process.kill()
        self.process.wait()
        for fd in (self.terminal, self.side):
            os.close(fd)


@pytest.fixture
def person():
    made = []

    def begin(*words):
        made.append(Person(*words))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_a_second_one_is_told_who_has_it_and_can_take_it(machine, person):
    first = person(machine.name)
    first.until(rb"witness: ready")
    for _ in range(2):  # the next process knows, too
        second = person(machine.name)
        second.until(rb"ferry console: process %d \(ferry\) is attached to the console of VM '" % first.process.pid)
        second.until(rb"'ferry console --take \S+' sends it away")
        assert second.end() == 1
        first.attached()
        update(machine.name)
    third = person("--take", machine.name)
    first.until(rb"ferry console: process %d \(ferry\) has taken over the console" % third.process.pid)
    assert first.end() == 1
    third.attached().type(b"\x01x")
    assert third.end() == 0
    # Nobody has it: there is nobody to be sent away.
    person("--take", machine.name).attached()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_leaves_the_terminal_as_it_was(machine, person, number):
    one = person(machine.name)
    one.until(rb"witness: ready")
    one.process.send_signal(number)
    assert one.end() == -number


def test_a_killed_vm_leaves_the_terminal_as_it_was(machine, person):
    one = person(machine.name)
    one.until(rb"witness: ready")
    machine.signal(signal.SIGKILL)
    assert one.end() == 0


def test_what_is_shown_is_logged(machine, person, tmp_path):
    log = tmp_path / "log"
    for turn in range(2):
        one = person(machine.name, "--log", log)
        if not turn:
            one.until(rb"witness: ready")
        one.attached().type(b"\x01x")
        assert one.end() == 0
        assert log.read_bytes().count(b"witness: verdict OK") == turn + 1
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    # A full disk takes the log away, not the console.
    one = person(machine.name, "--log", "/dev/full")
    one.type(b"verdict\n")
    one.until(rb"nothing more is written to the log: No space left on device")
    one.attached()
    done = ferry("console", machine.name, "--log", tmp_path / "none" / "log")
    assert done.status == 1 and f"--log {tmp_path}/none/log: No such file or directory" in done.err
