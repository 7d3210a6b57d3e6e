# SPDX-License-Identifier: Apache-2.0
"""A running guest leaves QEMU for ferry and comes back; or is born in ferry and visits QEMU."""

import pytest

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


@pytest.mark.parametrize("harts", (1, 2))
@pytest.mark.parametrize("modern", (False, True), ids=("legacy", "modern"))
@pytest.mark.parametrize("first", VMMS)
def test_there_and_back(place, tmp_path, frames, first, harts, modern):
    other = VMMS[1 - VMMS.index(first)]
    travel(place, tmp_path, frames, (first, other, first), harts, modern)


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
