# SPDX-License-Identifier: Apache-2.0
"""The first process of a VM: it follows updates, and ends as the guest does."""

import json
import os
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
from bare import Bare, program_of, wait_ended, wait_for
from ferry_cli import ferry, running, update
from harness import FERRY
from qmp import Qmp


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def bare(tmp_path):
    made = []

    def begin(*options, **parameters):
        folder = tmp_path / f"bare{len(made)}"
        folder.mkdir()
        made.append(Bare(folder, *options, **parameters))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def copy_of_ferry(path, change=lambda data: data):
    path.write_bytes(change(FERRY.read_bytes()))
    path.chmod(0o755)
    return path


def without_supervise(data):
    """A ferry whose supervisors cannot be replaced has no such command."""
    assert data.count(b"\0supervise\0") == 1
    return data.replace(b"\0supervise\0", b"\0supervisX\0")


def script(path, *lines):
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    return path


def update_to_the_same(machine):
    """As `ferry-update` without a binary does."""
    done = ferry("qmp", machine.name, "ferry-update")
    assert done.status == 0, done.err
    return json.loads(done.out)


def wait_program(machine, path):
    wait_for(lambda: program_of(machine.supervisor) == str(path), machine.stderr)


def left_of(machine, folder):
    return sorted(path.name for path in (folder / "ferry").iterdir() if path.name.startswith(machine.name))


# --- It follows updates ---


def test_an_update_to_another_binary_replaces_the_supervisor(bare, tmp_path):
    """In its own process; errands, signals and the end are as always, on its way there and back."""
    machine = bare()
    other = copy_of_ferry(tmp_path / "other")
    for binary in (other, FERRY, other):
        assert program_of(update(machine.name, "--binary", binary)["pid"]) == str(binary)
        wait_program(machine, binary)
        # An errand, whose target has that binary because its VMM has.
        assert program_of(update_to_the_same(machine)["pid"]) == str(binary)
    assert machine.stderr() == ""
    machine.process.send_signal(signal.SIGTERM)
    assert machine.wait_exit() == 0


def test_the_policy_goes_with_the_supervisor(bare, tmp_path):
    """A monitor that -qmp named is one afterwards; and a VMM's own word, of a command in pieces, is still none."""
    machine = bare("-qmp", f"unix:{tmp_path}/monitor,server=on,wait=off")
    other = copy_of_ferry(tmp_path / "other")
    update(machine.name, "--binary", other)
    wait_program(machine, other)
    client = Qmp(tmp_path / "monitor")
    client.socket.sendall(b'{"execute": "ferry-')
    # The answer to another is the proof that this has been read.
    Qmp(tmp_path / "monitor").execute("query-status")
    client.socket.sendall(b'update"}')
    assert "an operator's own words" in client.receive()["error"]["desc"]
    source = machine.vmm()
    assert Qmp(tmp_path / "monitor").execute("ferry-update")["pid"] != source


def test_it_ends_as_the_vmm_does_after_it_was_replaced(bare, tmp_path):
    machine = bare()
    other = copy_of_ferry(tmp_path / "other")
    update(machine.name, "--binary", other)
    wait_program(machine, other)
    machine.signal_vmm(signal.SIGKILL)
    assert machine.wait_exit() == -signal.SIGKILL


def test_signals_are_not_lost_while_it_is_replaced(bare, tmp_path):
    """Sent the moment that an update is over: before, while, or after the other program begins."""
    others = [copy_of_ferry(tmp_path / f"other{i}") for i in range(2)]
    for i in range(8):
        machine = bare()
        update(machine.name, "--binary", others[i % 2])
        if i % 4 > 1:
            wait_program(machine, others[i % 2])
        machine.process.send_signal(signal.SIGTERM)
        assert machine.wait_exit() == 0


