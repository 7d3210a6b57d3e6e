#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
usage: guest_test.py BARE IMAGE [--golden FILE] [--harts N]

Runs a bare-metal guest on ferry's harts. It must stop with success; with --golden, what it prints
must be that file. A guest for several harts finds their number behind its image. BARE is a
program like bare.c.
"""
import argparse
import difflib
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('bare')
    parser.add_argument('image')
    parser.add_argument('--golden')
    parser.add_argument('--harts', type=int, default=1)
    args = parser.parse_args()
    with tempfile.NamedTemporaryFile(prefix='guest-') as image:
        with open(args.image, 'rb') as f:
            image.write(f.read())
        if args.harts > 1:
            image.write(args.harts.to_bytes(4, 'little'))
        image.flush()
        done = subprocess.run([args.bare, image.name, str(args.harts), '100'], capture_output=True,
                              text=True, errors='replace', check=False)
    print(done.stderr, end='')
    if done.returncode != 0 or not args.golden:
        print(done.stdout[-4000:], end='')
        return done.returncode
    with open(args.golden, encoding='utf-8') as f:
        wanted = f.read().splitlines()
    wanted = [line for line in wanted if not line.startswith('//')]
    differences = list(difflib.unified_diff(wanted, done.stdout.splitlines(), args.golden, 'ferry',
                                            lineterm='', n=1))
    print(*differences[:60], sep='\n')
    return 1 if differences else 0


if __name__ == '__main__':
    sys.exit(main())
