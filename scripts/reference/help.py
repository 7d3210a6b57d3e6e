# SPDX-License-Identifier: Apache-2.0
"""What `ferry --help` and `ferry COMMAND --help` print, as data.

The program prints its tables: commands (vmm/main/main.c), options of a machine (vmm/config/option_table.c),
what a host gives to one (vmm/config/this_host.c). Read from there, a page or a completion cannot know
another option than the program does, and needs no second list.
"""

import re
import subprocess

# "  --json     text" or "  -kernel FILE", then lines that stand further in.
OPTION = re.compile(r"  (?P<name>--?[A-Za-z][\w-]*)(?: (?P<argument>\S+(?: \S+)*))?(?:  +(?P<text>\S.*))?")
IN_USAGE = re.compile(r"(?<![\w-])(--?[A-Za-z][\w-]*)(?: ([A-Z][^] ]*))?")
CONTINUED = re.compile(r"    +\S")
LISTED = re.compile(r"  (?P<name>[a-z]+) +(?P<summary>\S.*)")


class Option:
    def __init__(self, name, argument, text):
        self.name = name
        self.argument = argument  # None: a flag
        self.lines = [text] if text else []

    @property
    def text(self):
        return " ".join(line.strip() for line in self.lines)


class Paragraph:
    """Of prose; or, as it stands there, of lines to type."""

    def __init__(self, lines):
        self.literal = all(line.startswith("  ") for line in lines)
        self.lines = [line.strip() for line in lines]


class Command:
    def __init__(self, name, usage, summary, body):
        self.name = name
        self.usage = usage
        self.summary = summary
        self.body = body  # Paragraphs, and lists of Options

    @property
    def options(self):
        """By name: one that is there twice, for two uses, is one. What the usage says may be all that is said."""
        found = {name: Option(name, argument or None, "") for name, argument in IN_USAGE.findall(self.usage)}
        return found | {option.name: option for part in self.body if isinstance(part, list) for option in part}

    @property
    def operands(self):
        """The words that are no options: "VM", "URI"."""
        plain = re.sub(r"\[-[^]]*\]", "", self.usage).split("|")[0]
        return [word.strip("[]") for word in plain.split() if word.strip("[]").isupper() and word != "OPTIONS"]


def blocks(lines):
    """Of lines that belong together: an option begins one, and so does an empty line."""
    block = []
    for line in lines:
        ends = not line or OPTION.fullmatch(line) or (block and OPTION.fullmatch(block[0]) and not CONTINUED.match(line))
        if ends and block:
            yield block
            block = []
        if line:
            block.append(line)
    if block:
        yield block


def parse_body(lines):
    body = []
    for block in blocks(lines):
        match = OPTION.fullmatch(block[0])
        if not match:
            body.append(Paragraph(block))
            continue
        option = Option(match["name"], match["argument"], match["text"])
        option.lines += block[1:]
        if not body or not isinstance(body[-1], list):
            body.append([])
        body[-1].append(option)
    return body


def printed(ferry, *words):
    done = subprocess.run([ferry, *words, "--help"], check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def read_command(ferry, name):
    usage, _, summary, *rest = printed(ferry, name)
    beginning = f"usage: ferry {name}"
    assert usage.startswith(beginning), f"'ferry {name} --help' begins with '{usage}'"
    return Command(name, usage[len(beginning) :].strip(), summary, parse_body(rest))


def read(ferry):
    """(what ferry is, its commands in order)."""
    lines = printed(ferry)
    names = [match["name"] for match in map(LISTED.fullmatch, lines) if match]
    return lines[2], [read_command(ferry, name) for name in names]
