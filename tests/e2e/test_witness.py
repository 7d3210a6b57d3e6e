# SPDX-License-Identifier: Apache-2.0
"""The witness notices: each kind of damage is done to it once, from outside its checks."""

import os
import signal
import time

import pytest
from harness import make_disk
from network import Numbered, datagram

PAUSE_S = 0.3


def expect_failure(machine, reason):
    """It screams, and its verdict stays FAIL."""
    machine.console.wait("WITNESS FAIL: .*" + reason)
    for _ in range(2):
        assert machine.ask("verdict", r"witness: verdict (OK|FAIL)")[1] == "FAIL"


def shell(machine, *commands):
    """Not waited for: the scream may come before the shell has ended."""
    machine.console.send("shell " + "; ".join(commands))


# The first page of the memory worker's arena, which is the one mapping of exactly 8 MiB.
FIND_ARENA = (
    "while read range perms rest; do a=0x${range%-*} b=0x${range#*-}; "
    "[ $((b - a)) = 8388608 ] && [ $perms = rw-p ] && at=$((a)); done < /proc/1/maps"
)


def memory_machine(start):
    machine = start(harts=1, disk=False, append="witness.mem=8M witness.rate=64M witness.status=1")
    machine.wait_ready()
    machine.wait_status("mem_verified", at_least=2048)
    return machine


def test_one_changed_byte_in_memory(start):
    machine = memory_machine(start)
    shell(machine, FIND_ARENA, "printf ! | dd of=/proc/1/mem bs=1 seek=$((at + 4096 * 1000 + 1234)) conv=notrunc")
    expect_failure(machine, "memory: page 1000 of mem0 is damaged")


def test_an_old_page_in_memory(start):
    machine = memory_machine(start)
    shell(
        machine,
        FIND_ARENA,
        "p=$((at / 4096 + 77))",
        "dd if=/proc/1/mem of=/tmp/page bs=4096 skip=$p count=1",
        "sleep 1",
        "dd if=/tmp/page of=/proc/1/mem bs=4096 seek=$p conv=notrunc",
    )
    expect_failure(machine, "memory: page 77 of mem0 is whole but holds write")


def test_a_changed_disk(start):
    machine = start()
    machine.wait_ready()
    machine.wait_status("disk_ok", at_least=100)
    with open(machine.disk, "r+b") as image:
        image.write(os.urandom(16 << 20))
        image.flush()
        os.fsync(image.fileno())
    machine.console.send("verdict")
    expect_failure(machine, "disk: block")


def test_a_request_that_takes_too_long(start, request, tmp_path):
    if request.config.getoption("--vmm") != "qemu":
        pytest.skip("only QEMU can throttle a disk to one request a second")
    image = make_disk(tmp_path / "slow.img")
    slow = ["-drive", f"file={image},if=none,id=s0,format=raw,throttling.iops-total=1"]
    slow += ["-device", "virtio-blk-device,drive=s0"]
    machine = start(disk=False, append="witness.stall=1", options=slow)
    machine.console.wait("witness: ready")
    expect_failure(machine, "disk. has waited 1 s for its operation")


def test_a_damaged_datagram(start, network):
    machine = start(network=network)
    machine.wait_ready()
    numbered = Numbered(network.peer())
    numbered.exchange()
    machine.verdict()
    good = datagram(1, 1, b"payload")
    numbered.peer.send(good[:-1] + b"D")
    expect_failure(machine, "udp: datagram 1 of stream 1 arrived damaged")


