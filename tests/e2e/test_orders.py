# SPDX-License-Identifier: Apache-2.0
"""An order that comes while the guest is on its way is done, or refused: none is acknowledged and forgotten."""

import contextlib
import json
import os
import random
import select
import signal
import socket
import struct
import subprocess
import time

import pytest
from console import SAFETY_NET_S
from ferry_cli import faulty_binary, ferry, running
from harness import FERRY, end, vmm_pids
from qmp import Qmp

LOOP = struct.pack("<I", 0x0000006F)  # a guest that does nothing, at once: j .
AFTER_THE_PAUSE_BEGAN = [
    "quiesced",
    "harts-stopped",
    "parts-paused",
    "saved",
    "state-sent",
    "loaded-received",
    "lock-released",
    "commit-sent",
    "running-received",
]
SIGTERMS = 60
HAS_EVERYTHING = 0x4604  # on a migration's way back: LOADED


def wait_stopped(pid, update):
    """Until a fault has stopped it; that may be when the update has been answered by the other process."""
    with contextlib.suppress(FileNotFoundError):
        while True:
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                if stat.read().rsplit(")", 1)[1].split()[0] == "T":
                    return
    raise AssertionError(f"process {pid} ended and never stopped: {update.communicate()}")


class Idle:
    """A VM that needs no boot."""

    def __init__(self, folder, *before, program=FERRY):
        folder.mkdir(exist_ok=True)
        firmware = folder / "firmware"
        firmware.write_bytes(LOOP)
        self.name = f"orders-{os.getpid()}-{folder.name}"
        self.monitor = folder / "qmp"
        options = f"-name {self.name} -M virt -m 64 -serial null -bios {firmware}".split()
        options += ["-qmp", f"unix:{self.monitor},server=on,wait=off"]
        self.process = subprocess.Popen([program, "run", *before, *options])
        while not self.monitor.exists():
            assert self.process.poll() is None
        self.vmm = vmm_pids(self.process)[0]

    @contextlib.contextmanager
    def update(self, *options):
        words = [FERRY, "update", self.name, *options]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()  # of a test that failed; else it has ended

    def wait_stopped(self, update):
        wait_stopped(self.vmm, update)

    def go_on(self):
        os.kill(self.vmm, signal.SIGCONT)


def tell(client, command):
    client.socket.sendall(json.dumps({"execute": command}).encode() + b"\n")


def was_done(client):
    """Whether what it was told was acknowledged; not, if it was refused or nobody answered."""
    try:
        while True:
            reply = client.receive()
            if "event" not in reply:
                return "return" in reply
    except (ConnectionError, json.JSONDecodeError):
        return False


@pytest.fixture
def idle(tmp_path):
    made = []

    def begin(*before):
        made.append(Idle(tmp_path / f"idle{len(made)}", *before))
        return made[-1]

    yield begin
    for each in made:
        end(each.process)


@pytest.mark.parametrize("point", AFTER_THE_PAUSE_BEGAN)
@pytest.mark.parametrize("whom", ["vmm", "supervisor"])
def test_a_signal_during_an_update_ends_the_vm(idle, point, whom):
    vm = idle("--fault", f"{point}=stop")
    with vm.update() as update:
        vm.wait_stopped(update)
        os.kill(vm.vmm if whom == "vmm" else vm.process.pid, signal.SIGTERM)
        vm.go_on()
        assert vm.process.wait(SAFETY_NET_S) == 0
        update.communicate(timeout=SAFETY_NET_S)


@pytest.mark.parametrize("point", AFTER_THE_PAUSE_BEGAN)
def test_quit_during_an_update_ends_the_vm_or_fails(idle, point):
    vm = idle("--fault", f"{point}=stop")
    client = Qmp(vm.monitor)
    with vm.update() as update:
        vm.wait_stopped(update)
        tell(client, "quit")
        vm.go_on()
        update.communicate(timeout=SAFETY_NET_S)
    if not was_done(client):
        assert running(vm.name)
        assert ferry("quit", vm.name).status == 0
    assert vm.process.wait(SAFETY_NET_S) == 0


