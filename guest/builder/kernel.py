# SPDX-License-Identifier: Apache-2.0
"""What the guest needs out of Debian's packages: kernel, firmware, busybox, modules."""

import gzip
import lzma
import re
import struct
import subprocess
import tarfile

from . import BuildError, archive

# Loaded at boot, in this order with what they depend on before them.
BOOT_MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng")
# In the initramfs for `modprobe`: big, and the boot does not need them.
LATER_MODULES = ("crc32c_generic", "ext4")

FIRMWARE = "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"


def unpack(debs, base):
    """Fill the folder base: Image, fw_dynamic.bin, busybox, modules/ and modules/order."""
    if base.exists():
        archive.remove_tree(base)
    (base / "modules").mkdir(parents=True)
    modules = {}
    for deb in debs:
        for name, data in members(deb):
            if name.startswith("boot/vmlinu"):
                (base / "Image").write_bytes(plain_image(data))
            elif name == FIRMWARE:
                (base / "fw_dynamic.bin").write_bytes(data)
            elif name in ("usr/bin/busybox", "bin/busybox"):
                (base / "busybox").write_bytes(data)
            elif name.endswith((".ko", ".ko.xz")):
                modules[module_name(name)] = (name, data)
    for needed in ("Image", "fw_dynamic.bin", "busybox"):
        if not (base / needed).exists():
            raise BuildError(f"none of {', '.join(deb.name for deb in debs)} holds the {needed}")
    unpack_modules(modules, base / "modules")


def members(deb):
    """(path, contents) of the regular files in a package, without ever unpacking it to disk."""
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
            for member in tar:
                if member.isfile():
                    yield member.name.removeprefix("./"), tar.extractfile(member).read()
    if process.returncode:
        raise BuildError(f"{deb} is damaged: delete it and run guest/build again")


def module_name(path):
    return re.sub(r"\.ko(\.xz)?$", "", path.rsplit("/", 1)[1]).replace("-", "_")


def module_needs(data):
    """What a module says must be there before it; soft dependencies are aliases, so not here."""
    found = re.search(rb"\0depends=([^\0]*)\0", data)
    text = found.group(1).decode() if found else ""
    return [word.replace("-", "_") for word in text.split(",") if word]


def unpack_modules(packed, folder):
    plain = {}
    order = []

    def add(name):
        if name in plain:
            return
        if name not in packed:
            raise BuildError(f"the kernel package has no module {name}")
        path, data = packed[name]
        # The guest's processor is a program: unpack and leave out what loading does not need, here.
        plain[name] = lzma.decompress(data) if path.endswith(".xz") else data
        for needed in module_needs(plain[name]):
            add(needed)
        order.append(name)

    for name in BOOT_MODULES:
        add(name)
    boot = list(order)
    for name in LATER_MODULES:
        add(name)
    for name, data in plain.items():
        (folder / f"{name}.ko").write_bytes(data)
    (folder / "boot").write_text("".join(f"{name}\n" for name in boot))
    (folder / "later").write_text("".join(f"{name}\n" for name in order if name not in boot))


def plain_image(data):
    """The kernel as firmware can start it, whether Debian wraps it (EFI zboot, gzip) or not."""
    if data[:2] == b"MZ" and data[4:8] == b"zimg":
        offset, size = struct.unpack_from("<II", data, 8)
        kind = data[24:56].split(b"\0")[0].decode("ascii", "replace")
        return plain_image(unpack_payload(kind, data[offset : offset + size]))
    if data[:2] == b"\x1f\x8b":
        return plain_image(gzip.decompress(data))
    if data[0x30:0x35] != b"RISCV" or data[0x38:0x3C] != b"RSC\x05":
        raise BuildError("the kernel is neither a RISC-V Image nor a compressed one")
    return data


def unpack_payload(kind, payload):
    if kind == "gzip":
        return gzip.decompress(payload)
    if kind in ("xz", "lzma"):
        return lzma.decompress(payload)
    tool = {"zstd": "zstd", "zstd22": "zstd", "lz4": "lz4"}.get(kind)
    if not tool:
        raise BuildError(f"the kernel is compressed with '{kind}'; known are gzip, xz, lzma, zstd, lz4")
    done = subprocess.run([tool, "-dc"], input=payload, capture_output=True, check=False)
    if done.returncode:
        raise BuildError(f"{tool} cannot unpack the kernel: {done.stderr.decode().strip()}")
    return done.stdout
