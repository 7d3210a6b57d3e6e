# SPDX-License-Identifier: Apache-2.0
"""A running guest leaves QEMU 10.0.2 for ferry and comes back; or is born in ferry and visits QEMU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from console import Console  # noqa: E402
from harness import FERRY, GUEST, ROOT, make_disk  # noqa: E402
from qmp import Qmp  # noqa: E402

CPU = (
    "rv64i,m=on,a=on,f=on,d=on,c=on,s=on,u=on,zicsr=on,zifencei=on,zicntr=on,sstc=on,mmu=on,pmp=off,"
    "priv_spec=v1.12.0,sv39=on,debug=off"
)
VMMS = ("qemu", "ferry")


@pytest.fixture(scope="session")
def qemu():
    subprocess.run([ROOT / "guest" / "build", GUEST], check=True)
    done = subprocess.run([HERE / "setup"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


class Place:
    """One VMM with the guest in it, or waiting for it."""

    def __init__(self, vmm, qemu, folder, disk, harts, incoming=None, modern=False, options=()):
        folder.mkdir()
        self.folder = folder
        self.vmm = vmm
        self.disk = disk
        parameters = (GUEST / "cmdline").read_text().strip() + " witness.mem=16M"
        if vmm == "qemu":
            command = [qemu, "-M", "virt,acpi=off", "-cpu", CPU, "-nodefaults", "-display", "none"]
        else:
            command = [FERRY, "run", "--name", "interop", "-M", "virt,compat=qemu-10.0.2"]
        command += ["-smp", harts, "-m", "128", "-serial", "stdio"]
        command += ["-bios", GUEST / "fw_dynamic.bin", "-kernel", GUEST / "Image"]
        command += ["-initrd", GUEST / "initramfs.cpio", "-append", parameters]
        command += ["-qmp", f"unix:{folder}/qmp,server=on,wait=off"]
        command += ["-drive", f"file={disk},if=none,id=d0,format=raw"]
        command += ["-device", "virtio-blk-device,drive=d0"]
        command += ["-netdev", f"stream,id=n0,server=on,addr.type=unix,addr.path={folder}/net"]
        command += ["-device", "virtio-net-device,netdev=n0,mac=52:54:00:12:34:56"]
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

    def send(self, uri, capabilities=(), **parameters):
        names = ["events", *capabilities]
        set_capabilities(self, names)
        if parameters:
            self.qmp().execute("migrate-set-parameters", **parameters)
        self.qmp().execute("migrate", uri=uri)
        while True:
            status = self.qmp().wait_event("MIGRATION")["data"]["status"]
            assert status not in ("failed", "cancelled"), self.qmp().execute("query-migrate")
            if status == "completed":
                return

    def check_alive(self):
        """Not only answers: three more status lines, one per second of the guest's own timers."""
        for _ in range(3):
            self.console.wait(r"witness: t=\d+ .* ok")
        assert self.qmp().execute("query-status")["status"] == "running"
        line = self.console.ask("verdict", r"witness: verdict (OK|FAIL) (.*)")
        assert line[1] == "OK", line[2]

    def close(self):
        if self.monitor:
            self.monitor.close()
        self.process.kill()
        self.process.wait()
        self.console.close()
        self.errors.close()


def set_capabilities(place, names):
    place.qmp().execute("migrate-set-capabilities", capabilities=[{"capability": n, "state": True} for n in names])


@pytest.fixture
def place(qemu, tmp_path):
    made = []
    disk = make_disk(tmp_path / "disk.img")

    def begin(vmm, harts, **more):
        made.append(Place(vmm, qemu, tmp_path / f"{len(made)}-{vmm}", disk, harts, **more))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def travel(place, tmp_path, route, harts, modern=False, capabilities=(), options=(), **parameters):
    here = place(route[0], harts, modern=modern, options=options)
    here.console.wait(r"witness: ready")
    here.check_alive()
    for stop, vmm in enumerate(route[1:]):
        uri = f"unix:{tmp_path}/move{stop}"
        # What changes the format of the stream must be set before it comes.
        there = place(vmm, harts, modern=modern, incoming="defer", options=options)
        set_capabilities(there, ["events", *capabilities])
        if parameters:
            there.qmp().execute("migrate-set-parameters", **parameters)
        there.qmp().execute("migrate-incoming", uri=uri)
        here.send(uri, capabilities, **parameters)
        there.check_alive()
        here.close()
        here = there


@pytest.mark.parametrize("harts", (1, 2))
@pytest.mark.parametrize("modern", (False, True), ids=("legacy", "modern"))
@pytest.mark.parametrize("first", VMMS)
def test_there_and_back(place, tmp_path, first, harts, modern):
    other = VMMS[1 - VMMS.index(first)]
    travel(place, tmp_path, (first, other, first), harts, modern)


@pytest.mark.parametrize(
    "capabilities,parameters",
    (
        (["xbzrle"], {}),
        (["multifd"], {"multifd_channels": 2}),
        (["multifd"], {"multifd_channels": 2, "multifd_compression": "zlib"}),
        (["multifd"], {"multifd_channels": 2, "multifd_compression": "zstd"}),
    ),
    ids=("xbzrle", "multifd", "multifd-zlib", "multifd-zstd"),
)
def test_capabilities(place, tmp_path, capabilities, parameters):
    travel(place, tmp_path, ("qemu", "ferry", "qemu"), 2, capabilities=capabilities, **parameters)


def test_memory_in_a_file_stays_there(place, tmp_path):
    memory = f"memory-backend-file,id=r0,size=128M,mem-path={tmp_path}/memory,share=on"
    options = ["-object", memory, "-machine", "memory-backend=r0"]
    travel(place, tmp_path, ("qemu", "ferry", "qemu"), 1, capabilities=["x-ignore-shared"], options=options)


@pytest.mark.parametrize(
    "capabilities,parameters",
    (
        ([], {}),
        (["mapped-ram"], {}),
        (["mapped-ram", "multifd"], {"multifd_channels": 3}),
        (["mapped-ram", "multifd"], {"multifd_channels": 2, "direct_io": True}),
    ),
    ids=("plain", "mapped", "mapped-multifd", "mapped-direct"),
)
@pytest.mark.parametrize("writer, reader", [("qemu", "ferry"), ("ferry", "qemu")])
def test_through_a_file(place, tmp_path, writer, reader, capabilities, parameters):
    """The guest runs while it is written."""
    here = place(writer, 1)
    here.console.wait(r"witness: ready")
    here.send(f"file:{tmp_path}/image", capabilities, **parameters)
    here.close()
    there = place(reader, 1, incoming="defer")
    set_capabilities(there, ["events", *capabilities])
    if parameters:
        there.qmp().execute("migrate-set-parameters", **parameters)
    there.qmp().execute("migrate-incoming", uri=f"file:{tmp_path}/image")
    there.check_alive()
