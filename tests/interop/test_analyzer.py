# SPDX-License-Identifier: Apache-2.0
"""QEMU's own reader of stream files takes ferry's snapshots apart to the last byte.

(Not mapped-ram files: that of QEMU 10.0 cannot read those of QEMU, either.)
"""

import json
import subprocess
import sys

import pytest
from ferry_cli import ferry
from harness import Machine, find_vmm


@pytest.mark.parametrize("machine", ("virt", "virt,compat=qemu-10.0.2"), ids=("default", "qemu"))
@pytest.mark.parametrize("modern", (False, True), ids=("legacy", "modern"))
def test_a_snapshot_is_read(guest_images, analyzer, tmp_path, machine, modern):
    more = ["-M", machine]
    more += ["-global", "virtio-mmio.force-legacy=off"] if modern else []
    vm = Machine(find_vmm("ferry"), tmp_path, harts=2, mem_mib=128, options=more)
    try:
        vm.wait_ready()
        done = ferry("snapshot", vm.name, tmp_path / "snapshot")
        assert done.status == 0, done.err
    finally:
        vm.close()
    done = subprocess.run(
        [sys.executable, analyzer, "-f", tmp_path / "snapshot"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    sections = json.loads(done.stdout)
    assert sum(name.startswith("cpu (") for name in sections) == 2
