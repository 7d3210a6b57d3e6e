# SPDX-License-Identifier: Apache-2.0
"""What the operator sets before or during a migration has the effect that it says."""

from moving import SMALL, check_moved

BUSY = {**SMALL, "disk": False, "append": "witness.mem=4M witness.rate=4G witness.status=0"}


def capabilities(qmp, *names):
    qmp.execute("migrate-set-capabilities", capabilities=[{"capability": name, "state": True} for name in names])


def until(qmp, condition):
    """query-migrate's answer, as soon as it is so."""
    while True:
        info = qmp.execute("query-migrate")
        assert info["status"] not in ("failed", "cancelled"), info
        if condition(info):
            return info


def test_a_guest_that_writes_too_fast_is_slowed_down(start, target):
    """From the second round on the link is slower than the guest."""
    machine = start(**BUSY)
    machine.wait_ready()
    there = target(machine, "receive", "tcp:127.0.0.1:0")
    qmp = machine.qmp()
    capabilities(qmp, "auto-converge", "events")
    qmp.execute("migrate-set-parameters", max_bandwidth=0, downtime_limit=0)
    # However slow this host is: too much is what exceeds a hundredth of what is sent.
    qmp.execute("migrate-set-parameters", throttle_trigger_threshold=1)
    qmp.execute("migrate-set-parameters", cpu_throttle_initial=50, cpu_throttle_increment=45)
    qmp.execute("migrate", uri=there.listening())
    until(qmp, lambda info: info.get("ram", {}).get("dirty-sync-count", 0) > 1)
    qmp.execute("migrate-set-parameters", max_bandwidth=4 << 20)
    until(qmp, lambda info: info.get("cpu-throttle-percentage") == 50)
    until(qmp, lambda info: info.get("cpu-throttle-percentage") == 95)
    qmp.execute("migrate-set-parameters", downtime_limit=300)
    info = until(qmp, lambda info: info["status"] == "completed")
    assert "cpu-throttle-percentage" not in info
    check_moved(machine, there)
