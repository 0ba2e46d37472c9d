"""What the runbook and the limits say is what the program does."""

import re
from pathlib import Path

from cloud.clients.metrics import Metrics
from cloud.services.plans import entitlements_of
from cloud.settings import Settings
from shared.api.accounts import Plan

DOCS = Path(__file__).parents[2] / "docs"
LIMITS = (DOCS / "limits-and-guarantees.md").read_text("utf-8")
RUNBOOK = (DOCS / "operations.md").read_text("utf-8")
_MB = 1024 * 1024


def _row(name: str) -> list[str]:
    [line] = [line for line in LIMITS.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip().replace(",", "") for cell in line.split("|")[2:-1]]


def test_limits_of_plans_are_those_of_the_program() -> None:
    plans = [entitlements_of(plan) for plan in Plan]
    assert _row("Requests a minute") == [str(plan.requests_per_minute) for plan in plans]
    assert _row("Jobs a month") == [str(plan.jobs_per_month or "as many as come") for plan in plans]
    assert _row("Credits a month") == [str(plan.credits_per_month) for plan in plans]
    assert _row("Jobs at work at once") == [str(plan.concurrency) for plan in plans]
    assert _row("Largest file") == [f"{plan.max_upload_bytes // _MB} MB" for plan in plans]
    assert _row("Largest picture") == [f"{plan.max_pixels // _MB} megapixels" for plan in plans]
    assert _row("Artifacts are kept for") == [f"{plan.retention.days} days" for plan in plans]
    assert _row("Seats") == [str(plan.seats) for plan in plans]


def test_settings_that_are_named_are_there() -> None:
    named = set(re.findall(r"SAFELIGHT_([A-Z0-9_]+)", LIMITS + RUNBOOK))
    assert named <= {field.upper() for field in Settings.model_fields}


def test_metrics_that_are_named_are_there() -> None:
    known = {family.name for family in Metrics().registry.collect()}
    named = {name.removesuffix("_total") for name in re.findall(r"\b(safelight_[a-z0-9_]+)", RUNBOOK)}
    assert named
    assert named <= known
