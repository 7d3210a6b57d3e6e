# SPDX-License-Identifier: Apache-2.0
"""-gdb: the guest under GDB, and under clients that are none."""

import os
import shutil
import socket
import subprocess

import pytest
from ferry_cli import ferry, running, update
from gdb import BASE, LOOP, SAFETY_NET_S, Gdb
from harness import FERRY, check_refusals, end

T1, PC, CSR0, STVEC = 6, 32, 65, 0x105


class Guest:
    """The loop of gdb.py on some harts."""

    def __init__(self, folder, *options, harts=2):
        self.folder = folder
        self.name = f"gdb-{os.getpid()}-{folder.name}"
        self.path = folder / "gdb"
        (folder / "loop.bin").write_bytes(LOOP)
        self.errors = open(folder / "stderr", "w+", encoding="utf-8")
        words = [FERRY, "run", "-name", self.name, "-M", "virt", "-m", "64", "-smp", harts, "-serial", "null"]
        words += ["-bios", "none", "-kernel", folder / "loop.bin", *options]
        if "-gdb" not in options:
            words += ["-gdb", f"unix:{self.path},server=on,wait=off"]
        self.process = subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, stderr=self.errors)
        while ferry("status", self.name).status != 0:
            assert self.process.poll() is None, self.said()

    def said(self):
        self.errors.seek(0)
        return self.errors.read()

    def close(self):
        end(self.process)
        said = self.said()
        self.errors.close()
        check_refusals(said)


@pytest.fixture
def start_loop(tmp_path):
    guests = []

    def start(*options, **more):
        guests.append(Guest(tmp_path, *options, **more))
        return guests[-1]

    yield start
    for guest in guests:
        guest.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_gdb_itself(start_loop):
    """Registers, CSRs, disassembly, breakpoints of all and of one hart, steps, a change of code."""
    port = free_port()
    start_loop("-gdb", f"tcp::{port}", "-S")
    script = [
        "set architecture riscv:rv64",
        f"target remote 127.0.0.1:{port}",
        "info threads",
        "x/2i 0x80000004",
        "break *0x80000008 thread 1",
        "continue",
        "printf \"t1=%d priv=%d\\n\", $t1, $priv",
        "continue",
        "printf \"t1=%d\\n\", $t1",
        "stepi",
        "printf \"pc=%x\\n\", $pc",
        "set $t1 = 100",
        "delete",
        "break *0x8000000c thread 2",
        "continue",
        "printf \"t1=%d hart=%d mie=%x\\n\", $t1, $mhartid, $mie",
        "delete",
        "set {int}0x80000004 = 0x13",
        "thread 1",
            # The other hart ran to its breakpoint, and this one did so for as many turns.
            "set $before = $t1",
            "stepi",
            "stepi",
            "printf \"changed by %d\\n\", $t1 - $before",
            "detach",
    ]
    words = ["gdb-multiarch", "-nx", "-batch"]
    for line in script:
        words += ["-ex", line]
    assert shutil.which(words[0]), "gdb-multiarch is not installed: run scripts/setup test"
    done = subprocess.run(words, capture_output=True, text=True, timeout=SAFETY_NET_S, check=False)
    print(done.stdout, done.stderr)
    said = done.stdout
    for words in ("Thread 2 (hart 1)", "add\tt1,t1,1", "t1=1 priv=3", "t1=2", "pc=8000000c", "hart=1 mie=0", "detached"):
        assert words in said
    assert "changed by 0" in said


def test_a_client_stops_the_guest_and_gives_it_back(start_loop):
    guest = start_loop()
    gdb = Gdb(guest.path)
    assert gdb.ask("?") == "T02thread:1;"
    assert not running(guest.name)
    assert gdb.ask("Z0,80000008,4") == "OK"
    assert gdb.ask("vCont;c").startswith("T05thread:")
    gdb.close()
    while not running(guest.name):
        pass
    # Its breakpoint is gone with it: the next one finds the guest where it interrupts it.
    gdb = Gdb(guest.path)
    gdb.send("c")
    assert gdb.interrupt() == "T02thread:1;"
    before = gdb.register(T1)
    while gdb.register(T1) == before:
        gdb.send("c")
        assert gdb.interrupt() == "T02thread:1;"
    gdb.close()


def test_one_hart_steps_alone(start_loop):
    guest = start_loop()
    gdb = Gdb(guest.path)
    gdb.ask("?")
    assert gdb.ask("Hg2") == "OK"
    second = gdb.register(PC), gdb.register(T1)
    gdb.ask("Hg1")
    while gdb.register(PC) < BASE:  # it was found in the ROM before the loop
        assert gdb.ask("vCont;s:1") == "T05thread:1;"
    for _ in range(7):
        before = gdb.register(PC)
        assert gdb.ask("vCont;s:1") == "T05thread:1;"
        assert gdb.register(PC) == (before + 4 if before < BASE + 12 else BASE + 4)
    gdb.ask("Hg2")
    assert (gdb.register(PC), gdb.register(T1)) == second
    gdb.close()


