#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Manual pages and completion, from what a built ferry says of itself.

usage: python3 scripts/reference FERRY OUT [FILE]...

Writes ferry.1, ferry-COMMAND.1, ferry.bash and _ferry into OUT. FILEs are what is expected there: a
command more or less in the program than on that list is an error. The date in a page is that of
SOURCE_DATE_EPOCH, else of the last commit, else today's.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "scripts"))

from reference import bash, help, mdoc, zsh  # noqa: E402


def date():
    if "SOURCE_DATE_EPOCH" in os.environ:
        return int(os.environ["SOURCE_DATE_EPOCH"])
    done = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False)
    return int(done.stdout) if done.returncode == 0 and done.stdout else int(time.time())


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    out = Path(sys.argv[2])
    what, commands = help.read(sys.argv[1])
    files = mdoc.pages(what, commands, date())
    files |= {"ferry.bash": bash.script(commands), "_ferry": zsh.script(commands)}
    expected = {Path(name).name for name in sys.argv[3:]}
    if expected and expected != set(files):
        sys.exit(f"scripts/reference: docs/meson.build lists other files than there are: {sorted(expected ^ set(files))}")
    for name, text in files.items():
        (out / name).write_text(text)


main()