@pytest.mark.parametrize("point", AFTER_THE_PAUSE_BEGAN)
def test_stop_during_an_update_stops_the_guest_or_fails(idle, point):
    vm = idle("--fault", f"{point}=stop")
    client = Qmp(vm.monitor)
    with vm.update() as update:
        vm.wait_stopped(update)
        tell(client, "stop")
        vm.go_on()
        update.communicate(timeout=SAFETY_NET_S)
    stopped = was_done(client)
    assert running(vm.name) != stopped


def test_whoever_updates_a_vm_that_is_ended_hears_it(idle, tmp_path):
    """In the pause, too, it does not take longer because the target hangs."""
    vm = idle()
    with vm.update("--binary", faulty_binary(tmp_path, "state-received=stop")) as update:
        while len(vmm_pids(vm.process)) < 2:
            pass
        wait_stopped(next(pid for pid in vmm_pids(vm.process) if pid != vm.vmm), update)
        os.kill(vm.vmm, signal.SIGTERM)
        said = update.communicate(timeout=SAFETY_NET_S)[1]
    assert "the VM was told to end" in said
    assert vm.process.wait(SAFETY_NET_S) == 0


PF_EXITING = 0x4  # field 9 of /proc/PID/stat


def is_ending(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return bool(int(stat.read().rsplit(")", 1)[1].split()[6]) & PF_EXITING)
    except (FileNotFoundError, ProcessLookupError):
        return True


def end_by_signal(vm, whom):
    with contextlib.suppress(ProcessLookupError):
        os.kill(whom, signal.SIGTERM)
    # The kernel drops a signal for a process that ends, and kill(2) succeeds all the same. Whether it came before
    # that nobody can tell any more, so the process that does not end hears it, too.
    if whom == vm.vmm and is_ending(whom):
        os.kill(vm.process.pid, signal.SIGTERM)


def test_signals_at_random(idle):
    """Whatever they hit, to whomever they are sent."""
    chance = random.Random(8)
    lasted_s = None
    for number in range(SIGTERMS):
        vm = idle()
        began_s = time.monotonic()
        with vm.update() as update:
            if lasted_s:  # the first one says how long that is here
                time.sleep(chance.uniform(0, lasted_s))
                end_by_signal(vm, vm.vmm if number % 2 and vm.vmm in vmm_pids(vm.process) else vm.process.pid)
            update.communicate(timeout=SAFETY_NET_S)
        if not lasted_s:
            lasted_s = time.monotonic() - began_s
            vm.process.terminate()
        assert vm.process.wait(SAFETY_NET_S) == 0


def carry(source, target):
    """Both ways, until the target has everything; what the source answers to that waits here."""
    heard = b""
    while True:
        for side in select.select([source, target], [], [])[0]:
            data = side.recv(1 << 16)
            assert data, "it ended before"
            (target if side is source else source).sendall(data)
            heard += data if side is target else b""
        while len(heard) >= 4 and len(heard) >= 4 + struct.unpack_from(">H", heard, 2)[0]:
            kind, length = struct.unpack_from(">HH", heard)
            heard = heard[4 + length :]
            if kind == HAS_EVERYTHING:
                select.select([source], [], [], SAFETY_NET_S)
                return


@pytest.mark.parametrize("whom", ["vmm", "supervisor"])
def test_a_target_that_is_ended_when_it_has_everything_says_so(idle, tmp_path, whom):
    """The source has given the guest away, and asks nobody else where it is."""
    vm = idle()
    name = f"{vm.name}-there"
    words = [FERRY, "receive", "tcp:127.0.0.1:0", "--name", name, "--allow-path", tmp_path]
    there = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        port = int(there.stdout.readline().rsplit(":", 1)[1])
        with socket.create_server(("127.0.0.1", 0)) as between:
            words = [FERRY, "migrate", vm.name, f"tcp:127.0.0.1:{between.getsockname()[1]}"]
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as migrate:
                source = between.accept()[0]
                with source, socket.create_connection(("127.0.0.1", port)) as target:
                    carry(source, target)
                    os.kill(there.pid if whom == "supervisor" else vmm_pids(there)[0], signal.SIGTERM)
                    while data := target.recv(1 << 16):
                        source.sendall(data)
                said = migrate.communicate(timeout=SAFETY_NET_S)[1]
        assert there.wait(SAFETY_NET_S) == 0
    finally:
        end(there)
    assert "the target refused" in said
    assert running(vm.name)
    assert ferry("quit", vm.name).status == 0
    assert vm.process.wait(SAFETY_NET_S) == 0
