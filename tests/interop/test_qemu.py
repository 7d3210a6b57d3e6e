# SPDX-License-Identifier: Apache-2.0
"""A running guest leaves QEMU for ferry and comes back; or is born in ferry and visits QEMU."""

import os
import subprocess
import time

import pytest
from harness import make_disk

VMMS = ("qemu", "ferry")


def travel(place, tmp_path, frames, route, harts, modern=False, capabilities=(), options=(), **parameters):
    here = place(route[0], harts, modern=modern, options=options)
    here.ready()
    here.check_alive()
    for stop, vmm in enumerate(route[1:]):
        uri = f"unix:{tmp_path}/move{stop}"
        there = place(vmm, harts, modern=modern, incoming="defer", options=options)
        there.configure(capabilities, **parameters)
        there.qmp().execute("migrate-incoming", uri=uri)
        here.send(uri, capabilities, **parameters)
        there.check_alive()
        if frames:
            frames.check()
        here.close()
        here = there


@pytest.fixture
def full(tmp_path):
    """A file system whose room is used up."""
    if os.getuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path / "full"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def wait_state(there, *states):
    deadline = time.monotonic() + 120
    while there.qmp().execute("query-status")["status"] not in states:
        assert time.monotonic() < deadline, there.qmp().execute("query-status")


@pytest.mark.parametrize("state", ("prelaunch", "shutdown", "io-error"))
@pytest.mark.parametrize("first", VMMS)
def test_a_guest_that_stands(place, tmp_path, full, first, state):
    """Why it stands goes along, and after the way back what ends it does."""
    options = {"prelaunch": ["-S"], "shutdown": ["-no-shutdown"], "io-error": []}[state]
    disk = make_disk(full / "disk.img") if state == "io-error" else make_disk(tmp_path / "d.img")
    here = place(first, 1, disk=disk, options=options)
    if state != "prelaunch":
        here.ready()
    if state == "shutdown":
        here.console.send("poweroff")
    wait_state(here, state)
    for stop in range(2):
        uri = f"unix:{tmp_path}/move{stop}"
        there = place(VMMS[1 - VMMS.index(here.vmm)], 1, disk=disk, incoming="defer")
        there.configure()
        there.qmp().execute("migrate-incoming", uri=uri)
        here.send(uri)
        wait_state(there, state)
        here.close()
        here = there
    if state == "shutdown":
        here.qmp().execute("system_reset")
        wait_state(here, "prelaunch", "paused")
    if state == "io-error":
        subprocess.run(["mount", "-o", "remount,size=80m", full], check=True)
    here.qmp().execute("cont")
    if state != "io-error":
        here.ready()
    here.check_alive()


@pytest.mark.parametrize("harts", (1, 2))
@pytest.mark.parametrize("modern", (False, True), ids=("legacy", "modern"))
@pytest.mark.parametrize("first", VMMS)
def test_there_and_back(place, tmp_path, frames, first, harts, modern):
    other = VMMS[1 - VMMS.index(first)]
    travel(place, tmp_path, frames, (first, other, first), harts, modern)


@pytest.mark.parametrize("modern", (False, True), ids=("legacy", "modern"))
@pytest.mark.parametrize("first", VMMS)
def test_a_balloon(place, tmp_path, frames, first, modern):
    """What it holds stays there, and each VMM can change it."""
    options = ["-device", "virtio-balloon-device,id=balloon0,free-page-reporting=on"]
    all_bytes, few_bytes = 128 << 20, 104 << 20
    here = place(first, 1, modern=modern, options=options)
    here.ready()
    here.console.send("shell modprobe virtio_balloon && echo load''ed")
    here.console.wait("loaded")
    for stop, wanted in enumerate((few_bytes, all_bytes)):
        here.balloon(wanted)
        there = place(VMMS[1 - VMMS.index(here.vmm)], 1, modern=modern, incoming="defer", options=options)
        there.configure()
        uri = f"unix:{tmp_path}/move{stop}"
        there.qmp().execute("migrate-incoming", uri=uri)
        here.send(uri)
        assert there.qmp().execute("query-balloon")["actual"] == wanted
        there.check_alive()
        here.close()
        here = there
    here.balloon(few_bytes)
    frames.check()


def multifd(channels, method="none", **more):
    return ["multifd"], {"multifd_channels": channels, "multifd_compression": method, **more}