def test_an_update_to_a_ferry_that_cannot_replace_it(bare, tmp_path):
    """The supervisor stays, says so once, and serves that version; and one that can, later."""
    machine = bare()
    older = copy_of_ferry(tmp_path / "older", without_supervise)
    other = copy_of_ferry(tmp_path / "other")
    says = f"runs in {older} now, but the supervisor (process {machine.supervisor}) stays the program that it was"
    update(machine.name, "--binary", older)
    wait_for(lambda: says in machine.stderr(), machine.stderr)
    assert "asked, it ended with status 2" in machine.stderr()
    update_to_the_same(machine)
    update(machine.name, "--binary", FERRY)
    assert program_of(machine.supervisor) == str(FERRY)
    update(machine.name, "--binary", other)
    wait_program(machine, other)
    assert machine.stderr().count(says) == 1
    assert ferry("quit", machine.name).status == 0
    assert machine.wait_exit() == 0


def stopped_child(machine):
    for child in machine.vmms():
        if "\nState:\tT" in Path(f"/proc/{child}/status").read_text():
            return child
    return None


def test_a_binary_that_cannot_be_executed_any_more(bare, tmp_path):
    """It could when the target was started: the guest is there, and the supervisor stays what it is."""
    machine = bare()
    other = copy_of_ferry(tmp_path / "other")
    binary = script(tmp_path / "script", "shift", f'exec {other} receive --fault hello-received=stop "$@"')
    with subprocess.Popen([FERRY, "update", machine.name, "--binary", binary], stdout=subprocess.DEVNULL) as client:
        wait_for(lambda: stopped_child(machine), machine.stderr)
        other.chmod(stat.S_IRUSR)
        os.kill(stopped_child(machine), signal.SIGCONT)
        assert client.wait(60) == 0
    wait_for(lambda: "that program cannot take its place" in machine.stderr(), machine.stderr)
    assert program_of(machine.supervisor) == str(FERRY)
    assert running(machine.name)
    update(machine.name, "--binary", FERRY)


def test_an_update_to_a_ferry_from_before_supervisors_and_back(bare, tmp_path):
    """Such a VMM starts its target itself. When that is one of today, it still has its supervisor."""
    machine = bare()
    end = tmp_path / "end"
    os.mkfifo(end)
    # What it does not know it hands on: the channel, and what the environment says of it.
    before = script(tmp_path / "before", f'{FERRY} "$@" &', f"read line < {end}")
    update(machine.name, "--binary", before)
    # A shell has the guest, as its supervisor sees it, and is no program to go on with. An errand that is done is the
    # proof that it looked.
    wait_for(lambda: len(machine.vmms()) == 1, machine.stderr)
    assert ferry("update", machine.name, "--binary", "/bin/true").status == 1
    end.write_text("line\n")
    wait_for(lambda: len(machine.vmms()) == 1 and program_of(machine.vmm()) == str(FERRY), machine.stderr)
    other = copy_of_ferry(tmp_path / "other")
    update(machine.name, "--binary", other)
    wait_program(machine, other)
    assert machine.stderr() == ""
    machine.signal_vmm(signal.SIGKILL)
    assert machine.wait_exit() == -signal.SIGKILL


# --- It ends as who had the guest ---


def faulty(path, fault):
    return script(path, "shift", f'exec {FERRY} receive --fault {fault} "$@"')


def test_a_target_that_is_killed_when_it_has_the_guest(bare, tmp_path):
    """The source says so, and ends; but its end is not the guest's."""
    machine = bare()
    done = ferry("update", machine.name, "--binary", faulty(tmp_path / "faulty", "started=kill"))
    assert done.status == 1
    assert machine.wait_exit() == -signal.SIGKILL
    assert "handing the VM over: " in machine.stderr()
    assert machine.name not in ferry("ls").out


def test_a_target_that_is_killed_before_it_has_the_guest(bare, tmp_path):
    machine = bare()
    done = ferry("update", machine.name, "--binary", faulty(tmp_path / "faulty", "lock-taken=kill"))
    assert done.status == 1 and running(machine.name)
    assert ferry("quit", machine.name).status == 0
    assert machine.wait_exit() == 0


