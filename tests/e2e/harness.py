# SPDX-License-Identifier: Apache-2.0
"""Start a machine with the test guest in it, under ferry or under QEMU, and talk to it.

Everything is awaited, never slept for: lines on the console, replies on the monitor, the end of a
process. Time limits are safety nets that end a broken run.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import threading
from pathlib import Path

from console import SAFETY_NET_S, Console
from network import GUEST_IP, HOST_IP, MAC
from qmp import Qmp

ROOT = Path(__file__).resolve().parents[2]
PR_SET_PDEATHSIG = 1  # <sys/prctl.h>

GUEST = Path(os.environ.get("FERRY_E2E_GUEST", ROOT / "build" / "guest"))
FERRY = Path(os.environ.get("FERRY_E2E_FERRY", ROOT / "build" / "ferry"))


def vmm_pids(process):
    """The VMMs behind a process that was started: it is their supervisor."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(pid) for pid in children if is_vmm(pid)]


def is_vmm(pid):
    try:
        return b"FERRY_SUPERVISOR=" in Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False  # it has ended


def signal_vmms(process, number):
    pids = vmm_pids(process)
    assert pids, "there is no VMM"
    for pid in pids:
        os.kill(pid, number)


def end(process):
    """Whatever state it is in: a VMM that hangs does not end with its supervisor. Returns when all are gone."""
    handles = [os.pidfd_open(pid) for pid in vmm_pids(process)]
    for handle in handles:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    process.kill()
    process.wait()
    for handle in handles:
        gone = select.poll()
        gone.register(handle, select.POLLIN)
        gone.poll()
        os.close(handle)


def die_with_me(then=None):
    """For preexec_fn: a test or benchmark that is ended, even by SIGKILL, takes its VMs along."""
    libc = ctypes.CDLL(None)
    # It is the end of the thread that counts, and a thread may be there only to enter a namespace.
    lasting = threading.current_thread() is threading.main_thread()

    def prepare():
        if lasting:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if then:
            then()

    return prepare


def check_refusals(said):
    """The sandbox refuses nothing that a VMM needs: such a line is a rule that is missing."""
    refused = {line for line in said.splitlines() if line.startswith("ferry: sandbox:")}
    assert not refused, refused


class Vmm:
    """How to call one VMM; both speak QEMU's options."""

    def __init__(self, name, command, extra):
        self.name = name
        self.command = command
        self.extra = extra


def find_vmm(name):
    if name == "qemu":
        found = shutil.which("qemu-system-riscv64")
        assert found, "qemu-system-riscv64 is not installed: run scripts/setup test"
        # Devices that only QEMU would add by itself.
        return Vmm("qemu", [found], ["-cpu", "rv64", "-display", "none", "-monitor", "none", "-nodefaults"])
    assert FERRY.exists(), f"{FERRY} is missing: run make, or set FERRY_E2E_FERRY"
    return Vmm("ferry", [str(FERRY), "run"], [])


def make_disk(path, size_mib=64):
    with open(path, "wb") as file:
        file.truncate(size_mib * 1024 * 1024)
    return path


class Machine:
    """One guest, from its options to its last process."""

    def __init__(self, vmm, folder, harts=2, mem_mib=512, network=None, disk=True, append="", options=(), before=(),
                 name=None, serial="stdio", witness="witness.disk=overwrite"):
        self.vmm = vmm
        self.serial = serial
        self.folder = folder
        self.name = name or f"e2e-{os.getpid()}-{folder.name}"
        self.network = network
        self.disk = make_disk(folder / "disk.img") if disk else None
        self.qmp_path = folder / "qmp"
        self.console = Console()
        self.monitor = None
        self.errors = open(folder / "stderr", "w+", encoding="utf-8")
        self.command = self.build_command(before, harts, mem_mib, append, witness) + list(options)
        self.process = subprocess.Popen(
            self.command,
            stdin=self.console.theirs,
            stdout=self.console.theirs,
            stderr=self.errors,
            preexec_fn=die_with_me(network.enter if network else None),
            # A group, so that close() also ends the processes that took the guest over.
            start_new_session=True,
        )
        self.console.started()

    def build_command(self, before, harts, mem_mib, append, witness):
        parameters = f"{(GUEST / 'cmdline').read_text().strip()} {witness}"
        if self.network:
            parameters += f" witness.ip={GUEST_IP}/24 witness.gw={HOST_IP}"
        command = [*self.vmm.command, *before, *self.vmm.extra, "-name", self.name, "-M", "virt"]
        command += ["-smp", str(harts), "-m", str(mem_mib), "-serial", self.serial]
        command += ["-bios", str(GUEST / "fw_dynamic.bin"), "-kernel", str(GUEST / "Image")]
        command += ["-initrd", str(GUEST / "initramfs.cpio"), "-append", f"{parameters} {append}".strip()]
        command += ["-qmp", f"unix:{self.qmp_path},server=on,wait=off", "-device", "virtio-rng-device"]
        if self.disk:
            command += ["-drive", f"file={self.disk},if=none,id=d0,format=raw,cache.direct=on"]
            command += ["-device", "virtio-blk-device,drive=d0"]
        if self.network:
            command += [*self.network.options(), "-device", f"virtio-net-device,netdev=n0,mac={MAC}"]
        return command

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def wait_ready(self):
        """The witness's first line; everything it can use is there."""
        try:
            return self.console.wait(r"witness: ready .*harts=(\d+) disk=(\S+) net=(\S+)")
        except AssertionError as error:
            raise AssertionError(f"{error}\nstandard error:\n{self.stderr()}") from None

    def wait_status(self, field, at_least):
        """Until a number of the status line has come that far."""
        while True:
            if int(self.console.wait(rf"witness: t=.* {field}=(\d+) ")[1]) >= at_least:
                return

    def ask(self, command, pattern, timeout_s=SAFETY_NET_S):
        return self.console.ask(command, pattern, timeout_s)

    def verdict(self):
        """{name: number} of the witness's verdict; a FAIL is an assertion."""
        line = self.ask("verdict", r"witness: verdict (OK|FAIL) (.*)")
        assert line[1] == "OK", f"the witness says: {line[2]}"
        return {name: int(value) for name, value in (word.split("=") for word in line[2].split())}

    def qmp(self):
        """Connected at the first call. After the first console line the socket is there."""
        if not self.monitor:
            self.monitor = Qmp(self.qmp_path)
        return self.monitor

    def wait_exit(self):
        """The first process's exit code, once no process has the console any more."""
        self.console.wait_end()
        return self.process.wait(SAFETY_NET_S)

    def power_off(self):
        self.console.send("poweroff")
        return self.wait_exit()

    def signal(self, number):
        """To whoever has the guest."""
        signal_vmms(self.process, number)

    def close(self):
        if self.monitor:
            self.monitor.close()
        end(self.process)
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # what a supervisor that was killed left
        except ProcessLookupError:
            pass
        self.console.close()
        if not self.errors.closed:
            said = self.stderr()
            self.errors.close()
            check_refusals(said)
