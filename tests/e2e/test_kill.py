# SPDX-License-Identifier: Apache-2.0
"""Whoever dies or hangs at whatever step of a handover: exactly one process runs the guest.

The one exception is honest: a source that is killed before the target has the whole state takes the
guest with it, as any VMM that is killed does; then nobody runs it.
"""

import pytest
from ferry_cli import TARGET_LOST, faulty_binary, ferry, running, update

SMALL = {"harts": 1, "mem_mib": 128, "append": "witness.mem=16M"}

# Named points in the order in which they happen (ferry run --help).
SOURCE_BEFORE_STATE = ["hello-sent", "ready-received", "quiesced", "harts-stopped", "parts-paused", "saved"]
SOURCE_AFTER_STATE = ["state-sent", "loaded-received", "lock-released", "commit-sent", "running-received"]
TARGET_BEFORE_START = [
    "hello-received",
    "built",
    "ready-sent",
    "state-received",
    "state-loaded",
    "adopted",
    "loaded-sent",
    "commit-received",
    "lock-taken",
]


def start_faulty_source(start, fault):
    machine = start(options=(), before=("--fault", fault), **SMALL)
    machine.wait_ready()
    return machine


@pytest.mark.parametrize("action", ["kill", "stop"])
def test_target_lost(start, tmp_path, action):
    """One guest for all points: each time the source must go on as if nothing had been."""
    machine = start(**SMALL)
    machine.wait_ready()
    points = TARGET_BEFORE_START
    if action == "stop":
        # A target that hangs with the lock in hand may still run: nobody else may.
        points = [point for point in points if point not in ("commit-received", "lock-taken")]
    for point in points:
        binary = faulty_binary(tmp_path, f"{point}={action}")
        done = ferry("update", machine.name, "--timeout", "2", "--binary", binary)
        assert done.status == 1, f"{point}: {done.out}"
        assert TARGET_LOST[action] in done.err, f"{point}: {done.err}"
        assert running(machine.name), f"{point}: {done.err}"
        machine.ask("gap", "witness: gap_us=")
    machine.verdict()
    update(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


@pytest.mark.parametrize("point", SOURCE_AFTER_STATE)
def test_source_killed_when_the_target_has_the_state(start, point):
    machine = start_faulty_source(start, f"{point}=kill")
    ferry("update", machine.name)
    # The answer on the console is the proof: somebody runs the guest.
    machine.verdict()
    assert running(machine.name)
    update(machine.name)
    machine.verdict()
    machine.console.send("poweroff")
    machine.console.wait_end()


@pytest.mark.parametrize("point", SOURCE_BEFORE_STATE)
def test_source_killed_before(start, point):
    machine = start_faulty_source(start, f"{point}=kill")
    done = ferry("update", machine.name)
    assert done.status == 1
    # Every process that had the console is gone: nobody runs half a guest.
    machine.console.wait_end()
    # The kernel closes a killed process's files one by one: the console first, the name's lock later.
    assert machine.process.wait(60) == -9
    assert machine.name not in ferry("ls").out
