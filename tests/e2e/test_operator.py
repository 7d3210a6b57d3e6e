# SPDX-License-Identifier: Apache-2.0
"""What an operator looks at: status, ls, the progress of a move, and a VM that does not answer."""

import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import termios

import pytest
from ferry_cli import ferry, update
from harness import FERRY, vmm_pids
from moving import SMALL, check_unharmed
from test_hostile_vm import HostileVm


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def machine(start):
    made = start(**SMALL)
    made.wait_ready()
    return made


def asked(*words):
    done = ferry(*words, "--json")
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_status_says_what_a_vm_has(machine, tmp_path):
    told = asked("status", machine.name)
    assert (told["name"], told["status"], told["harts"]) == (machine.name, "running", 1)
    assert told["memory-bytes"] == 128 << 20
    assert (told["pid"], told["vmm-pid"]) == (machine.process.pid, vmm_pids(machine.process)[0])
    assert told["binary"] == str(FERRY) and not told["binary-deleted"]
    assert told["uptime-s"] >= 0
    assert told["disks"] == [{"id": "d0", "file": str(machine.disk), "read-only": False, "io-status": "ok"}]
    sockets = {socket["id"]: socket["where"] for socket in told["sockets"]}
    assert sockets["control"].startswith(f"unix:{tmp_path}/ferry/{machine.name}.sock")
    assert sockets["compat_monitor0"].startswith(f"unix:{machine.qmp_path}")
    assert "last-update" not in told and "migration" not in told
    # By the process that was started it is the same.
    assert asked("status", machine.process.pid)["name"] == machine.name


def test_status_says_what_the_last_update_was(machine):
    before = asked("status", machine.name)
    ledger = update(machine.name)
    told = asked("status", machine.name)
    assert told["pid"] == before["pid"] and told["vmm-pid"] == ledger["pid"] != before["vmm-pid"]
    last = told["last-update"]
    assert (last["from"], last["to"]) == (before["build"], told["build"])
    assert last["pause-ns"] == ledger["total-ns"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", last["when"])
    text = ferry("status", machine.name).out
    assert f"updated    {last['when']}, {last['from']} -> {last['to']}, paused for " in text


def test_status_says_what_the_last_move_was(machine, target):
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there")
    assert ferry("migrate", machine.name, there.listening()).status == 0
    told = asked("status", machine.name)
    assert told["status"] == "postmigrate"
    assert told["migration"]["what"] == "migration" and told["migration"]["status"] == "completed"
    assert told["migration"]["pause-ns"] > 0
    assert 0 < told["migration"]["transferred-bytes"] and told["migration"]["remaining-bytes"] == 0


def test_status_says_how_far_a_move_is(machine, target):
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there")
    qmp = machine.qmp()
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    qmp.execute("migrate-set-parameters", max_bandwidth=1 << 20)
    qmp.execute("migrate", uri=there.listening())
    while qmp.wait_event("MIGRATION")["data"]["status"] != "active":
        pass
    told = asked("status", machine.name)["migration"]
    assert told["status"] == "active" and told["remaining-bytes"] > 0
    assert re.search(r"^migration  active, \d+ MiB sent, \d+ left, in ", ferry("status", machine.name).out, re.M)
    qmp.execute("migrate_cancel")


def test_ls_is_a_line_for_each(machine):
    line = re.fullmatch(r"(\S+) +(\S+) +pid (\d+) +up (\S+) +(.+)\n", ferry("ls").out)
    assert line[1] == machine.name and line[2] == "running" and int(line[3]) == machine.process.pid
    listed = asked("ls")
    assert [each["name"] for each in listed] == [machine.name]
    assert listed[0]["disks"] == asked("status", machine.name)["disks"]


class OlderVm(HostileVm):
    """It knows one question."""

    def answer_to(self, asked):
        if asked["execute"] == "query-status":
            return {"return": {"status": "running"}, "id": asked["id"]}
        return {"error": {"class": "CommandNotFound", "desc": "what?"}, "id": asked["id"]}


def test_an_older_vm_is_shown_without_what_it_does_not_know(tmp_path):
    vm = OlderVm(tmp_path, None)
    try:
        told = asked("status", "vm")
        assert (told["name"], told["status"]) == ("vm", "running")
        assert "pid" not in told and "last-update" not in told
        assert ferry("status", "vm").out.startswith("name       vm\nstatus     running\n")
    finally:
        vm.close()


# --- Progress ---


class Watched:
    """A command whose standard error is a terminal of so many columns."""

    def __init__(self, columns, *words):
        self.terminal, side = os.openpty()
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 25, columns, 0, 0))
        self.process = subprocess.Popen([FERRY, *words], stdout=subprocess.DEVNULL, stderr=side)
        os.close(side)
        self.said = ""

    def more(self):
        """False when it has ended."""
        try:
            self.said += os.read(self.terminal, 65536).decode()
        except OSError:
            return False
        return True

    def lines(self):
        return re.findall(r"\r([^\r\x1b]+)\x1b\[K", self.said)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)


