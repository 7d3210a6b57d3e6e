# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears of a VM. tests/packages has the real one; here is its socket."""

import os
import queue
import signal
import socket
import subprocess
import threading

import pytest
from ferry_cli import ferry, update
from harness import end, vmm_pids
from moving import SMALL

SAFETY_NET_S = 60


class Manager:
    """Messages in their order: "READY=1", with whose they are."""

    def __init__(self, path, monkeypatch):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.heard = queue.Queue()
        # It reads all the time: a full socket is what a supervisor waits for.
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))

    def read(self):
        while True:
            text, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            if not text:
                return
            self.heard.put((int.from_bytes(control[0][2][:4], "little"), text.decode()))

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self.socket.getsockname())
        self.reader.join()
        self.socket.close()

    def hear(self, timeout_s=SAFETY_NET_S):
        """(pid, text of the next message); None: nothing came."""
        try:
            return self.heard.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def await_text(self, beginning):
        """What came before it, and it."""
        heard = []
        while not heard or not heard[-1][1].startswith(beginning):
            message = self.hear()
            assert message, f"no {beginning} after {heard}"
            heard.append(message)
        return heard


@pytest.fixture
def manager(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made = Manager(tmp_path / "notify", monkeypatch)
    yield made
    made.close()


def test_ready_comes_when_the_guest_does_and_reloading_with_an_update(manager, start):
    machine = start(**SMALL)
    (ready,) = manager.await_text("READY=1")
    assert ready == (machine.process.pid, "READY=1")  # of the first process, whose pid is MAINPID for good
    machine.wait_ready()
    update(machine.name)
    begins, ends = manager.await_text("READY=1")
    assert begins[1].startswith("RELOADING=1\nMONOTONIC_USEC=") and begins[0] == ends[0] == machine.process.pid
    machine.verdict()
    assert machine.power_off() == 0


def test_an_update_that_fails_is_over(manager, start, tmp_path):
    subprocess.run(["cc", "-x", "c", "-o", tmp_path / "waits", "-"], input=b"int pause(void); int main(void) { pause(); }",
                   check=True)
    machine = start(**SMALL)
    manager.await_text("READY=1")
    machine.wait_ready()
    assert ferry("update", machine.name, "--timeout", "1", "--binary", tmp_path / "waits").status == 1
    begins, ends = manager.await_text("READY=1")
    assert begins[1].startswith("RELOADING=1") and ends[1] == "READY=1"
    machine.verdict()


def test_a_watchdog_hears_of_a_vmm_that_hangs(manager, start, monkeypatch):
    usec = 400000
    monkeypatch.setenv("WATCHDOG_USEC", str(usec))
    machine = start(**SMALL)
    manager.await_text("READY=1")
    manager.await_text("WATCHDOG=1")
    machine.wait_ready()
    update(machine.name)
    manager.await_text("RELOADING=1")
    manager.await_text("READY=1")
    for _ in range(8):  # the one that it was updated to does it, too
        manager.await_text("WATCHDOG=1")
    (vmm,) = vmm_pids(machine.process)
    os.kill(vmm, signal.SIGSTOP)
    try:
        # What was said before it stopped; then nothing, although the supervisor is well.
        silent = 0
        for _ in range(100):
            silent = silent + 1 if manager.hear(usec / 1e6) is None else 0
            if silent == 5:
                break
        assert silent == 5
    finally:
        os.kill(vmm, signal.SIGCONT)
    manager.await_text("WATCHDOG=1")


def test_a_vm_nobody_watches_says_nothing_of_itself(manager, start, monkeypatch):
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    machine = start(**SMALL)
    (ready,) = manager.await_text("READY=1")
    machine.wait_ready()
    assert b"WATCHDOG" not in open(f"/proc/{vmm_pids(machine.process)[0]}/environ", "rb").read()
    end(machine.process)
    assert manager.hear(0.001) is None
