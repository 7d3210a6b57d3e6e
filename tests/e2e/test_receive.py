# SPDX-License-Identifier: Apache-2.0
"""`ferry receive` waits for a guest: what is refused, or goes, ends neither the wait nor the place where it waits."""

import os
import select
import signal
import socket
import subprocess

import pytest
from ferry_cli import ferry
from growth import read_written, wait_growth
from harness import FERRY
from moving import check_moved, migrate

SAFETY_NET_S = 60
STREAM = b"QEVM\0\0\0\3"  # a header; what follows is none of what can


def connect(uri):
    if uri.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.connect(uri[5:])
        return client
    host, port = uri[4:].rsplit(":", 1)
    return socket.create_connection((host, int(port)), SAFETY_NET_S)


def is_refused(uri):
    with connect(uri) as client:
        client.settimeout(SAFETY_NET_S)
        client.sendall(STREAM + b"\x63")
        try:
            while client.recv(4096):
                pass
        except ConnectionResetError:
            pass


def wait_stderr(there, text, count):
    wait_growth(there.errors.name, lambda: there.stderr().count(text) >= count)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_what_is_refused_is_not_the_last(small, target, tmp_path, kind):
    """Rubbish, a dry run, a move that is called off; then the guest comes, to the same place."""
    path = tmp_path / "place"
    there = target(small, "receive", "tcp:127.0.0.1:0" if kind == "tcp" else f"unix:{path}", goes_on=True)
    uri = there.listening()
    for tried in range(3):
        is_refused(uri)
        wait_stderr(there, "receiving a VM: ", tried + 1)
    done = ferry("migrate", small.name, uri, "--dry-run")
    assert done.status == 0, done.err
    wait_stderr(there, "that was a dry run: this VM would be taken", 1)
    qmp = small.qmp()
    qmp.execute("migrate-set-parameters", max_bandwidth=1 << 20)
    qmp.execute("migrate", uri=uri)
    while qmp.execute("query-migrate")["status"] != "active":
        pass
    qmp.execute("migrate_cancel")
    wait_stderr(there, "receiving a VM: ", 5)
    qmp.execute("migrate-set-parameters", max_bandwidth=0)
    small.verdict()
    migrate(small, uri)
    check_moved(small, there)
    assert not path.exists()
    with pytest.raises(ConnectionError if kind == "tcp" else FileNotFoundError):
        connect(uri)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it(small, target, tmp_path, number):
    path = tmp_path / "place"
    there = target(small, "receive", f"unix:{path}", goes_on=True)
    is_refused(there.listening())
    wait_stderr(there, "receiving a VM: ", 1)
    there.process.send_signal(number)
    assert there.process.wait(SAFETY_NET_S) == 0
    assert not path.exists()


def test_one_that_crashed_has_no_successor(small, target):
    """Whoever brought that about shall not try again and again."""
    there = target(small, "receive", "tcp:127.0.0.1:0", goes_on=True)
    there.listening()
    there.signal(signal.SIGSEGV)
    assert there.process.wait(SAFETY_NET_S) == -signal.SIGSEGV


def test_what_can_come_once_only_ends_it(tmp_path):
    for uri in ("exec:cat /dev/null", f"file:{tmp_path}/none"):
        done = ferry("receive", uri)
        assert done.status == 1
        assert done.err.count("ferry") == 1


def test_a_command_ends_with_who_receives(small, target, tmp_path):
    """Its shell, and what that started; from inside the sandbox it could not be ended."""
    pids = tmp_path / "pids"
    there = target(small, "receive", f"exec:sleep 1000 & echo $$ $! > {pids}; wait")
    handles = [os.pidfd_open(int(pid)) for pid in read_written(pids)]
    there.process.send_signal(signal.SIGTERM)
    assert there.process.wait(SAFETY_NET_S) == 0
    for handle in handles:
        assert select.select([handle], [], [], SAFETY_NET_S)[0]
        os.close(handle)


@pytest.mark.parametrize("words", [["receive", "tcp:somewhere.invalid:4444"],
                                   ["run", "-m", "64M", "-incoming", "tcp:somewhere.invalid:4444"]])
def test_a_name_server_that_hangs_can_be_left(faults, words):
    faults.hang("lookup")
    command = [*faults.vmm.command[:-1], *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        faults.wait_hung("lookup")
        process.send_signal(signal.SIGINT)
        assert process.wait(SAFETY_NET_S) == -signal.SIGINT


def test_rubbish_for_several_threads_is_a_sentence(tmp_path):
    """Nobody else can come behind a file: it is told what is wrong with it."""
    file = tmp_path / "rubbish"
    for content, says in ((b"rubbish" * 1000, "is no migration stream"), (b"", "ends"), (b"QE", "ends")):
        file.write_bytes(content)
        done = ferry("run", "--restore", file, "--channels", "2")
        assert done.status == 1
        assert says in done.err, done.err


def test_who_stands_says_what_to_do(small, target, tmp_path):
    assert ferry("stop", small.name).status == 0
    assert ferry("snapshot", small.name, tmp_path / "file").status == 0
    assert "snapshot   completed" in ferry("status", small.name).out
    assert ferry("update", small.name).status == 0
    assert "update     completed" in ferry("status", small.name).out
    assert ferry("quit", small.name).status == 0
    there = target(small, "run", "--restore", tmp_path / "file")
    there.wait_status("paused")
    assert f"(paused); 'ferry cont {small.name}' runs it" in there.stderr()
    assert "restore    completed" in there.status()


def test_channels_that_differ_are_named_by_their_options(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0", "--channels", "2", goes_on=True)
    uri = there.listening()
    assert "(--channels)" in ferry("migrate", small.name, uri).err
    assert "(--channels)" in ferry("migrate", small.name, uri, "--channels", "3").err
    assert "(--compress)" in ferry("migrate", small.name, uri, "--channels", "2", "--compress", "zlib").err
