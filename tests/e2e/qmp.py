# SPDX-License-Identifier: Apache-2.0
"""A small QMP client: one connection, commands in order, events kept."""

import json
import socket


class QmpError(AssertionError):
    """The error object of a reply."""

    def __init__(self, command, error):
        super().__init__(f"{command}: {error['class']}: {error['desc']}")
        self.error_class = error["class"]
        self.desc = error["desc"]


class Qmp:
    def __init__(self, path, timeout_s=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout_s)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("r", encoding="utf-8")
        self.events = []
        self.greeting = self.receive()["QMP"]
        self.execute("qmp_capabilities")

    def receive(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("the monitor closed the connection")
        return json.loads(line)

    def execute(self, command, fds=(), **arguments):
        """Arguments in Python's spelling: mem_path is sent as mem-path. fds: copies go along."""
        request = {"execute": command}
        if arguments:
            request["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
        if fds:
            socket.send_fds(self.socket, [b" "], fds)
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            reply = self.receive()
            if "event" in reply:
                self.events.append(reply)
            elif "error" in reply:
                raise QmpError(command, reply["error"])
            else:
                return reply["return"]

    def wait_event(self, name):
        """The first event of that name not yet taken."""
        while True:
            for index, event in enumerate(self.events):
                if event["event"] == name:
                    return self.events.pop(index)
            reply = self.receive()
            if "event" in reply:
                self.events.append(reply)

    def close(self):
        self.file.close()
        self.socket.close()
