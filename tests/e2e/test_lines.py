# SPDX-License-Identifier: Apache-2.0
"""Command lines that people paste: see lines.py."""

import gzip
import os
import shlex
import shutil
import struct
import subprocess

import pytest
from console import Console
from ferry_cli import ferry
from harness import FERRY, GUEST, check_refusals, end, make_disk
from lines import BOOTS, REFUSED


# lui t0, 0x10000; li t1, 'b'; sb t1, (t0); li t1, '\\n'; sb t1, (t0); j .
BARE = (0x100002B7, 0x06200313, 0x00628023, 0x00A00313, 0x00628023, 0x0000006F)


def make_file(path):
    """What its name says."""
    if path.suffix in (".img", ".raw", ".ext2", ".ext4"):
        make_disk(path, size_mib=16)
    elif path.name == "Image.gz":
        path.write_bytes(gzip.compress((GUEST / "Image").read_bytes(), 1))
    elif path.name == "image.qcow2":
        path.write_bytes(b"QFI\xfb\0\0\0\3" + bytes(65536))
    elif path.name == "Image.zst":
        path.write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    elif path.name == "vmlinuz.efi":
        path.write_bytes(b"MZ\0\0zimg" + bytes(100))
    elif path.name == "rootfs.cpio":
        shutil.copy(GUEST / "initramfs.cpio", path)
    elif path.name == "bare.bin":
        path.write_bytes(struct.pack("<6I", *BARE))
    elif path.name in ("fw_dynamic.bin", "fw_jump.elf"):
        shutil.copy(GUEST / "fw_dynamic.bin", path)
    elif path.name == "Image":
        os.symlink(GUEST / "Image", path)


def in_folder(line, folder):
    """The words, with the files that they name there."""
    words = shlex.split(line)
    for word in words:
        for part in word.split(","):
            name = part.split("=")[-1]
            if "/" not in name and not (folder / name).exists():
                make_file(folder / name)
    return words


@pytest.mark.parametrize("line, says", BOOTS.values(), ids=BOOTS)
def test_boots(guest, tmp_path, line, says):
    console = Console()
    with open(tmp_path / "stderr", "w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [FERRY, "run", "-name", f"line-{os.getpid()}", *in_folder(line, tmp_path)],
            cwd=tmp_path,
            stdin=console.theirs,
            stdout=console.theirs,
            stderr=errors,
        )
        try:
            console.started()
            console.wait(says, timeout_s=60)
        finally:
            end(process)
            console.close()
            errors.seek(0)
            said = errors.read()
            print(said)
        check_refusals(said)


@pytest.mark.parametrize("line, says", REFUSED.values(), ids=REFUSED)
def test_is_refused(guest, tmp_path, line, says):
    done = ferry("run", *in_folder(line, tmp_path), cwd=tmp_path)
    assert done.status == 1
    assert says in done.err, done.err
    assert done.err.count("\n") == 1
    assert "did you mean" not in done.err
