# SPDX-License-Identifier: Apache-2.0
"""scripts/check-layers on a tree of two folders."""

import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).resolve().parents[2] / "scripts" / "check-layers"


@pytest.fixture
def tree(tmp_path):
    """tree(files, layers) makes the sources, compiles them as meson would place them, and returns what is said."""

    def run(files, layers):
        (tmp_path / "scripts").mkdir()
        (tmp_path / "scripts/layers.txt").write_text(layers)
        (tmp_path / "include/ferry").mkdir(parents=True)
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for path in sorted(tmp_path.rglob("*.c")):
            source = path.relative_to(tmp_path)
            target = tmp_path / "build" / source.parent / f"lib{source.parent.name}.a.p" / f"{source.name}.o"
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cc", "-I.", "-c", source, "-o", target], cwd=tmp_path, check=True, timeout=60)
        done = subprocess.run(
            [CHECK, tmp_path, tmp_path / "build"], capture_output=True, text=True, check=False, timeout=60
        )
        return done.returncode, done.stdout

    return run


ORDER = "vmm/low:\nvmm/high: vmm/low\n"
HIGH = "int high_answer(void);\nint high_answer(void)\n{\n    return 42;\n}\n"
LOW = "int low_ask(void);\nint low_ask(void)\n{\n    return high_answer();\n}\n"


def test_low_folder_needs_function_of_higher(tree):
    files = {"vmm/high/a.c": HIGH, "vmm/low/b.c": "int high_answer(void);\n" + LOW}
    code, text = tree(files, ORDER)
    assert code != 0
    assert "vmm/low/liblow.a.p/b.c.o: needs high_answer of vmm/high" in text


def test_low_header_declares_what_higher_defines(tree):
    """Also then, unless scripts/layers.txt names the header."""
    files = {
        "vmm/low/answer.h": "int high_answer(void);\n",
        "vmm/high/a.c": HIGH,
        "vmm/low/b.c": '#include "vmm/low/answer.h"\n' + LOW,
    }
    code, text = tree(files, ORDER)
    assert code != 0
    assert "needs high_answer" in text


def test_header_for_those_below(tree):
    files = {
        "vmm/low/answer.h": "int high_answer(void);\n",
        "vmm/high/a.c": HIGH,
        "vmm/low/b.c": '#include "vmm/low/answer.h"\n' + LOW,
    }
    assert tree(files, ORDER + "above vmm/low/answer.h @ vmm/high\n") == (0, "")


def test_header_that_nobody_below_needs(tree):
    files = {"vmm/low/answer.h": "int high_answer(void);\n", "vmm/high/a.c": HIGH}
    code, text = tree(files, ORDER + "above vmm/low/answer.h @ vmm/high\n")
    assert code != 0
    assert "nobody needs what is above vmm/low/answer.h" in text


def test_high_folder_needs_function_of_lower(tree):
    files = {
        "vmm/low/b.c": "int low_ask(void);\nint low_ask(void)\n{\n    return 1;\n}\n",
        "vmm/high/a.c": "int low_ask(void);\nint high(void);\nint high(void)\n{\n    return low_ask();\n}\n",
    }
    assert tree(files, ORDER) == (0, "")


def test_folders_that_stand_on_each_other(tree):
    code, text = tree({"vmm/low/b.c": "extern int x;\n"}, "vmm/low: vmm/high\nvmm/high: vmm/low\n")
    assert code != 0
    assert "vmm/low may not stand on vmm/high" in text


def test_word_stands_only_where_it_is_meant(tree):
    """In comments and names alike, whatever the case."""
    files = {
        "vmm/low/a.c": "/* As RISCV has it. */\nint low_answer;\n",
        "vmm/high/b.c": "extern const int riscv_answer;\nconst int riscv_answer = 42;\n",
        "vmm/high/c.h": "/* riscv */\n",
    }
    code, text = tree(files, ORDER + "word riscv @ vmm/high/b.c vmm/low\n")
    assert code != 0
    assert "vmm/high/c.h:1: says 'riscv', which only vmm/high/b.c, vmm/low may" in text
    assert "b.c:" not in text
    assert "vmm/low/a.c:1" not in text


def test_word_that_is_gone(tree):
    code, text = tree({"vmm/low/a.c": "int low_answer(void);\nint low_answer(void)\n{\n    return 1;\n}\n"}, ORDER + "word riscv @ vmm/low\n")
    assert code != 0
    assert "there is no 'riscv' in vmm/low any more" in text
