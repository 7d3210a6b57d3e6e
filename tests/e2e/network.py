# SPDX-License-Identifier: Apache-2.0
"""A network with the guest on it, and the peer that talks to its witness.

Tap: a network namespace that only this test has, with a TAP in it; needs root, loses nothing.
Bridge: the same with two TAPs.
Passt: the user-mode network; needs nothing, and cannot ping the guest from outside.
"""

import ctypes
import os
import select
import signal
import socket
import struct
import subprocess
import threading

GUEST_IP = "10.0.2.15"
HOST_IP = "10.0.2.2"
MAC = "52:54:00:12:34:56"
WITNESS_PORT = 7777

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def checked(result, what):
    if result:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


class Namespace:
    """A network namespace without a name: it goes with the last process and socket that use it."""

    def __init__(self):
        self.fd = self.in_thread(self.create)

    @staticmethod
    def create():
        checked(libc.unshare(CLONE_NEWNET), "unshare")
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def enter(self):
        checked(libc.setns(self.fd, CLONE_NEWNET), "setns")

    @staticmethod
    def in_thread(function, *arguments):
        """Threads may be in different namespaces: the rest of the tests stays in its own."""
        result = []

        def run():
            try:
                result.append((function(*arguments), None))
            except OSError as error:
                result.append((None, error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        value, error = result[0]
        if error:
            raise error
        return value

    def run(self, *command):
        subprocess.run(command, check=True, preexec_fn=self.enter)

    def socket(self, *kind):
        def make():
            self.enter()
            return socket.socket(*kind)

        return self.in_thread(make)

    def close(self):
        os.close(self.fd)


class Tap:
    name = "tap"
    fragments = True

    def __init__(self, folder):
        del folder
        self.namespace = Namespace()
        run = self.namespace.run
        run("ip", "link", "set", "lo", "up")
        run("ip", "tuntap", "add", "tap0", "mode", "tap", "vnet_hdr")
        self.mac = "02:00:00:00:00:02"
        run("ip", "link", "set", "tap0", "address", self.mac)
        run("ip", "address", "add", f"{HOST_IP}/24", "dev", "tap0")
        run("ip", "link", "set", "tap0", "up")

    def options(self):
        return ["-netdev", "tap,id=n0,ifname=tap0,script=no,downscript=no"]

    def change(self, old, new):
        """The host is behind another TAP from now on, with the same addresses."""
        run = self.namespace.run
        run("ip", "link", "set", old, "address", "02:00:00:00:00:01")
        run("ip", "address", "flush", "dev", old)
        run("ip", "link", "set", new, "address", self.mac)
        run("ip", "address", "add", f"{HOST_IP}/24", "dev", new)
        run("ip", "link", "set", new, "up")

    def enter(self):
        """For the VMM's process, before exec."""
        self.namespace.enter()

    def peer(self):
        made = self.namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.connect((GUEST_IP, WITNESS_PORT))
        return made

    def ping(self, count):
        """How many of count echo requests came back."""
        made = self.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        with made:
            made.settimeout(10)
            made.connect((GUEST_IP, 0))
            answered = 0
            for number in range(count):
                made.send(echo_request(number))
                while True:
                    try:
                        packet = made.recv(65536)
                    except TimeoutError:
                        break
                    kind, _, _, _, got = struct.unpack_from("!BBHHH", packet, 20)
                    if kind == 0 and got == number:
                        answered += 1
                        break
            return answered

    def close(self):
        self.namespace.close()


class Bridge(Tap):
    """Two TAPs on a bridge: the two hosts of a guest that moves, and the peer between them."""

    name = "bridge"
    ifnames = ("tap0", "tap1")

    def __init__(self, folder):
        del folder
        self.namespace = Namespace()
        run = self.namespace.run
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "address", "add", f"{HOST_IP}/24", "dev", "br0")
        run("ip", "link", "set", "br0", "up")
        for ifname in self.ifnames:
            run("ip", "tuntap", "add", ifname, "mode", "tap", "vnet_hdr")
            run("ip", "link", "set", ifname, "master", "br0", "up")

    def other_host(self, folder):
        """Options of a ferry there, and the peer once the guest is there."""
        del folder
        return ["--netdev", f"n0={self.ifnames[1]}"], self.peer()


def echo_request(number):
    body = struct.pack("!HH", 0xFE77, number) + b"ferry" * 8
    total = sum(struct.unpack(f"!{len(body) // 2}H", body)) + 0x0800
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBH", 8, 0, ~(total + (total >> 16)) & 0xFFFF) + body


class Passt:
    name = "passt"
    fragments = False  # of IP; passt drops them

    def __init__(self, folder, reconnect_ms=None):
        """reconnect_ms: the netdev connects again, and passt stays there for it."""
        self.folder = folder
        self.path = folder / "passt.socket"
        self.other = None
        self.reconnect_ms = reconnect_ms
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.start()

    def start(self):
        folder = self.folder
        # It leaves the foreground only when its socket is there to connect to.
        command = ["passt", *([] if self.reconnect_ms else ["--one-off"]), "--quiet", "--socket", str(self.path)]
        command += ["--address", GUEST_IP, "--netmask", "24", "--gateway", HOST_IP, "--pid", str(folder / "passt.pid")]
        command += ["--tcp-ports", "none", "--udp-ports", f"127.0.0.1/{self.port}:{WITNESS_PORT}"]
        if os.getuid() == 0:
            command += ["--runas", "0"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"passt: {done.stderr}")
        self.pid = int((folder / "passt.pid").read_text())

    def options(self):
        again = f",reconnect-ms={self.reconnect_ms}" if self.reconnect_ms else ""
        return ["-netdev", f"stream,id=n0,server=off,addr.type=unix,addr.path={self.path}{again}"]

    def enter(self):
        pass

    def peer(self):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.connect(("127.0.0.1", self.port))
        return made

    def other_host(self, folder):
        """As of a bridge; each passt has one guest."""
        self.other = Passt(folder)
        return ["--net-socket", f"n0={self.other.path}"], self.other.peer()

    def stop(self):
        """Returns when nobody listens there any more."""
        process = os.pidfd_open(self.pid)
        signal.pidfd_send_signal(process, signal.SIGTERM)
        select.select([process], [], [])
        os.close(process)

    def close(self):
        if self.other:
            self.other.close()
        try:
            os.kill(self.pid, 15)
        except ProcessLookupError:
            pass


def fnv(data):
    total = 2166136261
    for byte in data:
        total = (total ^ byte) * 16777619 & 0xFFFFFFFF
    return total


def datagram(stream, number, payload=b"ferry"):
    """The witness's numbered datagram; guest/witness/udp.c describes it."""
    numbers = struct.pack("!IQ", stream, number)
    return b"WUDP" + numbers + struct.pack("!I", fnv(numbers + payload)) + payload


class Numbered:
    """Sends numbered datagrams, one at a time, and insists on each answer."""

    def __init__(self, peer, stream=1, timeout_s=10):
        self.peer = peer
        self.peer.settimeout(timeout_s)
        self.stream = stream
        self.number = 0
        self.unanswered = []

    def exchange(self, payload=b"ferry"):
        sent = datagram(self.stream, self.number, payload)
        self.number += 1
        self.peer.send(sent)
        while True:
            try:
                got = self.peer.recv(65536)
            except TimeoutError:
                self.unanswered.append(self.number - 1)
                return
            if got == b"WREP" + sent[4:]:
                return
