# SPDX-License-Identifier: Apache-2.0
"""Completion for bash. What is not known here is completed as a file, by `complete -o default`."""

from . import values

HEAD = """\
# Written by scripts/reference from what `ferry --help` says.
_ferry_vms() {
    ferry ls 2>/dev/null | cut -d' ' -f1
}

_ferry() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local words=
    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W '%s --help --version' -- "$cur")
        return
    fi
    case "${COMP_WORDS[1]} $prev" in
"""
BETWEEN = """\
    esac
    if [ -n "$words" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    fi
    case "${COMP_WORDS[1]} $cur" in
"""
TAIL = """\
    esac
    case "${COMP_WORDS[1]}" in
    %s)
        [ -z "$words" ] && ((COMP_CWORD == 2)) && words=$(_ferry_vms)
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -o default -F _ferry ferry
"""


def arguments(command):
    """After an option with an argument no other option comes."""
    taking = [option for option in command.options.values() if option.argument]
    known = {option.name: values.words(option.argument) for option in taking}
    for name, words in known.items():
        if words:
            yield f"    '{command.name} {name}') words='{' '.join(words)}' ;;"
    others = [f"'{command.name} {name}'" for name, words in known.items() if not words]
    if others:
        yield f"    {' | '.join(others)}) return ;;"


def script(commands):
    names = [command.name for command in commands]
    lines = HEAD % " ".join(names)
    lines += "".join(line + "\n" for command in commands for line in arguments(command))
    lines += BETWEEN
    for command in commands:
        lines += f"    '{command.name} '-*) words='{' '.join([*command.options, '--help'])}' ;;\n"
    return lines + TAIL % " | ".join(command.name for command in commands if command.operands[:1] == ["VM"])
