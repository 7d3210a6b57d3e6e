# SPDX-License-Identifier: Apache-2.0
"""A Debian of its own under a real systemd: systemd-nspawn over a tree that is never written to.

As root. The tree is made once, by debootstrap, and kept in ~/.cache/ferry.
"""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUEST = Path(os.environ.get("FERRY_E2E_GUEST", ROOT / "build" / "guest"))
DEBS = ROOT / "build" / "deb"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ferry" / "packages"
SUITE = "bookworm"
# What the packages depend on, so that nothing is fetched in there.
INCLUDE = "systemd,dbus,libuv1,libjson-c5,libfdt1,libseccomp2,libzstd1,zlib1g"
SAFETY_NET_S = 300


def archive():
    """Where this machine's apt has Debian from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"],
        check=True, capture_output=True, text=True)
    found = [line.split("|")[2] for line in listed.stdout.splitlines() if line.startswith("Debian|Debian|")]
    assert found, "apt has no archive of Debian"
    return found[0]


@pytest.fixture(scope="session")
def tree():
    made = CACHE / SUITE
    if not made.exists():
        part = CACHE / f"{SUITE}.part"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        subprocess.run(["debootstrap", "--variant=minbase", f"--include={INCLUDE}", SUITE, part, archive()],
                       check=True, stdout=subprocess.DEVNULL)
        part.rename(made)
    return made


class Debian:
    """Booted; run() is root's command there."""

    def __init__(self, tree, folder):
        self.log = open(folder / "boot.log", "w", encoding="utf-8")
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(str(folder / "notify"))
        notify.settimeout(SAFETY_NET_S)
        self.nspawn = subprocess.Popen(
            ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--volatile=overlay", "--notify-ready=yes",
             "--private-network", f"--directory={tree}", f"--bind-ro={GUEST}:/guest", f"--bind-ro={DEBS}:/debs",
             "--boot", "--", "systemd.unit=multi-user.target"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT,
            env={**os.environ, "NOTIFY_SOCKET": str(folder / "notify")})
        said = {}
        # It says who is the first process there, and then, when systemd has booted, READY.
        while not {"X_NSPAWN_LEADER_PID", "READY"} <= set(said):
            said |= dict(line.split("=", 1) for line in notify.recv(4096).decode().splitlines())
        notify.close()
        self.leader = said["X_NSPAWN_LEADER_PID"]

    def run(self, *words, check=True):
        done = subprocess.run(
            ["nsenter", "--all", f"--target={self.leader}", "--wd=/", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
             "DEBIAN_FRONTEND=noninteractive", *words],
            capture_output=True, text=True, check=False, timeout=SAFETY_NET_S, stdin=subprocess.DEVNULL)
        if check:
            assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done

    def write(self, path, text):
        self.run("sh", "-c", f"mkdir -p $(dirname {path}) && printf %s \"$1\" >{path}", "sh", text)

    def close(self):
        self.nspawn.terminate()
        self.nspawn.wait(SAFETY_NET_S)
        self.log.close()


@pytest.fixture(scope="module")
def debian(tree, tmp_path_factory):
    machine = Debian(tree, tmp_path_factory.mktemp("debian"))
    yield machine
    machine.close()
