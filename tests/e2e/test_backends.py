# SPDX-License-Identifier: Apache-2.0
"""Backends come and go while the guest runs, and an update in between carries them."""

import fcntl
import os
import select
import socket
import struct

import pytest
from ferry_cli import ferry, update
from harness import make_disk, vmm_pids
from moving import SAFETY_NET_S, SMALL, check_moved, migrate
from network import Tap
from qmp import QmpError

CYCLES = 100
TUNSETIFF = 0x400454CA
F_OFD_SETLK = 37
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


@pytest.fixture
def tap(tmp_path):
    made = Tap(tmp_path)
    made.namespace.run("ip", "tuntap", "add", "tap1", "mode", "tap", "vnet_hdr")
    yield made
    made.close()


@pytest.fixture
def machine(start, tap):
    made = start(network=tap, **SMALL)
    made.wait_ready()
    return made


def open_tap(tap, ifname):
    """As a manager does that gives it to a VM."""

    def attach():
        tap.enter()
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", ifname.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
        return fd

    return tap.namespace.in_thread(attach)


def is_free(tap, ifname):
    try:
        os.close(open_tap(tap, ifname))
    except OSError:
        return False
    return True


def has_of_host(machine):
    """What a VMM that leaks has more of."""
    (pid,) = vmm_pids(machine.process)
    fds = sorted(os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
    return [name.split(":")[0] for name in fds], len(os.listdir(f"/proc/{pid}/task"))


def again(machine):
    """The monitor of the process that an update started, when the one before has nothing any more."""
    (pid,) = vmm_pids(machine.process)
    old = os.pidfd_open(pid)
    machine.qmp().close()
    machine.monitor = None
    update(machine.name)
    assert select.select([old], [], [], SAFETY_NET_S)[0]
    os.close(old)
    return machine.qmp()


def netdevs(qmp):
    return {netdev["id"]: netdev for netdev in qmp.execute("ferry-netdevs")}


def refused(qmp, says, command, *, error_class="GenericError", **arguments):
    with pytest.raises(QmpError) as error:
        qmp.execute(command, **arguments)
    assert (error.value.error_class, error.value.desc) == (error_class, says)


def add_tap(qmp, **more):
    qmp.execute("netdev_add", type="tap", id="n1", ifname="tap1", script="no", downscript="no", **more)


def test_a_tap_by_name(machine, tap):
    qmp = machine.qmp()
    # As managers say it, with what is so anyway.
    add_tap(qmp, vhost=False, vhostforce=False, queues=1)
    assert netdevs(qmp)["n1"]["where"] == "tap1"
    assert not is_free(tap, "tap1")
    qmp = again(machine)
    assert netdevs(qmp)["n1"]["connected"]
    assert not is_free(tap, "tap1")
    refused(qmp, "Duplicate ID 'n1'", "netdev_add", type="tap", id="n1", ifname="tap1", script="no")
    refused(qmp, "could not configure /dev/net/tun (tap1): Device or resource busy: the TAP is in use by another process",
            "netdev_add", type="tap", id="n2", ifname="tap1", script="no")
    qmp.execute("netdev_del", id="n1")
    assert "n1" not in netdevs(qmp)
    assert is_free(tap, "tap1")
    # What went is not there in the next process either.
    qmp = again(machine)
    assert list(netdevs(qmp)) == ["n0"]
    machine.verdict()


def test_a_tap_that_is_given(machine, tap):
    qmp = machine.qmp()
    fd = open_tap(tap, "tap1")
    qmp.execute("getfd", fds=[fd], fdname="given")
    os.close(fd)
    qmp.execute("netdev_add", type="tap", id="n1", fd="given")
    refused(qmp, "File descriptor named 'given' not found", "closefd", fdname="given")
    qmp = again(machine)
    assert netdevs(qmp)["n1"]["connected"]
    assert not is_free(tap, "tap1")
    qmp.execute("netdev_del", id="n1")
    assert is_free(tap, "tap1")
    machine.verdict()


def test_streams(machine, tmp_path):
    qmp = machine.qmp()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "peer"))
        listener.listen()
        qmp.execute("netdev_add", type="stream", id="n1", addr={"type": "unix", "path": str(tmp_path / "peer")})
        listener.settimeout(SAFETY_NET_S)
        peer, _ = listener.accept()
        peer.settimeout(SAFETY_NET_S)
    qmp = again(machine)
    assert netdevs(qmp)["n1"]["connected"]
    qmp.execute("netdev_del", id="n1")
    with peer:
        assert peer.recv(1) == b""
    place = {"type": "unix", "path": str(tmp_path / "server")}
    qmp.execute("netdev_add", type="stream", id="n1", addr=place, server=True)
    qmp = again(machine)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(SAFETY_NET_S)
        client.connect(str(tmp_path / "server"))
        assert qmp.wait_event("NETDEV_STREAM_CONNECTED")["data"]["netdev-id"] == "n1"
        qmp.execute("netdev_del", id="n1")
        assert client.recv(1) == b""
    refused(qmp, f"Failed to connect to '{tmp_path}/peer': Connection refused", "netdev_add", type="stream", id="n1",
            addr={"type": "unix", "path": str(tmp_path / "peer")})
    machine.verdict()


