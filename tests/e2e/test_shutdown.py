# SPDX-License-Identifier: Apache-2.0
"""The power button: what the guest hears of it, and what becomes of a guest that does not."""

import subprocess

import pytest
from ferry_cli import ferry, update
from harness import FERRY
from moving import SMALL

KEYBOARD = ["-global", "virtio-mmio.force-legacy=off", "-device", "virtio-keyboard-device"]
# Linux's own driver. Who has it open when a key is pressed hears of it. One event is 24 bytes.
LISTEN = "shell modprobe virtio_input; modprobe evdev; exec 3</dev/input/event0; echo list''ens"
READ = "dd bs=24 count=1 <&3 2>/dev/null | hexdump -v -e '12/2 \"%u \"'"


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def with_keyboard(start):
    machine = start(**SMALL, options=KEYBOARD)
    machine.wait_ready()
    return machine


def listen(machine, then):
    """The guest's shell waits for a key; it says `listens` when it has loaded what it needs."""
    machine.console.send(f"{LISTEN}; {READ}; {then}")
    machine.console.wait("listens")


def test_the_guest_powers_off_when_it_is_asked(with_keyboard):
    machine = with_keyboard
    update(machine.name)  # the button is there in the next process, too
    listen(machine, "busybox poweroff -f")
    done = ferry("shutdown", machine.name)
    assert (done.status, done.err) == (0, "")
    assert machine.console.wait(r"(\d+ ){8}1 116 1 0")  # EV_KEY, KEY_POWER, down
    assert machine.wait_exit() == 0


def test_a_guest_without_a_button_is_not_waited_for(start):
    machine = start(**SMALL)
    machine.wait_ready()
    done = ferry("shutdown", machine.name)
    assert done.status == 1 and "this VM has no power button" in done.err
    machine.verdict()
    done = ferry("shutdown", machine.name, "--force")
    assert done.status == 0 and "it is ended now" in done.err
    assert machine.wait_exit() == 0


def test_a_guest_that_does_not_care_is_given_time_then_ended(with_keyboard):
    machine = with_keyboard
    listen(machine, "true")
    done = ferry("shutdown", machine.name, "--timeout", "1")
    assert done.status == 1 and "has not powered off within 1 s" in done.err
    assert ferry("status", machine.name).status == 0
    waits = subprocess.Popen([FERRY, "shutdown", machine.name, "--timeout", "1", "--force"], stderr=subprocess.PIPE)
    assert b"it is ended now" in waits.communicate(timeout=120)[1] and waits.returncode == 0
    assert machine.wait_exit() == 0


def test_one_that_is_paused_hears_nothing(with_keyboard):
    machine = with_keyboard
    assert ferry("stop", machine.name).status == 0
    done = ferry("shutdown", machine.name)
    assert done.status == 1 and "does not run (paused)" in done.err
