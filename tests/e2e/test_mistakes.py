# SPDX-License-Identifier: Apache-2.0
"""Every mistake is answered with a sentence and exit status 1 or 2, and nothing else happens."""

import fcntl
import json
import os
import resource
import signal
import socket
import subprocess

import pytest
from ferry_cli import ferry, running
from harness import FERRY, GUEST, end, vmm_pids

SMALL = {"harts": 1, "mem_mib": 128, "append": "witness.mem=16M"}
BOOT = ["-bios", GUEST / "fw_dynamic.bin", "-kernel", GUEST / "Image", "-serial", "null"]


@pytest.mark.parametrize(
    "words, says",
    [
        (["-smpp", "2"], "did you mean -smp?"),
        (["-m", "1"], "RAM size must be"),
        (["-M", "q35"], "does not accept value 'q35'"),
        (["-readconfig", "f"], "write @FILE"),
        (["-device", "virtio-keyboard-pci"], "write virtio-keyboard-device"),
        (["-device", "vfio-pci"], "'ferry run -device help' lists them"),
        (["-kernel", "/nonexistent/Image", "-serial", "null"], "/nonexistent/Image"),
        (["-bios", "/nonexistent/fw", "-serial", "null"], "/nonexistent/fw"),
        ([*BOOT, "-drive", "file=/nonexistent/disk"], "/nonexistent/disk"),
        ([*BOOT, "-netdev", "tap,id=n,ifname=nosuchtap0,fd=900"], "ifname= is invalid with fd="),
        ([*BOOT, "-netdev", "stream,id=n,addr.type=unix,addr.path=/nonexistent/s"], "/nonexistent/s"),
        ([*BOOT, "-qmp", "unix:/nonexistent/q,server=on,wait=off"], "/nonexistent/q"),
        ([*BOOT, "-name", "../evil"], "a VM name has"),
        ([*BOOT, "-name", "a\x1b[2Jb"], "no control characters"),
        ([*BOOT, "-name", "a\u202eb"], "no control characters"),
    ],
)
def test_options(guest, words, says):
    done = ferry("run", *words)
    assert done.status == 1
    assert says in done.err, done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    "words, status, says",
    [
        (["updat", "x"], 2, "did you mean 'update'?"),
        (["restore"], 2, "'ferry --help' lists them"),
        (["update"], 2, "usage: ferry update"),
        (["update", "nosuch"], 1, "no VM named 'nosuch' is running"),
        (["update", "a", "b"], 2, "'b' was not expected"),
        (["update", "a", "--binary", "/nonexistent"], 1, "/nonexistent: No such file"),
        (["update", "a", "--timeout"], 2, "--timeout: SECONDS was expected behind it"),
        (["update", "a", "--timeout", "soon"], 2, "seconds from 1 to 3600 were expected"),
        (["shutdown", "a", "--timeout"], 2, "--timeout: SECONDS was expected behind it"),
        (["shutdown", "a", "--timeout", "0"], 2, "seconds, 1 to"),
        (["migrate", "a", "unix:b", "--bandwidth"], 2, "--bandwidth: SIZE was expected behind it"),
        (["migrate", "a", "unix:b", "--bandwidth", "fast"], 2, "bytes per second were expected"),
        (["migrate", "a", "unix:b", "--downtime", "none"], 2, "milliseconds, 1 to"),
        (["migrate", "a", "unix:b", "--dryrun"], 2, "'--dryrun' was not expected"),
        (["migrate", "a", "unix:b", "--compress", "gzip"], 2, "'--compress' does not accept value 'gzip' (it accepts 'none', 'zlib', 'zstd')"),
        (["receive", "tcp:127.0.0.1:0", "--compress", "gzip"], 2, "'--compress' does not accept value 'gzip' (it accepts"),
        (["snapshot", "a", "b", "--channels"], 2, "--channels: N was expected behind it"),
        (["snapshot", "a", "b", "--channels", "0"], 2, "1 to 255 were expected"),
        (["snapshot", "a", "b", "--channels", "+5"], 2, "1 to 255 were expected"),
        (["snapshot", "a", "b", "--channels", "-18446744073709551615"], 2, "1 to 255 were expected"),
        (["receive", "--capability"], 2, "--capability: NAME was expected behind it"),
        (["receive", "tcp:127.0.0.1:0", "--compress"], 2, "--compress: METHOD was expected behind it"),
        (["help", "updat"], 2, "there is no command 'updat'; did you mean 'update'?"),
        (["status"], 2, "usage: ferry status"),
        (["receive"], 2, "usage: ferry receive"),
        (["receive", "tcp:127.0.0.1:0", "--name", "a/b"], 1, "a VM name has 1 to 64 characters"),
        (["receive", "carrier-pigeon:1"], 1, "carrier-pigeon"),
        (["receive", "tcp:127.0.0.1:0", "-sandbox", "maybe"], 2, "expects 'on' or 'off'"),
        (["run", "--restore", "/etc/passwd"], 1, "from file:/etc/passwd: the stream at byte 0"),
        (["receive", "fd:77"], 1, "no such number is open here"),
        (["receive", "tcp:127.0.0.1:0", "--capability", "x-ignore-sharde"], 1, "did you mean 'x-ignore-shared'?"),
        (["receive", "tcp:127.0.0.1:0", "--capability", "multifd=2"], 1, "'on' or 'off' was expected, not '2'"),
        (["receive", "tcp:127.0.0.1:0", "--capability", "postcopy-ram"], 1, "not served"),
        (["receive", "tcp:127.0.0.1:0", "--parameter", "announce-rounds=many"], 1, "a number was expected"),
        (["receive", "tcp:127.0.0.1:0", "--parameter", "multifd-channels=0"], 1, "multifd_channels"),
        (["qmp", "nosuch", "stop", "[1]"], 2, "must be a JSON object"),
        (["qmp", "nosuch", '{"execute": "stop"}'], 2, "COMMAND is a name, such as query-status"),
        (["console", "nosuch"], 1, "no VM named"),
        (["console", "a", "--log"], 2, "--log: FILE was expected behind it"),
        (["status", "a", "b"], 2, "'b' was not expected"),
        (["quit", "a", "--forc"], 2, "'--forc' was not expected"),
        (["stop", "a", "b"], 2, "'b' was not expected"),
        (["ls", "a"], 2, "'a' was not expected"),
        (["run", "--fault", "nowhere=kill"], 1, "no such point"),
    ],
)
def test_commands(words, status, says):
    done = ferry(*words)
    assert done.status == status
    assert says in done.err, done.err