def test_nothing_is_left_of_a_hundred(machine, tap, tmp_path):
    qmp = machine.qmp()
    add_tap(qmp)
    qmp.execute("netdev_del", id="n1")
    before = has_of_host(machine)
    for _ in range(CYCLES):
        add_tap(qmp)
        qmp.execute("netdev_del", id="n1")
        fd = open_tap(tap, "tap1")
        qmp.execute("getfd", fds=[fd], fdname="given")
        os.close(fd)
        qmp.execute("netdev_add", type="tap", id="n1", fd="given")
        qmp.execute("netdev_del", id="n1")
    with open(tmp_path / "no-tap", "wb") as file:
        for _ in range(CYCLES):
            qmp.execute("getfd", fds=[file.fileno()], fdname="given")
            with pytest.raises(QmpError, match="is not an open TAP interface"):
                qmp.execute("netdev_add", type="tap", id="n1", fd="given")
            qmp.execute("closefd", fdname="given")
    assert has_of_host(machine) == before
    assert is_free(tap, "tap1")
    machine.verdict()


def chardevs(qmp):
    return {chardev["label"]: chardev["filename"] for chardev in qmp.execute("query-chardev")}


def unix_backend(path, **more):
    return {"type": "socket", "data": {"addr": {"type": "unix", "data": {"path": str(path)}}, **more}}


def file_backend(path, **more):
    return {"type": "file", "data": {"out": str(path), **more}}


def test_chardevs(machine, tmp_path):
    qmp = machine.qmp()
    before = chardevs(qmp)
    pty = qmp.execute("chardev-add", id="p", backend={"type": "pty", "data": {}})["pty"]
    qmp.execute("chardev-add", id="f", backend=file_backend(tmp_path / "text", logfile=str(tmp_path / "log")))
    qmp.execute("chardev-add", id="s", backend=unix_backend(tmp_path / "served", wait=False, telnet=False))
    qmp.execute("chardev-add", id="z", backend={"type": "null", "data": {}})
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "peer"))
        listener.listen()
        qmp.execute("chardev-add", id="c", backend=unix_backend(tmp_path / "peer", server=False))
        listener.settimeout(SAFETY_NET_S)
        peer, _ = listener.accept()
        peer.settimeout(SAFETY_NET_S)
    added = {
        "p": f"disconnected:pty:{pty}",
        "f": f"file:{tmp_path}/text",
        "s": f"disconnected:unix:{tmp_path}/served,server=on",
        "z": "null",
        "c": f"unix:{tmp_path}/peer",
    }
    assert {**before, **added} == chardevs(qmp)
    for path in ("text", "log"):
        assert (tmp_path / path).stat().st_mode & 0o777 == 0o600
    qmp = again(machine)
    assert {**before, **added} == chardevs(qmp)
    # Somebody is there already, and waits for who will use it.
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "served"))
    for name in added:
        qmp.execute("chardev-remove", id=name)
    with peer:
        assert peer.recv(1) == b""
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(tmp_path / "served"))
    assert not os.path.exists(pty)
    assert chardevs(again(machine)) == before
    machine.verdict()


