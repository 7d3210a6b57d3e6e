# SPDX-License-Identifier: Apache-2.0
"""For test_hang.py: a migration's target that answers with PONGs nobody asked for, as fast as they are read.

usage: flood.py now|pause

At once, or, after it has answered as ferry does, from the beginning of the pause. Prints its port, and "flooding" for
each connection. A process of its own: it keeps a processor busy, and must not be what is measured.
"""

import socket
import sys
import threading

PONG = b"\x00\x02\x00\x04"
STRANGE = PONG + b"\x00\x00\x12\x34"
HELLO = b"\x46\x01\x00\x09\x00\x01\x00\x01\x04fake"
ACCEPT = b"\x46\x02\x00\x00"
PING = b"\x08\x00\x02\x00\x04"  # a command of the stream, with the number behind it
SWITCHOVER = b"\x08\x00\x0b\x00\x00\x03\x00\x00\x00\x01"  # the command, and the last section of RAM begins


def answer_until_the_pause(connection):
    """The stream is not understood, only looked through: RAM that looks like a PING gets its PONG, too."""
    seen = b""
    accepted = False
    while SWITCHOVER not in seen:
        data = connection.recv(1 << 20)
        if not data:
            return False
        seen = seen[-32:] + data
        if not accepted and b"ferry/hello" in seen:
            accepted = True
            connection.sendall(ACCEPT)
        while (at := seen.find(PING)) >= 0 and at + 9 <= len(seen):
            number = seen[at + 5 : at + 9]
            connection.sendall((HELLO if number == b"FERY" else b"") + PONG + number)
            seen = seen[at + 9 :]
    return True


def take_the_rest(connection):
    try:
        while connection.recv(1 << 20):
            pass
    except OSError:
        pass


def pour(connection, when):
    if when == "pause" and not answer_until_the_pause(connection):
        return
    print("flooding", flush=True)
    threading.Thread(target=take_the_rest, args=[connection], daemon=True).start()
    while True:
        connection.sendall(STRANGE * 8192)


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        with listener.accept()[0] as connection:
            try:
                pour(connection, sys.argv[1])
            except OSError:
                pass  # it has had enough


if __name__ == "__main__":
    main()
