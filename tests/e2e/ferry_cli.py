# SPDX-License-Identifier: Apache-2.0
"""The `ferry` program as its user calls it."""

import json
import subprocess

from harness import FERRY

SAFETY_NET_S = 120


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


def running(name):
    """Whether a process answers for that VM and says that the guest runs."""
    done = ferry("status", name)
    return done.status == 0 and "running" in done.out
