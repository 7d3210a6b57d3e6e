# SPDX-License-Identifier: Apache-2.0
"""The `ferry` program as its user calls it."""

import json
import stat
import subprocess

from harness import FERRY

SAFETY_NET_S = 120

# What `ferry update` says of a target that a fault has ended, or made hang.
TARGET_LOST = {"kill": "killed by signal 9", "stop": "nothing was heard from the target"}


class Done:
    def __init__(self, process):
        self.status = process.returncode
        self.out = process.stdout
        self.err = process.stderr


def ferry(*words, **options):
    """Run a subcommand to its end."""
    return Done(
        subprocess.run(
            [str(FERRY), *[str(word) for word in words]],
            capture_output=True,
            text=True,
            check=False,
            timeout=SAFETY_NET_S,
            stdin=subprocess.DEVNULL,
            **options,
        )
    )


def update(name, *options):
    """The ledger of a live update that must succeed."""
    done = ferry("update", name, "--json", *options)
    assert done.status == 0, done.err
    return json.loads(done.out)


def run_state(name, **options):
    """What the VM says of the guest; None: nobody answers. A folder may have any state's name."""
    done = ferry("status", name, "--json", **options)
    return json.loads(done.out)["status"] if done.status == 0 else None


def running(name):
    """Whether a process answers for that VM and says that the guest runs."""
    return run_state(name) == "running"


def faulty_binary(folder, fault):
    """A ferry whose targets have a fault."""
    path = folder / f"ferry-{fault.replace('=', '-')}"
    path.write_text(f'#!/bin/sh\ncommand=$1\nshift\nexec {FERRY} "$command" --fault {fault} "$@"\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path
