"""`safelight-cloud doctor`."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from cloud.cli.opening import configure
from cloud.context import open_context
from cloud.factory import Factory
from cloud.migrations.upgrade import newest_version
from cloud.services.checkup import Finding, Verdict
from cloud.settings import Settings

__all__ = ["register"]

_SIGNS = {Verdict.GOOD: "✓", Verdict.WARNING: "!", Verdict.PROBLEM: "✗"}


def register(app: typer.Typer) -> None:
    app.command()(doctor)


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with all findings")] = False,
) -> None:
    """Say what works and what to do about the rest; exit code 1 if the cloud cannot run."""
    settings = configure(log_level="error")
    findings = asyncio.run(_look(settings))
    if as_json:
        typer.echo(json.dumps({"findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            remedy = f" — {finding.remedy}" if finding.remedy else ""
            typer.echo(f"{_SIGNS[finding.verdict]} {finding.name}: {finding.message}{remedy}")
    if any(finding.verdict is Verdict.PROBLEM for finding in findings):
        raise typer.Exit(1)


async def _look(settings: Settings) -> tuple[Finding, ...]:
    async with open_context(settings, schema_version=newest_version()) as context:
        found = await Factory(context).checkup().look()
    return (Finding("settings", Verdict.GOOD, _described(settings)), *found)


def _described(settings: Settings) -> str:
    database = "PostgreSQL" if settings.is_cluster else str(settings.sqlite_path)
    return f"{settings.environment}, {settings.base_url}, database {database}"
