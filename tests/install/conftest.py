# SPDX-License-Identifier: Apache-2.0
"""The tree that `meson install` makes, once."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FERRY_BUILD", ROOT / "build"))


class Installed:
    """Under a DESTDIR: folders by what they hold."""

    def __init__(self, root):
        self.root = root
        self.prefix = root / "usr" / "local"
        self.pkgconfig = next(root.rglob("libferry.pc")).parent
        self.lib = self.pkgconfig.parent
        self.ferry = self.prefix / "bin" / "ferry"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(
        ["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet"],
        check=True,
        env={**os.environ, "DESTDIR": str(root)},
    )
    return Installed(root)
