# SPDX-License-Identifier: Apache-2.0
"""Names of files mean what they meant where they were given, whoever reads them, wherever that was started."""

import json
import os
import subprocess

import pytest
from ferry_cli import ferry
from harness import FERRY, GUEST, end, make_disk


@pytest.fixture
def run_in(tmp_path):
    """run_in(folder, name, words...): a VM, or what waits for one, that was started there."""
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    begun = []

    def begin(folder, name, *words):
        words = [str(word) for word in (FERRY, "run", *words)]
        begun.append(subprocess.Popen(words, cwd=folder, env=env, stdin=subprocess.DEVNULL))
        while ferry("status", name, env=env).status:
            assert begun[-1].poll() is None
        return lambda *words, **where: ferry(*words, env=env, **where)

    yield begin
    for process in begun:
        end(process)


def image(done):
    assert done.status == 0, done.err
    return json.loads(done.out)[0]["inserted"]["file"]


def test_a_disk_is_the_one_that_was_meant(guest, run_in, tmp_path):
    """A snapshot's file, written where the command is called; its disk, which has a namesake where it is restored."""
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        make_disk(folder / "disk.img")
    words = ["-m", "64", "-S", "-bios", GUEST / "fw_dynamic.bin", "-kernel", GUEST / "Image", "-serial", "file:log"]
    call = run_in(here, "a", "-name", "a", *words, "-drive", "file=disk.img,format=raw,if=none,id=d0",
                  "-device", "virtio-blk-device,drive=d0")
    assert image(call("qmp", "a", "query-block")) == str(here / "disk.img")
    assert (here / "log").exists()
    for words in (["snapshot", "a", "one"], ["migrate", "a", "file:two"]):
        done = call(*words, cwd=there)
        assert done.status == 0, done.err
        assert (there / words[-1].removeprefix("file:")).exists()
    assert call("quit", "a").status == 0
    call = run_in(there, "b", "--restore", "one", "--name", "b", "--allow-path", here, "--allow-path", GUEST)
    assert image(call("qmp", "b", "query-block")) == str(here / "disk.img")
    assert call("quit", "b").status == 0
    # What the one who restores names is of where that is.
    call = run_in(there, "c", "--restore", "one", "--name", "c", "--drive", "d0=disk.img", "--allow-path", GUEST)
    assert image(call("qmp", "c", "query-block")) == str(there / "disk.img")
    assert call("quit", "c").status == 0
