# SPDX-License-Identifier: Apache-2.0
"""Command lines for riscv64 `virt` as they stand in distributions' wikis, manuals, courses and scripts.

Each boots, or is refused with one sentence that names what is missing and what to do instead. Names of
files are the authors' own; what a file is, its name says here (files_of). What follows `qemu-system-riscv64`
is kept word by word.
"""

BOOTS = {
    # What follows is what the console has to say.
    "linux-disk": (
        '-nographic -machine virt -m 1G -kernel Image -append "root=/dev/vda rw console=ttyS0" '
        "-drive file=vda.img,format=raw,id=hd0 -device virtio-blk-device,drive=hd0",
        r"Linux version \d",
    ),
    "linux-initrd": (
        "-nographic -machine virt -kernel Image -initrd rootfs.cpio -drive file=testfs.img,format=raw,id=testfs "
        '-device virtio-blk-device,drive=testfs -append "console=ttyS0 rdinit=/init"',
        r"virtio_blk virtio\d+: \[vda\]",
    ),
    "linux-packed": ('-M virt -m 512 -nographic -kernel Image.gz -append "console=ttyS0"', r"Linux version \d"),
    "buildroot-without-network": (
        '-M virt -bios fw_dynamic.bin -kernel Image -append "rootwait root=/dev/vda ro" '
        "-drive file=rootfs.ext2,format=raw,id=hd0 -device virtio-blk-device,drive=hd0 -nographic",
        r"Linux version \d",
    ),
    "arceos": (
        "-machine virt -m 128M -smp 1 -bios default -kernel Image -nographic -device virtio-blk-device,drive=disk0 "
        "-drive id=disk0,if=none,format=raw,file=disk.img",
        r"Linux version \d",
    ),
    "xv6": (
        "-machine virt -bios none -kernel bare.bin -m 128M -smp 1 -nographic "
        "-global virtio-mmio.force-legacy=false -drive file=fs.img,if=none,format=raw,id=x0 "
        "-device virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0",
        r"^b$",
    ),
    "debian-without-network": (
        "-nographic -machine virt -smp 4 -m 1G -bios fw_dynamic.bin -kernel Image "
        "-object rng-random,filename=/dev/urandom,id=rng0 -device virtio-rng-device,rng=rng0 "
        '-append "console=ttyS0 ro root=/dev/vda1" -device virtio-blk-device,drive=hd0 '
        "-drive file=rootfs.raw,format=raw,id=hd0",
        r"Linux version \d",
    ),
    "sockets-and-cores": (
        "-M virt -cpu rv64 -smp 4,sockets=1,cores=4,threads=1 -m 256M -nographic -rtc base=utc -nic none "
        "-serial mon:stdio -kernel Image",
        r"smp: Brought up 1 node, 4 CPUs",
    ),
    "old-sockets": (
        "-machine virt -display none -m 256 -serial stdio -qmp unix:monitor,server,nowait -no-reboot -kernel Image",
        r"Linux version \d",
    ),
    "firmware-only": ("-M virt -display none -serial stdio -bios fw_dynamic.bin", r"OpenSBI v\d"),
}

