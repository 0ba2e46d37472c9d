"""Tables on stdout: as wide as the terminal, and unwrapped where there is none."""

import sys

from rich.console import Console
from rich.table import Table

__all__ = ["print_table"]

_WIDE = 400


def print_table(table: Table) -> None:
    console = Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else _WIDE)
    console.print(table)
