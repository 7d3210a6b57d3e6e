# SPDX-License-Identifier: Apache-2.0
"""What a guest does of its own accord while it moves is no reason to fail."""

from moving import SAFETY_NET_S, check_moved


def start_slowly(machine, there):
    """Most of RAM is still here when this returns."""
    qmp = machine.qmp()
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": "events", "state": True}])
    qmp.execute("migrate-set-parameters", max_bandwidth=1 << 20)
    qmp.execute("migrate", uri=there.listening())
    while qmp.wait_event("MIGRATION")["data"]["status"] != "active":
        pass
    return qmp


def finish(qmp):
    qmp.execute("migrate-set-parameters", max_bandwidth=0)
    while qmp.wait_event("MIGRATION")["data"]["status"] != "completed":
        pass


def test_the_guest_is_reset_on_the_way_and_there(small, target):
    there = target(small, "receive", "tcp:127.0.0.1:0")
    qmp = start_slowly(small, there)
    qmp.execute("system_reset")
    qmp.wait_event("RESET")
    finish(qmp)
    there.console.wait(r"witness: ready ")
    # The target has the boot images, whatever it was started with.
    assert there.ferry("qmp", small.name, "system_reset").status == 0
    there.console.wait(r"witness: ready ")
    check_moved(small, there)


def test_the_guest_powers_off_on_the_way(small, target):
    """The machine ends as it would have; nobody runs it there."""
    there = target(small, "receive", "tcp:127.0.0.1:0")
    start_slowly(small, there)
    assert small.power_off() == 0
    assert there.process.wait(SAFETY_NET_S) == 1
    assert "source" in there.stderr()