def test_lost_and_repeated_datagrams_are_counted(start, network):
    machine = start(network=network)
    machine.wait_ready()
    numbered = Numbered(network.peer(), stream=9)
    for number in (0, 1, 1, 3, 4):
        numbered.number = number
        numbered.exchange()
    verdict = machine.verdict()
    assert (verdict["udp_rx"], verdict["udp_lost"], verdict["udp_dup"]) == (5, 1, 1)
    numbered.number = 2  # only late, not lost
    numbered.exchange()
    verdict = machine.verdict()
    assert (verdict["udp_rx"], verdict["udp_lost"], verdict["udp_dup"]) == (6, 0, 1)
    other = Numbered(network.peer(), stream=10)
    other.number = 1  # its number 0 is lost
    other.exchange()
    assert machine.verdict()["udp_lost"] == 1


@pytest.mark.parametrize("harts", [1, 2])
def test_a_pause_is_a_gap_and_nothing_else(start, harts):
    """The whole machine stands still for longer than the watchdog's patience with one operation."""
    machine = start(harts=harts, append="witness.stall=1 witness.rate=1")
    machine.wait_ready()
    machine.wait_status("disk_ok", at_least=20)
    machine.ask("gap", r"witness: gap_us=")
    machine.signal(signal.SIGSTOP)
    time.sleep(PAUSE_S + 1)  # the stimulus, not a wait
    machine.signal(signal.SIGCONT)
    # What is asked at once may be answered before the thread that watches the clock has run.
    machine.wait_status("gap_us", at_least=int((PAUSE_S + 1) * 1e6 * 0.5))
    gap_us = int(machine.ask("gap", r"witness: gap_us=(\d+)")[1])
    assert gap_us >= (PAUSE_S + 1) * 1e6 * 0.5
    assert int(machine.ask("gap", r"witness: gap_us=(\d+)")[1]) < gap_us
    assert machine.verdict()["gap_us"] >= gap_us


@pytest.mark.parametrize("harts", [1, 2])
def test_spin_measures_a_pause(start, harts):
    machine = start(harts=harts)
    machine.wait_ready()
    machine.ask("spin 1000", "witness: spin begins")
    machine.signal(signal.SIGSTOP)
    time.sleep(PAUSE_S)  # the stimulus, not a wait
    machine.signal(signal.SIGCONT)
    gap_us = int(machine.console.wait(r"witness: spin gap_us=(\d+)")[1])
    assert gap_us >= PAUSE_S * 1e6 * 0.5
    machine.verdict()


def test_commands(start):
    machine = start(harts=1, append="witness.mem=4M witness.rate=100")
    machine.wait_ready()
    machine.wait_status("mem_pages", at_least=1024)
    machine.ask("size 16", "witness: size is now 16 MiB")
    machine.wait_status("mem_pages", at_least=4096)
    machine.ask("rate 1", "witness: rate is now 1 MiB")
    machine.ask("size much", "witness: size wants a number of MiB, not 'much'")
    machine.ask("quiet", "witness: status off")
    machine.ask("status on", "witness: status on")
    machine.ask("nonsense", "witness: 'nonsense' is not one of")
    machine.ask("bench nonsense", "witness: no bench 'nonsense'")
    machine.verdict()
    machine.console.send("fail on purpose")
    expect_failure(machine, "on purpose")


def test_bench_results_are_what_the_arithmetic_says(start):
    expected = {
        "integer": "0000007b00a8fe2b",
        "memory": "720c72f2415a21a5",
        "float": "40f13b9e1ef33335",
        "syscalls": "0000000000023668",
        "fork": "00000000000000fa",
    }
    machine = start(append="witness.mem=4M")
    machine.wait_ready()
    got = {name: machine.ask(f"bench {name}", rf"bench {name} ns=\d+ sum=(\w+)")[1] for name in expected}
    assert got == expected
    machine.verdict()


def test_errors_of_a_disk_that_linux_shut_down_are_no_damage(start):
    """At a reboot the kernel breaks its devices under the workers, who write to the very end."""
    machine = start(append="witness.disk_iops=20000")
    for _ in range(3):
        machine.wait_ready()
        machine.wait_status("disk_ok", at_least=50)
        machine.console.send("reboot")
    machine.wait_ready()
    machine.verdict()
