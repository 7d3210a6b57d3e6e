# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completion have every command and every option, are well made, and complete."""

import os
import pty
import re
import select
import subprocess
import time

import pytest
from conftest import BUILD, ROOT

MAIN = ROOT / "vmm" / "main"
CONFIG = ROOT / "vmm" / "config"
FERRY = BUILD / "ferry"
# Not for people: how a process of ferry starts another.
INTERNAL = {"--supervised"}
SAFETY_NET_S = 60


def commands():
    done = subprocess.run([FERRY, "--help"], check=True, capture_output=True, text=True)
    return re.findall(r"^  ([a-z]+) ", done.stdout, re.M)


def options():
    """{(command, option)} as the sources have them: tables, and words that are compared."""
    found = set()
    for name in re.findall(r'^    \{"([\w-]+)", ', (CONFIG / "option_table.c").read_text(), re.M):
        found.add(("run", f"-{name}"))
    shared = re.findall(r'^    \{"([\w-]+)", (?:NULL|"[^"]*"), "', (CONFIG / "this_host.c").read_text(), re.M)
    shared += re.search(r"others\[\] = \{(.*?)\}", (CONFIG / "this_host.c").read_text())[1].replace('"', "").split(", ")
    compared = re.compile(r'strcmp\([^;{]*?"(--[a-z][\w-]*)"')
    shared += [name[2:] for name in compared.findall((MAIN / "receive.c").read_text())]
    # "-sandbox" is spelt as in the table there.
    found |= {(command, f"--{name}") for name in shared for command in ("run", "receive")} - {("run", "--sandbox")}
    for path in MAIN.glob("cmd_*.c"):
        text = path.read_text()
        for command, entry in re.findall(r'\.name = "(\w+)",(.*?)^};', text, re.M | re.S):
            if ".usage" not in entry:
                continue  # not for people, so not in what they read
            # A file with two commands: each has what its own part of the file compares.
            part = text[: text.index(f'.name = "{command}"')].rpartition(".run = ")[2]
            found |= {(command, name) for name in compared.findall(part)}
    return sorted(pair for pair in found if pair[1] not in INTERNAL | {"--help", "--qmp"})


def page(installed, name):
    return installed.prefix / "share" / "man" / "man1" / f"{name}.1"


def test_there_are_commands_and_options_to_look_for():
    assert {"run", "update", "quit"} <= set(commands())
    assert {("run", "-drive"), ("receive", "--allow-path"), ("migrate", "--dry-run"), ("snapshot", "--direct-io"),
            ("update", "--binary")} <= set(options())


def test_a_page_and_completion_for_each_command(installed):
    whole = page(installed, "ferry").read_text()
    zsh = (installed.prefix / "share/zsh/site-functions/_ferry").read_text()
    for command in commands():
        assert f".It Xr ferry-{command} 1" in whole
        assert page(installed, f"ferry-{command}").exists()
        assert re.search(rf"^    {command}\)$", zsh, re.M)


@pytest.mark.parametrize("command,option", options(), ids=lambda value: value)
def test_each_option_is_everywhere(installed, command, option):
    manual = page(installed, f"ferry-{command}").read_text().replace("\\-", "-")
    bash = (installed.prefix / "share/bash-completion/completions/ferry.bash").read_text()
    zsh = (installed.prefix / "share/zsh/site-functions/_ferry").read_text()
    assert f'.It Fl "\\&{option[1:]}"' in manual
    offered = re.search(rf"^    '{command} '-\*\) words='(.*)' ;;$", bash, re.M)[1]
    assert option in offered.split()
    specs = re.search(rf"^    {command}\)\n(.*?)\n        ;;", zsh, re.M | re.S)[1]
    assert f"'*{option}[" in specs


def test_mandoc_finds_nothing_to_say(installed):
    pages = page(installed, "ferry").parent
    done = subprocess.run(["mandoc", "-Tlint", *sorted(pages.iterdir())], capture_output=True, text=True, check=False,
                          cwd=pages)  # where it looks for what is referred to
    assert done.stdout + done.stderr == ""


# --- The shells ---

BASH = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ferry
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def bash(installed, tmp_path):
    """bash(words...) is what may stand for the last of them."""
    completion = installed.prefix / "share/bash-completion/completions/ferry.bash"
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path), "PATH": f"{BUILD}:{os.environ['PATH']}"}

    def complete(*words):
        done = subprocess.run(["bash", "-c", BASH, "bash", completion, "ferry", *words], check=True, text=True,
                              capture_output=True, env=environment, timeout=SAFETY_NET_S)
        return done.stdout.split()

    return complete


@pytest.fixture
def vm(tmp_path):
    """A VM that waits for a guest, called web1."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [FERRY, "run", "-name", "web1", "-M", "virt", "-m", "64", "-incoming", "defer", "-serial", "null",
         "-qmp", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert b"QMP" in process.stdout.readline()
    yield "web1"
    subprocess.run([FERRY, "quit", "web1"], check=True, env=environment, timeout=SAFETY_NET_S)
    process.communicate(timeout=SAFETY_NET_S)


def test_bash_completes_commands(bash):
    assert bash("sn") == ["snapshot"]
    assert {"run", "quit", "--help"} <= set(bash(""))


def test_bash_completes_options_and_values(bash):
    assert bash("migrate", "--d") == ["--downtime", "--dry-run"]
    assert bash("run", "-sandbox", "o") == ["on", "off"]
    assert bash("run", "-kernel", "") == []  # a file: bash's own


def test_bash_completes_the_names_of_running_vms(bash, vm):
    assert bash("status", "w") == [vm]
    assert bash("analyze", "") == []


class Zsh:
    """One at a terminal: completion happens nowhere else."""

    def __init__(self, installed, folder):
        environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder), "TERM": "dumb", "ZDOTDIR": str(folder),
                       "PATH": f"{BUILD}:{os.environ['PATH']}"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        functions = installed.prefix / "share/zsh/site-functions"
        self.type(f"fpath=({functions} $fpath); autoload -Uz compinit; compinit -u -D; PS1=; unsetopt zle_bracketed_paste; echo re''ady\n")
        self.await_text("ready")

    def type(self, text):
        os.write(self.fd, text.encode())

    def await_text(self, wanted):
        seen, end = "", time.monotonic() + SAFETY_NET_S
        while wanted not in seen:
            assert select.select([self.fd], [], [], max(0, end - time.monotonic()))[0], f"no '{wanted}' in {seen!r}"
            seen += os.read(self.fd, 4096).decode(errors="replace")
        return seen

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def zsh(installed, tmp_path):
    shell = Zsh(installed, tmp_path)
    yield shell
    shell.close()


@pytest.mark.parametrize("typed,comes", [("ferry sna\t", "snapshot"), ("ferry migrate --dow\t", "--downtime"),
                                         ("ferry status w\t", "web1")])
def test_zsh_completes(zsh, vm, typed, comes):
    zsh.type(typed)
    zsh.await_text(comes)
