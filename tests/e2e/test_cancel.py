# SPDX-License-Identifier: Apache-2.0
"""A move or a snapshot under way: ended by Ctrl-C or `ferry cancel`, left to itself, named, and missed."""

import os
import re
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from console import SAFETY_NET_S
from ferry_cli import ferry, run_state
from harness import FERRY
from moving import check_unharmed


class Slow:
    """`ferry migrate` of a guest, at a rate at which it does not come to an end; it has begun."""

    def __init__(self, machine, *words):
        self.process = subprocess.Popen([FERRY, *words], stderr=subprocess.PIPE, text=True)
        while machine.qmp().execute("query-migrate").get("status") != "active":
            assert self.process.poll() is None, self.process.stderr.read()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)

    def end(self):
        """(status, what it said)."""
        said = self.process.communicate(timeout=SAFETY_NET_S)[1]
        return self.process.returncode, said


@pytest.fixture
def slow(small, target, tmp_path):
    begun = []

    def begin():
        there = target(small, "receive", "tcp:127.0.0.1:0", "--name", "there")
        begun.append(Slow(small, "migrate", small.name, there.listening(), "--bandwidth", "100K"))
        return begun[-1]

    yield begin
    for each in begun:
        each.process.kill()
        each.process.communicate()


def test_ctrl_c_cancels(small, slow):
    move = slow()
    move.interrupt()
    status, said = move.end()
    assert status == 1
    assert "cancelling; once more leaves it to itself" in said
    assert "the migration was cancelled; the guest is as it was" in said
    check_unharmed(small)


def test_a_second_one_leaves_it_to_itself(small, tmp_path):
    """What cannot be cancelled any more is not waited for either."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    # It has all of the guest, and does not end.
    uri = f"exec:cat > /dev/null; cat {fifo}"
    with subprocess.Popen([FERRY, "migrate", small.name, uri], stderr=subprocess.PIPE, text=True) as process:
        end = os.open(fifo, os.O_WRONLY)  # returns when it reads there
        process.send_signal(signal.SIGINT)
        said = process.stderr.readline()
        while "cannot cancel" not in said:
            assert said, "it ended"
            said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=SAFETY_NET_S)[1]
        assert process.returncode == 1
    assert f"'ferry status {small.name}' shows how, 'ferry cancel {small.name}' ends it" in said
    assert run_state(small.name) == "finish-migrate"
    os.close(end)  # the command ends, the guest has left


def test_cancel_from_elsewhere(small, slow):
    move = slow()
    done = ferry("cancel", small.name)
    assert done.status == 0, done.err
    status, said = move.end()
    assert status == 1
    assert "the migration was cancelled" in said
    done = ferry("cancel", small.name)
    assert done.status == 1
    assert "no update, move or snapshot is under way" in done.err
    check_unharmed(small)


def test_a_busy_vm_says_with_what(small, slow):
    """And whoever wanted something else of it changes nothing."""
    move = slow()
    for words in (["migrate", small.name, "tcp:127.0.0.1:1"], ["snapshot", small.name, "/tmp/x"], ["update", small.name]):
        done = ferry(*words)
        assert done.status == 1
        assert "There's a migration process in progress: a move to another host" in done.err
        assert f"'ferry status {small.name}' shows how it goes, 'ferry cancel {small.name}' ends it" in done.err
    parameters = small.qmp().execute("query-migrate-parameters")
    assert parameters["max-bandwidth"] == 100 << 10
    assert move.process.poll() is None
    assert ferry("cancel", small.name).status == 0
    check_unharmed(small)


def test_where_the_guest_is_when_its_vmm_has_died(small, slow):
    move = slow()
    small.signal(signal.SIGKILL)
    status, said = move.end()
    assert status == 1
    assert f"VM '{small.name}' ended while it was moved to tcp:127.0.0.1:" in said
    assert re.search(r"When it last answered \('(setup|active)', ", said)
    assert "the guest was still running here" in said
    assert "look there before it is started anew" in said


def test_each_command_reports_its_own(small, tmp_path):
    """Two operators at once: no move says what has come of the other's snapshot, nor has its settings."""
    stop = threading.Event()
    said = []

    def snapshots(*words):
        while not stop.is_set():
            done = ferry("snapshot", small.name, tmp_path / "-".join(("s", *words)), *words)
            said.append(done.err)
            assert done.status == 0 or "There's a migration process in progress" in done.err, done.err

    with ThreadPoolExecutor(2) as pool:
        others = [pool.submit(snapshots), pool.submit(snapshots, "--mapped-ram")]
        refused = 0
        while refused < 10 and not any(other.done() for other in others):
            done = ferry("migrate", small.name, "exec:cat >/dev/null; exit 3")
            assert done.status == 1
            if "There's a migration process in progress" not in done.err:
                assert "ended with status 3" in done.err
                refused += 1
        stop.set()
        for other in others:
            other.result()
    assert b"mapped-ram" not in (tmp_path / "s").read_bytes()[:4096]
    assert b"mapped-ram" in (tmp_path / "s---mapped-ram").read_bytes()[:4096]
    check_unharmed(small)


def test_ctrl_c_gives_an_update_up(small, tmp_path):
    """A target that hangs while it gets ready: it is ended, and the guest goes on."""
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\necho hangs >&2\nexec sleep 1000\n")
    hangs.chmod(0o755)
    with subprocess.Popen([FERRY, "update", small.name, "--binary", hangs], stderr=subprocess.PIPE, text=True) as process:
        while small.qmp().execute("query-migrate").get("status") != "setup":
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=SAFETY_NET_S)[1]
        assert process.returncode == 1
    assert "cancelling; once more leaves it to itself" in said
    assert "cancelled" in said.splitlines()[-1]
    assert small.qmp().execute("query-migrate")["status"] == "cancelled"
    check_unharmed(small)
