"""The table of faults names tests that are there."""

import ast
import re

import pytest

from tests.architecture.source import ROOT

_ROW = re.compile(r"^\| ([A-Z]+\d+) \|.*\|$", re.MULTILINE)
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_ROWS = {found[1]: found[0] for found in _ROW.finditer((ROOT / "docs/faults.md").read_text(encoding="utf-8"))}


@pytest.mark.parametrize("row", _ROWS)
def test_row_names_tests_that_are_there(row: str) -> None:
    named = _TEST.findall(_ROWS[row])
    assert named
    assert not [f"{path}::{name}" for path, name in named if name not in _tests_of(path)]


def test_every_kind_of_fault_has_rows() -> None:
    assert {row[0] for row in _ROWS} == {"J", "P", "M", "C", "W"}


def _tests_of(path: str) -> set[str]:
    file = ROOT / path
    if not file.exists():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }
