# SPDX-License-Identifier: Apache-2.0
"""A guest moves as a stream: the ferry that waits for it, and where the guest is afterwards."""

import json
import os
import subprocess
import time

from console import Console
from ferry_cli import ferry, run_state, running
from harness import FERRY, GUEST, check_refusals, die_with_me, end, signal_vmms

SMALL = {"harts": 1, "mem_mib": 128, "append": "witness.mem=16M"}
SAFETY_NET_S = 120


def gives(machine):
    """What a host that shares its storage with the machine's gives a guest that comes."""
    return ["--console", "--allow-path", machine.folder, "--allow-path", GUEST, "--allow-tap", "tap"]


class Target:
    """A ferry that waits for a guest, with a runtime directory of its own: another host's."""

    def __init__(self, name, folder, *words, before=(), network=None, pass_fds=(), program=FERRY):
        self.name = name
        folder.mkdir()
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        self.console = Console()
        self.errors = open(folder / "stderr", "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            [*before, str(program), *[str(word) for word in words]],
            stdin=self.console.theirs,
            stdout=self.console.theirs,
            stderr=self.errors,
            env=self.env,
            preexec_fn=die_with_me(network.enter if network else None),
            pass_fds=pass_fds,
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

    def state(self):
        return run_state(self.name, env=self.env)

    def wait_until(self, condition):
        deadline = time.monotonic() + SAFETY_NET_S
        while not condition():
            assert self.process.poll() is None, self.stderr()
            assert time.monotonic() < deadline, self.status()

    def wait_status(self, state):
        self.wait_until(lambda: self.state() == state)

    def verdict(self):
        line = self.console.ask("verdict", r"witness: verdict (OK|FAIL) (.*)")
        assert line[1] == "OK", f"the witness says: {line[2]}"

    def power_off(self):
        self.console.send("poweroff")
        return self.process.wait(SAFETY_NET_S)

    def signal(self, number):
        """To whoever waits for the guest, or has it."""
        signal_vmms(self.process, number)

    def close(self):
        end(self.process)
        self.console.close()
        if not self.errors.closed:
            said = self.stderr()
            self.errors.close()
            check_refusals(said)


def migrate(machine, uri, *options):
    done = ferry("migrate", machine.name, uri, "--json", *options)
    assert done.status == 0, done.err
    return json.loads(done.out)


def check_moved(machine, there):
    """The guest runs there and only there, and the witness has seen nothing."""
    assert run_state(machine.name) == "postmigrate"
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
