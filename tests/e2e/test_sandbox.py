# SPDX-License-Identifier: Apache-2.0
"""What a VMM has given up, and what the supervisor does for whom."""

import json
import os
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import time
from pathlib import Path

import pytest
from ferry_cli import ferry, running, update
from harness import FERRY, ROOT, Vmm, end, vmm_pids
from moving import SMALL, Target, check_moved, gives
from qmp import Qmp, QmpError

SAFETY_NET_S = 60


def status_of(task):
    return dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)


@pytest.fixture(autouse=True)
def runtime_dir(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def vmm_of(machine):
    """Before any update: then a source may not have ended yet, and the ledger says who has the guest."""
    (pid,) = vmm_pids(machine.process)
    return pid


def threads_of(pid, *names, filters=None):
    """{its folder in /proc: its status}, once there are threads of these names, with so many filters."""
    deadline = time.monotonic() + SAFETY_NET_S
    while True:
        threads = {}
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                threads[task] = status_of(task)
            except (FileNotFoundError, ProcessLookupError):
                pass  # it has ended
        found = [status for status in threads.values() if status["Name"] in names]
        confined = filters is None or all(status["Seccomp_filters"] == str(filters) for status in found)
        if confined and set(names) == {status["Name"] for status in found}:
            return threads
        assert time.monotonic() < deadline, threads


def test_every_thread_has_given_up(start):
    """At the start, and in the process that an update brings."""
    machine = start(**SMALL)
    machine.wait_ready()
    pid = vmm_of(machine)
    for filters in (1, 2):  # a target's threads are made when it has locked itself in
        for task, status in threads_of(pid, "ferry-hart", "blk/d0", filters=filters).items():
            assert status["NoNewPrivs"] == "1", task
            assert status["Seccomp"] == "2", status["Name"]
            assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == 0
        pid = update(machine.name)["pid"]
    machine.verdict()
    assert machine.power_off() == 0


def test_the_thread_of_a_file_is_confined(start, tmp_path):
    """It is made when there is something to write: of the main thread, and as that is."""
    machine = start(**SMALL, serial=f"file:{tmp_path}/console.log")
    while not machine.qmp_path.exists():
        assert machine.process.poll() is None, machine.stderr()
    pid = vmm_of(machine)
    for _ in range(2):
        threads = threads_of(pid, "ferry-writer").values()
        assert {(status["Name"], status["Seccomp_filters"]) for status in threads} >= {("ferry-writer", "1")}
        pid = update(machine.name)["pid"]


def test_without_a_sandbox(start):
    machine = start(**SMALL, options=["-sandbox", "off"])
    machine.wait_ready()
    pid = vmm_of(machine)
    for _ in range(2):
        assert {status["Seccomp"] for status in threads_of(pid).values()} == {"0"}
        pid = update(machine.name)["pid"]
    assert machine.power_off() == 0


@pytest.mark.parametrize(
    "value, says",
    [
        ("maybe", "maybe"),
        ("on,obsolete=allow", "obsolete=allow is not served"),
        ("on,elevateprivileges=children", "elevateprivileges=children is not served"),
        ("on,resourcecontrol=allow", "resourcecontrol=allow is not served"),
        ("off,spawn=deny", "spawn=deny has no meaning without a sandbox"),
        ("on,sprawn=allow", "did you mean"),
    ],
)
def test_what_a_sandbox_cannot_be(guest, value, says):
    done = ferry("run", "-sandbox", value)
    assert done.status in (1, 2) and says in done.err


def test_the_environment_stays_outside(start, monkeypatch):
    monkeypatch.setenv("A_SECRET", "hunter2")
    machine = start(**SMALL)
    machine.wait_ready()
    pid = vmm_of(machine)
    for _ in range(2):
        words = Path(f"/proc/{pid}/environ").read_bytes()
        assert b"hunter2" not in words and b"PATH=" in words
        pid = update(machine.name)["pid"]
    assert machine.power_off() == 0


def test_a_supervisor_has_nothing_of_the_guest(start):
    """No memory of it, no terminal, and of sockets only those to its VMM."""
    machine = start(**SMALL)
    machine.wait_ready()
    proc = Path(f"/proc/{machine.process.pid}")
    assert "memfd" not in (proc / "maps").read_text()
    open_files = [os.readlink(fd) for fd in (proc / "fd").iterdir()]
    assert [name for name in open_files if name.startswith(("/dev/pts", "/dev/ptmx"))] == []
    assert len([name for name in open_files if name.startswith("socket:")]) == 1
    assert machine.power_off() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_reach_the_vm(start, number):
    machine = start(**SMALL)
    machine.wait_ready()
    update(machine.name)
    machine.process.send_signal(number)
    assert machine.wait_exit() == 0


def test_a_job_stops_and_goes_on_as_one(start):
    """The shell knows the supervisor only."""
    machine = start(**SMALL)
    machine.wait_ready()
    both = [Path(f"/proc/{pid}") for pid in (machine.process.pid, vmm_of(machine))]
    for number, wanted in ((signal.SIGTSTP, True), (signal.SIGCONT, False)):
        machine.process.send_signal(number)
        while any((status_of(proc)["State"][0] == "T") != wanted for proc in both):
            assert machine.process.poll() is None
    machine.verdict()
    assert machine.power_off() == 0


def test_few_open_files_are_enough(start):
    """Fewer than a supervisor could have children: it hears of its VMM and of signals all the same."""
    few = Vmm("ferry", ["prlimit", "--nofile=64", str(FERRY), "run"], [])
    machine = start(vmm=few, **SMALL)
    machine.wait_ready()
    update(machine.name)
    machine.process.send_signal(signal.SIGTERM)
    assert machine.wait_exit() == 0


def test_it_ends_as_the_vmm_ended(start):
    machine = start(**SMALL)
    machine.wait_ready()
    machine.signal(signal.SIGKILL)
    assert machine.process.wait(60) == -signal.SIGKILL
    assert not running(machine.name)


@pytest.mark.parametrize("way", ["quit", "signal"])
def test_the_end_of_a_vm_that_waits_for_a_target(start, tmp_path, monkeypatch, way):
    """Its target hangs before it has heard of the guest, and does not stay behind."""
    program = tmp_path / "receive"  # that is the first word of a target's
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    machine = start(**SMALL)
    machine.wait_ready()
    supervisor = str(machine.process.pid)
    with subprocess.Popen([FERRY, "update", machine.name, "--binary", "/usr/bin/env"], stderr=subprocess.DEVNULL):
        children = []
        while not children:
            children = subprocess.run(["pgrep", "-P", supervisor, "sleep"], stdout=subprocess.PIPE).stdout.split()
        with os.fdopen(os.pidfd_open(int(children[0]))) as target:
            if way == "quit":
                ferry("quit", machine.name)
            else:
                machine.process.send_signal(signal.SIGTERM)
            assert machine.process.wait(10) == 0
            assert select.select([target], [], [], 10)[0]


def test_what_a_command_leaves_is_not_waited_for(start):
    """ssh's ControlPersist for one: neither the end of the VM nor its status is of such a process."""
    machine = start(**SMALL)
    machine.wait_ready()
    machine.qmp().execute("migrate", uri="exec:sleep 600 & cat > /dev/null")
    while machine.qmp().execute("query-migrate")["status"] != "completed":
        pass
    machine.qmp().execute("cont")
    left = os.pidfd_open(int(subprocess.check_output(["pgrep", "-P", str(machine.process.pid), "sleep"])))
    with os.fdopen(left):
        assert machine.power_off() == 0
        assert not select.select([left], [], [], 0)[0]
        signal.pidfd_send_signal(left, signal.SIGKILL)


def test_a_target_of_an_older_ferry_is_waited_for(tmp_path):
    """Such a VMM starts its target itself, and leaves it when that has the guest."""
    (tmp_path / "receive").write_text("sleep 1; exit 7")
    target = "bash receive --supervised fd:3"
    # The commands are followed by others, so that each shell stays for a moment.
    (tmp_path / "older").write_text(f"sleep 600 >/dev/null & echo $!; {target} & sleep 0.1; exit 1")
    process = subprocess.Popen(["bash", "-c", f"bash older & exec {FERRY} wait"], cwd=tmp_path, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    left = int(process.stdout.readline())
    assert process.wait(60) == 7
    os.kill(left, signal.SIGKILL)


def test_a_binary_that_others_can_write_is_not_started(start, tmp_path):
    machine = start(**SMALL)
    machine.wait_ready()
    binary = tmp_path / "another"
    binary.write_bytes(FERRY.read_bytes())
    binary.chmod(0o775)
    done = ferry("update", machine.name, "--binary", binary)
    assert done.status == 1 and "others can write to it (mode 775); 'chmod go-w' it" in done.err
    binary.chmod(0o755)
    pid = update(machine.name, "--binary", binary)["pid"]
    assert os.readlink(f"/proc/{pid}/exe") == str(binary)
    # Which is the running one from now on: whoever names none gets it.
    pid = json.loads(ferry("qmp", machine.name, "ferry-update").out)["pid"]
    assert os.readlink(f"/proc/{pid}/exe") == str(binary)
    machine.verdict()
    assert machine.power_off() == 0


def raw_client(path):
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(60)
    client.connect(str(path))
    lines = client.makefile("r", encoding="utf-8")
    lines.readline()
    client.sendall(b'{"execute": "qmp_capabilities"}')
    lines.readline()
    return client, lines


def test_words_among_others(start, tmp_path):
    """Commands before and behind, in one piece: each is answered, in order, and a file is written once."""
    machine = start(**SMALL)
    machine.wait_ready()
    client, lines = raw_client(machine.qmp_path)
    path = tmp_path / "snapshot"
    with client:
        client.sendall(
            b'{"execute": "query-name", "id": 1} {"execute": "ferry-snapshot", "arguments": '
            b'{"uri": "file:' + str(path).encode() + b'"}, "id": 2} {"execute": "query-uuid", "id": 3}'
        )
        answers = [re.search(r'"id": (\d)', lines.readline())[1] for _ in range(3)]
    assert answers == ["1", "2", "3"]
    while machine.qmp().execute("query-migrate")["status"] != "completed":
        pass
    assert path.stat().st_size > 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    machine.verdict()


def test_words_in_pieces_prove_nothing(start, tmp_path):
    """Read by the VMM, they are its own word; with spawn=allow that is enough."""
    command = b'{"execute": "ferry-snapshot", "arguments": {"uri": "file:%s"}}' % str(tmp_path / "x").encode()
    for options, word in (([], "error"), (["-sandbox", "on,spawn=allow"], "return")):
        machine = start(**SMALL, options=options)
        machine.wait_ready()
        client, lines = raw_client(machine.qmp_path)
        with client:
            client.sendall(command[:20])
            # Its answer is the proof that those 20 bytes have been read.
            machine.qmp().execute("query-status")
            machine.qmp().execute("query-status")
            client.sendall(command[20:])
            answer = lines.readline()
        assert f'"{word}"' in answer
        assert ("an operator's own words" in answer) == (word == "error")
        machine.verdict()
        machine.power_off()


def test_a_client_that_leaves_its_words(start):
    """It goes before they were read by anybody: nothing hangs, the next one is served."""
    machine = start(**SMALL)
    machine.wait_ready()
    for _ in range(20):
        client, _ = raw_client(machine.qmp_path)
        client.sendall(b'{"execute": "migrate", "arguments": {"uri": "exec:false"}}')
        client.close()
    # Those that were heard have begun, and fail.
    refusal = "There's a migration process in progress"
    while "in progress" in refusal:
        with pytest.raises(QmpError) as caught:
            Qmp(machine.qmp_path).execute("migrate", uri="unix:/nonexistent/socket")
        refusal = str(caught.value)
    assert "No such file" in refusal
    machine.verdict()
    assert machine.power_off() == 0


@pytest.mark.parametrize("sandbox", ["on", "off"])
def test_who_listens_for_a_monitor_is_no_less_careful(tmp_path, sandbox):
    """The supervisor's process listens for migrate-incoming, as `receive URI` does: for this host, unless told."""
    for options, addresses in (([], ("tcp:0.0.0.0:0", "tcp:[::]:0", "tcp::0")), (["--insecure"], ())):
        path = tmp_path / f"{sandbox}{len(options)}"
        words = ["receive", "--sandbox", sandbox, "-qmp", f"unix:{path},server=on,wait=off", *options]
        there = Target("none", tmp_path / f"{path.name}.d", *words)
        try:
            while not path.exists():
                assert there.process.poll() is None, there.stderr()
            for address in addresses:
                with pytest.raises(QmpError, match="other hosts can reach tcp:.* or say --insecure"):
                    Qmp(path).execute("migrate-incoming", uri=address)
            Qmp(path).execute("migrate-incoming", uri="tcp:0.0.0.0:0" if options else "tcp:127.0.0.1:0")
        finally:
            there.close()


# --- A guest that has taken its VMM over ---


@pytest.fixture(scope="module")
def hole():
    """The program with a hole in it, which no other build has."""
    folder = ROOT / "build-hole"
    if not (folder / "build.ninja").exists():
        subprocess.run(["meson", "setup", folder, "-Dhole=true", "-Dtests=false"], cwd=ROOT, check=True)
    subprocess.run(["ninja", "-C", folder, "ferry"], check=True, stdout=subprocess.DEVNULL)
    return folder / "ferry"


def hole_guest(path):
    """lui t0, 0x100; li t1, 0x06663333; sw t1, 0(t0); j . (vmm/vm/hole.h)"""
    value = 0x666 << 16 | 0x3333
    high = value + 0x800 >> 12
    low = value - (high << 12)
    path.write_bytes(struct.pack("<5I", 0x001002B7, high << 12 | 0x337, (low & 0xFFF) << 20 | 6 << 15 | 6 << 7 | 0x13,
                                 6 << 20 | 5 << 15 | 2 << 12 | 0x23, 0x0000006F))
    return path


def attempts(hole, tmp_path, *options):
    """{(thread, what): how it ended}"""
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    words = [hole, "run", "-name", f"hole-{os.getpid()}", "-m", "64", "-serial", "null", "-bios",
             hole_guest(tmp_path / "guest"), "-drive", f"file={image},if=none,id=d0,format=raw", *options]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
    try:
        said = process.communicate(timeout=60)[1]
    finally:
        end(process)
    assert "hole: over" in said, said
    return {match.group(1, 2): match[3] for match in re.finditer(r"^hole: (\w+): ([^:]+): (.*)$", said, re.MULTILINE)}, image


REFUSED = {"Operation not permitted", "Permission denied", "Function not implemented"}


def test_a_guest_that_owns_its_vmm_gets_nothing(hole, tmp_path):
    ended, image = attempts(hole, tmp_path)
    system = {key: text for key, text in ended.items() if "operator" not in text and key[1] not in ASKED}
    assert {thread for thread, _ in system} == {"hart", "main"}
    assert len(system) == 38
    assert {key: text for key, text in system.items() if text not in REFUSED} == {}
    asked = {what: text for (thread, what), text in ended.items() if what in ASKED}
    assert set(asked) == set(ASKED)
    for what, says in ASKED.items():
        assert says in asked[what]
    assert image.exists() and not Path(f"{image}.hole").exists()


def test_a_peer_that_owns_who_receives_gets_nothing(hole, start, tmp_path):
    """Before there is a machine: what can be opened is what the command line gives, and that is enough for it."""
    machine = start(**SMALL)
    machine.wait_ready()
    for options, wanted in ((["--sandbox", "off"], "done"), ([], "Permission denied")):
        words = ["receive", "tcp:127.0.0.1:0", *gives(machine), *options]
        there = Target(machine.name, tmp_path / wanted, *words, program=hole)
        try:
            done = ferry("migrate", machine.name, there.listening(), *(["--dry-run"] if options else []))
            assert done.status == 0, done.err
            tried = dict(re.findall(r"^hole: builder: ([^:]+): (.*)$", there.stderr(), re.MULTILINE))
            assert len(tried) == 6
            assert tried["read a file"] == wanted
            if not options:
                assert {what: text for what, text in tried.items() if text not in REFUSED} == {}
                check_moved(machine, there)
        finally:
            there.errors.close()  # with refusals in it, as it should be
            there.close()


ASKED = {
    "start a program": "an operator's own words",
    "run a command": "an operator's own words",
    "connect": "an operator's own words",
    "open a file": "an operator's own words",
    "connect to a peer that is none": "no netdev of this VM's command line with reconnect-ms",
    "a command through a socket of its own": "no monitor of this VM that the supervisor knows of",
    "a command through a pipe": "cannot read the operator's words",
}


def test_the_hole_is_one(hole, tmp_path):
    """Without a sandbox the same attempts succeed: what refused them was the sandbox."""
    ended, image = attempts(hole, tmp_path, "-sandbox", "off")
    assert ended["hart", "read a file"] == "done"
    assert ended["hart", "open a socket"] == "done"
    assert not image.exists()