def test_a_runtime_directory_that_cannot_be(tmp_path):
    """As `su` leaves the variable: another user's, or one that logind has removed."""
    done = ferry("ls", env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path / "none")})
    assert done.status == 1
    assert f"{tmp_path}/none/ferry" in done.err and "XDG_RUNTIME_DIR says where" in done.err


@pytest.mark.parametrize("command", ["run", "update", "ls"])
def test_help_in_either_order(command):
    done = ferry("help", command)
    assert done.status == 0
    assert done.out.startswith(f"usage: ferry {command}") and done.out == ferry(command, "--help").out
    assert done.out == ferry(command, "web1", "--help").out


def test_a_limit_on_file_sizes(guest):
    """Guest RAM is a file, too: the kernel's own way is to end the process without a word."""
    limit = (1 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    done = ferry("run", *BOOT, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
    assert done.status == 1
    assert "cannot size and seal a memfd of 128 MiB: File too large" in done.err


def test_a_limit_on_open_files(guest):
    limit = (12, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    done = ferry("run", *BOOT, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limit))
    assert done.status == 1
    assert "Too many open files: this process may have 12 (ulimit -n raises it)" in done.err


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    done = ferry("analyze", tmp_path / "fifo")
    assert done.status == 1
    assert "a file with a migration stream was expected" in done.err


def test_a_name_and_a_disk_have_one_vm(start):
    machine = start(**SMALL)
    machine.wait_ready()
    done = ferry("run", "-name", machine.name, *BOOT)
    assert done.status == 1
    assert f"a VM named '{machine.name}' is running already" in done.err
    done = ferry("receive", "tcp:127.0.0.1:0", "--name", machine.name)
    assert done.status == 1
    assert f"--name {machine.name}: a VM named '{machine.name}' is running already" in done.err
    done = ferry("run", *BOOT, "-drive", f"file={machine.disk},format=raw")
    assert done.status == 1
    assert "is in use by" in done.err
    assert str(vmm_pids(machine.process)[0]) in done.err
    assert running(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


def exchange(path, request):
    """The reply to raw bytes after negotiation."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(60)
        client.connect(str(path))
        lines = client.makefile("r", encoding="utf-8")
        assert "QMP" in json.loads(lines.readline())
        client.sendall(b'{"execute": "qmp_capabilities"}')
        assert json.loads(lines.readline()) == {"return": {}}
        client.sendall(request)
        return json.loads(lines.readline())


def test_malformed_requests_change_nothing(start):
    machine = start(**SMALL)
    machine.wait_ready()
    cases = [
        (b"[]", "GenericError", "QMP input must be a JSON object"),
        (b'{"execute": 1}', "GenericError", "QMP input member 'execute' must be a string"),
        (b'{"execute": "nope"}', "CommandNotFound", "The command nope has not been found"),
        (b'{"exec-oob": "stop"}', "GenericError", "QMP input member 'exec-oob' is unexpected"),
        (b'{"execute": "stop", "arguments": 5}', "GenericError", "QMP input member 'arguments' must be an object"),
        (b'{"execute": "stop", "arguments": {"x": 1}}', "GenericError", "Parameter 'x' is unexpected"),
        (b'{"execute": "stop", "bogus": 1}', "GenericError", "QMP input member 'bogus' is unexpected"),
        (b"{}", "GenericError", "QMP input lacks member 'execute'"),
        (b'{"execute": "stop"]', "GenericError", "JSON parse error, "),
        (b"\xff", "GenericError", "JSON parse error, "),
        (b"[" * 1025 + b"]" * 1025, "GenericError", "JSON nesting depth limit exceeded"),
        (b'{"execute": "migrate", "arguments": {"uri": "pigeon:1"}}', "GenericError", "pigeon"),
        (
            b'{"execute": "migrate-set-parameters", "arguments": {"downtime-limit": 2000001}}',
            "GenericError",
            "Parameter 'downtime_limit' expects an integer in the range of 0 to (2000 * 1000) ms",
        ),
    ]
    for request, error_class, desc in cases:
        error = exchange(machine.qmp_path, request)["error"]
        assert error["class"] == error_class, request
        assert desc in error["desc"], request
    assert running(machine.name)
    machine.verdict()
    assert machine.power_off() == 0


def test_a_bad_stream_is_refused(tmp_path):
    """A source that sends nonsense gets nothing, and the target says why. What is no source is not in its way."""
    path = tmp_path / "s"
    process = subprocess.Popen([FERRY, "receive", f"unix:{path}", "--once"], stderr=subprocess.PIPE, text=True)
    while not path.exists():
        assert process.poll() is None
    for bytes_sent in (b"", b"\0", b"\0" * 64, b"\xff" * 64, b"QEVM\0\0\0\3" + b"\xff" * 200):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))
            client.sendall(bytes_sent)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    assert said.count("is no source of a VM") == 3
    assert "ferry: receiving a VM: " in said


@pytest.mark.parametrize("command", ["run", "ls"])
def test_what_a_killed_vm_leaves_is_tidied_up(guest, tmp_path, command):
    """By the next VM, or by a command that looks at all of them; who lives keeps its files."""
    env = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    running_here = {}

    def begin(name):
        words = [str(FERRY), "run", "-name", name, "-m", "64", "-S", *[str(word) for word in BOOT]]
        running_here[name] = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL)
        while ferry("status", name, env=env).status:
            assert running_here[name].poll() is None

    def left():
        return sorted(path.name for path in (tmp_path / "ferry").iterdir())

    try:
        begin("alive")
        begin("dead")
        # Both: a supervisor that lives tidies up itself.
        vmms = vmm_pids(running_here["dead"])
        running_here["dead"].kill()
        running_here["dead"].wait()
        with open(tmp_path / "ferry" / "dead.lock", encoding="utf-8") as lock:
            for pid in vmms:
                os.kill(pid, signal.SIGKILL)
            fcntl.lockf(lock, fcntl.LOCK_SH)  # the kernel lets go of it when the last one is gone
        assert left() == ["alive.lock", "alive.sock", "dead.lock", "dead.sock"]
        if command == "run":
            begin("next")
            assert left() == ["alive.lock", "alive.sock", "next.lock", "next.sock"]
        else:
            assert "alive" in ferry("ls", env=env).out
            assert left() == ["alive.lock", "alive.sock"]
        assert ferry("quit", "alive", env=env).status == 0
    finally:
        for process in running_here.values():
            end(process)


def test_memory_in_a_file_that_is_cut_ends_with_its_name(start, tmp_path):
    """A hart's own store finds that the page is gone, with the signals of its thread as they are."""
    memory = tmp_path / "memory"
    options = (
        f"-object memory-backend-file,id=r0,size=128M,mem-path={memory},share=on "
        "-M virt,memory-backend=r0"
    ).split()
    machine = start(disk=False, options=options, **SMALL)
    machine.wait_ready()
    os.truncate(memory, 1 << 20)
    assert machine.wait_exit() == 1
    assert f"it was {memory}" in machine.stderr()
