# SPDX-License-Identifier: Apache-2.0
"""A console and a monitor on one line, as QEMU's -nographic and mon:stdio have it."""

import json
import os
import pty
import re
import socket
import subprocess
import termios

import pytest
from ferry_cli import ferry, update
from harness import FERRY, die_with_me, end
from test_terminals import Terminal

KEY = b"\x01"


def press(machine, keys):
    machine.console.ours.sendall(keys)


def labels(name):
    shown = ferry("qmp", name, "query-chardev").out
    return set(re.findall(r'"label": "(serial0[^"]*)"', shown))


def test_a_console_and_a_monitor_on_standard_input(start):
    machine = start(harts=1, serial="mon:stdio")
    machine.wait_ready()
    machine.verdict()
    assert labels(machine.name) == {"serial0", "serial0-base"}
    for _ in range(3):
        # An update in the middle of a line, which is seen once.
        press(machine, KEY + b"cinfo sta")
        update(machine.name)
        press(machine, b"tus\r")
        machine.console.wait("info status$")
        machine.console.wait("^VM status: running$")
        # And in the middle of a command key.
        press(machine, KEY)
        update(machine.name)
        press(machine, b"c")
        machine.verdict()
    press(machine, KEY + b"t")
    machine.console.wait(r"^\[00:00:00\.\d\d\d\] ")  # the next line has none: it has begun
    for _ in range(2):
        machine.ask("verdict", r"^\[00:0\d:\d\d\.\d\d\d\] witness: verdict OK")
        update(machine.name)
    press(machine, KEY + b"t")
    press(machine, KEY + b"bh")
    machine.console.wait("sysrq: HELP")
    machine.verdict()
    press(machine, KEY + b"x")
    assert machine.wait_exit() == 0


def test_a_guest_that_floods_its_console_leaves_the_monitor_heard(start):
    machine = start(harts=1, serial="mon:stdio", witness="")
    machine.console.wait("Enter 'help'")
    machine.console.ask("yes flood", "^flood$")
    press(machine, KEY + b"cinfo status\r")
    machine.console.wait("VM status: running$")
    machine.console.wait("^flood$")  # and it goes on
    press(machine, KEY + b"c\x03")
    machine.console.ask("echo over-$((1 + 1))", "^over-2$")
    press(machine, KEY + b"x")
    assert machine.wait_exit() == 0


def test_nographic_on_a_terminal(tmp_path):
    name = f"e2e-{os.getpid()}-nographic"
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    vm = subprocess.Popen([FERRY, "run", "-name", name, "-M", "virt", "-m", "64", "-S", "-nographic"],
                          stdin=theirs, stdout=theirs, preexec_fn=die_with_me())  # fmt: skip
    terminal = Terminal(os.ttyname(theirs))
    os.close(terminal.fd)
    terminal.fd = ours
    try:
        while not labels(name):
            assert vm.poll() is None
        assert not termios.tcgetattr(theirs)[3] & (termios.ICANON | termios.ECHO)
        terminal.send(KEY + b"h")
        terminal.until(rb"Ctrl-a c .*switch between console and monitor")
        terminal.send(KEY + b"c")
        terminal.until(rb"ferry .*monitor.*\s+\(qemu\) $")
        terminal.send(b"info stoo\x7f\x7fatus\r")
        terminal.until(rb"^info stoo\x08 \x08\x08 \x08atus\s+VM status: paused \(prelaunch\)\s+\(qemu\) $")
        update(name)
        terminal.send(b"quit\x15info status\r")
        terminal.until(rb"VM status: paused \(prelaunch\)\s+\(qemu\) $")
        terminal.send(KEY + b"x")
        assert vm.wait(60) == 0
        assert termios.tcgetattr(theirs) == before
    finally:
        end(vm)
        os.close(ours)
        os.close(theirs)


def test_whoever_comes_to_a_shared_socket(start, tmp_path):
    """One after the other; a second monitor is one Ctrl-a c further."""
    path = tmp_path / "line"
    line = ("-chardev", f"socket,id=line,path={path},server=on,wait=off,mux=on")
    monitors = ("-mon", "chardev=line", "-mon", "chardev=line,mode=readline")
    machine = start(harts=1, serial="chardev:line", options=(*line, *monitors, "-S"))
    while not path.exists():
        assert machine.process.poll() is None, machine.stderr()
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as person:
            person.connect(str(path))
            shown = json.loads(ferry("status", machine.name, "--json").out)["sockets"]
            assert [line["where"] for line in shown if line["id"].startswith("line")] == [f"unix:{path},server=on"]
            lines = person.makefile("rb")
            for _ in range(2):
                person.sendall(KEY + b"c" + b"info status\r")
                while not lines.readline().startswith(b"VM status: "):
                    continue
            person.sendall(KEY + b"c")
    with socket.socket(socket.AF_UNIX) as person:
        person.connect(str(path))
        machine.qmp().execute("cont")
        lines = person.makefile("rb")
        for said, then in ((b"witness: ready", b"verdict\n"), (b"witness: verdict OK", KEY + b"x")):
            while said not in lines.readline():
                continue
            person.sendall(then)
    assert machine.process.wait(60) == 0


@pytest.mark.parametrize("words, why", [
    (["-chardev", "stdio,id=c,mux=on", "-mon", "chardev=c,mode=control", "-mon", "chardev=c,mode=control"],
     "2 QMP monitors share chardev 'c'"),
    (["-chardev", "stdio,id=c", "-serial", "chardev:c", "-mon", "chardev=c"], "can share one with mux=on"),
    (["-serial", "mon:chardev:c"], "'mon:' makes a chardev"),
])  # fmt: skip
def test_refusals(words, why):
    done = ferry("run", "-M", "virt", *words)
    assert done.status == 1 and why in done.err
