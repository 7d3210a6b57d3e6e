#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Differential test of ferry's harts: the same random programs on ferry and on QEMU (TCG), hundreds
in one boot; registers, memory, page tables and every trap must be the same. Of a program that
differs, finds the first instruction that makes a difference and shows it.
"""
import argparse
import os
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True  # the source tree stays clean
import diff_gen  # noqa: E402

QEMU_CPU = 'rv64,h=off,zba=off,zbb=off,zbc=off,zbs=off,debug=off,pmu-num=0'
BATCH_SECONDS = 120


class Machines:
    def __init__(self, args, folder):
        self.args = args
        self.folder = folder
        with open(args.runtime, 'rb') as f:
            self.runtime = f.read()

    def run(self, programs):
        """What ferry and QEMU print: two lists of lines."""
        path = os.path.join(self.folder, 'image.bin')
        with open(path, 'wb') as f:
            f.write(self.runtime + b''.join(programs))
        commands = [
            [self.args.bare, path, '1', str(BATCH_SECONDS)],
            # With one hart it would do an AMO as a load and a store, and report their faults.
            [self.args.qemu, '-M', 'virt', '-m', '64', '-smp', '2', '-cpu', self.args.cpu, '-bios', path,
             '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-nodefaults'],
        ]
        running = [subprocess.Popen(c, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE) for c in commands]
        outputs = []
        for command, process in zip(commands, running):
            try:
                out, err = process.communicate(timeout=BATCH_SECONDS + 10)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
            if process.returncode != 0:
                print(f'{command[0]} ended with {process.returncode}: '
                      f'{err.decode(errors="replace").strip()}')
            outputs.append(out.decode(errors='replace').splitlines())
        return outputs


def results(lines):
    """number -> (hash, traps to M, traps to S)"""
    out = {}
    for line in lines:
        if line.startswith('#'):
            words = line[1:].split()
            if len(words) == 4:
                out[int(words[0])] = tuple(words[1:])
    return out


def disassemble(code, folder):
    path = os.path.join(folder, 'code.bin')
    with open(path, 'wb') as f:
        f.write(code)
    try:
        out = subprocess.run(['riscv64-linux-gnu-objdump', '-D', '-b', 'binary', '-m', 'riscv:rv64',
                              '-M', 'no-aliases', f'--adjust-vma={diff_gen.CODE:#x}', path],
                             capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ['(no disassembler)']
    return [line for line in out.splitlines() if ':\t' in line]


def explain(seed, machines, steps):
    """Of one program: the shortest beginning of it that differs, and how."""
    _, program = diff_gen.make(seed, 0, steps)
    cuts = sorted(set(program.where[1:]))
    ferry, qemu = (results(lines) for lines in machines.run(
        [diff_gen.make(seed, n, steps, cut_bytes=cut)[0] for n, cut in enumerate(cuts)]))
    bad = next((n for n in range(len(cuts)) if ferry.get(n) != qemu.get(n)), None)
    if bad is None:
        print(f'seed {seed}: no beginning of it differs, only the whole program in its batch')
        return
    image, _ = diff_gen.make(seed, 0, steps, diff_gen.FLAG_VERBOSE, cuts[bad])
    ferry, qemu = machines.run([image])
    code = image[diff_gen.HEADER.size:][:cuts[bad]]
    print(f'seed {seed}: mode {program.mode}, satp mode {program.vm}; differs after')
    for line in disassemble(code, machines.folder)[-8:]:
        print('   ', line)
    shown = 0
    for line in range(max(len(ferry), len(qemu))):
        f = ferry[line] if line < len(ferry) else '(nothing)'
        q = qemu[line] if line < len(qemu) else '(nothing)'
        if f != q and not f.startswith('#') and shown < 12:
            shown += 1
            print(f'    ferry: {f:40} qemu: {q}')
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--runtime', required=True, help='the bare-metal guest that runs programs')
    parser.add_argument('--bare', required=True, help="runs an image on ferry's harts")
    parser.add_argument('--qemu', default='qemu-system-riscv64')
    parser.add_argument('--cpu', default=QEMU_CPU)
    parser.add_argument('-n', type=int, default=200, help='how many programs')
    parser.add_argument('--seed', type=int, default=1, help='of the first')
    parser.add_argument('--steps', type=int, default=60, help='length of a program')
    parser.add_argument('--batch', type=int, default=500, help='programs in one boot')
    parser.add_argument('--explain', type=int, default=3, help='how many differences to look into')
    args = parser.parse_args()
    different, ran, traps = [], 0, 0
    with tempfile.TemporaryDirectory(prefix='diff-') as folder:
        machines = Machines(args, folder)
        for first in range(args.seed, args.seed + args.n, args.batch):
            seeds = range(first, min(first + args.batch, args.seed + args.n))
            ferry, qemu = (results(lines) for lines in machines.run(
                [diff_gen.make(seed, seed, args.steps)[0] for seed in seeds]))
            for seed in seeds:
                if seed not in qemu:
                    print(f'QEMU gave no result for seed {seed}: the test is broken')
                    return 2
                ran += 1
                traps += int(qemu[seed][1]) + int(qemu[seed][2])
                if ferry.get(seed) != qemu[seed]:
                    different.append(seed)
                    if seed not in ferry:
                        print(f'ferry gave no result for seed {seed}')
                        break
        print(f'{ran} programs, {traps} traps, {len(different)} different')
        for seed in different[:args.explain]:
            explain(seed, machines, args.steps)
        if different:
            print('different seeds:', *different[:50])
    return 1 if different else 0


if __name__ == '__main__':
    sys.exit(main())
