# SPDX-License-Identifier: Apache-2.0
"""pytest fixtures: the guest is built, a machine is closed whatever happens to its test."""

import os
import subprocess

import pytest
from faults import Faults, build_library
from harness import GUEST, ROOT, Machine, find_vmm
from moving import SMALL, Target, gives
from network import Passt, Tap


def pytest_addoption(parser):
    parser.addoption("--vmm", choices=("ferry", "qemu"), default="ferry", help="what runs the guest")
    parser.addoption("--network", choices=("tap", "passt", "auto"), default="auto", help="auto: tap when root")


@pytest.fixture(scope="session")
def guest():
    subprocess.run([ROOT / "guest" / "build", GUEST], check=True)


@pytest.fixture
def vmm(request):
    return find_vmm(request.config.getoption("--vmm"))


@pytest.fixture
def network(request, tmp_path):
    kind = request.config.getoption("--network")
    if kind == "auto":
        kind = "tap" if os.getuid() == 0 else "passt"
    made = Tap(tmp_path) if kind == "tap" else Passt(tmp_path)
    yield made
    made.close()


@pytest.fixture
def start(guest, vmm, tmp_path):
    """start(...) makes Machines; see Machine for its parameters."""
    machines = []

    def begin(**parameters):
        folder = tmp_path / f"vm{len(machines)}"
        folder.mkdir()
        machine = Machine(parameters.pop("vmm", vmm), folder, **parameters)
        machines.append(machine)
        return machine

    yield begin
    for machine in machines:
        machine.close()


@pytest.fixture
def target(tmp_path):
    """target(machine, words...) starts one; where it takes what comes, on a host that shares the machine's storage.
    goes_on: one that receives waits for another when what came was refused."""
    made = []

    def begin(machine, *words, goes_on=False, **where):
        if words[0] == "receive" and not goes_on:
            words = (*words, "--once")
        if words[0] == "receive" or "--restore" in words:
            words = (*words, *gives(machine), "--allow-path", tmp_path)
        made.append(Target(machine.name, tmp_path / f"target{len(made)}", *words, **where))
        return made[-1]

    yield begin
    for each in made:
        each.close()


@pytest.fixture
def small(start):
    machine = start(**SMALL)
    machine.wait_ready()
    return machine


@pytest.fixture(scope="session")
def faults_library(tmp_path_factory):
    return build_library(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def faults(faults_library, tmp_path):
    made = Faults(tmp_path, faults_library)
    yield made
    made.close()
