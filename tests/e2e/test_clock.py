# SPDX-License-Identifier: Apache-2.0
"""The guest's clock beside the host's: what ferry stops for its own ends costs the guest no time.

A reading of the guest's clock lies between the moment it was asked for and the moment it was heard, so it bounds the
difference of the two clocks from both sides. A difference that never changed lies within all bounds, whatever the load
of the machine; the control is that the bounds are close enough to have seen what used to be lost.
"""

import json
from time import monotonic_ns

import pytest
from ferry_cli import TARGET_LOST, faulty_binary, ferry, update
from moving import SMALL

UPDATES = 500
LOST_PER_UPDATE_NS = 15_000  # once, at least
READINGS = 20
IN_THE_PAUSE = ["state-received", "state-loaded", "adopted", "loaded-sent"]


class Difference:
    """Bounds of the guest's clock minus the host's."""

    def __init__(self, machine):
        self.machine = machine
        self.low, self.high = self.read()
        while self.width() > UPDATES * LOST_PER_UPDATE_NS // 2:
            self.check()

    def width(self):
        return self.high - self.low

    def read(self):
        low, high = float("-inf"), float("inf")
        for _ in range(READINGS):
            asked_ns = monotonic_ns()
            clock_ns = int(self.machine.ask("clock", r"witness: clock_ns=(\d+)")[1])
            low, high = max(low, clock_ns - monotonic_ns()), min(high, clock_ns - asked_ns)
        return low, high

    def check(self):
        """It is what it was."""
        low, high = self.read()
        assert low <= self.high, f"the guest's clock is at least {low - self.high} ns ahead"
        assert high >= self.low, f"the guest's clock has lost at least {self.low - high} ns"
        self.low, self.high = max(low, self.low), min(high, self.high)


def let_pass(ns):
    until_ns = monotonic_ns() + ns
    while monotonic_ns() < until_ns:
        pass


def ready(start, **parameters):
    machine = start(**{**SMALL, "append": "witness.mem=16M witness.status=0"}, **parameters)
    machine.wait_ready()
    return machine


def test_updates_cost_the_guest_no_time(start):
    machine = ready(start)
    difference = Difference(machine)
    for _ in range(UPDATES):
        update(machine.name)
    difference.check()
    machine.verdict()
    assert machine.power_off() == 0


def test_updates_that_fail_cost_it_none(start, tmp_path):
    machine = ready(start)
    difference = Difference(machine)
    for action in ("kill", "stop"):
        for point in IN_THE_PAUSE:
            binary = faulty_binary(tmp_path, f"{point}={action}")
            done = ferry("update", machine.name, "--binary", binary)
            assert done.status == 1, f"{point}: {done.out}"
            assert TARGET_LOST[action] in done.err, f"{point}: {done.err}"
            difference.check()
    update(machine.name)
    difference.check()
    machine.verdict()
    assert machine.power_off() == 0


def test_what_leads_back_here_costs_it_none(start, tmp_path, target):
    """A snapshot lets the guest go on here, and so does a migration that is cancelled in the pause."""
    machine = ready(start)
    difference = Difference(machine)
    assert ferry("snapshot", machine.name, tmp_path / "snapshot").status == 0
    difference.check()

    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there")
    qmp = machine.qmp()
    capability = {"capability": "pause-before-switchover", "state": True}
    qmp.execute("migrate-set-capabilities", capabilities=[capability])
    qmp.execute("migrate", uri=there.listening())
    while qmp.execute("query-migrate")["status"] != "pre-switchover":
        pass
    qmp.execute("migrate_cancel")
    while qmp.execute("query-migrate")["status"] != "cancelled":
        pass
    difference.check()
    machine.verdict()
    assert machine.power_off() == 0


def test_a_stop_is_the_operators(start):
    """The clock stands still then, as QEMU's does; so this test would see a clock that lost time."""
    machine = ready(start)
    difference = Difference(machine)
    assert ferry("stop", machine.name).status == 0
    let_pass(difference.width())
    assert ferry("cont", machine.name).status == 0
    low, high = difference.read()
    assert high < difference.low


