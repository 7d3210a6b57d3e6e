# SPDX-License-Identifier: Apache-2.0
"""Completion for zsh, which shows what each command and option is for."""

from . import values

HEAD = """\
#compdef ferry
# Written by scripts/reference from what `ferry --help` says.
_ferry_vms() {
    local -a names=(${${(f)"$(ferry ls 2>/dev/null)"}%%%% *})
    compadd -a names
}

# "file=/srv/a" and "unix:/run/a": what is completed stands behind the key.
_ferry_files() {
    compset -P '*[=:]'
    _files
}

_ferry() {
    local -a commands=(
%s
    )
    if ((CURRENT == 2)); then
        _describe command commands
        return
    fi
    local command=$words[2]
    shift words
    ((CURRENT--))
    case $command in
"""
TAIL = """\
    esac
}

_ferry "$@"
"""


def quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def plain(text):
    """What a specification of _arguments takes for its own."""
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace(":", "\\:")


def action(argument):
    words = values.words(argument)
    if words:
        return f"({' '.join(words)})"
    return "_ferry_files" if values.is_file(argument) else " "


def option_spec(option):
    spec = f"*{option.name}[{plain(option.text)}]"
    if option.argument:
        spec += f":{plain(option.argument)}:{action(option.argument)}"
    return quote(spec)


def operand_spec(index, operand):
    wanted = {"VM": "_ferry_vms", "FILE": "_files"}.get(operand, " ")
    return quote(f"{index}:{operand}:{wanted}")


def script(commands):
    lines = HEAD % "\n".join("        " + quote(f"{command.name}:{command.summary}") for command in commands)
    for command in commands:
        specs = [option_spec(option) for option in command.options.values()]
        specs += [operand_spec(index, operand) for index, operand in enumerate(command.operands, 1)]
        specs.append(quote("--help[what it does]"))
        lines += f"    {command.name})\n        _arguments \\\n"
        lines += " \\\n".join("            " + spec for spec in specs) + "\n        ;;\n"
    return lines + TAIL
