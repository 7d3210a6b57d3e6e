# SPDX-License-Identifier: Apache-2.0
"""What tests and benchmarks start goes with them, however they end."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from console import SAFETY_NET_S
from moving import SMALL

STARTS_ONE = f"""
import signal, sys
from pathlib import Path
from harness import Machine, find_vmm, vmm_pids
machine = Machine(find_vmm("ferry"), Path(sys.argv[1]), **{SMALL!r})
machine.wait_ready()
print(machine.process.pid, *vmm_pids(machine.process), flush=True)
signal.pause()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_machine_ends_with_who_started_it(guest, tmp_path, how):
    command = [sys.executable, "-c", STARTS_ONE, tmp_path]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True) as starter:
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        assert len(pids) == 2, "a supervisor and its VMM"
        handles = [os.pidfd_open(pid) for pid in pids]
        starter.send_signal(how)
    for handle in handles:
        assert select.select([handle], [], [], SAFETY_NET_S)[0], "it runs on"
        os.close(handle)
