#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
usage: tailcall_test.py LIBCPU.a

The operations of a hart go from one to the next by jumps. The compiler makes jumps of calls only
where it can; where it cannot the program still works until its stack is full. So look at what it
made (x86-64): nothing calls an operation or a continuation of one, by name or through a pointer,
and the operations for integers, loads, stores and branches have no stack frame at all.
"""
import re
import subprocess
import sys

FRAMELESS = ('exec_int', 'exec_mem', 'exec_flow')


def main():
    out = subprocess.run(['objdump', '-dr', '--no-show-raw-insn', sys.argv[1]],
                         capture_output=True, text=True, check=True).stdout
    member = function = code = ''
    operations, bad = 0, []
    for line in out.splitlines():
        if m := re.match(r'^(\S+)\.c\.o:', line):
            member = m[1]
        elif m := re.match(r'^[0-9a-f]+ <(\w+)[^>]*>:', line):
            function = m[1]
            operations += function.startswith('op_')
        elif not member.startswith('exec') or '\t' not in line:
            continue
        elif m := re.search(r'R_X86_64_PLT32\s+(op_|exec_)\w+', line):
            if code.startswith('call'):
                bad.append(f'{member}.c: {function} calls: {line.strip()}')
        else:
            code = line.split('\t', 1)[1]
            if re.match(r'call\S* .*<(op_\w+|exec_\w+|\w+_slow)>', code):
                bad.append(f'{member}.c: {function} calls: {code}')
            elif re.match(r'call\S* +\*', code):
                bad.append(f'{member}.c: {function} calls through a pointer: {code}')
            elif (member in FRAMELESS and function.startswith('op_')
                  and re.match(r'call|push|sub .*,%rsp', code)):
                bad.append(f'{member}.c: {function} has a stack frame: {code}')
    print('\n'.join(bad))
    print(f'{operations} operations, {len(bad)} faults')
    return 1 if bad or operations < 150 else 0


sys.exit(main())
