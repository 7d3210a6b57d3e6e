# SPDX-License-Identifier: Apache-2.0
"""guest/build without the network: where packages come from, what is made of them, when it is idle."""

import gzip
import lzma
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "guest"))

from builder import BuildError, archive, initramfs, kernel  # noqa: E402

IMAGE = b"MZ" + bytes(0x2E) + b"RISCV\0\0\0" + b"RSC\x05" + b"rest of the kernel"


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """apt with these sources only, and no lists, as on a machine that never ran apt-get update."""

    def configure(one_line="", deb822=""):
        (tmp_path / "lists" / "partial").mkdir(parents=True)
        (tmp_path / "parts").mkdir()
        (tmp_path / "sources.list").write_text(one_line)
        (tmp_path / "parts" / "some.sources").write_text(deb822)
        (tmp_path / "apt.conf").write_text(
            f'Dir::State::lists "{tmp_path}/lists";\nDir::Etc::sourcelist "{tmp_path}/sources.list";\n'
            f'Dir::Etc::sourceparts "{tmp_path}/parts";\n'
        )
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))

    return configure


def test_archive_of_a_one_line_source(apt):
    apt(one_line="deb [arch=amd64] http://one.example/debian bookworm main\n")
    assert archive.configured_archive() == "http://one.example/debian"


def test_archive_of_a_deb822_source(apt):
    apt(deb822="Types: deb\nURIs: https://two.example/pub/debian/\nSuites: trixie\nComponents: main\n")
    assert archive.configured_archive().rstrip("/") == "https://two.example/pub/debian"


def test_archive_is_not_that_of_security_or_of_another_system(apt):
    apt(
        one_line="deb http://ubuntu.example/ubuntu noble main\n"
        "deb http://three.example/debian-security bookworm-security main\n"
        "deb http://three.example/debian bookworm main\n"
    )
    assert archive.configured_archive() == "http://three.example/debian"


def test_archive_behind_a_proxy_of_another_name(apt):
    apt(one_line="deb http://proxy.example/repository/apt-hosted/ bookworm main\n")
    assert archive.configured_archive().rstrip("/") == "http://proxy.example/repository/apt-hosted"


def test_no_archive_is_an_error_that_says_what_to_do(apt):
    apt(one_line="deb http://ubuntu.example/ubuntu noble main\n")
    with pytest.raises(BuildError, match="add one"):
        archive.configured_archive()


def zboot(kind, payload):
    return b"MZ\0\0zimg" + struct.pack("<II", 64, len(payload)) + bytes(8) + kind.ljust(32, b"\0") + bytes(8) + payload


@pytest.mark.parametrize(
    "wrapped",
    [
        IMAGE,
        gzip.compress(IMAGE),
        zboot(b"gzip", gzip.compress(IMAGE)),
        zboot(b"xz", lzma.compress(IMAGE)),
        zboot(b"lzma", lzma.compress(IMAGE, lzma.FORMAT_ALONE)),
    ],
)
def test_kernel_is_unwrapped(wrapped):
    assert kernel.plain_image(wrapped) == IMAGE


@pytest.mark.parametrize("wrong", [b"", b"MZ" + bytes(100), gzip.compress(b"text"), zboot(b"rar", b"x")])
def test_what_is_no_kernel_is_refused(wrong):
    with pytest.raises(BuildError):
        kernel.plain_image(wrong)


def test_modules_needed_are_listed_highest_first():
    needs = {"crc": [], "journal": ["crc"], "cache": [], "fs": ["journal", "cache"]}
    assert kernel.all_below("fs", needs) == ["journal.ko", "crc.ko", "cache.ko"]


def test_initramfs_is_what_cpio_reads(tmp_path):
    base = tmp_path / "base"
    (base / "modules").mkdir(parents=True)
    (base / "version").write_text("6.12-test")
    (base / "busybox").write_bytes(b"busybox")
    (base / "modules" / "virtio.ko").write_bytes(b"module")
    entries = dict(read_newc(initramfs.make(base, b"the witness")))
    assert entries["init"] == (0o100755, (0, 0), b"the witness")
    assert entries["dev/console"] == (0o020600, (5, 1), b"")
    assert entries["bin/sh"] == (0o120777, (0, 0), b"busybox")
    assert entries["lib/modules/6.12-test/virtio.ko"] == (0o100644, (0, 0), b"module")


def read_newc(data):
    at = 0
    while True:
        assert data[at : at + 6] == b"070701" and at % 4 == 0
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_at = at + 110
        name = data[name_at : name_at + fields[11] - 1].decode()
        body_at = (name_at + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return
        yield name, (fields[1], (fields[9], fields[10]), data[body_at : body_at + fields[6]])
        at = (body_at + fields[6] + 3) // 4 * 4


def run_build(*arguments, **environment):
    command = [ROOT / "guest" / "build", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_wrong_arguments():
    assert run_build("--help").returncode == 0
    for wrong in (["--fast"], ["a", "b"]):
        done = run_build(*wrong)
        assert done.returncode == 1 and wrong[-1] in done.stderr


def test_nothing_changed_nothing_done(tmp_path):
    """Builds once for real: with a filled cache that takes no network."""
    first = run_build(str(tmp_path))
    assert first.returncode == 0, first.stderr
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {"Image", "initramfs.cpio", "fw_dynamic.bin", "cmdline"} <= set(times)
    again = run_build(str(tmp_path))
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == times
    (tmp_path / "Image").unlink()
    assert run_build(str(tmp_path)).returncode == 0
    assert (tmp_path / "Image").exists()
