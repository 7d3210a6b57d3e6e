# SPDX-License-Identifier: Apache-2.0
"""What ended a stream too early is what is said, not only where it was noticed."""

import pytest
from ferry_cli import ferry
from test_orders import Idle, end


@pytest.fixture
def idle(tmp_path):
    vm = Idle(tmp_path / "vm")
    yield vm
    end(vm.process)


@pytest.mark.parametrize(
    "command, why",
    [
        ("false", "the command ended with status 1"),
        ("kill -9 $$", "the command was ended by signal 9"),
        ("no-such-command", "the command ended with status 127"),
        # All of its output was read before it failed.
        ("exec >/dev/null; exit 3", "the command ended with status 3"),
        ("true", "exec:true ends too early, after 0 bytes"),
        ("echo hello", "exec:echo hello ends too early, after 6 bytes"),
    ],
)
@pytest.mark.parametrize("sandbox", ["on", "off"])
def test_receive_names_how_a_command_ended(command, why, sandbox):
    done = ferry("receive", f"exec:{command}", "--name", "there", "--sandbox", sandbox)
    assert done.status == 1
    assert why in done.err


@pytest.mark.parametrize("options", [[], ["--mapped-ram"]])
def test_restore_names_a_file_that_was_cut(idle, tmp_path, options):
    whole = tmp_path / "snapshot"
    assert ferry("snapshot", idle.name, whole, *options).status == 0
    data = whole.read_bytes()
    cut = tmp_path / "cut"
    for size in [0, 5, 100, len(data) // 2, len(data) - 1]:
        cut.write_bytes(data[:size])
        done = ferry("run", "--restore", cut, "--name", "there", "--allow-path", tmp_path)
        assert done.status == 1
        assert "ends too early" in done.err or "it was cut" in done.err, done.err
