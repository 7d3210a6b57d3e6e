# SPDX-License-Identifier: Apache-2.0
"""A running guest moves to another ferry, over every transport, or stays where it is, unharmed."""

import json
import os
import signal
import subprocess
import time

import pytest
from console import Console
from ferry_cli import ferry, running
from harness import FERRY, GUEST
from qmp import QmpError

SMALL = {"harts": 1, "mem_mib": 128, "append": "witness.mem=16M"}
SAFETY_NET_S = 120


class Target:
    """A ferry that waits for a guest, with a runtime directory of its own: another host's."""

    def __init__(self, name, folder, *words):
        self.name = name
        folder.mkdir()
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        self.console = Console()
        self.errors = open(folder / "stderr", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [str(FERRY), *[str(word) for word in words]],
            stdin=self.console.theirs,
            stdout=self.console.theirs,
            stderr=self.errors,
            env=self.env,
        )
        self.console.started()

    def listening(self):
        return self.console.wait(r"listening on (\S+)")[1]

    def stderr(self):
        self.errors.seek(0)
        return self.errors.read()

    def ferry(self, *words):
        return ferry(*words, env=self.env)

    def status(self):
        done = self.ferry("status", self.name)
        return done.out or done.err

    def wait_status(self, word):
        deadline = time.monotonic() + SAFETY_NET_S
        while word not in self.status():
            assert self.process.poll() is None, self.stderr()
            assert time.monotonic() < deadline, f"never {word}: {self.status()}"

    def verdict(self):
        line = self.console.ask("verdict", r"witness: verdict (OK|FAIL) (.*)")
        assert line[1] == "OK", f"the witness says: {line[2]}"

    def power_off(self):
        self.console.send("poweroff")
        return self.process.wait(SAFETY_NET_S)

    def close(self):
        self.process.kill()
        self.process.wait()
        self.console.close()
        self.errors.close()


@pytest.fixture
def target(tmp_path):
    """target(machine, words...) starts one."""
    made = []

    def begin(machine, *words):
        made.append(Target(machine.name, tmp_path / f"target{len(made)}", *words))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def small(start):
    machine = start(**SMALL)
    machine.wait_ready()
    return machine


def migrate(machine, uri, *options):
    done = ferry("migrate", machine.name, uri, "--json", *options)
    assert done.status == 0, done.err
    return json.loads(done.out)


def check_moved(machine, there):
    """The guest runs there and only there, and the witness has seen nothing."""
    assert "postmigrate" in ferry("status", machine.name).out
    there.wait_status("running")
    there.verdict()
    refused = ferry("cont", machine.name)
    assert refused.status == 1
    assert "destroy" in refused.err
    assert ferry("quit", machine.name).status == 0
    there.verdict()
    assert there.power_off() == 0


def check_unharmed(machine):
    assert running(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


def test_over_tcp(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0")
    done = migrate(small, there.listening())
    assert done["status"] == "completed"
    assert done["ram"]["total"] >= 128 << 20
    assert done["ram"]["remaining"] == 0
    assert done["ram"]["transferred"] > 0
    assert done["ledger"]["total-ns"] > 0
    check_moved(small, there)


def test_over_a_unix_socket(small, target, tmp_path):
    """The same socket takes a handover or a stream: the target finds out which."""
    there = target(small, "receive", f"unix:{tmp_path}/move")
    migrate(small, there.listening())
    check_moved(small, there)
