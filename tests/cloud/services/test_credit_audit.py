"""The audit finds what does not add up, on whatever page of it that stands."""

from collections import Counter

import pytest

from cloud.repositories.credit_audit import AccountsAfter, AuditFinding, AuditPlace
from cloud.repositories.database import Database
from cloud.repositories.jobs import NewJob
from cloud.repositories.lanes import Lane
from cloud.repositories.unit import Unit
from cloud.services.credit_audit import CreditAudit
from shared.api.credits import EntryKind
from shared.ids import new_id

ADDS_UP_NOT = "the entries do not add up to the balance"
NO_JOB = "reserved for a job that has ended"
NO_RESERVE = "its price was never reserved"
PERIOD = "2026-11"


async def _open(database: Database) -> str:
    """An account with a balance and the entry for it."""
    account = new_id()

    def work(unit: Unit) -> None:
        unit.accounts.add(account, "somebody")
        unit.credits.open_locked(account)
        unit.credits.change(account, topped_up=9)
        unit.credits.add(account, EntryKind.TOP_UP, topped_up=9, period=PERIOD)

    await database.write(work)
    return account


def _reserve(unit: Unit, account: str, job_id: str) -> None:
    """The entry alone counts here, not how much it is."""
    unit.credits.add(account, EntryKind.RESERVE, period=PERIOD, job_id=job_id)


def _add_job(unit: Unit, account: str) -> str:
    job = NewJob(
        id=new_id(),
        lane=Lane("builtin", 0, account, "noir"),
        preset_version="1.0.0",
        preset_digest="d" * 64,
        values={},
        inputs={},
        price=1,
    )
    unit.jobs.add(job)
    return job.id


async def _spoil(database: Database) -> dict[str, int]:
    """Three of five accounts; how often each finding is to be made."""
    accounts = [await _open(database) for _ in range(5)]

    def work(unit: Unit) -> None:
        for account in accounts:
            _reserve(unit, account, _add_job(unit, account))
        for account in accounts[:3]:
            unit.credits.change(account, topped_up=5)
            _reserve(unit, account, new_id())
            _add_job(unit, account)

    await database.write(work)
    return {ADDS_UP_NOT: 3, NO_JOB: 3, NO_RESERVE: 3}


def _counted(findings: list[AuditFinding]) -> dict[str, int]:
    assert len(set(findings)) == len(findings)
    return dict(Counter(finding.what for finding in findings))


@pytest.mark.parametrize("rows", [1, 3, 2000])
async def test_pages_of_any_length_find_the_same(database: Database, rows: int) -> None:
    spoilt = await _spoil(database)
    found: list[AuditFinding] = []
    pages, place = 0, AccountsAfter()
    after: AuditPlace | None = place
    while after is not None:
        place_now: AuditPlace = after
        page = await database.read(
            lambda unit, at=place_now: unit.credit_audit.page(at, accounts=rows, rows=rows)
        )
        found += page.findings
        pages, after = pages + 1, page.next
    assert _counted(found) == spoilt
    assert pages >= (5 + 13 + 8) / rows


async def test_whole_audit_and_its_turns_find_the_same(database: Database) -> None:
    audit = CreditAudit(database=database)
    assert await audit.findings() == ()
    spoilt = await _spoil(database)
    assert _counted(list(await audit.findings())) == spoilt
    turns = [await audit.go_on(within_s=0) for _ in range(12)]
    assert sum(turns) == 18  # twice through: accounts, none more, entries, none more, jobs, none more
    assert max(turns) == 3


async def test_turn_goes_through_all_if_there_is_time(database: Database) -> None:
    spoilt = await _spoil(database)
    assert await CreditAudit(database=database).go_on() == sum(spoilt.values())
