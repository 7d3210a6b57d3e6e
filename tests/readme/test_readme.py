# SPDX-License-Identifier: Apache-2.0
"""Every command of README, typed in a fresh clone, in order: what it says is what a newcomer gets."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from console import Console  # noqa: E402
from harness import die_with_me, end  # noqa: E402

README = (ROOT / "README.md").read_text()
# This test is part of one, and the other is a demonstration of what the rest of README does.
SET_UP = ["make demo", "make check"]
# As the table of README names them, as short as they can be; what is left out takes hours.
IN_SHORT = {
    "bench/update": "bench/update --updates 1 --harts 1 --ram 128",
    "bench/cpu": "bench/cpu --rounds 1 --repeat 1",
    "bench/io": "bench/io --rounds 1 --repeat 1",
    "bench/sandbox": "bench/sandbox --machines 1 --repeat 1 --updates 1",
    "bench/answers": "bench/answers --only 'says nothing'",
    "bench/migrate": "bench/migrate --quick --runs 1 --only zero",
    "build/bench/disk": "truncate -s 64M /tmp/bench.img && build/bench/disk /tmp/bench.img",
}


def commands():
    """Of the blocks of shell, in order, without remarks; a line that ends in a backslash goes on."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"\s+# .*", "", line).strip() for line in lines) if line]


def stays(command):
    """Has the terminal to itself: a VM, or who waits for one."""
    return command.split()[:2] in (["build/ferry", "run"], ["build/ferry", "receive"])


class Clone:
    """The fresh clone, and its user's host: a folder for /tmp, one for sockets, a port that is free."""

    def __init__(self, folder):
        self.folder = folder / "ferry"
        self.tmp = folder / "tmp"
        self.tmp.mkdir()
        (folder / "run").mkdir()
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(folder / "run")}
        self.env.pop("FERRY_E2E_GUEST", None)
        self.env.pop("FERRY_E2E_FERRY", None)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.terminals = []
        subprocess.run(["git", "clone", "-q", ROOT, self.folder], check=True)
        changed = subprocess.run(["git", "diff", "--binary", "HEAD"], cwd=ROOT, capture_output=True, check=True).stdout
        if changed:
            subprocess.run(["git", "apply"], cwd=self.folder, input=changed, check=True)

    def here(self, command):
        return command.replace("/tmp", str(self.tmp)).replace(":4444", f":{self.port}")

    def run(self, command):
        done = subprocess.run(["bash", "-c", self.here(command)], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, f"$ {command}\n{done.stdout}\n{self.said()}"
        return done.stdout

    def said(self):
        """In the terminals, to the end."""
        for _, console in self.terminals:
            console.take_arrived()
        return "\n".join(f"--- a terminal:\n{console.tail()}" for _, console in self.terminals)

    def open_terminal(self, command):
        console = Console()
        process = subprocess.Popen(["bash", "-c", f"exec {self.here(command)}"],
                                   cwd=self.folder, env=self.env, stdin=console.theirs, stdout=console.theirs,
                                   stderr=console.theirs, preexec_fn=die_with_me())
        console.started()
        self.terminals.append((process, console))
        if "receive" in command:
            console.wait(r"listening on \S+")
        else:
            self.wait_listed("paused" if "--restore" in command else "running")

    def wait_listed(self, status):
        while self.terminals[-1][0].poll() is None:
            if re.search(rf"^web\d +{status}\b", self.run("build/ferry ls"), re.MULTILINE):
                return
        raise AssertionError(self.terminals[-1][1].tail())

    def close(self):
        for process, console in self.terminals:
            end(process)
            console.close()


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    made = Clone(tmp_path_factory.mktemp("readme"))
    yield made
    made.close()


def test_the_set_up_is_two_commands():
    assert commands()[:2] == SET_UP


def test_what_it_says_works(clone):
    clone.run("make")
    clone.run("make guest")
    for command in commands()[2:]:
        if stays(command):
            clone.open_terminal(command)
        else:
            clone.run(command)


def test_the_table_of_commands_is_whole():
    named = re.findall(r"^\| `([^`]+)` \|", README, re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in named:
        words = command.split()
        assert words[0] != "make" or words[1] in targets, f"{command} is no target"
    assert {word for word in named if "bench/" in word} == set(IN_SHORT)


@pytest.mark.parametrize("name", IN_SHORT)
def test_a_benchmark_runs(clone, name):
    clone.run("make && make guest")
    if name.startswith("build/"):
        clone.run("meson compile -C build")
    clone.run(IN_SHORT[name])
