# SPDX-License-Identifier: Apache-2.0
"""What an operator or manager set and gave before an update is there after it: capabilities, parameters, fds."""

import subprocess

import pytest
from ferry_cli import ferry, update
from harness import FERRY, end
from qmp import Qmp, QmpError
from test_kill import faulty_binary
from test_orders import Idle

QUERIES = ("query-migrate-capabilities", "query-migrate-parameters", "query-fdsets")


def knows(qmp):
    return {query: qmp.execute(query) for query in QUERIES}


def set_everything(qmp, folder):
    """Of each kind something; returns what the VM then says of itself."""
    qmp.execute(
        "migrate-set-capabilities",
        capabilities=[{"capability": name, "state": True} for name in ("xbzrle", "events")],
    )
    qmp.execute(
        "migrate-set-parameters",
        max_bandwidth=987654321,
        downtime_limit=77,
        cpu_throttle_initial=5,
        max_cpu_throttle=10,
        tls_hostname="h\u00f6st",
        multifd_compression="zstd",
    )
    before = knows(qmp)
    for name, fdset, opaque in (("a", 7, None), ("b", 7, "b\u00e4"), ("c", 2, "")):
        with open(folder / name, "w+b") as file:
            words = {} if opaque is None else {"opaque": opaque}
            qmp.execute("add-fd", fds=[file.fileno()], fdset_id=fdset, **words)
    with open(folder / "named", "w+b") as file:
        qmp.execute("getfd", fds=[file.fileno()], fdname="out")
    after = knows(qmp)
    assert before["query-fdsets"] == [] and [s["fdset-id"] for s in after["query-fdsets"]] == [2, 7]
    return after


def test_what_was_set_and_given_stays(tmp_path):
    vm = Idle(tmp_path / "vm")
    try:
        qmp = Qmp(vm.monitor)
        said = set_everything(qmp, tmp_path)
        for _ in range(2):
            update(vm.name)
            assert knows(qmp) == said
        # A number that the last process gave is not given twice, and is what removes its member.
        with open(tmp_path / "more", "w+b") as file:
            more = qmp.execute("add-fd", fds=[file.fileno()], fdset_id=7)
        fds = [fd["fd"] for one in qmp.execute("query-fdsets") for fd in one["fds"]]
        assert more["fd"] in fds and len(fds) == len(set(fds)) == 4
        qmp.execute("remove-fd", fdset_id=7, fd=more["fd"])
        assert knows(qmp) == said
        qmp.execute("migrate", uri="fd:out")
        qmp.wait_event("STOP")
        wait_migrated(qmp)
        with pytest.raises(QmpError, match="'out' not found"):
            qmp.execute("closefd", fdname="out")
        assert (tmp_path / "named").stat().st_size > 0
    finally:
        end(vm.process)


def wait_migrated(qmp):
    while (status := qmp.execute("query-migrate"))["status"] not in ("completed", "failed"):
        pass
    assert status["status"] == "completed", status


def test_a_migration_into_a_set_that_came_along(tmp_path):
    vm = Idle(tmp_path / "vm")
    try:
        qmp = Qmp(vm.monitor)
        with open(tmp_path / "image", "w+b") as file:
            qmp.execute("add-fd", fds=[file.fileno()], fdset_id=3)
        update(vm.name)
        update(vm.name)
        qmp.execute("migrate", uri="file:/dev/fdset/3")
        wait_migrated(qmp)
        told = ferry("analyze", tmp_path / "image")
        assert told.status == 0, told.err
    finally:
        end(vm.process)


@pytest.mark.parametrize("point", ["state-received", "loaded-sent"])
def test_an_update_that_fails_takes_nothing_away(tmp_path, point):
    vm = Idle(tmp_path / "vm")
    try:
        qmp = Qmp(vm.monitor)
        said = set_everything(qmp, tmp_path)
        with pytest.raises(QmpError):
            qmp.execute("ferry-update", binary=str(faulty_binary(tmp_path, f"{point}=kill")))
        assert knows(qmp) == said
        update(vm.name)
        assert knows(qmp) == said
    finally:
        end(vm.process)


def test_a_vm_of_another_operator_has_what_that_one_said(tmp_path):
    """`migrate` with `local` takes the guest, not what its operator said here."""
    vm = Idle(tmp_path / "vm")
    there = None
    try:
        source, uri = Qmp(vm.monitor), f"unix:{tmp_path / 'guest'}"
        set_everything(source, tmp_path)
        there = subprocess.Popen([FERRY, "receive", uri, "-qmp", f"unix:{tmp_path / 'qmp'},server=on,wait=off",
                                  "--parameter", "downtime-limit=11"])  # fmt: skip
        while not (tmp_path / "guest").exists() or not (tmp_path / "qmp").exists():
            assert there.poll() is None
        qmp = Qmp(tmp_path / "qmp")
        source.execute("migrate-set-parameters", local=True)
        source.execute("migrate", uri=uri)
        qmp.wait_event("RESUME")
        parameters = qmp.execute("query-migrate-parameters")
        assert (parameters["downtime-limit"], parameters["max-bandwidth"]) == (11, 128 << 20)
        assert qmp.execute("query-fdsets") == []
        qmp.execute("quit")
        assert there.wait() == 0
    finally:
        if there:
            end(there)
        end(vm.process)
