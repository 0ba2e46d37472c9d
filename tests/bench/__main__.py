"""`python -m tests.bench [area…]`: measure, print a table, exit 1 if a goal is missed."""

import importlib
import pkgutil
import sys
import time

from rich.console import Console
from rich.table import Table

import tests.bench
from tests.bench.figure import Figure

_NOT_AREAS = {"__main__", "figure", "starts"}


def main() -> int:
    areas = sys.argv[1:] or sorted(
        module.name for module in pkgutil.iter_modules(tests.bench.__path__) if module.name not in _NOT_AREAS
    )
    console = Console(width=170)
    figures: list[Figure] = []
    broken: list[str] = []
    for area in areas:
        begun = time.monotonic()
        try:
            measured = importlib.import_module(f"tests.bench.{area}").measure()
        except Exception:  # noqa: BLE001 - what was measured before is told all the same
            console.print_exception()
            broken.append(area)
            continue
        figures += measured
        console.print(f"{area}: {len(measured)} figures in {time.monotonic() - begun:.0f} s", style="dim")
    console.print(_table(figures))
    missed = [figure for figure in figures if not figure.met]
    console.print(f"{len(figures) - len(missed)} of {len(figures)} goals met")
    if broken:
        console.print(f"not measured: {', '.join(broken)}")
    return 1 if missed or broken else 0


def _table(figures: list[Figure]) -> Table:
    table = Table("Figure", "Measured", "Floor in this run", "Ratio", "Goal", "Served of target", "Met")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.value:,.2f} {figure.unit}",
            f"{figure.floor:,.2f} {figure.unit} ({figure.floor_name})",
            f"{figure.ratio:.2f}×" if figure.ratio is not None else "–",
            _goal(figure),
            f"{figure.load.served:.0f} of {figure.load.target:.0f}/s" if figure.load else "–",
            "yes" if figure.met else "NO",
        )
    return table


def _goal(figure: Figure) -> str:
    if figure.goal_value is not None:
        return f"≤ {figure.goal_value:g} {figure.unit}"
    return f"≤ {figure.goal_ratio:.3g}×"


if __name__ == "__main__":
    sys.exit(main())
