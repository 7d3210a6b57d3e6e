# SPDX-License-Identifier: Apache-2.0
"""The target dies, stops, or cannot be reached any more: the guest runs on here, says why, and moves later.

After the target's LOADED there is less than a millisecond to hit: tests/sim cuts there, byte by byte.
"""

import json
import os
import re
import signal
import subprocess
import time

import pytest
from harness import FERRY
from moving import SAFETY_NET_S, SMALL, check_moved, check_unharmed, migrate
from network import Namespace

GONE = "the target closed the connection"
QUIET = "nothing was heard from the target within 10000 ms while the source was"


def reach(qmp, *wanted):
    """The state of the migration, which is one of those."""
    deadline = time.monotonic() + SAFETY_NET_S
    while (state := qmp.execute("query-migrate"))["status"] not in wanted:
        assert time.monotonic() < deadline, state
        assert state["status"] not in ("failed", "completed"), state
    return state


def begin(machine, uri, phase):
    """A migration that stays in that phase for as long as the test wants."""
    qmp = machine.qmp()
    wait = [{"capability": "pause-before-switchover", "state": phase == "pre-switchover"}]
    qmp.execute("migrate-set-capabilities", capabilities=wait)
    qmp.execute("migrate-set-parameters", max_bandwidth=0 if phase == "pre-switchover" else 1 << 20)
    qmp.execute("migrate", uri=uri)
    reach(qmp, phase)
    return qmp


def ends(machine, *says):
    """As a failure, with that reason, and the guest has seen nothing of it."""
    state = reach(machine.qmp(), "failed", "cancelled")
    for text in says:
        assert re.search(text, state["error-desc"]), state
    machine.verdict()


def settle(machine):
    """What begin() had set."""
    qmp = machine.qmp()
    off = [{"capability": "pause-before-switchover", "state": False}]
    qmp.execute("migrate-set-capabilities", capabilities=off)
    qmp.execute("migrate-set-parameters", max_bandwidth=0)


def test_the_target_dies(small, target):
    """While it is asked, while RAM moves, in the pause, and while it loads: then the guest moves."""
    there = target(small, "receive", "tcp:127.0.0.1:0")
    uri = there.listening()
    there.signal(signal.SIGSTOP)  # or it would answer
    begin(small, uri, "setup")
    there.signal(signal.SIGKILL)
    # Whether it was reached before it died is chance.
    ends(small, f"{GONE}|Connection refused|Connection reset")

    there = target(small, "receive", "tcp:127.0.0.1:0")
    begin(small, there.listening(), "active")
    there.signal(signal.SIGKILL)
    ends(small, GONE, "while the source was sending RAM")

    there = target(small, "receive", "tcp:127.0.0.1:0")
    begin(small, there.listening(), "pre-switchover")
    there.signal(signal.SIGKILL)
    ends(small, GONE, "while the source was waiting for migrate-continue")

    there = target(small, "receive", "tcp:127.0.0.1:0")
    qmp = begin(small, there.listening(), "pre-switchover")
    there.signal(signal.SIGSTOP)
    qmp.execute("migrate-continue", state="pre-switchover")
    reach(qmp, "device")
    there.signal(signal.SIGKILL)
    ends(small, GONE)

    settle(small)
    there = target(small, "receive", "tcp:127.0.0.1:0")
    migrate(small, there.listening())
    check_moved(small, there)


def test_the_target_stops(small, target):
    """Until somebody cancels, or in the pause until the deadline. The command says what the monitor says."""
    there = target(small, "receive", "tcp:127.0.0.1:0")
    uri = there.listening()
    there.signal(signal.SIGSTOP)
    qmp = begin(small, uri, "setup")
    qmp.execute("migrate_cancel")
    reach(qmp, "cancelled")

    there = target(small, "receive", "tcp:127.0.0.1:0")
    qmp = begin(small, there.listening(), "active")
    there.signal(signal.SIGSTOP)
    qmp.execute("migrate-set-parameters", max_bandwidth=0)
    qmp.execute("query-status")
    qmp.execute("migrate_cancel")
    reach(qmp, "cancelled")

    there = target(small, "receive", "tcp:127.0.0.1:0")
    uri = there.listening()
    wait = [{"capability": "pause-before-switchover", "state": True}]
    qmp.execute("migrate-set-capabilities", capabilities=wait)
    command = [str(FERRY), "migrate", small.name, uri]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shown:
        reach(qmp, "pre-switchover")
        there.signal(signal.SIGSTOP)
        qmp.execute("migrate-continue", state="pre-switchover")
        ends(small, QUIET)
        assert qmp.execute("query-migrate")["error-desc"] in shown.communicate(timeout=SAFETY_NET_S)[1]
        assert shown.returncode == 1
    # It hears of the end when it goes on, and then ends, too.
    there.signal(signal.SIGCONT)
    assert there.process.wait(SAFETY_NET_S) == 1

    settle(small)
    there = target(small, "receive", "tcp:127.0.0.1:0")
    migrate(small, there.listening())
    check_moved(small, there)


