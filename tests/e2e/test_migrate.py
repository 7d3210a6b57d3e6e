# SPDX-License-Identifier: Apache-2.0
"""A running guest moves to another ferry, or stays where it is, unharmed.

test_moves.py has the transports and codecs.
"""

import json
import shutil

import pytest
from ferry_cli import ferry
from moving import SAFETY_NET_S, SMALL, check_moved, check_unharmed, migrate
from qmp import QmpError


def test_over_tcp(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0")
    done = migrate(small, there.listening())
    assert done["status"] == "completed"
    assert done["ram"]["total"] >= 128 << 20
    assert done["ram"]["remaining"] == 0
    assert done["ram"]["transferred"] > 0
    assert done["ledger"]["total-ns"] > 0
    check_moved(small, there)


def test_snapshot_and_restore(small, target, tmp_path):
    """The guest goes on from its snapshot; restored, with the disk of then, it is where it was then."""
    image, disk = tmp_path / "snapshot", tmp_path / "disk"
    assert ferry("stop", small.name).status == 0
    done = ferry("snapshot", small.name, image)
    assert done.status == 0, done.err
    assert "paused for" in done.out
    shutil.copyfile(small.disk, disk)
    assert ferry("cont", small.name).status == 0
    analyzed = ferry("analyze", image, "--json")
    assert analyzed.status == 0, analyzed.err
    found = json.loads(analyzed.out)
    assert found["machine"] == "virt"
    assert sum(block["bytes"] for block in found["ram"]) >= 128 << 20
    harts = [item for item in found["items"] if item.get("name") == "cpu"]
    assert len(harts) == 1 and "pc" in str(harts[0]["fields"])
    # Whoever reads the file with the description at its end finds every section in it.
    data = image.read_bytes()
    described = json.loads(data[data.rindex(b'{"configuration": ') :])
    sections = {item["name"] for item in found["items"] if item.get("type") == "full"}
    assert {device["name"] for device in described["devices"]} == sections
    cut = tmp_path / "cut"
    cut.write_bytes(image.read_bytes()[:-100000])
    assert ferry("analyze", cut).status == 1
    check_unharmed(small)
    shutil.copyfile(disk, small.disk)
    there = target(small, "run", "--restore", image, "--name", "restored")
    there.name = "restored"
    there.wait_status("paused")
    assert there.ferry("cont", there.name).status == 0
    there.verdict()
    assert there.power_off() == 0


def test_mapped_snapshots_of_a_running_guest(start, target, tmp_path):
    """Pages at fixed places, while the guest writes: it goes on, and each of its snapshots does."""
    small = start(disk=False, **SMALL)
    small.wait_ready()
    ways = (("--mapped-ram",), ("--mapped-ram", "--channels", "2"))
    for number, how in enumerate(ways):
        done = ferry("snapshot", small.name, tmp_path / f"snapshot{number}", *how)
        assert done.status == 0, done.err
    check_unharmed(small)
    for number, how in enumerate(ways):
        image = tmp_path / f"snapshot{number}"
        found = json.loads(ferry("analyze", image, "--json").out)
        assert found["mapped-ram"] is True
        ram = next(block for block in found["ram"] if block["bytes"] == 128 << 20)
        assert 0 < ram["pages"] < (128 << 20) // 4096
        assert ram["pages"] + ram["zero-pages"] == (128 << 20) // 4096
        there = target(small, "run", "--restore", image, "--name", "restored", *how[1:])
        there.name = "restored"
        there.wait_status("running")
        there.verdict()
        assert there.power_off() == 0


def test_memory_in_a_file_stays_there(start, target, tmp_path):
    """Both sides have it mapped: what moves is the rest. An update takes it along, too."""
    memory = f"memory-backend-file,id=r0,size=128M,mem-path={tmp_path}/memory,share=on"
    small = start(disk=False, options=("-object", memory, "-M", "virt,memory-backend=r0"), **SMALL)
    small.wait_ready()
    assert ferry("update", small.name).status == 0
    refused = target(small, "receive", "tcp:127.0.0.1:0")
    done = ferry("migrate", small.name, refused.listening())
    assert done.status == 1
    assert "RAM 'r0' is in a file that somebody else has mapped" in done.err
    there = target(small, "run", *own_options(small, tmp_path), "-incoming", "defer")
    there.wait_status("inmigrate")
    ignore = json.dumps({"capabilities": [{"capability": "x-ignore-shared", "state": True}]})
    uri = json.dumps({"uri": f"unix:{tmp_path}/move"})
    assert there.ferry("qmp", small.name, "migrate-set-capabilities", ignore).status == 0
    assert there.ferry("qmp", small.name, "migrate-incoming", uri).status == 0
    assert ferry("qmp", small.name, "migrate-set-capabilities", ignore).status == 0
    moved = migrate(small, f"unix:{tmp_path}/move")
    assert moved["ram"]["total"] > 128 << 20
    assert moved["ram"]["transferred"] < 1 << 20
    check_moved(small, there)


def test_a_receiver_is_told_that_memory_stays(start, target, tmp_path):
    """By `ferry receive`, which has no monitor that could set a capability before the source is there."""
    memory = f"memory-backend-file,id=r0,size=128M,mem-path={tmp_path}/memory,share=on"
    small = start(disk=False, options=("-object", memory, "-M", "virt,memory-backend=r0"), **SMALL)
    small.wait_ready()
    there = target(
        small, "receive", "tcp:127.0.0.1:0", "--capability", "x-ignore-shared=on", "--memory", f"r0={tmp_path}/memory"
    )
    ignore = json.dumps({"capabilities": [{"capability": "x-ignore-shared", "state": True}]})
    assert ferry("qmp", small.name, "migrate-set-capabilities", ignore).status == 0
    moved = migrate(small, there.listening())
    assert moved["ram"]["transferred"] < 1 << 20
    check_moved(small, there)


def test_dry_run(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0")
    done = ferry("migrate", small.name, there.listening(), "--dry-run")
    assert done.status == 0, done.err
    assert there.process.wait(SAFETY_NET_S) == 1
    assert "dry run" in there.stderr()
    check_unharmed(small)


def test_cancel(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0")
    qmp = small.qmp()
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    qmp.execute("migrate-set-parameters", max_bandwidth=1 << 20)
    qmp.execute("migrate", uri=there.listening())
    while qmp.wait_event("MIGRATION")["data"]["status"] != "active":
        pass
    ram = qmp.execute("query-migrate")["ram"]
    assert ram["total"] >= 128 << 20
    qmp.execute("migrate_cancel")
    while qmp.wait_event("MIGRATION")["data"]["status"] != "cancelled":
        pass
    assert there.process.wait(SAFETY_NET_S) == 1
    check_unharmed(small)


def own_options(machine, folder, *changes):
    """Options of a machine like that one, for -incoming."""
    words = machine.command[2:]
    for old, new in changes:
        words = [new if word == old else word for word in words]
    return [word.replace(str(machine.qmp_path), str(folder / "there-qmp")) for word in words]


def test_incoming_with_options_of_its_own(small, target, tmp_path):
    there = target(small, "run", *own_options(small, tmp_path), "-incoming", "defer")
    there.wait_status("inmigrate")
    uri = f"unix:{tmp_path}/move"
    assert there.ferry("qmp", small.name, "migrate-incoming", json.dumps({"uri": uri})).status == 0
    migrate(small, uri)
    check_moved(small, there)


def test_another_machine_is_refused_by_name(small, target, tmp_path):
    uri = f"unix:{tmp_path}/move"
    disk = "virtio-blk-device,drive=d0"
    words = own_options(small, tmp_path, ("128", "160"), (disk, f"{disk},num-queues=2"))
    there = target(small, "run", *words, "-global", "virtio-mmio.force-legacy=off", "-incoming", uri)
    there.wait_status("inmigrate")
    done = ferry("migrate", small.name, uri)
    assert done.status == 1
    assert there.process.wait(SAFETY_NET_S) == 1
    for text in (done.err, there.stderr()):
        assert "num-queues is 1 there and 2 here" in text, text
        assert "force-legacy is on there and off here" in text, text
        assert str(160 << 20) in text and str(128 << 20) in text, text
    check_unharmed(small)


def test_the_fence_can_be_overridden(start, target):
    """Without a disk, which the other copy would have written to."""
    small = start(disk=False, **SMALL)
    small.wait_ready()
    there = target(small, "receive", "tcp:127.0.0.1:0")
    migrate(small, there.listening())
    there.wait_status("running")
    there.close()
    assert ferry("cont", small.name).status == 1
    assert ferry("qmp", small.name, "ferry-override-fence").status == 0
    assert ferry("cont", small.name).status == 0
    check_unharmed(small)


def test_refusals_of_settings(small):
    qmp = small.qmp()
    for names, says in (
        (("multifd", "xbzrle"), "Multifd is not compatible with xbzrle"),
        (("mapped-ram", "xbzrle"), "Mapped-ram migration is incompatible with xbzrle"),
        (("mapped-ram", "x-ignore-shared"), "Mapped-ram migration is incompatible with x-ignore-shared"),
        (("postcopy-ram",), "not served"),
    ):
        wanted = [{"capability": name, "state": True} for name in names]
        with pytest.raises(QmpError, match=says):
            qmp.execute("migrate-set-capabilities", capabilities=wanted)
    with pytest.raises(QmpError, match="not in expected state"):
        qmp.execute("migrate-continue", state="pre-switchover")
    with pytest.raises(QmpError, match="unknown migration protocol"):
        qmp.execute("migrate", uri="nonsense:x")
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "mapped-ram", "state": True}])
    with pytest.raises(QmpError, match=r"Migration requires seekable transport \(e.g. file\)"):
        qmp.execute("migrate", uri="tcp:127.0.0.1:1")
    check_unharmed(small)
