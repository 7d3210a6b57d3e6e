# SPDX-License-Identifier: Apache-2.0
"""The initramfs: the witness as init, busybox, and the modules in loading order."""

import io

# Commands a person at the witness's shell wants at once; the rest are `busybox NAME`.
APPLETS = (
    "cat chmod cp cut date dd df dmesg du echo env false find free grep head hexdump ifconfig insmod ip kill ln ls lsmod "
    "md5sum mkdir mkfs.ext2 mknod modprobe mount mv nc netstat nproc od ping ps pwd rm rmmod route sed seq sh sleep "
    "sort stat sync tail tee time top touch tr true umount uname uptime vi wc wget which xxd"
).split()


class Cpio:
    """The `newc` format, written directly: device nodes need no root this way, and the same input
    gives the same bytes."""

    def __init__(self):
        self.out = io.BytesIO()
        self.inode = 0

    def add(self, name, mode, data=b"", device=(0, 0)):
        self.inode += 1
        path = name.encode() + b"\0"
        fields = (self.inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(path), 0)
        self.out.write(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
        self.pad()
        self.out.write(data)
        self.pad()

    def pad(self):
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def folder(self, name):
        self.add(name, 0o040755)

    def file(self, name, data, mode=0o755):
        self.add(name, 0o100000 | mode, data)

    def link(self, name, target):
        self.add(name, 0o120777, target.encode())

    def character_device(self, name, major, minor):
        self.add(name, 0o020600, device=(major, minor))

    def finish(self):
        self.add("TRAILER!!!", 0)
        return self.out.getvalue()


def make(base, witness):
    cpio = Cpio()
    modules = f"lib/modules/{(base / 'version').read_text()}"
    for folder in ("bin", "dev", "proc", "sys", "tmp", "mnt", "lib", "lib/modules", modules):
        cpio.folder(folder)
    # The kernel opens this for init before init can mount devtmpfs.
    cpio.character_device("dev/console", 5, 1)
    cpio.file("init", witness)
    cpio.file("bin/busybox", (base / "busybox").read_bytes())
    for applet in APPLETS:
        cpio.link(f"bin/{applet}", "busybox")
    for path in sorted((base / "modules").iterdir()):
        cpio.file(f"{modules}/{path.name}", path.read_bytes(), 0o644)
    return cpio.finish()
