# SPDX-License-Identifier: Apache-2.0
"""The pause of an update comes before everything else on the host, and nothing but the pause."""

import os
import pathlib
import resource
import subprocess
import time

import pytest
from ferry_cli import faulty_binary, ferry, update
from growth import read_written
from harness import FERRY, find_vmm, vmm_pids

ORDINARY = {os.SCHED_OTHER, os.SCHED_BATCH}


def may_be_urgent():
    """What the supervisor needs: to make another process real-time, and itself."""
    pid = os.fork()
    if pid == 0:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def policies(machine):
    """Of every thread of the supervisor and the VMM."""
    found = set()
    for pid in {machine.process.pid, *vmm_pids(machine.process)}:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            try:
                found.add(os.sched_getscheduler(int(task.name)))
            except ProcessLookupError:
                pass  # a thread of a source that ends
    return found


def wait_ordinary(machine):
    """The old process ends below everything else, so that is not yet over when the update is."""
    while len(vmm_pids(machine.process)) > 1:
        os.sched_yield()
    assert policies(machine) <= ORDINARY


@pytest.mark.skipif(not may_be_urgent(), reason="this user may not be real-time")
@pytest.mark.parametrize("paused", [False, True], ids=["running", "paused"])
def test_the_pause_is_urgent_and_nothing_else(start, paused):
    machine = start(harts=2)
    machine.wait_ready()
    if paused:
        assert ferry("stop", machine.name).status == 0
    for _ in range(3):
        ledger = update(machine.name)
        assert (ledger["source-urgency"], ledger["target-urgency"]) == ("real-time", "real-time")
        wait_ordinary(machine)
    if paused:
        assert ferry("cont", machine.name).status == 0
    machine.verdict()
    assert policies(machine) <= ORDINARY


def test_a_failed_update_leaves_it_as_it_was(start, tmp_path):
    machine = start(harts=1)
    machine.wait_ready()
    binary = faulty_binary(tmp_path, "state-loaded=kill")
    assert ferry("update", machine.name, "--binary", binary).status == 1
    wait_ordinary(machine)
    machine.verdict()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has rights to give up")
def test_without_rights_an_update_goes_on_without(start):
    vmm = find_vmm("ferry")
    vmm.command = ["setpriv", "--bounding-set", "-sys_nice,-sys_resource", *vmm.command]
    machine = start(vmm=vmm, harts=1)
    machine.wait_ready()
    for _ in range(2):
        ledger = update(machine.name)
        assert {ledger["source-urgency"], ledger["target-urgency"]} <= {"slice", "none"}
        wait_ordinary(machine)
    machine.verdict()


@pytest.mark.skipif(not may_be_urgent(), reason="this user may not be real-time")
def test_an_operators_own_choice_stays(start):
    vmm = find_vmm("ferry")
    vmm.command = ["chrt", "-r", "3", *vmm.command]
    machine = start(vmm=vmm, harts=1)
    machine.wait_ready()
    for _ in range(2):
        assert policies(machine) == {os.SCHED_RR}
        ledger = update(machine.name)
        assert (ledger["source-urgency"], ledger["target-urgency"]) == ("real-time", "real-time")
        while len(vmm_pids(machine.process)) > 1:
            os.sched_yield()
    assert policies(machine) == {os.SCHED_RR}
    machine.verdict()


def may_raise_limits():
    return subprocess.run(["prlimit", "--rtprio=1:1", "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0


@pytest.mark.skipif(os.getuid() != 0 or not may_raise_limits(), reason="only root may raise a limit, and give up rights")
def test_a_limit_of_the_user_is_for_the_pause_only(start):
    """The supervisor grants it; a VMM has nothing of it meanwhile, or a guest that owns it would."""
    vmm = find_vmm("ferry")
    limited = ["prlimit", "--rtprio=1:1", "setpriv", "--bounding-set", "-sys_nice,-sys_resource"]
    vmm.command = [*limited, *vmm.command]
    machine = start(vmm=vmm, harts=2)
    machine.wait_ready()
    for _ in range(2):
        (pid,) = vmm_pids(machine.process)
        assert resource.prlimit(pid, resource.RLIMIT_RTPRIO) == (0, 1)
        ledger = update(machine.name)
        assert (ledger["source-urgency"], ledger["target-urgency"]) == ("real-time", "real-time")
        wait_ordinary(machine)
    (pid,) = vmm_pids(machine.process)
    assert resource.prlimit(pid, resource.RLIMIT_RTPRIO) == (0, 1)
    machine.verdict()


def talking_binary(folder, say, said):
    """A ferry that leaves somebody behind who says on its channel what a guest that owns it would: from when `say` has a
    line until it is gone. A line in `said`: it has done so many times."""
    path = folder / "ferry-that-talks"
    path.write_text(f"#!/bin/sh\n(read word < {say}; n=0; while test -e {say}; do printf v >&4; n=$((n + 1)); "
                    f"test $n = 10000 && echo $n > {said}; done) "
                    f'</dev/null >/dev/null 2>&1 3<&- &\nexec {FERRY} "$@"\n')
    path.chmod(0o700)
    return path


def update_to_who_talks(machine, folder):
    machine.wait_ready()
    say, said = folder / "say", folder / "said"
    os.mkfifo(say)
    assert ferry("update", machine.name, "--binary", talking_binary(folder, say, said)).status == 0
    wait_ordinary(machine)
    return say, said


@pytest.mark.skipif(not may_be_urgent(), reason="this user may not be real-time")
def test_who_has_the_guest_cannot_make_anybody_urgent(start, tmp_path):
    machine = start(harts=1)
    say, said = update_to_who_talks(machine, tmp_path)
    say.write_text("go on\n")
    read_written(said)
    assert policies(machine) <= ORDINARY
    say.unlink()


@pytest.mark.skipif(not may_be_urgent(), reason="this user may not be real-time")
def test_a_busy_supervisor_is_not_urgent_for_long(start, tmp_path):
    """An update that its source draws out, and during which that keeps the supervisor busy."""
    machine = start(harts=1)
    say, _ = update_to_who_talks(machine, tmp_path)
    waits = tmp_path / "waits"
    waits.write_text("#!/bin/sh\nexec sleep 12\n")
    waits.chmod(0o700)
    updating = subprocess.Popen([FERRY, "update", machine.name, "--binary", waits], stderr=subprocess.DEVNULL)
    while os.sched_getscheduler(machine.process.pid) != os.SCHED_FIFO:
        assert updating.poll() is None
    say.write_text("go on\n")
    end = time.monotonic() + 8
    while os.sched_getscheduler(machine.process.pid) == os.SCHED_FIFO:
        assert time.monotonic() < end
        time.sleep(0.05)
    assert updating.poll() is None
    say.unlink()
    assert updating.wait() == 1