def test_a_target_that_is_killed_as_soon_as_it_is_known(bare):
    """The source may not have ended yet, which it does with status 0."""
    for _ in range(5):
        machine = bare()
        os.kill(update(machine.name)["pid"], signal.SIGKILL)
        assert machine.wait_exit() == -signal.SIGKILL


def test_quitting_between_updates(bare):
    for _ in range(5):
        machine = bare()
        update(machine.name)
        assert ferry("quit", machine.name).status == 0
        assert machine.wait_exit() == 0


@pytest.mark.parametrize("point", ["hello-received", "state-loaded"])
def test_a_vmm_that_is_killed_while_its_target_hangs(bare, tmp_path, point):
    """Whoever hangs has no guest, and cannot see that nobody else has it: it ends with the VM."""
    machine = bare()
    source = machine.vmm()
    binary = faulty(tmp_path / "faulty", f"{point}=stop")
    with subprocess.Popen([FERRY, "update", machine.name, "--binary", binary], stderr=subprocess.DEVNULL) as client:
        wait_for(lambda: stopped_child(machine), machine.stderr)
        target = os.pidfd_open(stopped_child(machine))
        os.kill(source, signal.SIGKILL)
        assert client.wait(60) == 1
    wait_ended(target)
    assert machine.wait_exit() == -signal.SIGKILL


# --- It is stopped ---


def marking(path, mark):
    """A ferry that shows that it was started."""
    return script(path, f"echo > {mark}", f'exec {FERRY} "$@"')


def test_a_stopped_supervisor_is_a_sentence(bare, tmp_path):
    """And what was asked is not done when it goes on; the VM is whole, and is updated then."""
    machine = bare()
    mark = tmp_path / "mark"
    machine.process.send_signal(signal.SIGSTOP)
    done = ferry("update", machine.name, "--binary", marking(tmp_path / "marking", mark))
    assert done.status == 1 and "has not listened for 10 s, and nothing was done" in done.err
    assert running(machine.name)
    machine.process.send_signal(signal.SIGCONT)
    update(machine.name)
    assert not mark.exists()


def test_a_client_that_leaves_a_stopped_supervisor(bare, tmp_path):
    """Before the VMM has given up: its command is not done, either."""
    machine = bare()
    mark = tmp_path / "mark"
    machine.process.send_signal(signal.SIGSTOP)
    client = Qmp(tmp_path / "ferry" / f"{machine.name}.sock")
    binary = str(marking(tmp_path / "marking", mark)).encode()
    client.socket.sendall(b'{"execute": "ferry-update", "arguments": {"binary": "%s"}}' % binary)
    # It is behind that one in the VMM's queue of what has come in.
    assert running(machine.name)
    client.close()
    machine.process.send_signal(signal.SIGCONT)
    update(machine.name)
    assert not mark.exists()


# --- It is killed ---


@pytest.mark.parametrize("updates", ["", "1", "12", "12F"])
def test_a_killed_supervisor_takes_its_vm_with_it(bare, tmp_path, updates):
    """Whoever has the process id that was started has the VM, through all updates. It ends in order."""
    monitor = tmp_path / "monitor"
    machine = bare("-qmp", f"unix:{monitor},server=on,wait=off")
    for n in updates:
        binary = FERRY if n == "F" else copy_of_ferry(tmp_path / n)
        update(machine.name, "--binary", binary)
        wait_program(machine, binary)
    assert monitor.exists() and left_of(machine, tmp_path)
    vmm = os.pidfd_open(machine.vmm())
    machine.process.kill()
    wait_ended(vmm)
    # Its name is free; what lies there the next ferry that looks removes.
    assert machine.name not in ferry("ls").out
    assert left_of(machine, tmp_path) == []