class Link:
    """Two hosts and the one cable between them."""

    def __init__(self):
        self.here, self.there = Namespace(), Namespace()
        place = f"/proc/{os.getpid()}/fd/{self.there.fd}"
        self.here.run("ip", "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
        self.here.run("ip", "link", "set", "wire1", "netns", place)
        for side, name, address in ((self.here, "wire0", "10.9.0.1/24"), (self.there, "wire1", "10.9.0.2/24")):
            side.run("ip", "address", "add", address, "dev", name)
            side.run("ip", "link", "set", name, "up")

    def set(self, state):
        self.here.run("ip", "link", "set", "wire0", state)

    def start(self, start, **parameters):
        """A machine that is on this side."""

        def run():
            self.here.enter()
            return start(**parameters)

        return Namespace.in_thread(run)

    def close(self):
        self.here.close()
        self.there.close()


@pytest.fixture
def link():
    if os.getuid():
        pytest.skip("only root makes networks")
    made = Link()
    yield made
    made.close()


def test_the_network_is_cut(start, target, link):
    small = link.start(start, **SMALL)
    small.wait_ready()

    # While RAM moves: the monitor answers, and a cancel does not wait for the network.
    there = target(small, "receive", "tcp:10.9.0.2:0", "--insecure", network=link.there)
    qmp = begin(small, there.listening(), "active")
    link.set("down")
    qmp.execute("migrate-set-parameters", max_bandwidth=0)
    qmp.execute("query-status")
    qmp.execute("migrate_cancel")
    reach(qmp, "cancelled")
    small.verdict()
    link.set("up")

    # In the last phase.
    there = target(small, "receive", "tcp:10.9.0.2:0", "--insecure", network=link.there)
    qmp = begin(small, there.listening(), "pre-switchover")
    link.set("down")
    qmp.execute("migrate-continue", state="pre-switchover")
    ends(small, QUIET)

    # And nobody can be reached.
    settle(small)
    with_link_down = there.ferry("migrate", small.name, "tcp:10.9.0.2:1")
    assert with_link_down.status == 1
    link.set("up")
    there = target(small, "receive", "tcp:10.9.0.2:0", "--insecure", network=link.there)
    migrate(small, there.listening())
    check_moved(small, there)


def test_a_failed_target_is_armed_again(small, target, tmp_path):
    """The same process takes the guest in the end; the monitor had the reason of the first failure."""
    options = [word.replace(str(small.qmp_path), str(tmp_path / "there-qmp")) for word in small.command[2:]]
    there = target(small, "run", *options, "-incoming", "defer")
    there.wait_status("inmigrate")
    for number in range(2):
        uri = f"unix:{tmp_path}/move{number}"
        arguments = json.dumps({"uri": uri, "exit-on-error": False})
        assert there.ferry("qmp", small.name, "migrate-incoming", arguments).status == 0
        qmp = begin(small, uri, "active")
        qmp.execute("migrate_cancel")
        reach(qmp, "cancelled")
        deadline = time.monotonic() + SAFETY_NET_S
        while '"failed"' not in (state := there.ferry("qmp", small.name, "query-migrate").out):
            assert time.monotonic() < deadline, state
        # Between two sections, or in one.
        assert "closed the connection" in state or "it ends inside" in state
    settle(small)
    uri = f"unix:{tmp_path}/move"
    assert there.ferry("qmp", small.name, "migrate-incoming", json.dumps({"uri": uri})).status == 0
    migrate(small, uri)
    check_moved(small, there)
