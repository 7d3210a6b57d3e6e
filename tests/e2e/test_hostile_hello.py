# SPDX-License-Identifier: Apache-2.0
"""What the process that waits for a guest does to its host, when the one who connects is no friend.

Under strace: between the connection and the end nothing is opened, made, removed, listened on, connected to or
started, whatever the description names; and of a guest that is taken, only what the command line allows.
"""

import json
import os
import random
import re
import shutil
import socket

import pytest
from ferry_cli import ferry
from harness import FERRY, GUEST
from hostile import hello, tell
from moving import SAFETY_NET_S, SMALL, Target, check_moved, gives, migrate

CALLS = ("open openat openat2 creat unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink "
         "symlinkat mknod mknodat truncate chmod fchmodat bind connect listen socket execve execveat")
# How many processors there are, when a thread makes its own heap. O_PATH opens nothing: it is how the sandbox is
# told what may be opened later.
HARMLESS = re.compile(r'"/sys/devices/system/cpu|"/proc/(self|stat)|"/proc/sys/vm|O_PATH')
RANDOM_HELLOS = 24
REFUSE = b"F\x03"


@pytest.fixture(scope="module", autouse=True)
def strace():
    assert shutil.which("strace"), "strace is not installed: run scripts/setup test"


class Traced(Target):
    """A target, and what it asked of the kernel after it had what it waits for."""

    def __init__(self, folder, *words, begins=r"accept4\(.* = \d+$", name="evil", **where):
        self.trace = folder.parent / f"{folder.name}.trace"
        self.begins = re.compile(begins)
        before = ["strace", "-f", "-qq", "-e", "signal=none", "-o", str(self.trace),
                  "-e", f"trace=accept4,{','.join('?' + call for call in CALLS.split())}"]
        super().__init__(name, folder, *words, before=before, **where)

    def did(self):
        """Lines behind the beginning."""
        lines = self.trace.read_text(encoding="utf-8", errors="replace").splitlines()
        start = [i for i, line in enumerate(lines) if self.begins.search(line)]
        assert start, f"nobody came: {self.stderr()}"
        calls = re.compile(rf"\b({'|'.join(CALLS.split())})\(")
        return [line for line in lines[start[0] + 1:] if calls.search(line) and not HARMLESS.search(line)]


