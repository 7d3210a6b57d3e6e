# SPDX-License-Identifier: Apache-2.0
"""The QEMU to try (`--qemu VERSION`), a network between two hosts, and places for a guest."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))

from harness import GUEST, ROOT, make_disk  # noqa: E402
from network import Bridge  # noqa: E402
from place import Frames, Place  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--qemu", default="10.0.2", help="version; tests/interop/setup has the list")


def set_up(what):
    done = subprocess.run([HERE / "setup", what], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="session")
def guest_images():
    subprocess.run([ROOT / "guest" / "build", GUEST], check=True)


@pytest.fixture(scope="session")
def qemu(request, guest_images):
    """(version, program)"""
    version = request.config.getoption("--qemu")
    return version, set_up(version)


@pytest.fixture(scope="session")
def analyzer():
    return set_up("analyzer")


@pytest.fixture
def network(tmp_path):
    """Two TAPs on a bridge; without root there is none."""
    made = Bridge(tmp_path) if os.getuid() == 0 else None
    yield made
    if made:
        made.close()


@pytest.fixture
def place(qemu, tmp_path, network):
    """place(vmm, harts, ...) starts one; see Place."""
    made = []
    disk = make_disk(tmp_path / "disk.img")

    def begin(vmm, harts, disk=disk, **more):
        # One at a time can have a TAP: here the guest's host, there the one that waits for it.
        taken = [each.ifname for each in made if each.process.poll() is None]
        ifname = next(name for name in Bridge.ifnames if name not in taken)
        folder = tmp_path / f"{len(made)}-{vmm}"
        made.append(Place(vmm, qemu, folder, disk, harts, network, ifname, **more))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def frames(network):
    """Datagrams to the guest and back, all the time; frames.check() after each move."""
    made = Frames(network) if network else None
    yield made
    if made:
        made.close()
