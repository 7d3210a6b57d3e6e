# SPDX-License-Identifier: Apache-2.0
"""The guest's serial console: lines as they come, and commands to the witness."""

import re
import selectors
import socket
import time

# Only so that a broken machine ends a test; nothing is asserted about how long anything takes.
SAFETY_NET_S = 180


class ConsoleEnded(AssertionError):
    """The last process that held the console is gone."""


class TimedOut(AssertionError):
    """The safety net: what was awaited never came."""


class Console:
    """Waits on lines of a socket. What came before is kept, and searched once.

    The other end is the VMM's standard input and output; it stays open as long as any process has
    it, so that its end means that no process runs the guest any more.
    """

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.pending = b""
        self.lines = []
        self.next_line = 0
        self.ended = False

    def started(self):
        """The VMM has its copy: keep none, or the end would never be seen."""
        self.theirs.close()

    def send(self, text):
        self.ours.sendall(text.encode() + b"\n")

    def wait(self, pattern, timeout_s=SAFETY_NET_S):
        """The match of the next line that fits; lines before it are taken as read."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout_s
        while True:
            while self.next_line < len(self.lines):
                line = self.lines[self.next_line]
                self.next_line += 1
                found = expression.search(line)
                if found:
                    return found
                if "WITNESS FAIL" in line and "FAIL" not in pattern:
                    raise AssertionError(f"while waiting for /{pattern}/: {line}")
            self.receive(deadline, pattern)

    def ask(self, command, pattern, timeout_s=SAFETY_NET_S):
        """Send a command and wait for an answer that comes after it."""
        self.take_arrived()
        self.next_line = len(self.lines)
        self.send(command)
        return self.wait(pattern, timeout_s)

    def wait_end(self, timeout_s=SAFETY_NET_S):
        deadline = time.monotonic() + timeout_s
        while not self.ended:
            self.receive(deadline, None)

    def take_arrived(self):
        try:
            while not self.ended:
                self.receive(time.monotonic(), "")
        except TimedOut:
            pass

    def receive(self, deadline, pattern):
        if self.ended:
            raise ConsoleEnded(f"the machine ended before /{pattern}/; its last lines:\n{self.tail()}")
        with selectors.DefaultSelector() as selector:
            selector.register(self.ours, selectors.EVENT_READ)
            if not selector.select(max(0, deadline - time.monotonic())):
                raise TimedOut(f"no /{pattern}/ on the console; its last lines:\n{self.tail()}")
        try:
            data = self.ours.recv(65536)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        *whole, self.pending = (self.pending + data).split(b"\n")
        self.lines += [line.decode("utf-8", "replace").rstrip("\r") for line in whole]

    def tail(self, count=25):
        return "\n".join(self.lines[-count:] + [self.pending.decode("utf-8", "replace")])

    def close(self):
        self.ours.close()