def test_a_live_update_keeps_the_connection(start_loop):
    """The client waits for its breakpoint, and the process that hits it is another."""
    guest = start_loop(harts=1)
    gdb = Gdb(guest.path)
    gdb.ask("?")
    # Never reached, until t1 is changed in the new process's memory below.
    assert gdb.ask("Z0,80000010,4") == "OK"
    gdb.send("c")
    update(guest.name)
    assert running(guest.name)
    assert gdb.interrupt() == "T02thread:1;"
    assert gdb.ask("P20=0800008000000000") == "OK"
    # j .+4 instead of j .-8: to the breakpoint that the process before was told of.
    assert gdb.ask("M8000000c,4:6f004000") == "OK"
    assert gdb.ask("c") == "T05thread:1;"
    assert gdb.register(PC) == BASE + 0x10
    # And one that stands still stays so.
    update(guest.name)
    assert not running(guest.name)
    assert gdb.register(PC) == BASE + 0x10
    gdb.close()


def test_who_has_let_go_is_no_new_client_after_an_update(start_loop):
    """It keeps its connection: the guest, which it gave back, runs on in the new process."""
    guest = start_loop()
    gdb = Gdb(guest.path)
    assert gdb.ask("D") == "OK"
    update(guest.name)
    assert running(guest.name)
    gdb.close()
    gdb = Gdb(guest.path)
    assert gdb.ask("?") == "T02thread:1;"
    gdb.close()


def test_the_operator_may_stop_it_too(start_loop):
    guest = start_loop()
    gdb = Gdb(guest.path)
    gdb.ask("?")
    gdb.send("c")
    while not running(guest.name):
        pass
    assert ferry("stop", guest.name).status == 0
    assert gdb.receive() == "T02thread:1;"
    gdb.send("c")
    while not running(guest.name):
        pass
    assert ferry("quit", guest.name).status == 0
    assert gdb.receive() == "W00"
    gdb.close()


@pytest.mark.parametrize(
    "packet, answer",
    [
        ("m0,4", "E01"),
        ("m80000000,ffffffffffffffff", "E01"),
        ("m80000000,fffffffffffffffff", "E01"),
        ("mffffffffffffffff,8", "E01"),
        ("m10000000,1", "E01"),  # a device
        ("M80000000,800:00", "E01"),
        ("G00", "E01"),
        ("pffffffff", "E01"),
        ("P0=ff", "E01"),
        ("Hg9", "E01"),
        ("T9", "E01"),
        ("vCont;x", "E01"),
        ("vCont;s:9", "E01"),
        ("vCont;", "E01"),
        ("Z0", "E01"),
        ("Z2,80000000,4", ""),
        ("qRcmd,00", ""),
        ("qXfer:features:read:target.xml:ffffffff,10", "E01"),
        ("vMustReplyEmpty", ""),
    ],
)
def test_what_cannot_be_is_refused(hostile_guest, packet, answer):
    assert hostile_guest.ask(packet) == answer


@pytest.fixture(scope="module")
def hostile_guest(tmp_path_factory):
    guest = Guest(tmp_path_factory.mktemp("gdb"))
    gdb = Gdb(guest.path)
    gdb.ask("?")
    yield gdb
    gdb.close()
    guest.close()


def test_floods_cost_nothing(start_loop):
    """Bytes without end that are no packet, packets without end, answers that nobody reads."""
    guest = start_loop()
    for flood in (b"$" + b"x" * 65536, b"+-\x03" * 65536, b"$qSupported#37" * 65536, b"$?#3f" * 65536):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(guest.path))
            client.setblocking(False)
            try:
                while True:
                    client.send(flood)
            except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass
            assert ferry("status", guest.name).status == 0
    gdb = Gdb(guest.path)
    many = [gdb.ask(f"Z0,{BASE + 0x1000 + 4 * i:x},4") for i in range(70)]
    assert many == ["OK"] * 64 + ["E01"] * 6
    gdb.close()


def test_a_running_linux(start, tmp_path):
    """Addresses are those that the hart sees: the kernel's trap entry, from whatever process runs."""
    path = tmp_path / "gdb"
    options = ("-gdb", f"unix:{path},server=on,wait=off")
    small = start(disk=False, harts=2, mem_mib=128, append="witness.mem=16M", options=options)
    small.wait_ready()
    gdb = Gdb(path)
    gdb.ask("?")
    entry = gdb.register(CSR0 + STVEC)
    assert gdb.ask(f"Z0,{entry:x},4") == "OK"
    code = None
    for _ in range(20):
        assert gdb.ask("vCont;c").startswith("T05thread:")
        assert gdb.register(PC) == entry
        # What stands there is the guest's own instruction, csrrw tp, sscratch, tp.
        code = code or gdb.ask(f"m{entry:x},4")
        assert gdb.ask(f"m{entry:x},4") == code == "73120214"
        thread = gdb.ask("qC")[2:]
        assert gdb.ask(f"vCont;s:{thread}") == f"T05thread:{thread};"
        assert gdb.register(PC) > entry
    update(small.name)
    assert gdb.ask("vCont;c").startswith("T05thread:")
    assert gdb.ask("D") == "OK"
    gdb.close()
    small.wait_status("mem_pages", 1000)
    small.verdict()


def test_where_it_is_served():
    for value, says in (
        ("tcp:0.0.0.0:1234", "served on this host only"),
        ("tcp::0", "a port from 1 to 65535"),
        ("tcp:1234", "tcp::PORT was expected"),
        ("stdio", "GDB connects to a socket"),
    ):
        done = ferry("run", "-M", "virt", "-gdb", value)
        assert done.status == 1
        assert says in done.err
