# SPDX-License-Identifier: Apache-2.0
"""One running guest with all its devices, moved over every transport and with every codec.

Each case hands it to a new process and leaves it there for the next one: what a move has damaged
or forgotten has to survive the moves after it, too.
"""

import json
import os
import socket

import pytest
from ferry_cli import ferry
from harness import Machine, find_vmm
from moving import Target, gives
from network import Bridge, Numbered
from qmp import Qmp

PAUSE_LIMIT_MS = 2000


class Traveller:
    """The guest, and where it is."""

    def __init__(self, folder):
        self.folder = folder
        # Without root there are no TAPs, and passt knows one guest only.
        self.network = Bridge(folder) if os.getuid() == 0 else None
        (folder / "first").mkdir()
        self.here = self.first = Machine(find_vmm("ferry"), folder / "first", network=self.network, harts=2, mem_mib=128,
                            append="witness.mem=16M witness.rate=8M")
        self.name = self.here.name
        self.ferry = ferry
        self.here.wait_ready()
        self.numbered = self.network and Numbered(self.network.peer())
        self.moves = 0
        self.targets = []

    def target(self, *words, **where):
        """The other host: another runtime directory, and the TAP that is free."""
        self.moves += 1
        if self.network:
            words = (*words, "--netdev", f"n0={Bridge.ifnames[self.moves % 2]}")
        folder = self.folder / f"host{self.moves}"
        self.targets.append(Target(self.name, folder, "receive", *words, *gives(self.first),
                                   network=self.network, **where))
        return self.targets[-1]

    def path(self, name):
        return self.folder / f"{name}{self.moves}"

    def qmp(self, command, **arguments):
        done = self.ferry("qmp", self.name, command, json.dumps(arguments))
        assert done.status == 0, done.err
        return json.loads(done.out)

    def set_capability(self, name, on):
        self.qmp("migrate-set-capabilities", capabilities=[{"capability": name, "state": on}])

    def migrate(self, there, uri, *options, state="running"):
        done = self.ferry("migrate", self.name, uri, "--json", "--downtime", PAUSE_LIMIT_MS, *options)
        assert done.status == 0, done.err + there.stderr()
        info = json.loads(done.out)
        assert info["status"] == "completed"
        self.moved(there, info, state)
        return info

    def moved(self, there, info, state="running"):
        """It is there and nowhere else, undamaged, and everything goes on."""
        assert info["downtime"] <= PAUSE_LIMIT_MS
        assert "postmigrate" in self.ferry("status", self.name).out
        there.wait_status(state)
        if state == "paused":
            assert there.ferry("cont", self.name).status == 0
        there.verdict()
        assert self.ferry("quit", self.name).status == 0
        self.here, self.ferry = there, there.ferry
        if self.numbered:
            self.numbered.exchange()
            assert self.numbered.unanswered == []

    def close(self):
        for place in (self.here, *self.targets):
            place.close()
        if self.network:
            self.network.close()


def check_ledger(ledger):
    """Each side's part of the pause, the target's by its own clock; without an answer it has none."""
    source = [ledger[f"{phase}-ns"] for phase in ("stop", "save", "send", "wait", "commit")]
    target = [ledger[f"target-{phase}-ns"] for phase in ("load", "start")]
    assert min(source) >= 0 and min(target) > 0
    assert sum(source) <= ledger["total-ns"]
    assert sum(target) <= ledger["total-ns"]


@pytest.fixture(scope="module")
def moving(guest, tmp_path_factory):
    made = Traveller(tmp_path_factory.mktemp("moves"))
    yield made
    made.close()


@pytest.fixture
def traveller(moving, request):
    yield moving
    # Where it was left, somebody answers for it: else the tests that follow would only say so, too.
    if "running" not in moving.ferry("status", moving.name).out:
        pytest.exit(f"the guest was lost in {request.node.name}")