def test_a_supervisor_that_is_killed_in_an_update(bare, tmp_path):
    machine = bare()
    binary = faulty(tmp_path / "faulty", "hello-received=stop")
    with subprocess.Popen([FERRY, "update", machine.name, "--binary", binary], stderr=subprocess.DEVNULL) as client:
        wait_for(lambda: stopped_child(machine), machine.stderr)
        target = stopped_child(machine)
        vmms = [os.pidfd_open(pid) for pid in machine.vmms()]
        machine.process.kill()
        os.kill(target, signal.SIGCONT)
        assert client.wait(60) == 1
    for vmm in vmms:
        wait_ended(vmm)
    assert machine.name not in ferry("ls").out


# --- It tidies up ---


@pytest.mark.parametrize("way", ["quit", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("updated", [False, True])
def test_nothing_is_left_of_a_vm(bare, tmp_path, way, updated):
    """A VMM in its sandbox can remove nothing, and one that is killed does nothing at all."""
    sockets = [tmp_path / "monitor", tmp_path / "console"]
    machine = bare("-qmp", f"unix:{sockets[0]},server=on,wait=off",
                   "-chardev", f"socket,id=c0,path={sockets[1]},server=on,wait=off")
    if updated:
        other = copy_of_ferry(tmp_path / "other")
        update(machine.name, "--binary", other)
        wait_program(machine, other)
    assert all(path.exists() for path in sockets) and left_of(machine, tmp_path)
    if way == "quit":
        assert ferry("quit", machine.name).status == 0
    else:
        machine.signal_vmm(getattr(signal, way))
    machine.wait_exit()
    assert [path for path in sockets if path.exists()] == []
    assert left_of(machine, tmp_path) == []


# --- It shows what it is ---


def shown(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
        return words, Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None  # it has ended


def test_processes_show_what_they_are(bare, tmp_path):
    """To ps and top: of which VM they are, and which of its processes; also after updates, and in one."""
    machine = bare(name="web1")

    def all_shown():
        return {shown(pid) for pid in (machine.supervisor, *machine.vmms())}

    def check():
        wanted = {("ferry: web1: supervisor", "ferry-s:web1"), ("ferry: web1: VMM", "ferry:web1")}
        wait_for(lambda: all_shown() == wanted, all_shown)

    check()
    update("web1")
    check()
    other = copy_of_ferry(tmp_path / "other")
    update("web1", "--binary", other)
    wait_program(machine, other)
    check()
    binary = faulty(tmp_path / "faulty", "ready-sent=stop")
    with subprocess.Popen([FERRY, "update", "web1", "--binary", binary], stderr=subprocess.DEVNULL) as client:
        wait_for(lambda: stopped_child(machine), machine.stderr)
        assert shown(stopped_child(machine))[1] == "ferry-t:web1"
        os.kill(stopped_child(machine), signal.SIGKILL)
        assert client.wait(60) == 1
    check()


# --- Its name is gone ---


@pytest.mark.parametrize("removed", ["", "ferry"])
@pytest.mark.parametrize("updated", [False, True])
def test_a_runtime_directory_that_somebody_removes(bare, tmp_path, monkeypatch, updated, removed):
    """As logind does: who knows the process that was started reaches the VM by that, and it can be updated."""
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    machine = bare()
    other = copy_of_ferry(tmp_path / "other")
    if updated:
        update(machine.name, "--binary", other)
        wait_program(machine, other)
    shutil.rmtree(tmp_path / "run" / removed)
    pid = str(machine.supervisor)
    assert not running(machine.name)
    assert running(pid)
    update(pid, "--binary", FERRY)
    wait_program(machine, FERRY)
    assert running(pid)
    done = ferry("status", os.getpid())
    assert done.status == 1 and "is no VM's first process of yours" in done.err
    assert ferry("quit", pid).status == 0
    assert machine.wait_exit() == 0
