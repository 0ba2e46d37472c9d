"""`safelight doctor`: whether everything that Safelight needs is in order."""

import asyncio

import typer

from desktop.cli.exit_code import ExitCode

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    app.command("doctor")(_doctor)


def _doctor() -> int:
    """Check settings, folders, journal, presets and engines, and say what to do about each problem."""
    from rich.table import Table

    from desktop.cli.examination import Verdict, examine
    from desktop.cli.tables import print_table

    findings = asyncio.run(examine())
    table = Table("", "", "", box=None, show_header=False)
    for finding in findings:
        table.add_row(finding.verdict, finding.what, finding.detail)
    print_table(table)
    bad = any(finding.verdict is Verdict.PROBLEM for finding in findings)
    return ExitCode.SOME_FAILED if bad else ExitCode.DONE
