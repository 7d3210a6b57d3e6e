# SPDX-License-Identifier: Apache-2.0
"""Cross-compile the witness: one static program, so that the initramfs needs no libraries."""

import shutil
import subprocess

from . import BuildError

FLAGS = (
    "-std=gnu17 -D_GNU_SOURCE -O2 -g -static -pthread -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes "
    "-Wmissing-prototypes -Wvla -Wwrite-strings -Wpointer-arith -Wcast-qual -Wundef -Wformat=2 "
    "-Wimplicit-fallthrough -fno-common -fno-math-errno -ffp-contract=off -Wl,--build-id=none -march=rv64gc -mabi=lp64d"
).split()


def compile(compiler, sources, out):
    if not shutil.which(compiler):
        raise BuildError(
            f"{compiler} is not installed: run scripts/setup guest, or set FERRY_GUEST_CC"
        )
    debug = out / "witness.debug"
    program = out / "witness"
    run([compiler, *FLAGS, "-o", str(debug), *map(str, sources), "-lm"])
    strip = compiler.removesuffix("gcc") + "strip" if compiler.endswith("gcc") else "strip"
    run([strip, "-o", str(program), str(debug)])
    return program.read_bytes()


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BuildError(f"{command[0]} failed on the witness:\n{done.stderr.strip()}")
