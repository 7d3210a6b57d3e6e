# SPDX-License-Identifier: Apache-2.0
"""What a guest needs of the host it moves to: found there, found to be missing, or other than here."""

import fcntl
import os
import shutil
import struct
import subprocess

import pytest
from ferry_cli import ferry, run_state
from harness import make_disk
from moving import SAFETY_NET_S, SMALL, check_moved, check_unharmed, migrate
from network import Numbered, Passt

OFD_SETLK = 37
WRITERS = 201  # the byte that says: nobody else may write


def lock(path):
    """As another VMM has it; ends with the file."""
    file = open(path, "r+b")
    fcntl.fcntl(file, OFD_SETLK, struct.pack("hhqqi", fcntl.F_RDLCK, os.SEEK_SET, WRITERS, 1, 0))
    return file


def refused(machine, there, uri, *says):
    done = ferry("migrate", machine.name, uri)
    assert done.status == 1
    assert there.process.wait(SAFETY_NET_S) == 1
    for text in (done.err, there.stderr()):
        for part in says:
            assert part in text, text
    assert run_state(machine.name) == "running"
    machine.verdict()


@pytest.fixture
def copy(start, tmp_path):
    """A machine, and a copy of its disk to go to: what the guest writes to the one is not on the other."""

    def make(**parameters):
        machine = start(**{**SMALL, **parameters})
        machine.wait_ready()
        assert ferry("stop", machine.name).status == 0
        shutil.copyfile(machine.disk, tmp_path / "copy.img")
        return machine, tmp_path / "copy.img"

    return make


def test_a_name_in_use(small, target):
    """On the source's own host, by the source itself: a dry run says it, too, and takes nothing."""
    where = os.environ.get("XDG_RUNTIME_DIR")
    same_host = ["env", f"XDG_RUNTIME_DIR={where}"] if where else ["env", "-u", "XDG_RUNTIME_DIR"]
    there = target(small, "receive", "tcp:127.0.0.1:0", goes_on=True, before=same_host)
    uri = there.listening()
    for dry in (["--dry-run"], []):
        done = ferry("migrate", small.name, uri, *dry)
        assert done.status == 1, done.out
        assert f"a VM named '{small.name}' is running already" in done.err
    check_unharmed(small)


def test_a_disk_in_use(copy, target):
    """Found when everything is loaded, and before the guest is given away."""
    machine, disk = copy()
    assert ferry("cont", machine.name).status == 0
    with lock(disk):
        there = target(machine, "receive", "tcp:127.0.0.1:0", "--drive", f"d0={disk}")
        refused(machine, there, there.listening(), 'Failed to get "write" lock', str(disk))
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    migrate(machine, there.listening())
    check_moved(machine, there)


def test_another_disk(copy, target):
    machine, disk = copy()
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--drive", f"d0={disk}")
    migrate(machine, there.listening())
    with lock(machine.disk):
        there.wait_status("paused")
        assert there.ferry("cont", machine.name).status == 0
        check_moved(machine, there)


def test_a_disk_that_is_missing_or_cannot_be_written(small, target, tmp_path):
    there = target(small, "receive", "tcp:127.0.0.1:0", "--drive", f"d0={tmp_path}/none")
    refused(small, there, there.listening(), f"{tmp_path}/none", "No such file")
    folder = tmp_path / "mount"
    folder.mkdir()
    shutil.copyfile(small.disk, folder / "disk.img")
    readonly = f"mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"
    space = ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*space, "sh", "-c", readonly], capture_output=True, check=False).returncode:
        pytest.skip("mounts are not allowed here")
    words = ["receive", "tcp:127.0.0.1:0", "--drive", f"d0={folder}/disk.img"]
    there = target(small, *words, before=[*space, "sh", "-c", f'{readonly} && exec "$@"', "sh"])
    refused(small, there, there.listening(), "for writing (readonly=on only reads it)", "d0")
    check_unharmed(small)


def test_a_tap_in_use_or_missing_and_another(start, target, network):
    if network.name != "tap":
        pytest.skip("needs a TAP device")
    machine = start(network=network, **SMALL)
    machine.wait_ready()
    uri = "tcp:127.0.0.1:0"
    there = target(machine, "receive", uri, network=network)
    refused(machine, there, there.listening(), "tap0", "in use by another process")
    there = target(machine, "receive", uri, "--netdev", "n0=lo", network=network)
    refused(machine, there, there.listening(), "lo is not a TAP")
    without = ["setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    there = target(machine, "receive", uri, "--netdev", "n0=tap7", network=network, before=without)
    refused(machine, there, there.listening(), "no right to open TAP tap7")
    there = target(machine, "receive", uri, "--netdev", "n0=tap1", network=network)
    migrate(machine, there.listening())
    network.change("tap0", "tap1")
    assert network.ping(3) == 3
    check_moved(machine, there)


def test_a_network_socket_that_is_elsewhere(start, target, tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    network = Passt(tmp_path / "here")
    try:
        machine = start(network=network, **SMALL)
        machine.wait_ready()
        options, peer = network.other_host(tmp_path / "elsewhere")
        there = target(machine, "receive", "tcp:127.0.0.1:0", *options)
        migrate(machine, there.listening())
        there.wait_status("running")
        numbered = Numbered(peer)
        numbered.exchange()
        assert numbered.unanswered == []
        check_moved(machine, there)
    finally:
        network.close()


def test_a_disk_of_another_size(small, target, tmp_path):
    """Named before the guest moves, by a dry run too, with all that differs; the guest would write behind its end."""
    disk = make_disk(tmp_path / "smaller.img", size_mib=32)
    says = "disk on virtio-mmio-bus.6: capacity is 67108864 bytes there and 33554432 bytes here"
    for dry in ([], ["--dry-run"]):
        there = target(small, "receive", "tcp:127.0.0.1:0", "--drive", f"d0={disk}")
        done = ferry("migrate", small.name, there.listening(), *dry)
        assert done.status == 1
        assert says in done.err
    own = [word.replace(str(small.disk), str(disk)).replace(str(small.qmp_path), str(tmp_path / "qmp"))
           for word in small.command[2:]]
    there = target(small, "run", *own, "-global", "virtio-mmio.force-legacy=off", "-incoming", f"unix:{tmp_path}/in")
    there.wait_status("inmigrate")
    refused(small, there, f"unix:{tmp_path}/in", says, "force-legacy is on there and off here; ")
    assert ferry("snapshot", small.name, tmp_path / "snapshot").status == 0
    words = ["--restore", tmp_path / "snapshot", "--name", "restored", "--drive", f"d0={disk}"]
    there = target(small, "run", *words)
    assert there.process.wait(SAFETY_NET_S) == 1
    assert says in there.stderr()
    check_unharmed(small)
