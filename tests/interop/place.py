# SPDX-License-Identifier: Apache-2.0
"""QEMU or ferry with the same machine in it, and the frames that go to its guest."""

import os
import subprocess
import threading

from console import Console
from harness import FERRY, GUEST, die_with_me, end
from network import GUEST_IP, HOST_IP, MAC, Numbered
from qmp import Qmp

CPU = (
    "rv64i,m=on,a=on,f=on,d=on,c=on,s=on,u=on,zicsr=on,zifencei=on,zicntr=on,sstc=on,mmu=on,pmp=off,"
    "priv_spec=v1.12.0,sv39=on,debug=off"
)
# What QEMU's card on a TAP can besides and ferry's cannot; by the first version that has it.
OFFLOADS = {
    "10.0.2": "guest_ufo=off,host_ufo=off,guest_uso4=off,guest_uso6=off,host_uso=off",
    "11.1": "host_tunnel=off,guest_tunnel=off,host_tunnel_csum=off,guest_tunnel_csum=off",
}


def number(version):
    return [int(part) for part in version.split(".")]


class Place:
    """One VMM with the guest in it, or waiting for it."""

    def __init__(self, vmm, qemu, folder, disk, harts, network, ifname, incoming=None, modern=False, mem_mib=128,
                 card=True, rate="16M", options=()):
        folder.mkdir()
        self.folder = folder
        self.vmm = vmm
        self.ifname = ifname
        version, program = qemu
        parameters = f"{(GUEST / 'cmdline').read_text().strip()} witness.mem=16M witness.rate={rate}"
        parameters += " witness.disk=overwrite"
        if network:
            parameters += f" witness.ip={GUEST_IP}/24 witness.gw={HOST_IP}"
            netdev = f"tap,id=n0,ifname={ifname},script=no,downscript=no"
        else:
            netdev = f"stream,id=n0,server=on,addr.type=unix,addr.path={folder}/net"
        if vmm == "qemu":
            command = [program, "-M", "virt,acpi=off", "-cpu", CPU, "-nodefaults", "-display", "none"]
        else:
            command = [FERRY, "run", "--name", "interop", "-M", f"virt,compat=qemu-{version}"]
        command += ["-smp", harts, "-m", mem_mib, "-serial", "stdio"]
        command += ["-bios", GUEST / "fw_dynamic.bin", "-kernel", GUEST / "Image"]
        command += ["-initrd", GUEST / "initramfs.cpio", "-append", parameters]
        command += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        command += ["-drive", f"file={disk},if=none,id=d0,format=raw"]
        command += ["-device", "virtio-blk-device,drive=d0"]
        if card:
            off = [text for since, text in OFFLOADS.items() if vmm == "qemu" and number(version) >= number(since)]
            device = ",".join(["virtio-net-device", "netdev=n0", f"mac={MAC}", *off])
            command += ["-netdev", netdev, "-device", device]
        command += ["-device", "virtio-rng-device"]
        if modern:
            command += ["-global", "virtio-mmio.force-legacy=off"]
        command += options
        if incoming:
            command += ["-incoming", incoming]
        self.console = Console()
        self.errors = open(folder / "stderr", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=self.console.theirs,
            stdout=self.console.theirs,
            stderr=self.errors,
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
            preexec_fn=die_with_me(network.enter if network else None),
        )
        self.console.started()
        self.monitor = None

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def qmp(self):
        """The monitor listens before the guest runs or the stream is waited for."""
        while not self.monitor:
            assert self.process.poll() is None, self.stderr()
            try:
                self.monitor = Qmp(self.folder / "qmp")
            except OSError:
                self.monitor = None
        return self.monitor

    def configure(self, capabilities=(), **parameters):
        """Both sides alike, before the stream comes: some of it changes the format."""
        names = ["events", *capabilities]
        wanted = [{"capability": name, "state": True} for name in names]
        self.qmp().execute("migrate-set-capabilities", capabilities=wanted)
        if parameters:
            self.qmp().execute("migrate-set-parameters", **parameters)

    def wait_migration(self, *statuses):
        """The first of these that comes."""
        while True:
            status = self.qmp().wait_event("MIGRATION")["data"]["status"]
            if status in statuses:
                return status
            assert status not in ("failed", "cancelled", "completed"), self.qmp().execute("query-migrate")

    def send(self, uri, capabilities=(), **parameters):
        self.configure(capabilities, **parameters)
        self.qmp().execute("migrate", uri=uri)
        self.wait_migration("completed")

    def balloon(self, wanted):
        self.qmp().execute("balloon", value=wanted)
        while self.qmp().execute("query-balloon")["actual"] != wanted:
            self.qmp().wait_event("BALLOON_CHANGE")

    def ready(self):
        self.console.wait(r"witness: ready")

    def check_alive(self):
        """Not only answers: more status lines, one per second of the guest's own timers."""
        for _ in range(2):
            self.console.wait(r"witness: t=\d+ .* ok")
        assert self.qmp().execute("query-status")["status"] == "running"
        line = self.console.ask("verdict", r"witness: verdict (OK|FAIL) (.*)")
        assert line[1] == "OK", line[2]

    def close(self):
        if self.monitor:
            self.monitor.close()
        end(self.process)
        self.console.close()
        self.errors.close()


class Frames:
    """A peer that never stops asking; what is asked in the pause may be lost, as on any wire."""

    def __init__(self, network):
        self.numbered = Numbered(network.peer(), timeout_s=1)
        self.answered = 0
        self.news = threading.Condition()
        self.ended = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.ended:
            lost = len(self.numbered.unanswered)
            try:
                self.numbered.exchange()
            except OSError:
                continue  # nobody there, as the peer's own kernel knows
            with self.news:
                self.answered += lost == len(self.numbered.unanswered)
                self.news.notify_all()

    def check(self):
        """From here on frames go there and back."""
        with self.news:
            wanted = self.answered + 10
            assert self.news.wait_for(lambda: self.answered >= wanted, 60), "no frame comes back"

    def close(self):
        self.ended = True
        self.thread.join()
        self.numbered.peer.close()
