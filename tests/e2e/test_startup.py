# SPDX-License-Identifier: Apache-2.0
"""-daemonize, -pidfile and -D: how a VM begins and who is told, and that updates change nothing about it."""

import os
import select
import socket
import stat
import subprocess

import pytest
from ferry_cli import ferry, running, update
from growth import wait_growth
from harness import FERRY, GUEST

# A ferry that speaks version 1 of a handover: the newest that its source speaks is changed on the way.
OF_VERSION_1 = f"""#!/usr/bin/python3
import os, select, socket, sys
given = socket.socket(fileno=3)
ours, theirs = socket.socketpair()
if os.fork():
    given.detach()
    os.dup2(theirs.fileno(), 3)
    os.execv("{FERRY}", ["{FERRY}", *sys.argv[1:]])
os.close(4)
theirs.close()
version = 12 + 4 + 1  # its place in what the source says first
to = {{given: ours, ours: given}}
while True:
    for side in select.select(list(to), [], [])[0]:
        data, fds, _, _ = socket.recv_fds(side, 1 << 16, 253)
        if not data:
            sys.exit()
        if side is given and version:
            data, version = data[:version] + bytes([1]) + data[version + 1 :], None
        to[side].sendall(data[socket.send_fds(to[side], [data], fds) :])
        for fd in fds:
            os.close(fd)
"""
SMALL = ["-M", "virt", "-m", "64", "-bios", str(GUEST / "fw_dynamic.bin")]


@pytest.fixture
def name(tmp_path):
    name = f"e2e-{os.getpid()}-{tmp_path.name}"
    yield name
    if running(name) or ferry("status", name).status == 0:
        ferry("quit", name)