def test_nothing_is_left_of_a_hundred_chardevs(machine, tmp_path):
    backends = [
        {"type": "pty", "data": {"logfile": str(tmp_path / "log")}},
        file_backend(tmp_path / "text", append=True),
        unix_backend(tmp_path / "served"),
        {"type": "null", "data": {}},
    ]
    qmp = machine.qmp()
    qmp.execute("chardev-add", id="x", backend=backends[0])
    qmp.execute("chardev-remove", id="x")
    before = has_of_host(machine)
    for _ in range(CYCLES // len(backends)):
        for backend in backends:
            qmp.execute("chardev-add", id="x", backend=backend)
            qmp.execute("chardev-remove", id="x")
    assert has_of_host(machine) == before
    machine.verdict()


def test_chardevs_that_are_refused(machine, tmp_path):
    qmp = machine.qmp()
    before = chardevs(qmp)
    null = {"type": "null", "data": {}}
    refused(qmp, "Chardev with id 'serial0' already exists", "chardev-add", id="serial0", backend=null)
    refused(qmp, f"Failed to add chardev 'c1': Failed to connect to '{tmp_path}/nosuch.sock': No such file or directory",
            "chardev-add", id="c1", backend=unix_backend(tmp_path / "nosuch.sock", server=False))
    refused(qmp, f"Failed to add chardev 'c1': Could not open '{tmp_path}': Is a directory", "chardev-add", id="c1",
            backend=file_backend(tmp_path))
    refused(qmp, "Chardev 'x' not found", "chardev-remove", id="x")
    refused(qmp, "Chardev 'serial1' not found; did you mean 'serial0'?", "chardev-remove", id="serial1")
    refused(qmp, "Chardev 'serial0' is busy", "chardev-remove", id="serial0")
    refused(qmp, "Chardev 'compat_monitor0' is busy", "chardev-remove", id="compat_monitor0")
    assert chardevs(qmp) == before
    for i in range(16 - len(before)):
        qmp.execute("chardev-add", id=f"x{i}", backend=null)
    refused(qmp, "more than 16 chardevs", "chardev-add", id="y", backend=null)
    machine.verdict()


def nodes(qmp):
    return {node["node-name"]: node["file"] for node in qmp.execute("query-named-block-nodes")}


def add_image(qmp, path, node="i", **more):
    qmp.execute("blockdev-add", driver="file", node_name=node, filename=str(path), **more)


def is_locked(path):
    """As another VMM would find it: byte 201 says that nobody else may write (vmm/backend/block_lock.h)."""
    with open(path, "r+b") as file:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 201, 1, 0)
        try:
            fcntl.fcntl(file, F_OFD_SETLK, lock)
        except OSError:
            return True
    return False


def test_images(machine, tmp_path):
    qmp = machine.qmp()
    image = make_disk(tmp_path / "image", size_mib=1)
    add_image(qmp, image, cache={"direct": True}, discard="unmap", auto_read_only=True)
    assert nodes(qmp) == {"d0": str(machine.disk), "i": str(image)}
    assert is_locked(image)
    qmp = again(machine)
    assert nodes(qmp) == {"d0": str(machine.disk), "i": str(image)}
    assert is_locked(image)
    refused(qmp, "Duplicate nodes with node-name='i'", "blockdev-add", driver="file", node_name="i", filename=str(image))
    with pytest.raises(QmpError, match='Failed to get "write" lock'):
        add_image(qmp, image, "other")
    qmp.execute("blockdev-del", node_name="i")
    assert not is_locked(image)
    # As a manager says it, whose two layers are one here.
    below = {"driver": "file", "filename": str(image), "aio": "threads", "locking": "auto"}
    qmp.execute("blockdev-add", driver="raw", node_name="j", file=below, read_only=True)
    qmp = again(machine)
    assert nodes(qmp) == {"d0": str(machine.disk), "j": str(image)}
    assert [info["inserted"]["ro"] for info in qmp.execute("query-block")] == [False, True]
    qmp.execute("blockdev-del", node_name="j")
    assert nodes(again(machine)) == {"d0": str(machine.disk)}
    machine.verdict()


