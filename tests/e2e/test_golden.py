# SPDX-License-Identifier: Apache-2.0
"""What an older ferry saved loads, and is saved again as it was: a guest outlives the program that runs it.

tests/data/ferry holds it, named by the commit: `ferry snapshot` of a paused Linux with 2 harts, 128 MiB in a file
(x-ignore-shared), virtio-blk that had been written to, virtio-net and virtio-rng. Of the memory only the rings are kept,
which devices look at when they load. A new one is added when a release is made; none is ever taken away.
"""

import gzip
import json
import lzma
from pathlib import Path

import pytest
from ferry_cli import ferry
from harness import GUEST
from moving import Target

SAVED = sorted((Path(__file__).parent.parent / "data" / "ferry").glob("*.stream.gz"))
IGNORE_SHARED = json.dumps({"capabilities": [{"capability": "x-ignore-shared", "state": True}]})
# A card that arrives asks its driver to announce it, by an interrupt. Older ones do not say since when the clock stands.
DIFFER = {"riscv_sifive_plic": "pending", "virtio-mmio@0000000010007000/virtio-net": "virtio", "timer": "unused"}


def sections(image):
    """What each device is said to be, without the words of one ferry to another."""
    items = json.loads(ferry("analyze", image, "--json").out)["items"]
    found = {(i["name"], i["instance"]): i["fields"] for i in items if "fields" in i and i["name"] != "ferry/hello"}
    for (name, _), fields in found.items():
        fields.pop(DIFFER.get(name), None)
    return found


@pytest.fixture(params=SAVED, ids=lambda path: path.name.split(".")[0])
def saved(request, tmp_path):
    (tmp_path / "stream").write_bytes(gzip.decompress(request.param.read_bytes()))
    (tmp_path / "memory").write_bytes(lzma.decompress(Path(str(request.param).replace("stream.gz", "rings.xz")).read_bytes()))
    with open(tmp_path / "disk", "wb") as disk:
        disk.truncate(16 << 20)
    return tmp_path


def test_what_an_older_ferry_saved(saved):
    gives = {"--memory": "r0=memory", "--drive": "d0=disk", "--net-socket": "n0=net,server=on", "--kernel": GUEST / "Image",
             "--initrd": GUEST / "initramfs.cpio", "--bios": GUEST / "fw_dynamic.bin"}
    words = [word for pair in gives.items() for word in pair]
    before = ["env", "-C", str(saved)]
    there = Target("golden", saved / "there", "receive", "file:stream", "--capability", "x-ignore-shared=on", "--clock", "catch-up", *words,
                   before=before)
    try:
        there.wait_status("paused")
        assert "instead of catching up: the ferry that saved the guest is an older one" in there.stderr()
        assert there.ferry("qmp", "golden", "migrate-set-capabilities", IGNORE_SHARED).status == 0
        assert there.ferry("snapshot", "golden", saved / "again").status == 0
        old, new = sections(saved / "stream"), sections(saved / "again")
        assert len(old) > 10 and set(old) == set(new)
        for name, fields in old.items():
            assert new[name] == fields, name
    finally:
        there.close()