@pytest.mark.parametrize(
    "listen, codec",
    (
        ("tcp:127.0.0.1:0", ()),
        ("tcp:127.0.0.1:0", ("--channels", 2)),
        ("tcp:127.0.0.1:0", ("--compress", "zlib")),
        ("tcp:127.0.0.1:0", ("--channels", 3, "--compress", "zstd")),
        ("tcp:[::1]:0", ()),
        ("tcp:[::1]:0", ("--channels", 4)),
        ("unix:SOCKET", ()),
        ("unix:SOCKET", ("--compress", "zstd")),
    ),
)
def test_sockets(traveller, listen, codec):
    listen = listen.replace("SOCKET", str(traveller.path("socket")))
    there = traveller.target(listen, *codec)
    uri = there.listening()
    # The port that was found, or what was asked for.
    assert uri == listen if listen.startswith("unix:") else uri[:-1] > listen[:-1]
    info = traveller.migrate(there, uri, *codec)
    check_ledger(info["ledger"])


def test_xbzrle(traveller):
    """Pages that are sent again are sent as differences; the pause waits until there were some."""
    monitor = traveller.path("monitor")
    there = traveller.target("-qmp", f"unix:{monitor},server=on,wait=off")
    while not monitor.exists():
        assert there.process.poll() is None, there.stderr()
    qmp = Qmp(monitor)
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "xbzrle", "state": True}])
    qmp.execute("migrate-incoming", uri=f"unix:{traveller.path('socket')}")
    qmp.close()
    traveller.set_capability("multifd", False)  # as the target before had it
    traveller.set_capability("xbzrle", True)
    traveller.qmp("migrate-set-parameters", **{"downtime-limit": 1})
    traveller.qmp("migrate", uri=f"unix:{traveller.path('socket')}")
    while not (info := traveller.qmp("query-migrate")).get("xbzrle-cache", {}).get("pages"):
        assert info["status"] in ("setup", "active"), info
    traveller.qmp("migrate-set-parameters", **{"downtime-limit": PAUSE_LIMIT_MS})
    while (info := traveller.qmp("query-migrate"))["status"] != "completed":
        assert info["status"] in ("active", "device"), info
    check_ledger(traveller.qmp("ferry-migrate-ledger"))
    traveller.set_capability("xbzrle", False)
    traveller.moved(there, info)


def test_through_a_command(traveller):
    """One way: it is the commands that say whether all has arrived."""
    path = traveller.path("socat")
    there = traveller.target(f"exec:socat -u UNIX-LISTEN:{path} -")
    traveller.migrate(there, f"exec:socat -u - UNIX-CONNECT:{path},retry=50,interval=0.1")


def test_inherited_sockets(traveller):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        there = traveller.target("tcp:127.0.0.1:0", pass_fds=[ours.fileno()])
        traveller.migrate(there, there.listening())
        there = traveller.target(f"fd:{theirs.fileno()}", pass_fds=[theirs.fileno()])
        info = traveller.migrate(there, f"fd:{ours.fileno()}")
    check_ledger(info["ledger"])


def test_through_a_file(traveller):
    """Nobody answers: the source is as paused as after any other move, the file has it all."""
    uri = f"file:{traveller.path('file')}"
    done = traveller.ferry("migrate", traveller.name, uri)
    assert done.status == 0, done.err
    assert "postmigrate" in traveller.ferry("status", traveller.name).out
    assert traveller.ferry("quit", traveller.name).status == 0
    there = traveller.target(uri)
    there.wait_status("running")
    there.verdict()
    traveller.here, traveller.ferry = there, there.ferry


def test_paused(traveller):
    assert traveller.ferry("stop", traveller.name).status == 0
    there = traveller.target("tcp:127.0.0.1:0")
    traveller.migrate(there, there.listening(), state="paused")


def test_nothing_was_lost(traveller):
    """After all that: time passes, and every frame was answered once."""
    traveller.here.console.wait(r"witness: t=\d+ .* ok")
    line = traveller.here.console.ask("verdict", r"witness: verdict OK (.*)")
    verdict = dict(word.split("=") for word in line[1].split())
    assert verdict["steps_back"] == "0"
    assert (verdict["udp_lost"], verdict["udp_dup"]) == ("0", "0")
    assert int(verdict["udp_rx"]) >= traveller.numbered.number if traveller.numbered else True
