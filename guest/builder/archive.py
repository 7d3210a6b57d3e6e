# SPDX-License-Identifier: Apache-2.0
"""Debian packages of another architecture, through apt, without touching the system's apt state."""

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

from . import BuildError

SUITE = "trixie"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The kernel's name carries its version: this package depends on the newest one.
KERNEL_META = "linux-image-riscv64"
OTHERS = ("busybox-static", "opensbi")


def remove_tree(path):
    shutil.rmtree(path)


def packages(cache, refresh, verbose):
    """Names of the .deb files, all of them complete in cache/debs."""
    debs = cache / "debs"
    listed = cache / "packages"
    if listed.exists() and not refresh:
        names = listed.read_text().split()
        if names and all((debs / name).exists() for name in names):
            return names
    for tool in ("apt-get", "apt-cache", "dpkg-deb"):
        if not shutil.which(tool):
            raise BuildError(f"{tool} is not installed; the guest is built on Debian or a relative")
    debs.mkdir(parents=True, exist_ok=True)
    apt = Apt(cache / "apt", verbose)
    print(f"guest: asking for Debian {SUITE} riscv64", flush=True)
    apt.run("apt-get", "update")
    wanted = (apt.kernel(), *OTHERS)
    hashes = apt.files(wanted)
    print(f"guest: downloading {', '.join(wanted)}", flush=True)
    apt.run("apt-get", "download", *wanted, cwd=debs)
    # apt checks what it downloads, but takes a file that is there already by its size alone.
    wrong = [name for name, sha256 in hashes.items() if file_hash(debs / name) != sha256]
    if wrong:
        for name in wrong:
            (debs / name).unlink(missing_ok=True)
        apt.run("apt-get", "download", *wanted, cwd=debs)
    for name, sha256 in hashes.items():
        if file_hash(debs / name) != sha256:
            raise BuildError(f"{debs / name} is not the file that the signed index of {SUITE} names")
    names = list(hashes)
    # Only now is the set complete; until then the next run goes on with what is there.
    part = listed.with_suffix(".part")
    part.write_text("\n".join(names) + "\n")
    part.rename(listed)
    for old in debs.iterdir():
        if old.name not in names:
            old.unlink()
    return names


def file_hash(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def configured_archive():
    """The address of Debian's main archive, as the system's own apt would use it.

    apt reads both formats of its sources and all its options itself. What it already knows of a
    repository (origin and label) is best; on a machine that never ran `apt-get update` only the
    addresses it would ask are there, and Debian's has the form .../debian/dists/SUITE.
    """
    known = run_plain(
        "apt-get", "indextargets", "--format", "$(ORIGIN)|$(LABEL)|$(REPO_URI)", "Created-By: Packages"
    )
    for line in known.splitlines():
        if line.startswith("Debian|Debian|"):
            return line.split("|", 2)[2]
    asked = run_plain("apt-get", "update", "--print-uris")
    found = re.findall(r"^'([^']*)/dists/([^/']*)/(?:In)?Release'", asked, re.MULTILINE)
    for address, _ in found:
        if address.rstrip("/").endswith("/debian"):
            return address
    for address, suite in found:
        if suite in ("bookworm", "trixie", "stable", "oldstable"):
            return address
    raise BuildError(
        "apt's sources name no Debian archive: add one (Debian's main archive, any suite) to "
        "/etc/apt/sources.list.d"
    )


def run_plain(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout


class Apt:
    """apt with sources, lists and cache of its own; the system's proxies and credentials still hold."""

    def __init__(self, state, verbose):
        self.verbose = verbose
        if not KEYRING.exists():
            raise BuildError(f"{KEYRING} is missing: install debian-archive-keyring")
        for folder in ("lists/partial", "archives/partial"):
            (state / folder).mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        # apt's deb822 format, which quotes nothing and splits on nothing but spaces.
        (state / "ferry.sources").write_text(
            f"Types: deb\nURIs: {configured_archive()}\nSuites: {SUITE}\nComponents: main\n"
            f"Architectures: riscv64\nSigned-By: {KEYRING}\n"
        )
        own = {
            "Dir::State": state,
            "Dir::State::status": state / "status",
            "Dir::State::lists": state / "lists",
            "Dir::Cache": state,
            "Dir::Cache::archives": state / "archives",
            "Dir::Etc::sourcelist": state / "ferry.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            # Some container images switch these off, and then each call parses the lists again.
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Cache::srcpkgcache": "",
            # The download user of root's apt may not be able to enter our cache.
            "APT::Sandbox::User": "",
            "APT::Architecture": "riscv64",
            "APT::Architectures": "riscv64",
            # Hooks of the system (desktop catalogues and the like) are not for this state.
            "APT::Update::Post-Invoke-Success": "",
            "Acquire::Retries": "3",
            "Acquire::Languages": "none",
        }
        self.options = [word for name, value in own.items() for word in ("-o", f"{name}={value}")]

    def run(self, tool, *arguments, cwd=None):
        command = [tool, *self.options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)
        if self.verbose:
            print(done.stdout + done.stderr, end="", flush=True)
        complaints = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        if done.returncode or complaints:
            why = "; ".join(complaints) or f"exit code {done.returncode}"
            raise BuildError(f"{tool} {arguments[0]} (Debian {SUITE} riscv64): {why}")
        return done.stdout

    def kernel(self):
        shown = self.run("apt-cache", "show", "--no-all-versions", KERNEL_META)
        found = re.search(r"^Depends:.*?(linux-image-[^\s,]+)", shown, re.MULTILINE)
        if not found:
            raise BuildError(f"package {KERNEL_META} depends on no linux-image-VERSION")
        return found.group(1)

    def files(self, wanted):
        """{file name that `apt-get download` will use: SHA-256 in the signed index}"""
        shown = self.run("apt-cache", "show", "--no-all-versions", *wanted)
        files = {}
        for paragraph in shown.strip().split("\n\n"):
            field = dict(re.findall(r"^(\w+): (.*)$", paragraph, re.MULTILINE))
            version = field["Version"].replace(":", "%3a")
            files[f"{field['Package']}_{version}_{field['Architecture']}.deb"] = field["SHA256"]
        return files
