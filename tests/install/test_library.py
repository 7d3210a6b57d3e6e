# SPDX-License-Identifier: Apache-2.0
"""Who embeds libferry has its headers, its pkg-config file and the names in the headers: nothing else."""

import os
import re
import subprocess

import pytest
from conftest import ROOT

HEADERS = sorted(path.name for path in (ROOT / "include" / "ferry").glob("*.h"))


def flags(installed, *options):
    done = subprocess.run(
        ["pkg-config", f"--define-variable=prefix={installed.prefix}", *options, "libferry"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PKG_CONFIG_PATH": str(installed.pkgconfig)},
    )
    return done.stdout.split()


def test_an_embedder_compiles_links_and_moves_a_guest(installed, tmp_path):
    program = tmp_path / "embed"
    subprocess.run(
        ["cc", "-Wall", "-Wextra", "-Werror", "-o", program, ROOT / "examples" / "embed.c",
         *flags(installed, "--cflags", "--libs")],
        check=True,
        cwd=tmp_path,
    )
    done = subprocess.run(
        [program], check=True, capture_output=True, text=True, timeout=60,
        env={**os.environ, "LD_LIBRARY_PATH": str(installed.lib)},
    )
    assert done.stdout == 'counter 42, RAM "written by the guest", runs here: 0, there: 1\n'


@pytest.mark.parametrize("header", HEADERS)
def test_a_header_stands_by_itself(installed, tmp_path, header):
    source = tmp_path / "one.c"
    source.write_text(f"#include <ferry/{header}>\n")
    subprocess.run(["cc", "-std=c11", "-Wall", "-Werror", "-fsyntax-only", source,
                    *flags(installed, "--cflags")], check=True)


def test_what_is_exported_is_what_the_headers_declare(installed):
    declared = set()
    for header in HEADERS:
        text = re.sub(r"/\*.*?\*/", "", (ROOT / "include" / "ferry" / header).read_text(), flags=re.S)
        declared |= set(re.findall(r"FERRY_API[^;(]*?\b(ferry_\w+)\(", text))
    listed = subprocess.run(["nm", "-D", "--defined-only", "--format=just-symbols", installed.lib / "libferry.so"],
                            check=True, capture_output=True, text=True).stdout
    exported = {line.partition("@")[0] for line in listed.split()} - {"LIBFERRY_0"}
    assert exported == declared


def test_the_version_is_one(installed):
    header = (ROOT / "include" / "ferry" / "ferry.h").read_text()
    version = re.search(r'FERRY_VERSION "(.*)"', header)[1]
    assert flags(installed, "--modversion") == [version]
    assert (installed.lib / f"libferry.so.{version}").exists()
