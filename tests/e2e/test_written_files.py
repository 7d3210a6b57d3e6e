# SPDX-License-Identifier: Apache-2.0
"""A guest goes into a file: that has its name when it is whole, and takes the place of nothing that somebody uses."""

import os
import signal
import subprocess
import time

import pytest
from ferry_cli import ferry
from harness import FERRY, make_disk
from moving import SAFETY_NET_S, SMALL, check_unharmed
from test_migrate_failures import begin, ends, reach, settle


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for less than a guest."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder], check=False).returncode:
        pytest.skip("only root can mount a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


def check_only(path, text):
    """Who removes the new one does so when it hears that nobody wants it any more."""
    deadline = time.monotonic() + SAFETY_NET_S
    while [path] != list(path.parent.iterdir()):
        assert time.monotonic() < deadline, list(path.parent.iterdir())
    assert path.read_text() == text


def test_what_a_vm_holds_is_not_written_over(start, tmp_path):
    """Its own disks, locked or not, its memory, its console, a socket, a folder, a device."""
    unlocked, memory, log = make_disk(tmp_path / "unlocked"), tmp_path / "memory", tmp_path / "log"
    options = (
        f"-drive file={unlocked},if=none,id=d1,format=raw,locking=off -device virtio-blk-device,drive=d1 "
        f"-object memory-backend-file,id=r0,size=128M,mem-path={memory},share=on -M virt,memory-backend=r0 "
        f"-chardev file,id=c1,path={log} -qmp chardev:c1"
    ).split()
    machine = start(options=options, **SMALL)
    machine.wait_ready()
    held = {
        machine.disk: "somebody has locked it",
        unlocked: "somebody has it open to write",
        memory: "is in use",
        log: "somebody has it open to write",
        machine.qmp_path: "is a socket",
        machine.folder: "is a folder",
        "/dev/null": "is a device",
    }
    (tmp_path / "link").symlink_to(machine.disk)
    for path, says in {**held, tmp_path / "link": "somebody has locked it"}.items():
        attempts = [("snapshot", path), ("migrate", f"file:{path}")]
        # Into a file as it is, as QEMU does: who says so may have it open, too.
        if "open" not in says:
            attempts.append(("migrate", f"file:{path},offset=4096"))
        for command, where in attempts:
            done = ferry(command, machine.name, where)
            assert done.status == 1, where
            assert says in done.err, (where, done.err)
    for disk in (machine.disk, unlocked):
        assert disk.stat().st_size == 64 << 20
    check_unharmed(machine)


def test_a_full_disk(small, small_disk):
    path = small_disk / "file"
    path.write_text("the older one")
    for command in ("migrate", "ferry-snapshot"):
        small.qmp().execute(command, uri=f"file:{path}")
        ends(small, "No space left on device")
        check_only(path, "the older one")
    check_unharmed(small)


def test_a_cancelled_one_leaves_nothing(small, tmp_path):
    """The one after it takes the place of what was there, and only its owner can read it."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "file"
    path.write_text("the older one")
    os.chmod(path, 0o666)
    qmp = begin(small, f"file:{path}", "active")
    qmp.execute("migrate_cancel")
    reach(qmp, "cancelled")
    check_only(path, "the older one")
    settle(small)
    done = ferry("snapshot", small.name, path)
    assert done.status == 0, done.err
    assert ferry("analyze", path).status == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(folder.iterdir()) == [path]
    check_unharmed(small)


def test_a_killed_vmm_leaves_nothing(small, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "file"
    path.write_text("the older one")
    begin(small, f"file:{path}", "active")
    small.signal(9)
    check_only(path, "the older one")


def test_an_update_right_behind_a_snapshot(small, tmp_path):
    """It replaces who could say how the snapshot ended: the command says it none the less."""
    path = tmp_path / "file"
    for _ in range(5):
        writer = subprocess.Popen([FERRY, "snapshot", small.name, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)
        while not path.exists():
            assert writer.poll() is None or path.exists(), writer.communicate()
        while ferry("update", small.name).status:
            pass
        out, err = writer.communicate(timeout=SAFETY_NET_S)
        assert writer.returncode == 0, err
        assert out.startswith(f"{path}: "), out
        assert ferry("analyze", path).status == 0
        path.unlink()
    check_unharmed(small)


def test_who_is_killed_leaves_nothing(small, tmp_path):
    """Not the guest's memory in a file that nobody knows of."""
    folder = tmp_path / "files"
    folder.mkdir()
    words = [FERRY, "snapshot", small.name, folder / "file", "--bandwidth", "100K"]
    with subprocess.Popen(words, stderr=subprocess.DEVNULL) as snapshot:
        while small.qmp().execute("query-migrate").get("status") != "active":
            assert snapshot.poll() is None
        os.killpg(small.process.pid, signal.SIGKILL)
        small.process.wait()
        snapshot.wait(SAFETY_NET_S)
    assert list(folder.iterdir()) == []