REFUSED = {
    "buildroot": (
        '-M virt -bios fw_jump.elf -kernel Image -append "rootwait root=/dev/vda ro" '
        "-drive file=rootfs.ext2,format=raw,id=hd0 -device virtio-blk-device,drive=hd0 "
        "-netdev user,id=net0 -device virtio-net-device,netdev=net0 -nographic",
        "run passt",
    ),
    "debian": (
        "-machine virt -cpu rv64 -m 1G -device virtio-blk-device,drive=hd -drive file=image.qcow2,if=none,id=hd "
        "-bios fw_dynamic.bin -kernel Image -nographic",
        "image.qcow2 disk.raw",
    ),
    "debian-fraction": ("-nographic -machine virt -m 1.9G -bios fw_dynamic.bin -kernel Image", "as 1944M is"),
    "fedora": (
        "-nographic -machine virt -smp 4 -m 2G -bios none -kernel Image -device virtio-blk-device,drive=hd0 "
        "-drive file=Fedora.raw,format=raw,id=hd0 -device virtio-net-device,netdev=usernet "
        "-netdev user,id=usernet,hostfwd=tcp::10000-:22",
        "run passt",
    ),
    "fedora-flash": (
        "-machine virt,pflash0=pflash0 -m 4G -blockdev "
        "node-name=pflash0,driver=file,read-only=on,filename=RISCV_VIRT_CODE.fd",
        "flash cannot be written here",
    ),
    "flash-as-a-drive": ("-M virt -nographic -drive if=pflash,format=raw,unit=0,file=u-boot.bin", "flash cannot be written"),
    "ubuntu": (
        "-machine virt -nographic -m 2048 -smp 4 -bios fw_dynamic.bin -kernel Image -device virtio-net-device,netdev=eth0 "
        "-netdev user,id=eth0 -device virtio-rng-pci -drive file=ubuntu.img,format=raw,if=virtio",
        "run passt",
    ),
    "pci-disk": (
        "-machine virt -nographic -m 512M -kernel Image -drive file=rootfs.ext4,format=raw,id=hd0 "
        "-device virtio-blk-pci,drive=hd0",
        "write virtio-blk-device",
    ),
    "short-network": ("-M virt -nographic -kernel Image -nic user,hostfwd=tcp::2222-:22", "run passt"),
    "old-network": ("-M virt -nographic -kernel Image -net nic -net user", "write -nic"),
    "rt-thread": (
        "-nographic -machine virt -cpu rv64,v=true,vlen=128,vext_spec=v1.0 -m 256M -kernel Image",
        "CPU feature 'v' is not available",
    ),
    "aia": ("-M virt,aia=aplic-imsic,aia-guests=5 -cpu rv64 -nographic -kernel Image", "the machine has a PLIC"),
    "u-boot-spl": (
        "-M virt -smp 1 -m 256M -nographic -bios u-boot-spl -device loader,file=u-boot.itb,addr=0x80200000",
        "name the firmware with -bios",
    ),
    "opensbi-by-loader": (
        "-M virt -display none -serial stdio -bios none -device loader,file=fw_dynamic.bin,addr=0x80000000",
        "name the firmware with -bios",
    ),
    "kvm": ("-M virt -enable-kvm -cpu host -nographic -kernel Image", "there is no KVM"),
    "accelerator": ("-M virt -accel kvm -nographic -kernel Image", "software CPU (tcg)"),
    "throw-away": ("-nographic -machine virt -kernel Image -snapshot", "run from a copy"),
    "window": ("-M virt -m 1G -kernel Image -device virtio-gpu-device -display gtk", "there is no display"),
    "keyboard": ("-M virt -kernel Image -nographic -usb -device usb-kbd", "there is no USB"),
    "semihosting": ("-M virt -nographic -semihosting -bios none -kernel bare.bin", "there is no semihosting"),
    "kernel-is-a-disk": ("-M virt -nographic -kernel image.qcow2", "give it to -drive"),
    "kernel-is-zstd": ("-M virt -nographic -kernel Image.zst", "packed with zstd; unpack it first"),
    "kernel-for-efi": ("-M virt -nographic -kernel vmlinuz.efi", "EFI zboot image"),
    "kernel-is-empty-disk": ("-M virt -nographic -kernel disk.img", "so it is no kernel"),
    "other-machine": ("-M sifive_u -nographic -kernel Image", "it accepts 'virt'"),
    "trace": ("-M virt -nographic -kernel Image -d in_asm", "there is no tracing"),
    "shared-folder": (
        "-M virt -nographic -kernel Image -fsdev local,id=fs,path=.,security_model=none "
        "-device virtio-9p-device,fsdev=fs,mount_tag=host",
        "folders are not shared",
    ),
}
