# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: where things are, options, helper processes, the last line."""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import FERRY, GUEST  # noqa: E402

PROGRAMS = FERRY.parent / "bench"


def prepare(*names):
    """What a benchmark needs beside ferry itself, which is all that `make` builds: these programs, and the guest."""
    if not (FERRY.parent / "build.ninja").exists():
        return  # FERRY_E2E_FERRY: somebody else's, and nobody's to build
    programs = [f"bench/{name}" for name in names]
    for attempt in ("", "--reconfigure"):
        # The second time with what was installed since: without a compiler for riscv there is no such program.
        if attempt:
            run("meson", "setup", attempt, FERRY.parent)
        done = run("ninja", "-C", FERRY.parent, "ferry", *programs)
        if done.returncode == 0:
            break
    else:
        sys.exit(f"{sys.argv[0]}: cannot build {' '.join(programs)}; `scripts/setup test` installs what that takes\n"
                 f"{done.stdout}{done.stderr}")
    if not (GUEST / "Image").exists():
        subprocess.run([ROOT / "guest" / "build", GUEST], check=True)


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


class Meter:
    """A program of this folder that answers each line with a measurement, a JSON object."""

    def __init__(self, name):
        self.process = subprocess.Popen([PROGRAMS / name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)

    def measure(self, what=""):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def options_parser(doc):
    parser = argparse.ArgumentParser(description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON array")
    return parser


def finish(options, rows):
    if options.json:
        print(json.dumps(rows))
