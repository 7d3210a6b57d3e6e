# SPDX-License-Identifier: Apache-2.0
"""What can be typed for an argument, as far as its name in the help says it."""

import re

FILES = {"FILE", "PATH", "DIR", "F", "P"}


def is_file(argument):
    """Its name, or a part of it, stands for a file: PATH, ID=PATH, file:P."""
    return not FILES.isdisjoint(re.split(r"[=\[\],:|]", argument))


def words(argument):
    """ "on|off[,spawn=allow]" is on and off; what has a part to be filled in is none."""
    alternatives = re.sub(r"\[[^]]*\]", "", argument).split("|")
    first = [alternative.partition(",")[0] for alternative in alternatives]
    if "=" in first[0]:
        return []  # "driver=file|raw": what is chosen is the value of a key
    return [word for word in first if re.fullmatch(r"[a-z][a-z0-9-]*", word)]
