# SPDX-License-Identifier: Apache-2.0
"""A peer that speaks the stream by itself: its header, its hello, and whatever description it likes."""

import json
import socket

MACHINE = b"virt"
PING_FERRY = 0x46455259


def number(size, value):
    return value.to_bytes(size, "big")


def text8(text):
    return number(1, len(text)) + text


def header():
    return b"QEVM" + number(4, 3) + b"\x07" + number(4, len(MACHINE)) + MACHINE


def command(which, payload=b""):
    return b"\x08" + number(2, which) + number(2, len(payload)) + payload


def hello(description, dry_run=False, answers=True):
    """A stream up to the section ferry/hello, of a machine without RAM and devices."""
    described = description if isinstance(description, bytes) else json.dumps(description).encode()
    body = number(2, 1) + number(2, 1) + text8(b"0.1.0") + number(1, dry_run) + number(4, 0)
    body += number(2, 0) + number(2, 0)
    body += number(4, len(described)) + described + b"\0" + text8(b"none")
    section = b"\x04" + number(4, 0) + text8(b"ferry/hello") + number(4, 0) + number(4, 1)
    section += number(4, len(body)) + body + b"\x7e" + number(4, 0)
    asks = command(1) + command(2, number(4, PING_FERRY)) if answers else b""
    return header() + asks + section


def tell(uri, stream, timeout_s=40):
    """All that the target answers until it hangs up."""
    _, host, port = uri.split(":")
    heard = b""
    with socket.create_connection((host, int(port)), timeout_s) as peer:
        try:
            peer.sendall(stream)
            while more := peer.recv(65536):
                heard += more
        except ConnectionError:
            pass
    return heard