def end_of(pid):
    """Until that process has ended, which is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    select.select([handle], [], [], 60)
    os.close(handle)


def test_a_daemon_is_there_when_the_command_returns(name, tmp_path):
    pidfile, log, console = tmp_path / "pid", tmp_path / "log", tmp_path / "console"
    options = ["-pidfile", pidfile, "-D", log, "-serial", f"unix:{console},server=on,wait=off"]
    # Whoever reads its output to the end is not kept by the daemon.
    done = ferry("run", "-name", name, *SMALL, *options, "-S", "-daemonize")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert ferry("status", name).status == 0
    pid = int(pidfile.read_text())
    assert stat.S_IMODE(pidfile.stat().st_mode) == 0o600
    assert os.getsid(pid) == pid
    # It stays the VM's process, and nobody else takes its file, in whatever process the guest is.
    for _ in range(3):
        update(name)
        assert int(pidfile.read_text()) == pid
        other = ferry("run", "-name", f"{name}-2", *SMALL, "-pidfile", pidfile, "-serial", "null")
        assert other.status == 1
        assert f"-pidfile {pidfile}: a VM that runs has it" in other.err
    ferry("quit", name)
    end_of(pid)
    assert not pidfile.exists()


def test_a_daemon_that_cannot_start_says_why(name, tmp_path):
    log, pidfile = tmp_path / "log", tmp_path / "pid"
    for more, sentence in (
        (["-drive", "file=/nowhere/x,if=none,id=d", "-device", "virtio-blk-device,drive=d"], "/nowhere/x"),
        (["-serial", "unix:/nowhere/s,server=on,wait=off"], "/nowhere/s"),
        (["-serial", "stdio"], "-daemonize leaves no terminal"),
        (["-pidfile", "/nowhere/pid"], "-pidfile /nowhere/pid"),
        (["-D", "/nowhere/log"], "-D /nowhere/log"),
    ):
        done = ferry("run", "-name", name, *SMALL, "-D", log, "-pidfile", pidfile, "-daemonize", *more)
        assert done.status == 1, more
        assert sentence in done.err, more
    assert ferry("status", name).status == 1


def test_messages_go_to_the_log_when_the_vm_runs(name, tmp_path):
    log, socket_path = tmp_path / "log", tmp_path / "qmp"
    monitor = ["-qmp", f"unix:{socket_path},server=on,wait=off"]
    command = [FERRY, "run", "-name", name, *SMALL, "-serial", "null", *monitor, "-D", log, "-S"]
    vm = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while ferry("status", name).status:
        assert vm.poll() is None
    update(name)
    # Whoever asks for what cannot be, and whoever says it, is another process than the first by now.
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(socket_path))
        client.sendall(b'["' + b"x" * 400000)
        update(name)
        assert client.recv(65536).startswith(b'{"QMP"')
        assert client.recv(65536) == b""
    wait_growth(log, lambda: "could not go along with the update" in log.read_text())
    ferry("quit", name)
    assert vm.wait(60) == 0
    assert vm.stderr.read() == ""
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_what_an_older_one_does_not_take_over_is_said(name, tmp_path):
    pidfile, log, older = tmp_path / "pid", tmp_path / "log", tmp_path / "older"
    older.write_text(OF_VERSION_1)
    older.chmod(0o700)
    options = ["-serial", "null", "-pidfile", pidfile, "-D", log, "-S", "-daemonize"]
    assert ferry("run", "-name", name, *SMALL, *options).status == 0
    assert ferry("qmp", name, "migrate-set-parameters", '{"downtime-limit": 77}').status == 0
    update(name)
    assert log.read_text() == ""
    update(name, "--binary", older)
    # Its source says so, which ends behind everybody.
    wait_growth(log, lambda: "the clients of this VM's monitors have to connect again" in log.read_text())
    wait_growth(log, lambda: "nobody holds the file of -pidfile any more" in log.read_text())
    wait_growth(log, lambda: "migration capabilities and parameters have to be given" in log.read_text())
    assert "getfd" not in log.read_text()
    # It is not lost a second time.
    log.write_text("")
    update(name, "--binary", older)
    assert "pidfile" not in log.read_text() and "migration" not in log.read_text()


def test_what_it_writes_takes_nothing_from_anybody(name, tmp_path):
    """A name that a typing error made that of a disk: this VM's own, or one that another VM has."""
    disk, others = tmp_path / "disk", tmp_path / "others"
    text = b"what the guest keeps there".ljust(4096, b".")
    for path in (disk, others):
        path.write_bytes(text)
    done = ferry("run", "-name", f"{name}-2", *SMALL, "-drive", f"file={others},format=raw", "-S", "-daemonize",
                 "-serial", "null")
    assert done.status == 0, done.err
    own = ["-drive", f"file={disk},format=raw", "-S", "-daemonize"]
    logged = "-serial chardev:c -chardev null,id=c,logfile={}"
    for options, path, sentence in (
        ("-serial null -pidfile {}", disk, "something else than the number of a process"),
        ("-serial null -pidfile {}", others, "a VM that runs has it"),
        ("-serial null -D {}", disk, "is a disk of this VM"),
        ("-serial null -D {}", others, "somebody has locked it"),
        (logged, disk, "somebody has locked it"),
        (logged, others, "somebody has locked it"),
        (f"{logged},logappend=on", others, "somebody has locked it"),
    ):
        done = ferry("run", "-name", name, *SMALL, *own, *options.format(path).split())
        assert done.status == 1, options
        assert sentence in done.err, (options, done.err)
        assert path.read_bytes() == text, options
    ferry("quit", f"{name}-2")


def test_a_pidfile_that_was_left_is_taken(name, tmp_path):
    pidfile = tmp_path / "pid"
    for left in ("", "4711", "4194304\n"):
        pidfile.write_text(left)
        done = ferry("run", "-name", name, *SMALL, "-serial", "null", "-S", "-daemonize", "-pidfile", pidfile)
        assert done.status == 0, done.err
        pid = int(pidfile.read_text())
        ferry("quit", name)
        end_of(pid)
        assert not pidfile.exists()


def test_a_pidfile_that_cannot_be_written_is_not_left(name, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", folder], check=False).returncode:
        pytest.skip("only root can mount a file system")
    try:
        (folder / "full").write_bytes(bytes(4096))
        done = ferry("run", "-name", name, *SMALL, "-serial", "null", "-S", "-daemonize", "-pidfile", folder / "pid")
        assert done.status == 1
        assert "No space left on device" in done.err
        assert [path.name for path in folder.iterdir()] == ["full"]
    finally:
        subprocess.run(["umount", folder], check=True)