def test_an_image_that_is_given(machine, tmp_path):
    qmp = machine.qmp()
    image = make_disk(tmp_path / "image", size_mib=1)
    with open(image, "r+b") as file:
        given = qmp.execute("add-fd", fds=[file.fileno()])["fdset-id"]
    add_image(qmp, f"/dev/fdset/{given}")
    assert is_locked(image)
    qmp = again(machine)
    assert is_locked(image)
    qmp.execute("blockdev-del", node_name="i")
    assert not is_locked(image)
    refused(qmp, f"there is no fd set {given + 1} (add-fd makes one)", "blockdev-add", driver="file", node_name="i",
            filename=f"/dev/fdset/{given + 1}")
    machine.verdict()


def test_nothing_is_left_of_a_hundred_images(machine, tmp_path):
    qmp = machine.qmp()
    image = make_disk(tmp_path / "image", size_mib=1)
    (tmp_path / "odd").write_bytes(b"x")
    add_image(qmp, image)
    qmp.execute("blockdev-del", node_name="i")
    before = has_of_host(machine)
    for _ in range(CYCLES):
        add_image(qmp, image)
        qmp.execute("blockdev-del", node_name="i")
        with pytest.raises(QmpError, match="which is not a multiple of 512"):
            add_image(qmp, tmp_path / "odd")
    assert has_of_host(machine) == before
    machine.verdict()


def test_images_that_are_refused(machine, tmp_path):
    qmp = machine.qmp()
    nosuch = tmp_path / "nosuch"
    refused(qmp, f"Could not open '{nosuch}': No such file or directory", "blockdev-add", driver="file", node_name="i",
            filename=str(nosuch))
    refused(qmp, "Invalid parameter type for 'file', expected: object", "blockdev-add", driver="raw", node_name="i",
            file="d0")
    refused(qmp, "Parameter 'driver' does not accept value 'qcow2'", "blockdev-add", driver="qcow2", node_name="i")
    refused(qmp, "Failed to find node with node-name='zz'", "blockdev-del", node_name="zz")
    refused(qmp, "Failed to find node with node-name='dd0'; did you mean 'd0'?", "blockdev-del", node_name="dd0")
    refused(qmp, "Node d0 is in use", "blockdev-del", node_name="d0")
    assert nodes(qmp) == {"d0": str(machine.disk)}
    machine.verdict()


def test_another_host_needs_no_replay(small, target):
    qmp = small.qmp()
    image = make_disk(small.folder / "image", size_mib=1)
    add_image(qmp, image)
    there = target(small, "receive", "tcp:127.0.0.1:0")
    migrate(small, there.listening())
    there.wait_status("running")
    assert '"i"' in there.ferry("qmp", small.name, "query-named-block-nodes").out
    assert is_locked(image)
    assert there.ferry("qmp", small.name, "blockdev-del", '{"node-name": "i"}').status == 0
    assert not is_locked(image)
    check_moved(small, there)


def test_refusals(machine):
    qmp = machine.qmp()
    refused(qmp, "Device 'zz' not found", "netdev_del", error_class="DeviceNotFound", id="zz")
    refused(qmp, "Device 'nn0' not found; did you mean 'n0'?", "netdev_del", error_class="DeviceNotFound", id="nn0")
    refused(qmp, "Device 'n0' is in use by virtio-net-device: remove that first", "netdev_del", id="n0")
    refused(qmp, "Duplicate ID 'n0'", "netdev_add", type="tap", id="n0", ifname="tap1", script="no")
    refused(qmp, "Parameter 'cpr' is unexpected", "netdev_add", type="tap", id="n1", ifname="tap1", cpr=True)
    refused(qmp, "File descriptor named 'nosuch' has not been found: getfd gives names, and no such number is open "
            "here", "netdev_add", type="tap", id="n1", fd="nosuch")
    assert list(netdevs(qmp)) == ["n0"]
    # Any client's words, and the VM's supervisor does what they say; but not for words in pieces.
    assert ferry("qmp", machine.name, "netdev_add",
                 '{"type": "tap", "id": "n1", "ifname": "tap1", "script": "no"}').status == 0
    assert "n1" in netdevs(qmp)
    machine.verdict()
