# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: where things are, options, helper processes, the last line."""

import argparse
import json
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from harness import FERRY  # noqa: E402

PROGRAMS = FERRY.parent / "bench"


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
