# SPDX-License-Identifier: Apache-2.0
"""What the guest needs out of Debian's packages: kernel, firmware, busybox, modules.

The kernel is Debian's to the byte. The modules lose their symbol and type tables and, with them,
their signature, which no configuration of ours demands: checking it takes an emulated processor
longer than all the rest of the boot (measured: 840 of 1690 million instructions).
"""

import gzip
import lzma
import re
import struct
import subprocess
import tarfile

from . import BuildError, archive

# Loaded at boot, in this order with what they depend on before them.
BOOT_MODULES = ("virtio_mmio", "virtio_blk", "virtio_net", "virtio_rng")
# In the initramfs for `modprobe`: big, or for a few tests, and the boot does not need them.
LATER_MODULES = ("ext4", "virtio_input", "evdev", "virtio_balloon")
# What the kernel asks for by another name when a file system is mounted.
ALIASES = {"fs-ext4": "ext4", "crypto-crc32c": "crc32c_generic"}
# Debian names these needs by alias, so that they are not among a module's "depends".
SOFT_NEEDS = {"ext4": ["crc32c_generic"], "jbd2": ["crc32c_generic"]}

FIRMWARE = "usr/lib/riscv64-linux-gnu/opensbi/generic/fw_dynamic.bin"


def unpack(debs, base):
    """Fill the folder base: Image, fw_dynamic.bin, busybox, version, modules/*.ko, modules/boot
    (what to load at boot, in this order) and modules/modules.dep, modules.alias (for modprobe)."""
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
                (base / "version").write_text(re.search("lib/modules/([^/]+)/", name).group(1))
    for needed in ("Image", "fw_dynamic.bin", "busybox"):
        if not (base / needed).exists():
            raise BuildError(f"none of {', '.join(deb.name for deb in debs)} holds the {needed}")
    unpack_modules(modules, base / "modules")


def members(deb):
    """(path, contents) of the regular files in a package, without ever unpacking it to disk."""
    command = ["dpkg-deb", "--fsys-tarfile", str(deb)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    if member.isfile():
                        yield member.name.removeprefix("./"), tar.extractfile(member).read()
        except tarfile.TarError as error:
            raise BuildError(f"{deb} is damaged ({error}): delete it and run again") from None
    if process.returncode:
        raise BuildError(f"{deb} is damaged: delete it and run guest/build again")


def module_name(path):
    return re.sub(r"\.ko(\.xz)?$", "", path.rsplit("/", 1)[1]).replace("-", "_")


def module_needs(data):
    """The modules that a module names as having to be there before it."""
    found = re.search(rb"\0depends=([^\0]*)\0", data)
    text = found.group(1).decode() if found else ""
    return [word.replace("-", "_") for word in text.split(",") if word]


def unpack_modules(packed, folder):
    needs = {}  # in an order in which they can be loaded

    def add(name):
        if name in needs:
            return
        if name not in packed:
            raise BuildError(f"the kernel package has no module {name}")
        path, data = packed[name]
        # The guest's processor is a program: unpack here.
        plain = lzma.decompress(data) if path.endswith(".xz") else data
        below = module_needs(plain) + SOFT_NEEDS.get(name, [])
        for needed in below:
            add(needed)
        needs[name] = below
        file = folder / f"{name}.ko"
        file.write_bytes(plain)
        strip_module(file)

    for name in BOOT_MODULES:
        add(name)
    (folder / "boot").write_text("".join(f"{name}.ko\n" for name in needs))
    for name in LATER_MODULES:
        add(name)
    (folder / "modules.dep").write_text(
        "".join(f"{name}.ko: {' '.join(all_below(name, needs))}\n" for name in needs)
    )
    (folder / "modules.alias").write_text(
        "".join(f"alias {alias} {name}\n" for alias, name in ALIASES.items())
    )


def all_below(name, needs):
    """Files a module needs, directly or not, the one to load last first, as modules.dep wants it."""
    found = []
    for needed in needs[name]:
        for file in (f"{needed}.ko", *all_below(needed, needs)):
            if file not in found:
                found.append(file)
    return found


def strip_module(file):
    command = ["riscv64-linux-gnu-objcopy", "--strip-unneeded", "-R", ".BTF", str(file)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is not installed: run scripts/setup guest") from None
    if done.returncode:
        raise BuildError(f"{command[0]} failed on {file.name}: {done.stderr.strip()}")


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
