# SPDX-License-Identifier: Apache-2.0
"""A VM that answers a subcommand with anything: the subcommand ends by itself, and prints text."""

import contextlib
import json
import os
import socket
import threading

import pytest
from ferry_cli import ferry

ESCAPES = "\x1b]0;title\x07\x9b2J\u202e\nferry: all is well\r"
GREETING = {"QMP": {"version": {}, "capabilities": []}}
ANSWERS = {
    "escapes": {"status": ESCAPES, "error-desc": ESCAPES, "label": ESCAPES, ESCAPES: ESCAPES},
    "list": [ESCAPES, [], {}],
    "text": ESCAPES,
    "number": -1,
    "null": None,
    "objects": [{}] * 1000,
}
COMMANDS = (["status"], ["console"], ["stop"], ["update"], ["qmp", "query-status"], ["ls"])


class HostileVm:
    """Every command is answered so, after an event and an answer that belongs to nobody."""

    def __init__(self, folder, answer):
        (folder / "ferry").mkdir(mode=0o700)
        self.env = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        self.answer = answer
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "ferry" / "vm.sock"))
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, contextlib.suppress(OSError):
                self.talk(client)

    def talk(self, client):
        self.say(client, GREETING)
        for line in client.makefile("rb"):
            asked = json.loads(line)
            self.say(client, {"event": ESCAPES, "data": self.answer})
            if asked["execute"] == "qmp_capabilities":
                self.say(client, {"return": {}, "id": asked["id"]})
                continue
            while self.answer == "events":
                self.say(client, {"event": "NOISE", "data": [{}] * 100})
            self.say(client, self.answer_to(asked))

    def answer_to(self, asked):
        if self.answer == "error":
            return {"error": {"class": "GenericError", "desc": ESCAPES}, "id": asked["id"]}
        return {"return": self.answer, "id": asked["id"]}

    @staticmethod
    def say(client, value):
        client.sendall(json.dumps(value).encode() + b"\r\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("answer", [*ANSWERS.values(), "error"], ids=[*ANSWERS, "error"])
def test_what_a_vm_says_is_text(tmp_path, words, answer):
    vm = HostileVm(tmp_path, answer)
    try:
        name = [] if words == ["ls"] else ["vm"]
        done = ferry(words[0], *name, *words[1:], env=vm.env)
    finally:
        vm.close()
    assert done.status in (0, 1), done.err  # no signal
    for character in done.out + done.err:
        assert character == "\n" or character.isprintable(), (done.out, done.err)
    assert "\nferry: all is well" not in done.out + done.err


def test_a_vm_that_talks_without_end_is_given_up(tmp_path):
    vm = HostileVm(tmp_path, "events")
    try:
        done = ferry("status", "vm", env=vm.env)
    finally:
        vm.close()
    assert done.status == 1
    assert "does not answer" in done.err