@pytest.mark.parametrize(
    "capabilities, parameters",
    (
        (["xbzrle"], {}),
        multifd(2),
        multifd(2, "zlib"),
        multifd(4, "zstd"),
        multifd(16),
        multifd(2, zero_page_detection="legacy"),
        multifd(2, zero_page_detection="none"),
        ([], {"zero_page_detection": "none"}),
    ),
    ids=("xbzrle", "multifd", "zlib", "zstd", "channels", "legacy-zeros", "no-zeros", "plain-no-zeros"),
)
def test_capabilities(place, tmp_path, frames, capabilities, parameters):
    travel(place, tmp_path, frames, ("ferry", "qemu", "ferry"), 2, capabilities=capabilities, **parameters)


def test_memory_in_a_file_stays_there(place, tmp_path, frames):
    memory = f"memory-backend-file,id=r0,size=128M,mem-path={tmp_path}/memory,share=on"
    options = ["-object", memory, "-machine", "memory-backend=r0"]
    travel(place, tmp_path, frames, ("qemu", "ferry", "qemu"), 1, capabilities=["x-ignore-shared"], options=options)


@pytest.mark.parametrize(
    "capabilities, parameters",
    (
        ([], {}),
        (["mapped-ram"], {}),
        (["mapped-ram", "multifd"], {"multifd_channels": 3}),
        (["mapped-ram", "multifd"], {"multifd_channels": 2, "direct_io": True}),
    ),
    ids=("plain", "mapped", "mapped-multifd", "mapped-direct"),
)
@pytest.mark.parametrize("writer, reader", [("qemu", "ferry"), ("ferry", "qemu")], ids=("from-qemu", "from-ferry"))
def test_through_a_file(place, tmp_path, writer, reader, capabilities, parameters):
    """The guest runs while it is written."""
    here = place(writer, 1)
    here.ready()
    here.send(f"file:{tmp_path}/image", capabilities, **parameters)
    here.close()
    there = place(reader, 1, incoming="defer")
    there.configure(capabilities, **parameters)
    there.qmp().execute("migrate-incoming", uri=f"file:{tmp_path}/image")
    there.check_alive()


@pytest.mark.parametrize("source, target", [("qemu", "ferry"), ("ferry", "qemu")], ids=("qemu", "ferry"))
def test_a_guest_that_writes_too_fast(place, tmp_path, source, target):
    """It is slowed down until the pause would be short enough; a line that becomes wider ends it."""
    here = place(source, 2, rate="128M")
    here.ready()
    there = place(target, 2, incoming=f"unix:{tmp_path}/move")
    there.qmp()
    here.configure(["auto-converge"], max_bandwidth=24 << 20, downtime_limit=1)
    here.qmp().execute("migrate", uri=f"unix:{tmp_path}/move")
    while not (now := here.qmp().execute("query-migrate")).get("cpu-throttle-percentage"):
        assert now["status"] in ("setup", "active"), now
    here.qmp().execute("migrate-set-parameters", max_bandwidth=0, downtime_limit=2000)
    here.wait_migration("completed")
    there.check_alive()


@pytest.mark.parametrize("source, target", [("qemu", "ferry"), ("ferry", "qemu")], ids=("qemu", "ferry"))
def test_cancelled_and_tried_again(place, tmp_path, source, target):
    here = place(source, 1)
    here.ready()
    first = place(target, 1, incoming=f"unix:{tmp_path}/move")
    first.qmp()
    here.configure(max_bandwidth=1 << 20)
    here.qmp().execute("migrate", uri=f"unix:{tmp_path}/move")
    here.wait_migration("active")
    here.qmp().execute("migrate_cancel")
    here.wait_migration("cancelled")
    assert first.process.wait(60) == 1
    here.check_alive()
    there = place(target, 1, incoming=f"unix:{tmp_path}/again")
    there.qmp()
    here.send(f"unix:{tmp_path}/again", max_bandwidth=0)
    there.check_alive()


@pytest.mark.parametrize(
    "difference, says",
    (({"mem_mib": 160}, "riscv_virt_board.ram"), ({"card": False}, "virtio-net")),
    ids=("before-the-first-page", "when-all-was-sent"),
)
def test_a_refusal_reaches_qemu(place, tmp_path, difference, says):
    """QEMU's guest goes on where it is. (It has to ask for a return path; else it hears nothing.)"""
    here = place("qemu", 1)
    here.ready()
    there = place("ferry", 1, incoming=f"unix:{tmp_path}/move", **difference)
    there.qmp()
    here.configure(["return-path"])
    here.qmp().execute("migrate", uri=f"unix:{tmp_path}/move")
    here.wait_migration("failed")
    assert there.process.wait(60) == 1
    assert says in there.stderr()
    here.check_alive()
