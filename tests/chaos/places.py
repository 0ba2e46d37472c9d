"""Where a process may be killed: every failpoint of the product, as its source names them."""

import ast
from collections.abc import Mapping
from pathlib import Path

__all__ = ["failpoints"]

_TOP = Path(__file__).parents[2]


def failpoints(*packages: str) -> Mapping[str, Path]:
    """By name, the file of each."""
    found = {}
    for package in packages:
        for path in sorted((_TOP / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Name(id="failpoint"), args=[ast.Constant(value=str(name))]):
                        found[name] = path
    return found