class Bait:
    """What a peer might like to reach. Whole if nobody did."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "precious").write_text("precious")
        os.mkfifo(folder / "fifo")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "control"))
        self.listener.listen()
        self.listener.setblocking(False)
        self.names = sorted(os.listdir(folder))

    def check(self):
        assert (self.folder / "precious").read_text() == "precious"
        assert sorted(os.listdir(self.folder)) == self.names
        with pytest.raises(BlockingIOError):
            self.listener.accept()

    def close(self):
        self.listener.close()


@pytest.fixture
def bait(tmp_path):
    made = Bait(tmp_path / "bait")
    yield made
    made.close()


BASE = [["name", "evil"], ["M", "virt"], ["m", "64"], ["bios", "none"]]


def hellos(bait):
    """Each option of the grammar, each sub-option that ever named something of the host, and mixtures."""
    evil, control, new = f"{bait}/precious", f"{bait}/control", f"{bait}/new"
    options = re.findall(r"^  -(\S+)( .*)?$", ferry("run", "--help").out.split("Instead of options")[0], re.MULTILINE)
    assert len(options) > 25
    for name, argument in options:
        yield [*BASE, [name, evil] if argument else [name]]
    pieces = [
        ["kernel", evil], ["kernel", f"{bait}/fifo"], ["initrd", evil], ["bios", new], ["append", evil],
        ["serial", f"file:{evil}"], ["serial", f"unix:{new},server=on,wait=off"], ["serial", f"unix:{control}"],
        ["serial", "stdio"], ["serial", "chardev:c"], ["serial", "mon:stdio"],
        ["chardev", f"file,id=c,path={evil}"], ["chardev", f"file,id=c,path={new},append=on"],
        ["chardev", f"socket,id=c,path={control}"], ["chardev", f"socket,id=c,path={new},server=on,wait=on"],
        ["chardev", "stdio,id=c,signal=on"],
        ["drive", f"file={evil},if=none,id=d,locking=off"], ["drive", f"file={new}"],
        ["blockdev", f"driver=raw,node-name=n,file.driver=file,file.filename={evil}"],
        ["blockdev", json.dumps({"driver": "file", "node-name": "m", "filename": new})],
        ["netdev", "tap,id=t,ifname=evil0,script=no"], ["netdev", "tap,id=t,fd=0,script=no"],
        ["netdev", f"stream,id=s,addr.type=unix,addr.path={control}"],
        ["netdev", f"stream,id=s,addr.type=unix,addr.path={new},server=on"],
        ["object", f"memory-backend-file,id=r,size=64M,mem-path={new},share=on"], ["M", "virt,memory-backend=r"],
        ["qmp", f"unix:{new},server=on,wait=off"], ["mon", "chardev=c,mode=control"],
        ["incoming", f"exec:touch {new}"], ["S"], ["name", "../../evil"], ["name", "x/y"], ["m", "256G"], ["smp", "8"],
    ]
    for piece in pieces:
        yield [*BASE, piece]
    yield [*BASE, *pieces]
    chance = random.Random(7)
    for _ in range(RANDOM_HELLOS):
        yield [*BASE, *chance.sample(pieces, chance.randrange(2, 8))]


def test_nothing_of_the_host_is_touched_for_a_hostile_description(tmp_path, bait):
    """Whether it is refused by its words, or because its RAM and devices are not those it announced."""
    for number, description in enumerate(hellos(bait.folder)):
        there = Traced(tmp_path / f"host{number}", "receive", "tcp:127.0.0.1:0", "--once")
        try:
            heard = tell(there.listening(), hello(description, dry_run=number % 3 == 1))
            assert there.process.wait(SAFETY_NET_S) == 1, description
            assert there.did() == [], description
            assert REFUSE in heard
            assert there.stderr().strip(), description
            bait.check()
        finally:
            there.close()


def test_a_hostile_file_is_no_better(tmp_path, bait):
    opened = r'open(at)?\(.*"\S*evil.file".* = \d+$'
    for number, description in enumerate(list(hellos(bait.folder))[::4]):
        file = tmp_path / "evil.file"
        file.write_bytes(hello(description, answers=False))
        there = Traced(tmp_path / f"host{number}", "run", "--restore", file, begins=opened)
        try:
            assert there.process.wait(SAFETY_NET_S) == 1, description
            assert there.did() == [], description
            bait.check()
        finally:
            there.close()


def test_a_guest_that_is_taken_has_what_is_allowed(start, tmp_path):
    """Of a real one: a dry run opens nothing, and neither does a move more than was given."""
    machine = start(**SMALL)
    machine.wait_ready()
    words = ("receive", "tcp:127.0.0.1:0", "--once", *gives(machine))
    looked = Traced(tmp_path / "looked", *words, name=machine.name)
    try:
        done = ferry("migrate", machine.name, looked.listening(), "--dry-run")
        assert done.status == 0, done.err
        assert looked.process.wait(SAFETY_NET_S) == 1
        assert looked.did() == []
    finally:
        looked.close()
    there = Traced(tmp_path / "there", *words, name=machine.name)
    try:
        migrate(machine, there.listening())
        check_moved(machine, there)
        own = re.compile(rf'"{tmp_path}/there/|openat2\(\d+, "[^/"][^"]*", .*RESOLVE_BENEATH|= -1 ENOENT'
                         r"|socket\(AF_UNIX|listen\(")
        opened = there.did()
        assert [line for line in opened if not own.search(line)] == []
        for name in ("disk.img", "Image", "initramfs.cpio", "fw_dynamic.bin"):
            assert any(f'openat2(' in line and f'"{name}"' in line for line in opened), name
    finally:
        there.close()


def test_what_nobody_gave_is_named(small, tmp_path):
    there = Target(small.name, tmp_path / "there", "receive", "tcp:127.0.0.1:0", "--allow-path", GUEST)
    try:
        done = ferry("migrate", small.name, there.listening(), "--dry-run")
        assert done.status == 1
        assert f"--drive d0=PATH (there '{str(small.disk)[:40]}" in done.err
        assert "--allow-path" in done.err
        assert "--kernel" not in done.err
    finally:
        there.close()
    assert "other hosts can reach" in ferry("receive", "tcp:0.0.0.0:0").err
    assert "this host takes at most" in dry_run(small, tmp_path / "memory", "--max-memory", "64M")
    small.verdict()


def dry_run(machine, folder, *words):
    there = Target(machine.name, folder, "receive", "tcp:127.0.0.1:0", *gives(machine), *words)
    try:
        return ferry("migrate", machine.name, there.listening(), "--dry-run").err
    finally:
        there.close()