@pytest.fixture
def watched():
    made = []

    def begin(*words):
        made.append(Watched(*words))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def check_line(line, columns):
    assert len(line) < columns
    assert re.match(r" *\d+ %  \d+\.\d+ [MG]B/s  (ETA (\d+:\d\d|-:--)|\w+)", line), line


@pytest.mark.parametrize("columns", [40, 80])
def test_a_move_shows_how_far_it_is(machine, target, watched, columns):
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there")
    move = watched(columns, "migrate", machine.name, there.listening(), "--bandwidth", "20M")
    while not re.search(r"ETA \d", move.said):
        assert move.more(), move.said
    moving = [line for line in move.lines() if "setup" not in line]
    assert len(moving) <= 10  # of which there are so many in a second
    for line in move.lines():
        check_line(line, columns)
    assert ("written" in moving[-1]) == (columns == 80)
    move.process.send_signal(signal.SIGINT)
    while move.more():
        continue
    assert "was cancelled" in move.said
    check_unharmed(machine)


def test_a_snapshot_shows_how_far_it_is(start, watched, tmp_path):
    machine = start(**SMALL)
    machine.wait_ready()
    snapshot = watched(40, "snapshot", machine.name, tmp_path / "file", "--bandwidth", "20M")
    while snapshot.more():
        continue
    assert snapshot.process.wait(60) == 0, snapshot.said
    assert snapshot.lines()
    for line in snapshot.lines():
        check_line(line, 40)


def test_what_is_no_terminal_gets_no_progress(machine, target):
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there")
    done = ferry("migrate", machine.name, there.listening())
    assert (done.status, done.err) == (0, "")


# --- A VM that does not answer ---


@pytest.fixture
def stopped(machine):
    machine.signal(signal.SIGSTOP)
    return machine


def test_one_that_is_stopped_is_named(stopped):
    pid = vmm_pids(stopped.process)[0]
    told = f"process {pid} is stopped; 'kill -CONT {pid}' lets it go on, 'ferry quit --force {stopped.name}' ends it"
    done = ferry("status", stopped.name)
    assert done.status == 1 and told in done.err
    done = ferry("ls")
    assert done.status == 0 and done.out.startswith(stopped.name) and told in done.out
    assert told in asked("ls")[0]["error"]
    stopped.signal(signal.SIGCONT)
    stopped.verdict()


@pytest.mark.parametrize("whole", [False, True], ids=["vmm", "supervisor-too"])
def test_force_ends_one_that_is_stopped(stopped, whole):
    pid = vmm_pids(stopped.process)[0]
    if whole:
        stopped.process.send_signal(signal.SIGSTOP)
    done = ferry("quit", "--force", stopped.name)
    assert done.status == 0 and f"process {pid} was killed" in done.err
    assert stopped.wait_exit() == 128 + signal.SIGKILL or stopped.process.returncode == -signal.SIGKILL
    assert ferry("ls").out == ""


def test_force_asks_first(machine):
    done = ferry("quit", machine.name, "--force")
    assert (done.status, done.err) == (0, "")
    assert machine.wait_exit() == 0
    assert ferry("quit", machine.name, "--force").status == 1


def test_force_believes_no_vm_that_points_at_another(stopped, start, tmp_path):
    """Its VMM is the guest's, and the file of its name is open there."""
    other = start(**SMALL)
    other.wait_ready()
    (tmp_path / "ferry" / f"{stopped.name}.lock").write_text(f"{vmm_pids(other.process)[0]}\n")
    done = ferry("quit", "--force", stopped.name)
    assert done.status == 1 and "is none of its" in done.err
    other.verdict()
