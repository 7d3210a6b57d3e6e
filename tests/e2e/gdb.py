# SPDX-License-Identifier: Apache-2.0
"""A client of GDB's remote serial protocol, and a guest that is easy to look at."""

import socket
import struct

# At 0x80000000: lui t0, 0x10000; addi t1, t1, 1; addi t2, t2, 2; j .-8
LOOP = struct.pack("<4I", 0x100002B7, 0x00130313, 0x00238393, 0xFF9FF06F)
BASE = 0x80000000
SAFETY_NET_S = 60


class Gdb:
    """Packets over a UNIX socket, acknowledged."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SAFETY_NET_S)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        body = data.encode()
        self.socket.sendall(b"$" + body + b"#%02x" % (sum(body) & 0xFF))

    def receive(self):
        """The next packet's data; acknowledgements before it are passed over."""
        while (byte := self.file.read(1)) != b"$":
            assert byte == b"+", f"{byte!r} instead of a packet"
        data = b""
        while (byte := self.file.read(1)) != b"#":
            assert byte, "the connection has ended"
            data += byte
        self.file.read(2)
        try:
            self.socket.sendall(b"+")
        except BrokenPipeError:
            pass  # it was the last that the guest had to say
        return data.decode()

    def ask(self, data):
        self.send(data)
        return self.receive()

    def register(self, number):
        return int.from_bytes(bytes.fromhex(self.ask(f"p{number:x}")), "little")

    def interrupt(self):
        self.socket.sendall(b"\x03")
        return self.receive()

    def close(self):
        self.file.close()
        self.socket.close()