def test_a_move_stands_it_still(start, target):
    """No longer than the move took, and it is never put forward: the target has another clock to go on from."""
    machine = ready(start)
    difference = Difference(machine)
    began_ns = monotonic_ns()
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there")
    done = ferry("migrate", machine.name, there.listening())
    assert done.status == 0, done.err
    took_ns = monotonic_ns() - began_ns
    difference.machine = there.console
    low, high = difference.read()
    assert low <= difference.high, f"the guest's clock is at least {low - difference.high} ns ahead"
    assert high >= difference.low - took_ns
    there.verdict()
    assert there.power_off() == 0


POLICIES = {"as-given": [], "stand": ["--clock", "stand"], "catch-up": ["--clock", "catch-up"]}


@pytest.mark.parametrize("policy", POLICIES)
def test_a_restore_stands_or_catches_up(start, target, tmp_path, policy):
    machine = ready(start, disk=False)
    difference = Difference(machine)
    assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
    assert ferry("quit", machine.name).status == 0
    let_pass(difference.width())
    there = target(machine, "run", "--restore", tmp_path / "file", *POLICIES[policy])
    difference.machine = there.console
    if policy == "catch-up":
        difference.check()
    else:
        low, high = difference.read()
        assert high < difference.low
    there.verdict()
    assert there.power_off() == 0


def test_a_paused_guest_catches_up_when_it_runs(start, target, tmp_path):
    """From when it was saved, and although another process has it by then."""
    machine = ready(start, disk=False)
    difference = Difference(machine)
    began_ns = monotonic_ns()
    assert ferry("stop", machine.name).status == 0
    assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
    stopped_ns = monotonic_ns() - began_ns
    assert ferry("quit", machine.name).status == 0
    there = target(machine, "run", "--restore", tmp_path / "file", "--clock", "catch-up")
    there.wait_status("paused")
    done = there.ferry("update", there.name)
    assert done.status == 0, done.err
    let_pass(stopped_ns + difference.width())
    assert there.ferry("cont", there.name).status == 0
    difference.machine = there.console
    low, high = difference.read()
    assert low <= difference.high, f"the guest's clock is at least {low - difference.high} ns ahead"
    assert high >= difference.low - stopped_ns
    there.verdict()
    assert there.power_off() == 0


def test_a_move_can_catch_up(start, target):
    """With its pause, however long that was."""
    machine = ready(start)
    difference = Difference(machine)
    there = target(machine, "receive", "tcp:127.0.0.1:0", "--name", "there", "--clock", "catch-up")
    qmp = machine.qmp()
    capability = {"capability": "pause-before-switchover", "state": True}
    qmp.execute("migrate-set-capabilities", capabilities=[capability])
    qmp.execute("migrate", uri=there.listening())
    while qmp.execute("query-migrate")["status"] != "pre-switchover":
        pass
    let_pass(difference.width())
    qmp.execute("migrate-continue", state="pre-switchover")
    while qmp.execute("query-migrate")["status"] != "completed":
        pass
    difference.machine = there.console
    difference.check()
    there.verdict()
    assert there.power_off() == 0


def test_qemu_is_told_nothing(start, tmp_path):
    """Since when the clock stands is said to another ferry only; to QEMU these bytes are zeros, as it writes them."""
    for words, told in ([], True), (["-M", "virt,compat=qemu-10.0.2"], False):
        machine = ready(start, options=words, disk=False)
        assert ferry("snapshot", machine.name, tmp_path / "file").status == 0
        items = json.loads(ferry("analyze", tmp_path / "file", "--json").out)["items"]
        timer = next(item["fields"] for item in items if item["name"] == "timer")
        assert (timer["unused"] != 0) == told
        assert ferry("quit", machine.name).status == 0
