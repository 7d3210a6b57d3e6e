# SPDX-License-Identifier: Apache-2.0
"""Parts of guest/build: packages from the archive, the kernel out of them, the initramfs."""


class BuildError(Exception):
    """A sentence for the person who ran guest/build."""
