# SPDX-License-Identifier: Apache-2.0
"""scripts/setup on machines made of three fake tools."""

import os
import subprocess
from pathlib import Path

import pytest

SETUP = Path(__file__).resolve().parents[2] / "scripts" / "setup"


@pytest.fixture
def machine(tmp_path):
    """machine(installed, user=..., sudo=...) runs setup and returns (process, what apt-get was told)."""
    log = tmp_path / "apt.log"
    log.write_text("")

    def tool(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(*groups, missing=(), user=0, sudo=False, apt_fails=False):
        gone = "|".join(missing) or "-"
        # dpkg-query: prints each package that is there, fails if one is not.
        tool(
            "dpkg-query",
            f'shift 3\nfor p; do case $p in {gone}) bad=1 ;; *) echo "$p installed" ;; esac; done\n[ -z "$bad" ]',
        )
        tool("id", f"echo {user}")
        tool("apt-get", f'echo "$@" >>{log}\n[ "$1" = update ] || exit {int(apt_fails)}')
        tool("sudo", 'case $1 in -n) exit 0 ;; -v) exit 0 ;; esac\necho via sudo >>"$LOG"\nexec "$@"' if sudo else "exit 1")
        environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": str(log)}
        done = subprocess.run(
            [SETUP, *groups], capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment, check=False
        )
        return done, log.read_text().splitlines()

    return run


@pytest.mark.parametrize("group", ["build", "guest", "test", "demo"])
def test_nothing_missing(machine, group):
    done, told = machine(group)
    assert (done.returncode, done.stdout, done.stderr, told) == (0, "", "", [])


def test_root_installs_what_is_missing_and_no_more(machine):
    done, told = machine("build", "guest", missing=["meson", "gcc-riscv64-linux-gnu"])
    assert done.returncode == 0
    assert told[0].startswith("update")
    assert told[1].split()[:5] == ["install", "--yes", "--no-install-recommends", "meson", "gcc-riscv64-linux-gnu"]


def test_through_sudo(machine):
    done, told = machine("build", missing=["meson"], user=1000, sudo=True)
    assert done.returncode == 0
    assert told[0] == "via sudo" and "meson" in told[-1]


def test_neither_root_nor_sudo(machine):
    done, told = machine("build", missing=["meson", "gcc"], user=1000)
    assert done.returncode == 1
    assert "apt-get install --yes --no-install-recommends gcc meson\n" in done.stderr
    assert told == []


def test_apt_fails(machine):
    done, _ = machine("demo", missing=["passt"], apt_fails=True)
    assert done.returncode == 1
    assert "apt-get install --yes --no-install-recommends passt" in done.stderr


def test_unknown_group(machine):
    done, told = machine("everything")
    assert done.returncode == 1 and "'everything'" in done.stderr and told == []
