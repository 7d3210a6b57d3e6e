# SPDX-License-Identifier: Apache-2.0
"""One VM's life as a service, from the installation of the packages to their removal. In this order."""

import re

from conftest import DEBS, GUEST

CONF = """\
# A VM of a test: words as on a command line.
-M virt -m 256 -smp 1
-bios /guest/fw_dynamic.bin -kernel /guest/Image
-initrd /guest/initramfs.cpio
-append "{cmdline}"
-serial file:web1.console     # in /var/lib/ferry
"""
UNIT = "ferry@web1"
LIMIT_S = 240


def show(debian, name):
    return debian.run("systemctl", "show", "--value", "-p", name, UNIT).stdout.strip()


def vmms(debian):
    """Children of the main process."""
    pid = show(debian, "MainPID")
    return debian.run("cat", f"/proc/{pid}/task/{pid}/children").stdout.split()


def await_line(debian, pattern, path="/var/lib/ferry/web1.console"):
    debian.run("timeout", str(LIMIT_S), "sh", "-c", f"tail -n +1 -F {path} 2>/dev/null | grep -qm1 '{pattern}'")


def packages():
    return [f"/debs/{path.name}" for path in sorted(DEBS.glob("*.deb")) if "-dbgsym" not in path.name]


def test_the_packages_install(debian):
    debian.run("dpkg", "-i", *packages())
    assert debian.run("ferry", "--version").stdout.startswith("ferry ")
    assert debian.run("id", "-un", "ferry").stdout == "ferry\n"
    assert debian.run("systemctl", "start", UNIT, check=False).returncode  # it has no configuration yet


def test_start_returns_when_the_guest_is_there(debian):
    debian.write("/etc/ferry/web1.conf", CONF.format(cmdline=(GUEST / "cmdline").read_text().strip()))
    debian.run("systemctl", "start", UNIT)
    assert show(debian, "SubState") == "running"
    await_line(debian, "witness: ready")
    (vmm,) = vmms(debian)
    assert debian.run("stat", "-c", "%U", f"/proc/{vmm}").stdout == "ferry\n"


def test_root_finds_it_by_its_name(debian):
    assert re.match(r"web1 +running", debian.run("ferry", "ls").stdout)
    assert "running" in debian.run("ferry", "status", "web1").stdout


def test_root_finds_it_with_what_a_login_sets(debian):
    """pam_systemd's, for who comes over ssh; a directory of root's own choice is another world."""
    debian.run("mkdir", "-p", "-m", "700", "/run/user/0", "/root/else")
    for folder, there in (("/run/user/0", True), ("/root/else", False)):
        listed = debian.run("env", f"XDG_RUNTIME_DIR={folder}", "ferry", "ls").stdout
        assert ("web1" in listed) == there, folder


def test_reload_replaces_the_process_under_the_guest(debian):
    main, before = show(debian, "MainPID"), vmms(debian)
    debian.run("systemctl", "reload", UNIT)
    assert show(debian, "MainPID") == main
    assert show(debian, "SubState") == "running"
    assert before[0] not in vmms(debian)
    assert "running" in debian.run("ferry", "status", "web1").stdout


def test_an_upgrade_of_the_package_takes_the_guest_along(debian):
    main, before = show(debian, "MainPID"), vmms(debian)
    debian.run("dpkg", "-i", *packages())
    assert show(debian, "MainPID") == main
    assert before[0] not in vmms(debian)
    assert show(debian, "NRestarts") == "0"


def test_a_reload_that_fails_says_so_and_the_guest_runs_on(debian):
    before = vmms(debian)
    debian.run("chmod", "o+w", "/usr/bin/ferry")  # which no VM is handed over to
    done = debian.run("systemctl", "reload", UNIT, check=False)
    debian.run("chmod", "o-w", "/usr/bin/ferry")
    assert done.returncode
    assert vmms(debian) == before and show(debian, "SubState") == "running"


def test_a_vmm_that_hangs_is_replaced(debian):
    debian.write(f"/etc/systemd/system/{UNIT}.service.d/test.conf", "[Service]\nWatchdogSec=2\nRestartSec=0\n")
    debian.run("systemctl", "daemon-reload")
    debian.run("systemctl", "restart", UNIT)
    main = show(debian, "MainPID")
    debian.run("sh", "-c", "kill -STOP $*", "sh", *vmms(debian))
    debian.run("timeout", str(LIMIT_S), "sh", "-c",
               f"journalctl -f -n all -o cat -u {UNIT} | grep -qm1 'Scheduled restart job'")
    debian.run("systemctl", "start", UNIT)  # which waits for the restart that has begun
    assert show(debian, "MainPID") != main
    assert "running" in debian.run("ferry", "status", "web1").stdout


def test_stop_ends_all_of_it(debian):
    main = show(debian, "MainPID")
    debian.run("systemctl", "stop", UNIT)
    assert show(debian, "ActiveState") == "inactive" and show(debian, "Result") == "success"
    assert debian.run("test", "-e", f"/proc/{main}", check=False).returncode
    assert debian.run("ferry", "ls").stdout == ""


def test_the_packages_can_be_removed(debian):
    debian.run("dpkg", "--purge", "ferry", "libferry-dev", "libferry0")
    left = debian.run("sh", "-c", "find /usr /lib/ /etc -iname '*ferry*' -not -path '/usr/share/doc/*'").stdout.split()
    # What the administrator wrote, and the user, who may own disks.
    assert [path for path in left if not path.startswith(("/etc/ferry", "/etc/systemd/system/ferry@web1"))] == []
