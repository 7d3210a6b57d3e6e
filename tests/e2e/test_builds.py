# SPDX-License-Identifier: Apache-2.0
"""Which build of ferry runs a VM, and which one an update starts."""

import re
import shutil
import subprocess

import pytest
from ferry_cli import ferry
from harness import FERRY
from test_orders import Idle, end


def build_of(program):
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return re.fullmatch(r"ferry (\S+ \([0-9a-f]{12}\))\n", said)[1]


def make_another_build(source, path):
    """The same program under another build ID: what a rebuild looks like, without one."""
    digits = bytes.fromhex(build_of(source).split("(")[1][:12])
    image = source.read_bytes()
    assert image.count(digits) == 1
    new = path.with_suffix(".new")
    new.write_bytes(image.replace(digits, digits[::-1]))
    new.chmod(0o755)
    new.rename(path)  # as a package manager does: what runs keeps the old file
    return build_of(path)


@pytest.fixture
def installed(tmp_path):
    """A ferry of our own that can be replaced, and a VM that it runs."""
    program = tmp_path / "ferry"
    shutil.copy(FERRY, program)
    vm = Idle(tmp_path / "vm", program=program)
    yield program, vm
    end(vm.process)


def update(program, name, *options):
    return subprocess.run([program, "update", name, *options], capture_output=True, text=True, check=False)


def test_an_update_starts_the_ferry_that_was_called(installed):
    program, vm = installed
    old = build_of(program)
    assert f"build      {old}" in ferry("status", vm.name).out
    new = make_another_build(program, program)
    assert old != new
    status = ferry("status", vm.name).out
    assert f"build      {old}" in status
    assert f"{program} (deleted" in status
    done = update(program, vm.name)
    assert done.returncode == 0, done.stderr
    assert f"{old} -> {new}\n" in done.stdout
    status = ferry("status", vm.name).out
    assert f"build      {new}" in status
    assert "deleted" not in status
    assert f"{new} -> {new}, the same build" in update(program, vm.name).stdout


def test_another_ferry_is_named_by_calling_it(installed):
    """Of two that are installed, the one whose update it is."""
    program, vm = installed
    done = update(FERRY, vm.name)
    assert done.returncode == 0, done.stderr
    assert f"binary     {FERRY}\n" in ferry("status", vm.name).out


def test_without_a_name_a_monitor_starts_what_is_there_now(installed):
    program, vm = installed
    new = make_another_build(program, program)
    done = ferry("qmp", vm.name, "ferry-update")
    assert done.status == 0, done.err
    assert f'"to": "{new}"' in done.out
    program.unlink()
    done = ferry("qmp", vm.name, "ferry-update")
    assert done.status == 1
    assert f"cannot start {program} (which the VM runs, and which was deleted)" in done.err
    assert f"{program} (deleted" in ferry("status", vm.name).out
