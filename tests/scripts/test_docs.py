# SPDX-License-Identifier: Apache-2.0
"""docs/hostile-input.md names the test that shows each of its rows: the tests are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ("tests", "tests/lib", "tests/vmm", "tests/vmm/dev", "tests/vmm/accel")


def rows():
    """(cells of a row of a table), the headings left out."""
    for line in (ROOT / "docs" / "hostile-input.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[-1] != "Shown by" and not set(line) <= set("|-"):
            yield cells


def file_of(name):
    """None: there is no such test."""
    folder, _, test = name.rpartition("/")
    places = [f"{place}/{folder}/{test}_test.c" for place in UNIT]
    places += {"e2e": [f"tests/e2e/test_{test}.py"], "fuzz": [f"fuzz/fuzz_{test}.c"]}.get(folder, [])
    return next((ROOT / place for place in places if (ROOT / place).exists()), None)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0][:40])
def test_a_row_names_tests_that_are_there(row):
    names = re.findall(r"`([a-z0-9_/]+)`", row[-1])
    assert names
    assert [name for name in names if file_of(name) is None] == []


@pytest.mark.parametrize("row", [row for row in rows() if row[0][0].isdigit()], ids=lambda row: row[0])
def test_a_number_is_that_of_the_test(row):
    """Where a test's rows have numbers: a case begins with one, or a comment does."""
    first, _, last = row[0].replace(", ", "-").partition("-")
    numbers = range(int(first), int(last or first) + 1)
    for name in re.findall(r"`(sim/hostile_\w+)`", row[-1]):
        text = file_of(name).read_text()
        found = {int(n) for n in re.findall(r'(?:"|/\* )([0-9]+)[ :,]', text)}
        assert found & set(numbers), f"{name} has nothing of {row[0]}"


def test_the_numbers_have_no_gap():
    numbers = []
    for row in rows():
        if row[0][0].isdigit():
            first, _, last = row[0].replace(", ", "-").partition("-")
            numbers += range(int(first), int(last or first) + 1)
    assert sorted(numbers) == list(range(1, 70))
