# SPDX-License-Identifier: Apache-2.0
"""Manual pages: ferry(1), and one for each command, as git's users look for them."""

import datetime
import re
import textwrap

COLUMNS = 78  # of the source, as roff's style wants it

FILES = (
    ("$XDG_RUNTIME_DIR/ferry", "where VMs are found by name; /run/ferry for root, /run/ferry-vms for services, "
     "/tmp/ferry-UID where there is none of these"),
    ("/etc/ferry/NAME.conf", "options of the VM that the service ferry@NAME runs, see ferry-run(1)"),
)
ENVIRONMENT = (
    ("XDG_RUNTIME_DIR", "the user's runtime directory"),
    ("NOTIFY_SOCKET", "set by a service manager, which is told when the guest runs, of updates, and of the end"),
    ("WATCHDOG_USEC", "set by a service manager, which hears so often that the VM answers"),
)
STATUS = (
    ("0", "done; for run and receive: the guest powered off, or the VM was ended on request"),
    ("1", "not done, as a sentence on standard error says; for run also: one of QEMU's options was not understood"),
    ("2", "the command line was not understood"),
    ("other", "of run and receive: the code that the guest gave to its power-off register; or they end by the signal "
     "that killed the VM"),
)


def escape(text):
    """So that roff shows it as it is."""
    for character, name in (("\\", "\\e"), ("-", "\\-"), ("'", "\\(aq"), ("`", "\\(ga"), ("^", "\\(ha"),
                            ("~", "\\(ti"), ('"', "\\(dq")):
        text = text.replace(character, name)
    return text


def line(text):
    """Of text: one that begins with a dot would be a request."""
    return "\\&" + text if text.startswith(".") else text


def quoted(text):
    """As one argument of a macro, and not the name of another."""
    return '"\\&' + escape(text) + '"'


def prose(text):
    """A sentence begins a line, which is where roff sees the end of one. "ferry-run(1)" is a reference."""
    for sentence in re.split(r"(?<=[.:;?!]) (?=[A-Z'])", text):
        whole = re.sub(r"\bferry\\-(\w+)\(1\)", "\\\\fBferry\\\\-\\1\\\\fR(1)", escape(sentence))
        yield from map(line, textwrap.wrap(whole, COLUMNS, break_long_words=False, break_on_hyphens=False))


def header(name, description, date):
    return [
        ".\\\" Written by scripts/reference from what `ferry --help` says.",
        f".Dd {date.strftime('%B')} {date.day}, {date.year}",
        f".Dt {name.upper()} 1",
        ".Os",
        ".Sh NAME",
        f".Nm {name}",
        f".Nd {escape(description.rstrip('.'))}",
        ".Sh SYNOPSIS",
    ]


def tagged(entries):
    lines = [".Bl -tag -width Ds"]
    for head, text in entries:
        lines += [f".It {head}", *prose(text)]
    return lines + [".El"]


def breakable(argument):
    """Escaped text without a space, with the places where a line may end."""
    return re.sub(r"(?<=\|)|(?<=[^[],)|(?=\[)", r"\\:", argument)


def option_head(option):
    argument = f" Ar {breakable(quoted(option.argument))}" if option.argument else ""
    return f"Fl {quoted(option.name[1:])}{argument}"


def body(parts):
    lines = []
    for part in parts:
        if isinstance(part, list):
            lines += tagged((option_head(option), option.text) for option in part)
        elif part.literal:
            lines += [".Bd -literal -offset indent", *(line(escape(each)) for each in part.lines), ".Ed"]
        else:
            lines += [".Pp", *prose(" ".join(part.lines))]
    return lines


def command_page(command, date):
    name = f"ferry-{command.name}"
    lines = header(name, command.summary, date)
    lines += [".Nm ferry", f".Cm {command.name}"]
    if command.usage:
        lines += prose(command.usage)
    lines += [".Sh DESCRIPTION", *prose(command.summary), *body(command.body)]
    return lines + [".Sh SEE ALSO", ".Xr ferry 1"]


def main_page(what, commands, date):
    lines = header("ferry", what, date)
    lines += [".Nm", ".Ar command", ".Op Ar ..."]
    lines += [".Sh DESCRIPTION"]
    lines += [
        *prose("A virtual machine monitor (VMM): the process that runs a guest. It can be replaced under the running "
                   "guest by a newer version, or by one on another host, and the guest does not notice. It runs QEMU's "
                   "riscv64 virt machine on a software CPU and takes QEMU's options. A VM has a name, by which the other "
                   "commands find it while it runs."),
        ".Pp",
        "The commands:",
        *tagged((f"Xr ferry-{command.name} 1", command.summary) for command in commands),
    ]
    lines += [".Sh ENVIRONMENT", *tagged((f"Ev {name}", text) for name, text in ENVIRONMENT)]
    lines += [".Sh FILES", *tagged((f"Pa {quoted(name)}", text) for name, text in FILES)]
    lines += [".Sh EXIT STATUS", *tagged((f"{name}", text) for name, text in STATUS)]
    return lines + [
        ".Sh SEE ALSO",
        *(f".Xr ferry-{name} 1 ," for name in sorted(command.name for command in commands)[:-1]),
        f".Xr ferry-{max(command.name for command in commands)} 1",
    ]


def pages(what, commands, seconds):
    """{file name: text}."""
    date = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    made = {"ferry.1": main_page(what, commands, date)}
    made |= {f"ferry-{command.name}.1": command_page(command, date) for command in commands}
    return {name: "\n".join(lines) + "\n" for name, lines in made.items()}
